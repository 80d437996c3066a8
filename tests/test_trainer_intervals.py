"""Intervals of paired differences: what they hold, and how often."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.intervals import (
    Interval,
    bootstrap_interval,
    percentile_interval,
    resampled_weights,
    t_interval,
    t_quantile,
)

VALUES = st.lists(st.integers(-100, 100), min_size=1, max_size=12).map(lambda v: np.array(v, np.float64))


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=30, deadline=None)
@given(VALUES)
def test_interval_holds_the_mean_and_stays_within_the_values(values: NDArray[np.float64]) -> None:
    found = bootstrap_interval(values, seeded())
    assert values.min() <= found.low <= found.high <= values.max()
    assert found.mean == pytest.approx(values.mean())


@settings(max_examples=20, deadline=None)
@given(VALUES, st.integers(-50, 50))
def test_interval_moves_with_the_differences(values: NDArray[np.float64], shift: int) -> None:
    first, moved = bootstrap_interval(values, seeded()), bootstrap_interval(values + shift, seeded())
    assert (moved.low, moved.high) == pytest.approx((first.low + shift, first.high + shift))


def test_same_generator_gives_the_same_interval() -> None:
    values = np.array([0.01, 0.03, -0.01, 0.02, 0.04])
    assert bootstrap_interval(values, seeded()) == bootstrap_interval(values, seeded())


def test_more_confidence_widens_and_more_pairs_narrow_the_interval() -> None:
    values = seeded(1).normal(1.0, 0.5, 40)
    few, many = bootstrap_interval(values[:10], seeded()), bootstrap_interval(values, seeded())
    sure = bootstrap_interval(values, seeded(), confidence=0.99)
    assert many.high - many.low < few.high - few.low
    assert sure.low < many.low < many.high < sure.high


def test_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    """With 5 pairs less often than asked for: the docstring says so."""
    rng = seeded(2)
    for pairs, least, most in ((5, 0.76, 0.92), (40, 0.89, 0.99)):
        found = [bootstrap_interval(rng.normal(0.0, 1.0, pairs), rng) for _ in range(200)]
        assert least <= np.mean([i.low <= 0.0 <= i.high for i in found]) <= most


def test_no_pairs_have_no_interval() -> None:
    with pytest.raises(ValueError, match="0 differences"):
        bootstrap_interval(np.zeros(0), seeded())


def coverage(draw: Callable[[int], NDArray[np.float64]], pairs: int, times: int) -> float:
    """Return how often the t-interval of so many differences around 0 holds 0."""
    found = [t_interval(draw(pairs)) for _ in range(times)]
    return float(np.mean([interval.low <= 0.0 <= interval.high for interval in found]))


@pytest.mark.parametrize(
    ("freedom", "confidence", "expected"),
    [(1, 0.95, 12.7062), (2, 0.95, 4.3027), (4, 0.95, 2.7764), (9, 0.95, 2.2622), (9, 0.99, 3.2498), (30, 0.9, 1.6973)],
)
def test_t_quantiles_are_those_of_the_printed_tables(freedom: int, confidence: float, expected: float) -> None:
    assert t_quantile(freedom, confidence=confidence) == pytest.approx(expected, abs=5e-5)


@settings(max_examples=30, deadline=None)
@given(VALUES.filter(lambda v: v.size > 1), st.integers(-50, 50))
def test_t_interval_moves_with_the_differences_and_turns_with_their_sign(
    values: NDArray[np.float64], shift: int
) -> None:
    first, moved, turned = t_interval(values), t_interval(values + shift), t_interval(-values)
    assert (moved.low, moved.high) == pytest.approx((first.low + shift, first.high + shift))
    assert (turned.low, turned.high) == pytest.approx((-first.high, -first.low))


def test_t_interval_needs_two_pairs() -> None:
    with pytest.raises(ValueError, match="1 differences"):
        t_interval(np.ones(1))


def test_interval_says_whether_zero_lies_outside() -> None:
    assert Interval(0.2, 0.1, 0.3).excludes_zero and Interval(-0.2, -0.3, -0.1).excludes_zero
    assert not Interval(0.0, -0.1, 0.1).excludes_zero and not Interval(0.1, 0.0, 0.2).excludes_zero


def test_percentile_interval_holds_the_middle() -> None:
    found = percentile_interval(0.5, np.linspace(0.0, 1.0, 1001))
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_resampled_weights_draw_as_many_as_there_are_each_as_often() -> None:
    weights = np.concatenate(list(resampled_weights(7, seeded(), draws=1200, chunk=500)))
    assert weights.shape == (1200, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.12)


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_t_interval_of_few_pairs_holds_the_true_mean_as_often_as_it_says(pairs: int) -> None:
    rng = seeded(4)
    assert 0.93 <= coverage(lambda n: rng.normal(0.0, 1.0, n), pairs, 2000) <= 0.97


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "pairs", "least", "most"),
    [
        ("normal", 3, 0.945, 0.955),
        ("normal", 10, 0.945, 0.955),
        ("uniform", 10, 0.94, 0.96),
        ("skewed", 10, 0.88, 0.91),
        ("skewed", 3, 0.86, 0.90),
    ],
)
def test_t_interval_holds_the_true_mean_over_many_seeds(name: str, pairs: int, least: float, most: float) -> None:
    """And how far it falls short for skewed differences: the docstring says so."""
    rng = seeded(5)
    draws: dict[str, Callable[[int], NDArray[np.float64]]] = {
        "normal": lambda n: rng.normal(0.0, 1.0, n),
        "uniform": lambda n: rng.uniform(-1.0, 1.0, n),
        "skewed": lambda n: rng.exponential(1.0, n) - 1.0,
    }
    assert least <= coverage(draws[name], pairs, 20_000) <= most


@pytest.mark.long
def test_interval_over_groups_holds_the_true_difference_of_macro_f1_as_often_as_it_says() -> None:
    """Groups of three like images each, two classes, two models of known recall: the clustered bootstrap holds 0."""
    rng = seeded(6)
    hits = []
    for _ in range(300):
        truth = np.repeat(rng.integers(0, 2, 150), 3)
        right = [np.repeat(rng.random(150) < 0.85, 3), np.repeat(rng.random(150) < 0.85, 3)]
        predicted = [np.where(ok, truth, 1 - truth) for ok in right]
        cells = np.zeros((2, 150, 4))
        for at in (0, 1):
            np.add.at(cells[at], (np.repeat(np.arange(150), 3), truth * 2 + predicted[at]), 1.0)
        weights = np.concatenate(list(resampled_weights(150, rng, draws=1000)))
        curves = [macro_f1(weights @ cells[at]) for at in (0, 1)]
        found = percentile_interval(0.0, curves[0] - curves[1])
        hits.append(found.low <= 0.0 <= found.high)
    assert 0.91 <= np.mean(hits) <= 0.98


def macro_f1(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return macro-F1 (B,) of two-class confusions (B, 4)."""
    first = 2 * cells[:, 0] / (2 * cells[:, 0] + cells[:, 1] + cells[:, 2])
    second = 2 * cells[:, 3] / (2 * cells[:, 3] + cells[:, 1] + cells[:, 2])
    return np.asarray((first + second) / 2, np.float64)
