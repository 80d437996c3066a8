"""Recorded raw traffic on disk: append-only, a checksum a record, readable up to where a crash tore it.

    file   = magic 8 bytes "SEL1TRF" LF | version u16 | 0 u16 | start_ns u64 | start_utc_us u64 | crc32 u32
    record = t_ns u64 | kind u8 | length u32 | bytes | crc32 u32                    little-endian, crc32 over the rest

Times are the recording host's monotonic clock; the header ties them to UTC. Knows no frames and no transports.

>>> import io
>>> from firmware_bridge.clock import ManualClock
>>> sink = io.BytesIO()
>>> writer = TrafficWriter(sink, ManualClock())
>>> writer.add(TrafficPiece(5_000_000, TrafficKind.TO_BOARD, b"abc"))
>>> reader = TrafficReader(io.BytesIO(sink.getvalue() + b"torn"))
>>> list(reader), reader.torn_b
([TrafficPiece(t_ns=5000000, kind=<TrafficKind.TO_BOARD: 1>, data=b'abc')], 4)
"""

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from firmware_bridge.clock import Clock
from firmware_bridge.errors import TrafficFileError

__all__ = [
    "MAX_PIECE_B",
    "TrafficKind",
    "TrafficPiece",
    "TrafficReader",
    "TrafficWriter",
    "create_traffic",
    "read_traffic",
]

MAX_PIECE_B: Final = 1 << 20  # longer pieces are cut, so that a damaged length cannot ask for all memory
_MAGIC: Final = b"SEL1TRF\n"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sHHQQ")
_RECORD: Final = struct.Struct("<QBI")
_CRC: Final = struct.Struct("<I")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TrafficKind(Enum):
    """What a record tells; the number is its byte in the file."""

    QUIET = 0  # the host looked and nothing had come: the moments at which a virtual board was stepped
    TO_BOARD = 1
    TO_HOST = 2


_KINDS: Final = {kind.value: kind for kind in TrafficKind}


class TrafficPiece(NamedTuple):
    """Bytes that passed at one moment of the recording host's clock; QUIET has none."""

    t_ns: int
    kind: TrafficKind
    data: bytes


class TrafficWriter:
    """Appends records to a file; each reaches the system at once.

    Args:
        sink: open for writing, unbuffered; the writer closes it.
        clock: ties the records' times to UTC.

    Raises:
        TrafficFileError: the header cannot be written.
    """

    def __init__(self, sink: BinaryIO, clock: Clock) -> None:
        self._sink = sink
        self._lock = threading.Lock()  # a transport may be read and written in two threads
        utc_us = (clock.utc_now() - _EPOCH) // timedelta(microseconds=1)
        self._write(_HEADER.pack(_MAGIC, _VERSION, 0, clock.monotonic_ns(), utc_us))

    def add(self, piece: TrafficPiece) -> None:
        """Append one piece; one longer than MAX_PIECE_B becomes several with the same time.

        Raises:
            TrafficFileError: the disk is full or the file is closed; what was written before stays readable.
        """
        for start in range(0, max(len(piece.data), 1), MAX_PIECE_B):
            data = piece.data[start : start + MAX_PIECE_B]
            self._write(_RECORD.pack(piece.t_ns, piece.kind.value, len(data)) + data)

    def close(self) -> None:
        """Close the file; twice is harmless."""
        with suppress(OSError):  # nothing is buffered: there is nothing to lose
            self._sink.close()

    def _write(self, body: bytes) -> None:
        record = body + _CRC.pack(zlib.crc32(body))
        try:
            with self._lock:
                written = self._sink.write(record)
        except (OSError, ValueError) as error:
            raise TrafficFileError(f"recording stopped: {error}") from error
        if written != len(record):
            raise TrafficFileError(f"recording stopped: {written} of {len(record)} B fit on the disk")


class TrafficReader:
    """Yields the records of one file, once; after the last one `torn_b` tells what could not be read.

    Args:
        source: open for reading, at its start.

    Raises:
        TrafficFileError: no recording, of another version, or its header is damaged.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.torn_b = 0
        self._source = source
        header = self._take(_HEADER.size + _CRC.size)
        body = header[: -_CRC.size]
        if len(header) < _HEADER.size + _CRC.size or body[: len(_MAGIC)] != _MAGIC:
            raise TrafficFileError(f"no recording of traffic: it begins with {header[: len(_MAGIC)]!r}")
        _, version, _, self.start_ns, utc_us = _HEADER.unpack(body)
        if version != _VERSION:
            raise TrafficFileError(f"recording of version {version}: this program reads version {_VERSION}")
        if zlib.crc32(body) != _CRC.unpack(header[-_CRC.size :])[0]:
            raise TrafficFileError("recording's header is damaged: its checksum differs")
        self._start_utc = _EPOCH + timedelta(microseconds=utc_us)

    def __iter__(self) -> Iterator[TrafficPiece]:
        """Yield the records in file order up to the end or the first damaged one.

        Raises:
            TrafficFileError: the file cannot be read.
        """
        while head := self._take(_RECORD.size):
            piece, rest = self._next(head)
            if piece is None:
                self.torn_b = len(head) + len(rest) + self._count_rest()
                break
            yield piece
        self._source.close()

    def utc_of(self, t_ns: int) -> datetime:
        """Return the wall clock at a time of this recording."""
        return self._start_utc + timedelta(microseconds=(t_ns - self.start_ns) / 1000)

    def _next(self, head: bytes) -> tuple[TrafficPiece | None, bytes]:
        """Return the record that begins with `head`, None where it is damaged, and the bytes read for it."""
        if len(head) < _RECORD.size:
            return None, b""
        t_ns, kind, length = _RECORD.unpack(head)
        if length > MAX_PIECE_B or kind not in _KINDS:
            return None, b""
        rest = self._take(length + _CRC.size)
        if len(rest) < length + _CRC.size or zlib.crc32(head + rest[:length]) != _CRC.unpack(rest[length:])[0]:
            return None, rest
        return TrafficPiece(t_ns, _KINDS[kind], rest[:length]), rest

    def _count_rest(self) -> int:
        count = 0
        while data := self._take(MAX_PIECE_B):
            count += len(data)
        return count

    def _take(self, size_b: int) -> bytes:
        try:
            return self._source.read(size_b)
        except (OSError, ValueError) as error:
            raise TrafficFileError(f"recording cannot be read: {error}") from error


def create_traffic(path: Path, clock: Clock) -> TrafficWriter:
    """Begin a recording under a new name.

    Raises:
        TrafficFileError: the file exists already, or cannot be made.
    """
    try:
        sink = path.open("xb", buffering=0)
    except OSError as error:
        raise TrafficFileError(f"recording {path} cannot be begun: {error.strerror or error}") from error
    return TrafficWriter(sink, clock)


def read_traffic(path: Path) -> TrafficReader:
    """Return the records of a file, see `TrafficReader`.

    Raises:
        TrafficFileError: no such file, no recording, of another version, or its header is damaged.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise TrafficFileError(f"recording {path} cannot be read: {error.strerror or error}") from error
    try:
        return TrafficReader(source)
    except TrafficFileError:
        source.close()
        raise
