"""The virtual board's self-test: one valve after another, each with a pulse, a pause and an answer.

Ticks count from boot. c/sel_controller.h is the same in C.

>>> test = BoardSelftest(lambda valve: ValveReading(coil_ma=180, open_us=900))
>>> test.start(Selftest(first_valve=3, last_valve=4, pulse_us=1000, mode=SelftestMode.MEASURE), now=0, is_allowed=True)
>>> test.take(now=11_000)
SelftestRes(valve=3, coil_ma=180, open_us=0, flags=<SelftestFlag.NONE: 0>)
>>> test.take(now=11_000) is None
True
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from firmware_bridge.messages import Selftest, SelftestFlag, SelftestMode, SelftestRes

__all__ = ["BoardSelftest", "ValveReading"]

_REST_US: Final = 10_000  # a valve and its air supply come to rest before the next one


class ValveReading(NamedTuple):
    """What the controller's sensing says about one valve's pulse."""

    coil_ma: int
    open_us: int


class BoardSelftest:
    """At most one self-test at a time.

    Args:
        measure: reads the sensing of one valve.
    """

    def __init__(self, measure: Callable[[int], ValveReading]) -> None:
        self._measure = measure
        self._wish: Selftest | None = None
        self._valve = 0
        self._due = 0
        self._has_opened = False
        self._refused: int | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether valves are being tried."""
        return self._wish is not None

    def start(self, wish: Selftest, *, now: int, is_allowed: bool) -> None:
        """Take the host's SELFTEST; refused while one runs."""
        if not is_allowed or self._wish is not None:
            self._refused = wish.first_valve
            return
        self._wish, self._valve, self._has_opened = wish, wish.first_valve, False
        self._due = now + wish.pulse_us + _REST_US

    def abort(self) -> None:
        """End the test without trying further valves."""
        if self._wish is not None:
            self._wish, self._refused = None, self._valve

    def forget(self) -> None:
        """End the test without an answer: its host is gone."""
        self._wish = self._refused = None

    def take_pulse(self) -> tuple[int, int] | None:
        """Return (valve, pulse_us) where a valve is to be opened now, once each."""
        if self._wish is None or self._has_opened:
            return None
        self._has_opened = True
        return (self._valve, self._wish.pulse_us) if self._wish.mode is SelftestMode.FIRE else None

    def take(self, now: int) -> SelftestRes | None:
        """Return the answer that is due, and go on to the next valve."""
        if self._refused is not None:
            valve, self._refused = self._refused, None
            return SelftestRes(valve, 0, 0, SelftestFlag.REFUSED | SelftestFlag.LAST)
        wish = self._wish
        if wish is None or now < self._due:
            return None
        reading = self._measure(self._valve)
        is_last = self._valve == wish.last_valve
        open_us = reading.open_us if wish.mode is SelftestMode.FIRE else 0
        answer = SelftestRes(self._valve, reading.coil_ma, open_us, SelftestFlag.LAST if is_last else SelftestFlag.NONE)
        self._valve += 1
        self._has_opened = False
        self._due = now + wish.pulse_us + _REST_US
        if is_last:
            self._wish = None
        return answer
