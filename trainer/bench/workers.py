"""Rows in processes of their own: a row whose process dies is lost alone, and the error names it.

Knows jobs and what comes of them, nothing of what a row does.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

from firmware_bridge.clock import SystemClock
from firmware_bridge.product_error import ProductError
from trainer.bench.row_record import Row, RowFailure, RowRecord, save_record
from trainer.bench.row_run import RowJob, run_row
from trainer.bench.work_plan import norm_of

__all__ = ["Outcome", "WorkQueue", "failure_path", "record_path", "run_here", "run_in_workers", "work_on"]

_STOP_TIMEOUT_S: Final = 5.0
Outcome = RowRecord | RowFailure


def record_path(folder: Path, row: Row, key: str) -> Path:
    """Return where a finished row is kept: rows with other settings lie beside each other."""
    return folder / "rows" / f"{row.name}.{key[:12]}.json"


def failure_path(folder: Path, row: Row, key: str) -> Path:
    """Return where the error of a row is kept."""
    return folder / "failed" / f"{row.name}.{key[:12]}.json"


class WorkQueue:
    """Rows that wait: each comes out once, with the norm loop's row where it builds on that.

    Args:
        jobs: in the order of preference.
        done: rows of earlier calls.
    """

    def __init__(self, jobs: Sequence[RowJob], done: Sequence[RowRecord]) -> None:
        self._waiting = list(jobs)
        self._unsettled = {job.row for job in jobs}
        self._done = {record.row: record for record in done}

    def next(self) -> RowJob | None:
        """Return the first row that can begin, None while there is none; a row whose basis failed comes without it."""
        for at, job in enumerate(self._waiting):
            basis = norm_of(job.row)
            if not job.arm.needs_norm or basis not in self._unsettled:
                del self._waiting[at]
                return replace(job, norm=self._done.get(basis))
        return None

    def settle(self, outcome: Outcome) -> None:
        """Take note of what became of a row."""
        self._unsettled.discard(outcome.row)
        if isinstance(outcome, RowRecord):
            self._done[outcome.row] = outcome


def work_on(job: RowJob) -> Outcome:
    """Run a row and keep what came of it on disk.

    Raises:
        StorageError: the folder cannot be written.
        Exception: a fault of the software or of another package.
    """
    path, failed = record_path(job.folder, job.row, job.key), failure_path(job.folder, job.row, job.key)
    outcome: Outcome
    try:
        outcome = run_row(job, SystemClock())
    except ProductError as error:
        outcome = RowFailure(job.key, job.row, type(error).__name__, str(error))
        save_record(failed, outcome)
        return outcome
    save_record(path, outcome)
    failed.unlink(missing_ok=True)
    return outcome


def run_here(queue: WorkQueue, work: Callable[[RowJob], Outcome] = work_on) -> Generator[Outcome]:
    """Run all rows of a queue one after the other, in this process.

    Raises:
        Exception: see `work_on`.
    """
    while (job := queue.next()) is not None:
        outcome = work(job)
        queue.settle(outcome)
        yield outcome


def run_in_workers(queue: WorkQueue, count: int, work: Callable[[RowJob], Outcome] = work_on) -> Generator[Outcome]:
    """Run all rows of a queue in `count` processes; one that dies is replaced, and its row is a failure.

    Args:
        queue: of rows; settled here.
        count: processes, at least 1.
        work: done in a process with each row; must be known by name there.

    Raises:
        StorageError: the error of a lost row cannot be kept.

    Note:
        Ctrl-C, a kill, or closing the iterator, ends the processes at once: finished rows are on disk, those begun are
        lost.
    """
    crew = [_Worker(work) for _ in range(count)]
    try:
        while True:
            for worker in crew:
                if worker.job is None and (job := queue.next()) is not None:
                    worker.begin(job)
            busy = [worker for worker in crew if worker.job is not None]
            if not busy:
                return
            wait([end for worker in busy for end in (worker.pipe, worker.process.sentinel)])
            for worker in busy:
                outcome = worker.outcome()
                if outcome is not None:
                    queue.settle(outcome)
                    yield outcome
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """One process and the row it works on."""

    def __init__(self, work: Callable[[RowJob], Outcome]) -> None:
        self.job: RowJob | None = None
        self._work = work
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")  # a forked torch hangs in its own threads
        self.pipe, other = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(other, self._work), daemon=True)
        self.process.start()
        other.close()

    def begin(self, job: RowJob) -> None:
        """Hand a row over."""
        if not self.process.is_alive():
            self._start()
        self.job = job
        with suppress(ConnectionError):  # it died just now: `outcome` says so
            self.pipe.send(job)

    def outcome(self) -> Outcome | None:
        """Return what became of the row, None while it runs."""
        job = self.job
        assert job is not None
        try:
            if self.pipe.poll():
                outcome: Outcome = self.pipe.recv()
                self.job = None
                return outcome
        except (EOFError, ConnectionError):
            self.process.join(_STOP_TIMEOUT_S)
        if self.process.is_alive():
            return None
        message = f"{job.row.name}: its process ended with code {self.process.exitcode} (negative: killed by a signal)"
        lost = RowFailure(job.key, job.row, "WorkerLost", message)
        save_record(failure_path(job.folder, job.row, job.key), lost)
        self.job = None
        self.stop()
        self._start()
        return lost

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(_STOP_TIMEOUT_S)


def _serve(pipe: Connection, work: Callable[[RowJob], Outcome]) -> None:
    """Work on rows until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other end's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionError):
            sys.exit(0)
        pipe.send(work(job))


def _end_with_parent() -> None:
    """End this process when the other end is killed: nobody would take the row, and it would go on for an hour."""
    parent = parent_process()
    assert parent is not None, "a worker is started by the benchmark"
    parent.join()
    os._exit(1)
