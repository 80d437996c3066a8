"""A network trained on a bench's own frames, written beside them in the forms that the rivals of the edge path want."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from vision_scene import CLASSES, CROP, SEGMENT, FrameSize, Image, draw_field, draw_frame

from edge_runtime.crop import cut_crops
from edge_runtime.flat_field import FlatField
from edge_runtime.line_scan import Block, join
from edge_runtime.segment import segment
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate, folded_scores
from trainer.train.fit import FitSettings, TrainingSet, fit_network, use_threads
from trainer.train.network import CropNetwork

__all__ = ["write_scene"]

_SETTINGS: Final = FitSettings(network="middle", batch=16)


def write_scene(folder: Path, size: FrameSize, *, frames: int, steps: int) -> float:
    """Draw frames, train on their crops, and write everything that `read_scene` and the rivals read.

    Args:
        folder: gets frames.npy, dark.npy, gain.npy, model.onnx and weights.npz (folded convolutions and head).
        size: of the frames.
        frames: how many.
        steps: of the optimiser; the classes are the six orders that an object's three bands can have.

    Returns:
        The share of these crops that the network gets right.
    """
    use_threads(1)
    rng = np.random.default_rng(0)
    field = draw_field(rng, size)
    drawn = np.stack([draw_frame(rng, size) for _ in range(frames)])  # (F, H, W, 3)
    crops = np.concatenate([_crops(frame, field) for frame in drawn])  # (N, S, S, 3)
    labels = _orders(crops)
    network = fit_network(TrainingSet(crops, labels, CLASSES), _SETTINGS, steps=steps, seed=0)
    assert isinstance(network, CropNetwork)
    folded = FoldedNetwork(network, 1.0)
    for name, values in (("frames", drawn), ("dark", field.dark), ("gain", field.gain)):
        np.save(folder / f"{name}.npy", values)
    (folder / "model.onnx").write_bytes(OnnxTemplate("middle", CROP, CLASSES).fill(folded))
    weights: dict[str, NDArray[np.float32]] = {name: value.numpy() for name, value in folded.state_dict().items()}
    np.savez(folder / "weights.npz", allow_pickle=False, **weights)
    return float((folded_scores(folded, crops).argmax(axis=1) == labels).mean())


def _crops(frame: Image, field: FlatField) -> Image:
    canvas = join(None, Block(0, frame), field, pad_px=CROP.pad_px).canvas
    return cut_crops(canvas, segment(canvas.pixels, SEGMENT), CROP, SEGMENT).pixels


def _orders(crops: Image) -> NDArray[np.int64]:
    """Return, (N,), which of the six orders the sums of the three bands have."""
    first, second, third = crops.sum(axis=(1, 2)).argsort(axis=1).T  # (N,) each
    return np.asarray(2 * first + (second > third), np.int64)
