"""When a process that ended is started again, and when not any more. Pure.

The first restart is at once, so that sorting goes on; each further one waits twice as long. A process that ended too
often in a short time is given up: what broke it will break it again. Knows no processes, only names and times.

>>> rules = RestartRules(RestartSettings(most_exits=3))
>>> rules.on_exit(0, "vision-1", "signal 9")
Restart(after_ms=0)
>>> rules.on_exit(100_000_000, "vision-1", "signal 9")
Restart(after_ms=100)
>>> rules.on_exit(300_000_000, "vision-1", "exit 1").detail
'vision-1 ended 3 times within 60 s: signal 9, signal 9, exit 1'
"""

from collections import deque
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from firmware_bridge.clock import NS_PER_S

__all__ = ["GiveUp", "Restart", "RestartRules", "RestartSettings"]

_NS_PER_MS: Final = 1_000_000
_LONGEST_REASON: Final = 80  # characters, in the detail


class RestartSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to start again.

    Attributes:
        most_exits: so many ends of one process within `window_s` are too many.
        window_s: that time.
        step_ms: wait before the second restart; it doubles with each further one.
        longest_ms: the longest wait.
        well_s: a process that ran as long starts anew: what was before is forgotten.
    """

    most_exits: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    window_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    step_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 100
    longest_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 2000
    well_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again, `after_ms` milliseconds from now."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start it again: go to the safe state. `detail` says why, for people."""

    detail: str


@dataclass(slots=True)
class _History:
    """What is known of one process: its recent ends, and when the last restart was due."""

    exits: deque[tuple[int, str]]
    in_a_row: int = 0
    started_ns: int | None = None
    given_up: GiveUp | None = None


class RestartRules:
    """Counts the ends of each process by itself. Memory: `most_exits` entries a name.

    Note:
        The waits have no random part: the processes of one machine have no common server that they could flood, and a
        wait that can be foretold keeps "sorting again within 2 s" testable.
    """

    def __init__(self, settings: RestartSettings | None = None) -> None:
        self._settings = settings or RestartSettings()
        self._histories: dict[str, _History] = {}

    def on_exit(self, now_ns: int, name: str, reason: str) -> Restart | GiveUp:
        """Take the end of a process that should have gone on; one that was asked to end is not for here.

        Args:
            now_ns: when it was noticed, on a clock that never goes back.
            name: of the process, the same after each restart.
            reason: for people: "signal 9", "exit 1", "no progress for 2 s".

        Returns:
            What to do. After a `GiveUp` each further end gives the same one, until `forget`.
        """
        history = self._histories.setdefault(name, _History(deque(maxlen=self._settings.most_exits)))
        if history.given_up is not None:
            return history.given_up
        if history.started_ns is not None and now_ns - history.started_ns >= self._settings.well_s * NS_PER_S:
            history.exits.clear()
            history.in_a_row = 0
        history.exits.append((now_ns, reason[:_LONGEST_REASON]))
        if self._is_too_often(history, now_ns):
            history.given_up = GiveUp(self._detail(name, history))
            return history.given_up
        after_ms = self._wait_ms(history.in_a_row)
        history.in_a_row += 1
        history.started_ns = now_ns + after_ms * _NS_PER_MS
        return Restart(after_ms)

    def forget(self, name: str) -> None:
        """Let a process start anew, by a person's command; an unknown name changes nothing."""
        history = self._histories.get(name)
        if history is not None:
            history.exits.clear()
            history.in_a_row, history.started_ns, history.given_up = 0, None, None

    def _is_too_often(self, history: _History, now_ns: int) -> bool:
        is_full = len(history.exits) == self._settings.most_exits
        return is_full and now_ns - history.exits[0][0] <= self._settings.window_s * NS_PER_S

    def _wait_ms(self, in_a_row: int) -> int:
        if in_a_row == 0:
            return 0
        doublings = min(in_a_row - 1, 16)  # 2**16 times any step is beyond the longest wait
        return min(self._settings.step_ms << doublings, self._settings.longest_ms)

    def _detail(self, name: str, history: _History) -> str:
        reasons = ", ".join(reason for _, reason in history.exits)
        return f"{name} ended {len(history.exits)} times within {self._settings.window_s:g} s: {reasons}"
