"""What all samples of a data set have in common: how objects are found, cut out and weighed. Decided once.

The decision looks at all pictures together and never at one alone: a choice made picture by picture would give the
class away. Knows arrays and class names; nothing of files or the pool.

>>> still = [("dark", np.zeros((20, 20, 3), np.uint8)), ("bright", np.full((20, 20, 3), 200, np.uint8))]
>>> decide_data_set(lambda: still, "auto")[0].segment.mask
'full'
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import common_extent_px, crop_for
from edge_runtime.errors import ConfigError
from edge_runtime.norm import NormSpec, check_norm_spec
from edge_runtime.segment import Objects, SegmentSettings, gray_levels, segment
from trainer.errors import ImportFailedError, SettingsError
from trainer.pool.data_set import DataSet

__all__ = ["MOST_SIDE_PX", "DataSetEvidence", "LabelledPictures", "MaskChoice", "decide_data_set", "largest_object"]

MaskChoice = Literal["auto", "object", "full"]
LabelledPictures = Callable[[], Iterable[tuple[str, NDArray[np.uint8]]]]

MOST_SIDE_PX: Final = 64  # a small network on a small board: 48 to 64 px keep the texture of a grain
_SINGLE_OBJECT_SHARE: Final = Fraction(95, 100)
_LEAST_COVER, _MOST_COVER = 0.02, 0.90  # one object covers this share of its picture
_SPECK_SHARE: Final = Fraction(2, 1000)  # of the median picture: smaller contours are dust


class DataSetEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a data set's settings are what they are.

    Attributes:
        mask_asked: what the person asked for.
        pictures: pictures looked at.
        single_object_share: by class, 0..1: pictures with exactly one object that covers 2 to 90 % of them.
        threshold: grey level that separates objects from background best over all pictures.
        border_level: median grey level of the pictures' borders; it decides which side the objects are on.
        extent_px: 99.5th percentile of the objects' larger side, in picture pixels.
        reason: the decision on the mask in words.
    """

    mask_asked: MaskChoice
    pictures: int
    single_object_share: dict[str, float]
    threshold: int
    border_level: int
    extent_px: int
    reason: str
    schema_version: Literal[1] = 1


def decide_data_set(
    pictures: LabelledPictures,
    mask: MaskChoice = "auto",
    *,
    norm: NormSpec | None = None,
    most_side_px: int = MOST_SIDE_PX,
) -> tuple[DataSet, DataSetEvidence]:
    """Decide how the objects of a data set are found, cut out and weighed.

    Args:
        pictures: gives (class name, (H, W, C) uint8) of every picture; called twice, the same pictures each time.
        mask: "object", "full", or "auto": object when in every class at least 95 % of the pictures hold exactly one
            object that covers 2 to 90 % of the picture.
        norm: channel weights; None weighs all channels alike.
        most_side_px: limit of the crop's side. More pixels show finer defects and cost their square in computing.

    Returns:
        The settings, and what they were taken from. The crop's side is at most `most_side_px` rounded up to a multiple
        of 16, and holds 99.5 % of the objects after an integer reduction.

    Raises:
        ImportFailedError: there is no picture.
        SettingsError: mask is "object" but no picture holds an object, or the norm does not fit the crops.

    Note:
        Independent of the order of the pictures. Keeps 8 bytes a picture.
    """
    levels = _Levels()
    for _, pixels in pictures():
        levels.add(pixels)
    if not levels.areas_px:
        raise ImportFailedError("no picture could be decoded: there is nothing to import")
    threshold, border = levels.otsu_threshold(), levels.border_level()
    settings = SegmentSettings(
        polarity="bright" if border <= threshold else "dark",
        threshold=threshold,
        min_area_px=max(1, int(_SPECK_SHARE * levels.median_area_px())),
    )
    survey = _Survey()
    for class_name, pixels in pictures():
        survey.add(class_name, pixels, segment(pixels, settings))
    decided, reason = survey.decide_mask(mask)
    extent_px = survey.extent_px(decided)
    data_set = DataSet(
        msgspec.structs.replace(settings, mask=decided),
        crop_for(extent_px, levels.channels, most_side_px=most_side_px),
        norm or NormSpec(),
    )
    try:
        check_norm_spec(data_set.norm, data_set.crop.side_px, data_set.crop.channels)
    except ConfigError as error:
        raise SettingsError(str(error)) from error
    shares = {name: round(float(share), 4) for name, share in survey.shares().items()}
    pictures_seen = len(levels.areas_px)
    return data_set, DataSetEvidence(mask, pictures_seen, shares, threshold, border, extent_px, reason)


def largest_object(objects: Objects) -> Objects:
    """Return the object with the largest area alone, the first of equals; no objects stay no objects."""
    keep = np.zeros(len(objects), np.bool_)
    if len(objects):
        keep[int(np.argmax(objects.areas_px))] = True
    return objects.select(keep)


class _Levels:
    """Pooled grey levels of all pictures, of their borders, and their areas."""

    def __init__(self) -> None:
        self.histogram = np.zeros(256, np.int64)
        self.border = np.zeros(256, np.int64)
        self.areas_px: list[int] = []
        self.channels = 0

    def add(self, pixels: NDArray[np.uint8]) -> None:
        gray = gray_levels(pixels)
        self.histogram += np.bincount(gray.ravel(), minlength=256)
        frame = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
        self.border += np.bincount(frame, minlength=256)
        self.areas_px.append(gray.size)
        self.channels = pixels.shape[2]

    def otsu_threshold(self) -> int:
        """Return the level that separates two groups of levels best, in exact arithmetic; the lowest of equals."""
        counts = [int(count) for count in np.cumsum(self.histogram)]
        sums = [int(total) for total in np.cumsum(self.histogram * np.arange(256))]
        best, best_level = Fraction(-1), 0
        for level in range(255):
            below, above = counts[level], counts[-1] - counts[level]
            if below and above:
                between = Fraction((sums[-1] * below - sums[level] * counts[-1]) ** 2, below * above)
                if between > best:
                    best, best_level = between, level
        return best_level

    def border_level(self) -> int:
        return int(np.searchsorted(np.cumsum(self.border), (self.border.sum() + 1) // 2))

    def median_area_px(self) -> int:
        return sorted(self.areas_px)[len(self.areas_px) // 2]


class _Survey:
    """How many pictures of each class hold one object, and how large the objects are."""

    def __init__(self) -> None:
        self._single: dict[str, int] = {}
        self._all: dict[str, int] = {}
        self._object_extents_px: list[int] = []
        self._picture_extents_px: list[int] = []

    def add(self, class_name: str, pixels: NDArray[np.uint8], objects: Objects) -> None:
        height, width = pixels.shape[:2]
        is_single = len(objects) == 1 and _LEAST_COVER <= objects.areas_px[0] / (height * width) <= _MOST_COVER
        self._all[class_name] = self._all.get(class_name, 0) + 1
        self._single[class_name] = self._single.get(class_name, 0) + int(is_single)
        self._picture_extents_px.append(max(height, width))
        if len(objects):
            self._object_extents_px.append(int(largest_object(objects).boxes_px[0, 2:].max()))

    def shares(self) -> dict[str, Fraction]:
        return {name: Fraction(self._single[name], self._all[name]) for name in sorted(self._all)}

    def decide_mask(self, mask: MaskChoice) -> tuple[Literal["object", "full"], str]:
        """Return the mask mode for all pictures, and why.

        Raises:
            SettingsError: objects are asked for and no picture holds one.
        """
        if mask == "object" and not self._object_extents_px:
            raise SettingsError("--mask object, but no picture holds an object: use --mask full, or other pictures")
        if mask != "auto":
            return mask, f"--mask {mask} was asked for"
        share, name = min((share, name) for name, share in self.shares().items())
        found = f"one object in {float(share):.1%} of class {name}, the lowest share; object needs 95 % of every class"
        return ("object" if share >= _SINGLE_OBJECT_SHARE else "full"), found

    def extent_px(self, mask: Literal["object", "full"]) -> int:
        extents_px = self._object_extents_px if mask == "object" else self._picture_extents_px
        return common_extent_px(extents_px)
