"""Outlines of single pieces: kernels, broken kernels and stones, as coverage and height over a window that fits.

Knows geometry only: no colours, no classes.

>>> body = kernel_body(np.random.default_rng(1), length_px=36.0, width_px=12.0)
>>> 250 < body.coverage.sum() < 400
np.True_
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge_runtime.grain_textures import Field, disc, smooth_noise

__all__ = ["WINDOW_PX", "Body", "break_off", "chip_tip", "kernel_body", "stone_body"]

WINDOW_PX: Final = 48
_LARGEST_PX: Final = 43.0  # the window less two pixels a side that blur and the crop's margin need
_BORDER_PX: Final = 2.5


@dataclass(frozen=True, slots=True)
class Body:
    """One piece in its own coordinates; every field is (h, w) float32, h and w at most 48.

    Attributes:
        along_px: coordinate along the piece, 0 in the middle of the whole piece, in pixels.
        across_px: coordinate across it, bent with it.
        coverage: share of the pixel that the piece covers, 0..1.
        height: 0 at the outline, 1 on the ridge.
        half_length_px, half_width_px: of the whole piece.
    """

    along_px: Field
    across_px: Field
    coverage: Field
    height: Field
    half_length_px: float
    half_width_px: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w) of every field."""
        return self.coverage.shape


def kernel_body(rng: np.random.Generator, *, length_px: float, width_px: float) -> Body:
    """Return a kernel: a bent, tapered long oval with a slight hollow where the germ sat, at a random angle.

    Args:
        rng: source of angle, bend, taper and germ.
        length_px: at most 43 is used, so that the piece stays inside the window.
        width_px: at the widest place.
    """
    half_length = min(length_px, _LARGEST_PX) / 2
    half_width = width_px / 2
    bend, taper = rng.normal(0, 0.13), rng.uniform(0.03, 0.20)
    squareness = rng.uniform(2.2, 3.0)  # exponent of the outline along the kernel: 2 is an ellipse
    along, across = _turned(rng, half_length, half_width * (1.1 + abs(float(bend))))
    u = along / np.float32(half_length)
    across = across - np.float32(bend * half_width) * (u * u - np.float32(0.4))
    v = across / (np.float32(half_width) * (1 - np.float32(taper) * u))
    radius = np.sqrt(np.abs(u) ** np.float32(squareness) + v * v)
    coverage = np.clip(np.float32(0.5) + (1 - radius) * np.float32(half_width), 0, 1)
    germ_at = (0.93 * half_length, float(rng.choice((-0.75, 0.75))) * half_width)
    coverage *= 1 - disc(along, across, germ_at, half_width * float(rng.uniform(0.25, 0.45)))
    height = np.sqrt(np.clip(1 - radius * radius, 0, 1))
    return Body(along, across, coverage, height, half_length, half_width)


def break_off(body: Body, rng: np.random.Generator, *, keep: float) -> tuple[Body, Field]:
    """Break a kernel across and keep one end.

    Args:
        body: the whole kernel.
        rng: source of the edge's slope and roughness, and of which end stays.
        keep: share of the length that stays, 0..1.

    Returns:
        The piece, and the distance of every pixel to the broken edge in pixels, positive inside the piece.
    """
    end = float(rng.choice((-1.0, 1.0)))
    rough = smooth_noise(rng, body.shape) * np.float32(rng.uniform(0.4, 1.6))
    edge_px = np.float32((2 * keep - 1) * body.half_length_px)
    distance = edge_px - np.float32(end) * body.along_px + np.float32(rng.normal(0, 0.28)) * body.across_px + rough
    coverage = body.coverage * np.clip(distance + np.float32(0.5), 0, 1)
    return replace(body, coverage=coverage), distance


def chip_tip(body: Body, rng: np.random.Generator, *, share: float) -> Body:
    """Return the kernel without the last `share` (0..1) of its length: worn, yet whole in the trade's sense."""
    return break_off(body, rng, keep=1 - share)[0]


def stone_body(rng: np.random.Generator, *, length_px: float, aspect: float) -> Body:
    """Return an irregular, faceted stone at a random angle.

    Args:
        rng: source of the outline.
        length_px: longest side, at most 43 is used.
        aspect: length over width, >= 1.
    """
    half_length = min(length_px, _LARGEST_PX) / 2 / 1.18  # the harmonics below add up to 18 % outwards
    half_width = half_length / aspect
    along, across = _turned(rng, half_length * 1.18, half_width * 1.18)
    angles = np.arctan2(across * np.float32(aspect), along)
    outline = np.ones_like(angles)
    for waves in (2, 3, 4, 5, 7):
        outline += np.float32(rng.normal(0, 0.17) / waves) * np.cos(
            np.float32(waves) * angles + np.float32(rng.uniform(0, 6.283))
        )
    outline = np.clip(outline, 0.7, 1.18)
    radius = np.sqrt(np.square(along / np.float32(half_length)) + np.square(across / np.float32(half_width))) / outline
    coverage = np.clip(np.float32(0.5) + (1 - radius) * np.float32(half_width), 0, 1)
    height = np.clip(np.float32(1.2) * (1 - radius * radius), 0, 1) ** np.float32(0.35)  # flat top, steep sides
    return Body(along, across, coverage, np.asarray(height, np.float32), half_length, half_width)


def _turned(rng: np.random.Generator, half_length: float, half_width: float) -> tuple[Field, Field]:
    """Return along and across over the smallest window that holds an ellipse of these halves at a random angle."""
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    shift_x, shift_y = rng.uniform(-0.5, 0.5, 2)  # pieces never sit exactly on the pixel grid
    x = _centred(np.hypot(half_length * cosine, half_width * sine), shift_x)[None, :]
    y = _centred(np.hypot(half_length * sine, half_width * cosine), shift_y)[:, None]
    return x * np.float32(cosine) + y * np.float32(sine), y * np.float32(cosine) - x * np.float32(sine)


def _centred(half_px: float, shift_px: float) -> Field:
    size = min(int(np.ceil(2 * (half_px + _BORDER_PX))), WINDOW_PX)
    return np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2 + shift_px)
