"""How fast this computer codes SEL/1, and how fast a line carries it: what `sortloop-link bench` measures.

The line is measured in IDLE, where a controller answers everything and fires nothing; the ejections sent for it name a
valve that does not exist wherever one is left.

>>> from firmware_bridge.clock import SystemClock
>>> from firmware_bridge.transport_board import BoardTransport
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> clock = SystemClock()
>>> figures = LineBench(BoardTransport(VirtualBoard(), clock), clock).run(pings=3, flood_s=0.01)
>>> [figure.name for figure in figures.rows], figures.lost
(['round trip, median', 'round trip, 99 % within', 'requests and answers', 'ejections refused'], 0)
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.clock_watch import rtt_figures
from firmware_bridge.codec import decode_payload, encode_payload
from firmware_bridge.endpoint import MAX_LONG_BODY_B, Endpoint
from firmware_bridge.errors import LinkTimeoutError, NativeUnavailableError
from firmware_bridge.framing import Deframer, encode_frame
from firmware_bridge.histogram import RttClass, histogram
from firmware_bridge.messages import (
    MAX_VALVES,
    PROTOCOL_VERSION,
    BatchFlag,
    ClockReq,
    ClockRsp,
    EjectBatch,
    EjectExc,
    EjectItem,
    Heartbeat,
    HeartbeatFlag,
    Hello,
    Ident,
    Message,
)
from firmware_bridge.transport import Transport

__all__ = ["Figure", "LineBench", "LineFigures", "codec_figures"]

_MS: Final = 1_000_000
_READ_B: Final = 65_536
_WAIT_S: Final = 0.001
_HELLO_NS: Final = 50 * _MS
_HEARTBEAT_NS: Final = 50 * _MS
_GIVE_UP_NS: Final = 100 * _MS  # then what was not answered is lost
_CONNECT_S: Final = 2.0
_PING_S: Final = 0.25
_BATCH: Final = 20
_MAX_OPEN_EVENTS: Final = 240
_REQUEST_B: Final = 15  # of a CLOCK_REQ on the wire, at most
_WD_MS: Final = 250
_FRAMES: Final = 2_000  # a round of the codec
_NATIVE_FRAMES: Final = 20_000
_PAYLOAD: Final = bytes.fromhex("e80300000024f40200002011")  # 12 B with zeros, as ticks and ids have them


class Figure(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    value: float
    unit: str


class LineFigures(msgspec.Struct, frozen=True):
    """How fast a line is.

    Attributes:
        rows: the table.
        histogram: round trips by upper limit in ms.
        lost: requests and events that were never answered.
    """

    rows: tuple[Figure, ...]
    histogram: tuple[RttClass, ...]
    lost: int


# ----- this computer


def codec_figures(clock: Clock, *, for_s: float) -> Iterator[Figure]:
    """Yield how fast frames are made and read here, in Python and, where it can be compiled, in C.

    Args:
        clock: real time.
        for_s: how long to measure each.
    """
    for name, unit, count, work in _python_cases():
        yield Figure(name, _rate(clock, work, for_s) * count, unit)
    try:
        cases = list(_native_cases())
    except NativeUnavailableError:
        return
    for name, unit, count, work in cases:
        yield Figure(name, _rate(clock, work, for_s) * count, unit)


def _rate(clock: Clock, work: Callable[[], object], for_s: float) -> float:
    """Return how often a second `work` can be done; the first time, which warms caches, does not count."""
    work()
    start_ns = clock.monotonic_ns()
    count = 0
    while (elapsed_ns := clock.monotonic_ns() - start_ns) < for_s * NS_PER_S or count == 0:
        work()
        count += 1
    return count * NS_PER_S / max(elapsed_ns, 1)


_Case = tuple[str, str, int, Callable[[], object]]


def _python_cases() -> Iterator[_Case]:
    batch = EjectBatch(1000, 0x00F42400, BatchFlag.NONE, tuple(EjectItem(100 * n, 3 * n, 3, 1500) for n in range(20)))
    frames = [encode_frame(0x90, 0x5A, seq, _PAYLOAD) for seq in range(_FRAMES)]
    wire = b"".join(frames)
    payload = encode_payload(batch)
    yield ("frames made, Python", "frames/s", _FRAMES, lambda: [encode_frame(0x90, 0x5A, 7, _PAYLOAD) for _ in frames])
    yield ("frames read, Python", "frames/s", _FRAMES, lambda: Deframer().feed(wire))
    rounds = range(_FRAMES // _BATCH)
    yield (
        "ejections sent, Python, 20 a frame",
        "events/s",
        _FRAMES,
        lambda: [encode_frame(0x10, 0x5A, 7, encode_payload(batch)) for _ in rounds],
    )
    yield (
        "ejections read, Python, 20 a frame",
        "events/s",
        _FRAMES,
        lambda: [decode_payload(0x10, payload) for _ in rounds],
    )


def _native_cases() -> Iterator[_Case]:
    """Yield the same in C.

    Raises:
        NativeUnavailableError: there is no compiler here.
    """
    import numpy as np  # noqa: PLC0415 - only where it is measured

    from firmware_bridge.native_codec import (  # noqa: PLC0415
        EjectColumns,
        NativeDecoder,
        eject_batch_frames,
        encode_frames,
    )

    count = _NATIVE_FRAMES
    numbers = np.arange(count, dtype=np.uint32)
    seqs, types = (numbers % 65_536).astype(np.uint16), np.full(count, 0x90, np.uint8)
    payloads = np.frombuffer(_PAYLOAD * count, np.uint8).reshape(count, -1)
    wire = encode_frames(payloads, types=types, seqs=seqs, epoch8=0x5A)
    columns = EjectColumns(
        numbers,
        100 * numbers,
        (numbers % 250).astype(np.uint16),
        np.full(count, 3, np.uint8),
        np.full(count, 1500, np.uint16),
    )
    yield ("frames made, C", "frames/s", count, lambda: encode_frames(payloads, types=types, seqs=seqs, epoch8=0x5A))
    yield ("frames read, C", "frames/s", count, lambda: NativeDecoder().feed(wire))
    yield (
        "ejections sent, C, 20 a frame",
        "events/s",
        count,
        lambda: eject_batch_frames(columns, epoch8=0x5A, first_seq=0),
    )


# ----- a line


class LineBench:
    """One session whose only purpose is speed.

    Args:
        transport: the line; the caller closes it.
        clock: real time: in virtual time a line without delay would never be done.
        on_progress: hears what is being measured.
    """

    def __init__(self, transport: Transport, clock: Clock, on_progress: Callable[[str], None] = lambda _: None) -> None:
        self._transport = transport
        self._clock = clock
        self._on_progress = on_progress
        self._endpoint = Endpoint(is_host=True, max_body_b=MAX_LONG_BODY_B)
        self._heartbeat_ns = 0
        self._lost = 0

    def run(self, *, pings: int, flood_s: float) -> LineFigures:
        """Measure everything.

        Args:
            pings: round trips one by one.
            flood_s: how long to send as much as the line takes, twice.

        Raises:
            LinkTimeoutError: nobody answers.
            TransportError: the port failed.
        """
        ident = self._connect()
        rtts_ns = [self._ping(number) for number in range(pings)]
        figures = rtt_figures(rtts_ns)
        window = max(1, min(ident.rx_window // _REQUEST_B, 64))
        requests_per_s = self._flood(self._requests, _answers, window=window, for_s=flood_s, what="requests")
        events_per_s = self._flood(
            _Ejections(self._endpoint, ident), _reports, window=_MAX_OPEN_EVENTS, for_s=flood_s, what="ejections"
        )
        rows = (
            Figure("round trip, median", figures.median_us / 1000, "ms"),
            Figure("round trip, 99 % within", figures.p99_us / 1000, "ms"),
            Figure("requests and answers", requests_per_s, "frames/s each way"),
            Figure("ejections refused", events_per_s, "events/s"),
        )
        return LineFigures(rows, histogram(rtts_ns), self._lost)

    def _connect(self) -> Ident:
        self._on_progress("connecting")
        epoch = secrets.randbits(32) & ~0xFF | secrets.randbelow(0xFF) + 1  # its low byte is not 0
        token = epoch >> 16 or 1
        hello = Hello(PROTOCOL_VERSION, PROTOCOL_VERSION, epoch, _WD_MS)
        end_ns = self._clock.monotonic_ns() + round(_CONNECT_S * NS_PER_S)
        hello_ns = 0
        while (now_ns := self._clock.monotonic_ns()) < end_ns:
            if now_ns >= hello_ns:
                hello_ns = now_ns + _HELLO_NS
                self._transport.write(self._endpoint.encode_session(hello, token))
            for message, seq in self._endpoint.receive(self._transport.read(_READ_B, _WAIT_S), now_ns):
                if isinstance(message, Ident) and seq == token:
                    self._endpoint.start_session(epoch & 0xFF)
                    return message
        raise LinkTimeoutError(f"no answer to HELLO within {_CONNECT_S} s")

    def _ping(self, number: int) -> int:
        """Return the nanoseconds of one request and its answer."""
        if number % 20 == 0:
            self._on_progress(f"round trip {number}")
        start_ns = self._clock.monotonic_ns()
        self._transport.write(self._endpoint.encode(ClockReq(number)))
        while self._clock.monotonic_ns() - start_ns < _PING_S * NS_PER_S:
            for message in self._receive(_WAIT_S):
                if isinstance(message, ClockRsp) and message.token == number:
                    return self._clock.monotonic_ns() - start_ns
        raise LinkTimeoutError(f"no answer to CLOCK_REQ within {_PING_S} s")

    def _flood(
        self,
        make: Callable[[int], tuple[bytes, int]],
        answered: Callable[[Message], int],
        *,
        window: int,
        for_s: float,
        what: str,
    ) -> float:
        """Keep `window` things under way for that time and return how many were answered a second."""
        self._on_progress(f"as many {what} as the line takes")
        start_ns = heard_ns = self._clock.monotonic_ns()
        open_count = done = 0
        while (now_ns := self._clock.monotonic_ns()) - start_ns < for_s * NS_PER_S or done == 0:
            data, count = make(window - open_count)
            open_count += count
            if data:
                self._transport.write(data)
            here = sum(answered(message) for message in self._receive(_WAIT_S))
            done += here
            open_count -= here
            if here:
                heard_ns = now_ns
            elif now_ns - heard_ns > _GIVE_UP_NS:
                self._lost += open_count
                open_count, heard_ns = 0, now_ns
                if done == 0 and now_ns - start_ns > _CONNECT_S * NS_PER_S:
                    raise LinkTimeoutError(f"none of the {what} is answered")
        return done * NS_PER_S / (self._clock.monotonic_ns() - start_ns)

    def _requests(self, room: int) -> tuple[bytes, int]:
        return b"".join(self._endpoint.encode(ClockReq(0)) for _ in range(room)), max(room, 0)

    def _receive(self, timeout_s: float) -> list[Message]:
        """Read once, keep the session alive, acknowledge."""
        data = self._transport.read(_READ_B, timeout_s)
        now_ns = self._clock.monotonic_ns()
        messages = [message for message, _ in self._endpoint.receive(data, now_ns)]
        parts = [self._endpoint.flush(now_ns)]
        if now_ns >= self._heartbeat_ns:
            self._heartbeat_ns = now_ns + _HEARTBEAT_NS
            parts.append(self._endpoint.encode(Heartbeat(now_ns // _MS & 0xFFFFFFFF, 0, HeartbeatFlag.NONE)))
        if out := b"".join(parts):
            self._transport.write(out)
        return messages


class _Ejections:
    """Makes batches that cannot fire: the controller is IDLE, and the valve is not there where one is missing."""

    def __init__(self, endpoint: Endpoint, ident: Ident) -> None:
        self._endpoint = endpoint
        self._evid = ident.next_evid
        valve = min(ident.n_valves, MAX_VALVES - 1)
        self._items = tuple(EjectItem(0, valve, 1, 1) for _ in range(_BATCH))

    def __call__(self, room: int) -> tuple[bytes, int]:
        """Return batches for as many events as there is room for, and their number."""
        frames = []
        for _ in range(room // _BATCH):
            frames.append(self._endpoint.encode(EjectBatch(self._evid, 0, BatchFlag.NONE, self._items)))
            self._evid = (self._evid + _BATCH) & 0xFFFFFFFF
        return b"".join(frames), _BATCH * len(frames)


def _answers(message: Message) -> int:
    return int(isinstance(message, ClockRsp))


def _reports(message: Message) -> int:
    return len(message.reports) if isinstance(message, EjectExc) else 0
