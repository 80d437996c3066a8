"""Smooth noise, strokes and lamp light for rendered grains: small float32 fields, no loop over pixels.

Knows no classes and no shapes; every random number comes from the generator passed in.

>>> field = smooth_noise(np.random.default_rng(0), (30, 44))
>>> field.shape, field.dtype, bool(abs(float(field.mean())) < 0.5)
((30, 44), dtype('float32'), True)
"""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BELT_LEVELS",
    "Field",
    "apply_lamp",
    "belt_texture",
    "blend",
    "disc",
    "smooth_noise",
    "smooth_step",
    "stroke",
]

BELT_LEVELS: Final = 10  # brightest grey level of a dark belt

Field = NDArray[np.float32]

_OCTAVES: Final = ((12.0, 1.0), (5.0, 0.85), (2.4, 0.7))  # cell in pixels, amplitude: from shade to grain of a surface
_SLOPE_PX: Final = 48  # window over which the lamp's slope is stated


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], *, detail: float = 1.0) -> Field:
    """Return multi-octave noise, float32, mean about 0, standard deviation about 0.5.

    Args:
        rng: source of the noise.
        shape: (h, w) of the field.
        detail: factor of the finest octave: 0 is soft, 2 is rough.
    """
    total = np.zeros(shape, np.float32)
    for cell_px, amplitude in _OCTAVES:
        down, right = _spline(shape[0], cell_px), _spline(shape[1], cell_px)
        lattice = rng.standard_normal((down.shape[1], right.shape[1]), np.float32)
        lattice *= np.float32(amplitude * (detail if cell_px == _OCTAVES[-1][0] else 1.0))
        total += down @ lattice @ right.T  # ten times faster than cv2.resize at this size
    return total


def smooth_step(values: Field, threshold: float, softness: float) -> Field:
    """Return 0 well below `threshold`, 1 well above it, linear within `softness` around it; a new field."""
    return np.asarray(np.clip((values - np.float32(threshold)) / np.float32(softness) + np.float32(0.5), 0, 1))


def blend(colours: NDArray[np.float32], target_bgr: NDArray[np.float32], weight: Field) -> None:
    """Move `colours`, (3, h, w), in place towards `target_bgr`, (3, 1, 1), by `weight`, (h, w) in 0..1."""
    colours += (target_bgr - colours) * weight


def disc(x_px: Field, y_px: Field, centre_px: tuple[float, float], radius_px: float) -> Field:
    """Return the coverage, 0..1, of a disc with a soft edge of one pixel.

    Args:
        x_px: (h, w) coordinate of each pixel.
        y_px: (h, w) the other one.
        centre_px: x and y in the same coordinates.
        radius_px: > 0.
    """
    squares = np.square(x_px - np.float32(centre_px[0])) + np.square(y_px - np.float32(centre_px[1]))
    return np.asarray(np.clip(np.float32(radius_px + 0.5) - np.sqrt(squares), 0, 1))


def stroke(
    x_px: Field, y_px: Field, ends_px: tuple[tuple[float, float], tuple[float, float]], half_width_px: float
) -> Field:
    """Return the coverage, 0..1, of a straight stroke with round ends and a soft edge of one pixel.

    Args:
        x_px: (h, w) coordinate of each pixel.
        y_px: (h, w) the other one.
        ends_px: the two ends, (x, y) each, in the same coordinates.
        half_width_px: > 0.
    """
    (x0, y0), (x1, y1) = ends_px
    dx, dy = x1 - x0, y1 - y0
    along = ((x_px - np.float32(x0)) * np.float32(dx) + (y_px - np.float32(y0)) * np.float32(dy)) / np.float32(
        max(dx * dx + dy * dy, 1e-6)
    )
    along = np.clip(along, 0, 1)
    squares = np.square(x_px - np.float32(x0) - along * np.float32(dx))
    squares += np.square(y_px - np.float32(y0) - along * np.float32(dy))
    return np.asarray(np.clip(np.float32(half_width_px + 0.5) - np.sqrt(squares), 0, 1))


def apply_lamp(
    colours: NDArray[np.float32], rng: np.random.Generator, *, gain_spread: float, noise_levels: float
) -> NDArray[np.uint8]:
    """Return what lamp, lens and sensor make of a scene: gain, colour cast, slope of light, blur, noise.

    Args:
        colours: (3, h, w) float32 grey levels of blue, green, red on black; changed.
        rng: source of gain, slope and noise.
        gain_spread: the lamp's gain lies within 1 +- this; its slope over 48 px within half of it.
        noise_levels: standard deviation of the sensor noise at full brightness, in grey levels.

    Returns:
        (h, w, 3) uint8 BGR.
    """
    height, width = colours.shape[1:]
    rows = np.arange(-height, height, 2, dtype=np.float32)[:, None]
    columns = np.arange(-width, width, 2, dtype=np.float32)
    gain, slope_x, slope_y = rng.uniform(-gain_spread, gain_spread, 3).astype(np.float32)
    light = 1 + gain + (slope_x * columns + slope_y * rows) / np.float32(2 * _SLOPE_PX)
    colours *= light * rng.uniform(0.98, 1.02, 3).astype(np.float32)[:, None, None]
    seen = cv2.GaussianBlur(cv2.merge([*colours]), (3, 3), float(rng.uniform(0.45, 0.8)))  # (h, w, 3)
    noise = rng.standard_normal(seen.shape, np.float32)
    noise *= np.sqrt(seen * np.float32(noise_levels**2 / 255))  # shot noise: grows with the root of the light
    noise += seen
    return np.asarray(cv2.convertScaleAbs(np.maximum(noise, 0)), np.uint8)  # rounds, saturates at 255


def belt_texture(rng: np.random.Generator, shape: tuple[int, int], levels: int = BELT_LEVELS) -> NDArray[np.uint8]:
    """Return what a camera sees of an empty belt: (h, w, 3) uint8 grey levels 0..`levels`, each pixel for itself."""
    return rng.integers(0, levels + 1, (*shape, 3), np.uint8)


@lru_cache(maxsize=256)
def _spline(size_px: int, cell_px: float) -> Field:
    """Return the weights, (size_px, knots), that draw a cubic spline through knots `cell_px` apart."""
    places = np.arange(size_px, dtype=np.float32)[:, None] / np.float32(cell_px)
    knots = np.arange(-1, int(size_px / cell_px) + 3, dtype=np.float32)
    away = np.abs(places - knots)
    near = np.float32(2 / 3) - away**2 + away**3 / 2
    far = np.maximum(2 - away, 0) ** 3 / 6
    return np.asarray(np.where(away < 1, near, far), np.float32)
