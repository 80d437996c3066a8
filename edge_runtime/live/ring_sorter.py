"""Any frame of a ring to decisions, whoever sorted the frames before it. Knows no process, socket or clock.

For a block of a line camera the lines before it are taken from the ring, as many as `LineScan` wants, so that every
object is seen whole; where lines are missing before it, the scene before is finished first. The steps are those of the
scene and not of the blocks: so any worker gives the decisions that `InlineSorter` gives.
"""

import numpy as np

from edge_runtime.canvas import Canvas
from edge_runtime.decisions import Decisions
from edge_runtime.errors import CropError
from edge_runtime.flat_field import correct
from edge_runtime.line_scan import Lines, LineScan, View
from edge_runtime.live.frame_ring import FrameRing, RingFrame
from edge_runtime.pipeline import Sorter, sort_views

__all__ = ["RingSorter"]


class RingSorter:
    """Sorts the frames of one camera.

    Args:
        sorter: recipe, camera and classifier.
        ring: of this camera.
    """

    def __init__(self, sorter: Sorter, ring: FrameRing) -> None:
        self._sorter = sorter
        self._ring = ring
        self._scan = LineScan(sorter.camera.max_object_lines, sorter.recipe.segment.guard_px)
        self._kept: tuple[int, Lines] | None = None  # number of the frame sorted last, and its last lines, corrected

    def sort(self, number: int, *, is_last: bool = False) -> Decisions | None:
        """Return the decisions about the objects of a frame; None where the ring came round before it was copied.

        Args:
            number: of the frame.
            is_last: the scene ends with it: objects at its last line are complete.

        Raises:
            FrameError: the camera was calibrated for another width, or the recipe's background has other bands.
            CropError: the frame has another number of channels than the recipe.

        Note: the decisions about one frame are the same whichever frames this object sorted before.
        """
        frame = self._ring.read(number)
        if frame is None:
            return None
        bands = self._sorter.recipe.crop.channels
        if frame.pixels.shape[2] != bands:
            raise CropError(f"frame of shape {frame.pixels.shape}: the recipe wants (H, W, {bands})")
        views = self._area_view(frame) if self._sorter.camera.kind == "area" else self._line_views(frame, is_last)
        return None if views is None else sort_views(views, self._sorter)

    def _area_view(self, frame: RingFrame) -> list[View] | None:
        lines = self._copy([frame], frame.first_line)
        return None if lines is None else [View(lines, lines.first_line, lines.end_line, is_frame=True)]

    def _line_views(self, frame: RingFrame, is_last: bool) -> list[View] | None:
        """Return what to look at, oldest first; None where the ring came round."""
        views: list[View] = []
        before = self._ring.read(frame.number - 1)
        if frame.number > 0 and before is None:
            return None
        if before is not None and before.end_line != frame.first_line:
            ended = self._lines_until(before)
            if ended is None:
                return None
            views += self._scan.views(ended, ended.end_line, is_last=True)
        lines = self._lines_with(frame)
        if lines is None:
            return None
        self._kept = (frame.number, self._scan.tail(lines))
        views += self._scan.views(lines, frame.first_line)
        if is_last:
            views += self._scan.views(lines, lines.end_line, is_last=True)
        return views

    def _lines_with(self, frame: RingFrame) -> Lines | None:
        """Return a frame's lines after those of its scene that must be seen with it."""
        if self._kept is not None and self._kept[0] == frame.number - 1 and self._kept[1].end_line == frame.first_line:
            return self._copy([frame], self._kept[1].first_line, self._kept[1])
        return self._gather(frame, frame.first_line)

    def _lines_until(self, frame: RingFrame) -> Lines | None:
        """Return the last lines of a scene that ends with this frame, as many as are still to be looked at."""
        if self._kept is not None and self._kept[0] == frame.number:
            return self._kept[1]
        return self._gather(frame, frame.end_line)

    def _gather(self, frame: RingFrame, line: int) -> Lines | None:
        """Return the lines of a frame and before it that are needed to look at the scene from `line` on."""
        wanted = self._scan.first_needed(line)
        parts = [frame]
        while parts[0].first_line > wanted and parts[0].number > 0:
            earlier = self._ring.read(parts[0].number - 1)
            if earlier is None:
                return None
            if earlier.end_line != parts[0].first_line:
                break
            parts.insert(0, earlier)
        return self._copy(parts, max(wanted, parts[0].first_line))

    def _copy(self, parts: list[RingFrame], first_line: int, kept: Lines | None = None) -> Lines | None:
        """Return corrected lines from `first_line` on: kept ones, then those of the frames; the one copy of a frame."""
        end_line = parts[-1].end_line
        canvas = Canvas.blank(end_line - first_line, *parts[0].pixels.shape[1:], pad_px=self._sorter.recipe.crop.pad_px)
        if kept is not None:
            np.copyto(canvas.pixels[: len(kept)], kept.canvas.pixels)
        for part in parts:
            skipped = max(0, first_line - part.first_line)
            rows = slice(part.first_line + skipped - first_line, part.end_line - first_line)
            correct(part.pixels[skipped:], self._sorter.flat_field, canvas.pixels[rows])
        self._sorter.observe("flat_field")
        is_whole = all(self._ring.is_intact(part.number) for part in parts)
        return Lines(first_line, canvas) if is_whole else None
