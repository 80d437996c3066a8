"""A transport that writes down everything that passes through another one.

A recorder that fails must not stop a machine: when the disk is full the bytes go on, the recording ends, and
`failure` says why.

>>> import io
>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.traffic_file import TrafficReader, TrafficWriter
>>> from firmware_bridge.transport_memory import memory_pair
>>> clock, sink = ManualClock(), io.BytesIO()
>>> near, far = memory_pair(clock)
>>> tap = RecordingTransport(near, clock, TrafficWriter(sink, clock))
>>> tap.write(b"abc")
>>> [piece.data for piece in TrafficReader(io.BytesIO(sink.getvalue()))]
[b'abc']
"""

import math
from typing import Final

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.errors import TrafficFileError
from firmware_bridge.traffic_file import TrafficKind, TrafficPiece, TrafficWriter
from firmware_bridge.transport import Transport

__all__ = ["RecordingTransport"]

_SLICE_S: Final = 0.001  # as a board transport steps its board while one waits


class RecordingTransport:
    """`inner` and a record of its bytes.

    Args:
        inner: the medium; closed with this transport.
        clock: the times that are written down.
        sink: where to; closed with this transport.
        marks_quiet: also write down when a read found nothing, 17 B each. A replay then steps a virtual board at the
            same moments as the recorded one was, and says the same bytes; without it, only nearly so.
    """

    def __init__(self, inner: Transport, clock: Clock, sink: TrafficWriter, *, marks_quiet: bool = True) -> None:
        self.failure: TrafficFileError | None = None
        self._inner = inner
        self._clock = clock
        self._sink = sink
        self._marks_quiet = marks_quiet
        self._looked_ns: int | None = None  # of the last read written down, if no write came after it

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Read from the inner transport and write down what came.

        Raises:
            TransportError: as the inner transport; TransportClosedError when an end is gone.
        """
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        data = self._look(max_b, 0.0)
        for _ in range(math.ceil(timeout_s / _SLICE_S)):
            left_ns = deadline_ns - self._clock.monotonic_ns()
            if data or left_ns <= 0:
                break
            data = self._look(max_b, min(_SLICE_S, left_ns / NS_PER_S))
        return data

    def write(self, data: bytes) -> None:
        """Write down, then write: what hangs or fails on its way is on record.

        Raises:
            TransportError: as the inner transport; TransportClosedError when an end is gone.
        """
        if data:
            self._looked_ns = None
            self._record(TrafficKind.TO_BOARD, data, self._clock.monotonic_ns())
        self._inner.write(data)

    def close(self) -> None:
        """Close the inner transport and the recording."""
        self._inner.close()
        self._sink.close()

    def _look(self, max_b: int, timeout_s: float) -> bytes:
        data = self._inner.read(max_b, timeout_s)
        now_ns = self._clock.monotonic_ns()
        if data:
            self._record(TrafficKind.TO_HOST, data, now_ns)
        elif self._marks_quiet and self._looked_ns != now_ns:
            self._record(TrafficKind.QUIET, b"", now_ns)
        self._looked_ns = now_ns
        return data

    def _record(self, kind: TrafficKind, data: bytes, now_ns: int) -> None:
        if self.failure is not None:
            return
        try:
            self._sink.add(TrafficPiece(now_ns, kind, data))
        except TrafficFileError as error:
            self.failure = error
