"""Several fits side by side, as many as there are free cores: the bytes of each are those it has alone.

Threads are enough: torch leaves the interpreter while it computes. Knows nothing of what a fit is.

>>> map_fits(lambda part, on_step: part * 2, [1, 2, 3], 1, lambda done: None)
[2, 4, 6]
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

from trainer.fit import use_threads

__all__ = ["map_fits"]

_Part = TypeVar("_Part")
_Fitted = TypeVar("_Fitted")


def map_fits(
    fit: Callable[[_Part, Callable[[int], None]], _Fitted],
    parts: Sequence[_Part],
    threads: int,
    on_step: Callable[[int], None],
) -> list[_Fitted]:
    """Return what `fit` makes of each part, in their order.

    Args:
        fit: called with a part, and with what it must call after each of its steps.
        parts: at least one.
        threads: processor threads of one fit; so many fits run at once that the processor's cores are in use, one at
            a time on an accelerator.
        on_step: called with the number of steps done in all fits together, never by two at once.

    Raises:
        Exception: what a fit raised; the others are stopped at their next step, as they are when this call is
            interrupted.
    """
    counter = _StepCounter(on_step)
    if len(parts) == 1:  # in this thread: an interruption ends it at once
        return [fit(parts[0], counter)]
    with ThreadPoolExecutor(_at_once(threads), "fit", use_threads, (threads,)) as workers:
        waiting = [workers.submit(fit, part, counter) for part in parts]
        try:
            return [one.result() for one in waiting]
        finally:
            counter.stop()
            workers.shutdown(wait=False, cancel_futures=True)


def _at_once(threads: int) -> int:
    if torch.accelerator.is_available():
        return 1
    return max(1, len(os.sched_getaffinity(0)) // threads)


class _Stopped(Exception):  # noqa: N818 - it ends a fit that nobody waits for; no error of anybody's
    pass


class _StepCounter:
    """Counts the steps of all fits; once stopped, it ends each fit at its next step."""

    def __init__(self, on_step: Callable[[int], None]) -> None:
        self._on_step = on_step
        self._lock = Lock()
        self._done = 0
        self._is_stopped = False

    def __call__(self, step: int) -> None:
        """Count one step; its own number does not matter here."""
        with self._lock:
            if self._is_stopped:
                raise _Stopped(f"stopped at step {step}")
            self._done += 1
            self._on_step(self._done)

    def stop(self) -> None:
        """End what still runs."""
        self._is_stopped = True
