"""An endless image in blocks: which lines to look at, and which objects belong to each look.

The scene is looked at in steps that begin at multiples of `step_lines`, each with enough lines before it that every
object is seen whole. An object belongs to the step in which its last row, with the rows of context that its mask needs,
is complete. The steps do not depend on where the blocks begin and end: so any block height gives the same objects.
What lies in the hole of an object belongs to it, but where its own step ends before the object does: then it is decided
by itself, and the object around it later.
Each line is copied once when it comes, corrected; those that the next block needs a second time. Pure: who keeps the
lines between blocks passes them in.

>>> scan = LineScan(max_object_lines=8, guard_px=2, step_lines=16)
>>> lines = join(None, Block(0, np.zeros((20, 4, 3), np.uint8)), None, pad_px=3)
>>> [(view.lines.first_line, view.owned_from, view.owned_to) for view in scan.views(lines, 0)], len(scan.tail(lines))
([(0, 0, 14)], 16)
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.canvas import Canvas
from edge_runtime.errors import FrameError
from edge_runtime.flat_field import FlatField, correct

__all__ = ["Block", "LineScan", "Lines", "View", "join"]


class Block(msgspec.Struct, frozen=True):
    """Consecutive lines as a camera gives them: absolute number of the first, and raw pixels (H, W, C) uint8."""

    first_line: int
    pixels: NDArray[np.uint8]

    @property
    def end_line(self) -> int:
        """One past the last line."""
        return self.first_line + int(self.pixels.shape[0])


class Lines(msgspec.Struct, frozen=True):
    """Consecutive corrected lines on a canvas, and the absolute number of the first."""

    first_line: int
    canvas: Canvas

    def __len__(self) -> int:
        return int(self.canvas.pixels.shape[0])

    @property
    def end_line(self) -> int:
        """One past the last line."""
        return self.first_line + len(self)

    def span(self, from_line: int, to_line: int) -> "Lines":
        """Return the lines in [from_line, to_line), both between first_line and end_line; a view, not a copy."""
        return Lines(from_line, self.canvas.rows(from_line - self.first_line, to_line - self.first_line))


class View(msgspec.Struct, frozen=True):
    """Lines to segment, and whose objects count.

    Attributes:
        lines: what to look at.
        owned_from: objects whose last row lies in [owned_from, owned_to) belong to this step.
        owned_to: end of that range, absolute.
        is_frame: the picture of an area camera: nothing of its scene lies above or below.
    """

    lines: Lines
    owned_from: int
    owned_to: int
    is_frame: bool = False


def join(tail: Lines | None, block: Block, field: FlatField | None, *, pad_px: int) -> Lines:
    """Return the kept lines followed by the block's, corrected: the one copy of the block.

    Args:
        tail: lines kept for this block, see `LineScan.tail`; None at the start of the stream.
        block: the next lines; may be none.
        field: references of the camera.
        pad_px: margin of the canvas.

    Raises:
        FrameError: the block is no (H, W, C) of 8 bit, does not continue the tail, or has another width or number of
            bands.
    """
    pixels = block.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or 0 in pixels.shape[1:]:  # another depth would wrap around
        raise FrameError(f"frame of {pixels.dtype} {pixels.shape}: 8 bit and (height, width, bands) is wanted")
    if tail is not None and tail.end_line != block.first_line:
        raise FrameError(
            f"block starts at line {block.first_line}, line {tail.end_line} is expected: lines are missing"
        )
    if tail is not None and tail.canvas.pixels.shape[1:] != pixels.shape[1:]:
        was = tail.canvas.pixels.shape[1:]
        raise FrameError(f"block of shape {pixels.shape[1:]} after {was}: the width changed")
    kept = 0 if tail is None else len(tail)
    canvas = Canvas.blank(kept + len(pixels), *pixels.shape[1:], pad_px=pad_px)
    if tail is not None:
        np.copyto(canvas.pixels[:kept], tail.canvas.pixels)
    correct(pixels, field, canvas.pixels[kept:])
    return Lines(block.first_line - kept, canvas)


class LineScan(msgspec.Struct, frozen=True):
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

    def views(self, lines: Lines, new_from: int, *, is_last: bool = False) -> list[View]:
        """Return what to look at now that lines have come: the steps that they complete, in the order of the scene.

        Args:
            lines: kept and new ones, see `join`.
            new_from: absolute number of the first new line.
            is_last: the stream ends here, objects at its last line are complete.
        """
        step = self.step_lines
        first, end = new_from // step, lines.end_line // step
        views = [self._view(lines, index * step, (index + 1) * step - self.guard_px) for index in range(first, end)]
        if is_last and len(lines):
            views.append(self._view(lines, end * step, lines.end_line))
        return views

    def tail(self, lines: Lines) -> Lines:
        """Return the lines to keep for the next block."""
        return lines.span(max(lines.first_line, self.first_needed(lines.end_line)), lines.end_line)

    def first_needed(self, line: int) -> int:
        """Return the first line that must be seen to look at the scene from `line` on, absolute; may be below 0."""
        return line // self.step_lines * self.step_lines - self._overlap

    @property
    def _overlap(self) -> int:
        return self.max_object_lines + 2 * self.guard_px

    def _view(self, lines: Lines, step_line: int, owned_to: int) -> View:
        first_line = max(lines.first_line, step_line - self._overlap)
        to_line = min(lines.end_line, step_line + self.step_lines)
        owned_from = max(first_line, step_line - self.guard_px)
        return View(lines.span(first_line, to_line), owned_from, owned_to)
