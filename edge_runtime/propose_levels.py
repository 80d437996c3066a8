"""Which level tells objects from their ground, and where to cut it: from the pooled statistics of a few frames. Pure.

A cut is good where outlines are sharp: along the line of equal level at the cut the picture is steep. A lamp that is
brighter in the middle, or the grain of a belt, makes lines of equal level too, but flat ones. So for every cut the mean
steepness of the pixels at that level is compared with the steepness of the ground; this needs no share of foreground,
which histogram methods lean on, and finds few small objects as well as many large ones.

Everything is a sum over frames, so their order does not matter. Nothing is taken from a single frame: the threshold is
the recipe's.

>>> frame = np.full((60, 60, 3), 20, np.uint8); frame[20:40, 20:40] = 220
>>> choice = pick_level(level_choices([frame]))
>>> choice.channel, choice.polarity, 20 < choice.threshold < 220
('gray', 'bright', True)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError
from edge_runtime.segment import SegmentSettings, smooth_levels

__all__ = ["CHANNELS", "Channel", "LevelChoice", "level_choices", "pick_level"]

Channel = Literal["gray", "blue", "green", "red", "chroma", "background"]

CHANNELS: Final[tuple[Channel, ...]] = ("gray", "red", "green", "blue", "chroma", "background")
_BLUR_PX: Final = 3
_BORDER_SHARE: Final = 0.02  # of the shorter side: the rim in which the ground is looked for
_WINDOW: Final = (0.15, 0.85)  # of the way from the ground's level to the objects': where a cut may lie
_GROUND: Final = 0.99  # of the ground's pixels are at or below the level from which on a cut may lie
_NEAR: Final = 0.75  # of the sharpest: such cuts count as equal; the middle of the first run of them is taken
_LEAST_SHARE: Final = 2e-5  # of all pixels: fewer at a level tell nothing of it
_LEAST_FOUND: Final = 2e-4  # of all pixels: less foreground is dust
_CLEARLY: Final = 1.6  # times grey's clearness: grey costs least, and a distance from the ground halves its noise


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """One way to tell objects from their ground.

    Attributes:
        channel: which level; background: the ground's colour for channel "background", else empty.
        polarity: whether objects are brighter or darker.
        threshold: level 0..255, as in `SegmentSettings`.
        clearness: how much steeper the picture is at the cut than on the ground; about 1 means nothing stands out.
        ground: level of the ground; contrast: by how many levels the objects differ from it.
        drift: by how many levels the ground differs between the frames.
        unevenness: by how many levels the ground differs within them (5th to 95th percentile over all frames).
        histogram: pixels by level, 256, over all frames.
    """

    channel: Channel
    background: tuple[int, ...]
    polarity: Literal["bright", "dark"]
    threshold: int
    clearness: float
    ground: int
    contrast: int
    drift: int
    unevenness: int
    histogram: tuple[int, ...]

    @property
    def settings(self) -> SegmentSettings:
        """Segmentation by this level, everything else as by default."""
        return SegmentSettings(
            channel=self.channel, background=self.background, polarity=self.polarity, threshold=self.threshold
        )


@dataclass(frozen=True, slots=True)
class _Statistics:
    """Of one channel: histograms (F, 256) int64 a frame, of the rim (256,), and steepness summed by level (256,)."""

    histograms: NDArray[np.int64]
    rim: NDArray[np.int64]
    steepness: NDArray[np.int64]

    def mirrored(self) -> "_Statistics":
        """Return the statistics of the negative pictures."""
        return _Statistics(self.histograms[:, ::-1], self.rim[::-1], self.steepness[::-1])


def level_choices(frames: Sequence[NDArray[np.uint8]], channels: Sequence[Channel] = CHANNELS) -> list[LevelChoice]:
    """Return what can be made of each channel, in their order, without those in which nothing stands out.

    Args:
        frames: (H, W, C) uint8 each, of one number of bands; their sizes and order do not matter.
        channels: candidates, the preferred one first; of fewer than three bands only that one is looked at.

    Raises:
        FrameError: there is no frame, or they differ in bands.
    """
    bands = {frame.shape[2] for frame in frames}
    if len(bands) != 1:
        raise FrameError("no frame to look at" if not bands else f"frames have {sorted(bands)} bands: take one kind")
    colour = _ground_colour(frames)
    choices = []
    for channel in channels if max(bands) >= 3 else channels[:1]:
        background = colour if channel == "background" else ()
        probe = SegmentSettings(channel=channel, background=background, blur_px=_BLUR_PX)
        choice = _choice(_statistics(frames, probe), channel, background)
        choices += [] if choice is None else [choice]
    return choices


def pick_level(choices: Sequence[LevelChoice]) -> LevelChoice:
    """Return the clearest of several levels; the first of them unless another is clearly better.

    Raises:
        FrameError: there is none.
    """
    if not choices:
        raise FrameError("every frame is of one colour: nothing stands out. Take frames with objects on them")
    best = max(choices, key=lambda choice: choice.clearness)
    return best if best.clearness >= _CLEARLY * choices[0].clearness else choices[0]


def _ground_colour(frames: Sequence[NDArray[np.uint8]]) -> tuple[int, ...]:
    """Return the median of each band over the rims of all frames."""
    rims = np.concatenate([_rim(frame) for frame in frames])
    return tuple(np.median(rims, axis=0).astype(int).tolist())


def _rim(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels (N, ...) along the four sides."""
    wide = max(1, round(min(picture.shape[:2]) * _BORDER_SHARE))
    inside = np.ones(picture.shape[:2], np.bool_)
    inside[wide:-wide, wide:-wide] = False
    return picture[inside]


def _statistics(frames: Sequence[NDArray[np.uint8]], probe: SegmentSettings) -> _Statistics:
    histograms, rim, steepness = [], np.zeros(256, np.int64), np.zeros(256, np.int64)
    square = np.ones((3, 3), np.uint8)
    for frame in frames:
        smooth = smooth_levels(frame, probe)
        steep = cv2.subtract(cv2.dilate(smooth, square), cv2.erode(smooth, square))
        histograms.append(np.bincount(smooth.ravel(), minlength=256))
        rim += np.bincount(_rim(smooth), minlength=256)
        pairs = np.bincount(smooth.ravel().astype(np.int64) * 256 + steep.ravel(), minlength=256 * 256)
        steepness += pairs.reshape(256, 256) @ np.arange(256)
    return _Statistics(np.array(histograms, np.int64), rim, steepness)


def _choice(found: _Statistics, channel: Channel, background: tuple[int, ...]) -> LevelChoice | None:
    """Return the best cut of a channel; None where nothing stands out."""
    everything = found.histograms.sum(axis=0)
    if np.count_nonzero(everything) < 2:
        return None
    low, high = _otsu_cuts(everything)
    is_dark = int(found.rim[high + 1 :].sum()) > int(found.rim[: low + 1].sum())  # the ground is the bright side
    if is_dark and channel == "background":
        return None  # the objects would be what is like the ground
    seen = found.mirrored() if is_dark else found  # from here on the ground is dark
    pooled = seen.histograms.sum(axis=0)
    first, _ = _otsu_cuts(pooled)
    ground, objects = _quantile(pooled[: first + 1], 0.5), first + 1 + _quantile(pooled[first + 1 :], 0.5)
    cut, sharpness = _sharp_cut(pooled, seen.steepness, (ground, objects), _quantile(pooled[: first + 1], _GROUND))
    if pooled[cut + 1 :].sum() < _LEAST_FOUND * pooled.sum():
        return None
    below = pooled[: cut + 1]
    grain = float(seen.steepness[: cut + 1].sum()) / float(below.sum())
    grounds = [_quantile(frame[: cut + 1], 0.5) for frame in seen.histograms if frame[: cut + 1].any()]
    return LevelChoice(
        channel=channel,
        background=background,
        polarity="dark" if is_dark else "bright",
        threshold=254 - cut if is_dark else cut,
        clearness=sharpness / (1.0 + grain),  # a step of one level is the least that a picture can have
        ground=255 - ground if is_dark else ground,
        contrast=objects - ground,
        drift=max(grounds) - min(grounds),
        unevenness=_quantile(below, 0.95) - _quantile(below, 0.05),
        histogram=tuple(everything.tolist()),
    )


def _otsu_cuts(histogram: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first and the last cut, 0..254, that part levels into two groups as far from each other as can be."""
    counts = histogram.astype(np.float64)
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    moments = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (moments[:-1] / below - (moments[-1] - moments[:-1]) / above) ** 2
    apart = np.nan_to_num(apart)
    best = np.flatnonzero(apart >= apart.max() * (1 - 1e-12))
    return int(best[0]), int(best[-1])


def _sharp_cut(
    pooled: NDArray[np.int64], steepness: NDArray[np.int64], between: tuple[int, int], above: int
) -> tuple[int, float]:
    """Return the cut between two levels at which outlines are sharp, and how steep the picture is there.

    Args:
        pooled: (256,) pixels by level.
        steepness: (256,) summed by level.
        between: level of the ground, level of the objects.
        above: the cut is not below this level, which the ground reaches in places.

    Of several runs of sharp cuts the one next to the ground is taken: what lies further up are edges inside of objects,
    as shine and creases have them.
    """
    ground, objects = between
    contrast = objects - ground
    lowest, highest = (ground + round(contrast * share) for share in _WINDOW)
    lowest = min(max(lowest, above), max(lowest, highest - 1))
    reach = max(1, contrast // 32)
    cuts = np.arange(lowest, max(lowest, highest - 1) + 1)
    counts, sums = (np.concatenate(([0], np.cumsum(values))) for values in (pooled, steepness))
    right, left = np.minimum(cuts + 1 + reach, 256), np.maximum(cuts + 1 - reach, 0)
    near = counts[right] - counts[left]
    sharp = (sums[right] - sums[left]) / np.maximum(near, max(1.0, _LEAST_SHARE * float(pooled.sum())))
    if not near.any():  # hard edges: no pixel lies between ground and objects
        return ground + max(0, contrast - 1) // 2, float(contrast)
    is_sharp = sharp >= _NEAR * sharp.max()
    start = end = int(is_sharp.argmax())
    while end + 1 < len(is_sharp) and is_sharp[end + 1]:
        end += 1
    middle = (start + end) // 2
    return int(cuts[middle]), float(sharp[middle])


def _quantile(histogram: NDArray[np.int64], share: float) -> int:
    """Return the lowest level at or below which this share of the pixels lies."""
    return int(np.quantile(np.arange(len(histogram)), share, weights=histogram, method="inverted_cdf"))
