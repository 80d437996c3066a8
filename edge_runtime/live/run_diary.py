"""The journal of the run under way: the supervisor hands the books over and never waits for the disk.

It also sees to it that a state folder has one run at a time, and closes the runs whose supervisor was killed.
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.errors import StorageError
from edge_runtime.folder_lock import lock_folder
from edge_runtime.live.run_journal import RunJournal, close_lost
from firmware_bridge.clock import Clock

__all__ = ["RunDiary"]

_PERIOD_S: Final = 1.0
_log = structlog.get_logger(__name__)


class RunDiary:
    """One run's entry; `note` from one thread, the disk in another.

    Args:
        folder: of the journal; made if missing.
        facts: what runs, by name.
        clock: for the records.

    Raises:
        StorageError: another run goes on, or the folder cannot be used.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str], clock: Clock) -> None:
        busy = f"{folder}: another run goes on there; stop it first, or give this one a live.state"
        self._lock = lock_folder(folder, busy=busy)
        try:
            lost = close_lost(folder, clock)
            self._journal = RunJournal.begin(folder, facts, clock=clock)
        except StorageError:
            os.close(self._lock)
            raise
        for run in lost.runs:
            _log.error("run.closed_as_lost", number=run.number, begun_utc=run.begun_utc, seen_utc=run.seen_utc)
        for name, why in lost.damaged.items():
            _log.error("run.journal_damaged", name=name, why=why)
        self._books: msgspec.Struct | None = None
        self._written: msgspec.Struct | None = None  # of the books handed over, those that are on disk
        self._is_over = threading.Event()
        self._writer = threading.Thread(target=self._write, name="run-diary", daemon=True)
        self._writer.start()

    @property
    def number(self) -> int:
        """Return the number of this run."""
        return self._journal.record.number

    def note(self, books: msgspec.Struct) -> None:
        """Hand over the books as they are now, not changed afterwards; the latest reach the disk within a second."""
        self._books = books

    def close(self, end: str) -> None:
        """Write the last books and how the run ended, and let the next run begin; twice is harmless.

        Args:
            end: for people and for counting: "stopped".
        """
        if self._is_over.is_set():
            return
        self._is_over.set()
        self._writer.join()
        _try(self._snapshot)
        _try(partial(self._journal.close, end))
        os.close(self._lock)

    def _write(self) -> None:
        while not self._is_over.wait(_PERIOD_S):
            _try(self._snapshot)

    def _snapshot(self) -> None:
        """Write what was handed over last; it stays there until it is on disk, or newer books take its place."""
        books = self._books
        if books is not None and books is not self._written:
            self._journal.snapshot(books)
            self._written = books


def _try(write: Callable[[], None]) -> None:
    try:
        write()
    except StorageError as error:
        _log.error("run.journal_failed", error=str(error))
