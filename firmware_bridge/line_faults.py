r"""One direction of a faulty line, from what is written at one end to what is read at the other: pure, in any time.

Bytes pass: buffer of the sender -> frame faults -> byte faults -> rate, standstills, delay -> latency timer of the
receiver. The same settings, seed, calls and times give the same bytes. Two ends and real time are `chaos`'s job.

>>> line = FaultyLine(FaultSettings(frame_drop_rate=0.5, delay_us=200), random.Random(4))
>>> line.send(b"one\0two\0three\0", now_ns=0)
14
>>> line.arrivals(199_999), line.next_event_ns
(b'', 200000)
>>> line.arrivals(200_000)
b'one\x00two\x00'
>>> line.counters.frames_dropped, line.counters.frame_dropped_b
(1, 6)
"""

import random
import sys
from typing import Annotated, Final, Literal

import msgspec

from firmware_bridge.line_noise import ByteNoise, FrameNoise
from firmware_bridge.line_wire import Wire

__all__ = ["FTDI_PACKET_B", "REORDER_HOLD_NS", "FaultCounters", "FaultSettings", "FaultyLine"]

FTDI_PACKET_B: Final = 62  # data bytes of a 64-byte USB packet of these adapters: the other two are their line status
REORDER_HOLD_NS: Final = 20_000_000  # a frame that nothing overtakes leaves after all; longer than any sender's pause
_US: Final = 1_000
_MS: Final = 1_000_000
_BURST_VALUES: Final = {"zeros": b"\x00", "ones": b"\xff", "either": b"\x00\xff"}

Rate = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
DelayUs = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
PeriodMs = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one direction of a line does to what it carries; everything is off until set.

    Attributes:
        bit_error_rate: chance of each bit to flip, 0..1.
        byte_drop_rate: chance of each byte to vanish, 0..1.
        byte_insert_rate: chance of each byte to find a random byte before it, 0..1.
        burst_rate: chance of each byte to begin a burst that overwrites it and those behind it, 0..1.
        burst_length_b: bytes of a burst, 1..65536.
        burst_byte: what bursts write: "zeros" (0x00), "ones" (0xFF), or either, drawn for each burst.
        frame_drop_rate: chance of each frame to vanish, 0..1. A frame ends with its zero byte, and with any frame fault
            on it is handed on only when it is whole.
        frame_duplicate_rate: chance of each frame to come twice, 0..1.
        frame_reorder_rate: chance of each frame to be overtaken by the next one, while none is being overtaken, 0..1;
            it leaves after 20 ms where no other comes.
        delay_us: from leaving the line to arriving, 0..10,000,000 us.
        delay_jitter_us: longest addition to it, drawn evenly for each write, 0..10,000,000 us; the order is kept.
        latency_timer_ms: bytes are handed on only at multiples of this, or when 62 are there, as adapters of FTDI do,
            0..255 ms; 0 at once.
        baud: rate of the line at 10 bits a byte, 50..100,000,000; None has no limit.
        buffer_b: most bytes that wait for the rate or the end of a standstill, 1..1,073,741,824 B; what does not fit is
            lost. None has no limit.
        blocks: what does not fit the buffer is not taken, instead of lost.
        stall_every_ms: period of standstills, 0..86,400,000 ms; 0 for none.
        stall_ms: length of a standstill, at the end of its period and below it: nothing leaves, nothing is lost.
        hang_up_every_ms: period of hang-ups, 0..86,400,000 ms; 0 for none.
        hang_up_ms: length of a hang-up, at the end of its period and below it: the line is gone with all on it.

    Raises:
        ValueError: a value is out of range, or a standstill or hang-up is as long as its period.
    """

    bit_error_rate: Rate = 0.0
    byte_drop_rate: Rate = 0.0
    byte_insert_rate: Rate = 0.0
    burst_rate: Rate = 0.0
    burst_length_b: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 16
    burst_byte: Literal["zeros", "ones", "either"] = "either"
    frame_drop_rate: Rate = 0.0
    frame_duplicate_rate: Rate = 0.0
    frame_reorder_rate: Rate = 0.0
    delay_us: DelayUs = 0
    delay_jitter_us: DelayUs = 0
    latency_timer_ms: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    baud: Annotated[int, msgspec.Meta(ge=50, le=100_000_000)] | None = None
    buffer_b: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)] | None = None
    blocks: bool = False
    stall_every_ms: PeriodMs = 0
    stall_ms: PeriodMs = 0
    hang_up_every_ms: PeriodMs = 0
    hang_up_ms: PeriodMs = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # also refuses a NaN
                raise ValueError(f"{name} = {value}: choose {low}..{high}")
        for what in ("stall", "hang_up"):
            length_ms, every_ms = getattr(self, f"{what}_ms"), getattr(self, f"{what}_every_ms")
            if (length_ms or every_ms) and not 0 < length_ms < every_ms:
                raise ValueError(
                    f"{what}_ms = {length_ms} with {what}_every_ms = {every_ms}: choose 0 < {what}_ms < {what}_every_ms"
                )


class FaultCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a stream so far.

    taken + inserted + duplicated = delivered + dropped + frame_dropped + overflow + hang_up + waiting, all in bytes.

    Attributes:
        taken_b: accepted by `send`, those lost at once included.
        delivered_b: returned by `arrivals`.
        waiting_b: on their way.
        refused_b: not taken because the buffer was full; each offer counts.
        overflow_b: lost because the buffer was full.
        hang_up_b: lost in hang-ups.
        hang_ups: hang-ups begun.
        flipped_bits: bits changed by the bit error rate.
        overwritten_b: bytes overwritten by bursts.
        dropped_b: bytes lost one by one.
        inserted_b: bytes invented.
        frames_dropped: frames lost whole.
        frame_dropped_b: bytes of them.
        frames_duplicated: frames that came twice.
        duplicated_b: bytes of the second copies.
        frames_reordered: frames held to be overtaken.
    """

    taken_b: int = 0
    delivered_b: int = 0
    waiting_b: int = 0
    refused_b: int = 0
    overflow_b: int = 0
    hang_up_b: int = 0
    hang_ups: int = 0
    flipped_bits: int = 0
    overwritten_b: int = 0
    dropped_b: int = 0
    inserted_b: int = 0
    frames_dropped: int = 0
    frame_dropped_b: int = 0
    frames_duplicated: int = 0
    duplicated_b: int = 0
    frames_reordered: int = 0


class FaultyLine:
    """One direction of a line. Not thread-safe; a time before one that was already given counts as that one.

    Args:
        settings: its faults.
        rng: decides each of them; the line draws all its seeds from it at once, so one generator may serve many lines.
        start_ns: when the first periods of standstills, hang-ups and the latency timer begin; the earliest time given.
    """

    def __init__(self, settings: FaultSettings, rng: random.Random, *, start_ns: int = 0) -> None:
        self.settings = settings
        self._start_ns = self._now_ns = start_ns
        self._frames = _frame_noise(settings, rng)
        self._bytes = _byte_noise(settings, rng)
        self._wire = _wire(settings, rng, start_ns)
        self._is_timeless = not (
            settings.baud
            or settings.delay_us
            or settings.delay_jitter_us
            or settings.latency_timer_ms
            or settings.stall_every_ms
            or settings.hang_up_every_ms
        )
        self._ready: list[bytes] = []
        self._ready_b = 0
        self._held_due_ns = 0
        self._timer_ns = settings.latency_timer_ms * _MS
        self._timed_out_ns = start_ns  # the last multiple of the timer that was dealt with
        self._packet = bytearray()  # at the receiver, waiting for the timer
        self._room_due_ns: int | None = None
        self._hang_up_every_ns = settings.hang_up_every_ms * _MS
        self._up_ns = (settings.hang_up_every_ms - settings.hang_up_ms) * _MS
        self._hang_up_due_ns = start_ns + self._up_ns
        self._taken_b = self._delivered_b = self._refused_b = 0
        self._overflow_b = self._hang_up_b = self._hang_ups = 0

    def send(self, data: bytes, now_ns: int) -> int:
        """Put bytes on the line.

        Returns:
            how many were taken, from the front: all of them, unless `settings.blocks` and the buffer is full. Whether
            they arrive is another matter.
        """
        now_ns = self._settle(now_ns)
        taken_b = offered_b = len(data)
        if not self.is_up(now_ns):
            self._taken_b += offered_b
            self._hang_up_b += offered_b
            return offered_b
        room_b = self._room_b(now_ns)
        if self.settings.blocks:
            taken_b = min(taken_b, room_b)
            self._refused_b += offered_b - taken_b
        else:
            self._overflow_b += max(offered_b - room_b, 0)
        self._taken_b += taken_b
        self._transmit(data[:room_b], now_ns)
        # What faults have eaten leaves room at once: then the rest may come in the next instant.
        self._room_due_ns = max(self._wire.room_ns(now_ns), now_ns + 1) if taken_b < offered_b else None
        return taken_b

    def arrivals(self, now_ns: int) -> bytes:
        """Return the bytes that have arrived by now and were not returned before."""
        self._settle(now_ns)
        if not self._ready_b:
            return b""
        data = self._ready[0] if len(self._ready) == 1 else b"".join(self._ready)
        self._ready.clear()
        self._ready_b = 0
        self._delivered_b += len(data)
        return data

    def is_up(self, now_ns: int) -> bool:
        """Tell whether the line is there at that time, or in a hang-up."""
        return not self._hang_up_every_ns or (now_ns - self._start_ns) % self._hang_up_every_ns < self._up_ns

    @property
    def next_event_ns(self) -> int | None:
        """Return when `arrivals` may next give bytes, `send` take more, or `is_up` change; None: not by itself.

        It is later than the last time given, unless bytes are there already.
        """
        if self._ready_b:
            return self._now_ns
        due = [self._next_hand_on_ns(), self._room_due_ns, self._next_edge_ns()]
        if self._frames is not None and self._frames.held:
            due.append(self._held_due_ns)
        known = [due_ns for due_ns in due if due_ns is not None]
        return min(known) if known else None

    @property
    def last_event_ns(self) -> int | None:
        """Return when the last of the bytes that are on the wire now will have crossed it; None when it is empty."""
        return self._wire.last_ns

    @property
    def counters(self) -> FaultCounters:
        """Return what was done so far."""
        frames, noise = self._frames, self._bytes
        return FaultCounters(
            taken_b=self._taken_b,
            delivered_b=self._delivered_b,
            waiting_b=self._ready_b + len(self._packet) + self._wire.waiting_b + (frames.waiting_b if frames else 0),
            refused_b=self._refused_b,
            overflow_b=self._overflow_b,
            hang_up_b=self._hang_up_b,
            hang_ups=self._hang_ups,
            flipped_bits=noise.flipped_bits if noise else 0,
            overwritten_b=noise.overwritten_b if noise else 0,
            dropped_b=noise.dropped_b if noise else 0,
            inserted_b=noise.inserted_b if noise else 0,
            frames_dropped=frames.dropped if frames else 0,
            frame_dropped_b=frames.dropped_b if frames else 0,
            frames_duplicated=frames.duplicated if frames else 0,
            duplicated_b=frames.duplicated_b if frames else 0,
            frames_reordered=frames.reordered if frames else 0,
        )

    def _room_b(self, now_ns: int) -> int:
        limit_b = self.settings.buffer_b
        if limit_b is None or not self._wire.keeps_waiting(now_ns):
            return sys.maxsize
        return max(limit_b - self._wire.backlog_b(now_ns), 0)

    def _transmit(self, data: bytes, now_ns: int) -> None:
        """Let the faults act on what the buffer took, and put the rest on the wire."""
        frames = self._frames
        if frames is not None:
            reordered = frames.reordered
            data = frames.apply(data)
            if frames.reordered != reordered:
                self._held_due_ns = now_ns + REORDER_HOLD_NS
        self._put(data, now_ns)

    def _put(self, data: bytes, now_ns: int) -> None:
        if self._bytes is not None:
            data = self._bytes.apply(data)
        if self._is_timeless:
            self._hand_on(data)
        else:
            self._wire.put(data, now_ns)

    def _settle(self, now_ns: int) -> int:
        """Do what time alone causes up to now; return now, which never goes back."""
        now_ns = self._now_ns = max(now_ns, self._now_ns)
        if self._is_timeless and not (self._frames and self._frames.held):
            return now_ns  # simulations come by here millions of times
        while self._hang_up_every_ns and self._hang_up_due_ns <= now_ns:
            self._move(self._hang_up_due_ns)
            self._hang_up_b += self._wire.clear() + len(self._packet) + (self._frames.clear() if self._frames else 0)
            self._packet.clear()
            self._room_due_ns = None
            self._hang_ups += 1
            self._hang_up_due_ns += self._hang_up_every_ns
        self._move(now_ns)
        if self._room_due_ns is not None and self._room_due_ns <= now_ns:
            self._room_due_ns = None
        return now_ns

    def _move(self, until_ns: int) -> None:
        """Bring bytes that arrive by then to the reader."""
        frames = self._frames
        if frames is not None and frames.held and self._held_due_ns <= until_ns:
            self._put(frames.release(), self._held_due_ns)
        if not self._timer_ns:
            self._hand_on(self._wire.take(until_ns))
            return
        timeout_ns = until_ns - (until_ns - self._start_ns) % self._timer_ns
        if timeout_ns > self._timed_out_ns:
            self._timed_out_ns = timeout_ns
            self._packet += self._wire.take(timeout_ns)
            self._hand_on_packet(len(self._packet))
        self._packet += self._wire.take(until_ns)
        self._hand_on_packet(len(self._packet) // FTDI_PACKET_B * FTDI_PACKET_B)

    def _hand_on_packet(self, size_b: int) -> None:
        self._hand_on(bytes(self._packet[:size_b]))
        del self._packet[:size_b]

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._ready.append(data)
            self._ready_b += len(data)

    def _next_hand_on_ns(self) -> int | None:
        """Return when the receiver next gets bytes of those that are on the wire or wait for the timer."""
        if not self._timer_ns:
            return self._wire.next_ns
        first_ns = self._now_ns + 1 if self._packet else self._wire.next_ns
        if first_ns is None:
            return None
        first_ns = max(first_ns, self._timed_out_ns + 1)
        timeout_ns = first_ns + (self._start_ns - first_ns) % self._timer_ns
        full_ns = self._wire.arrival_ns(FTDI_PACKET_B - len(self._packet))
        return timeout_ns if full_ns is None else min(timeout_ns, full_ns)

    def _next_edge_ns(self) -> int | None:
        """Return when the line next goes or comes back."""
        if not self._hang_up_every_ns:
            return None
        phase_ns = (self._now_ns - self._start_ns) % self._hang_up_every_ns
        return self._now_ns - phase_ns + (self._up_ns if phase_ns < self._up_ns else self._hang_up_every_ns)


def _ranges() -> dict[str, tuple[float, float]]:
    """Return the limits of the settings that have some: msgspec itself checks them only when it decodes."""
    limits: dict[str, tuple[float, float]] = {}
    for field in msgspec.inspect.type_info(FaultSettings).fields:  # type: ignore[attr-defined]
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
                limits[field.name] = (kind.ge or 0, kind.le or 0)
    return limits


def _frame_noise(settings: FaultSettings, rng: random.Random) -> FrameNoise | None:
    noise = FrameNoise(
        rng,
        drop_rate=settings.frame_drop_rate,
        duplicate_rate=settings.frame_duplicate_rate,
        reorder_rate=settings.frame_reorder_rate,
    )
    is_on = settings.frame_drop_rate or settings.frame_duplicate_rate or settings.frame_reorder_rate
    return noise if is_on else None


def _byte_noise(settings: FaultSettings, rng: random.Random) -> ByteNoise | None:
    noise = ByteNoise(
        rng,
        bit_error_rate=settings.bit_error_rate,
        burst_rate=settings.burst_rate,
        burst_length_b=settings.burst_length_b,
        burst_values=_BURST_VALUES[settings.burst_byte],
        drop_rate=settings.byte_drop_rate,
        insert_rate=settings.byte_insert_rate,
    )
    is_on = settings.bit_error_rate or settings.burst_rate or settings.byte_drop_rate or settings.byte_insert_rate
    return noise if is_on else None


def _wire(settings: FaultSettings, rng: random.Random, start_ns: int) -> Wire:
    return Wire(
        random.Random(rng.getrandbits(64)),  # noqa: S311 - noise, not secrets
        baud=settings.baud,
        delay_ns=settings.delay_us * _US,
        jitter_ns=settings.delay_jitter_us * _US,
        stall_every_ns=settings.stall_every_ms * _MS,
        stall_ns=settings.stall_ms * _MS,
        start_ns=start_ns,
    )


_RANGES: Final = _ranges()
