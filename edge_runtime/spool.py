"""The spool: residual records kept safely on the machine until the trainer has them.

A record is accepted when `commit` returns its id: then it is in a segment and in the index, both flushed. Whatever is
cut, killed or damaged later, the spool opens again and its counts add up: stored = present + delivered + evicted.
It knows records and groups; nothing of cameras, links or where a truth comes from. One process, one thread.

>>> import tempfile
>>> from firmware_bridge.clock import ManualClock
>>> with tempfile.TemporaryDirectory() as folder, Spool.open(Path(folder), clock=ManualClock()) as spool:
...     spool.counts().stored
0
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.folder_lock import lock_folder
from edge_runtime.residual import ResidualRecord, TruthSource, counted_class, encode_record
from edge_runtime.spool_recovery import SpoolHealth, Stream, stream_of
from edge_runtime.spool_segment import SEGMENT_MAGIC, FrameKind, encode_frame
from edge_runtime.spool_store import SpoolStore
from edge_runtime.truth import NormStatistics
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["DEFAULT_QUOTA_B", "GROUP_AGE_S", "GROUP_RECORDS", "MIN_QUOTA_B", "SEGMENT_B", "Spool", "SpoolCounts"]

DEFAULT_QUOTA_B: Final = 2 << 30
MIN_QUOTA_B: Final = 64 << 10
SEGMENT_B: Final = 8 << 20
GROUP_RECORDS: Final = 25  # one flush for so many: each flush rewrites whole flash pages
GROUP_AGE_S: Final = 1.0
_QUOTA_SEGMENTS: Final = 16  # a full spool gives up whole segments: about 1/16 of it at once


class SpoolCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The spool's books: stored == present + delivered + sum(evicted), always.

    Attributes:
        stored: records ever accepted.
        present: of these, waiting for the trainer.
        delivered: of these, handed over.
        evicted: of these, lost to the trainer, by reason: quota_<stream>, damaged, or purged by a person.
        pending: in memory, not yet accepted.
        repeated: appends refused since opening because the record was already here.
        used_b: bytes of all segments; never more than quota_b.
        quota_b: the limit.
    """

    stored: int
    present: int
    delivered: int
    evicted: dict[str, int]
    pending: int
    repeated: int
    used_b: int
    quota_b: int
    schema_version: int = 1


class Spool:
    """A spool folder, open and locked. Use as a context manager; leaving it commits and closes."""

    def __init__(self, store: SpoolStore, lock: int, clock: Clock) -> None:
        """Take over an open store and the handle that holds its lock; call `Spool.open`."""
        self._store = store
        self._lock = lock
        self._clock = clock
        self._pending: dict[str, tuple[ResidualRecord, bytes]] = {}  # in the order of their appends
        self._pending_b = 0
        self._pending_since_ns = 0
        self._pending_norms = NormStatistics()
        self._accepted: list[str] = []
        self._repeated = 0

    @staticmethod
    def open(folder: Path, *, quota_b: int = DEFAULT_QUOTA_B, clock: Clock, segment_b: int = SEGMENT_B) -> "Spool":
        """Open a spool folder, making it when it is missing and mending it when it is damaged.

        Args:
            folder: on a journalling file system; one folder, one process.
            quota_b: most bytes that segments may take, >= 64 KiB.
            clock: tells when a group is old enough to be committed.
            segment_b: size at which a segment is full; a sixteenth of the quota if that is less.

        Raises:
            ConfigError: the quota is too small.
            StorageError: another process has the spool, or the disk cannot be read or written.
        """
        if quota_b < MIN_QUOTA_B:
            raise ConfigError(f"spool quota of {quota_b} bytes: at least {MIN_QUOTA_B} are needed")
        lock = lock_folder(folder, busy=f"spool {folder} is in use by another process: stop it first")
        try:
            store = SpoolStore(folder, quota_b=quota_b, segment_b=min(segment_b, quota_b // _QUOTA_SEGMENTS))
        except StorageError:
            os.close(lock)
            raise
        return Spool(store, lock, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_clean=kind is None)

    def close(self, *, is_clean: bool = True) -> None:
        """Commit what is pending, unless told that something went wrong, and release the folder.

        Raises:
            StorageError: the last commit failed; the folder is released all the same.
        """
        try:
            if is_clean:
                self._write_pending()
        finally:
            self._store.close()
            os.close(self._lock)

    @property
    def spool_id(self) -> str:
        """Name of this spool for ever; norm sums of one spool only grow."""
        return self._store.index.totals().spool_id

    @property
    def health(self) -> SpoolHealth:
        """What had to be mended at opening, and since."""
        return self._store.health

    def append(self, record: ResidualRecord) -> bool:
        """Take a record; it is accepted when `commit` returns its id.

        A group of 25 records, or one older than a second, is committed on the way; the next `commit` reports it.

        Returns:
            False when the record is already here, pending, present, or delivered a short while ago; nothing is changed.

        Raises:
            StorageError: the record is larger than a segment, or a commit on the way failed: this record was not taken,
                those before it wait in memory.
        """
        if record.id in self._pending or self._store.index.find(record.id) is not None:
            self._repeated += 1
            return False
        frame = encode_frame(FrameKind.RECORD, encode_record(record))
        size_b = len(frame) + len(SEGMENT_MAGIC)
        if size_b > self._store.segment_b:
            raise StorageError(
                f"residual of {len(frame)} bytes exceeds a segment of {self._store.segment_b}: "
                f"raise its segments to {size_b} bytes and its quota to {_QUOTA_SEGMENTS * size_b} or more"
            )
        if self._pending_b + size_b > self._store.segment_b or self._is_due():
            self._write_pending()
        if not self._pending:
            self._pending_since_ns = self._clock.monotonic_ns()
        self._pending[record.id] = (record, frame)
        self._pending_b += len(frame)
        if len(self._pending) >= GROUP_RECORDS:
            self._write_or_drop(record.id, len(frame))
        return True

    def add_norms(self, statistics: NormStatistics) -> None:
        """Count objects of known truth; the sums become durable with the next commit."""
        self._pending_norms = self._pending_norms.plus(statistics)

    def commit(self) -> list[str]:
        """Make everything pending durable.

        Returns:
            The ids accepted since the last call, in the order of their appends.

        Raises:
            StorageError: the disk is full or failed; what is pending stays in memory, and may be committed again.
        """
        self._write_pending()
        accepted, self._accepted = self._accepted, []
        return accepted

    def records(self) -> Iterator[ResidualRecord]:
        """Give every record that is present, in the order in which they were stored.

        A record found damaged on the way is left out and counted; so are, without a count, those evicted meanwhile.

        Raises:
            StorageError: a segment cannot be read, or the index cannot be written.
        """
        for place in self._store.index.places():
            record = self._store.read(place)
            if record is not None:
                yield record

    def mark_delivered(self, ids: Iterable[str]) -> int:
        """Note that the trainer has these records, and free the segments that hold no others.

        Returns:
            How many were present; unknown ids and repetitions are passed over.

        Raises:
            StorageError: an id is no id, or the index or folder cannot be written.
        """
        count = self._store.index.mark_delivered(ids)
        self._store.retire(dict.fromkeys(self._store.index.finished_segments(), "delivered"))
        return count

    def purge(self, ids: Iterable[str]) -> int:
        """Give up records that are not wanted, such as those of a lot whose class was stated wrongly.

        Args:
            ids: of records that are present; call `commit` before, those still pending are passed over.

        Returns:
            How many were present. They are counted as evicted, reason `purged`; the bytes go with their segment.

        Raises:
            StorageError: an id is no id, or the index or folder cannot be written.
        """
        count = self._store.index.mark_purged(ids)
        self._store.retire(dict.fromkeys(self._store.index.finished_segments(), "delivered"))
        return count

    def norm_statistics(self) -> NormStatistics:
        """Return the norm sums of every object ever counted and committed.

        Raises:
            StorageError: the index cannot be read.
        """
        sums = self._store.index.totals().norms
        for state in self._store.index.segments():
            sums = sums.plus(state.norms)
        return sums

    def count_kept(self, stream: Stream, lot: str, *, label: str, source: TruthSource) -> int:
        """Return how many records of a stream, lot, class and source lie here, pending ones included.

        Args:
            stream: "confirmed" for class mistakes, "candidate" for those that wait for a person.
            lot: name of the lot.
            label: true class, or the decided one of records that nobody has named.
            source: of the truth.

        Raises:
            StorageError: the index cannot be read.
        """
        wanted = (stream, lot, label, source)
        headers = [record.header for record, _ in self._pending.values()]
        found = [(stream_of(one), one.lot, counted_class(one), one.truth.source) for one in headers]
        return found.count(wanted) + self._store.index.count_kept(stream, lot, label=label, source=source)

    def counts(self) -> SpoolCounts:
        """Return the books.

        Raises:
            StorageError: the index cannot be read.
        """
        index = self._store.index
        totals = index.totals()
        evicted = totals.evicted
        if purged := index.count("purged"):
            evicted = dict(sorted((evicted | {"purged": evicted.get("purged", 0) + purged}).items()))
        return SpoolCounts(
            stored=index.stored(),
            present=index.count("present"),
            delivered=totals.delivered + index.count("delivered"),
            evicted=evicted,
            pending=len(self._pending),
            repeated=self._repeated,
            used_b=self._store.used_b,
            quota_b=self._store.quota_b,
        )

    def _is_due(self) -> bool:
        age_ns = self._clock.monotonic_ns() - self._pending_since_ns
        return bool(self._pending) and age_ns >= GROUP_AGE_S * NS_PER_S

    def _write_pending(self) -> None:
        if self._pending or self._pending_norms.entries:
            self._store.write(list(self._pending.values()), self._pending_norms)
            self._accepted += self._pending
            self._pending.clear()
            self._pending_b = 0
            self._pending_norms = NormStatistics()

    def _write_or_drop(self, record_id: str, size_b: int) -> None:
        """Write the full group; when that fails its last record is not taken, so that memory stays bounded."""
        try:
            self._write_pending()
        except StorageError:
            del self._pending[record_id]
            self._pending_b -= size_b
            raise
