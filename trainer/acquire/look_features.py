"""Crops to numbers that tell their looks: colour, shape, texture. Pure; knows no labels and no networks.

>>> look_features(np.full((3, 16, 16, 3), 90, np.uint8)).shape
(3, 32)
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["family_columns", "least_spreads", "look_features"]

_PATTERNS: Final = 10  # rotation-invariant uniform binary patterns of 8 neighbours: 0 to 8 brighter ones, and the rest
_AROUND: Final = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_QUANTILES: Final = (0.1, 0.5, 0.9)
_SHAPES: Final = 4
_TEXTURES: Final = 3 + _PATTERNS


def look_features(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what crops look like.

    Args:
        pixels: (N, S, S, C) uint8, BGR for C = 3, 0 outside the object.

    Returns:
        (N, D) float64, D = 5 C + 17. Colour: mean, spread and three quantiles of every channel over the object, in
        CIELAB for C = 3. Shape: area, elongation, fullness and roundness. Texture: slope of the brightness at two
        scales and their ratio, and the shares of ten local binary patterns.

    Note:
        About 1 ms a crop of 48 or 64 px on one core (tests/test_trainer_classify_real.py prints it).

    Source:
        Ojala, Pietikäinen, Mäenpää 2002 for the patterns.
    """
    channels = pixels.shape[3]
    rows = np.empty((len(pixels), 5 * channels + _SHAPES + _TEXTURES), np.float64)
    for at, crop in enumerate(pixels):
        mask = crop.any(axis=2)
        if not mask.any():
            mask = np.ones_like(mask)  # an all-black picture is all object
        rows[at] = np.concatenate((_colour(crop, mask), _shape(mask), _texture(crop, mask)))
    return rows


def family_columns(channels: int) -> tuple[slice, ...]:
    """Return which columns of `look_features` are colour, shape and texture, for C channels."""
    first, second = 5 * channels, 5 * channels + _SHAPES
    return (slice(0, first), slice(first, second), slice(second, second + _TEXTURES))


def least_spreads(channels: int) -> NDArray[np.float64]:
    """Return, (D,) float64, the difference in each column of `look_features` that an eye would see, for C channels."""
    shapes = (0.1, 0.05, 0.02, 0.02)  # a tenth of the area, a twentieth longer, a fiftieth less full or less round
    textures = (0.1, 0.1, 0.1, *(0.02,) * _PATTERNS)
    return np.array((*(4.0,) * (5 * channels), *shapes, *textures))  # 4 of 255 levels


def _colour(crop: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    shown = cv2.cvtColor(crop, cv2.COLOR_BGR2LAB) if crop.shape[2] == 3 else crop
    inside = shown[mask].astype(np.float64)  # (pixels, C)
    return np.concatenate((inside.mean(axis=0), inside.std(axis=0), *np.quantile(inside, _QUANTILES, axis=0)))


def _shape(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    area = float(len(rows))
    spread = np.cov(np.stack((rows, columns)), bias=True) + np.eye(2) / 12  # a pixel is a square, not a point
    small, large = np.linalg.eigvalsh(spread)
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(outline))
    around = cv2.arcLength(hull, closed=True)
    fullness = area / max(area, cv2.contourArea(hull))
    return np.array([np.log(area), np.log(large / small) / 2, fullness, 4 * np.pi * area / max(1.0, around) ** 2])


def _texture(crop: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    grey = crop.mean(axis=2, dtype=np.float32)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(np.bool_)
    inner = inner if inner.any() else mask
    fine, coarse = (_slope(grey, sigma)[inner].mean() for sigma in (0.0, 2.0))
    patterns = np.bincount(_patterns(grey)[inner], minlength=_PATTERNS) / inner.sum()
    return np.concatenate(([np.log1p(fine), np.log1p(coarse), np.log((1 + fine) / (1 + coarse))], patterns))


def _slope(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma) if sigma else grey
    slopes = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    return slopes.astype(np.float32, copy=False)


def _patterns(grey: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the pattern of every pixel, 0..9: how many neighbours are as bright, 9 where they lie scattered."""
    wide = np.pad(grey, 1, mode="edge")
    side_y, side_x = grey.shape
    bits = np.stack([wide[1 + y : 1 + y + side_y, 1 + x : 1 + x + side_x] >= grey for y, x in _AROUND])
    changes = (bits != np.roll(bits, 1, axis=0)).sum(axis=0)
    return np.where(changes <= 2, bits.sum(axis=0), _PATTERNS - 1)
