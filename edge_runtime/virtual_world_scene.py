"""What passes the cameras of a virtual world: blocks of pixels drawn before the start, and the truth about the pieces.

One round of the scene is drawn and passes again and again until there are enough pieces: memory holds one round. It
must not know time, sockets or valves.

>>> from edge_runtime.grain_sources import RenderedGrains
>>> from edge_runtime.grains import LAB
>>> from edge_runtime.schemas import ClassRule
>>> settings = BeltSettings(mix={"sound": 1.0}, pieces=30, width_px=256)
>>> recipe = Recipe((ClassRule("sound"),))
>>> scene = draw_scene(settings, RenderedGrains(LAB), recipe, block_lines=64, most_pieces=10)
>>> scene.rounds, scene.pieces.count, scene.total_blocks == 3 * len(scene.blocks)
(3, 30, True)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError
from edge_runtime.grain_sources import GrainSource
from edge_runtime.grain_textures import belt_texture
from edge_runtime.schemas import Recipe
from edge_runtime.virtual_belt import BeltSettings, VirtualBelt

__all__ = ["NO_PIECES", "BeltPieces", "WorldScene", "draw_scene"]

_EMPTY_STREAM: Final = 7  # of the seed: the texture of the empty belt


@dataclass(frozen=True, slots=True)
class BeltPieces:
    """N pieces on the belt, by first line; lines count from the scene's first.

    Attributes:
        class_ids: (N,) int64, true class.
        centres_px: (N,) float64, middle of the box across the belt.
        first_lines, last_lines: (N,) int64, of the box, inclusive.
    """

    class_ids: NDArray[np.int64]
    centres_px: NDArray[np.float64]
    first_lines: NDArray[np.int64]
    last_lines: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Return N."""
        return int(self.class_ids.size)

    def moved(self, lines: int) -> "BeltPieces":
        """Return the same pieces that many lines later."""
        return BeltPieces(self.class_ids, self.centres_px, self.first_lines + lines, self.last_lines + lines)

    def first(self, count: int) -> "BeltPieces":
        """Return the first pieces."""
        part = slice(count)
        return BeltPieces(self.class_ids[part], self.centres_px[part], self.first_lines[part], self.last_lines[part])

    def repeated(self, rounds: int, round_lines: int) -> "BeltPieces":
        """Return the pieces of that many rounds, one behind the other."""
        shift = np.repeat(np.arange(rounds, dtype=np.int64) * round_lines, self.count)
        return BeltPieces(
            np.tile(self.class_ids, rounds),
            np.tile(self.centres_px, rounds),
            np.tile(self.first_lines, rounds) + shift,
            np.tile(self.last_lines, rounds) + shift,
        )


NO_PIECES: Final = BeltPieces(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class WorldScene:
    """What passes: `rounds` times the same blocks.

    Attributes:
        recipe: class names, and what becomes of each class.
        blocks: of one round, each (block_lines, W, 3) uint8, contiguous.
        empty: a block of the belt without pieces.
        rounds: how often the blocks pass.
        pieces: of all rounds.
    """

    recipe: Recipe
    blocks: tuple[NDArray[np.uint8], ...]
    empty: NDArray[np.uint8]
    rounds: int
    pieces: BeltPieces

    @property
    def block_lines(self) -> int:
        """Return the lines of each block."""
        return int(self.empty.shape[0])

    @property
    def total_blocks(self) -> int:
        """Return the blocks of all rounds."""
        return self.rounds * len(self.blocks)

    @property
    def total_lines(self) -> int:
        """Return the lines of all rounds."""
        return self.total_blocks * self.block_lines

    def block(self, number: int | None) -> NDArray[np.uint8]:
        """Return block `number` of the scene; the empty belt before the first, behind the last, and for None."""
        if number is None or not 0 <= number < self.total_blocks:
            return self.empty
        return self.blocks[number % len(self.blocks)]


def draw_scene(
    settings: BeltSettings,
    source: GrainSource,
    recipe: Recipe,
    *,
    block_lines: int,
    most_pieces: int,
) -> WorldScene:
    """Draw the scene.

    Args:
        settings: what runs on the belt; `pieces` are those of all rounds, made up to whole rounds.
        source: what the pieces look like.
        recipe: truth is given as indices of its classes.
        block_lines: lines of each block, >= 1.
        most_pieces: pieces drawn, >= 1: one round.

    Raises:
        ConfigError: the mix is empty or names a class that the source or the recipe lacks, or a piece is wider than the
            belt.
        EdgeError: the source cannot read a picture.
    """
    names = recipe.class_names
    strange = sorted(set(settings.mix) - set(names))
    if strange:
        raise ConfigError(f"the belt carries {strange[0]!r}, the recipe has {', '.join(names)}")
    drawn = min(settings.pieces, most_pieces)
    rounds = -(-settings.pieces // drawn) if drawn else 0
    belt = VirtualBelt(msgspec.structs.replace(settings, pieces=drawn), source)
    rng = np.random.default_rng((settings.seed & 0xFFFFFFFF, _EMPTY_STREAM))
    empty = np.ascontiguousarray(belt_texture(rng, (block_lines, settings.width_px), settings.noise_levels))
    blocks: list[NDArray[np.uint8]] = []
    for block in belt.blocks(block_lines):
        whole = np.ascontiguousarray(block.pixels)
        if len(whole) < block_lines:
            whole = np.concatenate([whole, empty[len(whole) :]])
        blocks.append(whole)
    pieces = _truth(belt, names).repeated(rounds, len(blocks) * block_lines)
    return WorldScene(recipe, tuple(blocks), empty, rounds, pieces)


def _truth(belt: VirtualBelt, class_names: Sequence[str]) -> BeltPieces:
    ids = {name: i for i, name in enumerate(class_names)}
    objects = belt.objects
    return BeltPieces(
        np.array([ids[piece.kind] for piece in objects], np.int64),
        np.array([piece.centre_px for piece in objects], np.float64),
        np.array([piece.first_line for piece in objects], np.int64),
        np.array([piece.last_line for piece in objects], np.int64),
    )
