"""Residuals as one file, for a stick or an uplink: every record proven, every byte under one checksum.

Layout: `SLRX` | version u16 | 0 u16 | a RECORD frame each | one END frame | sha256 of all before it. Frames are the
spool's (spool_segment), integers little endian. It knows files and records; the receipt comes back to `Spool`.

>>> decode_export(encode_export("mill-1", [], NormStatistics())).spool_id
'mill-1'
"""

import hashlib
import io
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec
import structlog

from edge_runtime.errors import StorageError
from edge_runtime.residual import ResidualRecord, check_record, decode_record, encode_record
from edge_runtime.spool import Spool
from edge_runtime.spool_segment import (
    FRAME_OVERHEAD_B,
    Frame,
    FrameKind,
    decode_frame,
    encode_frame,
    frame_length,
)
from edge_runtime.storage import fsync_folder
from edge_runtime.truth import NormStatistics

__all__ = [
    "EXPORT_SUFFIX",
    "Export",
    "ExportRecords",
    "ExportReport",
    "ExportTail",
    "decode_export",
    "encode_export",
    "export_spool",
    "read_export",
]

EXPORT_SUFFIX: Final = ".slrx"
_VERSION: Final = 1
_HEAD: Final = b"SLRX" + struct.pack("<HH", _VERSION, 0)
_DIGEST_B: Final = 32
_CHUNK_B: Final = 1 << 20
_MAX_FRAME_B: Final = 64 << 20  # far above the largest crop; a length beyond it is damage, not a record
_log = structlog.get_logger(__name__)


class ExportTail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payload of the END frame, as JSON.

    Attributes:
        spool_id: of the spool; norm sums of one spool replace older ones, sums of several spools add up.
        count: records in the file.
        norms: norm sums of every object of known truth since the spool was made.
    """

    spool_id: str
    count: int
    norms: NormStatistics
    schema_version: Literal[1] = 1


class ExportReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an export wrote.

    Attributes:
        path: the file.
        count: records in it.
        refused: records left out because they are not what their id says; they stay in the spool.
        size_b: bytes of the file.
        sha256: its checksum, as stored in its last 32 bytes.
        ids: of the records, in the file's order; hand them to `Spool.mark_delivered` when the trainer has them.
    """

    path: str
    count: int
    refused: int
    size_b: int
    sha256: str
    ids: tuple[str, ...]
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class ExportRecords:
    """The records of a proven export; may be iterated any number of times, each time from the source.

    Attributes:
        source: the file, or its bytes.
        count: how many.
    """

    source: Path | bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[ResidualRecord]:
        """Give the records one by one.

        Raises:
            StorageError: the file was changed or taken away after it was proven.
        """
        with _open(self.source) as file:
            _read_head(file, _name(self.source))
            for _ in range(self.count):
                yield _record(_read_frame(file, _name(self.source)), _name(self.source))


@dataclass(frozen=True, slots=True)
class Export:
    """A proven export.

    Attributes:
        spool_id: see `ExportTail`.
        records: every record once, checked, in the order in which they were stored.
        norm_statistics: see `ExportTail`.
        sha256: of everything before it; names this export.
    """

    spool_id: str
    records: ExportRecords
    norm_statistics: NormStatistics
    sha256: str


def export_spool(spool: Spool, path: Path) -> ExportReport:
    """Write every present record of a spool to one file, whole or not at all.

    Args:
        spool: open; what it has not committed yet is not exported.
        path: the file to make; an old one is replaced.

    Returns:
        What was written. Nothing is marked delivered: that is for the trainer's receipt.

    Raises:
        StorageError: the spool cannot be read, or the file not be written; an old file is unchanged then.

    Note:
        One record in memory at a time. The same records and norm sums give the same bytes.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            report = _export(spool, _Sink(file), path)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return report


def read_export(path: Path) -> Export:
    """Prove a whole export file and return its contents.

    Raises:
        StorageError: the file is missing, unreadable, of a later version, cut short, too long or changed anywhere; the
            message names it.

    Note:
        Reads the file once in small pieces; `records` reads it again, and proves each record again.
    """
    return _prove(path)


def decode_export(data: bytes) -> Export:
    """Return the export in `data`, proven like a file.

    Raises:
        StorageError: as `read_export`.
    """
    return _prove(data)


def encode_export(spool_id: str, records: Iterable[ResidualRecord], norms: NormStatistics) -> bytes:
    """Return an export file's bytes.

    Args:
        spool_id: of the spool.
        records: proven ones; they are not checked again.
        norms: see `ExportTail`.
    """
    file = io.BytesIO()
    sink = _Sink(file)
    sink.put(_HEAD)
    count = sum(bool(sink.put(encode_frame(FrameKind.RECORD, encode_record(record)))) for record in records)
    sink.finish(ExportTail(spool_id, count, norms))
    return file.getvalue()


class _Sink:
    """A file being written, with the sum over it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_b = 0

    def put(self, data: bytes) -> int:
        """Write `data`, return its size."""
        self._digest.update(data)
        self._file.write(data)
        self.size_b += len(data)
        return len(data)

    def finish(self, tail: ExportTail) -> str:
        """Write the tail and the checksum, return the checksum in hexadecimal."""
        self.put(encode_frame(FrameKind.END, msgspec.json.encode(tail)))
        digest = self._digest.copy()
        self.put(digest.digest())
        return digest.hexdigest()


def _export(spool: Spool, sink: _Sink, path: Path) -> ExportReport:
    sink.put(_HEAD)
    ids: list[str] = []
    refused = 0
    for record in spool.records():
        try:
            check_record(record)
        except StorageError as error:
            refused += 1
            _log.error("residual.refused", id=record.id, reason=str(error))
            continue
        sink.put(encode_frame(FrameKind.RECORD, encode_record(record)))
        ids.append(record.id)
    sha256 = sink.finish(ExportTail(spool.spool_id, len(ids), spool.norm_statistics()))
    return ExportReport(str(path), len(ids), refused, sink.size_b, sha256, tuple(ids))


def _prove(source: Path | bytes) -> Export:
    """Check checksum, frames, records and count of an export."""
    name = _name(source)
    with _open(source) as file:
        digest, body_b = _checksum(file, name)
        file.seek(0)
        _read_head(file, name)
        count = 0
        while (frame := _read_frame(file, name)).kind is FrameKind.RECORD:
            _record(frame, name)
            count += 1
        tail = _tail(frame, name)
        if file.tell() != body_b or tail.count != count:
            raise StorageError(f"export {name} announces {tail.count} records in {body_b} bytes and has {count}")
    return Export(tail.spool_id, ExportRecords(source, count), tail.norms, digest)


@contextmanager
def _open(source: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        with source.open("rb") as file:
            yield file
    except OSError as error:
        raise StorageError(f"cannot read export {source}: {error.strerror or error}") from error


def _name(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else f"of {len(source)} bytes"


def _checksum(file: BinaryIO, name: str) -> tuple[str, int]:
    """Return the sha256 of all but the last 32 bytes, and their number; refuse when these 32 are not it."""
    body_b = file.seek(0, os.SEEK_END) - _DIGEST_B
    file.seek(0)
    digest = hashlib.sha256()
    for start_b in range(0, body_b, _CHUNK_B):
        digest.update(file.read(min(_CHUNK_B, body_b - start_b)))
    if body_b < len(_HEAD) or file.read() != digest.digest():
        raise StorageError(f"export {name} is cut short or damaged: its checksum does not fit; export it again")
    return digest.hexdigest(), body_b


def _read_head(file: BinaryIO, name: str) -> None:
    head = file.read(len(_HEAD))
    if head[:4] != _HEAD[:4]:
        raise StorageError(f"{name} is no residual export: it begins with {head[:4].hex(' ')}, not with SLRX")
    if head != _HEAD:
        raise StorageError(f"export {name} has format {head[4:].hex(' ')}, this software reads {_VERSION}: update it")


def _read_frame(file: BinaryIO, name: str) -> Frame:
    try:
        head = file.read(FRAME_OVERHEAD_B)
        length_b = frame_length(head)
        if length_b > _MAX_FRAME_B:
            raise StorageError(f"a frame of {length_b} bytes exceeds the limit of {_MAX_FRAME_B}")
        return decode_frame(head + file.read(length_b - FRAME_OVERHEAD_B))
    except StorageError as error:
        raise StorageError(f"export {name} is damaged: {error}") from error


def _record(frame: Frame, name: str) -> ResidualRecord:
    try:
        record = decode_record(frame.payload)
        check_record(record)
    except StorageError as error:
        raise StorageError(f"export {name}: {error}") from error
    return record


def _tail(frame: Frame, name: str) -> ExportTail:
    try:
        if frame.kind is FrameKind.END:
            return msgspec.json.decode(frame.payload, type=ExportTail)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StorageError(f"export {name}: its end cannot be read: {error}") from error
    raise StorageError(f"export {name} has a {frame.kind.name} frame where records or the end are expected")
