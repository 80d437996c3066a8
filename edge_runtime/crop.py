"""Objects to crops: a window of fixed scale around each object, everything that is not the object set to 0.

No resize: size in pixels is a feature. Import and edge call the same function, so that a model sees on the machine what
it saw in training. Knows no files, norms or classes.

>>> spec = CropSpec(side_px=16, reduction=2, channels=3)
>>> spec.window_px
32
"""

import zlib
from collections.abc import Sequence
from typing import Annotated, Final

import cv2
import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_runtime.canvas import Canvas
from edge_runtime.errors import CropError
from edge_runtime.segment import Objects, SegmentSettings

__all__ = [
    "CropSpec",
    "Crops",
    "canvas_of",
    "common_extent_px",
    "crop_for",
    "cut_crops",
    "is_oversize",
    "pack_crop",
    "reduce_crops",
    "unpack_crop",
]

_EXTENT_PERCENTILE: Final = 99.5
_MOST_REDUCTION: Final = 64
_SIDE_STEP_PX: Final = 16  # four halvings inside the network


class CropSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of every crop of a data set or recipe.

    Attributes:
        side_px: side S of the crop, in reduced pixels.
        reduction: factor f by which the window is reduced (block mean); one for the whole data set.
        channels: colour or spectral bands C.
    """

    side_px: Annotated[int, msgspec.Meta(ge=8, le=512)] = 48
    reduction: Annotated[int, msgspec.Meta(ge=1, le=_MOST_REDUCTION)] = 1
    channels: Annotated[int, msgspec.Meta(ge=1, le=32)] = 3

    @property
    def window_px(self) -> int:
        """Side of the window in the frame, in frame pixels."""
        return self.side_px * self.reduction

    @property
    def pad_px(self) -> int:
        """Margin of a canvas: the middle of a box lies inside the picture, so no window reaches further out."""
        return self.window_px // 2


class Crops(msgspec.Struct, frozen=True):
    """Crops of N objects.

    Attributes:
        pixels: (N, S, S, C) uint8, 0 outside the mask.
        masks: (N, S, S) bool, the object's own pixels.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.pixels.shape[0])


def common_extent_px(extents_px: Sequence[int]) -> int:
    """Return the extent that 99.5 % of the objects do not exceed; of fewer than 200 the largest.

    Args:
        extents_px: longer side of each object's box, at least one; their order does not matter.
    """
    return int(np.percentile(extents_px, _EXTENT_PERCENTILE, method="higher"))


def crop_for(extent_px: int, channels: int, *, most_side_px: int) -> CropSpec:
    """Return the crop whose window holds objects of an extent, else the largest there is: then they are oversize.

    Args:
        extent_px: in frame pixels, > 0.
        channels: bands.
        most_side_px: most reduced pixels of a side; larger windows are reduced by an integer.

    Returns:
        A side that is a multiple of 16, and so may exceed `most_side_px` by up to 15.
    """
    extent_px = min(extent_px, most_side_px * _MOST_REDUCTION)
    reduction = -(-extent_px // most_side_px)
    side_px = -(-extent_px // reduction)
    side_px = -(-side_px // _SIDE_STEP_PX) * _SIDE_STEP_PX
    return CropSpec(side_px=side_px, reduction=reduction, channels=channels)


def is_oversize(objects: Objects, spec: CropSpec) -> NDArray[np.bool_]:
    """Return, (N,) bool, which objects are wider or higher than the window: they are never classified."""
    return np.asarray((objects.boxes_px[:, 2:] > spec.window_px).any(axis=1), np.bool_)


def canvas_of(picture: NDArray[np.uint8], spec: CropSpec) -> Canvas:
    """Return a copy of a picture (H, W, C) uint8 on a canvas that windows of `spec` can be cut from.

    Raises:
        CropError: the picture is no (H, W, C).
    """
    if picture.ndim != 3:
        raise CropError(f"picture of shape {picture.shape}: (H, W, {spec.channels}) is wanted")
    canvas = Canvas.blank(*picture.shape, pad_px=spec.pad_px)
    np.copyto(canvas.pixels, picture)
    return canvas


def cut_crops(canvas: Canvas, objects: Objects, spec: CropSpec, settings: SegmentSettings) -> Crops:
    """Cut a window around the middle of each object's box and clear what is not the object.

    Args:
        canvas: the picture, with the margin of `spec`.
        objects: from `segment` on this picture; none of them oversize.
        spec: window, reduction and channels.
        settings: for the mask mode and its margin.

    Returns:
        Crops in the order of `objects`. The mask is the filled outer contour, widened by the margin where nothing else
        was found, be it another object, an oversize one or dust: a crop does not depend on which others are cut with
        it. After reduction a pixel belongs to the mask when at least half of its block does.

    Raises:
        CropError: the picture has another number of channels or margin, or an object is larger than the window.
    """
    if canvas.padded.shape[2] != spec.channels or canvas.pad_px != spec.pad_px:
        raise CropError(
            f"picture of shape {canvas.pixels.shape} with a margin of {canvas.pad_px}: the recipe wants "
            f"(H, W, {spec.channels}) with {spec.pad_px}"
        )
    if is_oversize(objects, spec).any():
        raise CropError(
            f"an object exceeds the window of {spec.window_px} px: take oversize objects out before cutting"
        )
    if len(objects) == 0:
        empty = (0, spec.side_px, spec.side_px)
        return Crops(np.zeros((*empty, spec.channels), np.uint8), np.zeros(empty, np.bool_))
    window = spec.window_px
    x_px = objects.boxes_px[:, 0] + objects.boxes_px[:, 2] // 2  # (N,), left edge in the padded picture
    y_px = objects.boxes_px[:, 1] + objects.boxes_px[:, 3] // 2
    masks = _window_masks(objects, settings.mask_margin_px, window, (x_px, y_px))  # (N, W, W)
    windows = sliding_window_view(canvas.padded, (window, window, spec.channels))[y_px, x_px, 0]  # (N, W, W, C)
    return reduce_crops(Crops(_clear_outside(windows, masks), masks), spec.reduction)


def reduce_crops(crops: Crops, factor: int) -> Crops:
    """Return the crops reduced by an integer block mean, rounded half up: (sum + f*f//2) // (f*f).

    Args:
        crops: side divisible by `factor`; pixels outside the mask 0.
        factor: f >= 1; 1 returns the crops themselves.

    Returns:
        Crops of side S = W / f; a pixel is in the mask when at least half of its block was (or any, for an
        object that nowhere fills half a block), and is 0 outside it.
    """
    if factor == 1:
        return crops
    count, window, _, channels = crops.pixels.shape
    side, block = window // factor, factor * factor
    blocks = crops.pixels.reshape(count, side, factor, side, factor, channels)
    means = (blocks.sum(axis=(2, 4), dtype=np.uint32) + block // 2) // block  # (N, S, S, C)
    covered = crops.masks.reshape(count, side, factor, side, factor).sum(axis=(2, 4), dtype=np.uint32)
    masks = 2 * covered >= block  # (N, S, S)
    thin = ~masks.any(axis=(1, 2))  # a hair that fills no half block keeps every block it touches
    masks[thin] = covered[thin] > 0
    return Crops(means.astype(np.uint8) * masks[..., None], masks)


def pack_crop(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> bytes:
    """Return one crop (S, S, C) uint8 and its mask (S, S) bool as lossless compressed bytes.

    Note:
        The layout is pixel bytes, then mask bits, through zlib level 1; S and C are kept by whoever stores it.
    """
    return zlib.compress(pixels.tobytes() + np.packbits(mask).tobytes(), 1)


def unpack_crop(data: bytes, side_px: int, channels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return pixels (S, S, C) uint8 and mask (S, S) bool from `pack_crop`'s bytes; both are new arrays.

    Raises:
        CropError: the bytes are damaged, followed by others, or were packed with another side or number of channels.

    Note:
        Takes no more memory than the crop has, whatever the bytes would unpack to.
    """
    size = side_px * side_px * channels
    mask_size = (side_px * side_px + 7) // 8
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, size + mask_size + 1)
    except zlib.error as error:
        raise CropError(f"stored crop of {len(data)} bytes is damaged: {error}") from error
    if len(raw) != size + mask_size or not inflater.eof or inflater.unused_data:
        raise CropError(
            f"stored crop of {len(data)} bytes is not one of side {side_px} and {channels} channels, "
            f"which has {size + mask_size} bytes"
        )
    pixels = np.frombuffer(raw, np.uint8, size).reshape(side_px, side_px, channels).copy()
    bits = np.unpackbits(np.frombuffer(raw, np.uint8, offset=size), count=side_px * side_px)
    return pixels, bits.astype(np.bool_).reshape(side_px, side_px)


def _window_masks(
    objects: Objects, margin_px: int, window: int, corners: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> NDArray[np.bool_]:
    """Return (N, W, W) bool: each object's filled contour, widened by the margin where the frame holds nothing else.

    Note:
        One call widens the masks of all objects, one below the other, with as many empty rows between them as the
        margin: a call an object takes twice as long.
    """
    pad = window // 2
    x_px, y_px = corners
    stack = np.zeros((len(objects), window + margin_px, window), np.uint8)
    for mask, contour, x, y in zip(stack[:, :window], objects.contours, x_px.tolist(), y_px.tolist(), strict=True):
        cv2.drawContours(mask, [contour], -1, 1, cv2.FILLED, offset=(pad - x, pad - y))
    own = stack[:, :window]
    if margin_px == 0:
        return own.astype(np.bool_)
    taken = cv2.copyMakeBorder(objects.foreground, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=255)
    free = sliding_window_view(taken, (window, window))[y_px, x_px] == 0  # margins end at the frame's border
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin_px + 1, 2 * margin_px + 1))
    widened = cv2.dilate(stack.reshape(-1, window), kernel).reshape(stack.shape)[:, :window]
    return np.asarray(own | (widened & free), np.bool_)


def _clear_outside(windows: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return windows (N, W, W, C) with 0 outside masks (N, W, W)."""
    tall = windows.reshape(-1, *windows.shape[2:])
    cleared = cv2.copyTo(tall, masks.reshape(tall.shape[:2]).view(np.uint8))
    return np.asarray(cleared, np.uint8).reshape(windows.shape)
