"""An endless image in blocks: which lines to look at, and which objects belong to each look.

The scene is looked at in steps that begin at multiples of `step_lines`, each with enough lines before it that every
object is seen whole. An object belongs to the step in which its last row, with the rows of context that its mask needs,
is complete. The steps do not depend on where the blocks begin and end: so any block height gives the same objects.
Pure: who keeps the lines between blocks passes them in.

>>> scan = LineScan(max_object_lines=8, guard_px=2, step_lines=16)
>>> views, tail = scan.views(None, Block(0, np.zeros((20, 4, 3), np.uint8)))
>>> [(view.first_line, view.owned_from, view.owned_to) for view in views], len(tail.pixels)
([(0, 0, 14)], 16)
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

    def lines(self, from_line: int, to_line: int) -> NDArray[np.uint8]:
        """Return the pixels of the lines in [from_line, to_line) that the block has; a view, not a copy."""
        return self.pixels[max(0, from_line - self.first_line) : max(0, to_line - self.first_line)]


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
        max_object_lines: longer objects are oversize; of these only the lines inside one look are seen.
        guard_px: rows of context around an object (`SegmentSettings.guard_px`).
        step_lines: lines from look to look. An object waits at most so long after its last row, and each line is looked
            at 1 + max_object_lines / step_lines times: 128 keeps both small for objects of some 100 lines.
    """

    max_object_lines: int
    guard_px: int
    step_lines: int = 128

    def views(self, tail: Block | None, block: Block, *, is_last: bool = False) -> tuple[list[View], Block]:
        """Return what to look at now that a block has come, and the lines to keep for the next one.

        Args:
            tail: what the last call returned; None at the start of the stream.
            block: the next lines; may be empty when `is_last`.
            is_last: the stream ends here, objects at its last line are complete.

        Returns:
            The steps that the block completes, none when it is short, in the order of the scene; and the tail.

        Raises:
            FrameError: the block does not continue the tail, or has another width.
        """
        lines = block if tail is None else _join(tail, block)
        step = self.step_lines
        first, end = (block.first_line if tail is None else tail.end_line) // step, lines.end_line // step
        views = [self._view(lines, index * step, (index + 1) * step - self.guard_px) for index in range(first, end)]
        if is_last:
            views.append(self._view(lines, end * step, lines.end_line))
        keep_from = max(lines.first_line, end * step - self._overlap)
        return views, Block(keep_from, lines.lines(keep_from, lines.end_line))

    @property
    def _overlap(self) -> int:
        return self.max_object_lines + 2 * self.guard_px

    def _view(self, lines: Block, step_line: int, owned_to: int) -> View:
        first_line = max(lines.first_line, step_line - self._overlap)
        to_line = min(lines.end_line, step_line + self.step_lines)
        owned_from = max(first_line, step_line - self.guard_px)
        return View(first_line, lines.lines(first_line, to_line), owned_from, owned_to)


def _join(tail: Block, block: Block) -> Block:
    if tail.end_line != block.first_line:
        raise FrameError(
            f"block starts at line {block.first_line}, line {tail.end_line} is expected: lines are missing"
        )
    if tail.pixels.shape[1:] != block.pixels.shape[1:]:
        raise FrameError(f"block of shape {block.pixels.shape[1:]} after {tail.pixels.shape[1:]}: the width changed")
    return Block(tail.first_line, np.concatenate((tail.pixels, block.pixels)))
