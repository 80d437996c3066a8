"""Speed of the exported files beside torch: the test pass of a round, and INT8 against FP32, for every network size.

`python tests/bench/bench_int8.py` prints the table. CPU time of one core, all cases of a size in turn, medians; torch
is the faster of batches of 8 and of 64, both in inference mode, folded and channels last. INT8 has a target only where
the processor multiplies bytes in one step (VNNI); FP32 has none for the large network: torch is near the peak there.
OpenVINO is timed beside where it is installed (pip install 'sortloop[openvino]').
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from edge_runtime.openvino_scorer import OpenvinoClassifier
from edge_runtime.processor import processor_kind
from edge_runtime.providers import runtime_version
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.export.quantise import Quantiser
from trainer.train.network import NetworkSize, make_network

__all__ = ["rows"]

ROUNDS: Final = 9
CROPS: Final = 64
CLASSES: Final = 5
SIZES: Final[tuple[tuple[NetworkSize, int], ...]] = (("small", 8), ("middle", 4), ("large", 2))  # passes a round
SIDES_PX: Final = (48, 64)
Case = Callable[[], object]


def rows() -> list[dict[str, Any]]:
    """Return one row a figure: name, value, unit, target (None where it is only told), holds."""
    torch.set_num_threads(1)
    return [row for size, passes in SIZES for side_px in SIDES_PX for row in _rows_of(size, side_px, passes)]


def _rows_of(size: NetworkSize, side_px: int, passes: int) -> list[dict[str, Any]]:
    crops = np.random.default_rng(0).integers(0, 256, (CROPS, side_px, side_px, 3), dtype=np.uint8)
    times = _interleaved(_cases(size, crops), passes)
    by_torch = min(times["torch_8"], times["torch_64"])
    is_vnni = processor_kind().endswith("-vnni")
    name = f"int8.{size}_{side_px}"
    optional = [case for case in ("openvino_fp32", "openvino_int8") if case in times]
    return [
        _row(f"{name}.fp32", 1e6 * times["fp32"] / CROPS, "us a crop", None),
        _row(f"{name}.int8", 1e6 * times["int8"] / CROPS, "us a crop", None),
        _row(f"{name}.fp32_of_torch", by_torch / times["fp32"], "ratio", None if size == "large" else 1.3),
        _row(f"{name}.int8_of_torch", by_torch / times["int8"], "ratio", 1.9 if is_vnni else None),
        _row(f"{name}.int8_of_fp32", times["fp32"] / times["int8"], "ratio", None),
        *(_row(f"{name}.{case}_of_fp32", times["fp32"] / times[case], "ratio", None) for case in optional),
    ]


def _cases(size: NetworkSize, crops: NDArray[np.uint8]) -> dict[str, Case]:
    crop = CropSpec(side_px=crops.shape[1])
    folded = FoldedNetwork(make_network(size, 3, CLASSES, seed=0).eval(), 1.0)
    model = OnnxTemplate(size, crop, CLASSES).fill(folded)
    quantised = Quantiser(model, crops).quantise()
    fp32 = Classifier(model, crop, CLASSES)
    int8 = Classifier(quantised, crop, CLASSES)
    for parameter in folded.parameters():  # the layout that torch's convolutions on a processor prefer
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def by_torch(batch: int) -> Case:
        def work() -> None:
            with torch.inference_mode():
                for start in range(0, CROPS, batch):
                    folded(torch.from_numpy(crops[start : start + batch]))

        return work

    return {
        "fp32": lambda: fp32.scores(crops),
        "int8": lambda: int8.scores(crops),
        "torch_8": by_torch(8),
        "torch_64": by_torch(64),
    } | _openvino_cases({"openvino_fp32": model, "openvino_int8": quantised}, crops)


def _openvino_cases(models: dict[str, bytes], crops: NDArray[np.uint8]) -> dict[str, Case]:
    """Return a case for each model, none where OpenVINO is not installed."""
    if runtime_version("openvino") is None:
        return {}
    crop = CropSpec(side_px=crops.shape[1])
    sessions = {name: OpenvinoClassifier(model, crop, CLASSES) for name, model in models.items()}
    return {name: partial(session.scores, crops) for name, session in sessions.items()}


def _interleaved(cases: dict[str, Case], passes: int) -> dict[str, float]:
    """Return the median CPU seconds of a pass of each case, all in turn, after a first round that warms caches."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS + 1):
        for name, case in cases.items():
            started = time.process_time()
            for _ in range(passes):
                case()
            times[name].append((time.process_time() - started) / passes)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    holds = None if target is None else value >= target
    return {"name": name, "value": value, "unit": unit, "target": target, "holds": holds}


if __name__ == "__main__":
    from run import table

    sys.stdout.write(table(rows()) + "\n")
