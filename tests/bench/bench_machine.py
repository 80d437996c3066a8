"""Speed of the machine's path, as ratios against its own parts on the same processor, in the same run."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from edge_runtime.crop import CropSpec, cut_crops
from edge_runtime.inline import desk_machine
from edge_runtime.line_scan import View
from edge_runtime.model import BATCH, Classifier
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.pipeline import Sorter, sort_view
from edge_runtime.schemas import ClassRule, Recipe
from edge_runtime.segment import SegmentSettings, segment
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.train.network import make_network

__all__ = ["rows"]

RUNS = 7
OBJECTS = 300
CROP = CropSpec(side_px=48)
CLASSES = 6


def rows() -> list[dict[str, Any]]:
    """Return one row a figure."""
    frame = _frame()
    model = _model()
    classifier = Classifier(model, CROP, CLASSES)
    recipe = Recipe(
        tuple(ClassRule(f"class{k}") for k in range(CLASSES)), segment=SegmentSettings(threshold=80), crop=CROP
    )
    sorter = Sorter(recipe, NormSpec(), desk_machine(1024).cameras[0], classifier.scores)
    view = View(0, frame, 0, len(frame))
    objects = segment(frame, recipe.segment)
    crops = cut_crops(frame, objects, CROP, recipe.segment)
    bare = ort.InferenceSession(model, _bare_options())
    batches = [crops.pixels[i : i + BATCH] for i in range(0, len(crops) - len(crops) % BATCH, BATCH)]
    times = _interleaved(
        {
            "path": lambda: sort_view(view, sorter),
            "segment": lambda: segment(frame, recipe.segment),
            "crop": lambda: cut_crops(frame, objects, CROP, recipe.segment),
            "norm": lambda: norm_sums(crops.pixels, crops.masks, NormSpec()),
            "infer": lambda: classifier.scores(crops.pixels),
            "bare": lambda: [bare.run(None, {"crops": batch}) for batch in batches],
            "decode": lambda: [cv2.imdecode(picture, cv2.IMREAD_COLOR) for picture in _pictures()],
        }
    )
    parts = times["segment"] + times["crop"] + times["norm"] + times["infer"]
    per_decode = times["decode"] / len(_pictures())
    return [
        _row("machine.path", len(objects) / times["path"], "objects/s", None),
        _row("machine.path_of_parts", parts / times["path"], "ratio", 0.85),
        _row("machine.classifier_of_bare_ort", times["bare"] / times["infer"], "ratio", 0.90),
        _row("machine.infer_share_of_path", times["infer"] / times["path"], "ratio", None),
        _row("machine.norm_of_decode", times["norm"] / len(crops) / per_decode, "ratio", None),
    ]


def _frame() -> np.ndarray:
    """Return a 1024 x 1024 frame with 300 ellipses of about 30 px on a dark ground."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 12, (1024, 1024, 3), np.uint8)
    for at in range(OBJECTS):
        x, y = 30 + (at % 18) * 56, 30 + (at // 18) * 58
        colour = tuple(int(value) for value in rng.integers(140, 250, 3))
        cv2.ellipse(frame, (x, y), (17, 8), float(rng.integers(180)), 0, 360, colour, -1)
    return frame


def _pictures() -> list[np.ndarray]:
    """Return 200 JPEG files of 48 x 48 px, as an import decodes them."""
    if not _PICTURES:
        crop = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (48, 48, 3), np.uint8), (5, 5), 0)
        _PICTURES.extend([cv2.imencode(".jpg", crop)[1]] * 200)
    return _PICTURES


_PICTURES: list[np.ndarray] = []


def _model() -> bytes:
    network = make_network("middle", CROP.channels, CLASSES, seed=0).eval()
    return OnnxTemplate("middle", CROP, CLASSES).fill(FoldedNetwork(network, 1.0))


def _bare_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _interleaved(cases: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median CPU seconds of each case, all cases in turn, RUNS times."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for run in range(RUNS + 1):
        for name, case in cases.items():
            started = time.process_time()
            case()
            if run:  # the first round warms caches
                samples[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in samples.items()}


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "target": target,
        "holds": None if target is None else value >= target,
    }
