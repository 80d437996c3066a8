"""What the norm costs at import, as a share of decoding the picture it is taken from."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from edge_runtime.norm import NormSpec, norm_sums

__all__ = ["rows"]

RUNS = 7
CROPS = 512
SIDE_PX = 64
KINDS = (
    ("mean", NormSpec(), 0.06),
    ("mean_weighted", NormSpec(channel_weights=(1, 2, 1)), None),
    ("l2", NormSpec("l2"), None),
    ("linf", NormSpec("linf"), None),
    ("centre", NormSpec(centre_weight=8), None),
)


def rows() -> list[dict[str, Any]]:
    """Return one row a kind of norm: its CPU time over that of decoding."""
    rng = np.random.default_rng(0)
    smooth = [cv2.GaussianBlur(rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8), (0, 0), 3) for _ in range(CROPS)]
    files = [cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for crop in smooth]
    crops, masks = np.asarray(smooth, np.uint8), np.ones((CROPS, SIDE_PX, SIDE_PX), np.bool_)
    times: dict[str, list[float]] = {name: [] for name in ("decode", *(name for name, _, _ in KINDS))}
    for _ in range(RUNS):  # interleaved: a busy neighbour slows all alike
        times["decode"].append(_seconds(lambda: [cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files]))
        for name, spec, _ in KINDS:
            times[name].append(_seconds(partial(norm_sums, crops, masks, spec)))
    decode = statistics.median(times["decode"])
    return [_row(name, statistics.median(times[name]) / decode, target) for name, _, target in KINDS]


def _seconds(case: Callable[[], Any]) -> float:
    started = time.process_time()
    case()
    return time.process_time() - started


def _row(name: str, value: float, target: float | None) -> dict[str, Any]:
    holds = None if target is None else value <= target
    return {"name": f"norm.{name}_of_decode", "value": value, "unit": "ratio", "target": target, "holds": holds}
