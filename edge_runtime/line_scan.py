"""An endless image in blocks: which lines to look at, and which objects belong to the block.

A block is looked at together with enough lines before it that every object is seen whole. An object belongs to the step
in which its last row, with the rows of context that its mask needs, is complete: so any block height gives the same
objects. Pure: who keeps the lines before a block passes them in.

>>> scan = LineScan(max_object_lines=8, guard_px=2)
>>> view, tail = scan.view(None, Block(0, np.zeros((16, 4, 3), np.uint8)))
>>> (view.first_line, view.owned_from, view.owned_to, len(tail.pixels))
(0, 0, 14, 12)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError

__all__ = ["Block", "LineScan", "View"]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines of one camera: absolute number of the first, and pixels (H, W, C) uint8."""

    first_line: int
    pixels: NDArray[np.uint8]

    @property
    def end_line(self) -> int:
        """One past the last line."""
        return self.first_line + int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class View:
    """Lines to segment, and whose objects count.

    Attributes:
        first_line: absolute number of the first line of `pixels`.
        pixels: (H, W, C) uint8.
        owned_from: objects whose last row lies in [owned_from, owned_to) belong to this step.
        owned_to: end of that range, absolute.
    """

    first_line: int
    pixels: NDArray[np.uint8]
    owned_from: int
    owned_to: int


@dataclass(frozen=True, slots=True)
class LineScan:
    """The overlap rule.

    Attributes:
        max_object_lines: longer objects are oversize at any block height.
        guard_px: rows of context around an object (`SegmentSettings.guard_px`).
    """

    max_object_lines: int
    guard_px: int

    def view(self, tail: Block | None, block: Block, *, is_last: bool = False) -> tuple[View, Block]:
        """Return what to look at for this block, and the lines to keep for the next one.

        Args:
            tail: what the last call returned; None at the start of the stream.
            block: the next lines; may be empty when `is_last`.
            is_last: the stream ends here, objects at its last line are complete.

        Raises:
            FrameError: the block does not continue the tail, or has another width.
        """
        pixels = block.pixels if tail is None else _join(tail, block)
        first_line = block.first_line if tail is None else tail.first_line
        owned_from = block.first_line if tail is None else tail.end_line - self.guard_px
        owned_to = block.end_line if is_last else block.end_line - self.guard_px
        keep = min(len(pixels), self.max_object_lines + 2 * self.guard_px)
        return (
            View(first_line, pixels, max(owned_from, first_line), owned_to),
            Block(block.end_line - keep, pixels[len(pixels) - keep :]),
        )


def _join(tail: Block, block: Block) -> NDArray[np.uint8]:
    if tail.end_line != block.first_line:
        raise FrameError(
            f"block starts at line {block.first_line}, line {tail.end_line} is expected: lines are missing"
        )
    if tail.pixels.shape[1:] != block.pixels.shape[1:]:
        raise FrameError(f"block of shape {block.pixels.shape[1:]} after {tail.pixels.shape[1:]}: the width changed")
    return np.concatenate((tail.pixels, block.pixels))
