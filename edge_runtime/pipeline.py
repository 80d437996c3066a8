"""Corrected lines to decisions: segment -> split -> crop -> norm -> infer -> decide, one short pure pipeline.

Knows no process, clock, file or link. The classifier is passed in as a function, so that others can stand in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import Crops, cut_crops, is_oversize
from edge_runtime.decide import decide
from edge_runtime.decisions import OVERSIZE, Decisions
from edge_runtime.flat_field import FlatField
from edge_runtime.line_scan import View
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.schemas import Camera, Recipe
from edge_runtime.segment import Objects, segment
from edge_runtime.split import split_touching

__all__ = ["Classify", "Sorter", "sort_view"]

_Scalar = TypeVar("_Scalar", bound=np.generic)
Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Sorter:
    """What the stages need beside pixels.

    Attributes:
        recipe: segmentation, crop, actions.
        norm: weights of the norm.
        camera: view the pixels come from.
        classify: crops (N, S, S, C) uint8 to scores (N, K) float32.
        flat_field: references of the camera; None where it was not calibrated.
    """

    recipe: Recipe
    norm: NormSpec
    camera: Camera
    classify: Classify
    flat_field: FlatField | None = None


def sort_view(view: View, sorter: Sorter) -> Decisions:
    """Find, cut out, weigh, classify and decide the objects that belong to a view.

    Args:
        view: corrected lines and ownership, see `line_scan`.
        sorter: recipe, norm, camera and classifier.

    Returns:
        Decisions about every object owned by the view, oversize ones included, with absolute lines.

    Raises:
        CropError: the view has another number of channels than the recipe.
    """
    canvas = view.lines.canvas
    touching = _owned(segment(canvas.pixels, sorter.recipe.segment), view)
    max_lines = len(view.lines) if view.is_whole else sorter.camera.max_object_lines
    objects = split_touching(touching, sorter.recipe.segment, max_lines=max_lines)
    oversize = is_oversize(objects, sorter.recipe.crop)
    if sorter.recipe.segment.mask == "object":
        oversize |= objects.boxes_px[:, 3] > sorter.camera.max_object_lines
    crops = cut_crops(canvas, objects.select(~oversize), sorter.recipe.crop, sorter.recipe.segment)
    decided = _decide(objects, oversize, crops, sorter)
    boxes = objects.boxes_px.astype(np.int64)
    boxes[:, 1] += view.lines.first_line
    return Decisions(
        camera=sorter.camera.name,
        lines=boxes[:, 1] + boxes[:, 3] - 1,
        columns=objects.last_columns_px,
        boxes_px=boxes,
        class_ids=decided.class_ids,
        scores=decided.scores,
        is_eject=decided.is_eject,
        norm_numerators=decided.numerators,
        norm_denominators=decided.denominators,
        pixels=_spread(crops.pixels, ~oversize),
        masks=_spread(crops.masks, ~oversize),
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_eject: NDArray[np.bool_]
    numerators: NDArray[np.int64]
    denominators: NDArray[np.int64]


def _owned(objects: Objects, view: View) -> Objects:
    last_lines = objects.last_rows_px.astype(np.int64) + view.lines.first_line
    return objects.select(np.asarray((last_lines >= view.owned_from) & (last_lines < view.owned_to), np.bool_))


def _decide(objects: Objects, oversize: NDArray[np.bool_], crops: Crops, sorter: Sorter) -> _Decided:
    count, classes = len(objects), len(sorter.recipe.classes)
    decided = _Decided(
        np.full(count, OVERSIZE, np.int64),
        np.zeros((count, classes), np.float32),
        np.full(count, sorter.recipe.oversize == "eject", np.bool_),
        np.zeros(count, np.int64),
        np.ones(count, np.int64),
    )
    if len(crops):
        fits = ~oversize
        decided.numerators[fits], decided.denominators[fits] = norm_sums(crops.pixels, crops.masks, sorter.norm)
        decided.scores[fits] = sorter.classify(crops.pixels)
        decided.class_ids[fits], decided.is_eject[fits] = decide(decided.scores[fits], sorter.recipe)
    return decided


def _spread(values: NDArray[_Scalar], where: NDArray[np.bool_]) -> NDArray[_Scalar]:
    """Return the values at the places where `where` is true, 0 elsewhere."""
    if where.all():
        return values
    spread = np.zeros((where.size, *values.shape[1:]), values.dtype)
    spread[where] = values
    return spread
