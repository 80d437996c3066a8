"""Frame to objects: a threshold from the recipe, never from the frame, and outer contours.

Pure: the same pixels give the same objects in the same order, however the stream was cut. Knows no crops, no classes.

>>> frame = np.zeros((9, 9, 3), np.uint8); frame[3:6, 2:7] = 200
>>> segment(frame, SegmentSettings(threshold=100, min_area_px=4)).boxes_px.tolist()
[[2, 3, 5, 3]]
"""

from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError

__all__ = ["Objects", "SegmentSettings", "foreground", "gray_levels", "levels", "measure", "segment", "smooth_levels"]


class SegmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How objects are told from the background.

    Attributes:
        mask: "object" finds contours; "full" takes the whole picture as the one object.
        channel: the level compared with the threshold: BT.601 grey; one band; "chroma", the strongest band less the
            weakest, which shine and shadow on something grey leave alone; "background", the greatest difference in a
            band from the colour of the background.
        background: that colour, a level 0..255 a band, blue first; only for channel "background".
        polarity: objects are brighter or darker than the background: their levels are higher or lower.
        threshold: level 0..255; bright objects lie above it, dark ones at or below it.
        blur_px: side of the median filter against noise; 1 is off, else odd.
        min_area_px: smaller outer contours are dust, in pixels of the filled contour.
        min_width_px: narrower ones are scratches, threads or the edge of a scanner: shorter side of the smallest
            rectangle around them, turned as they are.
        split_neck: objects that touch are parted where the neck is narrower than this share of the thinner one; 0
            leaves them one object.
        split_hole_px: a larger hole is a gap between touching objects, a smaller one a spot on an object.
        min_solidity: an object that fills a smaller share of its convex hull is a cluster, several objects that could
            not be parted; 0 for none.
        mask_margin_px: by how much the filled contour is widened for the crop.
    """

    mask: Literal["object", "full"] = "object"
    channel: Literal["gray", "blue", "green", "red", "chroma", "background"] = "gray"
    background: tuple[Annotated[int, msgspec.Meta(ge=0, le=255)], ...] = ()
    polarity: Literal["bright", "dark"] = "bright"
    threshold: Annotated[int, msgspec.Meta(ge=0, le=255)] = 60
    blur_px: Literal[1, 3, 5] = 3
    min_area_px: Annotated[int, msgspec.Meta(ge=1)] = 40
    min_width_px: Annotated[int, msgspec.Meta(ge=1)] = 1
    split_neck: Annotated[float, msgspec.Meta(ge=0.0, le=0.95)] = 0.0
    split_hole_px: Annotated[int, msgspec.Meta(ge=0)] = 25
    min_solidity: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    mask_margin_px: Annotated[int, msgspec.Meta(ge=0, le=64)] = 2

    def __post_init__(self) -> None:
        """Check what no single key can tell.

        Raises:
            ValueError: a background colour is missing where the channel needs one, or given where it does not.
        """
        if (self.channel == "background") != bool(self.background):
            raise ValueError(
                f'channel = "{self.channel}" and background = {list(self.background)}: "background" needs a colour, '
                "any other channel none"
            )

    @property
    def guard_px(self) -> int:
        """Rows of context that an object needs around it: filter radius and mask margin, plus one."""
        return self.blur_px // 2 + self.mask_margin_px + 1


class Objects(msgspec.Struct, frozen=True):
    """The objects of one picture, ordered by last row, then by the column where that row begins.

    Attributes:
        contours: N outer contours, each (P, 1, 2) int32, x before y, in pixels of the picture.
        boxes_px: (N, 4) int32: x, y, width, height.
        areas_px: (N,) int64, pixels of the filled contour.
        last_columns_px: (N,) int32, leftmost column of the last row.
        foreground: (H, W) uint8 of the whole picture, not 0 where anything was found: these objects, others, dust.
    """

    contours: tuple[NDArray[np.int32], ...]
    boxes_px: NDArray[np.int32]
    areas_px: NDArray[np.int64]
    last_columns_px: NDArray[np.int32]
    foreground: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.contours)

    @property
    def last_rows_px(self) -> NDArray[np.int32]:
        """(N,) int32, the last row of each object."""
        return self.boxes_px[:, 1] + self.boxes_px[:, 3] - 1

    def select(self, keep: NDArray[np.bool_]) -> "Objects":
        """Return the objects where `keep`, (N,) bool, is true, in the same order, on the same foreground."""
        return self if keep.all() else self.take(np.flatnonzero(keep))

    def take(self, rows: NDArray[np.int64]) -> "Objects":
        """Return the objects at these indices, (M,), in that order, on the same foreground."""
        contours = tuple(self.contours[i] for i in rows.tolist())
        boxes_px, areas_px, last_columns_px = self.boxes_px[rows], self.areas_px[rows], self.last_columns_px[rows]
        return Objects(contours, boxes_px, areas_px, last_columns_px, self.foreground)


def gray_levels(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey levels (H, W) uint8 of a frame (H, W, C): BT.601 of 3 bands, else the first band; a copy."""
    if frame.shape[2] == 3:
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.asarray(cv2.extractChannel(frame, 0), np.uint8)


def levels(frame: NDArray[np.uint8], settings: SegmentSettings) -> NDArray[np.uint8]:
    """Return the levels that are compared with the threshold.

    Args:
        frame: (H, W, 3) uint8 BGR, or (H, W, C) bands.
        settings: channel and background; "blue", "green" and "red" are bands 0, 1 and 2, or the last where there are
            fewer.

    Returns:
        (H, W) uint8; a copy.

    Raises:
        FrameError: the background colour has another number of bands than the frame.
    """
    match settings.channel:
        case "gray":
            return gray_levels(frame)
        case "chroma":
            bands = cv2.split(frame)
            return np.asarray(cv2.subtract(reduce(cv2.max, bands), reduce(cv2.min, bands)), np.uint8)
        case "background":
            return _from_background(frame, settings.background)
        case channel:
            band = ("blue", "green", "red").index(channel)
            return np.asarray(cv2.extractChannel(frame, min(band, frame.shape[2] - 1)), np.uint8)


def smooth_levels(frame: NDArray[np.uint8], settings: SegmentSettings) -> NDArray[np.uint8]:
    """Return the levels (H, W) uint8 of a frame (H, W, C) uint8, less noise.

    Raises:
        FrameError: the background colour has another number of bands than the frame.

    Note:
        Where bands are compared with each other or with a colour the median is taken of each band before, else of the
        level: the difference of two noisy bands is never below nothing, and its median not that of the surface.
    """
    size = settings.blur_px
    if size == 1:
        return levels(frame, settings)
    if settings.channel in {"chroma", "background"}:
        if frame.shape[2] == 3:  # in one call, for half the time
            return levels(np.asarray(cv2.medianBlur(frame, size), np.uint8), settings)
        bands = [cv2.medianBlur(band, size) for band in cv2.split(frame)]
        return levels(np.asarray(cv2.merge(bands), np.uint8).reshape(frame.shape), settings)
    return np.asarray(cv2.medianBlur(levels(frame, settings), size), np.uint8)


def foreground(frame: NDArray[np.uint8], settings: SegmentSettings) -> NDArray[np.uint8]:
    """Return the foreground of a frame (H, W, C) uint8 as (H, W) uint8, 255 inside, 0 outside.

    Raises:
        FrameError: the background colour has another number of bands than the frame.
    """
    smooth = smooth_levels(frame, settings)
    kind = cv2.THRESH_BINARY if settings.polarity == "bright" else cv2.THRESH_BINARY_INV
    return np.asarray(cv2.threshold(smooth, settings.threshold, 255, kind)[1], np.uint8)


def segment(frame: NDArray[np.uint8], settings: SegmentSettings) -> Objects:
    """Find the objects of a frame.

    Args:
        frame: (H, W, C) uint8.
        settings: see `SegmentSettings`.

    Returns:
        The objects, ordered by last row, then by the column where it begins. Holes are filled, since only outer
        contours count; an object inside a hole belongs to the object around it.

    Raises:
        FrameError: the background colour has another number of bands than the frame.
    """
    if settings.mask == "full":
        return _whole_picture(frame.shape[0], frame.shape[1])
    found = foreground(frame, settings)
    contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return measure([np.asarray(contour, np.int32) for contour in contours], found, settings)


def measure(contours: Sequence[NDArray[np.int32]], found: NDArray[np.uint8], settings: SegmentSettings) -> Objects:
    """Return what the outer contours enclose as objects in their order, without those below the least sizes.

    Args:
        contours: each (P, 1, 2) int32 in pixels of the picture; no two share a pixel.
        found: (H, W) uint8, foreground of the picture.
        settings: least area and width.
    """
    objects = _measure(tuple(contours), found)
    order = np.lexsort((objects.last_columns_px, objects.last_rows_px))  # no two objects share a pixel, so no ties
    large = objects.take(np.asarray(order[objects.areas_px[order] >= settings.min_area_px], np.int64))
    if settings.min_width_px == 1:
        return large
    return large.select(np.array([_width_px(contour) >= settings.min_width_px for contour in large.contours], np.bool_))


def _from_background(frame: NDArray[np.uint8], colour: tuple[int, ...]) -> NDArray[np.uint8]:
    if len(colour) != frame.shape[2]:
        raise FrameError(f"picture of {frame.shape[2]} bands: the recipe's background has {len(colour)}")
    line = np.empty((1, *frame.shape[1:]), np.uint8)
    line[:] = colour
    differences = cv2.split(cv2.absdiff(frame, cv2.repeat(line, len(frame), 1)))
    return np.asarray(reduce(cv2.max, differences), np.uint8)


def _width_px(contour: NDArray[np.int32]) -> float:
    return min(cv2.minAreaRect(contour)[1]) + 1.0  # from centre to centre, and half a pixel on either side


def _measure(contours: tuple[NDArray[np.int32], ...], found: NDArray[np.uint8]) -> Objects:
    if not contours:
        none = np.zeros(0, np.int32)
        return Objects((), none.reshape(0, 4), none.astype(np.int64), none, found)
    counts = [len(contour) for contour in contours]
    starts = np.cumsum([0, *counts[:-1]])
    points = np.concatenate(contours)[:, 0]  # (P, 2), all corners of all contours
    nexts = np.concatenate((points[1:], points[:1]))
    nexts[starts - 1] = points[np.roll(starts, 1)]  # the corner after the last of a contour is its first
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)  # (N, 2)
    is_last_row = points[:, 1] == np.repeat(high[:, 1], counts)
    last_columns = np.minimum.reduceat(np.where(is_last_row, points[:, 0], np.iinfo(np.int32).max), starts)
    boxes = np.concatenate((low, high - low + 1), axis=1)
    return Objects(contours, boxes, _pixel_counts(points, nexts, starts), last_columns, found)


def _pixel_counts(points: NDArray[np.int32], nexts: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) how many pixels lie on and in each outline, by Pick's theorem: area between centres + outline/2 + 1.

    Args:
        points: (P, 2) corners of all outlines, one after the other.
        nexts: (P, 2) the corner after each.
        starts: (N,) where each outline begins.
    """
    here, there = points.astype(np.int64), nexts.astype(np.int64)
    twice_areas = np.add.reduceat(here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1], starts)
    outlines = np.add.reduceat(np.abs(there - here).max(axis=1), starts)  # steps go to one of eight neighbours
    return np.asarray((np.abs(twice_areas) + outlines) // 2 + 1, np.int64)


def _whole_picture(height: int, width: int) -> Objects:
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.int32).reshape(4, 1, 2)
    return _measure((corners,), np.full((height, width), 255, np.uint8))
