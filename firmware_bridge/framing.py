r"""SEL/1 frames: bodies to wire bytes and back, without I/O and without knowing any message.

    wire = COBS(type u8, epoch8 u8, seq u16, payload, CRC-32 u32) 0x00        little-endian

A zero byte never occurs inside a frame, so a receiver is in step again at the next zero, whatever came before:
garbage costs the frame it touches and at most the one after it. wire-protocol.md section 2.

>>> wire = encode_frame(0x03, 0x5A, 2, bytes.fromhex("04030201"))
>>> wire.hex()
'04035a02090403020162b4d5e900'
>>> Deframer().feed(wire)
[Frame(type=3, epoch8=90, seq=2, payload=b'\x04\x03\x02\x01')]
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_bridge.errors import MessageError

__all__ = [
    "MAX_BODY_B",
    "MIN_BODY_B",
    "Deframer",
    "Frame",
    "FrameCounters",
    "cobs_decode",
    "cobs_encode",
    "encode_frame",
]

MAX_BODY_B: Final = 264  # static receive buffer of a controller
MIN_BODY_B: Final = 8  # header and CRC around an empty payload
_HEADER: Final = struct.Struct("<BBH")
_CRC: Final = struct.Struct("<I")
_CRC_RESIDUE: Final = 0x2144DF1C  # crc32 over data followed by its own little-endian crc32
_CODES: Final = tuple(bytes((code,)) for code in range(256))
_FULL_RUN_B: Final = 254  # the longest zero-free run one COBS code byte can announce


class Frame(NamedTuple):
    """One intact frame; the payload is not interpreted."""

    type: int
    epoch8: int
    seq: int
    payload: bytes


@dataclass(slots=True)
class FrameCounters:
    """What a receiver saw; `good` plus the others is every delimited, non-empty piece of the stream."""

    good: int = 0
    cobs_err: int = 0
    crc_err: int = 0
    len_err: int = 0
    overflow: int = 0


def encode_frame(type_: int, epoch8: int, seq: int, payload: bytes, *, max_body_b: int = MAX_BODY_B) -> bytes:
    """Return the wire bytes of one frame, delimiter included.

    Args:
        type_: message type, 0..255.
        epoch8: low byte of the session's epoch, 0..255.
        seq: number of the frame in its class and direction, 0..65535.
        payload: message bytes.
        max_body_b: limit of the receiver for header + payload + CRC.

    Raises:
        MessageError: a header field is out of range or the body is longer than max_body_b.
    """
    if len(payload) + MIN_BODY_B > max_body_b:
        raise MessageError(f"frame type 0x{type_:02x}: body {len(payload) + MIN_BODY_B} B > limit {max_body_b} B")
    try:
        body = _HEADER.pack(type_, epoch8, seq) + payload
    except struct.error as exc:
        raise MessageError(f"frame header out of range: type {type_}, epoch8 {epoch8}, seq {seq}: {exc}") from exc
    return cobs_encode(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def cobs_encode(data: bytes) -> bytes:
    """Return `data` with every zero byte removed (Cheshire & Baker 1999), at most 1 B in 254 longer."""
    if len(data) <= _FULL_RUN_B - 1:  # no run can be full: one code byte a zero
        codes = _CODES
        return b"".join([codes[len(run) + 1] + run for run in data.split(b"\0")])
    return _cobs_encode_long(data)


def cobs_decode(wire: bytes) -> bytes | None:
    """Return the bytes that `cobs_encode` was given, or None where `wire` is no COBS: noise is expected, not an error.

    Args:
        wire: one frame without its delimiter and without any zero byte.
    """
    out = bytearray(wire)
    at, end = 0, len(out)
    while at < end:  # each code byte stands where a zero was, but for those of full runs
        code = out[at]
        if code == 0xFF:
            return _cobs_decode_long(wire)
        out[at] = 0
        at += code
    if at != end or not end:
        return None
    del out[0]
    return bytes(out)


class Deframer:
    """Cut a byte stream into intact frames; never raises, in time linear in the bytes fed.

    Args:
        max_body_b: longer bodies are dropped and counted as overflow, and never buffered.
    """

    def __init__(self, max_body_b: int = MAX_BODY_B) -> None:
        self.counters = FrameCounters()
        self._max_body_b = max_body_b
        self._max_wire_b = max_body_b + max_body_b // _FULL_RUN_B + 1
        self._tail = bytearray()
        self._is_overflowing = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order; the same whatever the chunking of the stream."""
        pieces = data.split(b"\0")
        last = pieces.pop()
        frames: list[Frame] = []
        if pieces:
            pieces[0] = self._close_tail(pieces[0])
            frames = [frame for piece in pieces if piece and (frame := self._decode(piece)) is not None]
        self._extend_tail(last)
        return frames

    def _close_tail(self, piece: bytes) -> bytes:
        if self._is_overflowing:
            self._is_overflowing = False
            self.counters.overflow += 1
            return b""
        whole = bytes(self._tail) + piece if self._tail else piece
        self._tail.clear()
        return whole

    def _extend_tail(self, piece: bytes) -> None:
        if self._is_overflowing:
            return
        if len(self._tail) + len(piece) > self._max_wire_b:
            self._is_overflowing = True
            self._tail.clear()
        else:
            self._tail += piece

    def _decode(self, wire: bytes) -> Frame | None:
        """Judge one delimited piece: the only place where a frame is accepted."""
        counters = self.counters
        if len(wire) > self._max_wire_b:
            counters.overflow += 1
            return None
        body = cobs_decode(wire)
        if body is None:
            counters.cobs_err += 1
            return None
        if not MIN_BODY_B <= len(body) <= self._max_body_b:
            counters.len_err += 1
            return None
        if zlib.crc32(body) != _CRC_RESIDUE:
            counters.crc_err += 1
            return None
        counters.good += 1
        type_, epoch8, seq = _HEADER.unpack_from(body)
        return Frame(type_, epoch8, seq, body[4:-4])


def _cobs_encode_long(data: bytes) -> bytes:
    out: list[bytes] = []
    runs = data.split(b"\0")
    for number, run in enumerate(runs, start=1):
        start = 0
        while len(run) - start >= _FULL_RUN_B:
            out += (b"\xff", run[start : start + _FULL_RUN_B])
            start += _FULL_RUN_B
        # A full run that ends the data needs no closing code byte: 0xFF implies no zero.
        if start == 0 or start < len(run) or number < len(runs):
            out += (_CODES[len(run) - start + 1], run[start:])
    return b"".join(out)


def _cobs_decode_long(wire: bytes) -> bytes | None:
    pieces: list[bytes] = []
    start, end = 0, len(wire)
    while start < end:
        code = wire[start]
        stop = start + code
        pieces.append(wire[start + 1 : stop])
        start = stop
        if code != 0xFF and start < end:
            pieces.append(b"\0")
    return b"".join(pieces) if start == end else None
