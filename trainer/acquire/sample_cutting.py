"""One picture to one sample: the object cut out and weighed exactly as the machine does it.

Knows pixels and the data set's settings; nothing of files, labels or the pool.

>>> from edge_runtime.crop import CropSpec
>>> from edge_runtime.norm import NormSpec
>>> from edge_runtime.segment import SegmentSettings
>>> picture = np.zeros((40, 40, 3), np.uint8); picture[10:20, 5:25] = 200
>>> data_set = DataSet(SegmentSettings(), CropSpec(side_px=32), NormSpec())
>>> sample = cut_sample(picture, data_set)
>>> isinstance(sample, CutSample) and int(sample.mask.sum()) > 200
True
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import canvas_of, cut_crops, is_oversize
from edge_runtime.norm import norm_sums
from edge_runtime.segment import segment
from trainer.errors import SettingsError
from trainer.pool.data_set import DataSet

__all__ = ["CutSample", "Uncut", "cut_sample"]


@dataclass(frozen=True, slots=True)
class CutSample:
    """A crop and its norm.

    Attributes:
        pixels: (S, S, C) uint8, 0 outside the mask.
        mask: (S, S) bool.
        norm_numerator, norm_denominator: from `edge_runtime.norm.norm_sums`.
        objects: how many objects the picture held; the largest was taken.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    norm_numerator: int
    norm_denominator: int
    objects: int


@dataclass(frozen=True, slots=True)
class Uncut:
    """Why a picture gave no sample."""

    outcome: Literal["no_object", "oversize"]
    reason: str


def cut_sample(picture: NDArray[np.uint8], data_set: DataSet) -> CutSample | Uncut:
    """Return the sample of a picture, or why there is none.

    Args:
        picture: (H, W, C) uint8.
        data_set: how objects are found, cut out and weighed.

    Raises:
        SettingsError: the picture has another number of channels than the data set.
    """
    if picture.shape[2] != data_set.crop.channels:
        raise SettingsError(
            f"picture with {picture.shape[2]} channels: the pool was made with {data_set.crop.channels}"
        )
    objects = segment(picture, data_set.segment)
    if len(objects) == 0:
        return Uncut("no_object", f"nothing on the object's side of grey level {data_set.segment.threshold}")
    largest = int(np.argmax(objects.areas_px))
    taken = objects.take(np.array([largest]))
    if is_oversize(taken, data_set.crop).any():
        width_px, height_px = taken.boxes_px[0, 2:]
        window_px = data_set.crop.window_px
        return Uncut("oversize", f"object of {width_px} x {height_px} px: the window is {window_px} px")
    crops = cut_crops(canvas_of(picture, data_set.crop), taken, data_set.crop, data_set.segment)
    numerators, denominators = norm_sums(crops.pixels, crops.masks, data_set.norm)
    return CutSample(crops.pixels[0], crops.masks[0], int(numerators[0]), int(denominators[0]), len(objects))
