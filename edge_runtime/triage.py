"""Which objects can be classified, and which have no class: too large, clustered, cut off by the view. Pure.

>>> from edge_runtime.schemas import ClassRule
>>> from edge_runtime.segment import segment
>>> from edge_runtime.shapes import measure_shapes
>>> recipe = Recipe((ClassRule("good"),), max_length_mm=5.0)
>>> frame = np.zeros((40, 90, 3), np.uint8); frame[9:19, 5:35] = frame[9:19, 40:85] = 200
>>> objects = segment(frame, recipe.segment)
>>> triage(objects, measure_shapes(objects), recipe, Camera(pixel_mm=0.15), is_frame=True).tolist()
[0, -1]
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import is_oversize
from edge_runtime.decisions import CLUSTER, CUT_OFF, OVERSIZE
from edge_runtime.schemas import Camera, Recipe
from edge_runtime.segment import Objects
from edge_runtime.shapes import Shapes

__all__ = ["is_cut_off", "is_dust", "solidities", "triage", "unclassified_ejects"]


def is_dust(shapes: Shapes, recipe: Recipe, camera: Camera) -> NDArray[np.bool_]:
    """Return, (N,) bool, which objects are shorter than the recipe's least length; a whole picture never is."""
    if recipe.segment.mask == "full":
        return np.zeros(len(shapes), np.bool_)
    return np.asarray(shapes.lengths_px * camera.pixel_mm < recipe.min_length_mm, np.bool_)


def triage(objects: Objects, shapes: Shapes, recipe: Recipe, camera: Camera, *, is_frame: bool) -> NDArray[np.int64]:
    """Return what each object is before any class is asked for.

    Args:
        objects: N objects of one picture.
        shapes: theirs.
        recipe: window, lengths, solidity, and whether cut-off objects are classified.
        camera: scale and longest object.
        is_frame: nothing of the scene lies above or below the picture; else only its left and right cut objects off.

    Returns:
        (N,) int64: OVERSIZE, else CUT_OFF, else CLUSTER, else 0 for an object to classify. A picture that is one object
        as a whole can only be larger than the window.
    """
    kinds = np.zeros(len(objects), np.int64)
    oversize = is_oversize(objects, recipe.crop)
    if recipe.segment.mask == "object":
        if recipe.segment.min_solidity > 0:
            kinds[solidities(objects) < recipe.segment.min_solidity] = CLUSTER
        if recipe.cut_off != "classify":
            kinds[is_cut_off(objects, is_frame=is_frame)] = CUT_OFF
        oversize |= objects.boxes_px[:, 3] > camera.max_object_lines
        if recipe.max_length_mm > 0:
            oversize |= shapes.lengths_px * camera.pixel_mm > recipe.max_length_mm
    kinds[oversize] = OVERSIZE
    return kinds


def unclassified_ejects(kinds: NDArray[np.int64], recipe: Recipe) -> NDArray[np.bool_]:
    """Return, (N,) bool, which objects the recipe ejects for being oversize, a cluster or cut off."""
    actions = {OVERSIZE: recipe.oversize, CLUSTER: recipe.cluster, CUT_OFF: recipe.cut_off}
    ejected = [kind for kind, action in actions.items() if action == "eject"]
    return np.asarray(np.isin(kinds, ejected), np.bool_)


def solidities(objects: Objects) -> NDArray[np.float64]:
    """Return (N,) the share of its convex hull that each filled outline covers, 0..1.

    Note:
        Outline and hull go through the middles of pixels, so half a pixel is added around both; and since a slanted
        edge is a staircase, half a pixel along one side is forgiven. A straight thing is solid however thin it is.
    """
    hulls = [np.asarray(cv2.convexHull(contour), np.int32) for contour in objects.contours]
    areas, hull_areas = _areas(objects.contours), _areas(hulls)
    return np.asarray(np.minimum(1.0, (areas + _lengths(hulls) / 4) / hull_areas), np.float64)


def _areas(outlines: Sequence[NDArray[np.int32]]) -> NDArray[np.float64]:
    inside = np.array([cv2.contourArea(outline) for outline in outlines], np.float64)
    return np.asarray(inside + _lengths(outlines) / 2 + 1, np.float64)


def _lengths(outlines: Sequence[NDArray[np.int32]]) -> NDArray[np.float64]:
    return np.array([cv2.arcLength(outline, closed=True) for outline in outlines], np.float64)


def is_cut_off(objects: Objects, *, is_frame: bool) -> NDArray[np.bool_]:
    """Return, (N,) bool, which objects touch the left or right of their picture; of a frame any side."""
    height, width = objects.foreground.shape
    low, high = objects.boxes_px[:, :2], objects.boxes_px[:, :2] + objects.boxes_px[:, 2:]
    sides = (low[:, 0] == 0) | (high[:, 0] == width)
    return np.asarray(sides | (is_frame & ((low[:, 1] == 0) | (high[:, 1] == height))), np.bool_)
