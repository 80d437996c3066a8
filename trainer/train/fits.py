"""Several fits side by side, as many as the processor has cores for: the bytes of each are those it has alone.

Threads are enough: torch leaves the interpreter while it computes. It knows no samples and no models.

>>> map_fits(lambda part, on_step: part * 2, [1, 2, 3], 1, lambda done: None)
[2, 4, 6]
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Lock
from typing import TypeVar

import torch

from trainer.train.fit import use_threads

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
        fit: called with a part, and with what it must call after each of its steps; in a thread of its own where there
            are several parts.
        parts: at least one.
        threads: processor threads of one fit. So many fits run at once that the allowed cores are in use; on an
            accelerator one at a time. A single part runs in the caller's thread, as `use_threads` has set it.
        on_step: called with the number of steps done in all fits together; from the threads of the fits, but never by
            two at once.

    Raises:
        Exception: the first that a fit or `on_step` raised. The other fits are ended at their next step, as they are
            when this call is interrupted; a fit past its last step is waited for.
    """
    counter = _StepCounter(on_step)
    if len(parts) == 1:
        return [fit(parts[0], counter)]
    with ThreadPoolExecutor(_at_once(threads), "fit", use_threads, (threads,)) as workers:
        try:
            fits = [workers.submit(fit, part, counter) for part in parts]
            for fitted in as_completed(fits):
                fitted.result()
            return [fitted.result() for fitted in fits]
        finally:
            workers.shutdown(wait=False, cancel_futures=True)  # first, so that none begins after the stop
            counter.stop()


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
        """Count one step; its own number does not matter here.

        Raises:
            _Stopped: the fits were stopped.
            Exception: what `on_step` raised.
        """
        with self._lock:
            if self._is_stopped:
                raise _Stopped(f"stopped at step {step}")
            self._done += 1
            self._on_step(self._done)

    def stop(self) -> None:
        """End what still runs."""
        self._is_stopped = True
