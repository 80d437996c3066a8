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

_CONVEX: Final = 0.95  # share of its convex hull from which on a component has no neck: one object with a rough outline


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
        larger ones as background, and what lies in them is found too. Pixels that no part has stay foreground.
    """
    if settings.split_neck == 0.0 or settings.mask == "full":
        return objects
    contours: list[NDArray[np.int32]] = []
    for contour, height in zip(objects.contours, objects.boxes_px[:, 3].tolist(), strict=True):
        whole = height > max_lines or _convexity(contour) > _CONVEX
        contours += [contour] if whole else _parts(contour, objects.foreground, settings)
    return measure(contours, objects.foreground, settings)


def _convexity(contour: NDArray[np.int32]) -> float:
    """Return which share of its convex hull an outline encloses, 1 for a line."""
    hull = cv2.contourArea(cv2.convexHull(contour))
    return cv2.contourArea(contour) / hull if hull > 0.0 else 1.0


def _parts(
    contour: NDArray[np.int32], foreground: NDArray[np.uint8], settings: SegmentSettings
) -> list[NDArray[np.int32]]:
    """Return the outer contours of a component's parts, or its own where it has no neck."""
    x, y, width, height = cv2.boundingRect(contour)
    corner = np.array((x - 1, y - 1), np.int32)
    body = _body(contour - corner, foreground[y : y + height, x : x + width], settings.split_hole_px)
    cores = _cores(np.asarray(cv2.distanceTransform(body, cv2.DIST_L2, 5), np.float32), settings.split_neck)
    if cores.max() < 2:
        return [contour]
    parts = _nearest(cores) * (body > 0)
    return [_outline(parts, label) + corner for label in np.unique(parts[parts > 0]).tolist()]


def _body(contour: NDArray[np.int32], own: NDArray[np.uint8], hole_px: int) -> NDArray[np.uint8]:
    """Return (H + 2, W + 2) uint8, 1 in the component: its outline filled, less holes of more than `hole_px` pixels.

    Args:
        contour: in pixels of the result.
        own: (H, W) uint8, foreground under the component's box.
        hole_px: largest hole that is a spot of an object, not a gap between several.
    """
    filled = np.zeros((own.shape[0] + 2, own.shape[1] + 2), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
    raw = cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0) > 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats((filled & ~raw).astype(np.uint8), connectivity=4)
    is_spot = stats[:, cv2.CC_STAT_AREA] <= hole_px
    is_spot[0] = False  # label 0 is everything that is no hole
    return np.asarray(filled & (raw | is_spot[labels]), np.uint8)


def _cores(distances: NDArray[np.float32], neck: float) -> NDArray[np.int32]:
    """Return (H, W) int32, the cores of the parts numbered from 1, 0 elsewhere; one core where there is no neck.

    Args:
        distances: (H, W), to the next pixel of background, 0 there.
        neck: a piece counts when its ring of fall is at most this share of its greatest distance.
    """
    cores = (distances > 0).astype(np.int32)
    count = 1
    for ring in range(1, int(distances.max() * neck) + 1):
        pieces, labels = cv2.connectedComponents((distances > ring).astype(np.uint8), connectivity=8)
        if pieces <= count + 1 and pieces <= 2:  # background and one piece: nothing falls apart
            continue
        deep = distances * neck >= ring
        owners = np.zeros(pieces, np.int32)  # the core in which each thick piece lies, 0 for thin ones
        owners[labels[deep]] = cores[deep]
        owners[0] = 0
        falls = np.bincount(owners, minlength=count + 1) > 1  # (count + 1,), cores that fall into several
        falls[0] = False
        fresh = np.flatnonzero(falls[owners])
        numbers = np.zeros(pieces, np.int32)
        numbers[fresh] = np.arange(count + 1, count + 1 + len(fresh))
        if len(fresh):
            cores[falls[cores]] = 0
            cores = np.where(numbers[labels] > 0, numbers[labels], cores)
            count += len(fresh)
    return _renumbered(cores)


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the same labels without gaps: 0 stays, the others are 1, 2, ... in their order."""
    present = np.union1d([0], labels)
    return np.searchsorted(present, labels).astype(np.int32)


def _nearest(cores: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (H, W) int32, the number of the nearest core of every pixel."""
    kind = cv2.DIST_LABEL_CCOMP
    _, nearest = cv2.distanceTransformWithLabels((cores == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=kind)
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[cores > 0]] = cores[cores > 0]
    return numbers[nearest]


def _outline(parts: NDArray[np.int32], label: int) -> NDArray[np.int32]:
    """Return the outer contour of a part; crumbs that hang nowhere together with it are left out."""
    found, _ = cv2.findContours((parts == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(max(found, key=cv2.contourArea), np.int32)
