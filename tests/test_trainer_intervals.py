"""Bootstrap intervals of paired differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.intervals import bootstrap_interval

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
