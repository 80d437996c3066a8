"""What to do without when frames grow old: the degrade ladder, docs/live.md "Overload". Pure.

The age of a frame when a worker takes it is measured against the slack, the time it may wait. Each single age counts as
it is: the oldest frame is the one that is lost, and no average knows it. One age lifts the ladder by one step at most,
and not before `step_ms` have passed, so that a single hiccup costs a step that nobody misses. A level is left when all
ages stayed below half of its threshold for `hold_ms`; one that had to be entered again soon is held twice as long each
time, so that a load between two levels does not make it swing.

Knows no processes and no clock: whoever looks passes the time. The memory is a few numbers.

>>> ladder = Ladder(LadderSettings(), slack_ns=100_000_000)
>>> step = ladder.look(now_ns=0, age_ns=30_000_000)
>>> step.level.name, step.feeder_permille, step.detail
('L1', 1000, 'age 30.0 ms > 25.0 ms')
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

from edge_runtime.errors import ConfigError

__all__ = ["Cause", "Ladder", "LadderSettings", "LadderStep", "Level"]

Cause = Literal["age", "calm", "over", "feeder_least", "feeder", "silent", "rearm"]

_NS_PER_MS: Final = 1_000_000
_FULL: Final = 1000  # permille
_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Ms = Annotated[int, msgspec.Meta(ge=1, le=600_000)]


class Level(IntEnum):
    """How much is done without; each level does without all that the lower ones do."""

    L0 = 0  # nothing
    L1 = 1  # audit, candidates, live view
    L2_CHEAPER = 2  # the model's full form
    L2_NORM = 3  # the model: the norm table decides
    L3 = 4  # the full stream: the feeder is asked for less
    L4 = 5  # sorting: the safe state, left only by command


class LadderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the levels begin and how fast the ladder moves.

    Attributes:
        extras_above, model_above, feeder_above: thresholds of L1, both steps of L2, and L3; shares of the slack,
            ascending.
        step_ms: least time between two steps up.
        hold_ms: a level is left when the ages stayed below half of its threshold so long.
        most_hold_ms: a level that is entered again within this time of being left is held twice as long as before, up
            to this; `hold_ms` or less turns that off.
        over_ms: so long above the slack is L4.
        gap_ms: the time above the slack is over when no age was for so long.
        feeder_step_ms: between two changes of the feeder; longer than what is fed needs to reach the camera.
        feeder_less_permille: the feeder is multiplied by this where the age is above its threshold and does not fall.
        feeder_more_permille: added where the ages stayed below half of it.
        min_feeder_permille: the least that is asked for.
        silent_ms: without a frame so long the feeder is asked for the least.
        silent_safe_ms: without a frame so long is L4; longer than a process needs to start again.
    """

    extras_above: _Share = 0.25
    model_above: _Share = 0.5
    feeder_above: _Share = 0.75
    step_ms: _Ms = 25
    hold_ms: _Ms = 1000
    most_hold_ms: _Ms = 16_000
    over_ms: _Ms = 500
    gap_ms: _Ms = 100
    feeder_step_ms: _Ms = 250
    feeder_less_permille: Annotated[int, msgspec.Meta(ge=1, le=999)] = 500
    feeder_more_permille: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    min_feeder_permille: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 300
    silent_ms: _Ms = 500
    silent_safe_ms: _Ms = 5000


@dataclass(frozen=True, slots=True)
class LadderStep:
    """Something has changed; what it says holds until the next one.

    Attributes:
        at_ns: when.
        before: level before.
        level: level now; equal to `before` where only the feeder changed.
        feeder_permille: what the feeder should give; 0 in L4, else min_feeder_permille to 1000.
        cause: age: one was above the next threshold. calm: ages stayed low. over: above the slack too long.
            feeder_least: above the slack with the feeder at its least. feeder: only the feeder changes. silent: no
            frames. rearm: the command.
        detail: the cause in numbers.
    """

    at_ns: int
    before: Level
    level: Level
    feeder_permille: int
    cause: Cause
    detail: str

    @property
    def is_level_change(self) -> bool:
        """Tell whether it is an event, or only a step of the feeder."""
        return self.level is not self.before


class Ladder:
    """The ladder of one machine: the ages of all its cameras and workers go to one. One thread.

    Args:
        settings: see there.
        slack_ns: flight time - block time - min_lead_ms.

    Raises:
        ConfigError: the slack is not positive, or the thresholds do not ascend.
    """

    def __init__(self, settings: LadderSettings, slack_ns: int) -> None:
        shares = (settings.extras_above, settings.model_above, settings.feeder_above)
        if slack_ns <= 0:
            raise ConfigError(
                f"frames have no time to wait: flight time - block time - min_lead_ms is {slack_ns / _NS_PER_MS:.1f} "
                f"ms: use blocks of fewer lines, a slower belt or a longer way to the valves"
            )
        if sorted(set(shares)) != list(shares):
            raise ConfigError(f"thresholds {shares} do not ascend: extras_above < model_above < feeder_above")
        self._settings = settings
        self._slack = slack_ns
        extras, model, feeder = (int(share * slack_ns) for share in shares)
        self._limits = (0, extras, model, model, feeder, slack_ns)  # by level, ns
        self._level = Level.L0
        self._feeder = _FULL
        self._hold = [settings.hold_ms * _NS_PER_MS] * len(Level)
        self._left: list[int | None] = [None] * len(Level)  # when each level was left
        self._heard: int | None = None  # when the last age came, or the first look
        self._peak = self._peak_before = 0  # oldest of this half of the feeder's time, and of the half before
        self._restart_timers(0)

    @property
    def level(self) -> Level:
        """Return the level now."""
        return self._level

    @property
    def feeder_permille(self) -> int:
        """Return what the feeder should give: 0 in L4, else min_feeder_permille to 1000."""
        return 0 if self._level is Level.L4 else self._feeder

    def look(self, now_ns: int, age_ns: int | None) -> LadderStep | None:
        """Take one age, or the passing of time.

        Args:
            now_ns: on a clock that never goes back.
            age_ns: of a frame just taken, below 0 counts as 0; None where none has been taken since the last look.
                Look at least every `silent_ms`, first when frames begin to come.

        Returns:
            What changed; None where nothing did. In L4 nothing does.
        """
        before = self._level, self._feeder
        if self._heard is None:
            self._heard = now_ns
            self._restart_timers(now_ns)
        if self._level is Level.L4:
            return None
        cause, detail = self._wait(now_ns) if age_ns is None else self._take(now_ns, max(age_ns, 0))
        if before == (self._level, self._feeder):
            return None
        return LadderStep(now_ns, before[0], self._level, self.feeder_permille, cause, detail)

    def rearm(self, now_ns: int) -> LadderStep | None:
        """Leave L4, by a person's command: nothing is shed, and the feeder begins at its least.

        Returns:
            The step, or None where the level is another one.
        """
        if self._level is not Level.L4:
            return None
        self._level, self._feeder = Level.L0, self._settings.min_feeder_permille
        self._hold = [self._settings.hold_ms * _NS_PER_MS] * len(Level)
        self._left = [None] * len(Level)
        self.begin(now_ns)
        return LadderStep(now_ns, Level.L4, Level.L0, self._feeder, "rearm", "by command")

    def begin(self, now_ns: int) -> None:
        """Expect frames from now on: how long none has come before says nothing."""
        self._heard = now_ns
        self._restart_timers(now_ns)

    # ----- an age, or none

    def _wait(self, now_ns: int) -> tuple[Cause, str]:
        silent_ns = now_ns - (self._heard or 0)
        detail = f"no frame for {silent_ns / _NS_PER_MS:.0f} ms"
        if silent_ns >= self._settings.silent_safe_ms * _NS_PER_MS:
            self._level = Level.L4
        elif silent_ns >= self._settings.silent_ms * _NS_PER_MS:
            self._feeder = self._settings.min_feeder_permille
        return "silent", detail

    def _take(self, now_ns: int, age_ns: int) -> tuple[Cause, str]:
        if now_ns - (self._heard or 0) >= self._settings.silent_ms * _NS_PER_MS:
            self._restart_timers(now_ns)  # nobody knows what was in between
        self._heard = now_ns
        for level in range(Level.L1, Level.L4):
            if 2 * age_ns >= self._limits[level]:
                self._not_calm[level] = now_ns
        self._peak = max(self._peak, age_ns)
        return self._judge_over(now_ns, age_ns) or self._climb(now_ns, age_ns) or self._steer(now_ns, age_ns)

    def _restart_timers(self, now_ns: int) -> None:
        """Begin every measurement anew: nothing is known of the time before."""
        self._not_calm = [now_ns] * len(Level)  # last age that was not below half of each threshold
        self._changed = now_ns
        self._climbed = now_ns - self._settings.step_ms * _NS_PER_MS
        self._over_since: int | None = None
        self._over_last = now_ns
        self._begin_half(now_ns, is_second=False)
        self._peak_before = 0

    # ----- the rules, first come first served

    def _judge_over(self, now_ns: int, age_ns: int) -> tuple[Cause, str] | None:
        """Go to the safe state when ages were above the slack too long."""
        if age_ns <= self._slack:
            if now_ns - self._over_last > self._settings.gap_ms * _NS_PER_MS:
                self._over_since = None
            return None
        self._over_since = now_ns if self._over_since is None else self._over_since
        self._over_last = now_ns
        over_ns = now_ns - self._over_since
        if over_ns < self._settings.over_ms * _NS_PER_MS:
            return None
        self._level = Level.L4
        return "over", f"{self._above(age_ns, self._slack)} for {over_ns / _NS_PER_MS:.0f} ms"

    def _climb(self, now_ns: int, age_ns: int) -> tuple[Cause, str] | None:
        """Go one level up, or one down."""
        upper = min(self._level + 1, Level.L3)
        is_due = now_ns - self._climbed >= self._settings.step_ms * _NS_PER_MS
        if self._level < Level.L3 and is_due and age_ns > self._limits[upper]:
            self._enter(Level(upper), now_ns)
            if upper == Level.L3:
                self._reduce(now_ns, falls=age_ns < max(self._peak, self._peak_before))
            return "age", self._above(age_ns, self._limits[upper])
        calm_ns = now_ns - max(self._not_calm[self._level], self._changed)
        is_fed = self._level < Level.L3 or self._feeder == _FULL
        if self._level > Level.L0 and is_fed and calm_ns >= self._hold[self._level]:
            limit_ms = self._limits[self._level] / 2 / _NS_PER_MS
            self._left[self._level] = self._changed = now_ns
            self._level = Level(self._level - 1)
            return "calm", f"ages < {limit_ms:.1f} ms for {calm_ns / _NS_PER_MS:.0f} ms"
        return None

    def _enter(self, level: Level, now_ns: int) -> None:
        left, base, most = self._left[level], self._settings.hold_ms, self._settings.most_hold_ms
        is_relapse = left is not None and now_ns - left <= most * _NS_PER_MS
        doubled = min(2 * self._hold[level], max(most, base) * _NS_PER_MS)
        self._hold[level] = doubled if is_relapse else base * _NS_PER_MS
        self._level = level
        self._changed = self._climbed = now_ns

    def _steer(self, now_ns: int, age_ns: int) -> tuple[Cause, str]:
        """Ask the feeder for less or more, once in `feeder_step_ms`; ages fall when its second half was younger."""
        limit, peak, before = self._limits[Level.L3], self._peak, self._peak_before
        if now_ns >= self._half_ends:
            if not self._is_second:
                self._begin_half(now_ns, is_second=True)
            elif self._level is Level.L3 and peak > limit:
                is_least = self._feeder <= self._settings.min_feeder_permille
                if is_least and age_ns > self._slack and peak >= before:
                    self._level = Level.L4
                    return "feeder_least", f"{self._above(age_ns, self._slack)} with the feeder at {self._feeder}"
                self._reduce(now_ns, falls=peak < before)
            else:
                if 2 * max(peak, before) < limit:
                    self._feeder = min(_FULL, self._feeder + self._settings.feeder_more_permille)
                self._begin_half(now_ns, is_second=False)
        return "feeder", f"oldest {peak / _NS_PER_MS:.1f} ms, limit {limit / _NS_PER_MS:.1f} ms"

    def _reduce(self, now_ns: int, *, falls: bool) -> None:
        """Ask the feeder for less, unless the ages fall."""
        if not falls:
            less = self._feeder * self._settings.feeder_less_permille // _FULL
            self._feeder = max(self._settings.min_feeder_permille, less)
        self._begin_half(now_ns, is_second=False)

    def _begin_half(self, now_ns: int, *, is_second: bool) -> None:
        self._half_ends = now_ns + self._settings.feeder_step_ms * _NS_PER_MS // 2
        self._is_second = is_second
        self._peak, self._peak_before = 0, self._peak

    def _above(self, age_ns: int, limit_ns: int) -> str:
        return f"age {age_ns / _NS_PER_MS:.1f} ms > {limit_ns / _NS_PER_MS:.1f} ms"
