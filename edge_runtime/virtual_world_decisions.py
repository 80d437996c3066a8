"""What a machine decides about the scene of a virtual world when nothing hurries it: the stages once more, in peace.

Live sorting gives the decisions of `replay`, so these are what every live run of the same model and recipe should have
decided. It must not know what the live run did.

>>> _shifted(seen_objects("top", np.array([[1, 10, 5, 6]]), np.array([0]), np.array([True])), 100).boxes_px.tolist()
[[1, 110, 5, 6]]
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from edge_runtime.decisions import Decisions
from edge_runtime.inline import InlineSorter
from edge_runtime.line_scan import Block
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import Machine
from edge_runtime.virtual_world_judge import seen_objects
from edge_runtime.virtual_world_scene import WorldScene

__all__ = ["scene_decisions"]


def scene_decisions(scene: WorldScene, scene_line: int, sorters: Sequence[Sorter], machine: Machine) -> list[Decisions]:
    """Return the decisions of each view about the whole scene, without crops.

    Args:
        scene: what passed.
        scene_line: line of the world at which it began.
        sorters: one a view, see `make_sorter`.
        machine: their cameras belong to it.

    Raises:
        FrameError: a sorter's camera has or was calibrated for another width.
        CropError: the recipe wants another number of bands.
        ConfigError: the recipe takes each picture as one object.

    Note: one round is sorted; the others are the same, that many lines later.
    """
    round_lines = len(scene.blocks) * scene.block_lines
    starts = [scene_line + number * round_lines for number in range(scene.rounds)]
    parts = []
    for sorter in sorters:
        once = _one_round(scene, InlineSorter(sorter, machine))
        parts += [_shifted(once, start) for start in starts]
    return parts


def _shifted(decisions: Decisions, lines: int) -> Decisions:
    """Return the same decisions that many lines later, without what a judgement does not need."""
    boxes = decisions.boxes_px + np.array([0, lines, 0, 0], np.int64)
    return seen_objects(decisions.camera, boxes, decisions.class_ids, decisions.is_eject)


def _one_round(scene: WorldScene, inline: InlineSorter) -> Decisions:
    """Return the decisions about the blocks of one round, between empty ones; lines count from its first."""
    parts = []
    for number in range(-1, len(scene.blocks) + 1):
        pixels = scene.blocks[number] if 0 <= number < len(scene.blocks) else scene.empty
        parts.append(inline.sort_block(Block((number + 1) * scene.block_lines, pixels)).decisions.without_crops())
    parts.append(inline.finish().decisions.without_crops())
    whole = Decisions.concat(parts)
    boxes = whole.boxes_px - np.array([0, scene.block_lines, 0, 0], np.int64)
    return msgspec.structs.replace(whole, boxes_px=boxes)
