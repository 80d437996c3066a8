"""The norm of a sample: the weighted mean, root mean square or maximum of an object's own pixels, in exact integers.

One function serves trainer and edge, so that a norm logged by a machine equals the trainer's bit for bit. It knows
crops and weights, nothing of files, classes or selection.

>>> crops = np.full((1, 2, 2, 1), 255, np.uint8)
>>> norm_q16(*norm_sums(crops, np.ones((1, 2, 2), np.bool_), NormSpec()))
array([65536])
"""

from math import isqrt, sqrt
from typing import Annotated, Final, Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError, CropError

__all__ = [
    "Q16_ONE",
    "ClassNorms",
    "NormSpec",
    "check_norm_spec",
    "class_norms",
    "norm_bins",
    "norm_drift",
    "norm_q16",
    "norm_sums",
]

Q16_ONE: Final = 65536
_FULL_SCALE: Final = 255
_INT32_LIMIT: Final = 2**31
_MOST_WEIGHT: Final = 127
_CHUNK: Final = 256
_LEAST_FOR_DRIFT: Final = 20

Weight = Annotated[int, msgspec.Meta(ge=0, le=127)]


class NormSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pixels are weighed. A pixel's weight is its channel's times its place's.

    Attributes:
        kind: "weighted_mean"; "l1", the same, since pixels are not negative; "l2", the root of the weighted mean of
            squares; "linf", the largest weighted pixel.
        channel_weights: one weight w_c in 0..127 a channel; empty means 1 for each.
        centre_weight: so many times more than at the rim a pixel weighs in the middle of the crop, falling evenly with
            the distance; 0 weighs all places alike.
    """

    kind: Literal["weighted_mean", "l1", "l2", "linf"] = "weighted_mean"
    channel_weights: tuple[Weight, ...] = ()
    centre_weight: Annotated[int, msgspec.Meta(ge=0, le=126)] = 0

    def weights(self, channels: int) -> NDArray[np.int64]:
        """Return the channel weights, shape (channels,).

        Raises:
            ConfigError: the number of weights is not the number of channels, or all are 0.
        """
        weights = np.array(self.channel_weights or (1,) * channels, np.int64)
        if weights.size != channels:
            raise ConfigError(f"norm.channel_weights has {weights.size} entries for {channels} channels: give one each")
        if not weights.any():
            raise ConfigError("norm.channel_weights are all 0: at least one must be in 1..127")
        return weights

    def place_weights(self, side_px: int) -> NDArray[np.int64]:
        """Return the weights of all places, (S, S) int64: 1 at the rim, 1 + centre_weight in the middle."""
        ticks = np.abs(2 * np.arange(side_px) + 1 - side_px)  # twice the distance from the middle line
        rings = np.maximum(ticks[:, None], ticks[None, :])
        return np.asarray(1 + self.centre_weight * (side_px - rings) // side_px, np.int64)


class ClassNorms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Running sums over the norms of one class; exact, so that they add up across machines.

    Attributes:
        count: samples.
        sum_q16: sum of their norms, Q16.
        sum_squares_q32: sum of the squared norms, Q32.
    """

    count: int = 0
    sum_q16: int = 0
    sum_squares_q32: int = 0

    def plus(self, other: "ClassNorms") -> "ClassNorms":
        """Return the sums over both sets."""
        return ClassNorms(
            self.count + other.count, self.sum_q16 + other.sum_q16, self.sum_squares_q32 + other.sum_squares_q32
        )


def check_norm_spec(spec: NormSpec, side_px: int, channels: int) -> None:
    """Prove that no sum over a crop can leave 32 bits, whatever the pixels.

    Raises:
        ConfigError: side_px**2 * channels * 255 * largest weight reaches 2**31, a weight exceeds 127, or the weights do
            not fit the channels.
    """
    weight = int(spec.weights(channels).max()) * (1 + spec.centre_weight)
    if weight > _MOST_WEIGHT:
        raise ConfigError(
            f"a pixel may weigh {weight}, the limit is {_MOST_WEIGHT}: lower norm.centre_weight or weights"
        )
    largest = side_px * side_px * channels * _FULL_SCALE * weight
    if largest >= _INT32_LIMIT:
        raise ConfigError(
            f"norm sum may reach {largest}, the limit is {_INT32_LIMIT - 1}: use a smaller crop than {side_px} px "
            "or smaller channel weights"
        )


def norm_sums(
    crops: NDArray[np.uint8], masks: NDArray[np.bool_], spec: NormSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numerator and denominator of each sample's norm.

    Args:
        crops: (N, S, S, C) uint8, 0 outside the mask.
        masks: (N, S, S) bool, the object's own pixels.
        spec: weights; see `NormSpec`.

    Returns:
        Two (N,) int64 arrays whose quotient is the norm in grey levels, v being a pixel's weight. Weighted mean: sum of
        v * x over the crop, and sum of v over the mask. l2: floor(sqrt(sum(v * x**2) * sum(v))), and sum of v. linf:
        the largest v * x, and the largest v in the mask.

    Raises:
        CropError: a mask is empty, or has weight 0 everywhere, so that the norm does not exist.
        ConfigError: the weights do not fit the channels.

    Note:
        Every sum is a whole number below 2**53, so that no processor and no order of adding changes a bit. Only the
        weighted mean without centre weight is fast; the others take one and a half to two and a half times as long as
        decoding a small JPEG.

    Source:
        CN113326857B, step "norm from the weighted average of the pixels"; docs/norm-loop.md.
    """
    count, side, _, channels = crops.shape
    weights = spec.weights(channels)
    areas = _row_sums(masks.view(np.uint8).reshape(count, side * side))  # (N,)
    if not areas.all():
        raise CropError(f"crop {int(np.argmin(areas))} of {count} has an empty mask: it has no norm")
    if spec.kind in {"l2", "linf"} or spec.centre_weight:
        return _weighted(crops, masks, spec)
    if (weights == weights[0]).all():
        return weights[0] * _row_sums(crops.reshape(count, side * side * channels)), areas * weights.sum()
    planes = (np.ascontiguousarray(crops[..., band]).reshape(count, side * side) for band in range(channels))
    weighted = np.stack([weight * _row_sums(plane) for weight, plane in zip(weights, planes, strict=True)])  # (C, N)
    return weighted.sum(axis=0), areas * weights.sum()


def _weighted(
    crops: NDArray[np.uint8], masks: NDArray[np.bool_], spec: NormSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `norm_sums` where each place has a weight of its own, or the norm is no sum."""
    count, side, _, channels = crops.shape
    places = spec.place_weights(side)  # (S, S)
    each = (places[:, :, None] * spec.weights(channels)).astype(np.float64)  # (S, S, C)
    numerators, denominators = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        pixels = crops[part].reshape(-1, side * side * channels).astype(np.float64)
        inside = masks[part].reshape(-1, side * side).astype(np.float64)
        if spec.kind == "linf":
            numerators[part] = (pixels * each.ravel()).max(axis=1)
            denominators[part] = (inside * each.max(axis=2).ravel()).max(axis=1)
            continue
        denominators[part] = inside @ each.sum(axis=2).ravel()
        if spec.kind != "l2":
            numerators[part] = pixels @ each.ravel()
            continue
        squares = ((pixels * pixels) @ each.ravel()).astype(np.int64).tolist()
        numerators[part] = [isqrt(a * b) for a, b in zip(squares, denominators[part].tolist(), strict=True)]
    if not denominators.all():
        raise CropError(f"crop {int(np.argmin(denominators))} of {count} has weight 0 everywhere: it has no norm")
    return numerators, denominators


def _row_sums(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (N,) exact sums of (N, D) uint8; OpenCV's integer sum is several times as fast as numpy's."""
    if len(rows) == 0:
        return np.zeros(0, np.int64)
    return np.asarray(cv2.reduce(rows, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S), np.int64).ravel()


def norm_q16(numerators: NDArray[np.int64], denominators: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the norms as Q16 integers: floor(65536 * numerator / (255 * denominator)).

    Args:
        numerators: (N,) int64, from `norm_sums`.
        denominators: (N,) int64, > 0.

    Returns:
        (N,) int64 in 0..65536.
    """
    return (Q16_ONE * numerators) // (_FULL_SCALE * denominators)


def norm_bins(norms_q16: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Return in which of equal bins over 0..65536 norms lie, (N,) int64 in 0..bins - 1; the last one holds 65536 too.

    Args:
        norms_q16: (N,) int64 in 0..65536.
        bins: how many, >= 1.

    >>> norm_bins(np.array([0, 32_767, 32_768, 65_535, 65_536]), 2).tolist()
    [0, 0, 1, 1, 1]
    """
    return np.minimum(norms_q16 * bins // Q16_ONE, bins - 1)


def class_norms(norms_q16: NDArray[np.int64]) -> ClassNorms:
    """Return count, sum and sum of squares of the norms of one class, (N,) int64 in 0..65536."""
    return ClassNorms(int(norms_q16.size), int(norms_q16.sum()), int((norms_q16 * norms_q16).sum()))


def norm_drift(live: ClassNorms, trained: ClassNorms) -> float | None:
    """Return how far the norms of a class have moved since it was trained.

    Args:
        live: of the objects that a machine saw.
        trained: of the class's training samples.

    Returns:
        The difference of the means in standard deviations of the trained norms, but at least in grey levels; positive
        where the machine sees the class brighter. None with fewer than 20 objects on either side: the figure's own
        chance is one over the root of their number.

    >>> norm_drift(class_norms(np.full(50, 4_000)), class_norms(np.repeat([1_000, 3_000], 50)))
    2.0
    """
    if min(live.count, trained.count) < _LEAST_FOR_DRIFT:
        return None
    means = [one.sum_q16 / one.count for one in (live, trained)]
    variance = trained.sum_squares_q32 / trained.count - means[1] ** 2
    spread = max(Q16_ONE / _FULL_SCALE, sqrt(max(variance, 0.0)))
    return (means[0] - means[1]) / spread
