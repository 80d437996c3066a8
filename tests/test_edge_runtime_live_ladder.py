"""The ladder climbs step by step, comes back when it is calm, never swings, and silence is not health."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder_table import PROFILES, Scene, simulate

from edge_runtime.errors import ConfigError
from edge_runtime.live.ladder import Ladder, LadderSettings, LadderStep, Level

MS = 1_000_000
SLACK = 100 * MS
SETTINGS = LadderSettings()
LEVELS_ALONE = LadderSettings(min_feeder_permille=1000, feeder_step_ms=600_000, most_hold_ms=1)

Look = tuple[float, float | None]  # milliseconds since the look before, age in shares of the slack

ages = st.floats(0, 1.4) | st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.01])
looks = st.lists(st.tuples(st.sampled_from([1, 5, 20, 26, 90, 300, 1100]), ages | st.none()), max_size=60)


class Run:
    """A ladder with a clock."""

    def __init__(self, settings: LadderSettings = SETTINGS) -> None:
        self.ladder = Ladder(settings, SLACK)
        self.now_ns = 0
        self.steps: list[LadderStep] = []

    def look(self, after_ms: float, age: float | None) -> LadderStep | None:
        self.now_ns += round(after_ms * MS)
        step = self.ladder.look(self.now_ns, None if age is None else round(age * SLACK))
        if step is not None:
            self.steps.append(step)
        return step

    def looks(self, looks: Sequence[Look]) -> "Run":
        for after_ms, age in looks:
            self.look(after_ms, age)
        return self

    def steady(self, age: float | None, seconds: float, every_ms: int = 10) -> "Run":
        return self.looks([(every_ms, age)] * round(seconds * 1000 / every_ms))

    @property
    def state(self) -> tuple[Level, int]:
        return self.ladder.level, self.ladder.feeder_permille

    @property
    def levels(self) -> list[Level]:
        return [step.level for step in self.steps if step.is_level_change]


@settings(deadline=None)
@given(looks)
def test_a_step_tells_every_change_and_nothing_else(looks: list[Look]) -> None:
    run = Run()
    for after_ms, age in looks:
        before = run.state
        step = run.look(after_ms, age)
        assert (step is None) is (run.state == before)
        if step is not None:
            assert (step.at_ns, step.before, step.level, step.feeder_permille) == (run.now_ns, before[0], *run.state)
            assert step.detail
            assert step.is_level_change is (before[0] is not step.level)


@settings(deadline=None)
@given(looks)
def test_no_level_is_skipped_upward_but_to_the_safe_state(looks: list[Look]) -> None:
    climbs = [step for step in Run().looks(looks).steps if Level.L4 > step.level > step.before]
    assert all(step.level == step.before + 1 for step in climbs)
    assert all(after.at_ns - before.at_ns >= SETTINGS.step_ms * MS for before, after in pairwise(climbs))


@settings(deadline=None)
@given(looks)
def test_one_level_is_left_at_a_time_and_each_after_its_hold(looks: list[Look]) -> None:
    changes = [step for step in Run().looks(looks).steps if step.is_level_change]
    for before, after in pairwise(changes):
        if after.level < after.before:
            assert after.before - after.level == 1
            assert after.at_ns - before.at_ns >= SETTINGS.hold_ms * MS


@settings(deadline=None)
@given(looks)
def test_the_feeder_stays_between_its_least_and_full_and_is_off_in_the_safe_state(looks: list[Look]) -> None:
    run = Run()
    for after_ms, age in looks:
        run.look(after_ms, age)
        level, feeder = run.state
        assert feeder == 0 if level is Level.L4 else SETTINGS.min_feeder_permille <= feeder <= 1000


@settings(deadline=None)
@given(looks)
def test_calm_for_long_enough_nothing_is_shed(looks: list[Look]) -> None:
    run = Run().looks(looks)
    run.ladder.rearm(run.now_ns)
    run.look(1, 0.0)
    assert run.steady(0.12, 85, every_ms=40).state == (Level.L0, 1000)


@settings(deadline=None)
@given(st.floats(0, 3), st.integers(1, 100))
def test_a_constant_age_makes_no_swing(age: float, every_ms: int) -> None:
    run = Run()
    for _ in range(1500):
        run.look(every_ms, age)
    assert run.levels == sorted(run.levels)
    assert len(run.levels) <= 5
    at_rest = [Level.L0, Level.L1, Level.L2_NORM, Level.L3, Level.L4][
        sum(age > share for share in (0.25, 0.5, 0.75, 1))
    ]
    assert run.ladder.level >= at_rest


@settings(deadline=None)
@given(st.lists(st.floats(0.13, 0.25), min_size=1, max_size=200), st.integers(1, 100))
def test_between_half_and_the_whole_threshold_nothing_moves(shares: list[float], every_ms: int) -> None:
    run = Run()
    run.look(0, 0.26)
    run.looks([(every_ms, share) for share in shares])
    assert run.levels == [Level.L1]


@pytest.mark.parametrize(("climb", "threshold"), [(1, 0.25), (2, 0.5), (3, 0.5), (4, 0.75)])
@pytest.mark.parametrize(("share", "is_left"), [(0.5, False), (0.5 - 1e-6, True)])
def test_calm_is_below_the_exact_half_of_the_level_s_threshold(
    climb: int, threshold: float, share: float, is_left: bool
) -> None:
    run = Run(LadderSettings(min_feeder_permille=1000)).looks([(30, 0.76)] * climb)
    assert run.ladder.level == climb
    run.looks([(50, share * threshold)] * 20)
    assert run.ladder.level == (climb - 1 if is_left else climb), "left at the end of its hold, not a look later"


@pytest.mark.parametrize(("away_ms", "held_ms"), [(16_000, 2000), (16_001, 1000)])
def test_a_relapse_is_one_within_its_exact_time(away_ms: int, held_ms: int) -> None:
    run = Run(LadderSettings(silent_ms=60_000))
    run.looks([(0, 0.3), (1000, 0.01), (away_ms, 0.3), (held_ms - 1, 0.01)])
    assert run.levels == [Level.L1, Level.L0, Level.L1]
    assert run.looks([(1, 0.01)]).levels[-1] is Level.L0


def test_the_slack_itself_is_not_above_the_slack() -> None:
    assert Run().steady(1.0, 0.9).ladder.feeder_permille > 0
    assert Run(LadderSettings(feeder_step_ms=60_000)).steady(1.0, 9).ladder.level is Level.L3


def test_after_the_command_nothing_of_before_counts() -> None:
    run = Run()
    for _ in range(3):  # relapses: held four seconds
        run.look(10, 0.3)
        run.steady(0.01, 4.1)
    run.steady(1.5, 1)
    assert run.ladder.level is Level.L4
    run.ladder.rearm(run.now_ns)
    run.look(10, 1.5)
    run.steady(0.01, 1.01)
    assert [step.cause for step in run.steps if step.is_level_change][-2:] == ["age", "calm"]


def test_before_the_first_look_nothing_is_told() -> None:
    ladder = Ladder(SETTINGS, SLACK)
    assert (ladder.level, ladder.feeder_permille) == (Level.L0, 1000)
    assert ladder.look(10**15, None) is None, "the clock's zero is arbitrary"


@settings(deadline=None)
@given(looks, st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_older_frames_never_give_a_lower_level(looks: list[Look], more: list[float]) -> None:
    """The levels alone: with the feeder held full, and without the longer hold after a relapse."""
    young, old = Run(LEVELS_ALONE), Run(LEVELS_ALONE)
    for (after_ms, age), extra in zip(looks, more, strict=False):
        young.look(after_ms, age)
        old.look(after_ms, None if age is None else age + extra)
        assert young.ladder.level <= old.ladder.level


@settings(deadline=None)
@given(st.floats(0, 9), st.integers(0, 200))
def test_a_single_hiccup_costs_one_step(age: float, at: int) -> None:
    run = Run().steady(0.01, at / 100)
    run.look(10, age)
    run.steady(0.01, 3)
    assert len(run.levels) in {0, 2}
    assert run.state == (Level.L0, 1000)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 20)), min_size=2, max_size=60))
def test_the_feeder_is_never_lowered_while_the_ages_fall(looks: list[tuple[int, float]]) -> None:
    falling = sorted({age for _, age in looks}, reverse=True)
    run = Run(LadderSettings(over_ms=600_000))
    for (after_ms, _), age in zip(looks, falling, strict=False):
        run.look(after_ms, age)
        assert run.ladder.feeder_permille == 1000


def test_each_level_begins_above_its_exact_threshold() -> None:
    for share, level in ((0.25, Level.L0), (0.5, Level.L1), (0.75, Level.L2_NORM), (1.0, Level.L3)):
        assert Run().looks([(30, share)] * 4).ladder.level is level
        above = Run().looks([(30, share + 1e-8)] * 4).ladder.level
        assert above == min(Level.L3, level + (2 if level is Level.L1 else 1))


def test_the_safe_state_comes_after_half_a_second_above_the_slack() -> None:
    run = Run(LadderSettings(feeder_step_ms=60_000))
    run.looks([(1, 1.01)] + [(99.9, 1.01)] * 5)
    assert run.ladder.level is Level.L3
    step = run.look(0.5, 1.01)
    assert step is not None
    assert (step.level, step.feeder_permille, step.cause) == (Level.L4, 0, "over")
    assert step.detail == "age 101.0 ms > 100.0 ms for 500 ms"


@pytest.mark.parametrize(
    ("pattern", "level"),
    [
        ([(45, 1.01), (45, 0.99)], Level.L4),  # a late frame passed over lets the next one in just below the slack
        ([(20, 1.01), (50, 0.99), (50, 0.99)], Level.L4),
        ([(20, 1.01), (50, 0.99), (51, 0.99)], Level.L3),
    ],
)
def test_a_moment_below_the_slack_is_no_recovery(pattern: list[Look], level: Level) -> None:
    assert Run(LadderSettings(feeder_step_ms=60_000)).looks(pattern * 20).ladder.level is level


def test_the_safe_state_comes_when_the_least_feeder_does_not_help() -> None:
    run = Run(LadderSettings(over_ms=60_000)).steady(1.2, 3)
    last = run.steps[-1]
    assert (last.level, last.cause) == (Level.L4, "feeder_least")
    assert last.detail == "age 120.0 ms > 100.0 ms with the feeder at 300"
    assert [step.feeder_permille for step in run.steps if step.before is Level.L3 or step.level is Level.L3] == [
        500,
        300,
        0,
    ]


def test_the_feeder_comes_back_before_the_model() -> None:
    run = Run().steady(0.8, 0.12)
    assert run.state == (Level.L3, 500)
    assert run.steady(0.1, 12.4).state[0] is Level.L3
    assert run.steady(0.1, 0.9).state == (Level.L2_NORM, 1000)
    assert run.steady(0.1, 3.1).state == (Level.L0, 1000)


def test_the_feeder_waits_between_half_and_the_whole_threshold() -> None:
    run = Run().steady(0.8, 0.12)
    assert run.steady(0.5, 30).state == (Level.L3, 500)


def test_a_level_that_is_entered_again_soon_is_held_longer_each_time() -> None:
    run, held = Run(), list[float]()
    for _ in range(7):
        run.look(10, 0.3)
        began = run.now_ns
        while run.ladder.level is Level.L1:
            run.look(10, 0.01)
        held.append((run.now_ns - began) / 1e9)
    assert held == pytest.approx([1, 2, 4, 8, 16, 16, 16], abs=0.02)
    run.steady(0.01, 16.1)
    run.look(10, 0.3)
    assert run.steady(0.01, 1.05).ladder.level is Level.L0


def test_silence_is_not_health() -> None:
    run = Run().steady(0.3, 0.1)
    before = run.ladder.level
    run.steady(None, 0.49)
    assert run.state == (before, 1000)
    run.look(10, None)
    assert run.state == (before, 300)
    assert (run.steps[-1].cause, run.steps[-1].detail) == ("silent", "no frame for 500 ms")
    run.steady(None, 4.49)
    assert run.ladder.level is before
    step = run.look(10, None)
    assert step is not None
    assert (step.level, step.cause, step.feeder_permille) == (Level.L4, "silent", 0)


def test_frames_that_never_came_are_silence_too() -> None:
    run = Run().steady(None, 5.01)
    assert run.levels == [Level.L4]


def test_after_silence_calm_is_measured_anew_and_the_feeder_comes_back() -> None:
    run = Run().steady(0.3, 0.1).steady(None, 2)
    run.look(10, 0.01)
    assert run.state == (Level.L1, 300)
    assert run.steady(0.01, 0.99).levels == [Level.L1]
    assert run.steady(0.01, 0.02).levels == [Level.L1, Level.L0]
    assert run.steady(0.01, 19).state == (Level.L0, 1000)


def test_a_gap_that_nobody_looked_at_is_silence() -> None:
    run = Run().steady(0.3, 0.1)
    run.look(2000, 0.01)
    assert run.ladder.level is Level.L1


@settings(deadline=None)
@given(looks)
def test_the_safe_state_is_left_by_command_only(looks: list[Look]) -> None:
    run = Run().steady(1.5, 0.6).looks(looks)
    assert run.levels[-1] is Level.L4
    assert run.state == (Level.L4, 0)
    step = run.ladder.rearm(run.now_ns)
    assert step is not None
    assert (step.before, step.level, step.feeder_permille, step.cause) == (Level.L4, Level.L0, 300, "rearm")
    assert run.state == (Level.L0, 300)
    assert run.steady(0.01, 25, every_ms=40).state == (Level.L0, 1000)
    assert run.ladder.rearm(run.now_ns) is None


def test_an_age_below_nothing_is_nothing() -> None:
    assert Run().steady(-5.0, 3).state == (Level.L0, 1000)


@pytest.mark.parametrize("slack_ns", [0, -3 * MS])
def test_without_slack_there_is_no_ladder(slack_ns: int) -> None:
    with pytest.raises(ConfigError, match="frames have no time to wait"):
        Ladder(SETTINGS, slack_ns)


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.75), (0.25, 0.5, 0.5)])
def test_thresholds_ascend(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="do not ascend"):
        Ladder(LadderSettings(*shares), SLACK)


# ----- with a queue behind it


@pytest.mark.parametrize("load", [1.3, 2.0, 3.0])
def test_where_the_model_has_other_forms_no_frame_is_late(load: float) -> None:
    story = simulate(Scene(PROFILES["both forms"], load))
    assert (story.late, story.feeder_permille) == (0, 1000)
    assert Level.L2_CHEAPER <= story.highest <= Level.L2_NORM
    assert story.changes_settled <= 6, "20 s without the longer hold would make about 25"
    assert story.healed_s is not None
    assert story.healed_s < 20


@pytest.mark.parametrize(("load", "late_most"), [(1.3, 10), (2.0, 30)])
@pytest.mark.parametrize("delay_ms", [100.0, 300.0])
def test_the_feeder_alone_settles_an_overload(load: float, late_most: int, delay_ms: float) -> None:
    """2,000 frames come during the overload; without a ladder 460 or 1,000 of them are late."""
    story = simulate(Scene(PROFILES["no other form"], load, delay_ms=delay_ms))
    assert story.highest is Level.L3
    assert story.late <= late_most
    assert story.longest_late_ms < 500
    assert story.changes_settled == 0
    assert 0.75 * 1000 / load < story.feeder_permille < 1000 / load / 0.95
    assert story.healed_s is not None
    assert story.healed_s < 20


def test_what_nothing_settles_ends_in_the_safe_state() -> None:
    story = simulate(Scene(PROFILES["no other form"], 6.0), after_s=2)
    assert story.highest is Level.L4
    assert story.longest_late_ms < 800, "half a second, and what the feeder had given before"
    assert story.healed_s is None


def test_an_even_load_leaves_the_ladder_alone() -> None:
    assert simulate(Scene(PROFILES["both forms"], 0.98), after_s=1).changes == 0
