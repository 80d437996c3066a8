"""The inline shell: blocks or frames through the stages in one process, without clock or link; deterministic.

Replay, tests, the virtual machine and the demo use it. Same recording and same model give the same digest.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Decisions, Pulses
from edge_runtime.errors import ConfigError, CropError, FrameError
from edge_runtime.flat_field import FlatField
from edge_runtime.line_scan import Block, Lines, LineScan, View, join
from edge_runtime.model import ModelFolder
from edge_runtime.pipeline import Sorter, sort_views
from edge_runtime.schedule import schedule
from edge_runtime.schemas import Camera, Lane, Machine, Recipe
from edge_runtime.scorer import Scorer

__all__ = ["InlineSorter", "Sorted", "desk_machine", "make_sorter"]


class Sorted(msgspec.Struct, frozen=True):
    """What one step gave: decisions and the pulses scheduled for them."""

    decisions: Decisions
    pulses: Pulses


class InlineSorter:
    """One camera's stream, step by step. Holds the lines that the next block needs, nothing else."""

    def __init__(self, sorter: Sorter, machine: Machine) -> None:
        self._sorter = sorter
        self._machine = machine
        self._scan = LineScan(sorter.camera.max_object_lines, sorter.recipe.segment.guard_px)
        self._tail: Lines | None = None
        self._next_line = 0

    def sort_block(self, block: Block) -> Sorted:
        """Sort the next lines of an endless scene; objects of a step that is not yet complete wait for it.

        After an error nothing has changed, but the refused lines will not come again: `finish` sorts what is left of
        the scene before them, and the next block begins a new one, wherever it starts.

        Raises:
            ConfigError: the recipe takes each picture as one object: an endless scene is none.
            FrameError: lines are missing before the block, the width changed, or the camera has or was calibrated for
                another width or depth.
            CropError: the block has another number of channels than the recipe.
        """
        if self._sorter.recipe.segment.mask == "full":
            raise ConfigError('segment.mask is "full", but blocks of an endless scene are no pictures: use "object"')
        lines = self._correct(self._tail, block)
        self._tail = self._scan.tail(lines)
        return self._sort(self._scan.views(lines, block.first_line))

    def finish(self) -> Sorted:
        """Sort what is left at the end of an endless scene; the next block begins a new one.

        Raises:
            CropError: the scene has another number of channels than the recipe.
        """
        if self._tail is None:
            return self._sort([])
        lines, self._tail = self._tail, None
        return self._sort(self._scan.views(lines, lines.end_line, is_last=True))

    def sort_frame(self, frame: NDArray[np.uint8]) -> Sorted:
        """Sort an area frame (H, W, C) uint8: all its objects are complete; lines count on from frame to frame.

        Raises:
            FrameError: the frame has no pixels or another depth than 8 bit, is wider than the camera, or the camera was
                calibrated for frames of another shape.
            CropError: the frame has another number of channels than the recipe.
        """
        lines = self._correct(None, Block(self._next_line, frame))
        if not len(lines):
            raise FrameError(f"frame of {frame.shape}: it has no lines; look at the camera's settings")
        self._next_line = lines.end_line
        return self._sort([View(lines, lines.first_line, lines.end_line, is_frame=True)])

    def _correct(self, tail: Lines | None, block: Block) -> Lines:
        lines = join(tail, block, self._sorter.flat_field, pad_px=self._sorter.recipe.crop.pad_px)
        camera, crop = self._sorter.camera, self._sorter.recipe.crop
        _, width_px, bands = lines.canvas.pixels.shape
        if bands != crop.channels:
            raise CropError(f"frame of shape {block.pixels.shape}: the recipe wants (H, W, {crop.channels})")
        if width_px > camera.width_px:  # no valve would reach what lies beyond
            raise FrameError(f"frame {width_px} px wide: camera {camera.name} has {camera.width_px}")
        self._sorter.observe("flat_field")
        return lines

    def _sort(self, views: Sequence[View]) -> Sorted:
        decisions = sort_views(views, self._sorter)
        pulses = schedule(decisions, self._machine, self._sorter.camera)
        self._sorter.observe("schedule")
        return Sorted(decisions, pulses)


def make_sorter(
    folder: ModelFolder,
    classifier: Scorer,
    camera: Camera,
    recipe: Recipe | None = None,
    flat_field: FlatField | None = None,
) -> Sorter:
    """Join a model with a camera and its references; `recipe` stands in for the folder's own where given."""
    return Sorter(recipe or folder.recipe, folder.card.norm, camera, classifier.scores, flat_field)


def desk_machine(width_px: int, *, pixel_mm: float = 0.1, max_object_lines: int = 96) -> Machine:
    """Return a machine for the desk: one view of `width_px`, valves every 5 mm, 300 mm from the camera, no port."""
    width_mm = width_px * pixel_mm
    lanes = tuple(Lane(i, i * 5.0, min((i + 1) * 5.0, width_mm)) for i in range(max(1, -int(-width_mm // 5))))
    camera = Camera(width_px=width_px, pixel_mm=pixel_mm, max_object_lines=max_object_lines)
    return Machine("desk", (camera,), lanes)
