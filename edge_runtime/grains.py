"""Grains of known class, rendered: six classes of a rice-like product, as a laboratory and as a machine sees them.

Everything comes from the generator passed in: same seed, same bytes. Knows no belt, no machine and no model.

>>> grain = render_grain("sound", LAB, np.random.default_rng(7))
>>> grain.pixels.shape[:2] == grain.mask.shape, grain.pixels.dtype
(True, dtype('uint8'))
>>> bool((grain.pixels[~grain.mask] == 0).all())
True
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.grain_bodies import WINDOW_PX, Body, break_off, chip_tip, kernel_body, stone_body
from edge_runtime.grain_paint import (
    Colours,
    paint_chalk,
    paint_cut,
    paint_discoloured,
    paint_holes,
    paint_skin,
    paint_stone,
)
from edge_runtime.grain_textures import apply_lamp, belt_texture
from edge_runtime.schemas import DisplayName

__all__ = ["CLASS_NAMES", "DISPLAY_NAMES", "FLOOR", "LAB", "Grain", "Look", "render_grain", "write_class_folders"]

CLASS_NAMES: Final = ("sound", "broken", "chalky", "discoloured", "insect", "stone")
DISPLAY_NAMES: Final[Mapping[str, DisplayName]] = {
    "sound": DisplayName("Sound", "完好粒"),
    "broken": DisplayName("Broken", "碎粒"),
    "chalky": DisplayName("Chalky", "垩白粒"),
    "discoloured": DisplayName("Discoloured", "变色粒"),
    "insect": DisplayName("Insect damaged", "虫蚀粒"),
    "stone": DisplayName("Stone", "石子"),
}
_SPLITS: Final = (("train", 0.70), ("validation", 0.85), ("test", 1.0))  # upper ends of a uniform draw


@dataclass(frozen=True, slots=True)
class Look:
    """A population of grains and the lamp above it.

    Attributes:
        name: for records.
        new_season_share: share 0..1 of pieces that look as the laboratory never saw them: reddish kernels, pale insect
            galleries, stains at the tip only, core chalk in red kernels, dusty stones.
        gain_spread: the lamp's gain lies within 1 +- this.
        noise_levels: sensor noise at full brightness, standard deviation in grey levels.
    """

    name: str
    new_season_share: float = 0.0
    gain_spread: float = 0.06
    noise_levels: float = 4.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.new_season_share <= 1.0:
            raise ConfigError(f"look {self.name}: new_season_share {self.new_season_share} is outside 0..1")


LAB: Final = Look("lab")
FLOOR: Final = Look("floor", new_season_share=0.06, gain_spread=0.08, noise_levels=5.0)


@dataclass(frozen=True, slots=True)
class Grain:
    """One rendered piece, cut to its box.

    Attributes:
        pixels: (h, w, 3) uint8 BGR, 0 outside the mask; h and w at most 46.
        mask: (h, w) bool.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def render_grain(kind: str, look: Look, rng: np.random.Generator) -> Grain:
    """Render one piece of class `kind`.

    Args:
        kind: one of CLASS_NAMES.
        look: population that it is drawn from.
        rng: source of everything that varies.

    Raises:
        ConfigError: `kind` is no class.

    Note:
        Defects differ in degree, and sound kernels have the faint ones that the trade lets pass.
    """
    _check_class(kind)
    is_new_season = bool(rng.random() < look.new_season_share)
    if kind == "stone":
        body = stone_body(rng, length_px=float(rng.uniform(17, 34)), aspect=float(rng.uniform(1.0, 2.0)))
        return _finish(body, paint_stone(body, rng, dusty=is_new_season), look, rng)
    is_red = is_new_season and kind in {"sound", "broken", "chalky"}
    body = kernel_body(
        rng,
        length_px=float(np.clip(rng.normal(35.5 - 2 * is_red, 2.6), 27, 43)),
        width_px=float(np.clip(rng.normal(12.6 + 0.8 * is_red, 1.0), 10, 16)),
    )
    colours = paint_skin(body, rng, red_season=float(is_red))
    match kind:
        case "sound":
            body = _blemish(colours, body, rng)
        case "broken":
            body = _break(colours, body, rng)
        case "chalky":
            paint_chalk(colours, body, rng, severity=float(rng.uniform(0.6, 1.0)))
        case "discoloured":
            severity = float(rng.uniform(0.7, 1.0))
            paint_discoloured(colours, body, rng, severity=severity, tip_only=is_new_season)
        case _:
            _bore(colours, body, rng, pale=is_new_season)
    return _finish(body, colours, look, rng)


def write_class_folders(folder: Path, counts: Mapping[str, int], look: Look, seed: int) -> Path:
    """Write a sample set as a technician would deliver it: `class/00001.png`, 48 x 48 px, and manifest.csv.

    The pieces lie on the machine's own belt: samples on another ground would tell a model which ones came from the
    laboratory, and it would learn that instead of the product (docs/samples.md).

    Args:
        folder: made if missing.
        counts: number of pieces by class; may be as uneven as real lots are.
        look: population.
        seed: same seed, same bytes of every picture and of the manifest.

    Returns:
        The path of manifest.csv, with columns file, class, split (70 % train, 15 % validation, 15 % test, drawn piece
        by piece) and group (every piece is its own).

    Raises:
        ConfigError: a name in `counts` is no class.
        StorageError: the folder cannot be written.
    """
    for kind in counts:
        _check_class(kind)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("file", "class", "split", "group"))
    rng = np.random.default_rng(seed)
    try:
        for kind, count in counts.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for number in range(1, count + 1):
                name = f"{kind}/{number:05d}.png"
                (folder / name).write_bytes(_as_png(render_grain(kind, look, rng), rng))
                draw = rng.random()
                split = next(title for title, upper in _SPLITS if draw < upper)
                rows.writerow((name, kind, split, f"{kind}-{number:05d}"))
        manifest = folder / "manifest.csv"
        manifest.write_text(table.getvalue(), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the sample set to {folder}: {error.strerror or error}") from error
    return manifest


def _check_class(kind: str) -> None:
    if kind not in CLASS_NAMES:
        raise ConfigError(f"{kind!r} is no class of the rendered product: use one of {', '.join(CLASS_NAMES)}")


def _blemish(colours: Colours, body: Body, rng: np.random.Generator) -> Body:
    """Give a sound kernel the small faults that the trade lets pass: each looks like a faint defect."""
    chalk, stain, speck, chip = rng.random(4)
    if chalk < 0.08:
        paint_chalk(colours, body, rng, severity=float(rng.uniform(0.0, 0.08)))
    if stain < 0.06:
        paint_discoloured(colours, body, rng, severity=float(rng.uniform(0.0, 0.08)), tip_only=False)
    if speck < 0.06:
        paint_holes(colours, body, rng, holes=1, radius_px=0.6, depth=float(rng.uniform(0.1, 0.3)), pale=False)
    if chip < 0.15:
        return chip_tip(body, rng, share=float(rng.uniform(0.02, 0.10)))
    return body


def _break(colours: Colours, body: Body, rng: np.random.Generator) -> Body:
    piece, distance_px = break_off(body, rng, keep=float(rng.uniform(0.38, 0.76)))
    paint_cut(colours, distance_px, rng)
    if rng.random() < 0.2:  # broken at both ends
        piece, distance_px = break_off(piece, rng, keep=float(rng.uniform(0.75, 0.95)))
        paint_cut(colours, distance_px, rng)
    return piece


def _bore(colours: Colours, body: Body, rng: np.random.Generator, *, pale: bool) -> None:
    severity = rng.uniform(0.8, 1.0)
    holes = 1 + int(rng.binomial(3, 0.2 + 0.4 * severity))
    radius_px, depth = 0.65 + 1.2 * severity * rng.uniform(0.6, 1.0), 0.35 + 0.55 * severity
    paint_holes(colours, body, rng, holes=holes, radius_px=float(radius_px), depth=float(depth), pale=pale)


def _finish(body: Body, colours: Colours, look: Look, rng: np.random.Generator) -> Grain:
    """Put the piece on black, under the lamp and before the sensor, and cut it to its box."""
    scene = np.maximum(colours, 0) * body.coverage
    seen = apply_lamp(scene, rng, gain_spread=look.gain_spread, noise_levels=look.noise_levels)
    mask = np.asarray(cv2.blur(body.coverage, (3, 3)) > np.float32(0.2), np.bool_)
    pixels = cv2.bitwise_and(seen, seen, mask=mask.view(np.uint8))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Grain(np.ascontiguousarray(pixels[box]), np.ascontiguousarray(mask[box]))


def _as_png(grain: Grain, rng: np.random.Generator) -> bytes:
    height, width = grain.mask.shape
    top, left = (WINDOW_PX - height) // 2, (WINDOW_PX - width) // 2
    canvas = belt_texture(rng, (WINDOW_PX, WINDOW_PX))
    place = canvas[top : top + height, left : left + width]
    np.maximum(place, grain.pixels, out=place)
    return cv2.imencode(".png", canvas)[1].tobytes()
