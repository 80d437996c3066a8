"""When the loop stops and which round ships: pure rules over records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.loop.rounds import StopReason, best_round, is_better, stop_reason
from trainer.pool.round_record import ClassRound, RoundRecord
from trainer.settings import StopSettings

NEVER = StopSettings(
    residual_share=0.0, residual_per_class=0.0, class_residual_share=0.0, patience=0, rounds=999, training_share=1.0
)


def record(number: int = 1, macro_f1: float = 0.5, residual: int = 50, **changes: object) -> RoundRecord:
    made = RoundRecord(
        number=number,
        drawn=16,
        training_samples=100,
        residual=residual,
        pool_samples=1000,
        pool_accuracy=0.9,
        macro_f1=macro_f1,
        worst_class_recall=0.4,
        macro_f1_error=0.02,
        validation_samples=200,
        model_id="a" * 64,
        classes={"good": ClassRound(500, 8, 50, residual - 1, 0.9), "stone": ClassRound(500, 8, 50, 1, 0.9)},
    )
    return msgspec.structs.replace(made, **changes)


def series(*scores: float) -> list[RoundRecord]:
    return [record(at, score) for at, score in enumerate(scores, start=1)]


def changed(**changes: object) -> StopSettings:
    return msgspec.structs.replace(NEVER, **changes)


def test_the_loop_goes_on_while_no_rule_holds() -> None:
    assert stop_reason([record()], NEVER, is_exhausted=False) is None
    assert stop_reason([], NEVER, is_exhausted=False) is None


@pytest.mark.parametrize(
    ("reason", "limit", "beyond"),
    [
        ("residual_small", {"residual_share": 0.05}, {"residual_share": 0.049}),
        ("residual_small", {"residual_per_class": 25.1}, {"residual_per_class": 25.0}),
        ("classes_small", {"class_residual_share": 0.098}, {"class_residual_share": 0.097}),
        ("rounds_budget", {"rounds": 1}, {"rounds": 2}),
        ("samples_budget", {"training_share": 0.1}, {"training_share": 0.101}),
    ],
)
def test_each_limit_stops_exactly_where_it_is_reached(
    reason: StopReason, limit: dict[str, float], beyond: dict[str, float]
) -> None:
    assert stop_reason([record()], changed(**limit), is_exhausted=False) == reason
    assert stop_reason([record()], changed(**beyond), is_exhausted=False) is None


def test_one_class_still_wrong_keeps_the_loop_going() -> None:
    """A rare class hides in the whole residual, not in its own share."""
    classes = {"good": ClassRound(990, 8, 50, 0, 1.0), "stone": ClassRound(10, 8, 5, 1, 0.5)}
    found = [record(residual=1, classes=classes)]
    assert stop_reason(found, changed(class_residual_share=0.05), is_exhausted=False) is None
    assert stop_reason(found, changed(class_residual_share=0.1), is_exhausted=False) == "classes_small"


def test_nothing_left_stops_also_before_the_first_round() -> None:
    assert stop_reason([], NEVER, is_exhausted=True) == "nothing_left"
    assert stop_reason([record()], NEVER, is_exhausted=True) == "nothing_left"


def test_rounds_without_gain_are_counted_since_the_last_better_one() -> None:
    patient = changed(patience=2)
    assert stop_reason(series(0.5, 0.51), patient, is_exhausted=False) is None
    assert stop_reason(series(0.5, 0.51, 0.52), patient, is_exhausted=False) == "no_gain"
    assert stop_reason(series(0.5, 0.51, 0.53), patient, is_exhausted=False) is None
    assert stop_reason(series(0.5, 0.6, 0.61), patient, is_exhausted=False) is None
    assert stop_reason(series(0.5, 0.6, 0.61, 0.62), patient, is_exhausted=False) == "no_gain"


def test_slow_growth_is_measured_against_the_best_and_not_against_the_last_round() -> None:
    assert stop_reason(series(0.50, 0.51, 0.52, 0.53), changed(patience=3), is_exhausted=False) is None


def test_patience_zero_never_stops() -> None:
    assert stop_reason(series(*[0.5] * 50), NEVER, is_exhausted=False) is None


def test_reasons_hold_in_their_stated_order() -> None:
    """Success first, then no gain, then exhaustion, then budgets: the reason tells a person the best news."""
    everything = StopSettings(residual_share=1.0, class_residual_share=1.0, patience=1, rounds=2, training_share=0.01)
    relaxed: list[dict[str, float]] = [
        {},
        {"residual_share": 0.0},
        {"class_residual_share": 0.0},
        {"patience": 0},
    ]
    found, settings = [], everything
    for change in relaxed:
        settings = msgspec.structs.replace(settings, **change)
        found.append(stop_reason(series(0.5, 0.5), settings, is_exhausted=True))
    settings = msgspec.structs.replace(settings)
    found.append(stop_reason(series(0.5, 0.5), settings, is_exhausted=False))
    found.append(stop_reason(series(0.5, 0.5), msgspec.structs.replace(settings, rounds=3), is_exhausted=False))
    assert found == [
        "residual_small",
        "classes_small",
        "no_gain",
        "nothing_left",
        "rounds_budget",
        "samples_budget",
    ]


def test_better_means_by_more_than_one_standard_error() -> None:
    best = record(macro_f1=0.5, macro_f1_error=0.25)
    assert not is_better(record(macro_f1=0.75), best)
    assert is_better(record(macro_f1=0.7501), best)


def test_of_rounds_within_one_error_of_the_highest_the_smallest_residual_ships() -> None:
    rounds = [record(1, 0.90, 10), record(2, 0.95, 40), record(3, 0.94, 30), record(4, 0.93, 35)]
    assert best_round(rounds).number == 3


def test_a_round_exactly_one_error_below_the_highest_is_as_good() -> None:
    rounds = [record(1, 0.75, 40, macro_f1_error=0.25), record(2, 0.5, 30), record(3, 0.4999, 20)]
    assert best_round(rounds).number == 2


def test_equal_residuals_are_settled_by_the_worst_class_and_then_by_the_earlier_round() -> None:
    assert best_round([record(1), record(2, worst_class_recall=0.5), record(3, worst_class_recall=0.5)]).number == 2


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_round_that_ships_is_never_clearly_worse_than_another(figures: list[tuple[int, int]]) -> None:
    rounds = [record(at, score / 100, residual) for at, (score, residual) in enumerate(figures, start=1)]
    best = best_round(rounds)
    assert not any(r.macro_f1 - r.macro_f1_error > best.macro_f1 for r in rounds)
    assert all(best.residual <= r.residual for r in rounds if r.macro_f1 == max(r.macro_f1 for r in rounds))


def test_records_survive_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(record()), type=RoundRecord) == record()
