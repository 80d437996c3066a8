"""When the belt will be somewhere: from encoder counts latched at camera triggers to a tick with a bound on its error.

The declared acceleration is the only promise the belt makes. Each older stamp then limits today's speed from both sides
(mean speed since then, plus what the acceleration and one count of quantisation can hide), and the true speed lies
in all of these intervals; from its two ends the earliest and the latest arrival follow. A short look back hides
little acceleration, a long one little quantisation: the intersection takes the best of both.

Pure; ticks and counts are u32 on the wire and not wrapped here.

>>> belt = BeltMap(tick_hz=1_000_000, max_accel=100.0)
>>> for block in range(101):
...     belt.add_stamp(tick_u32=block * 10_000, enc_u32=block * 50)
>>> round(belt.speed.counts_per_s)
5000
>>> belt.forecast(5000 + 1000)  # 0.2 s ahead
BeltForecast(tick=1200000, error_bound_us=1414.0, axis_tick=1200000)
"""

import math
from collections import deque
from typing import Final

import msgspec

from firmware_bridge.errors import BeltError
from firmware_bridge.event_window import unwrap

__all__ = ["ENCODER_ERROR_COUNTS", "BeltForecast", "BeltMap", "BeltSpeed"]

ENCODER_ERROR_COUNTS: Final = 1  # a latched count is at most so far from the true position
_U32: Final = 0xFFFFFFFF
_US: Final = 1_000_000
_KEPT: Final = 64  # stamps looked back at, spread over the useful span
_LONGEST_LOOK_S: Final = 10.0  # where the declared acceleration is so small that a longer look would still help


class BeltSpeed(msgspec.Struct, frozen=True):
    """Speed at the latest stamp; the true one lies between least and most.

    Attributes:
        counts_per_s: the middle of the two.
    """

    counts_per_s: float
    least: float
    most: float


class BeltForecast(msgspec.Struct, frozen=True):
    """When a count is reached.

    Attributes:
        tick: best estimate, modulo 2**32 as an EjectEvent takes it.
        error_bound_us: the true moment is not farther away, as long as the declared acceleration is kept.
        axis_tick: the tick counted on without end, see `BeltMap.axis_tick`.
    """

    tick: int
    error_bound_us: float
    axis_tick: int


class BeltMap:
    """Position of one belt over the controller's ticks.

    Args:
        tick_hz: ticks a second, from IDENT.
        max_accel: largest change of speed, braking included, in counts/s^2; 0 is a belt of constant speed.
    """

    def __init__(self, tick_hz: int, *, max_accel: float) -> None:
        self._tick_hz = tick_hz
        self._accel = max_accel
        # Twice as far back as the two errors balance nothing is gained any more.
        balance_s = math.sqrt(4 * ENCODER_ERROR_COUNTS / max_accel) if max_accel > 0 else _LONGEST_LOOK_S
        self._span_ticks = round(min(2 * balance_s, _LONGEST_LOOK_S) * tick_hz)
        self._older: deque[tuple[int, int]] = deque()
        self._latest: tuple[int, int] | None = None  # (tick, count)
        self._speed: BeltSpeed | None = None  # at the latest stamp, once asked for

    def add_stamp(self, tick_u32: int, enc_u32: int) -> None:
        """Take a TRIGGER_STAMP; one that is older than the latest or as old changes nothing."""
        if self._latest is None:
            self._latest = (tick_u32 & _U32, enc_u32 & _U32)
            return
        tick = unwrap(tick_u32 & _U32, self._latest[0])
        if tick <= self._latest[0]:
            return
        count = unwrap(enc_u32 & _U32, self._latest[1])
        if not self._older or self._latest[0] - self._older[-1][0] >= self._span_ticks // _KEPT:
            self._older.append(self._latest)
        self._latest, self._speed = (tick, count), None
        while len(self._older) > 1 and self._older[0][0] < tick - self._span_ticks:
            self._older.popleft()

    @property
    def speed(self) -> BeltSpeed:
        """Return the speed at the latest stamp.

        Raises:
            BeltError: fewer than two stamps, or counts that the declared acceleration does not allow.
        """
        if self._speed is None:
            self._speed = self._judge_speed()
        return self._speed

    def axis_tick(self, tick_u32: int) -> int:
        """Return a tick counted on without end, taken nearest to the latest stamp; as it is before the first one."""
        tick_u32 &= _U32
        return tick_u32 if self._latest is None else unwrap(tick_u32, self._latest[0])

    def forecast(self, count_u32: int) -> BeltForecast:
        """Return when the encoder reaches a count, taken nearest to the latest one.

        Raises:
            BeltError: as `speed`; the belt stands, runs backwards or may stop on the way; the count has passed.
        """
        speed = self.speed
        assert self._latest is not None, "there is no speed without a stamp"
        latest_tick, latest_count = self._latest
        ahead = unwrap(count_u32 & _U32, latest_count) - latest_count
        if speed.least <= 0:
            raise BeltError(
                f"belt may stand still: {speed.counts_per_s:.1f} counts/s, known to {speed.most - speed.least:.1f}"
            )
        if ahead <= -ENCODER_ERROR_COUNTS:
            raise BeltError(f"count {count_u32} lies {-ahead} counts behind the latest stamp: it has passed")
        farthest = ahead + ENCODER_ERROR_COUNTS
        if speed.least**2 <= 2 * self._accel * farthest:
            reach = speed.least**2 / (2 * self._accel)
            raise BeltError(
                f"belt may stop before the count: {farthest} counts ahead > {reach:.0f}, its shortest way to a stop"
            )
        soonest_s = _time_to(max(ahead - ENCODER_ERROR_COUNTS, 0), speed.most, self._accel)
        latest_s = _time_to(farthest, speed.least, -self._accel)
        likely = round(min(max(max(ahead, 0) / speed.counts_per_s, soonest_s), latest_s) * self._tick_hz)
        # The count was latched at most one tick after the stamp's tick began.
        early = likely - soonest_s * self._tick_hz
        late = latest_s * self._tick_hz + 1 - likely
        bound_ticks = math.ceil(max(early, late, 0.0))
        axis_tick = latest_tick + likely
        return BeltForecast(axis_tick & _U32, bound_ticks * _US / self._tick_hz, axis_tick)

    def _judge_speed(self) -> BeltSpeed:
        # Both moments lie somewhere within their ticks: between neighbouring ones there may be no time at all.
        latest = self._latest or (0, 0)
        limits = [self._speed_since(*stamp) for stamp in self._older if latest[0] - stamp[0] > 1]
        if not limits:
            raise BeltError("belt's speed is unknown: fewer than 2 trigger stamps more than a tick apart")
        least, most = max(low for low, _ in limits), min(high for _, high in limits)
        if least > most:
            raise BeltError(
                f"belt changed its speed faster than the declared {self._accel:g} counts/s^2, or counts were lost: "
                f"{least:.0f} counts/s at least and {most:.0f} at most"
            )
        return BeltSpeed((least + most) / 2, least, most)

    def _speed_since(self, tick: int, count: int) -> tuple[float, float]:
        """Return the least and the most speed now that an older stamp allows."""
        assert self._latest is not None, "older stamps come before a latest one"
        ticks, counts = self._latest[0] - tick, self._latest[1] - count
        low, high = counts - 2 * ENCODER_ERROR_COUNTS, counts + 2 * ENCODER_ERROR_COUNTS
        longest_s, shortest_s = (ticks + 1) / self._tick_hz, (ticks - 1) / self._tick_hz
        hidden = self._accel * longest_s / 2
        least = low / (longest_s if low > 0 else shortest_s) - hidden
        return least, high / (shortest_s if high > 0 else longest_s) + hidden


def _time_to(distance: float, speed: float, accel: float) -> float:
    """Return the seconds to a distance >= 0 from a speed > 0 under constant acceleration; it must be reached."""
    return 2 * distance / (speed + math.sqrt(speed**2 + 2 * accel * distance))
