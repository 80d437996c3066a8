"""The interval of the audit holds the true error rate at least as often as it says."""

from math import comb

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth_worlds import audit_coverage, audit_header

from edge_runtime.audit_estimate import AuditEstimate, audit_estimate, proportion_interval
from edge_runtime.residual import Truth

RUNS = 500


@pytest.mark.parametrize(
    ("error_rate", "objects", "rates"),
    [(0.01, 20_000, (0.01,)), (0.05, 4_000, (0.02,)), (0.02, 5_000, (0.01, 0.05))],
    ids=["one per cent", "five per cent", "two audit rates"],
)
def test_the_interval_holds_the_true_rate_in_94_of_100_audits(
    error_rate: float, objects: int, rates: tuple[float, ...]
) -> None:
    held, width = audit_coverage(error_rate, objects, rates, np.random.default_rng(21), runs=RUNS)
    assert held >= 0.94
    assert width < 0.11  # an interval that says nothing would always hold


def tail(hits: int, trials: int, share: float) -> float:
    """The probability of `hits` or more, added up."""
    return sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(hits, trials + 1))


@given(st.integers(1, 60).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_each_bound_leaves_a_fortieth_outside(case: tuple[int, int]) -> None:
    hits, trials = case
    low, high = proportion_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    if hits:
        assert tail(hits, trials, low) == pytest.approx(0.025, rel=1e-6)
    if hits < trials:
        assert 1 - tail(hits + 1, trials, high) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3084971),
        (10, 10, 0.6915029, 1.0),
        (5, 10, 0.1870860, 0.8129140),
        (1, 100, 0.0002531, 0.0544594),
        (100, 100_000, 0.0008137, 0.0012162),
    ],
)
def test_the_interval_is_the_published_one(hits: int, trials: int, low: float, high: float) -> None:
    assert proportion_interval(hits, trials) == pytest.approx((low, high), abs=2e-7)


@given(st.floats(0.5, 1e6), st.floats(0.0, 1.0))
def test_any_number_of_trials_gives_an_interval_around_the_share(trials: float, share: float) -> None:
    low, high = proportion_interval(share * trials, trials)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


def test_one_audit_rate_counts_objects() -> None:
    headers = [audit_header(0.02, is_wrong=at < 3) for at in range(200)]
    low, high = proportion_interval(3, 200)
    found = audit_estimate(headers)
    assert (found.labelled, found.unlabelled, found.wrong) == (200, 0, 3)
    assert found.error_rate == pytest.approx(0.015)
    assert (found.low, found.high, found.effective) == pytest.approx((low, high, 200))


def test_objects_that_were_sampled_seldom_stand_for_more() -> None:
    """A hundred objects at one in a hundred stand for 10,000, a hundred at one in ten for 1,000."""
    seldom = [audit_header(0.01, is_wrong=at < 10) for at in range(100)]
    often = [audit_header(0.1, is_wrong=False) for _ in range(100)]
    found = audit_estimate(seldom + often)
    assert found.error_rate == pytest.approx(10 * 100 / 11_000)
    assert found.effective == pytest.approx(110.9, abs=0.1)  # rate (1 - rate) over the variance of the estimate
    assert found.low < 10 / 110 < found.high


def test_only_labelled_audit_records_count() -> None:
    audit = audit_header(0.01, is_wrong=True)
    unlabelled = msgspec.structs.replace(audit, truth=Truth("T8"))
    mistake = msgspec.structs.replace(audit, failure="misclassified", audit_rate=0.0)
    untold = msgspec.structs.replace(audit, audit_rate=0.0)
    assert audit_estimate([unlabelled, mistake, untold]) == AuditEstimate(0, 1, 0, None, 0.0, 1.0, 0.0)
    assert audit_estimate([audit, unlabelled, mistake, untold]).labelled == 1
