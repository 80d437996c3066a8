"""Speed of the draw at scale: ten million samples, whatever part of them may still be drawn, against the plain draw."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.draw.by_norm import draw_around_mean
from trainer.draw.sizes import DrawSizes
from trainer.draw.sorted_norms import SortedNorms

__all__ = ["rows"]

RUNS = 7
SAMPLES = 10_000_000
CLASSES = 8
SIZES = DrawSizes.of(1000)
SHARES = (0.9, 0.1, 0.01, 0.001)
TARGET_MS = 2.0


def rows() -> list[dict[str, Any]]:
    """Return one row a figure."""
    rng = np.random.default_rng(0)
    class_ids = rng.integers(0, CLASSES, SAMPLES)
    norms = np.clip(rng.normal(30000, 6000, SAMPLES), 0, 65536).astype(np.int64)
    started = time.process_time()
    fast = SortedNorms(class_ids, norms, CLASSES)
    found = [_row("draw.sort_10M", (time.process_time() - started) * 1000, "ms, once", None)]
    free = np.ones(SAMPLES, np.bool_)
    for share in SHARES:
        wanted = rng.random(SAMPLES) < share
        fast.remove(np.flatnonzero(free & ~wanted))
        fast.restore(np.flatnonzero(wanted & ~free))
        free = wanted
        seconds = _median(lambda: [fast.draw(class_id, SIZES) for class_id in range(CLASSES)])
        found.append(_row(f"draw.round_10M_{share:g}_left", seconds * 1000, "ms a round", TARGET_MS))
    plain = _median(lambda: [_plain(class_ids, norms, free, class_id) for class_id in range(CLASSES)], runs=1)
    found.append(_row("draw.plain_10M_0.001_left", plain * 1000, "ms a round", None))
    return found


def _plain(class_ids: Any, norms: Any, free: Any, class_id: int) -> Any:
    rows = np.flatnonzero(free & (class_ids == class_id))
    own = norms[rows]
    return rows[draw_around_mean(own, SIZES, (int(own.sum()), len(own)))]


def _median(case: Callable[[], Any], runs: int = RUNS) -> float:
    """Return the median CPU seconds after a first run."""
    case()
    values = []
    for _ in range(runs):
        started = time.process_time()
        case()
        values.append(time.process_time() - started)
    return statistics.median(values)


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    holds = None if target is None else value <= target
    return {"name": name, "value": value, "unit": unit, "target": target, "holds": holds}
