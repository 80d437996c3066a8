"""What was found and what people drew, painted over a frame: arrays in, arrays out. Pure.

Colour tells the class, weight the action. Every line has a dark rim, so that it stands out on a black belt and on white
paper alike.

>>> square = np.array([[[2, 2]], [[2, 7]], [[7, 7]], [[7, 2]]], np.int32)
>>> frame = np.zeros((12, 12, 3), np.uint8)
>>> painted = draw_overlay(frame, [Outline(square, class_id=0, is_eject=True)])
>>> bool(painted.any()), bool(frame.any())
(True, False)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import CLUSTER, CUT_OFF, OVERSIZE
from edge_runtime.images import as_bgr

__all__ = [
    "DISAGREEMENT",
    "PERSON",
    "Drawn",
    "Outline",
    "class_colour",
    "draw_overlay",
    "web_colour",
]

_Colour = tuple[int, int, int]

PERSON: Final[_Colour] = (255, 255, 255)  # BGR, as all colours here
DISAGREEMENT: Final[_Colour] = (0, 225, 255)
_CLASSES: Final[tuple[_Colour, ...]] = (
    (160, 200, 0),
    (79, 90, 255),
    (255, 170, 60),
    (31, 159, 255),
    (255, 136, 179),
    (95, 224, 168),
    (207, 158, 255),
    (208, 208, 208),
)
_KINDS: Final[dict[int, _Colour]] = {OVERSIZE: (214, 43, 255), CLUSTER: (255, 0, 130), CUT_OFF: (255, 255, 0)}
_RIM: Final[_Colour] = (0, 0, 0)
_THIN: Final = 2
_THICK: Final = 4
_DASH_PX: Final = 5.0
_TINT: Final = 0.35  # of a missed polygon's inside
_LEAST_STEP: Final = 1e-9
_SHIFT: Final = 4  # corners are drawn at 1/16 of a pixel, since a frame may be shown smaller than it is


@dataclass(frozen=True, slots=True)
class Outline:
    """One object found.

    Attributes:
        contour: (P, 1, 2) int32, x before y, in pixels of the frame.
        class_id: index into the classes, or below 0: OVERSIZE, CLUSTER or CUT_OFF.
        is_eject: the action.
        is_false: people who drew all objects of this frame drew none here.
    """

    contour: NDArray[np.int32]
    class_id: int
    is_eject: bool
    is_false: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object that a person drew: polygon (P, 2) float32 in pixels, and whether no object was found there."""

    polygon: NDArray[np.float32]
    is_missed: bool


def class_colour(class_id: int) -> _Colour:
    """Return the colour, BGR, of a class or of a kind below 0; after eight classes they repeat."""
    return _KINDS[class_id] if class_id in _KINDS else _CLASSES[class_id % len(_CLASSES)]


def web_colour(colour: _Colour) -> str:
    """Return a colour, BGR, as pages write it."""
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def draw_overlay(
    frame: NDArray[np.uint8], outlines: Sequence[Outline], drawn: Sequence[Drawn] = (), *, longest_px: int = 0
) -> NDArray[np.uint8]:
    """Return a picture of the frame with everything found and drawn painted over it.

    Args:
        frame: (H, W, C) uint8, not changed.
        outlines: objects: accepted ones with a thin line in the colour of their class, ejected ones with a thick one
            and a cross, those without a class with a thick one in a colour of their kind; those that people did not
            draw in a box.
        drawn: polygons of people: thin and dashed; missed ones tinted and in the colour of disagreement.
        longest_px: the picture is made smaller where a side would exceed this; 0 keeps every size.

    Returns:
        (h, w, 3) uint8 BGR, a new array.
    """
    scale = min(1.0, longest_px / max(frame.shape[:2])) if longest_px else 1.0
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    picture = np.asarray(cv2.resize(as_bgr(frame), size, interpolation=cv2.INTER_AREA), np.uint8)  # always a copy
    missed = [_at(one.polygon, scale) for one in drawn if one.is_missed]
    _tint(picture, missed)
    _dashes(picture, (_at(one.polygon, scale) for one in drawn if not one.is_missed), PERSON)
    for outline in outlines:  # over the matched polygons: what is seen of these is where they differ
        _draw_object(picture, outline, scale)
    _dashes(picture, missed, DISAGREEMENT)
    return picture


def _at(points: NDArray[np.int32] | NDArray[np.float32], scale: float) -> NDArray[np.float64]:
    """Return corners (P, 2) in the shown picture; the middle of the first pixel is 0 in both."""
    return (points.reshape(-1, 2).astype(np.float64) + 0.5) * scale - 0.5


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)[:, None]


def _draw_object(picture: NDArray[np.uint8], outline: Outline, scale: float) -> None:
    corners = _at(outline.contour, scale)
    colour = class_colour(outline.class_id)
    width = _THICK if outline.is_eject or outline.class_id < 0 else _THIN
    _line(picture, [corners], colour, width=width)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if outline.is_eject:
        middle, arm = (low + high) / 2, min(7.0, max(3.0, float((high - low).min()) / 5))
        arms = (np.array((arm, arm)), np.array((arm, -arm)))
        cross = [np.array((middle - reach, middle + reach)) for reach in arms]
        _line(picture, cross, colour, width=2, is_closed=False)
    if outline.is_false:
        low, high = low - 4, high + 4
        box = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
        _line(picture, [box], DISAGREEMENT, width=2)


def _line(
    picture: NDArray[np.uint8], lines: list[NDArray[np.float64]], colour: _Colour, *, width: int, is_closed: bool = True
) -> None:
    for shade, thickness in ((_RIM, width + 2), (colour, width)):
        cv2.polylines(picture, [_fixed(line) for line in lines], is_closed, shade, thickness, cv2.LINE_AA, _SHIFT)


def _tint(picture: NDArray[np.uint8], polygons: list[NDArray[np.float64]]) -> None:
    if not polygons:
        return
    inside = np.zeros(picture.shape[:2], np.uint8)
    for polygon in polygons:
        cv2.fillPoly(inside, [_fixed(polygon)], 1, shift=_SHIFT)
    tinted = picture[inside > 0] * (1 - _TINT) + np.array(DISAGREEMENT) * _TINT
    picture[inside > 0] = np.rint(tinted).astype(np.uint8)


def _dashes(picture: NDArray[np.uint8], polygons: Iterable[NDArray[np.float64]], colour: _Colour) -> None:
    for polygon in polygons:
        dashes = _dashed(polygon, picture.shape[:2])
        _line(picture, dashes, colour, width=1, is_closed=False)


def _dashed(polygon: NDArray[np.float64], size: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return the pieces, (2, 2) each, of a closed dashed line along a polygon (P, 2) that reach a picture (H, W).

    Note:
        Time and memory grow with the edges and the picture, not with the length of the line: a polygon may reach far.
    """
    corners = np.concatenate((polygon, polygon[:1]))
    edges = np.hypot(*np.diff(corners, axis=0).T)  # (P,)
    lengths = np.concatenate(([0.0], np.cumsum(edges)))
    count = max(2, 2 * round(float(lengths[-1]) / (2 * _DASH_PX)))
    step = max(float(lengths[-1]) / count, 1e-9)  # of a polygon that is a point too
    enters, leaves = _inside(corners, size)
    numbers = [
        np.arange(int(low // step), min(int(high // step) + 1, count))
        for low, high in zip(lengths[:-1] + enters * edges, lengths[:-1] + leaves * edges, strict=True)
        if low <= high
    ]
    dashes = np.unique(np.concatenate([np.zeros(0, np.int64), *numbers]))
    stops = np.stack((dashes, dashes + 1), axis=1)[dashes % 2 == 0] * step  # (D, 2), every second one is a gap
    return list(np.stack([np.interp(stops, lengths, corners[:, axis]) for axis in (0, 1)], axis=2))


def _inside(corners: NDArray[np.float64], size: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, (P,) each, from which to which share the edges between (P + 1, 2) corners lie in a picture (H, W).

    Where the first is above the second, an edge lies outside.
    """
    starts, steps = corners[:-1], np.diff(corners, axis=0)
    steps = np.where(np.abs(steps) < _LEAST_STEP, _LEAST_STEP, steps)  # so that an edge along a side has shares too
    low = (-_DASH_PX - starts) / steps  # a dash that begins outside may end inside, and lines have a width
    high = (np.array((size[1], size[0])) + _DASH_PX - starts) / steps
    enters, leaves = np.minimum(low, high).max(axis=1), np.maximum(low, high).min(axis=1)
    return np.clip(enters, 0.0, None), np.clip(leaves, None, 1.0)
