"""Where the controller's tick stands on the host's clock, and by how much that can be wrong at most.

The estimate is a line through the quickest exchanges of the last seconds. The bound does not come from the line: every
answer proves that the tick was at least `tx_tick` when it arrived and at most `rx_tick` when its question left, and
between answers the tick can only gain or lose what the two crystals may differ by. The true tick lies between the
tightest two of these proofs, whatever the line says; the estimate is kept between them too.

Pure: stamps in, estimate out. Ticks are not wrapped here. wire-protocol.md section 9; the bound is that of Cristian,
"Probabilistic clock synchronization", 1989.

>>> fit = ClockFit(tick_hz=1_000_000)
>>> fit.add_exchange(sent_ns=0, received_ns=800_000, rx_tick=5_000_400, tx_tick=5_000_400)
>>> fit.read(now_ns=800_000)
ClockReading(tick=5000800, error_bound_us=402.0)
"""

import math
from collections import deque
from typing import Final, NamedTuple

import msgspec

from firmware_bridge.clock import NS_PER_S
from firmware_bridge.errors import LinkStateError
from firmware_bridge.event_window import unwrap

__all__ = ["DEFAULT_RATE_LIMIT_PPM", "MIN_POINTS", "ClockFit", "ClockReading"]

DEFAULT_RATE_LIMIT_PPM: Final = 200  # two crystals of 100 ppm
MIN_POINTS: Final = 5  # fewer say nothing about the scatter
_MIN_USED: Final = 4
_MAX_POINTS: Final = 128
_SPARSE_POINTS: Final = 32  # kept beyond the window: at one exchange a second 10 of them make a poor line
_PPM: Final = 1_000_000
_US: Final = 1_000_000
_OUTLIER_SIGMAS: Final = 5.0
_OUTLIER_US: Final = 500.0


class ClockReading(msgspec.Struct, frozen=True):
    """The controller's tick at one moment.

    Attributes:
        tick: best estimate, not wrapped.
        error_bound_us: the true tick is not farther away than this, as long as no delay is negative and the two clocks
            differ in rate by no more than the limit of the fit.
    """

    tick: int
    error_bound_us: float


class _Point(NamedTuple):
    """The middle of one exchange, relative to the first of all."""

    rtt_ns: int  # first: the quickest sort to the front
    at_ns: float
    tick: float


class _Line(NamedTuple):
    """tick = tick + slope * (t - at_ns), relative to the first exchange."""

    at_ns: float
    tick: float
    slope: float  # ticks a nanosecond
    sigma_ticks: float  # scatter of the points used
    worst_rtt_ns: int  # of the points used


class ClockFit:
    """The relation between two clocks, learnt from CLOCK_RSP and kept right by every other stamp.

    Args:
        tick_hz: ticks a second, from IDENT.
        rate_limit_ppm: largest difference in rate of the two clocks, millionths.
        window_s: age of the oldest exchange that the line goes through.
    """

    def __init__(self, tick_hz: int, *, rate_limit_ppm: int = DEFAULT_RATE_LIMIT_PPM, window_s: float = 10.0) -> None:
        self.outliers = 0
        self.restarts = 0  # stamps contradicted each other: a clock jumped, or its rate is beyond the limit
        self._tick_hz = tick_hz
        self._limit_ppm = rate_limit_ppm
        self._window_ns = round(window_s * NS_PER_S)
        self._forget()

    @property
    def points(self) -> int:
        """Return through how many exchanges the line could go."""
        return len(self._points)

    @property
    def is_ready(self) -> bool:
        """Tell whether there are enough exchanges to judge their scatter."""
        return len(self._points) >= MIN_POINTS

    @property
    def residual_us(self) -> float:
        """Return the root mean square distance of the exchanges used from the line.

        Raises:
            LinkStateError: no exchange yet.
        """
        return self._need_line().sigma_ticks * _US / self._tick_hz

    @property
    def drift_ppm(self) -> float:
        """Return how much faster than nominal the controller's clock runs on the host's, millionths.

        Raises:
            LinkStateError: no exchange yet.
        """
        return (self._need_line().slope * NS_PER_S / self._tick_hz - 1.0) * _PPM

    def add_exchange(self, *, sent_ns: int, received_ns: int, rx_tick: int, tx_tick: int) -> None:
        """Take one question and its answer.

        Args:
            sent_ns: host's clock before the question left.
            received_ns: host's clock after the answer was there.
            rx_tick: controller's tick when the question arrived, all its bits.
            tx_tick: controller's tick when the answer left.
        """
        if self._is_impossible(rx_tick + 1, sent_ns, tx_tick, received_ns):
            self.outliers += 1  # it contradicts itself
            return
        if self._line is not None and self._contradicts(rx_tick + 1, sent_ns, tx_tick, received_ns):
            self.restarts += 1
            self._forget()
        self._tighten_upper(rx_tick + 1, sent_ns)
        self._tighten_lower(tx_tick, received_ns)
        self._add_point(sent_ns, received_ns, rx_tick, tx_tick)

    def add_stamp(self, tick_u32: int, now_ns: int) -> None:
        """Take a tick that the controller sent some time before now_ns; only its low 32 bits count.

        It proves that the tick is at least this now. Without an exchange before it, nothing is learnt.
        """
        if self._line is None:
            return
        tick = unwrap(tick_u32 & 0xFFFFFFFF, self.tick_at(now_ns))
        if tick < self._upper_at(now_ns):  # else it is for the next exchange to tell who is right
            self._tighten_lower(tick, now_ns)

    def read(self, now_ns: int) -> ClockReading:
        """Return the controller's tick at now_ns, past or future, and how wrong it can be.

        Raises:
            LinkStateError: no exchange yet.
        """
        self._need_line()
        tick, low, high = self.tick_at(now_ns), self._lower_at(now_ns), self._upper_at(now_ns)
        return ClockReading(tick, max(high - tick, tick - low) * _US / self._tick_hz)

    def tick_at(self, now_ns: int) -> int:
        """Return the estimated tick, not wrapped.

        Raises:
            LinkStateError: no exchange yet.
        """
        line = self._need_line()
        ahead_ns = now_ns - self._origin_ns - line.at_ns
        tick = self._origin_tick + math.floor(line.tick + line.slope * ahead_ns)
        return max(self._lower_at(now_ns), min(tick, self._upper_at(now_ns) - 1))

    def ns_of(self, tick_u32: int, now_ns: int) -> int:
        """Return when, on the host's clock, the controller reaches the nearest tick with these low 32 bits.

        Raises:
            LinkStateError: no exchange yet.
        """
        now_tick = self.tick_at(now_ns)
        return now_ns + (unwrap(tick_u32, now_tick) - now_tick) * NS_PER_S // self._tick_hz

    # ----- proofs

    def _forget(self) -> None:
        self._points: deque[_Point] = deque(maxlen=_MAX_POINTS)
        self._line: _Line | None = None
        self._lower = self._upper = (0, 0)  # (tick, at ns); meaningful once there is a line
        self._origin_ns = self._origin_tick = 0

    def _need_line(self) -> _Line:
        if self._line is None:
            raise LinkStateError("controller's tick is not known: no CLOCK_RSP yet")
        return self._line

    def _gain(self, span_ns: int, *, is_most: bool) -> int:
        """Return the most or the least ticks that can pass in span_ns; negative spans look back."""
        ppm = self._limit_ppm if is_most == (span_ns >= 0) else -self._limit_ppm
        scaled = span_ns * self._tick_hz * (_PPM + ppm)
        return -(-scaled // (NS_PER_S * _PPM)) if is_most else scaled // (NS_PER_S * _PPM)

    def _upper_at(self, now_ns: int) -> int:
        """Return a tick that the controller has not reached at now_ns."""
        tick, at_ns = self._upper
        return tick + self._gain(now_ns - at_ns, is_most=True)

    def _lower_at(self, now_ns: int) -> int:
        """Return a tick that the controller has reached at now_ns."""
        tick, at_ns = self._lower
        return tick + self._gain(now_ns - at_ns, is_most=False)

    def _is_impossible(self, upper: int, upper_ns: int, lower: int, lower_ns: int) -> bool:
        return lower >= upper + self._gain(lower_ns - upper_ns, is_most=True)

    def _contradicts(self, upper: int, upper_ns: int, lower: int, lower_ns: int) -> bool:
        """Tell whether a new pair of proofs cannot be true together with those before."""
        return self._is_impossible(*self._upper, lower, lower_ns) or self._is_impossible(upper, upper_ns, *self._lower)

    def _tighten_upper(self, tick: int, at_ns: int) -> None:
        if self._line is None or tick <= self._upper_at(at_ns):
            self._upper = (tick, at_ns)

    def _tighten_lower(self, tick: int, at_ns: int) -> None:
        if self._line is None or tick >= self._lower_at(at_ns):
            self._lower = (tick, at_ns)

    # ----- the line

    def _add_point(self, sent_ns: int, received_ns: int, rx_tick: int, tx_tick: int) -> None:
        if self._line is None:
            self._origin_ns, self._origin_tick = sent_ns, rx_tick
        busy_ns = (tx_tick - rx_tick) * NS_PER_S // self._tick_hz
        point = _Point(
            received_ns - sent_ns - busy_ns,
            (sent_ns + received_ns) / 2 - self._origin_ns,
            (rx_tick + tx_tick + 1) / 2 - self._origin_tick,
        )
        if self._is_outlier(point):
            self.outliers += 1
            return
        oldest_ns = point.at_ns - self._window_ns
        while len(self._points) > _SPARSE_POINTS and self._points[0].at_ns < oldest_ns:
            self._points.popleft()
        self._points.append(point)
        self._line = self._draw()

    def _is_outlier(self, point: _Point) -> bool:
        """Tell whether it is far off; one that was as quick as those used is never, it is the better witness."""
        if self._line is None or not self.is_ready or point.rtt_ns <= self._line.worst_rtt_ns:
            return False
        off = abs(_off(self._line, point))
        return off > _OUTLIER_SIGMAS * self._line.sigma_ticks and off * _US > _OUTLIER_US * self._tick_hz

    def _draw(self) -> _Line:
        """Return the least-squares line through the quickest quarter of the exchanges, its slope within the limit."""
        used = sorted(self._points)[: max(_MIN_USED, -(-len(self._points) // 4))]
        mid_ns = sum(point.at_ns for point in used) / len(used)
        mid_tick = sum(point.tick for point in used) / len(used)
        spread = sum((point.at_ns - mid_ns) ** 2 for point in used)
        product = sum((point.at_ns - mid_ns) * (point.tick - mid_tick) for point in used)
        nominal = self._tick_hz / NS_PER_S
        span = nominal * self._limit_ppm / _PPM
        slope = min(max(product / spread, nominal - span), nominal + span) if spread else nominal
        line = _Line(mid_ns, mid_tick, slope, 0.0, max(point.rtt_ns for point in used))
        sigma = math.sqrt(sum(_off(line, point) ** 2 for point in used) / len(used))
        return line._replace(sigma_ticks=sigma)


def _off(line: _Line, point: _Point) -> float:
    return point.tick - line.tick - line.slope * (point.at_ns - line.at_ns)
