"""The frames that the benches of the edge path work on, and the product's own way through them; knows no torch.

A scene is drawn in one process and read from a folder by others, so that each has only its own memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.flat_field import FlatField
from edge_runtime.inline import InlineSorter, desk_machine
from edge_runtime.model import Classifier
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.realtime import LinuxSystem
from edge_runtime.schemas import ClassRule, Recipe
from edge_runtime.segment import SegmentSettings

__all__ = [
    "CLASSES",
    "CROP",
    "RECIPE",
    "SEGMENT",
    "SMALL",
    "WIDE",
    "FrameSize",
    "Image",
    "SceneFiles",
    "draw_field",
    "draw_frame",
    "own_sorter",
    "read_scene",
]

Image = NDArray[np.uint8]
CROP: Final = CropSpec(side_px=48)
CLASSES: Final = 6
SEGMENT: Final = SegmentSettings(threshold=80)
RECIPE: Final = Recipe(tuple(ClassRule(f"class{k}") for k in range(CLASSES)), segment=SEGMENT, crop=CROP)
_STEP_PX: Final = 58  # ellipses of 35 px never touch


@dataclass(frozen=True, slots=True)
class FrameSize:
    """How large a frame is and how many objects it holds."""

    width: int
    height: int
    objects: int


WIDE: Final = FrameSize(2048, 512, 300)
SMALL: Final = FrameSize(1024, 128, 32)


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """What a process reads: frames (F, H, W, 3) uint8, their references, and the network's ONNX bytes."""

    folder: Path
    frames: Image
    field: FlatField
    model: bytes


def draw_frame(rng: np.random.Generator, size: FrameSize) -> Image:
    """Return a frame with ellipses of about 30 px on a dark ground."""
    frame = rng.integers(0, 12, (size.height, size.width, 3), np.uint8)
    in_a_row = (size.width - 76) // _STEP_PX
    for at in range(size.objects):
        x, y = 30 + (at % in_a_row) * _STEP_PX, 30 + (at // in_a_row) * 56
        colour = tuple(int(value) for value in rng.integers(140, 250, 3))
        cv2.ellipse(frame, (x, y), (17, 8), float(rng.integers(180)), 0, 360, colour, -1)
    return frame


def draw_field(rng: np.random.Generator, size: FrameSize) -> FlatField:
    """Return references of a line camera for such frames."""
    gain = rng.integers(230, 280, (1, size.width, 3)) / 256
    return FlatField(np.full((1, size.width, 3), 3, np.uint8), gain.astype(np.float32))


def read_scene(folder: Path) -> SceneFiles:
    """Read what `vision_training.write_scene` wrote."""
    frames, dark, gain = (np.load(folder / f"{name}.npy") for name in ("frames", "dark", "gain"))
    return SceneFiles(folder, frames, FlatField(dark, gain), (folder / "model.onnx").read_bytes())


def own_sorter(files: SceneFiles) -> InlineSorter:
    """Return the product's own way, raw frame to decisions and pulses, with the heap as `open_sorter` sets it."""
    LinuxSystem().keep_heap()
    machine = desk_machine(files.frames.shape[2])
    classify = Classifier(files.model, CROP, CLASSES).scores
    return InlineSorter(Sorter(RECIPE, NormSpec(), machine.cameras[0], classify, files.field), machine)
