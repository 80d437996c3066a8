"""Surfaces of rendered grains: skin, chalk, discolouration, insect holes and stone, each painted onto a body.

Colours are BGR grey levels as a camera under white light sees them. Knows nothing of classes' names, looks or belts.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.grain_bodies import Body
from edge_runtime.grain_textures import Field, blend, disc, smooth_noise, smooth_step, stroke

__all__ = ["Colours", "paint_chalk", "paint_cut", "paint_discoloured", "paint_holes", "paint_skin", "paint_stone"]

Colours = NDArray[np.float32]  # (3, h, w): blue, green, red; a single colour is (3, 1, 1)


def _bgr(blue: float, green: float, red: float) -> Colours:
    return np.array((blue, green, red), np.float32)[:, None, None]


_PALE: Final = _bgr(178, 204, 212)
_CREAM: Final = _bgr(132, 178, 200)
_RED_SEASON: Final = _bgr(84, 122, 168)
_FLOUR: Final = _bgr(214, 224, 226)
_GERM: Final = _bgr(104, 150, 178)
_YELLOW: Final = _bgr(84, 150, 192)
_BROWN: Final = _bgr(58, 84, 116)
_PALE_GALLERY: Final = _bgr(216, 228, 230)
_HOLE: Final = _bgr(34, 46, 58)
_GREY_STONE: Final = _bgr(140, 146, 150)
_BROWN_STONE: Final = _bgr(96, 122, 144)


def paint_skin(body: Body, rng: np.random.Generator, *, red_season: float) -> Colours:
    """Return the skin of a kernel: hue, brightness, shading, streaks along it, germ and gloss.

    Args:
        body: outline.
        rng: source of everything that differs from kernel to kernel.
        red_season: 0 is the usual variety, 1 the dark reddish one of a new season.
    """
    hue, brightness, ripeness = rng.beta(2, 2), rng.normal(1, 0.055), rng.uniform(0.75, 1.1)
    base = _PALE + (_CREAM - _PALE) * np.float32(hue)
    base = base + (_RED_SEASON - base) * np.float32(red_season * ripeness)
    v = body.across_px / np.float32(body.half_width_px)
    light = np.float32(0.70) + np.float32(0.30) * body.height + np.float32(rng.uniform(-0.08, 0.08)) * v
    light += np.float32(0.045) * smooth_noise(rng, body.shape)
    light += _streaks(rng, v)
    colours: Colours = base * (np.float32(brightness) * light)
    tip = (0.86 * body.half_length_px, float(rng.choice((-0.4, 0.4))) * body.half_width_px)
    germ = disc(body.along_px, body.across_px, tip, body.half_width_px * float(rng.uniform(0.3, 0.5)))
    blend(colours, _GERM, germ * np.float32(rng.uniform(0.1, 0.6)))
    colours += _gloss(body, rng, v)
    return colours


def paint_cut(colours: Colours, distance_px: Field, rng: np.random.Generator) -> None:
    """Lighten, in place, a broken edge: its flour shows; `distance_px` is the distance to the edge."""
    depth_px = rng.uniform(1.2, 3.0)
    face = np.clip(1 - distance_px / np.float32(depth_px), 0, 1)
    blend(colours, _FLOUR, face * np.float32(rng.uniform(0.0, 0.55)))


def paint_chalk(colours: Colours, body: Body, rng: np.random.Generator, *, severity: float) -> None:
    """Make, in place, a part of the kernel white and opaque.

    Args:
        colours: changed.
        body: outline.
        rng: source of place and shape: belly, core or back.
        severity: 0..1 of size and opacity.
    """
    at = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.75, 0.75))
    reach = 0.30 + 0.75 * severity
    u = body.along_px / np.float32(body.half_length_px) - np.float32(at[0])
    v = body.across_px / np.float32(body.half_width_px) - np.float32(at[1])
    field = np.float32(1) - np.sqrt(np.square(u / np.float32(reach)) + np.square(v / np.float32(0.4 + reach)))
    field += np.float32(0.30) * smooth_noise(rng, body.shape)
    opacity = min(1.0, 0.25 + 0.65 * severity) * rng.uniform(0.85, 1.0)
    white = _FLOUR * np.float32(rng.uniform(0.95, 1.06))
    shaded = smooth_step(field, 0.25, 0.55) * np.float32(opacity) * (np.float32(0.55) + np.float32(0.45) * body.height)
    blend(colours, white, shaded)


def paint_discoloured(
    colours: Colours, body: Body, rng: np.random.Generator, *, severity: float, tip_only: bool
) -> None:
    """Stain, in place, a part of the kernel yellow to dark brown.

    Args:
        colours: changed.
        body: outline.
        rng: source of place, shape and hue.
        severity: 0..1 of size and depth of the stain.
        tip_only: the stain stays at one end, and is lighter.
    """
    hue = float(np.clip(rng.normal(0.15 + 0.75 * severity, 0.22), 0, 1))
    stain = _YELLOW + (_BROWN - _YELLOW) * np.float32(hue)
    field = np.float32(0.9) * smooth_noise(rng, body.shape, detail=0.6)
    u = body.along_px / np.float32(body.half_length_px)
    if tip_only:
        field = field * np.float32(0.3) + (u * np.float32(rng.choice((-1.0, 1.0))) - np.float32(0.62)) * 3
        threshold = 0.15
    else:
        field += np.float32(rng.uniform(-0.8, 0.8)) * u
        threshold = 0.9 - 1.3 * severity
    opacity = min(1.0, 0.30 + 0.60 * severity) * rng.uniform(0.85, 1.0)
    blend(colours, stain, smooth_step(field, threshold, rng.uniform(0.25, 0.8)) * np.float32(opacity))


def paint_holes(  # noqa: PLR0913 - each is one trait of the damage
    colours: Colours, body: Body, rng: np.random.Generator, *, holes: int, radius_px: float, depth: float, pale: bool
) -> None:
    """Bore, in place, round holes, and galleries under the skin.

    Args:
        colours: changed.
        body: outline.
        rng: source of places and directions.
        holes: number of holes; every second one has a gallery.
        radius_px: mean radius.
        depth: 0..1: how dark.
        pale: galleries filled with light frass, shaded at their edges, in place of dark holes.
    """
    for number in range(holes):
        at = _place(body, rng)
        radius = float(radius_px * rng.uniform(0.8, 1.2))
        if pale:
            _paint_gallery(colours, body, rng, at=at, depth=depth)
            continue
        if number % 2 == 1:
            path = stroke(body.along_px, body.across_px, (at, _away(at, rng, reach_px=4.0)), radius * 0.55)
            blend(colours, _HOLE, path * np.float32(depth * 0.6))
        rim = disc(body.along_px, body.across_px, at, radius + 0.9)
        blend(colours, _FLOUR, rim * np.float32(0.25 * depth))
        blend(colours, _HOLE, disc(body.along_px, body.across_px, at, radius) * np.float32(depth))


def paint_stone(body: Body, rng: np.random.Generator, *, dusty: bool) -> Colours:
    """Return the surface of a stone: matte, grey to brown, rough; near the grain's colour when dusty."""
    base = _GREY_STONE + (_BROWN_STONE - _GREY_STONE) * np.float32(rng.uniform(0, 1))
    if dusty:
        base = base + (_CREAM * np.float32(1.02) - base) * np.float32(rng.uniform(0.7, 0.95))
    brightness = float(np.clip(rng.normal(1.0, 0.09), 0.82, 1.2))
    light = np.float32(0.64) + np.float32(0.36) * body.height
    light += np.float32(0.06 if dusty else 0.13) * smooth_noise(rng, body.shape, detail=2.0)
    facet = rng.uniform(-0.012, 0.012, 2).astype(np.float32)
    light += facet[0] * body.along_px + facet[1] * body.across_px
    return np.asarray(base * (np.float32(brightness) * light), np.float32)


def _streaks(rng: np.random.Generator, v: Field) -> Field:
    """Return fine lines along the kernel: one value for each place across it."""
    table = rng.normal(0, 0.022, 24).astype(np.float32)
    return table[np.clip((v + 1) * 12, 0, 23).astype(np.intp)]


def _gloss(body: Body, rng: np.random.Generator, v: Field) -> Field:
    """Return the lamp's reflection: a strip along the ridge, shifted to the lamp's side."""
    level, side, width, middle = rng.uniform((4, -0.45, 0.10, -0.3), (46, 0.45, 0.26, 0.3)).astype(np.float32)
    u = body.along_px / np.float32(body.half_length_px)
    strip = -np.square((v - side) / width) - np.square((u - middle) / np.float32(0.55))
    return np.asarray(level * np.exp(strip), np.float32)


def _paint_gallery(
    colours: Colours, body: Body, rng: np.random.Generator, *, at: tuple[float, float], depth: float
) -> None:
    """Draw, in place, a winding passage of two strokes: shaded edges, pale frass inside."""
    turn = _away(at, rng, reach_px=6.0)
    for ends in ((at, turn), (turn, _away(turn, rng, reach_px=4.0))):
        blend(colours, _HOLE, stroke(body.along_px, body.across_px, ends, 1.5) * np.float32(0.45 * depth))
        blend(colours, _PALE_GALLERY, stroke(body.along_px, body.across_px, ends, 0.6) * np.float32(0.5 + 0.5 * depth))


def _away(at: tuple[float, float], rng: np.random.Generator, *, reach_px: float) -> tuple[float, float]:
    """Return a point about `reach_px` away from `at`, mostly along the kernel."""
    turn, reach = rng.uniform((0, 0.6 * reach_px), (2 * np.pi, 1.4 * reach_px))
    return at[0] + float(reach * np.cos(turn)), at[1] + float(0.5 * reach * np.sin(turn))


def _place(body: Body, rng: np.random.Generator) -> tuple[float, float]:
    """Return a point on the piece, well inside its outline."""
    candidates = np.flatnonzero((body.coverage > 0.99) & (body.height > 0.35))
    if candidates.size == 0:
        return 0.0, 0.0
    at = int(candidates[rng.integers(candidates.size)])
    return float(body.along_px.flat[at]), float(body.across_px.flat[at])
