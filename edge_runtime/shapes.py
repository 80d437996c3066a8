"""Outlines to position, size and orientation, of all objects at once. Pure.

The principal axes of the filled outline say how an object lies; along and across them it is measured from edge to edge.
Sums are exact integers from the corner of each object's box, so that its size does not depend on where it lies or which
block it came in; from them on only square roots and divisions follow, which every processor rounds alike.

>>> from edge_runtime.segment import SegmentSettings, segment
>>> frame = np.zeros((30, 60, 3), np.uint8); frame[10:20, 5:45] = 200
>>> measured = measure_shapes(segment(frame, SegmentSettings()))
>>> measured.centres_px.tolist(), measured.lengths_px.tolist(), measured.widths_px.tolist()
([[19.5, 4.5]], [40.0], [10.0])
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.segment import Objects

__all__ = ["Shapes", "measure_shapes"]

_ROUND: Final = 1e-10  # moments that differ by less of their sum differ by rounding


class Shapes(msgspec.Struct, frozen=True):
    """How large N objects are and how they lie.

    Attributes:
        centres_px: (N, 2) float64, x and y of the middle of the filled outline, from the corner of the object's box; a
            pixel's own middle is a whole number.
        lengths_px: (N,) float64, longer side, edge to edge.
        widths_px: (N,) float64, across it; never longer.
        angles_deg: (N,) float64 in [0, 180), from the x axis to the longer side, turning towards y.
    """

    centres_px: NDArray[np.float64]
    lengths_px: NDArray[np.float64]
    widths_px: NDArray[np.float64]
    angles_deg: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.lengths_px.size)

    def select(self, keep: NDArray[np.bool_]) -> "Shapes":
        """Return the shapes where `keep`, (N,) bool, is true."""
        return Shapes(*(getattr(self, name)[keep] for name in self.__struct_fields__))


def measure_shapes(objects: Objects) -> Shapes:
    """Measure objects along and across their principal axes.

    Args:
        objects: from `segment` or `split_touching`.

    Returns:
        One row an object, in their order.

    Note:
        Half a pixel is added beyond the middles of the outermost pixels. An object as long as it is wide has no axis:
        it is measured along x and y.

    Source:
        Area moments of polygons by Green's theorem; the pixels of the outline lie half inside of it, so that half of
        the outline's own moments is added (Euler-Maclaurin), which keeps lines and points from being nothing.
    """
    if len(objects) == 0:
        none = np.zeros(0)
        return Shapes(np.zeros((0, 2)), none, none, none)
    counts = np.array([len(contour) for contour in objects.contours])
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    corners = np.repeat(objects.boxes_px[:, :2], counts, axis=0)
    x, y = np.array((np.concatenate(objects.contours)[:, 0] - corners).T, np.int64, order="C")  # (P,) each
    centres, along = _axes(x, y, starts)
    cosines, sines = np.repeat(along[:, 0], counts), np.repeat(along[:, 1], counts)
    first, second = _extent(x * cosines + y * sines, starts), _extent(y * cosines - x * sines, starts)
    angles = np.degrees(np.arctan2(along[:, 1], along[:, 0])) + np.where(second > first, 90.0, 0.0)
    return Shapes(centres, np.maximum(first, second), np.minimum(first, second), angles % 180.0)


def _axes(
    x: NDArray[np.int64], y: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 2) centres and (N, 2) unit vectors along the longer principal axis.

    Args:
        x: (P,), corners of all outlines, each from the corner of its own box.
        y: the same.
        starts: (N,) where each outline begins.
    """
    u, v = _following(x, starts), _following(y, starts)
    turn = x * v - u * y  # twice the area of each edge's triangle
    steps = np.maximum(np.abs(u - x), np.abs(v - y))  # pixels of each edge

    def both(area: NDArray[np.int64], outline: NDArray[np.int64], share: int) -> NDArray[np.float64]:
        inside = np.abs(np.add.reduceat(area * turn, starts))  # coordinates are positive, so only the turn has a sign
        return np.asarray(inside + share * np.add.reduceat(outline * steps, starts), np.float64)

    ones = np.ones_like(x)
    mass = both(6 * ones, ones, 6)  # 12 times, as all but the last
    mass[mass == 0] = 1.0  # a single pixel
    mid_x, mid_y = both(2 * (x + u), x + u, 3) / mass, both(2 * (y + v), y + v, 3) / mass
    xx, yy, xy = x * x + x * u + u * u, y * y + y * v + v * v, x * (2 * y + v) + u * (y + 2 * v)
    wide = both(xx, xx, 2) / mass - mid_x * mid_x
    high = both(yy, yy, 2) / mass - mid_y * mid_y
    lean = both(xy, xy, 2) / (2 * mass) - mid_x * mid_y
    return np.stack((mid_x, mid_y), axis=1), _longer_axis(wide - high, 2 * lean, wide + high)


def _longer_axis(
    difference: NDArray[np.float64], lean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (N, 2) unit vectors at half the angle whose tangent is lean / difference; x where both are nothing."""
    length = np.hypot(difference, lean)
    is_round = length <= _ROUND * spread
    cosine = np.where(is_round, 1.0, difference / np.where(is_round, 1.0, length))  # of twice the angle
    half_cosine = np.sqrt(np.maximum(0.0, (1 + cosine) / 2))
    half_sine = np.sqrt(np.maximum(0.0, (1 - cosine) / 2)) * np.where(lean < 0, -1.0, 1.0)
    return np.stack((half_cosine, half_sine), axis=1)


def _following(values: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (P,) the value of the next corner of the same outline; after the last comes its first."""
    following = np.concatenate((values[1:], values[:1]))
    following[starts - 1] = values[np.roll(starts, 1)]
    return following


def _extent(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) from the least to the greatest, and half a pixel on either side."""
    return np.asarray(np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts) + 1.0, np.float64)
