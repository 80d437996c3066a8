"""Corrected lines to decisions: segment -> split -> measure -> triage -> crop -> norm -> infer -> decide, one pure way.

Knows no process, clock, file or link. The classifier is passed in as a function, so that others can stand in.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import Crops, cut_crops
from edge_runtime.decide import decide
from edge_runtime.decisions import Decisions
from edge_runtime.flat_field import FlatField
from edge_runtime.line_scan import View
from edge_runtime.norm import NormSpec, norm_q16, norm_sums
from edge_runtime.schemas import Camera, Recipe
from edge_runtime.segment import Objects, segment
from edge_runtime.shapes import Shapes, measure_shapes
from edge_runtime.split import split_touching
from edge_runtime.triage import is_dust, triage, unclassified_ejects

__all__ = ["ByNorm", "Classify", "Observe", "Sorter", "sort_view", "sort_views"]

_Scalar = TypeVar("_Scalar", bound=np.generic)
Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
ByNorm = Callable[[NDArray[np.int64]], NDArray[np.float32]]
Observe = Callable[[str], None]  # told the name of a stage when it is done; it changes nothing


def _unobserved(_: str) -> None:
    """Take no notice."""


class Sorter(msgspec.Struct, frozen=True):
    """What the stages need beside pixels.

    Attributes:
        recipe: segmentation, crop, actions.
        norm: weights of the norm.
        camera: view the pixels come from.
        classify: crops (N, S, S, C) uint8 to scores (N, K) float32.
        flat_field: references of the camera; None where it was not calibrated.
        observe: called after each stage with its name.
        by_norm: norms (N,) int64 Q16 to scores (N, K), in place of the classifier: what remains where there is no time.
    """

    recipe: Recipe
    norm: NormSpec
    camera: Camera
    classify: Classify
    flat_field: FlatField | None = None
    observe: Observe = _unobserved
    by_norm: ByNorm | None = None


def sort_views(views: Sequence[View], sorter: Sorter) -> Decisions:
    """Return the decisions about the objects of some views of one camera, in their order; see `sort_view`.

    Raises:
        FrameError: the recipe's background colour has another number of bands than the views.
        CropError: the views have another number of channels than the recipe.
    """
    recipe = sorter.recipe
    parts = [sort_view(view, sorter) for view in views]
    return Decisions.concat(parts or [Decisions.empty(sorter.camera.name, recipe.crop, len(recipe.classes))])


def sort_view(view: View, sorter: Sorter) -> Decisions:
    """Find, cut out, weigh, classify and decide the objects that belong to a view.

    Args:
        view: corrected lines and ownership, see `line_scan`.
        sorter: recipe, norm, camera and classifier.

    Returns:
        Decisions about every object owned by the view, those that have no class included, with absolute lines.

    Raises:
        FrameError: the recipe's background colour has another number of bands than the view.
        CropError: the view has another number of channels than the recipe.
    """
    canvas, recipe, camera = view.lines.canvas, sorter.recipe, sorter.camera
    touching = _owned(segment(canvas.pixels, recipe.segment), view)
    sorter.observe("segment")
    max_lines = len(view.lines) if view.is_frame else camera.max_object_lines
    parted = split_touching(touching, recipe.segment, max_lines=max_lines)
    sorter.observe("split")
    found = _without_dust(parted, measure_shapes(parted), sorter)
    kinds = triage(found.objects, found.shapes, recipe, camera, is_frame=view.is_frame)
    sorter.observe("measure")
    crops = cut_crops(canvas, found.objects.select(kinds == 0), recipe.crop, recipe.segment)
    sorter.observe("crop")
    judged = _judge(kinds, crops, sorter)
    return _decisions(view, sorter, found, judged)


class _Found(msgspec.Struct, frozen=True):
    objects: Objects
    shapes: Shapes


class _Judged(msgspec.Struct, frozen=True):
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_eject: NDArray[np.bool_]
    numerators: NDArray[np.int64]
    denominators: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    masks: NDArray[np.bool_]


def _owned(objects: Objects, view: View) -> Objects:
    last_lines = objects.last_rows_px.astype(np.int64) + view.lines.first_line
    return objects.select(np.asarray((last_lines >= view.owned_from) & (last_lines < view.owned_to), np.bool_))


def _without_dust(objects: Objects, shapes: Shapes, sorter: Sorter) -> _Found:
    keep = ~is_dust(shapes, sorter.recipe, sorter.camera)
    return _Found(objects.select(keep), shapes.select(keep))


def _judge(kinds: NDArray[np.int64], crops: Crops, sorter: Sorter) -> _Judged:
    """Return class and action of every object: the crops are those of kind 0, the others get the recipe's action."""
    fits = kinds == 0
    judged = _Judged(
        kinds.copy(),
        np.zeros((kinds.size, len(sorter.recipe.classes)), np.float32),
        unclassified_ejects(kinds, sorter.recipe),
        np.zeros(kinds.size, np.int64),
        np.ones(kinds.size, np.int64),
        _spread(crops.pixels, fits),
        _spread(crops.masks, fits),
    )
    if len(crops):
        judged.numerators[fits], judged.denominators[fits] = norm_sums(crops.pixels, crops.masks, sorter.norm)
        sorter.observe("norm")
        if sorter.by_norm is None:
            judged.scores[fits] = sorter.classify(crops.pixels)
        else:
            judged.scores[fits] = sorter.by_norm(norm_q16(judged.numerators[fits], judged.denominators[fits]))
        sorter.observe("infer")
        judged.class_ids[fits], judged.is_eject[fits] = decide(judged.scores[fits], sorter.recipe)
        sorter.observe("decide")
    return judged


def _decisions(view: View, sorter: Sorter, found: _Found, judged: _Judged) -> Decisions:
    boxes = found.objects.boxes_px.astype(np.int64)
    boxes[:, 1] += view.lines.first_line
    scale = sorter.camera.pixel_mm
    return Decisions(
        camera=sorter.camera.name,
        lines=boxes[:, 1] + boxes[:, 3] - 1,
        columns=found.objects.last_columns_px,
        boxes_px=boxes,
        centres_mm=(boxes[:, :2] + found.shapes.centres_px + 0.5) * scale,
        lengths_mm=found.shapes.lengths_px * scale,
        widths_mm=found.shapes.widths_px * scale,
        angles_deg=found.shapes.angles_deg,
        class_ids=judged.class_ids,
        scores=judged.scores,
        is_eject=judged.is_eject,
        norm_numerators=judged.numerators,
        norm_denominators=judged.denominators,
        pixels=judged.pixels,
        masks=judged.masks,
    )


def _spread(values: NDArray[_Scalar], where: NDArray[np.bool_]) -> NDArray[_Scalar]:
    """Return the values at the places where `where` is true, 0 elsewhere."""
    if where.all():
        return values
    spread = np.zeros((where.size, *values.shape[1:]), values.dtype)
    spread[where] = values
    return spread
