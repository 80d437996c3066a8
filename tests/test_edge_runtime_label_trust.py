"""A label is trusted as often as it is right, and confirmed mistakes are mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from truth_worlds import Belt, ScoredWorld, lots, verdicts

from edge_runtime.label_trust import ModelBelief, lot_trust, verdict_trust

EVEN = ModelBelief(np.ones(3), 0.0)
RATIOS = st.floats(0.0, 1.0)
SCORES = npst.arrays(np.float32, (4, 3), elements=st.floats(0.0, 1.0, width=32))


@pytest.mark.parametrize("novel_share", [0.0, 0.06])
@pytest.mark.parametrize("distance", [1.5, 2.5])
def test_one_per_cent_impurity_leaves_confirmed_mistakes_right(novel_share: float, distance: float) -> None:
    """What the model decides otherwise is up to a third impurity; what is confirmed is not."""
    rng = np.random.default_rng(11)
    world = ScoredWorld.make(rng, distance=distance, novel_share=novel_share)
    sifted = lots(world, 0.99, rng)
    assert sifted.true / sifted.apparent < 0.96
    assert sifted.confirmed > 1000
    assert sifted.precision >= 0.99
    assert sifted.recall > 0.2


def test_two_classes_need_a_purer_lot() -> None:
    """On the border between two classes one per cent of impurity is one per cent: nothing can be surer than that."""
    rng = np.random.default_rng(12)
    world = ScoredWorld.make(rng, classes=2, distance=1.0)
    assert lots(world, 0.99, rng).confirmed == 0
    purer = lots(world, 0.999, rng)
    assert purer.precision >= 0.99
    assert purer.recall > 0.8


@pytest.mark.parametrize("novel_share", [0.0, 0.06])
def test_one_wrong_pair_of_fifty_leaves_confirmed_mistakes_right(novel_share: float) -> None:
    rng = np.random.default_rng(13)
    world = ScoredWorld.make(rng, distance=1.3, novel_share=novel_share)
    sifted, wrong, _ = verdicts(world, Belt(seconds=60), rng)
    assert 0.012 < wrong < 0.03
    assert sifted.true / sifted.apparent < 0.99
    assert sifted.confirmed > 500
    assert sifted.precision >= 0.99
    assert sifted.recall > 0.25


def test_trust_of_a_lot_is_the_share_that_is_right() -> None:
    rng = np.random.default_rng(14)
    world = ScoredWorld.make(rng, distance=1.5)
    kinds = world.lot(2, 200_000, 0.95, rng)
    scores = world.score(kinds, rng)
    trusts = lot_trust(ModelBelief(np.ones(6), 0.0), scores, 2, 0.95)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9):
        own = (trusts >= low) & (trusts < low + 0.1)
        assert abs(float((kinds[own] == 2).mean()) - float(trusts[own].mean())) < 0.06


def test_a_pure_lot_is_trusted_whatever_the_model_says() -> None:
    scores = np.array([[0.0, 1.0, 0.0], [1e-9, 0.5, 0.5]], np.float32)
    assert lot_trust(ModelBelief(np.ones(3), 0.02), scores, 0, 1.0).tolist() == [1.0, 1.0]


def test_classes_that_are_frequent_among_the_samples_weigh_less() -> None:
    scores = np.array([[0.5, 0.5, 0.0]], np.float32)
    rare_first = ModelBelief(np.array([1.0, 9.0, 1.0]), 0.0)
    assert lot_trust(rare_first, scores, 0, 0.9)[0] > lot_trust(EVEN, scores, 0, 0.9)[0]


def test_a_sure_verdict_is_believed_and_a_lost_one_says_no_more_than_the_model() -> None:
    scores = np.array([[0.9, 0.1, 0.0]] * 2, np.float32)
    shares = np.array([1.0, 1.0, 1.0])
    sure, lost = verdict_trust(EVEN, scores, np.array([1, 1]), np.array([1.0, 0.0]), shares)
    assert (sure, round(float(lost), 6)) == (1.0, 0.1)


def test_a_neighbour_is_feared_the_more_the_commoner_its_class() -> None:
    scores = np.array([[0.05, 0.05, 0.9]] * 2, np.float32)
    strengths = np.array([0.97, 0.97])
    common, rare = verdict_trust(
        ModelBelief(np.ones(3), 0.0), scores, np.array([0, 1]), strengths, np.array([80.0, 4.0, 16.0])
    )
    weights = np.array([80.0, 4.0]) / 100 * 0.05
    chance = 0.03 * np.array([0.8, 0.04]) * (0.16 * 0.9 + 0.05 * 0.84)
    own = weights * (0.97 + 0.03 * np.array([0.8, 0.04]))
    assert common == pytest.approx(own[0] / (0.97 * weights[0] + chance[0]))
    assert rare == pytest.approx(own[1] / (0.97 * weights[1] + chance[1]))


@given(SCORES, RATIOS, RATIOS, RATIOS)
def test_trust_is_a_probability_and_grows_with_purity(
    scores: np.ndarray, novel_share: float, purity: float, other: float
) -> None:
    belief = ModelBelief(np.array([1.0, 2.0, 3.0]), novel_share)
    low, high = sorted([purity, other])
    less, more = lot_trust(belief, scores, 1, low), lot_trust(belief, scores, 1, high)
    assert ((less >= 0) & (more <= 1)).all()
    assert (more >= less - 1e-12).all()


@given(SCORES, RATIOS, npst.arrays(np.float64, 4, elements=RATIOS), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_trust_in_a_verdict_is_a_probability_and_order_does_not_matter(
    scores: np.ndarray, novel_share: float, strengths: np.ndarray, labels: list[int]
) -> None:
    belief = ModelBelief(np.ones(3), novel_share)
    shares = np.array([5.0, 1.0, 1.0])
    trusts = verdict_trust(belief, scores, np.array(labels), strengths, shares)
    assert ((trusts >= 0) & (trusts <= 1 + 1e-12)).all()
    turned = verdict_trust(belief, scores[::-1], np.array(labels)[::-1], strengths[::-1], shares)
    np.testing.assert_array_equal(turned[::-1], trusts)
