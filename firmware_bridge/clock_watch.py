"""When the host asks for the controller's time, which answer belongs to which question, and how long that took.

Pure: it makes CLOCK_REQ messages and takes CLOCK_RSP; whoever owns it moves them. What the answers say about the tick
is `clock_fit`'s part.

>>> from firmware_bridge.messages import ClockRsp
>>> watch = ClockWatch(ClockPeriods(first_ms=50, arming_ms=100, armed_ms=984))
>>> watch.start(tick_hz=1_000_000, now_ns=0)
>>> request = watch.due(now_ns=0, is_armed=False)
>>> watch.on_answer(ClockRsp(request.token, rx_tick=700, tx_tick=700, enc=0), now_ns=400_000)
True
>>> watch.rtt_ns, watch.fit.tick_at(400_000)
(400000, 900)
"""

from collections import deque
from typing import Final

import msgspec

from firmware_bridge.clock_fit import ClockFit
from firmware_bridge.errors import ArmRefusedError
from firmware_bridge.messages import ClockReq, ClockRsp

__all__ = ["MAX_RESIDUAL_US", "ClockPeriods", "ClockWatch", "RttFigures", "rtt_figures"]

MAX_RESIDUAL_US: Final = 200.0  # a line that scatters more cannot tell a late event from one in time
_MS: Final = 1_000_000
_U32: Final = 0xFFFFFFFF
_OPEN_QUESTIONS: Final = 16  # older ones are not waited for
_RTTS: Final = 128  # 13 s of arming, two minutes of work
_SETTLED_ANSWERS: Final = 32  # before that a freshly armed session goes on asking quickly


class ClockPeriods(msgspec.Struct, frozen=True):
    """How often the host asks, in milliseconds.

    Attributes:
        first_ms: until there are enough answers to judge the line.
        arming_ms: until armed, and until the estimate has settled.
        armed_ms: after that.
    """

    first_ms: int
    arming_ms: int
    armed_ms: int


class RttFigures(msgspec.Struct, frozen=True):
    """Round-trip times of the latest questions, in microseconds.

    Attributes:
        count: how many.
        p99_us: 99 of 100 were no longer; with fewer than 100 it is the longest.
    """

    count: int
    min_us: float
    median_us: float
    p99_us: float
    max_us: float


class ClockWatch:
    """Questions and answers of one session after another.

    Args:
        periods: how often to ask.
    """

    def __init__(self, periods: ClockPeriods) -> None:
        self.answers = 0
        self.rtt_ns: int | None = None
        self._periods = periods
        self.start(tick_hz=1, now_ns=0)

    def start(self, *, tick_hz: int, now_ns: int) -> None:
        """Forget the session before and ask at once."""
        self.fit = ClockFit(tick_hz)
        self.rtt_ns = None
        self._rtts_ns: deque[int] = deque(maxlen=_RTTS)
        self._open: dict[int, int] = {}  # token -> sent ns, oldest first
        self._token = 0
        self._answers_before = self.answers
        self._due_ns = now_ns

    @property
    def rtt(self) -> RttFigures | None:
        """Return the round-trip times of this session, None before the first answer."""
        return rtt_figures(self._rtts_ns) if self._rtts_ns else None

    def ask_now(self, now_ns: int) -> None:
        """Make the next question due."""
        self._due_ns = now_ns

    def due(self, now_ns: int, *, is_armed: bool) -> ClockReq | None:
        """Return the question to send now, if it is time; it is taken for sent at now_ns."""
        if now_ns < self._due_ns:
            return None
        self._due_ns = now_ns + self._period_ms(is_armed=is_armed) * _MS
        self._token = (self._token + 1) & _U32
        self._open[self._token] = now_ns
        if len(self._open) > _OPEN_QUESTIONS:
            del self._open[next(iter(self._open))]
        return ClockReq(self._token)

    def on_answer(self, answer: ClockRsp, now_ns: int) -> bool:
        """Take an answer and tell whether it belongs to an open question; doubled and foreign ones do not."""
        sent_ns = self._open.pop(answer.token, None)
        if sent_ns is None:
            return False
        self.answers += 1
        self.rtt_ns = now_ns - sent_ns
        self._rtts_ns.append(self.rtt_ns)
        self.fit.add_exchange(sent_ns=sent_ns, received_ns=now_ns, rx_tick=answer.rx_tick, tx_tick=answer.tx_tick)
        return True

    def check_lead(self, lead_us: int) -> bool:
        """Tell whether there are enough answers to arm; a link too slow or too uneven for the lead is refused.

        Args:
            lead_us: shortest time from the decision about a piece to its fire time.

        Raises:
            ArmRefusedError: a question and its answer take longer than half the lead, or the clock cannot be estimated.
        """
        rtt = self.rtt
        if rtt is None or not self.fit.is_ready:
            return False
        if rtt.p99_us > lead_us / 2:
            raise ArmRefusedError(
                f"round trip of {rtt.p99_us:.0f} us (p99 of {rtt.count}) > {lead_us / 2:.0f} us, half the lead"
            )
        if self.fit.residual_us > MAX_RESIDUAL_US:
            raise ArmRefusedError(
                f"controller's clock scatters by {self.fit.residual_us:.0f} us > {MAX_RESIDUAL_US:.0f} us"
            )
        return True

    def _period_ms(self, *, is_armed: bool) -> int:
        if not self.fit.is_ready:
            return self._periods.first_ms
        has_settled = self.answers - self._answers_before >= _SETTLED_ANSWERS
        return self._periods.armed_ms if is_armed and has_settled else self._periods.arming_ms


def rtt_figures(rtts_ns: "deque[int] | list[int]") -> RttFigures:
    """Return the figures of at least one round trip.

    >>> rtt_figures([3_000, 1_000, 2_000])
    RttFigures(count=3, min_us=1.0, median_us=2.0, p99_us=3.0, max_us=3.0)
    """
    times_us = sorted(rtt_ns / 1000 for rtt_ns in rtts_ns)
    count = len(times_us)
    p99_us = times_us[-(-count * 99 // 100) - 1]
    return RttFigures(count, times_us[0], times_us[count // 2], p99_us, times_us[-1])
