"""One round's draw over all classes: quotas, looks, sides; and the fast draw against the plain one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.draw.by_norm import NormNearest, draw_around_mean
from trainer.draw.candidates import ClassCandidates
from trainer.draw.chance import mixed
from trainer.draw.draw_round import DrawPool, DrawRules, RoundKnowledge, draw_round
from trainer.draw.quotas import error_quotas
from trainer.draw.registry import SELECTORS, selector_named
from trainer.draw.selector import EVERYTHING, NOTHING, Needs
from trainer.draw.sizes import DrawSizes
from trainer.draw.sorted_norms import SortedNorms
from trainer.draw.strata import draw_from_looks, looks_of
from trainer.errors import SettingsError

FIRST = RoundKnowledge()
COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any)


def pool_of(counts: list[int], seed: int = 0, norm_limit: int = 65537) -> DrawPool:
    rng = np.random.default_rng(seed)
    class_ids = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    norms = rng.integers(0, norm_limit, class_ids.size)
    keys = rng.integers(0, 2**63, class_ids.size, dtype=np.uint64)
    return DrawPool(class_ids, norms, tuple(f"class {k}" for k in range(len(counts))), keys)


def everything(pool: DrawPool) -> NDArray[np.bool_]:
    return np.ones(len(pool.class_ids), np.bool_)


def after_a_round(pool: DrawPool, seed: int = 0) -> RoundKnowledge:
    rng, count = np.random.default_rng(seed), len(pool.class_ids)
    scores = rng.dirichlet(np.ones(1 + len(pool.classes)), count).astype(np.float16)
    training = rng.random(count) < 0.2
    features = rng.normal(size=(count, 4)).astype(np.float32)
    right = [rng.random(count) < 0.5]
    errors = [rng.random(count).astype(np.float32)]
    return RoundKnowledge(2, None, training, scores, lambda rows: features[rows], right, errors)


@pytest.mark.parametrize("name", SELECTORS)
@settings(max_examples=20)
@given(counts=COUNTS, m=st.integers(1, 9), seed=st.integers(0, 99))
def test_each_class_gives_m_a_round_until_it_is_exhausted(name: str, counts: list[int], m: int, seed: int) -> None:
    """Unequal classes, with what a model said: every sample is drawn exactly once, classes in ascending order."""
    pool, rules = pool_of(counts, seed), DrawRules(selector_named(name), DrawSizes.of(m))
    left, known = everything(pool), after_a_round(pool, seed)
    for number in range(max(counts) // m + 1):
        drawn = draw_round(pool, left, rules, known)
        assert left[drawn].all()
        expected = Counter({k: min(m, max(0, count - number * m)) for k, count in enumerate(counts)})
        assert Counter(pool.class_ids[drawn].tolist()) == +expected
        assert pool.class_ids[drawn].tolist() == sorted(pool.class_ids[drawn].tolist())
        left[drawn] = False
    assert not left.any()
    assert len(draw_round(pool, left, rules, known)) == 0


@given(counts=COUNTS, m=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_free_quota_draws_as_many_whatever_their_class(counts: list[int], m: int, seed: int) -> None:
    pool = pool_of(counts, seed)
    rules = DrawRules(selector_named("random"), DrawSizes.of(m), quota="free")
    drawn = draw_round(pool, everything(pool), rules, FIRST)
    assert len(drawn) == min(sum(counts), m * sum(count > 0 for count in counts))
    assert len(set(drawn.tolist())) == len(drawn)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), min_size=1, max_size=6).filter(
        lambda c: any(x for x, _ in c)
    ),
    st.integers(1, 20),
)
def test_error_quotas_add_up_and_give_each_class_at_least_one_and_no_more_than_it_has(
    classes: list[tuple[int, int]], m: int
) -> None:
    wrong = np.array([count for count, _ in classes], np.int64)
    pool = wrong + np.array([right for _, right in classes], np.int64)
    quotas = error_quotas(wrong, pool, m)
    assert quotas.sum() == min(m * (wrong > 0).sum(), wrong.sum())
    assert (quotas <= wrong).all()
    assert (quotas[wrong > 0] >= 1).all()


def test_error_quotas_follow_the_share_that_is_wrong_not_the_number() -> None:
    """1 % of a large class and 40 % of a small one are wrong."""
    assert error_quotas(np.array([40, 40]), np.array([4000, 100]), 20).tolist() == [1, 39]
    assert error_quotas(np.array([40, 40]), np.array([100, 100]), 20).tolist() == [20, 20]
    assert error_quotas(np.array([100, 3]), np.array([1000, 3]), 20).tolist() == [37, 3]


def test_the_first_round_knows_no_errors_and_draws_equally() -> None:
    pool = pool_of([40, 40])
    rules = DrawRules(NormNearest(), DrawSizes.of(6), quota="error")
    drawn = draw_round(pool, everything(pool), rules, FIRST)
    assert np.bincount(pool.class_ids[drawn]).tolist() == [6, 6]


def test_the_initial_mean_is_that_of_the_class_in_the_pool() -> None:
    pool = DrawPool(np.zeros(5, np.int64), np.array([0, 0, 0, 90, 100]), ("good",), np.zeros(5, np.uint64))
    left = np.array([True, False, False, True, True])
    current = DrawRules(NormNearest(), DrawSizes.of(1))
    initial = replace(current, is_initial_mean=True)
    assert draw_round(pool, left, current, FIRST).tolist() == [3]  # the mean of the three is 63.3
    assert draw_round(pool, left, initial, FIRST).tolist() == [3]  # that of all five is 38
    both = np.array([False, False, False, True, True])
    assert draw_round(pool, both, current, FIRST).tolist() == [4]  # the mean of both is 95
    assert draw_round(pool, both, initial, FIRST).tolist() == [3]


def test_a_strict_draw_names_the_class_and_the_side_that_is_too_short() -> None:
    pool = DrawPool(np.zeros(4, np.int64), np.array([1, 1, 1, 100]), ("husk",), np.zeros(4, np.uint64))
    rules = DrawRules(NormNearest(), DrawSizes.of(4), is_strict=True)
    with pytest.raises(SettingsError, match=r"class husk: 1 samples at or above its mean norm and 3 below, .* 2 and 2"):
        draw_round(pool, everything(pool), rules, FIRST)


@pytest.mark.parametrize("name", sorted(set(SELECTORS) - {"norm_nearest", "norm_farthest"}))
def test_a_strict_draw_asks_nothing_of_selectors_without_sides(name: str) -> None:
    pool = DrawPool(np.zeros(4, np.int64), np.array([1, 1, 1, 100]), ("husk",), np.arange(4, dtype=np.uint64))
    rules = DrawRules(selector_named(name), DrawSizes.of(4), is_strict=True)
    assert sorted(draw_round(pool, everything(pool), rules, FIRST).tolist()) == [0, 1, 2, 3]


def test_a_quota_other_than_m_keeps_the_halves() -> None:
    """m = 7 has the halves 4 and 3; two of it are one from each side, not two from above."""
    pool = DrawPool(np.repeat([0, 1], 40), np.tile(np.arange(40), 2), ("good", "stone"), np.arange(80, dtype=np.uint64))
    left = np.ones(80, np.bool_)
    left[2:40] = False  # two of the first class are wrong: it gets no more
    rules = DrawRules(NormNearest(), DrawSizes.of(7), quota="error")
    drawn = draw_round(pool, left, rules, replace(after_a_round(pool), number=2))
    norms = pool.norms_q16[drawn[pool.class_ids[drawn] == 1]]
    above = int((norms >= 20).sum())
    assert above - (len(norms) - above) in {0, 1}


def test_looks_keep_the_share_that_was_asked_from_above_the_mean() -> None:
    norms = np.concatenate((np.arange(10000, 10300), np.arange(50000, 50100)))
    one = ClassCandidates.of_norms(norms, np.arange(400, dtype=np.uint64))
    drawn = norms[draw_from_looks(NormNearest(), one, DrawSizes(8, 0, 8))]
    assert drawn.tolist() == [10149, 10148, 10147, 10146, 10145, 10144, 50049, 50048]


def test_a_class_with_two_looks_is_drawn_from_both() -> None:
    """Half dark, half bright: the nearest to the mean are the brightest of the dark and the darkest of the bright."""
    rng = np.random.default_rng(0)
    norms = np.concatenate((rng.normal(10000, 500, 300), rng.normal(50000, 500, 100))).astype(np.int64)
    looks = looks_of(norms)
    assert np.bincount(looks).tolist() == [300, 100]
    one = ClassCandidates.of_norms(norms, np.arange(400, dtype=np.uint64))
    drawn = draw_from_looks(NormNearest(), one, DrawSizes.of(8))
    assert np.bincount(looks[drawn]).tolist() == [6, 2]
    assert abs(float(norms[drawn[:6]].mean()) - 10000) < 50
    pool = DrawPool(np.zeros(400, np.int64), norms, ("good",), np.arange(400, dtype=np.uint64))
    rules = DrawRules(NormNearest(), DrawSizes.of(8), has_strata=True)
    assert draw_round(pool, np.ones(400, np.bool_), rules, FIRST).tolist() == drawn.tolist()


@pytest.mark.parametrize("count", [100, 300])
@pytest.mark.parametrize("shape", ["normal", "uniform", "skewed", "one value", "few"])
def test_one_look_is_not_taken_for_two(shape: str, count: int) -> None:
    """Of a hundred classes of each shape at most two are split; see docs/selectors.md."""
    rng = np.random.default_rng(1)
    makers: dict[str, Callable[[], NDArray[np.float64]]] = {
        "normal": lambda: rng.normal(30000, 3000, count),
        "uniform": lambda: rng.uniform(0, 65536, count),
        "skewed": lambda: np.minimum(rng.exponential(6000, count), 65536),
        "one value": lambda: np.full(count, 5.0),
        "few": lambda: np.concatenate((np.zeros(15), np.full(15, 60000))),
    }
    assert sum(int(looks_of(makers[shape]().astype(np.int64)).max()) for _ in range(100)) <= 2


def looks_by_definition(norms: list[int]) -> list[int]:
    """Every split tried, in exact fractions."""
    count, total = len(norms), sum(norms)

    def between(low: list[int]) -> Fraction:
        return Fraction((sum(low) * count - total * len(low)) ** 2, len(low) * (count - len(low)))

    splits = [[norm for norm in norms if norm <= value] for value in sorted(set(norms))[:-1]]
    low = max(splits, key=between)
    high = [norm for norm in norms if norm > max(low)]
    means = Fraction(sum(low), len(low)), Fraction(sum(high), len(high))
    third = (means[1] - means[0]) / 3
    valley = sum(means[0] + third < norm < means[1] - third for norm in norms)
    is_apart = 20 * valley <= count and 10 * min(len(low), len(high)) >= count
    return [int(is_apart and norm > max(low)) for norm in norms]


@pytest.mark.parametrize("seed", range(60))
def test_looks_are_those_of_the_best_split_with_a_valley(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dark, bright, odd = rng.integers((60, 60, 0), (200, 200, 20))
    step = 1 if seed % 2 else 500  # many equal norms
    values = np.concatenate(
        (rng.normal(20000, 3000, dark), rng.normal(40000, 3000, bright), rng.uniform(0, 60000, odd))
    )
    norms = (values // step * step).astype(np.int64).clip(0, 65536)
    assert looks_of(norms).tolist() == looks_by_definition(norms.tolist())


@pytest.mark.parametrize(("count", "looks"), [(99, 1), (100, 2), (101, 2)])
def test_a_hundred_samples_are_needed_to_tell_two_looks(count: int, looks: int) -> None:
    norms = np.where(np.arange(count) < 50, 1000, 9000)
    assert len(set(looks_of(norms).tolist())) == looks


@pytest.mark.parametrize(("dark", "bright"), [(96, 14), (14, 96), (60, 60), (250, 50)])
def test_each_look_gives_its_share_and_at_least_one(dark: int, bright: int) -> None:
    norms = np.concatenate((np.full(dark, 1000), np.full(bright, 9000))) + np.arange(dark + bright)
    one = ClassCandidates.of_norms(norms, np.arange(norms.size, dtype=np.uint64))
    nearest = NormNearest()
    assert draw_from_looks(nearest, one, DrawSizes.of(1)).tolist() == nearest.draw(one, DrawSizes.of(1)).tolist()
    for m in range(2, norms.size + 1):
        drawn = draw_from_looks(nearest, one, DrawSizes.of(m))
        fair = round(m * dark / norms.size)
        possible = range(max(1, m - bright), min(m - 1, dark) + 1)
        assert int((drawn < dark).sum()) == min((abs(share - fair), share) for share in possible)[1]
        assert len(set(drawn.tolist())) == len(drawn) == m


@given(st.lists(st.integers(0, 65536), max_size=80), st.integers(1, 12))
def test_a_draw_from_looks_is_as_large_as_any_other(norms: list[int], m: int) -> None:
    one = ClassCandidates.of_norms(np.array(norms, np.int64), np.arange(len(norms), dtype=np.uint64))
    drawn = draw_from_looks(NormNearest(), one, DrawSizes.of(m)) if norms else np.zeros(0, np.int64)
    assert len(set(drawn.tolist())) == len(drawn) == min(m, len(norms))


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(0, 900), min_size=1, max_size=4).filter(any),
    sizes=st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(any).map(lambda ab: DrawSizes(sum(ab), *ab)),
    limit=st.sampled_from([1, 2, 40, 65537]),
    seed=st.integers(0, 2**16),
)
def test_the_fast_draw_is_the_plain_one_while_samples_leave_and_return(
    counts: list[int], sizes: DrawSizes, limit: int, seed: int
) -> None:
    """Ties included: with few different norms nearly all are ties."""
    rng = np.random.default_rng(seed)
    pool = pool_of(counts, seed, limit)
    norms, free = SortedNorms(pool.class_ids, pool.norms_q16, len(counts)), everything(pool)
    for _ in range(4):
        for class_id in range(len(counts)):
            rows = np.flatnonzero(free & (pool.class_ids == class_id))
            own = pool.norms_q16[rows]
            plain = rows[draw_around_mean(own, sizes, (int(own.sum()), len(own)))]
            assert norms.draw(class_id, sizes).tolist() == plain.tolist()
        wanted = rng.random(len(free)) < rng.choice([0.02, 0.5, 0.95])
        norms.remove(np.flatnonzero(free & ~wanted))
        norms.restore(np.flatnonzero(wanted & ~free))
        free = wanted


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("m", [5, 60, 700])
def test_sorted_norms_draw_as_the_plain_draw_where_whole_stretches_are_gone(seed: int, m: int) -> None:
    """Free places lie in blocks: a stretch without any, near the mean or far from it, must not end the search early."""
    rng = np.random.default_rng(seed)
    norms_q16 = np.sort(rng.integers(0, 65537, 4000)) if seed % 2 else rng.integers(0, 65537, 4000)
    found = SortedNorms(np.zeros(4000, np.int64), norms_q16, 1)
    low = int(rng.integers(0, 40_000))
    gone = (norms_q16 >= low) & (norms_q16 < low + int(rng.integers(5_000, 45_000))) & (rng.random(4000) < 0.99)
    found.remove(np.flatnonzero(gone))
    left = np.flatnonzero(~gone)
    own = norms_q16[left]
    sizes = DrawSizes(m, m - m // 2, m // 2)
    expected = left[draw_around_mean(own, sizes, (int(own.sum()), len(own)))]
    assert found.draw(0, sizes).tolist() == expected.tolist()


def test_the_brightest_of_one_class_are_not_taken_for_the_darkest_of_the_next() -> None:
    class_ids = np.array([0, 1, 0, 1, 0, 1], np.int64)
    norms_q16 = np.array([65536, 0, 65536, 65536, 0, 0], np.int64)
    found = SortedNorms(class_ids, norms_q16, 2)
    assert sorted(found.draw(0, DrawSizes(9, 5, 4)).tolist()) == [0, 2, 4]
    assert sorted(found.draw(1, DrawSizes(9, 5, 4)).tolist()) == [1, 3, 5]


class Listener:
    """Draws the first ones, and keeps what it was shown."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.shown: list[ClassCandidates] = []

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return the first positions."""
        self.shown.append(candidates)
        return np.arange(min(sizes.m, len(candidates)))


@pytest.mark.parametrize("needs", [NOTHING, EVERYTHING])
def test_a_selector_sees_of_its_class_what_it_asked_for_and_no_more(needs: Needs) -> None:
    pool = pool_of([40, 30], 3)
    known = replace(after_a_round(pool), number=5, pool=np.arange(70) % 3 > 0)
    assert known.training is not None and known.features is not None and known.scores is not None
    listener, left = Listener(needs), everything(pool) & ~known.training
    draw_round(pool, left, DrawRules(listener, DrawSizes.of(4), seed=7, is_initial_mean=True), known)
    for class_id, seen in enumerate(listener.shown):
        own = pool.class_ids == class_id
        rows, within = np.flatnonzero(left & own), own & (np.arange(70) % 3 > 0)
        assert (seen.class_id, seen.class_name) == (class_id, f"class {class_id}")
        assert seen.norms_q16.tolist() == pool.norms_q16[rows].tolist()
        assert seen.mean == (int(pool.norms_q16[within].sum()), int(within.sum()))
        assert seen.lasting.tolist() == mixed(pool.keys[rows], 7, 0).tolist()
        assert seen.passing.tolist() == mixed(pool.keys[rows], 7, 5).tolist()
        if needs == NOTHING:
            assert seen.scores is None and seen.features is None and seen.drawn_features is None
            assert seen.right.shape == (0, len(rows))
            continue
        assert seen.scores is not None and seen.features is not None and seen.drawn_features is not None
        assert seen.scores.tolist() == known.scores[rows].astype(np.float32).tolist()
        assert seen.right.tolist() == [known.right[0][rows].tolist()]
        assert seen.errors.tolist() == [known.errors[0][rows].tolist()]
        assert seen.features.tolist() == known.features(rows).tolist()
        assert seen.drawn_features.tolist() == known.features(np.flatnonzero(known.training & own)).tolist()
    assert len(listener.shown) == 2


def test_what_is_not_known_yet_is_not_shown() -> None:
    pool, listener = pool_of([9]), Listener(EVERYTHING)
    draw_round(pool, everything(pool), DrawRules(listener, DrawSizes.of(2)), FIRST)
    half = RoundKnowledge(features=lambda rows: np.zeros((len(rows), 2), np.float32))
    draw_round(pool, everything(pool), DrawRules(listener, DrawSizes.of(2)), half)
    for seen in listener.shown:
        assert (seen.scores, seen.features, seen.drawn_features, len(seen.right)) == (None, None, None, 0)
        assert seen.lasting.tolist() == mixed(pool.keys, 0, 0).tolist()
        assert seen.passing.tolist() == mixed(pool.keys, 0, 1).tolist()


def test_all_classes_together_have_the_mean_and_training_set_of_all() -> None:
    pool, listener = pool_of([20, 10], 1), Listener(EVERYTHING)
    known = after_a_round(pool)
    assert known.training is not None and known.features is not None
    rules = DrawRules(listener, DrawSizes.of(3), quota="free", is_initial_mean=True)
    draw_round(pool, everything(pool), rules, known)
    (seen,) = listener.shown
    assert (seen.class_id, seen.mean) == (0, (int(pool.norms_q16.sum()), 30))
    assert seen.drawn_features is not None
    assert seen.drawn_features.tolist() == known.features(np.flatnonzero(known.training)).tolist()


def test_error_quotas_wait_for_a_models_scores() -> None:
    pool = pool_of([60, 60], 2)
    left = everything(pool) & ((pool.class_ids == 0) | (np.arange(120) % 10 == 0))  # class 0 errs ten times as often
    rules = DrawRules(selector_named("random"), DrawSizes.of(8), quota="error")
    first = np.bincount(pool.class_ids[draw_round(pool, left, rules, FIRST)]).tolist()
    later = np.bincount(pool.class_ids[draw_round(pool, left, rules, after_a_round(pool))]).tolist()
    assert first[0] == 8
    assert later[0] > first[0]
