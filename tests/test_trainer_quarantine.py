"""The quarantine: wrong labels are found and counted, hard samples and rare classes are left alone."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.draw.quarantine import (
    Evidence,
    QuarantineSettings,
    Verdicts,
    estimate_flips,
    find_suspects,
    label_fits,
)

AUTO, ON = QuarantineSettings(), QuarantineSettings(mode="on")
SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class World:
    """Made-up samples: labels, what they truly are, and scores by a model that is right by so much."""

    labels: NDArray[np.int64]
    truth: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        return np.asarray(self.labels != self.truth)

    def judge(self, settings: QuarantineSettings = AUTO) -> Verdicts:
        return find_suspects(self.labels, self.scores, np.ones(len(self.labels), np.bool_), settings)


def world(
    seed: int, *, sizes: tuple[int, ...] = (400, 400, 400, 400), noise: float = 0.1, lead: tuple[float, ...] = (4.0,)
) -> World:
    """`lead`: by how much the true class's logit exceeds others on average, for all or for each; its spread is 1.5."""
    rng = np.random.default_rng(seed)
    count = len(sizes)
    truth = rng.permutation(np.repeat(np.arange(count), sizes))
    logits = rng.normal(0, 1, (len(truth), count))
    logits[np.arange(len(truth)), truth] += rng.normal(np.resize(lead, count)[truth], 1.5)
    scores = np.exp(logits)
    flipped = rng.random(len(truth)) < noise
    labels = np.where(flipped, (truth + rng.integers(1, count, len(truth))) % count, truth)
    return World(labels, truth, scores / scores.sum(axis=1, keepdims=True))


def rows_of(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_a_tenth_of_wrong_labels_is_counted_and_found(seed: int) -> None:
    made = world(seed)
    found = made.judge()
    hits = found.is_suspect & made.is_wrong
    assert found.noise_share == pytest.approx(made.is_wrong.mean(), abs=0.02)
    assert hits.sum() >= 0.85 * found.is_suspect.sum()
    assert hits.sum() >= 0.75 * made.is_wrong.sum()
    assert (found.suggested_ids[hits] == made.truth[hits]).mean() > 0.95


@pytest.mark.parametrize("seed", range(5))
def test_chances_mean_what_they_say(seed: int) -> None:
    made = world(seed, sizes=(2000, 2000, 2000), lead=(2.5,))
    wrong = made.judge().wrong
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 1.01)):
        band = (wrong >= low) & (wrong < high)
        assert made.is_wrong[band].mean() == pytest.approx(wrong[band].mean(), abs=0.15)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lead", [2.0, 4.0])
def test_hard_samples_of_a_clean_pool_are_left_alone(seed: int, lead: float) -> None:
    made = world(seed, noise=0.0, lead=(lead,))
    assert (made.scores.argmax(axis=1) != made.labels).sum() > 10  # there is something to be mistaken about
    assert made.judge().is_doubtful.sum() == 0


@pytest.mark.parametrize("settings", [AUTO, ON], ids=["auto", "on"])
def test_perfect_scores_hold_nothing_back(settings: QuarantineSettings) -> None:
    labels = np.arange(60) % 3
    found = find_suspects(labels, np.eye(3)[labels], np.ones(60, np.bool_), settings)
    assert found.noise_share == 0.0
    assert not found.is_suspect.any()
    assert not found.wrong.any()


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_that_no_model_knows_is_not_taken_for_noise(seed: int) -> None:
    """The rarest class is often contradicted, all its labels are right, and nothing else is noisy."""
    made = world(seed, sizes=(500, 500, 500, 30), noise=0.0, lead=(4.0, 4.0, 4.0, 0.3))
    rare = made.truth == 3
    assert (made.scores.argmax(axis=1) != 3)[rare].mean() > 0.35
    assert made.judge().is_doubtful.sum() == 0
    assert made.judge(ON).is_suspect[rare].sum() <= 6


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_full_of_strangers_loses_them_and_keeps_its_own(seed: int) -> None:
    """A tenth of each large class is labelled as another: of the rare class's labels a third and more are wrong."""
    made = world(seed, sizes=(800, 800, 800, 100), lead=(4.5,))
    rare = made.labels == 3
    found = made.judge()
    assert made.is_wrong[rare].mean() > 0.3
    assert found.is_suspect[rare & made.is_wrong].mean() > 0.8
    assert found.is_suspect[rare & ~made.is_wrong].mean() < 0.15


def test_labels_swapped_in_one_direction_are_found_in_that_class_alone() -> None:
    made = world(0, noise=0.0)
    rng = np.random.default_rng(1)
    labels = np.where((made.truth == 1) & (rng.random(len(made.truth)) < 0.1), 2, made.truth)
    found = World(labels, made.truth, made.scores).judge(ON)
    assert found.is_suspect[labels != made.truth].mean() > 0.5
    assert found.is_suspect[labels == made.truth].mean() < 0.01
    assert set(labels[found.is_suspect].tolist()) == {2}


def test_the_chance_of_a_hand_made_case() -> None:
    """Of 110 pictures of class 0 that all look alike, 10 are labelled 1; 100 of class 1 are labelled right."""
    scores = rows_of([[0.9, 0.1]] * 110 + [[0.1, 0.9]] * 100)
    labels = np.array([0] * 100 + [1] * 110)
    found = find_suspects(labels, scores, np.ones(210, np.bool_), AUTO)
    expected = 110 * 10 / (110 + 20)  # labels 1 on pictures of class 0
    back = 100 * 20 * (10 / 110) / (100 + 20)  # none was seen: what the other direction makes likely
    assert found.noise_share == pytest.approx((expected + back) / 210)
    assert found.wrong[100:110] == pytest.approx([expected / 10] * 10)
    assert found.wrong[110:].tolist() == [0.0] * 100
    assert found.suggested_ids.tolist() == [1] * 100 + [0] * 110


def test_a_class_whose_labels_all_fit_alike() -> None:
    """Ten labels of class 2, all on pictures of class 0, and as many expected as a tenth of them."""
    scores = rows_of([[0.9, 0.05, 0.05]] * 110 + [[0.05, 0.9, 0.05]] * 100)
    labels = np.array([0] * 100 + [2] * 10 + [1] * 100)
    found = find_suspects(labels, scores, np.ones(210, np.bool_), ON)
    assert found.wrong[100:110] == pytest.approx([0.1] * 10)


@pytest.mark.parametrize("count", [40, 3000])
def test_all_expected_flips_are_spread_over_the_labels(count: int) -> None:
    """Every foreign fit lies below the best own one, so that no expected flip is lost, however many the fits are."""
    rng = np.random.default_rng(count)
    low = np.sort(rng.uniform(0.01, 0.2, count))
    scores = np.concatenate((rows_of([[0.9, 0.1]] * count), np.stack((low, 1 - low), axis=1)))
    labels = np.array([0] * (count - 4) + [1] * (count + 4))
    every = np.ones(2 * count, np.bool_)
    expected = estimate_flips(labels, scores, every).expected[0, 1]
    found = find_suspects(labels, scores, every, ON)
    assert found.wrong[labels == 1].sum() == pytest.approx(min(expected, 4.0))


def test_flips_of_a_hand_made_case() -> None:
    """All pictures are equally sure, so every tier holds all of them."""
    scores = rows_of([[0.8, 0.1, 0.1]] * 50 + [[0.1, 0.8, 0.1]] * 40 + [[0.1, 0.1, 0.8]] * 10)
    labels = np.array([0] * 45 + [1] * 5 + [1] * 40 + [2] * 10)
    flips = estimate_flips(labels, scores, np.ones(100, np.bool_))
    even = (5 / 60) / 2  # into class 0 and 2 as into the others, by their median: of 5 in 60, and of none
    expected = [
        [0, 50 * 5 / 70, 50 * 20 * even / 70],
        [40 * 20 * even / 60, 0, 40 * 20 * even / 60],
        [10 * 20 * even / 30, 0, 0],
    ]
    assert np.allclose(flips.expected, expected, rtol=1e-12)
    assert flips.noise_share == pytest.approx(np.sum(expected) / 100)


def test_of_a_class_that_alone_looks_noisy_a_tenth_is_believed() -> None:
    """Of 100 labels of class 1 the models see 40 as class 0, and no other wrong label: rather the class is unknown."""
    scores = rows_of([[0.9, 0.1]] * 140 + [[0.1, 0.9]] * 60)
    labels = np.array([0] * 100 + [1] * 100)
    flips = estimate_flips(labels, scores, np.ones(200, np.bool_))
    assert flips.expected[0, 1] == pytest.approx(0.1 * 100)
    assert not find_suspects(labels, scores, np.ones(200, np.bool_), ON).is_suspect.any()


def test_the_surest_of_a_class_that_the_model_hardly_knows_prove_nothing() -> None:
    """What is predicted as class 2 is mostly wrong, and never as sure as half of the other predictions."""
    scores = rows_of([[0.9, 0.05, 0.05]] * 50 + [[0.05, 0.9, 0.05]] * 50 + [[0.2, 0.2, 0.6]] * 20)
    labels = np.array([0] * 50 + [1] * 50 + [0] * 8 + [1] * 7 + [2] * 5)
    flips = estimate_flips(labels, scores, np.ones(120, np.bool_))
    assert flips.noise_share == 0.0


def test_mistakes_that_vanish_where_models_are_surest_are_no_noise() -> None:
    """Half of the predictions are unsure and a third of those wrong; the sure ones are right."""
    scores = rows_of([[0.6, 0.4]] * 90 + [[0.95, 0.05]] * 60 + [[0.05, 0.95]] * 60)
    labels = np.array([0] * 60 + [1] * 30 + [0] * 60 + [1] * 60)
    flips = estimate_flips(labels, scores, np.ones(210, np.bool_))
    assert flips.noise_share == 0.0
    assert not flips.expected.any()


def test_rows_that_do_not_count_change_no_estimate_and_are_judged_like_others() -> None:
    made = world(3)
    counted = np.arange(len(made.labels)) % 2 == 0
    half = find_suspects(made.labels[counted], made.scores[counted], counted[counted], AUTO)
    whole = find_suspects(made.labels, made.scores, counted, AUTO)
    assert whole.noise_share == half.noise_share
    assert np.array_equal(whole.wrong[counted], half.wrong)
    others = ~counted & made.is_wrong
    assert whole.is_suspect[others].mean() > 0.8


def test_nothing_counted_gives_no_verdict() -> None:
    found = find_suspects(np.array([0, 1]), rows_of([[0.1, 0.9], [0.9, 0.1]]), np.zeros(2, np.bool_), ON)
    assert found.noise_share == 0.0
    assert found.wrong.tolist() == [0.0, 0.0]
    assert not found.is_suspect.any()


def test_a_class_without_a_label_is_no_obstacle() -> None:
    scores = rows_of([[0.8, 0.1, 0.1]] * 20 + [[0.1, 0.8, 0.1]] * 20)
    found = find_suspects(np.array([0] * 20 + [1] * 20), scores, np.ones(40, np.bool_), ON)
    assert not found.is_suspect.any()


def test_modes() -> None:
    """One per cent of wrong labels: too few for "auto", enough for "on"."""
    scores = rows_of([[0.9, 0.1]] * 1000 + [[0.1, 0.9]] * 1000)
    labels = np.array([0] * 980 + [1] * 1020)
    found = {
        mode: int(find_suspects(labels, scores, np.ones(2000, np.bool_), settings).is_suspect.sum())
        for mode, settings in (("off", QuarantineSettings(mode="off")), ("auto", AUTO), ("on", ON))
    }
    assert found == {"off": 0, "auto": 0, "on": 20}
    flips = estimate_flips(labels, scores, np.ones(2000, np.bool_))
    assert flips.proven_share == pytest.approx(flips.noise_share * (1 - 2 * np.sqrt(0.01 * 0.99 / 2000) / 0.01))
    for least, number in ((flips.proven_share, 20), (flips.proven_share + 1e-9, 0)):
        settings = msgspec.structs.replace(AUTO, least_noise=least)
        assert find_suspects(labels, scores, np.ones(2000, np.bool_), settings).is_suspect.sum() == number


def test_few_sure_rows_prove_no_noise() -> None:
    """One of twenty contradicts: a share of 5 % that might as well be none."""
    scores = rows_of([[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
    labels = np.array([0] * 9 + [1] * 11)
    assert estimate_flips(labels, scores, np.ones(20, np.bool_)).proven_share == 0.0
    assert not find_suspects(labels, scores, np.ones(20, np.bool_), AUTO).is_doubtful.any()


def test_no_class_loses_more_than_its_share_and_the_surest_go_first() -> None:
    made = world(1, noise=0.3)
    settings = msgspec.structs.replace(AUTO, class_share=0.05)
    capped, free = made.judge(settings), made.judge()
    for class_id in range(4):
        own = made.labels == class_id
        assert capped.is_doubtful[own].sum() == int(0.05 * own.sum())
        left = free.is_doubtful & ~capped.is_doubtful & own
        assert capped.wrong[capped.is_doubtful & own].min() >= capped.wrong[left].max()
    assert not (capped.is_doubtful & ~free.is_doubtful).any()


def test_equal_suspects_beyond_the_share_are_kept_back_by_row() -> None:
    scores = rows_of([[0.9, 0.1]] * 110 + [[0.1, 0.9]] * 100)
    labels = np.array([0] * 100 + [1] * 110)
    settings = msgspec.structs.replace(AUTO, class_share=4 / 110)
    found = find_suspects(labels, scores, np.ones(210, np.bool_), settings)
    assert np.flatnonzero(found.is_doubtful).tolist() == [100, 101, 102, 103]


def test_what_is_in_doubt_is_held_back_and_what_is_likely_wrong_is_shown() -> None:
    made = world(2)
    found = made.judge(msgspec.structs.replace(AUTO, doubt=0.2, review=0.6))
    is_contradicted = label_fits(made.scores)[np.arange(1600), made.labels] < 0
    assert np.array_equal(found.is_doubtful, is_contradicted & (found.wrong >= 0.2))
    assert np.array_equal(found.is_suspect, is_contradicted & (found.wrong >= 0.6))
    assert 0 < found.is_suspect.sum() < found.is_doubtful.sum()
    late = made.judge(msgspec.structs.replace(AUTO, doubt=0.6, review=0.2))  # nobody is shown who is not held back
    assert np.array_equal(late.is_suspect, found.is_suspect)
    assert np.array_equal(late.is_doubtful, found.is_suspect)


@pytest.mark.parametrize("limit", ["doubt", "review"])
def test_a_limit_is_reached_and_not_only_passed(limit: str) -> None:
    scores = rows_of([[0.9, 0.1]] * 110 + [[0.1, 0.9]] * 100)
    labels = np.array([0] * 100 + [1] * 110)
    chance = float(find_suspects(labels, scores, np.ones(210, np.bool_), AUTO).wrong[100])
    for least, number in ((chance, 10), (chance + 1e-9, 0)):
        found = find_suspects(labels, scores, np.ones(210, np.bool_), msgspec.structs.replace(AUTO, **{limit: least}))
        assert {"doubt": found.is_doubtful, "review": found.is_suspect}[limit].sum() == number


@given(seed=SEEDS, noise=st.floats(0, 0.4), lead=st.floats(0, 6))
def test_laws_of_chances(seed: int, noise: float, lead: float) -> None:
    """Within a class a worse fit never has a lower chance; suspects are contradicted; inputs stay as they are."""
    made = world(seed, sizes=(40, 30, 8), noise=noise, lead=(lead,))
    scores = made.scores.copy()
    found = made.judge(ON)
    rows = np.arange(len(made.labels))
    fits = label_fits(made.scores)[rows, made.labels]
    assert np.array_equal(scores, made.scores)
    assert ((found.wrong >= 0) & (found.wrong <= 1)).all()
    assert (fits[found.is_doubtful] < 0).all()
    assert not (found.is_suspect & ~found.is_doubtful).any()
    assert (found.suggested_ids != made.labels).all()
    for class_id in range(3):
        own = rows[made.labels == class_id]
        ordered = own[np.argsort(fits[own])]
        assert (np.diff(found.wrong[ordered]) <= 1e-12).all()
        assert found.is_doubtful[own].sum() <= 0.5 * own.size


@given(seed=SEEDS, lead=st.floats(0, 6))
def test_no_more_labels_are_wrong_than_the_flips_make(seed: int, lead: float) -> None:
    made = world(seed, sizes=(60, 50, 10), lead=(lead,))
    found = made.judge(ON)
    flips = estimate_flips(made.labels, made.scores, np.ones(120, np.bool_))
    for class_id in range(3):
        assert found.wrong[made.labels == class_id].sum() <= flips.expected[:, class_id].sum() + 1e-9


@given(seed=SEEDS)
def test_the_order_of_rows_and_the_names_of_classes_have_no_part(seed: int) -> None:
    made = world(seed, sizes=(60, 50, 20))
    rng = np.random.default_rng(seed)
    rows, names = rng.permutation(len(made.labels)), rng.permutation(3)
    renamed = World(np.argsort(names)[made.labels[rows]], made.truth[rows], made.scores[rows][:, names])
    before, after = made.judge(), renamed.judge()
    assert after.noise_share == pytest.approx(before.noise_share)
    assert np.allclose(after.wrong, before.wrong[rows])
    assert np.array_equal(names[after.suggested_ids], before.suggested_ids[rows])


@given(seed=SEEDS)
def test_the_same_scores_give_the_same_verdicts(seed: int) -> None:
    made = world(seed, sizes=(60, 50, 20))
    once, again = made.judge(), made.judge()
    assert once.noise_share == again.noise_share
    assert np.array_equal(once.wrong, again.wrong)
    assert np.array_equal(once.is_suspect, again.is_suspect)


def test_fits_of_labels() -> None:
    fits = label_fits(rows_of([[0.5, 0.25, 0.25], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]]))
    log = np.log
    assert np.allclose(fits[0], [log(2), log(0.5), log(0.5)])
    assert np.allclose(fits[1], [0.0, 0.0, log(0.5)])
    assert np.allclose(fits[2], [log(1e4), log(1e-4), log(1e-4)])


def half(values: list[list[float]]) -> NDArray[np.float16]:
    return np.array(values, np.float16)


def test_evidence_is_the_mean_of_the_survey_and_the_last_rounds() -> None:
    evidence = Evidence(np.array([0, 1]), 2, looks=2)
    evidence.add_survey(half([[0.5, 0.5], [0.0, 1.0]]))
    outside = np.array([False, False])
    for own in (0.125, 0.75, 0.25):  # the first is too long ago
        evidence.add_round(half([[own, 1 - own], [0.5, 0.5]]), ~outside, is_out_of_fold=True)
    scores, is_seen = evidence.mean_scores()
    assert np.allclose(scores, [[0.5, 0.5], [1 / 3, 2 / 3]])
    assert is_seen.tolist() == [True, True]


def test_a_model_testifies_about_what_it_has_not_learnt_or_contradicts_all_the_same() -> None:
    """Rows: learnt and right, learnt and contradicted, not learnt and right, not learnt and contradicted."""
    evidence = Evidence(np.array([0, 0, 0, 0]), 2, looks=1)
    training = np.array([True, True, False, False])
    evidence.add_round(half([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25], [0.25, 0.75]]), training)
    scores, is_seen = evidence.mean_scores()
    assert is_seen.tolist() == [False, True, True, True]
    assert scores.tolist() == [[0.5, 0.5], [0.25, 0.75], [0.75, 0.25], [0.25, 0.75]]


def test_out_of_fold_every_row_is_seen_by_a_stranger() -> None:
    evidence = Evidence(np.array([0, 0]), 2, looks=1)
    evidence.add_round(half([[0.75, 0.25], [0.25, 0.75]]), np.array([True, True]), is_out_of_fold=True)
    assert evidence.mean_scores()[1].tolist() == [True, True]


@pytest.mark.parametrize("is_out_of_fold", [False, True])
def test_a_model_that_knows_no_sample_of_a_class_is_no_witness_about_it(is_out_of_fold: bool) -> None:
    evidence = Evidence(np.array([0, 0, 1]), 2, looks=1)
    evidence.add_round(half([[1, 0], [0, 1], [1, 0]]), np.array([True, False, False]), is_out_of_fold=is_out_of_fold)
    assert evidence.mean_scores()[1].tolist() == [is_out_of_fold, True, False]


def test_rows_that_the_survey_could_not_judge_wait_for_a_round() -> None:
    evidence = Evidence(np.array([0, 1]), 2, looks=1)
    evidence.add_survey(half([[0.25, 0.75], [0, 0]]))
    assert evidence.mean_scores()[1].tolist() == [True, False]
    assert evidence.mean_scores()[0].tolist() == [[0.25, 0.75], [0.5, 0.5]]
    evidence.add_survey(half([[0.75, 0.25], [0.5, 0.5]]))  # a second survey takes the place of the first
    assert evidence.mean_scores()[0].tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_nothing_seen_is_no_evidence() -> None:
    scores, is_seen = Evidence(np.array([0, 1, 2]), 3, looks=3).mean_scores()
    assert not is_seen.any()
    assert np.allclose(scores, 1 / 3)
