"""Speed of the trainer's own parts: the test pass over the rest; bench_selection has the draw."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate, folded_scores
from trainer.train.network import make_network

__all__ = ["rows"]

RUNS = 5
CLASSES = 8
CROPS = 512


def rows() -> list[dict[str, Any]]:
    """Return one row a figure."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    crop = CropSpec(side_px=48)
    folded = FoldedNetwork(make_network("middle", crop.channels, CLASSES, seed=0).eval(), 1.0)
    classifier = Classifier(OnnxTemplate("middle", crop, CLASSES).fill(folded), crop, CLASSES)
    crops = rng.integers(0, 255, (CROPS, 48, 48, 3), np.uint8)
    by_ort, by_torch = _median(lambda: classifier.scores(crops)), _median(lambda: folded_scores(folded, crops))
    return [
        _row("trainer.test_pass_of_torch", by_torch / by_ort, "ratio", 1.3),
    ]


def _median(case: Callable[[], Any]) -> float:
    """Return the median CPU seconds of RUNS runs after a first one."""
    case()
    values = []
    for _ in range(RUNS):
        started = time.process_time()
        case()
        values.append(time.process_time() - started)
    return statistics.median(values)


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "target": target,
        "holds": None if target is None else value >= target,
    }
