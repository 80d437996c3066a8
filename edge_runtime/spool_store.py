"""Segments and index as one store: a group of records goes in whole or not at all, whole segments go out.

The order of writing carries the promises: segment flushed, then index; index, then totals, then files deleted.
It knows folders, streams and bytes; not when a group is due, nor what a record says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import structlog

from edge_runtime.errors import StorageError
from edge_runtime.residual import ResidualRecord, decode_record
from edge_runtime.spool_index import Place, SegmentState
from edge_runtime.spool_recovery import (
    STREAMS,
    NormsEntry,
    SegmentFile,
    Stream,
    list_segments,
    place_of,
    read_again,
    recover,
    save_totals,
    segment_path,
    stream_of,
    unlink_retired,
)
from edge_runtime.spool_segment import SEGMENT_MAGIC, FrameKind, SegmentWriter, decode_frame, encode_frame
from edge_runtime.truth import NormStatistics

__all__ = ["SpoolStore"]

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    """What one group appends to one stream."""

    data: bytearray = field(default_factory=bytearray)
    places: list[Place] = field(default_factory=list)  # offsets count from the begin of `data`
    norms: NormStatistics = field(default_factory=NormStatistics)


class SpoolStore:
    """The files of a spool whose folder is locked.

    Attributes:
        index: the open index; read it, but change it only through the store.
        health: what had to be mended.
        quota_b: most bytes that segments may take.
        segment_b: size at which a segment is full.
    """

    def __init__(self, folder: Path, *, quota_b: int, segment_b: int) -> None:
        """Open and mend what lies in `folder`.

        Raises:
            StorageError: the disk cannot be read or written.
        """
        self.quota_b = quota_b
        self.segment_b = segment_b
        self._folder = folder
        self.index, self.health = recover(folder)
        totals = self.index.totals()
        self._saved_sequence = totals.sequence
        self._states = {state.number: state for state in self.index.segments()}
        self._sizes_b = {file.number: _size_b(file.path) for file in list_segments(folder)}
        self._next_number = max([0, *totals.retired, *self._states, *self._sizes_b]) + 1
        # the last segment of a stream may grow further when all of it is indexed
        states = self._states.values()
        self._tails = {s.stream: s.number for s in states if self._sizes_b.get(s.number) == s.indexed_b}
        self._writers: dict[str, tuple[int, SegmentWriter]] = {}

    @property
    def used_b(self) -> int:
        """Bytes of all segments."""
        return sum(self._sizes_b.values())

    def close(self) -> None:
        """Close every file."""
        for _, writer in self._writers.values():
            writer.close()
        self.index.close()

    def write(self, group: Iterable[tuple[ResidualRecord, bytes]], norms: NormStatistics) -> None:
        """Make a group of records and norm sums durable, in segments and index.

        Args:
            group: records with their frames.
            norms: objects of known truth since the last group.

        Raises:
            StorageError: a second try on new segments failed too, or the quota is too small; nothing was accepted.
        """
        sequence = self.index.norms_sequence() + bool(norms.entries)
        batches = _batches(group, NormsEntry(sequence, norms))
        try:
            states = self._write(batches, sequence)
        except StorageError as error:
            self._abandon(error)
            try:  # nobody knows what a failed flush left on the disk: everything again, from memory, into new segments
                states = self._write(batches, sequence)
            except StorageError as second:
                self._abandon(second)
                raise
        for _, writer in self._writers.values():
            writer.accept()
        self._states.update((state.number, state) for state in states)

    def read(self, place: Place) -> ResidualRecord | None:
        """Return a record, None when it was evicted meanwhile or is found damaged; damage is mended and counted.

        Raises:
            StorageError: the segment cannot be read, or the index cannot be written.
        """
        record = self._try_read(place)
        if record is None and self.index.find(place.id) == place:
            self._mend(place)
            again = self.index.find(place.id)
            record = self._try_read(again) if again else None
        return record

    def retire(self, reasons: dict[int, str]) -> None:
        """Take whole segments out: first the index says so, then the totals, then the files go.

        Args:
            reasons: why, by segment number.

        Raises:
            StorageError: the disk cannot be written; what the index already says is carried on by the next call.
        """
        if not reasons:
            return
        self._finish_retirement()
        for stream, (number, writer) in list(self._writers.items()):
            if number in reasons:
                writer.close()
                del self._writers[stream]
        totals = self.index.retire(reasons)
        self._tails = {stream: number for stream, number in self._tails.items() if number not in reasons}
        self._states = {number: state for number, state in self._states.items() if number not in reasons}
        _log.info("spool.retired", segments=len(reasons), delivered=totals.delivered, evicted=totals.evicted)
        self._finish_retirement()

    def _write(self, batches: dict[Stream, _Batch], sequence: int) -> list[SegmentState]:
        self._make_room(sum(len(batch.data) + len(SEGMENT_MAGIC) for batch in batches.values()))
        states: list[SegmentState] = []
        places: list[Place] = []
        for stream, batch in batches.items():
            number, start_b = self._append(stream, batch)
            known = self._states.get(number)
            norms = known.norms.plus(batch.norms) if known else batch.norms
            states.append(SegmentState(number, stream, self._sizes_b[number], norms))
            places += [replace(place, segment=number, offset_b=start_b + place.offset_b) for place in batch.places]
        self.index.add(states, places, sequence)
        return states

    def _append(self, stream: Stream, batch: _Batch) -> tuple[int, int]:
        """Append and flush, and return the segment's number and where the batch begins in it."""
        number, writer = self._writer(stream, len(batch.data))
        try:
            start_b = writer.append(batch.data)
            writer.sync()
        finally:
            self._sizes_b[number] = writer.size_b
        return number, start_b

    def _writer(self, stream: Stream, size_b: int) -> tuple[int, SegmentWriter]:
        """Return the segment that takes `size_b` more bytes of a stream, a new one when the last is full."""
        number = self._tails.get(stream)
        held_b = 0 if number is None else self._sizes_b[number]
        if number is None or (held_b and held_b + size_b > self.segment_b):
            number = self._tails[stream] = self._next_number
            self._next_number += 1
            if stream in self._writers:
                self._writers.pop(stream)[1].close()
        if stream not in self._writers:
            self._writers[stream] = number, SegmentWriter(segment_path(self._folder, number, stream))
            self._sizes_b.setdefault(number, 0)
        return self._writers[stream]

    def _abandon(self, error: StorageError) -> None:
        """Leave every open segment as it was before this group and begin new ones next time."""
        _log.warning("spool.segment_abandoned", reason=str(error), segments=len(self._writers))
        for number, writer in self._writers.values():
            self._sizes_b[number] = writer.abandon()
        self._writers.clear()
        self._tails.clear()

    def _make_room(self, need_b: int) -> None:
        self._finish_retirement()
        excess_b = self.used_b + need_b - self.quota_b
        victims: dict[int, str] = {}
        for state in sorted(self._states.values(), key=lambda state: (STREAMS.index(state.stream), state.number)):
            if excess_b <= 0:
                break
            victims[state.number] = f"quota_{state.stream}"
            excess_b -= self._sizes_b.get(state.number, 0)
        if excess_b > 0:
            raise StorageError(f"{need_b} bytes do not fit a spool of {self.quota_b} bytes: raise its quota")
        self.retire(victims)

    def _finish_retirement(self) -> None:
        """Do what follows a change of the totals; a failure leaves it to the next call."""
        totals = self.index.totals()
        if totals.sequence == self._saved_sequence:
            return
        save_totals(self._folder, totals)
        unlink_retired(self._folder, totals)
        for number in totals.retired:
            self._sizes_b.pop(number, None)
        self._saved_sequence = totals.sequence

    def _try_read(self, place: Place) -> ResidualRecord | None:
        """Return the record at a place, None when there is none with this id."""
        state = self._states.get(place.segment)
        if state is None:
            return None
        path = segment_path(self._folder, place.segment, state.stream)
        try:
            with path.open("rb") as file:
                file.seek(place.offset_b)
                data = file.read(place.length_b)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read segment {path}: {error.strerror or error}") from error
        try:
            record = decode_record(decode_frame(data).payload)
        except StorageError:
            return None
        return record if record.id == place.id else None

    def _mend(self, place: Place) -> None:
        """Read a damaged segment again: what is lost leaves the index and is counted."""
        state = self._states[place.segment]
        file = SegmentFile(state.number, state.stream, segment_path(self._folder, state.number, state.stream))
        lost = read_again(self.index, file, state.indexed_b)
        self.health.damaged += 1
        self.health.lost += lost
        _log.warning("spool.damaged", segment=str(file.path), offset_b=place.offset_b, lost=lost)
        self._states.update((known.number, known) for known in self.index.segments())
        self._finish_retirement()


def _batches(group: Iterable[tuple[ResidualRecord, bytes]], entry: NormsEntry) -> dict[Stream, _Batch]:
    batches: dict[Stream, _Batch] = {}
    for record, frame in group:
        header = record.header
        batch = batches.setdefault(stream_of(header), _Batch())
        batch.places.append(place_of(record, 0, len(batch.data), len(frame)))
        batch.data += frame
    if entry.norms.entries:
        batch = batches.setdefault("confirmed", _Batch())
        batch.norms = entry.norms
        batch.data += encode_frame(FrameKind.NORMS, msgspec.json.encode(entry))
    return batches


def _size_b(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StorageError(f"cannot read segment {path}: {error.strerror or error}") from error
