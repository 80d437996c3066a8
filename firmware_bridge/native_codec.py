r"""Whole batches of SEL/1 frames through the C codec: arrays in, arrays out, no Python object a frame.

For fast links, replays of recordings and everything else with many frames at once. Verdicts, counters and wire bytes
are those of `framing`. Where the C code cannot be had, `NativeUnavailableError` comes out of the first call.

>>> from firmware_bridge.framing import Deframer
>>> from firmware_bridge.native_build import is_native_available
>>> deframer = NativeDeframer() if is_native_available() else Deframer()
>>> deframer.feed(bytes.fromhex("04035a02090403020162b4d5e900"))
[Frame(type=3, epoch8=90, seq=2, payload=b'\x04\x03\x02\x01')]
"""

import ctypes
import functools
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import MessageError
from firmware_bridge.framing import MAX_BODY_B, MIN_BODY_B, Frame, FrameCounters
from firmware_bridge.messages import MAX_EVENTS_PER_BATCH, MAX_VALVES, MAX_VALVES_PER_EVENT, BatchFlag
from firmware_bridge.native_build import load_native

__all__ = ["EjectColumns", "FrameBatch", "NativeDecoder", "NativeDeframer", "eject_batch_frames", "encode_frames"]

_MIN_WIRE_B: Final = MIN_BODY_B + 2  # code byte and delimiter
_MAX_BODY_B: Final = 1032  # of sel_lib_codec.c
_FRAME_COST_B: Final = MIN_BODY_B + _MAX_BODY_B // 254 + 2  # at most: one code byte a full run, one more, delimiter
_SINGLE_EVENT_B: Final = 16 + _FRAME_COST_B
_COUNTERS: Final = struct.Struct("=5I")  # the first member of struct sel_decoder
_ROW: Final = np.dtype(  # struct sel_lib_row
    {
        "names": ["offset", "seq", "length", "type", "epoch8"],
        "formats": [np.int64, np.uint16, np.uint16, np.uint8, np.uint8],
        "itemsize": 16,
    }
)
_ROW_STRUCT: Final = struct.Struct("=qHHBB2x")


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Intact frames in the order of the stream, by column.

    Attributes:
        rows: (N,) records of offset int64, seq and length uint16, type and epoch8 uint8: `batch.rows["seq"]`.
        payloads: (bytes,) uint8; frame i's payload is payloads[offset : offset + length].
    """

    rows: NDArray[np.void]
    payloads: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self) -> list[Frame]:
        """Return the frames one by one, for code that is not in a hurry."""
        data = self.payloads.tobytes()
        return [
            Frame(type_, epoch8, seq, data[offset : offset + length])
            for offset, seq, length, type_, epoch8 in self.rows.tolist()
        ]


class NativeDecoder:
    """Cut a byte stream into batches of intact frames; the twin of `framing.Deframer`.

    Args:
        max_body_b: longer bodies are dropped and counted; 8..1032.

    Raises:
        MessageError: max_body_b is out of range.
        NativeUnavailableError: there is no C compiler, or its library does not load.

    Note:
        One thread at a time: a call lets other threads run while it decodes.
    """

    def __init__(self, max_body_b: int = MAX_BODY_B) -> None:
        _check_range("max_body_b", max_body_b, MIN_BODY_B, _MAX_BODY_B)
        self._library = _library()
        self._state = ctypes.create_string_buffer(self._library.sel_lib_decoder_size())
        self._library.sel_lib_decoder_init(self._state, max_body_b)

    @property
    def counters(self) -> FrameCounters:
        """Return what was seen so far; each number wraps at 2^32."""
        return FrameCounters(*self._counts())

    def feed(self, data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> FrameBatch:
        """Return the frames that `data`, a contiguous piece of the stream, completes.

        Raises:
            MessageError: `data` is not contiguous.

        Note:
            About 10 ns a byte. Memory for the worst case, 2.6 B a byte, is set aside, and used as far as needed.
        """
        try:
            wire = np.frombuffer(data, np.uint8)
        except (BufferError, ValueError) as error:
            raise MessageError(f"piece of a stream is no contiguous buffer: {error}; copy it first") from error
        rows = np.empty(1 + len(wire) // _MIN_WIRE_B, _ROW)
        payloads = np.empty(len(wire) + _MAX_BODY_B, np.uint8)
        count = self._library.sel_lib_decode(
            self._state, wire.ctypes.data, len(wire), rows.ctypes.data, payloads.ctypes.data
        )
        used_b = int(rows["offset"][count - 1]) + int(rows["length"][count - 1]) if count else 0
        return FrameBatch(rows[:count], payloads[:used_b])

    def _counts(self) -> tuple[int, ...]:
        return _COUNTERS.unpack_from(self._state)


class NativeDeframer:
    """`framing.Deframer` on top of the C decoder: the same frames, sooner.

    Args:
        max_body_b: longer bodies are dropped and counted; 8..1032.

    Raises:
        MessageError: max_body_b is out of range.
        NativeUnavailableError: there is no C compiler, or its library does not load.

    Note:
        Three times as fast as the twin for chunks of many frames, somewhat slower for chunks of one.
    """

    def __init__(self, max_body_b: int = MAX_BODY_B) -> None:
        self._decoder = NativeDecoder(max_body_b)
        self._decode = self._decoder._library.sel_lib_decode
        self._make_room(4096)

    @property
    def counters(self) -> FrameCounters:
        """Return what was seen so far; each number wraps at 2^32."""
        return self._decoder.counters

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order; the same whatever the chunking of the stream."""
        if len(data) > self._room_b:
            self._make_room(len(data))
        count = self._decode(self._decoder._state, data, len(data), self._rows, self._payloads)
        if not count:
            return []
        rows = _ROW_STRUCT.iter_unpack(ctypes.string_at(self._rows, count * _ROW_STRUCT.size))
        payloads = ctypes.string_at(self._payloads, len(data) + _MAX_BODY_B)
        make = tuple.__new__  # what Frame(...) does, without a call of Python code a frame
        return [make(Frame, (t, e, s, payloads[o : o + n])) for o, s, n, t, e in rows]

    def _make_room(self, wire_b: int) -> None:
        self._room_b = wire_b
        self._rows = ctypes.create_string_buffer((1 + wire_b // _MIN_WIRE_B) * _ROW_STRUCT.size)
        self._payloads = ctypes.create_string_buffer(wire_b + _MAX_BODY_B)


@dataclass(frozen=True, slots=True)
class EjectColumns:
    """Ejections by column, all of one length.

    Attributes:
        evids: uint32, event ids.
        ticks: uint32, when to fire, modulo 2^32.
        first_valves: uint16, 0..4095.
        valve_counts: uint8, adjacent valves, 1..16.
        pulses_us: uint16, 1..65535.
    """

    evids: NDArray[np.uint32]
    ticks: NDArray[np.uint32]
    first_valves: NDArray[np.uint16]
    valve_counts: NDArray[np.uint8]
    pulses_us: NDArray[np.uint16]


def encode_frames(
    payloads: NDArray[np.uint8],
    lengths: NDArray[np.uint16] | None = None,
    *,
    types: NDArray[np.uint8],
    seqs: NDArray[np.uint16],
    epoch8: int,
    max_body_b: int = MAX_BODY_B,
) -> NDArray[np.uint8]:
    """Return the wire bytes of N frames, each with its delimiter.

    Args:
        payloads: (N, length) uint8, or with `lengths` all payloads one behind the other.
        lengths: (N,) uint16 bytes of each payload, 0..max_body_b - 8.
        types: (N,) uint8.
        seqs: (N,) uint16.
        epoch8: low byte of the session's epoch, for all.
        max_body_b: limit of the receiver for header + payload + CRC, 8..1032.

    Raises:
        MessageError: shapes, dtypes or lengths do not fit.
        NativeUnavailableError: there is no C compiler, or its library does not load.
    """
    _check_range("epoch8", epoch8, 0, 255)
    _check_range("max_body_b", max_body_b, MIN_BODY_B, _MAX_BODY_B)
    limit_b = max_body_b - MIN_BODY_B
    if lengths is None:
        if payloads.ndim != 2:
            raise MessageError(f"payloads of shape {payloads.shape} need `lengths`, or one row a frame")
        # A length beyond 16 bits is refused below as well.
        lengths = np.full(len(payloads), min(payloads.shape[1], 0xFFFF), np.uint16)
        payloads = payloads.reshape(-1)
    count = len(lengths)
    types, seqs = _column("types", types, np.uint8, count), _column("seqs", seqs, np.uint16, count)
    lengths, payloads = _column("lengths", lengths, np.uint16, count), _column("payloads", payloads, np.uint8, None)
    _check_all("payload length", lengths, lengths <= limit_b, f"> limit {limit_b} B")
    if (total_b := int(lengths.sum(dtype=np.int64))) != len(payloads):
        raise MessageError(f"{len(payloads)} B of payloads, but lengths add up to {total_b} B")
    wire = np.empty(total_b + _FRAME_COST_B * count, np.uint8)
    pointers = [array.ctypes.data for array in (types, seqs, lengths, payloads)]
    return wire[: _library().sel_lib_encode(wire.ctypes.data, epoch8, *pointers, count)]


def eject_batch_frames(
    columns: EjectColumns,
    *,
    epoch8: int,
    first_seq: int,
    flags: BatchFlag = BatchFlag.ALLOW_LATE,
    batch_events: int = 20,
) -> tuple[NDArray[np.uint8], int]:
    """Return ejections as EJECT_BATCH frames: wire bytes and the number of frames.

    A batch ends after batch_events events, before a gap in the ids, and where fire times lie more than 65,535 ticks
    apart; its base_tick is the earliest of them.

    Args:
        columns: what to fire, in the order of their ids.
        epoch8: low byte of the session's epoch.
        first_seq: seq of the first frame, modulo 2^16; the others count on.
        flags: of every batch.
        batch_events: 1..39.

    Raises:
        MessageError: shapes or dtypes do not fit, or a value is out of its range.
        NativeUnavailableError: there is no C compiler, or its library does not load.
    """
    for name, value, high in (("epoch8", epoch8, 255), ("first_seq", first_seq, 0xFFFF), ("flags", int(flags), 255)):
        _check_range(name, value, 0, high)
    _check_range("batch_events", batch_events, 1, MAX_EVENTS_PER_BATCH)
    events, count = _Events(), len(columns.evids)
    kept = []  # arrays whose addresses the structure holds
    for name, dtype in _EVENT_COLUMNS.items():
        kept.append(_column(name, getattr(columns, name), dtype, count))
        setattr(events, name, kept[-1].ctypes.data)
    events.count = count
    _check_events(columns)
    wire, frames = np.empty(_SINGLE_EVENT_B * count, np.uint8), ctypes.c_size_t()
    used_b = _library().sel_lib_encode_ejects(
        wire.ctypes.data, ctypes.byref(events), batch_events, int(flags), epoch8, first_seq, ctypes.byref(frames)
    )
    return wire[:used_b], frames.value


_EVENT_COLUMNS: Final[dict[str, type[np.unsignedinteger[Any]]]] = {
    "evids": np.uint32,
    "ticks": np.uint32,
    "first_valves": np.uint16,
    "pulses_us": np.uint16,
    "valve_counts": np.uint8,
}


class _Events(ctypes.Structure):
    """struct sel_lib_events."""

    _fields_ = [*((name, ctypes.c_void_p) for name in _EVENT_COLUMNS), ("count", ctypes.c_size_t)]


@functools.cache
def _library() -> ctypes.CDLL:
    library = load_native()
    pointer, size, u8, u16 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint8, ctypes.c_uint16
    library.sel_lib_decoder_size.argtypes = ()
    library.sel_lib_decoder_init.argtypes = (pointer, u16)
    library.sel_lib_decoder_init.restype = None
    library.sel_lib_decode.argtypes = (pointer, pointer, size, pointer, pointer)
    library.sel_lib_encode.argtypes = (pointer, u8, pointer, pointer, pointer, pointer, size)
    library.sel_lib_encode_ejects.argtypes = (pointer, pointer, size, u8, u8, u16, pointer)
    for function in ("decoder_size", "decode", "encode", "encode_ejects"):
        getattr(library, f"sel_lib_{function}").restype = size
    return library


def _column(name: str, array: NDArray[Any], dtype: type[np.unsignedinteger[Any]], count: int | None) -> NDArray[Any]:
    """Return `array`, contiguous, after a look at its shape and dtype: a wrong one would be read past its end."""
    if array.dtype != dtype or array.ndim != 1 or count not in {None, len(array)}:
        wanted = f"({'N' if count is None else count},) {np.dtype(dtype)}"
        raise MessageError(f"{name} is {array.shape} {array.dtype}, not {wanted}: convert it first")
    return np.ascontiguousarray(array)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise MessageError(f"{name} {value} is out of range {low}..{high}")


def _check_all(name: str, column: NDArray[Any], is_good: NDArray[np.bool_], limit: str) -> None:
    if not is_good.all():
        at = int(is_good.argmin())
        raise MessageError(f"row {at}: {name} {column[at]} {limit}")


def _check_events(columns: EjectColumns) -> None:
    counts, first = columns.valve_counts, columns.first_valves
    is_good = (counts >= 1) & (counts <= MAX_VALVES_PER_EVENT)
    _check_all("valve_count", counts, is_good, f"is out of range 1..{MAX_VALVES_PER_EVENT}")
    _check_all("first_valve", first, first < MAX_VALVES, f"> limit {MAX_VALVES - 1}")
    _check_all("pulse_us", columns.pulses_us, columns.pulses_us >= 1, "< limit 1")
