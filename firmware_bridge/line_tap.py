"""A transport that counts and understands what comes through another one, without being part of the session.

>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.transport_board import BoardTransport
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> clock = ManualClock()
>>> tap = LineTap(BoardTransport(VirtualBoard(), clock), clock)
>>> tap.read(64, timeout_s=0.1), tap.heard_b, tap.status
(b'', 0, None)
"""

from typing import Final

from firmware_bridge.clock import Clock
from firmware_bridge.codec import MESSAGE_TABLE, TO_HOST_BIT, decode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame
from firmware_bridge.messages import ClockReq, ClockRsp, Ident, Message, Status
from firmware_bridge.transport import Transport

__all__ = ["LineTap"]

_LONGEST_BODY_B: Final = 1032


class LineTap:
    """`inner`, watched.

    Attributes:
        heard_b: bytes that came.
        good_frames: intact frames of a controller.
        echoed_frames: intact frames of a host.
        status: the latest STATUS, of whatever session.
        ident: the latest IDENT, of whatever version.
        longest_pause_ns: longest time between two reads, from the second on.
        asked: CLOCK_REQs sent.

    Args:
        inner: the medium; closed with this transport.
        clock: times the pauses.
    """

    def __init__(self, inner: Transport, clock: Clock) -> None:
        self.heard_b = self.good_frames = self.echoed_frames = self.longest_pause_ns = self.asked = 0
        self.status: Status | None = None
        self.ident: Ident | None = None
        self._inner = inner
        self._clock = clock
        self._deframer = Deframer(_LONGEST_BODY_B)
        self._sent = Deframer(_LONGEST_BODY_B)
        self._open: dict[int, int] = {}  # token of a CLOCK_REQ -> when it was sent
        self._read_ns: int | None = None

    @property
    def damaged(self) -> int:
        """Return how many pieces were no intact frame."""
        seen = self._deframer.counters
        return seen.cobs_err + seen.crc_err + seen.len_err + seen.overflow

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Read from the inner transport.

        Raises:
            TransportError: as the inner transport; TransportClosedError when an end is gone.
        """
        data = self._inner.read(max_b, timeout_s)
        now_ns = self._clock.monotonic_ns()
        if self._read_ns is not None:
            self.longest_pause_ns = max(self.longest_pause_ns, now_ns - self._read_ns)
        self._read_ns = now_ns
        self.heard_b += len(data)
        for frame in self._deframer.feed(data):
            self._take(frame)
        return data

    def write(self, data: bytes) -> None:
        """Write to the inner transport.

        Raises:
            TransportError: as the inner transport; TransportClosedError when an end is gone.
        """
        for frame in self._sent.feed(data):
            message = _message(frame)
            if isinstance(message, ClockReq):
                self.asked += 1
                self._open[message.token] = self._clock.monotonic_ns()
        self._inner.write(data)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def unanswered(self, timeout_ns: int) -> int:
        """Return how many CLOCK_REQs have waited longer than that."""
        before_ns = self._clock.monotonic_ns() - timeout_ns
        return sum(asked_ns < before_ns for asked_ns in self._open.values())

    def _take(self, frame: Frame) -> None:
        spec = MESSAGE_TABLE.get(frame.type)
        if spec is None or not frame.type & TO_HOST_BIT:
            self.echoed_frames += spec is not None
            return
        self.good_frames += 1
        message = _message(frame)
        if isinstance(message, Status):
            self.status = message
        elif isinstance(message, Ident):
            self.ident = message
        elif isinstance(message, ClockRsp):
            self._open.pop(message.token, None)


def _message(frame: Frame) -> Message | None:
    """Return the message of an intact frame, None where it is of another version."""
    try:
        return decode_payload(frame.type, frame.payload)
    except MessageError:
        return None
