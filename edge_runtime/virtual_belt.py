"""A belt with pieces of known class passing a virtual line-scan or area camera.

The scene is decided by settings and source alone: however it is cut into blocks, it is the same scene. Knows no model,
no valve and no time but the belt's.

>>> from edge_runtime.grain_sources import RenderedGrains
>>> from edge_runtime.grains import LAB
>>> belt = VirtualBelt(BeltSettings(mix={"sound": 1.0}, pieces=3, width_px=256), RenderedGrains(LAB))
>>> lines = sum(len(block.pixels) for block in belt.blocks(64))
>>> len(belt.objects), lines > belt.objects[-1].last_line
(3, True)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError
from edge_runtime.grain_sources import GrainSource
from edge_runtime.grain_textures import BELT_LEVELS, belt_texture
from edge_runtime.grains import Grain
from edge_runtime.line_scan import Block

__all__ = ["BeltObject", "BeltSettings", "VirtualBelt"]

_TRIES: Final = 8  # places tried across the belt before a piece waits for room
_EDGE_PX: Final = 4  # pieces keep off the edges and the ends of the scene: masks are widened there
_NOISE_LINES: Final = 251  # the belt's own texture repeats after this many lines
_MAX_NOISE: Final = 12


class BeltSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs on the belt.

    Attributes:
        mix: share of each class, > 0; normalised.
        pieces: number of pieces.
        rate_hz: pieces a second in the mean; arrivals are Poisson, but for pieces that wait for room.
        belt_mm_s: belt speed.
        pixel_mm: size of a pixel, both ways.
        width_px: pixels of a line.
        min_gap_mm: room kept between the boxes of any two pieces; 0 lets them touch and overlap as they fall.
        noise_levels: brightest grey level of the belt's own texture.
        seed: same seed, same source, same scene.
    """

    mix: dict[str, float]
    pieces: Annotated[int, msgspec.Meta(ge=0)] = 1000
    rate_hz: Annotated[float, msgspec.Meta(gt=0.0)] = 500.0
    belt_mm_s: Annotated[float, msgspec.Meta(gt=0.0)] = 2000.0
    pixel_mm: Annotated[float, msgspec.Meta(gt=0.0)] = 0.13
    width_px: Annotated[int, msgspec.Meta(ge=64, le=16384)] = 1024
    min_gap_mm: Annotated[float, msgspec.Meta(ge=0.0)] = 0.8
    noise_levels: Annotated[int, msgspec.Meta(ge=0, le=_MAX_NOISE)] = BELT_LEVELS
    seed: int = 1


@dataclass(frozen=True, slots=True)
class BeltObject:
    """Truth about one piece.

    Attributes:
        number: counts from 0, in the order of first lines.
        kind: its class.
        x_px: left edge of its box; width_px: of the box.
        first_line: absolute; last_line: absolute, inclusive.
    """

    number: int
    kind: str
    x_px: int
    width_px: int
    first_line: int
    last_line: int

    @property
    def centre_px(self) -> float:
        """Middle of its box across the belt, in pixels from the left edge of the view."""
        return self.x_px + self.width_px / 2

    @property
    def centre_line(self) -> float:
        """Middle of its box along the belt, in absolute lines."""
        return (self.first_line + self.last_line + 1) / 2


class VirtualBelt:
    """One run of pieces past one camera.

    Args:
        settings: what runs on it.
        source: what the pieces look like.

    Raises:
        ConfigError: the mix is empty, has a share that is not positive, or names a class the source lacks.

    Note:
        Pixels in memory: one block and the pieces that reach into it. The truth is kept for the whole run.
    """

    def __init__(self, settings: BeltSettings, source: GrainSource) -> None:
        unknown = sorted(settings.mix.keys() - set(source.class_names))
        if unknown:
            raise ConfigError(f"mix names {unknown[0]!r}: the source has {', '.join(source.class_names)}")
        if not settings.mix or min(settings.mix.values()) <= 0:
            raise ConfigError(f"mix {settings.mix}: every class needs a share above 0, and at least one class")
        self._settings = settings
        self._source = source
        self._objects: list[BeltObject] = []

    @property
    def objects(self) -> tuple[BeltObject, ...]:
        """The pieces placed so far in the latest pass of `blocks` or `frames`, by first line."""
        return tuple(self._objects)

    def objects_from(self, number: int) -> list[BeltObject]:
        """Return the pieces placed so far in the latest pass, from this number on."""
        return self._objects[number:]

    def blocks(self, block_lines: int) -> Iterator[Block]:
        """Yield the scene as consecutive blocks; a new call starts the same scene again.

        Args:
            block_lines: lines of each block, >= 1; the last block may be shorter.

        Raises:
            ConfigError: a piece is wider than the belt, or the source cannot give one.
            EdgeError: the source cannot read a picture.
        """
        scene = _Scene(self._settings)
        self._objects = []
        pieces = self._pieces(frame_lines=0)
        upcoming = next(pieces, None)
        first_line = 0
        while upcoming is not None or not scene.is_over(first_line):
            while upcoming is not None and upcoming[0].first_line < first_line + block_lines:
                scene.add(*upcoming)
                self._objects.append(upcoming[0])
                upcoming = next(pieces, None)
            is_last = upcoming is None and scene.is_over(first_line + block_lines)
            end_line = scene.end_line if is_last else first_line + block_lines
            yield Block(first_line, scene.draw(first_line, end_line))
            first_line = end_line

    def frames(self, height_px: int) -> Iterator[NDArray[np.uint8]]:
        """Yield area frames, (height_px, W, 3) uint8, that do not overlap; every piece lies whole in one frame.

        Line y of frame i is line i * height_px + y of `objects`. A new call starts again; the scene is another than
        that of `blocks`, for pieces that would be cut wait for the next frame.

        Raises:
            ConfigError: a piece is larger than the frame, or the source cannot give one.
            EdgeError: the source cannot read a picture.
        """
        scene = _Scene(self._settings)
        self._objects = []
        pieces = self._pieces(frame_lines=height_px)
        upcoming = next(pieces, None)
        first_line = 0
        while upcoming is not None:
            while upcoming is not None and upcoming[0].first_line < first_line + height_px:
                scene.add(*upcoming)
                self._objects.append(upcoming[0])
                upcoming = next(pieces, None)
            yield scene.draw(first_line, first_line + height_px)
            first_line += height_px

    def _pieces(self, *, frame_lines: int) -> Iterator[tuple[BeltObject, Grain]]:
        """Yield pieces with their places, by first line; frame_lines > 0 keeps them whole in frames of that height."""
        s = self._settings
        rng = np.random.default_rng(s.seed)
        kinds = tuple(s.mix)
        shares = np.cumsum([s.mix[kind] for kind in kinds])
        room = _Room(width_px=s.width_px, gap_px=round(s.min_gap_mm / s.pixel_mm), frame_lines=frame_lines)
        arrival_line = float(_EDGE_PX)
        for number in range(s.pieces):
            arrival_line += rng.exponential(s.belt_mm_s / s.rate_hz / s.pixel_mm)
            kind = kinds[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
            grain = self._source.draw(kind, rng)
            height, width = grain.mask.shape
            x_px, line = room.place(int(arrival_line), height, width, rng)
            arrival_line = max(arrival_line, float(line))  # who waits holds up those behind: the belt is full
            yield BeltObject(number, kind, x_px, width, line, line + height - 1), grain


class _Room:
    """Where pieces may lie: boxes of the pieces that a new one could meet."""

    def __init__(self, *, width_px: int, gap_px: int, frame_lines: int) -> None:
        self._width_px = width_px
        self._gap_px = gap_px
        self._frame_lines = frame_lines
        self._boxes: list[tuple[int, int, int]] = []  # left, one past right, last line

    def place(self, line: int, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return x and first line of a piece that arrives at `line`: at once, or when there is room.

        Raises:
            ConfigError: the piece is wider than the belt.
        """
        free_px = self._width_px - 2 * _EDGE_PX - width
        if free_px < 0:
            raise ConfigError(f"a piece of {width} px does not fit a belt of {self._width_px} px with its edges")
        while True:
            line = self._whole_in_frame(line, height)
            self._boxes = [box for box in self._boxes if box[2] + self._gap_px >= line]
            for _ in range(_TRIES):
                x_px = _EDGE_PX + int(rng.integers(free_px + 1))
                if not self._gap_px or not self._meets(x_px, x_px + width):
                    self._boxes.append((x_px, x_px + width, line + height - 1))
                    return x_px, line
            line = min(box[2] for box in self._boxes) + self._gap_px + 1

    def _meets(self, left: int, right: int) -> bool:
        gap = self._gap_px
        return any(left < box_right + gap and box_left - gap < right for box_left, box_right, _ in self._boxes)

    def _whole_in_frame(self, line: int, height: int) -> int:
        if not self._frame_lines:
            return line
        if height + 2 * _EDGE_PX > self._frame_lines:
            raise ConfigError(f"a piece of {height} px does not fit a frame of {self._frame_lines} px with its edges")
        inside = line % self._frame_lines
        if inside < _EDGE_PX:
            return line - inside + _EDGE_PX
        if inside + height + _EDGE_PX > self._frame_lines:
            return line - inside + self._frame_lines + _EDGE_PX
        return line


class _Scene:
    """Draws lines: the belt's texture, and the pieces that reach into them."""

    def __init__(self, settings: BeltSettings) -> None:
        rng = np.random.default_rng((settings.seed & 0xFFFFFFFF, 1))
        self._texture = belt_texture(rng, (_NOISE_LINES, settings.width_px), settings.noise_levels)
        self._active: list[tuple[BeltObject, Grain]] = []
        self.end_line = 0

    def add(self, piece: BeltObject, grain: Grain) -> None:
        self._active.append((piece, grain))
        self.end_line = max(self.end_line, piece.last_line + 1 + _EDGE_PX)

    def is_over(self, line: int) -> bool:
        """Tell whether `line` lies behind all pieces added."""
        return line >= self.end_line

    def draw(self, first_line: int, end_line: int) -> NDArray[np.uint8]:
        """Return lines first_line..end_line - 1, (H, W, 3); pieces that end before end_line are forgotten."""
        pixels = self._texture[np.arange(first_line, end_line) % _NOISE_LINES]
        for piece, grain in self._active:
            top, bottom = max(piece.first_line, first_line), min(piece.last_line + 1, end_line)
            if top < bottom:
                place = pixels[top - first_line : bottom - first_line, piece.x_px : piece.x_px + piece.width_px]
                np.maximum(place, grain.pixels[top - piece.first_line : bottom - piece.first_line], out=place)
        self._active = [item for item in self._active if item[0].last_line >= end_line]
        return pixels
