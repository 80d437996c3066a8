"""The stated match probability is the share that is right, and it falls where a pair looks worse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import objects_at, verdicts_at
from truth_worlds import Belt, calibration, joined_verdicts

from edge_runtime.matching import MatchFit, VerdictMatcher, fit_matching, match_probabilities
from edge_runtime.truth import match_verdicts

TOLERANCE = 750
POINTS = st.lists(st.tuples(st.integers(-5000, 5000), st.integers(0, 2)), max_size=25)


@pytest.mark.parametrize(
    "belt",
    [
        Belt(rate_hz=2000, seconds=30),
        Belt(rate_hz=2000, seconds=30, looked_at=0.1, strayed=0.05),
        Belt(rate_hz=5000, seconds=15),
        Belt(rate_hz=2000, seconds=30, scatter_ticks=250),
    ],
    ids=["half looked at", "a tenth looked at", "dense", "wide scatter"],
)
def test_among_pairs_stated_to_be_right_so_often_so_many_are(belt: Belt) -> None:
    found = calibration(belt, np.random.default_rng(5))
    total = sum(count for count, _, _ in found)
    wrong = sum(count * (1 - right) for count, _, right in found)
    assert total > 1000
    assert 0.7 < sum(count * (1 - stated) for count, stated, _ in found) / wrong < 1.4
    for count, stated, right in found:
        if count >= 100:
            chance = 4 * (stated * (1 - stated) / count) ** 0.5
            assert abs(right - stated) < chance + 0.4 * (1 - stated)  # the wrong share within two fifths of itself


def test_long_tails_are_doubted_more_than_they_deserve_never_less() -> None:
    for count, stated, right in calibration(Belt(rate_hz=2000, seconds=30, tails="laplace"), np.random.default_rng(6)):
        if count >= 100:
            assert right > stated - 4 * (stated * (1 - stated) / count) ** 0.5 - 0.3 * (1 - stated)


def test_pairs_are_those_of_the_plain_rule() -> None:
    rng = np.random.default_rng(0)
    ticks, lanes = rng.integers(0, 10**6, 300), rng.integers(0, 3, 300)
    objects = list(zip(ticks.tolist(), lanes.tolist(), strict=True))
    seen = [(tick + int(rng.normal(0, 100)), lane) for tick, lane in objects[::2]]
    rated = VerdictMatcher(TOLERANCE).match(objects_at(objects), verdicts_at(seen))
    plain = match_verdicts(objects_at(objects), verdicts_at(seen), TOLERANCE)
    assert rated.matches.objects.tolist() == plain.objects.tolist()
    assert rated.matches.verdicts.tolist() == plain.verdicts.tolist()
    assert rated.probabilities.shape == (plain.matched,)


@given(POINTS, POINTS)
def test_whatever_comes_probabilities_are_probabilities(
    objects: list[tuple[int, int]], seen: list[tuple[int, int]]
) -> None:
    matcher = VerdictMatcher(TOLERANCE)
    for _ in range(2):
        rated = matcher.match(objects_at(objects), verdicts_at(seen))
        assert ((rated.probabilities >= 0) & (rated.probabilities <= 1)).all()
        assert rated.fit.spread_ticks > 0
        assert 0 < rated.fit.stray_share < 1


@given(st.integers(0, 600), st.integers(1, 100), st.floats(0.001, 0.5), st.floats(1e-6, 1e-3))
def test_a_pair_is_the_less_sure_the_further_apart_and_the_denser_the_lane(
    away: int, more: int, stray_share: float, density: float
) -> None:
    fit = MatchFit(0.0, 100.0, stray_share)
    offsets = np.array([away, away + more, away])
    near, far, dense = match_probabilities(fit, offsets, np.array([density, density, 2 * density]))
    assert near > far
    assert near > dense


def test_fit_finds_middle_spread_and_strays() -> None:
    rng = np.random.default_rng(1)
    right = rng.normal(40, 100, 2000).astype(np.int64)
    wrong = rng.integers(-TOLERANCE, TOLERANCE + 1, 100)
    densities = np.full(2100, 100 / 2000 / (2 * TOLERANCE) / 0.2)  # strays of 0.2 make these wrong pairs
    fit = fit_matching(np.concatenate([right, wrong]), densities, 400, TOLERANCE)
    assert abs(fit.middle_ticks - 40) < 10
    assert abs(fit.spread_ticks - 100) < 8
    assert abs(fit.stray_share - 0.2) < 0.02


def test_without_data_little_is_believed() -> None:
    fit = fit_matching(np.zeros(0, np.int64), np.zeros(0), 0, TOLERANCE)
    assert fit == MatchFit(0.0, 250.0, 0.05)


def test_a_shifted_clock_teaches_the_matcher_nothing() -> None:
    rng = np.random.default_rng(2)
    points = [(int(tick), 0) for tick in rng.integers(0, 2_000_000, 800)]
    matcher = VerdictMatcher(TOLERANCE)
    shifted = matcher.match(objects_at(points), verdicts_at([(tick + 40_000, lane) for tick, lane in points]))
    assert not shifted.matches.is_trustworthy
    assert shifted.fit == fit_matching(np.zeros(0, np.int64), np.zeros(0), 0, TOLERANCE)


def test_a_belt_that_changes_is_followed() -> None:
    rng = np.random.default_rng(3)
    matcher = VerdictMatcher(TOLERANCE)
    for shift in (0, 300):
        for batch in range(30):
            start = 10**7 * shift + 10**6 * batch
            points = [(start + 5000 * i, 0) for i in range(200)]
            seen = [(tick + shift + int(rng.normal(0, 50)), 0) for tick, _ in points]
            rated = matcher.match(objects_at(points), verdicts_at(seen))
        assert abs(rated.fit.middle_ticks - shift) < 15


def test_one_of_fifty_pairs_is_wrong_in_the_world_that_proves_precision() -> None:
    joined = joined_verdicts(Belt(seconds=30), 60_000, np.random.default_rng(7))
    assert 0.012 < (~joined.is_right).mean() < 0.03
