"""Whether objects that touch should be parted by their shape, and how. Pure.

Parting is right when what comes out looks like the single objects that lie beside; and it must leave these alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.propose_components import measure_components
from edge_runtime.propose_texts import Why
from edge_runtime.segment import Objects, SegmentSettings
from edge_runtime.split import split_touching
from firmware_bridge.phrase import Phrase

__all__ = ["Parting", "choose_parting"]

_NECKS: Final = (0.9, 0.8, 0.7)  # from eager to shy
_CLUMP_SHARE: Final = 0.02  # of the foreground: less is not worth the time that parting takes
_LIKE: Final = (0.4, 1.8)  # times the typical area: parts that look like objects
_MOSTLY: Final = 0.8  # of the parts' pixels belong to parts that look like objects
_BROKEN: Final = 0.03  # of the single objects may fall apart
_LEAST_SPOT_PX: Final = 25  # the default of split_hole_px
_SPOT: Final = 20  # a spot covers at most this part of a typical object
_SPOT_PERCENTILE: Final = 99
_LEAST_SOLIDITY: Final = 0.92  # tells several objects from one on real frames: docs/results.md


@dataclass(frozen=True, slots=True)
class Parting:
    """What to do with clumps.

    Attributes:
        settings: with neck, hole and least solidity.
        reason: why this neck; why_solidity: why this least solidity.
        is_sure: whether everything that touches can be parted.
    """

    settings: SegmentSettings
    reason: Phrase
    why_solidity: Phrase
    is_sure: bool = True


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a neck does: share of the clumps' pixels in parts like objects, share of single objects broken, parts."""

    like: float
    broken: float
    parts: int


def choose_parting(found: Sequence[Objects], settings: SegmentSettings, typical_px: float) -> Parting:
    """Choose `split_neck`, `split_hole_px` and `min_solidity`.

    Args:
        found: objects of each frame, from `segment`, not yet parted.
        settings: with which they were found.
        typical_px: area of a typical single object.
    """
    clumps = [_clumps(objects, typical_px) for objects in found]
    count = sum(int(is_clump.sum()) for is_clump in clumps)
    pixels = sum(int(objects.areas_px[is_clump].sum()) for objects, is_clump in zip(found, clumps, strict=True))
    if pixels <= _CLUMP_SHARE * max(1, sum(int(objects.areas_px.sum()) for objects in found)):
        return Parting(settings, Why.no_clumps, Why.no_solidity)
    holes_px = sorted({_LEAST_SPOT_PX, _spot_px(found, typical_px)})
    for neck, hole_px in product(_NECKS, holes_px):  # larger holes are spots only where single objects would fall apart
        tried = msgspec.structs.replace(settings, split_neck=neck, split_hole_px=hole_px)
        outcome = _outcome(found, clumps, tried, typical_px)
        if outcome.like >= _MOSTLY and outcome.broken <= _BROKEN:
            return Parting(tried, Why.parted.filled(clumps=count, parts=outcome.parts), Why.no_solidity)
    watched = msgspec.structs.replace(settings, min_solidity=_LEAST_SOLIDITY)
    return Parting(watched, Why.not_parted.filled(clumps=count), Why.solidity, is_sure=False)


def _single(objects: Objects) -> Objects:
    return objects.select(measure_components([objects]).is_convex)


def _clumps(objects: Objects, typical_px: float) -> NDArray[np.bool_]:
    return measure_components([objects]).are_clumps(typical_px)


def _spot_px(found: Sequence[Objects], typical_px: float) -> int:
    """Return the largest hole that is a spot on an object: as single objects have them, within limits."""
    holes: list[float] = []
    for objects in found:
        for contour in _single(objects).contours:
            holes += _hole_areas(contour, objects.foreground)
    usual = float(np.percentile(holes, _SPOT_PERCENTILE, method="higher")) * 1.5 if holes else 0.0
    return round(min(max(usual, _LEAST_SPOT_PX), max(typical_px / _SPOT, _LEAST_SPOT_PX)))


def _hole_areas(contour: NDArray[np.int32], foreground: NDArray[np.uint8]) -> list[float]:
    """Return the areas of the holes inside an outline."""
    x, y, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height, width), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    inside = np.asarray(filled & (foreground[y : y + height, x : x + width] == 0), np.uint8)
    if not inside.any():
        return []
    stats = cv2.connectedComponentsWithStats(inside, connectivity=4)[2]
    areas: list[float] = stats[1:, cv2.CC_STAT_AREA].astype(float).tolist()
    return areas


def _outcome(
    found: Sequence[Objects], clumps: Sequence[NDArray[np.bool_]], settings: SegmentSettings, typical_px: float
) -> _Outcome:
    like = total = 0.0
    singles = broken = parts = 0
    for objects, is_clump in zip(found, clumps, strict=True):
        lines = objects.foreground.shape[0]
        pieces = split_touching(objects.select(is_clump), settings, max_lines=lines).areas_px.astype(np.float64)
        is_like = (pieces >= _LIKE[0] * typical_px) & (pieces <= _LIKE[1] * typical_px)
        like, total, parts = like + float(pieces[is_like].sum()), total + float(pieces.sum()), parts + len(pieces)
        single = _single(objects)
        singles += len(single)
        broken += max(0, len(split_touching(single, settings, max_lines=lines)) - len(single))
    return _Outcome(like / max(1.0, total), broken / max(1, singles), parts)
