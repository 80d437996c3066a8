"""How long sessions take a crop: in turn, so that whatever else the computer does hits all alike.

>>> from firmware_bridge.clock import ManualClock
>>> medians_us([], np.zeros((1, 8, 8, 3), np.uint8), ManualClock())
[]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ModelFolderError
from edge_runtime.scorer import Scorer
from firmware_bridge.clock import Clock

__all__ = ["TIMED_CROPS", "medians_us"]

TIMED_CROPS: Final = 16  # two full batches, taken again until a round is long enough
_ROUNDS: Final = 9
# Linux counts the processor time of a process whose RLIMIT_CPU is set in ticks of up to 10 ms: a round spans many.
_LEAST_ROUND_NS: Final = 80_000_000
_MOST_PASSES: Final = 4096
_NS_PER_US: Final = 1000


def medians_us(scorers: Sequence[Scorer], crops: NDArray[np.uint8], clock: Clock) -> list[float]:
    """Return the median microseconds a crop of each session over nine rounds of at least 80 ms.

    Args:
        scorers: one or more sessions that take the crops.
        crops: (N, S, S, C) uint8, N > 0; a multiple of the batch, or the rest of the last batch is paid for too.
        clock: a `CpuClock` on a board that does other things meanwhile.

    Raises:
        ModelFolderError: a session cannot run, or there are no crops.

    Note:
        Takes a second for each session.
    """
    if not len(crops):
        raise ModelFolderError("there are no golden crops: nothing can be timed")
    jobs = [_job(scorer, crops, clock) for scorer in scorers]
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(_ROUNDS):
        for job, taken in zip(jobs, times, strict=True):
            taken.append(job.round_ns() / job.passes / _NS_PER_US / len(crops))
    return [float(np.median(taken)) for taken in times]


@dataclass(slots=True)
class _Job:
    """A session with how often it passes over the crops in a round."""

    scorer: Scorer
    crops: NDArray[np.uint8]
    clock: Clock
    passes: int = 1

    def round_ns(self) -> int:
        started_ns = self.clock.monotonic_ns()
        for _ in range(self.passes):
            self.scorer.scores(self.crops)
        return self.clock.monotonic_ns() - started_ns


def _job(scorer: Scorer, crops: NDArray[np.uint8], clock: Clock) -> _Job:
    """Return a job whose rounds are long enough; finding out warms the caches."""
    job = _Job(scorer, crops, clock)
    while job.round_ns() < _LEAST_ROUND_NS and job.passes < _MOST_PASSES:
        job.passes *= 2
    return job
