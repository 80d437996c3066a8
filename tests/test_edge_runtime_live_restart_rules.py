"""A process comes back at once, then ever later, and not at all when it ends too often."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.live.restart_rules import GiveUp, Restart, RestartRules, RestartSettings

MS = 1_000_000
S = 1_000_000_000

all_settings = st.builds(
    RestartSettings,
    most_exits=st.integers(1, 8),
    window_s=st.sampled_from([1.0, 60.0]),
    step_ms=st.integers(0, 500),
    longest_ms=st.integers(0, 4000),
    well_s=st.sampled_from([5.0, 30.0]),
)
runs_ms = st.lists(st.integers(0, 40_000), min_size=1, max_size=40)


def end_after(rules: RestartRules, runs: list[int], name: str = "vision-1") -> list[tuple[int, Restart | GiveUp]]:
    """Let a process run for so many milliseconds each time; return when it ended and what was decided."""
    now_ns, decided = 0, list[tuple[int, Restart | GiveUp]]()
    for run_ms in runs:
        now_ns += run_ms * MS
        verdict = rules.on_exit(now_ns, name, f"ran {run_ms}")
        decided.append((now_ns, verdict))
        now_ns += verdict.after_ms * MS if isinstance(verdict, Restart) else 0
    return decided


def test_five_ends_in_a_minute_are_too_many() -> None:
    rules = RestartRules()
    verdicts = [verdict for _, verdict in end_after(rules, [10] * 5)]
    assert verdicts[:4] == [Restart(0), Restart(100), Restart(200), Restart(400)]
    assert verdicts[4] == GiveUp("vision-1 ended 5 times within 60 s: ran 10, ran 10, ran 10, ran 10, ran 10")


@pytest.mark.parametrize(("last_s", "is_given_up"), [(60, True), (60.000000001, False)])
def test_the_window_ends_at_its_exact_length(last_s: float, is_given_up: bool) -> None:
    rules = RestartRules(RestartSettings(most_exits=2, well_s=3600))
    rules.on_exit(0, "vision-1", "a")
    assert is_given_up is isinstance(rules.on_exit(round(last_s * S), "vision-1", "b"), GiveUp)


@settings(deadline=None)
@given(all_settings, runs_ms)
def test_it_is_given_up_exactly_when_the_window_is_full(rule: RestartSettings, runs: list[int]) -> None:
    """Against the rule written plainly: all ends since it last ran well, those within the window counted."""
    now_ns = started_ns = 0
    known: list[int] = []
    rules, is_first = RestartRules(rule), True
    for run_ms in runs:
        now_ns += run_ms * MS
        if not is_first and now_ns - started_ns >= rule.well_s * S:
            known = []
        known.append(now_ns)
        verdict = rules.on_exit(now_ns, "x", "")
        recent = [at for at in known if now_ns - at <= rule.window_s * S]
        assert isinstance(verdict, GiveUp) is (len(recent) >= rule.most_exits)
        if isinstance(verdict, GiveUp):
            return
        is_first, started_ns = False, now_ns + verdict.after_ms * MS
        now_ns = started_ns


@settings(deadline=None)
@given(all_settings, runs_ms)
def test_waits_begin_at_nothing_grow_and_stay_below_the_longest(rule: RestartSettings, runs: list[int]) -> None:
    short = [min(run, 1000) for run in runs]
    waits = [verdict.after_ms for _, verdict in end_after(RestartRules(rule), short) if isinstance(verdict, Restart)]
    assert waits[:1] in ([0], [])
    assert all(before <= after for before, after in pairwise(waits))
    assert all(wait <= rule.longest_ms for wait in waits)


@settings(deadline=None)
@given(st.lists(st.integers(30_000, 90_000), min_size=2, max_size=20))
def test_a_process_that_ran_well_starts_anew_every_time(runs: list[int]) -> None:
    assert {verdict for _, verdict in end_after(RestartRules(), runs)} == {Restart(0)}


def test_a_process_that_ran_well_once_has_its_ends_forgotten() -> None:
    verdicts = [verdict for _, verdict in end_after(RestartRules(), [10, 10, 10, 10, 30_000, 10, 10, 10, 10])]
    assert verdicts[4:8] == [Restart(0), Restart(100), Restart(200), Restart(400)]
    assert isinstance(verdicts[8], GiveUp)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
def test_each_process_is_counted_by_itself(names: list[str]) -> None:
    together, alone = RestartRules(), {name: RestartRules() for name in names}
    for at, name in enumerate(names):
        assert together.on_exit(at * S, name, "x") == alone[name].on_exit(at * S, name, "x")


def test_given_up_stays_given_up_until_a_person_says_otherwise() -> None:
    rules = RestartRules(RestartSettings(most_exits=2))
    end_after(rules, [0, 0])
    assert isinstance(rules.on_exit(S, "vision-1", "again"), GiveUp)
    assert isinstance(rules.on_exit(9999 * S, "vision-1", "much later"), GiveUp)
    rules.forget("vision-1")
    rules.forget("nobody")
    assert rules.on_exit(10_000 * S, "vision-1", "new") == Restart(0)


def test_the_wait_for_a_restart_is_no_running_well() -> None:
    rules = RestartRules()
    rules.on_exit(0, "vision-1", "a")
    assert rules.on_exit(0, "vision-1", "b") == Restart(100)
    assert rules.on_exit(30 * S + 99 * MS, "vision-1", "c") == Restart(200)
    assert rules.on_exit(60 * S + 299 * MS, "vision-1", "d") == Restart(0)


def test_the_longest_wait_is_two_seconds() -> None:
    waits = end_after(RestartRules(RestartSettings(most_exits=100)), [10] * 30)
    assert [wait for _, wait in waits[-3:]] == [Restart(2000)] * 3


def test_a_long_reason_is_cut() -> None:
    verdict = RestartRules(RestartSettings(most_exits=1)).on_exit(0, "x", "y" * 1000)
    assert verdict == GiveUp("x ended 1 times within 60 s: " + "y" * 80)
