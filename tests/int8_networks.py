"""A small trained network and its samples, and the same network with one loud channel, for the tests of INT8."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from trainer.export.mend import Int8Inputs
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.pool.sample_table import SampleTable
from trainer.train.fit import FitSettings, TrainingSet, fit_network, use_threads
from trainer.train.network import CropNetwork

__all__ = ["CROP", "TRAINING", "int8_inputs", "int8_table", "loud_network"]

CROP = CropSpec(side_px=16)
TRAINING = np.arange(120)
_SAMPLES = 240


def int8_inputs(loudness: float = 1.0) -> Int8Inputs:
    """Return a model that decides all samples right; the second half of the table is judged.

    Args:
        loudness: by how much one channel of the second convolution is louder than it was. FP32 decides alike; in INT8
            the channel takes the levels of all others.
    """
    folded = loud_network(loudness)
    template = OnnxTemplate("small", CROP, 3)
    judged = np.arange(len(TRAINING), _SAMPLES)
    return Int8Inputs(template.fill(folded), folded, template, CROP, int8_table(), TRAINING, judged)


def loud_network(loudness: float) -> FoldedNetwork:
    """Return the trained network, one channel louder, and the next layer quieter by the same factor."""
    use_threads(1)  # two on a busy computer are slower than one by far
    folded = FoldedNetwork(_trained(), 1.0)
    convolutions = [layer for layer in folded.convolutions if isinstance(layer, torch.nn.Conv2d)]
    with torch.no_grad():
        assert convolutions[1].bias is not None
        convolutions[1].weight[:1] *= loudness
        convolutions[1].bias[:1] *= loudness
        convolutions[2].weight[:, :1] /= loudness
    return folded


@lru_cache(maxsize=1)
def int8_table() -> SampleTable:
    """Return 240 noisy crops of three classes: reddish, bluish, grey with a dark speck."""
    rng = np.random.default_rng(0)
    class_ids = np.arange(_SAMPLES) % 3
    colours = np.array([[120, 110, 100], [100, 110, 120], [110, 110, 110]])
    pictures = colours[class_ids][:, None, None] + rng.normal(0, 25, (_SAMPLES, 16, 16, 3))
    pictures[class_ids == 2, 6:8, 6:8] -= 70
    pixels: NDArray[np.uint8] = np.clip(pictures, 0, 255).astype(np.uint8)
    return SampleTable(
        ids=tuple(f"{at:064x}" for at in range(_SAMPLES)),
        classes=("red", "blue", "speck"),
        class_ids=class_ids,
        groups=tuple(f"g{at}" for at in range(_SAMPLES)),
        splits=("train",) * len(TRAINING) + ("validation",) * (_SAMPLES - len(TRAINING)),
        origins=("import",) * _SAMPLES,
        norms_q16=(pixels.mean(axis=(1, 2, 3)) * 257).astype(np.int64),
        pixels=pixels,
        sources=("",) * _SAMPLES,
    )


@lru_cache(maxsize=1)
def _trained() -> CropNetwork:
    table = int8_table()
    data = TrainingSet(table.pixels[TRAINING], table.class_ids[TRAINING], 3)
    network = fit_network(data, FitSettings(batch=16), steps=80, seed=0)
    assert isinstance(network, CropNetwork)
    return network
