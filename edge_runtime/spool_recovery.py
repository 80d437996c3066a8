"""Opening a spool folder in whatever state it was left: index, totals and segments brought to one story.

Layout of the folder: `NNNNNNNN.<stream>.seg` segments, `index.sqlite`, `totals.json` (the memory of what has left, from
which the index is built again), `lock`. It knows the folder, not who appends to it.

>>> list_segments(Path("/nowhere"))
[]
"""

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
import structlog

from edge_runtime.errors import StorageError
from edge_runtime.residual import Failure, ResidualHeader, ResidualRecord, counted_class, decode_record
from edge_runtime.spool_index import Place, SegmentState, SpoolIndex, Totals
from edge_runtime.spool_segment import FrameKind, Scan, scan_frames
from edge_runtime.storage import fsync_folder, read_bytes, sha256_hex, write_atomic
from edge_runtime.truth import NormStatistics

__all__ = [
    "STREAMS",
    "NormsEntry",
    "SegmentFile",
    "SpoolHealth",
    "Stream",
    "list_segments",
    "place_of",
    "read_again",
    "recover",
    "save_totals",
    "segment_path",
    "stream_of",
    "unlink_retired",
]

Stream = Literal["audit", "candidate", "fault", "confirmed"]
STREAMS: Final[tuple[Stream, ...]] = get_args(Stream)  # in the order in which a full spool gives them up

_STREAM_OF: Final[dict[Failure, Stream]] = {
    "misclassified": "confirmed",
    "late": "fault",
    "not_deflected": "fault",
    "audit": "audit",
    "candidate": "candidate",
}
_SEGMENT_NAME: Final = re.compile(r"(?P<number>\d{8})\.(?P<stream>audit|candidate|fault|confirmed)\.seg")
_log = structlog.get_logger(__name__)


class NormsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payload of a NORMS frame, as JSON because its sums may outgrow 64 bits.

    Attributes:
        sequence: ascending; an entry that was written twice counts once.
        norms: objects of known truth since the entry before.
    """

    sequence: int
    norms: NormStatistics


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment in the folder: its number, its stream and its path."""

    number: int
    stream: str
    path: Path


@dataclass(slots=True)
class SpoolHealth:
    """What was found and mended when the spool was opened, and since.

    Attributes:
        is_index_rebuilt: the index was missing, damaged or stale and was built again from the segments.
        is_totals_lost: index and totals were both lost: counting starts again with what the segments hold.
        torn_b: bytes cut off behind the last whole record of a segment.
        damaged: stretches of unreadable bytes between readable records.
        lost: accepted records that these cost, as far as the index knew them.
        unreadable: segments that could not be read at all.
    """

    is_index_rebuilt: bool = False
    is_totals_lost: bool = False
    torn_b: int = 0
    damaged: int = 0
    lost: int = 0
    unreadable: int = 0


def stream_of(header: ResidualHeader) -> Stream:
    """Return which segments a record goes to; records of one stream are evicted together."""
    return _STREAM_OF[header.failure]


def place_of(record: ResidualRecord, segment: int, offset_b: int, length_b: int) -> Place:
    """Return where a record lies, with what its quota is counted by."""
    header = record.header
    return Place(record.id, segment, offset_b, length_b, header.lot, counted_class(header), header.truth.source)


def segment_path(folder: Path, number: int, stream: str) -> Path:
    """Return the path of a segment."""
    return folder / f"{number:08d}.{stream}.seg"


def list_segments(folder: Path) -> list[SegmentFile]:
    """Return the segments in a folder, ascending by number; none when there is no folder.

    Raises:
        StorageError: the folder cannot be listed.
    """
    try:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise StorageError(f"cannot list spool folder {folder}: {error.strerror or error}") from error
    found = [match for name in sorted(names) if (match := _SEGMENT_NAME.fullmatch(name))]
    return [SegmentFile(int(match["number"]), match["stream"], folder / match.string) for match in found]


def recover(folder: Path) -> tuple[SpoolIndex, SpoolHealth]:
    """Return the index of a spool folder, true to its segments, and what had to be mended.

    Torn tails are cut, damaged records are stepped over, records that reached a segment but not the index are taken
    in, and a lost index is built again. Called only by the holder of the folder's lock.

    Raises:
        StorageError: the disk cannot be read or written; never because a file is damaged.
    """
    health = SpoolHealth()
    index = _open_index(folder, health)
    totals = index.totals()
    save_totals(folder, totals)
    unlink_retired(folder, totals)
    files = list_segments(folder)
    states = {state.number: state for state in index.segments()}
    sequence = 0 if health.is_index_rebuilt else index.norms_sequence()
    for file in files:
        state = states.pop(file.number, SegmentState(file.number, file.stream, 0, NormStatistics()))
        sequence = _catch_up(index, file, state, sequence, health)
    for state in states.values():  # their files are gone
        health.lost += index.replace(SegmentState(state.number, state.stream, 0, NormStatistics()), ())
    fsync_folder(folder)
    index.complete()
    _log_health(folder, health)
    return index, health


def read_again(index: SpoolIndex, file: SegmentFile, indexed_b: int) -> int:
    """Read a segment again from its begin, after a record in it was found damaged; return how many records are lost.

    Args:
        index: is corrected.
        file: the segment.
        indexed_b: bytes of it that were accepted.

    Raises:
        StorageError: the file cannot be read or the index cannot be written.
    """
    data = read_bytes(file.path)[:indexed_b] if file.path.exists() else b""
    scan = scan_frames(data)
    places, norms, _ = _contents(file, scan, 0)
    return index.replace(SegmentState(file.number, file.stream, len(data), norms), places)


def save_totals(folder: Path, totals: Totals) -> None:
    """Write totals.json: the sha256 of the rest on its first line, then the totals.

    Raises:
        StorageError: it cannot be written; the old file is unchanged.
    """
    body = msgspec.json.encode(totals)
    write_atomic(folder / "totals.json", f"{sha256_hex(body)}\n".encode() + body)


def unlink_retired(folder: Path, totals: Totals) -> None:
    """Delete the files of segments that have left; whatever was deleted before is passed over.

    Raises:
        StorageError: a file cannot be deleted.
    """
    doomed = [file for file in list_segments(folder) if file.number in totals.retired]
    for file in doomed:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete segment {file.path}: {error.strerror or error}") from error
    if doomed:
        fsync_folder(folder)


def _open_index(folder: Path, health: SpoolHealth) -> SpoolIndex:
    path = folder / "index.sqlite"
    saved = _load_totals(folder)
    index = SpoolIndex.open(path)
    if index is not None and saved is not None:
        known = index.totals()
        if saved.spool_id != known.spool_id or saved.sequence > known.sequence:
            index.close()  # an older state of the index: what it lists may have left
            index = None
    if index is None:
        was_used = path.exists() or saved is not None or bool(list_segments(folder))
        health.is_index_rebuilt = was_used
        health.is_totals_lost = was_used and saved is None
        index = SpoolIndex.create(path, saved or Totals(spool_id=secrets.token_hex(16)))
    return index


def _load_totals(folder: Path) -> Totals | None:
    """Return the totals, None when they are missing or damaged."""
    try:
        digest, _, body = (folder / "totals.json").read_bytes().partition(b"\n")
        return msgspec.json.decode(body, type=Totals) if digest == sha256_hex(body).encode() else None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _catch_up(index: SpoolIndex, file: SegmentFile, state: SegmentState, sequence: int, health: SpoolHealth) -> int:
    """Bring the index to what a segment holds and return the sequence of its last norm sums."""
    try:
        if file.path.stat().st_size == state.indexed_b:
            return sequence
        data = file.path.read_bytes()
    except OSError as error:
        health.unreadable += 1
        _log.error("spool.segment_unreadable", path=str(file.path), reason=error.strerror)
        return sequence
    is_cut = len(data) < state.indexed_b
    scan = scan_frames(data, 0 if is_cut else state.indexed_b)
    end_b = min(scan.end_b, len(data))
    health.damaged += scan.damaged
    health.torn_b += len(data) - end_b
    _cut(file.path, end_b)
    places, norms, last = _contents(file, scan, 0 if is_cut else sequence)
    if is_cut:
        health.lost += index.replace(SegmentState(file.number, file.stream, end_b, norms), places)
        return sequence
    state = SegmentState(file.number, file.stream, end_b, state.norms.plus(norms))
    index.add([state], places, max(last, index.norms_sequence()))
    return last


def _contents(file: SegmentFile, scan: Scan, sequence: int) -> tuple[list[Place], NormStatistics, int]:
    """Return the records of a scan, its norm sums after `sequence`, and the last sequence."""
    places: list[Place] = []
    norms = NormStatistics()
    for frame in scan.frames:
        try:
            if frame.kind is FrameKind.RECORD:
                record = decode_record(frame.payload)
                places.append(place_of(record, file.number, frame.offset_b, frame.length_b))
            elif frame.kind is FrameKind.NORMS:
                entry = msgspec.json.decode(frame.payload, type=NormsEntry)
                if entry.sequence > sequence:
                    norms, sequence = norms.plus(entry.norms), entry.sequence
        except (StorageError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("spool.frame_unknown", path=str(file.path), offset_b=frame.offset_b, reason=str(error))
    return places, norms, sequence


def _cut(path: Path, end_b: int) -> None:
    """Cut what is torn and make the rest durable: it may have reached the page cache only."""
    with suppress(OSError):  # a tail that cannot be cut is stepped over as damage later
        handle = os.open(path, os.O_RDWR)
        try:
            os.ftruncate(handle, end_b)
            os.fsync(handle)
        finally:
            os.close(handle)


def _log_health(folder: Path, health: SpoolHealth) -> None:
    if health.is_index_rebuilt:
        _log.warning("spool.index_rebuilt", folder=str(folder), is_totals_lost=health.is_totals_lost)
    if health.torn_b or health.damaged or health.lost:
        found = {"torn_b": health.torn_b, "damaged": health.damaged, "lost": health.lost}
        _log.warning("spool.damaged", folder=str(folder), **found)
