"""Time, passed in: the only file that reads a clock or sleeps.

Intervals are monotonic nanoseconds, records carry UTC. `ManualClock` makes every timing rule testable without waiting.

>>> clock = ManualClock()
>>> clock.sleep_s(0.25)
>>> clock.monotonic_ns()
250000000
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

__all__ = ["NS_PER_S", "Clock", "CpuClock", "ManualClock", "SystemClock"]

NS_PER_S: Final = 1_000_000_000


class Clock(Protocol):
    """What code may know about time."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back, from an arbitrary zero."""
        ...

    def utc_now(self) -> datetime:
        """Return the wall clock in UTC, for records; never for intervals."""
        ...

    def sleep_s(self, seconds: float) -> None:
        """Wait for `seconds`; 0 or less returns at once."""
        ...


class SystemClock:
    """The clock of this computer."""

    def monotonic_ns(self) -> int:
        """Return the operating system's monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    def utc_now(self) -> datetime:
        """Return the operating system's wall clock, in UTC."""
        return datetime.now(UTC)

    def sleep_s(self, seconds: float) -> None:
        """Sleep; other threads run."""
        if seconds > 0:
            time.sleep(seconds)


class CpuClock(SystemClock):
    """A clock whose intervals are the time that this process computed: what others do on the computer is left out."""

    def monotonic_ns(self) -> int:
        """Return the processor time of all threads of this process, in nanoseconds."""
        return time.process_time_ns()


class ManualClock:
    """A clock that moves only when told to: sleeping advances it at once."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_ns = 0

    def monotonic_ns(self) -> int:
        """Return nanoseconds advanced since this clock was made."""
        return self._elapsed_ns

    def utc_now(self) -> datetime:
        """Return the start time plus all that was advanced."""
        return self._start + timedelta(microseconds=self._elapsed_ns / 1000)

    def sleep_s(self, seconds: float) -> None:
        """Advance by `seconds` without waiting."""
        if seconds > 0:
            self.advance_ns(round(seconds * NS_PER_S))

    def advance_ns(self, step_ns: int) -> None:
        """Move the clock forward by `step_ns`.

        Raises:
            ValueError: step_ns is negative: time never goes back.
        """
        if step_ns < 0:
            raise ValueError(f"a clock cannot go back by {-step_ns} ns: pass a step >= 0")
        self._elapsed_ns += step_ns
