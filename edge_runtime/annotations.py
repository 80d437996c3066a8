"""Objects found against polygons drawn by people: recall, precision and overlap.

>>> square = np.array([[2, 2], [6, 2], [6, 6], [2, 6]], np.float32)
>>> match_objects([square.astype(np.int32)[:, None]], [square], (10, 10)).ious
(1.0,)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.storage import read_bytes

__all__ = ["IOU_LIMIT", "Match", "match_objects", "read_annotations"]

IOU_LIMIT: Final = 0.5
_FURTHEST_PX: Final = 1_000_000  # no picture is that large, and drawing can still count in 1/16 px


class _Object(msgspec.Struct):
    polygon: list[tuple[float, float]]
    label: str = ""


class _Image(msgspec.Struct):
    file: str
    objects: list[_Object]


class _Annotations(msgspec.Struct):
    images: list[_Image]


@dataclass(frozen=True, slots=True)
class Match:
    """How found objects and polygons of one frame agree.

    Attributes:
        found: objects found.
        expected: polygons.
        ious: intersection over union of each matched pair, at least 0.5; each object and polygon matches once.
        pairs: of each match: index of the object, index of the polygon.
    """

    found: int
    expected: int
    ious: tuple[float, ...]
    pairs: tuple[tuple[int, int], ...] = ()


def read_annotations(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Return the polygons of each picture of an annotations file.

    Args:
        path: JSON: images[{file, objects[{label, polygon [[x, y], ...]}]}].

    Returns:
        By the file's name as written: polygons (P, 2) float32 in pixels; fewer than 3 points are left out.

    Raises:
        FrameError: the file cannot be read, has another shape, or a corner lies further from the picture than any
            picture is large.
    """
    try:
        annotations = msgspec.json.decode(read_bytes(path), type=_Annotations)
    except (StorageError, msgspec.DecodeError) as error:
        raise FrameError(f"{path} is no annotations file: {error}") from error
    for image in annotations.images:
        _check_corners(path, image)
    return {
        image.file: [np.array(o.polygon, np.float32) for o in image.objects if len(o.polygon) >= 3]
        for image in annotations.images
    }


def _check_corners(path: Path, image: _Image) -> None:
    for thing in image.objects:
        for x_px, y_px in thing.polygon:
            if not (abs(x_px) <= _FURTHEST_PX and abs(y_px) <= _FURTHEST_PX):  # so that no number and infinity fail too
                raise FrameError(
                    f"{path}: a polygon of {image.file} has a corner at {x_px:g}, {y_px:g}: corners are pixels of the "
                    f"picture, at most {_FURTHEST_PX:,} from its first; correct the polygon"
                )


def match_objects(
    contours: Sequence[NDArray[np.int32]], polygons: Sequence[NDArray[np.float32]], shape: tuple[int, int]
) -> Match:
    """Match found contours with polygons, best overlap first, at intersection over union of 0.5 or more.

    Args:
        contours: outer contours (P, 1, 2) int32 in pixels.
        polygons: (P, 2) float32 in pixels.
        shape: height and width of the frame.
    """
    found, found_areas = _labels(contours, shape)
    expected, expected_areas = _labels([np.round(p).astype(np.int32)[:, None] for p in polygons], shape)
    both = (found > 0) & (expected > 0)
    pairs, counts = np.unique(np.stack((found[both], expected[both])), axis=1, return_counts=True)
    unions = found_areas[pairs[0] - 1] + expected_areas[pairs[1] - 1] - counts
    ious = counts / unions
    seen_found: set[int] = set()
    seen_expected: set[int] = set()
    matched: list[float] = []
    matches: list[tuple[int, int]] = []
    for i in np.argsort(-ious, kind="stable"):
        f, e = int(pairs[0, i]), int(pairs[1, i])
        if ious[i] >= IOU_LIMIT and f not in seen_found and e not in seen_expected:
            seen_found.add(f)
            seen_expected.add(e)
            matched.append(float(ious[i]))
            matches.append((f - 1, e - 1))
    return Match(len(contours), len(polygons), tuple(matched), tuple(matches))


def _labels(shapes: Sequence[NDArray[np.int32]], size: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    labels = np.zeros(size, np.int32)
    for label, shape in enumerate(shapes, start=1):
        cv2.drawContours(labels, [shape], -1, label, cv2.FILLED)
    return labels, np.bincount(labels.ravel(), minlength=len(shapes) + 1)[1:].astype(np.int64)
