"""Objects that touch, parted where they are joined by a neck. Pure.

Distances from the background grow towards the middle of each object and shrink in the neck between two. So a component
is worn away ring by ring; where it falls into pieces that are each much thicker than the neck was, they are cores of
objects of their own, and every pixel goes to its nearest core. All that counts lies inside the component: what the
frame holds elsewhere changes nothing.

>>> frame = np.zeros((40, 70, 3), np.uint8)
>>> for x in (20, 48): _ = cv2.circle(frame, (x, 20), 15, (200, 200, 200), -1)
>>> settings = SegmentSettings(split_neck=0.9)
>>> len(segment(frame, settings)), len(split_touching(segment(frame, settings), settings, max_lines=40))
(1, 2)
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.segment import Objects, SegmentSettings, measure, segment

__all__ = ["find_objects", "split_touching"]

_CONVEX: Final = 0.95  # from this share of its convex hull on a component has neither neck nor gap: it is one object


def find_objects(frame: NDArray[np.uint8], settings: SegmentSettings) -> Objects:
    """Return the objects of a whole frame (H, W, C) uint8: found, then parted where they touch."""
    return split_touching(segment(frame, settings), settings, max_lines=frame.shape[0])


def split_touching(objects: Objects, settings: SegmentSettings, *, max_lines: int) -> Objects:
    """Part the objects that touch each other.

    Args:
        objects: from `segment`, each wholly in the picture.
        settings: neck, holes and least sizes; a neck of 0 leaves everything as it is.
        max_lines: higher components stay whole: a picture may show only some of their lines.

    Returns:
        Objects and parts in the order of `segment`, without parts below the least sizes. Small holes count as object,
        larger ones as background; what lies in a gap between several is found too, what lies in a hole of one belongs
        to it. Pixels that no part has stay foreground.
    """
    if settings.split_neck == 0.0 or settings.mask == "full":
        return objects
    contours: list[NDArray[np.int32]] = []
    for contour, height in zip(objects.contours, objects.boxes_px[:, 3].tolist(), strict=True):
        contours += [contour] if height > max_lines else _parts(contour, objects.foreground, settings)
    return measure(contours, objects.foreground, settings)


def _parts(
    contour: NDArray[np.int32], foreground: NDArray[np.uint8], settings: SegmentSettings
) -> list[NDArray[np.int32]]:
    """Return the outer contours of a component's parts, or its own where it has no neck."""
    x, y, width, height = cv2.boundingRect(contour)
    corner = np.array((x - 1, y - 1), np.int32)
    inner = contour - corner  # in a window with a free pixel all around
    filled = np.zeros((height + 2, width + 2), np.uint8)
    hull = filled.copy()
    cv2.drawContours(filled, [inner], -1, 1, cv2.FILLED)
    cv2.fillConvexPoly(hull, cv2.convexHull(inner), 1)
    raw = np.zeros_like(filled)
    raw[1:-1, 1:-1] = foreground[y : y + height, x : x + width] & filled[1:-1, 1:-1]  # 255 & 1
    if cv2.countNonZero(raw) > _CONVEX * cv2.countNonZero(hull):
        return [contour]
    body = _without_spots(raw, filled, settings.split_hole_px)
    cores = _cores(np.asarray(cv2.distanceTransform(body, cv2.DIST_L2, 5), np.float32), settings.split_neck)
    if cores.max() < 2:
        return [contour]
    return [outline + corner for outline in _outlines(_nearest(cores) * body)]


def _without_spots(raw: NDArray[np.uint8], filled: NDArray[np.uint8], hole_px: int) -> NDArray[np.uint8]:
    """Return raw (H, W) uint8, 0 or 1, with those holes of its outline filled that have at most `hole_px` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(filled - raw, connectivity=4)
    is_spot = stats[:, cv2.CC_STAT_AREA] <= hole_px
    is_spot[0] = False  # label 0 is everything that is no hole
    return np.asarray(raw | is_spot[labels], np.uint8)


def _cores(distances: NDArray[np.float32], neck: float) -> NDArray[np.int32]:
    """Return (H, W) int32, a number above 0 for the core of each part, 0 elsewhere; all 1 inside where none parts.

    Args:
        distances: (H, W), to the next pixel of background, 0 there.
        neck: a piece counts when the ring that parts it is at most this share of its greatest distance.
    """
    cores = (distances > 0).astype(np.int32)
    peaks = np.nonzero((cores > 0) & (distances >= cv2.dilate(distances, np.ones((3, 3), np.uint8))))
    depths, owned_by = distances[peaks] * neck, cores[peaks]  # the deepest pixel of any piece is a peak
    count = 1
    ring, last = 0, int(distances.max() * neck)
    while ring < last:
        ring += 1 + ring // 16  # what counts is its share: in a large object a pixel more or less does not matter
        pieces, labels = cv2.connectedComponents((distances > ring).astype(np.uint8), connectivity=8)
        if pieces <= 2:  # background and one piece: nothing falls apart
            continue
        deep = depths >= ring
        owners = np.zeros(pieces, np.int32)  # the core in which each thick piece lies, 0 for thin ones
        owners[labels[peaks][deep]] = owned_by[deep]
        falls = np.bincount(owners, minlength=count + 1) > 1  # (count + 1,), cores that fall into several
        falls[0] = False
        fresh = np.flatnonzero(falls[owners])
        if len(fresh):
            numbers = np.zeros(pieces, np.int32)
            numbers[fresh] = np.arange(count + 1, count + 1 + len(fresh))
            kept = np.where(falls[cores], 0, cores)
            cores = np.where(numbers[labels] > 0, numbers[labels], kept)
            owned_by = cores[peaks]
            count += len(fresh)
    return cores


def _nearest(cores: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (H, W) int32, the number of the nearest core of every pixel."""
    kind = cv2.DIST_LABEL_CCOMP
    _, nearest = cv2.distanceTransformWithLabels((cores == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=kind)
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[cores > 0]] = cores[cores > 0]
    return numbers[nearest]


def _outlines(parts: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return the outer contours of the parts (H, W), less those that lie in a hole of another.

    Note:
        Crumbs that do not hang together with the largest piece of a part are left out.
    """
    sizes = np.bincount(parts.ravel())
    outlines: dict[int, NDArray[np.int32]] = {}
    enclosed: set[int] = set()
    for label, left, top, right, bottom in _boxes(parts):
        window = parts[top : bottom + 1, left : right + 1]
        own = (window == label).astype(np.uint8)
        found, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = np.asarray(max(found, key=cv2.contourArea), np.int32)
        filled = cv2.drawContours(np.zeros_like(own), [outline], -1, 1, cv2.FILLED)
        if (filled > own).any():  # else it has nothing but its own pixels inside
            inside, counts = np.unique(window[filled > 0], return_counts=True)
            enclosed |= set(inside[counts == sizes[inside]].tolist()) - {label}
        outlines[label] = outline + np.array((left, top), np.int32)
    return [outline for label, outline in outlines.items() if label not in enclosed]


def _boxes(parts: NDArray[np.int32]) -> list[list[int]]:
    """Return number, left, top, right and bottom, both included, of each part of (H, W)."""
    y, x = np.nonzero(parts)
    labels = parts[y, x]
    order = np.argsort(labels.astype(np.uint16) if labels.max() < 1 << 16 else labels, kind="stable")
    y, x, labels = y[order], x[order], labels[order]
    starts = np.flatnonzero(np.diff(labels, prepend=0))
    low, high = ((edge.reduceat(x, starts), edge.reduceat(y, starts)) for edge in (np.minimum, np.maximum))
    boxes: list[list[int]] = np.stack((labels[starts], *low, *high), axis=1).tolist()
    return boxes
