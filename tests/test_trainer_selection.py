"""The draw: one template that every selector must pass, and the patent's draw against an oracle in plain integers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.draw.selection import DrawSizes, NormNearest, Selector, default_m, draw_class, draw_round
from trainer.errors import SettingsError

SELECTORS = [NormNearest()]
NORMS = st.one_of(
    st.lists(st.integers(0, 65536), max_size=60),
    st.lists(st.integers(0, 3), max_size=60),  # ties everywhere
)
SIZES = st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(any).map(lambda ab: DrawSizes(sum(ab), *ab))
every_selector = pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)


def array(norms: list[int]) -> NDArray[np.int64]:
    return np.array(norms, np.int64)


def oracle(norms: list[int], sizes: DrawSizes) -> list[int]:
    """The draw in words: nearest to the mean on each side, in whole numbers, ties by row."""
    total, count = sum(norms), len(norms)
    above = sorted((at for at in range(count) if norms[at] * count >= total), key=lambda at: (norms[at], at))
    below = sorted((at for at in range(count) if norms[at] * count < total), key=lambda at: (-norms[at], at))
    a = min(len(above), sizes.a)
    b = min(len(below), sizes.m - a)
    a = min(len(above), max(a, sizes.m - max(b, min(len(below), sizes.b))))
    b = min(len(below), sizes.m - a)
    return above[:a] + below[:b]


@every_selector
@given(norms=NORMS, sizes=SIZES)
def test_draw_gives_different_rows_and_no_more_than_m(selector: Selector, norms: list[int], sizes: DrawSizes) -> None:
    drawn = selector.draw(array(norms), sizes)
    assert drawn.dtype == np.int64
    assert len(set(drawn.tolist())) == len(drawn) == min(sizes.m, len(norms))
    assert all(0 <= row < len(norms) for row in drawn)


@every_selector
@given(norms=NORMS, sizes=SIZES)
def test_draw_is_the_same_each_time_and_leaves_its_input_alone(
    selector: Selector, norms: list[int], sizes: DrawSizes
) -> None:
    given_norms = array(norms)
    first = selector.draw(given_norms, sizes)
    assert np.array_equal(first, selector.draw(given_norms, sizes))
    assert np.array_equal(given_norms, array(norms))


@every_selector
@given(norms=NORMS, sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_draw_does_not_depend_on_the_order_of_files(
    selector: Selector, norms: list[int], sizes: DrawSizes, seed: int
) -> None:
    """Files come in any order; the table sorts them by content hash; the same samples are drawn."""
    files = list(enumerate(norms))  # the number stands for the content hash
    shuffled = [files[at] for at in np.random.default_rng(seed).permutation(len(files))]
    table = sorted(shuffled)
    drawn = [table[row][0] for row in selector.draw(array([norm for _, norm in table]), sizes)]
    assert drawn == selector.draw(array(norms), sizes).tolist()


@every_selector
@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=5), sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_draws_go_on_class_by_class_until_nothing_is_left(
    selector: Selector, counts: list[int], sizes: DrawSizes, seed: int
) -> None:
    """Unequal classes: each gives m a round until it is exhausted, and every sample is drawn exactly once."""
    rng = np.random.default_rng(seed)
    class_ids = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    norms = rng.integers(0, 65537, class_ids.size)
    left = np.ones(class_ids.size, np.bool_)
    seen: list[int] = []
    for number in range(-(-max(counts) // sizes.m) + 1):
        drawn = draw_round(class_ids, norms, left, sizes=sizes, selector=selector)
        found = Counter(class_ids[drawn].tolist())
        assert [found[k] for k in range(len(counts))] == [
            max(0, min(sizes.m, count - number * sizes.m)) for count in counts
        ]
        assert class_ids[drawn].tolist() == sorted(class_ids[drawn].tolist())
        left[drawn] = False
        seen += drawn.tolist()
    assert sorted(seen) == list(range(class_ids.size))


@given(norms=NORMS, sizes=SIZES)
def test_draw_of_a_class_equals_the_oracle(norms: list[int], sizes: DrawSizes) -> None:
    assert draw_class(array(norms), sizes).tolist() == oracle(norms, sizes)


@given(norms=st.lists(st.integers(0, 65536), min_size=1, max_size=60), sizes=SIZES)
def test_draw_ascends_above_the_mean_and_then_descends_below(norms: list[int], sizes: DrawSizes) -> None:
    drawn = [norms[row] for row in draw_class(array(norms), sizes)]
    above = [norm for norm in drawn if norm * len(norms) >= sum(norms)]
    below = [norm for norm in drawn if norm * len(norms) < sum(norms)]
    assert drawn == sorted(above) + sorted(below, reverse=True)


@given(norms=NORMS, sizes=SIZES)
def test_a_short_side_is_filled_from_the_other(norms: list[int], sizes: DrawSizes) -> None:
    is_above = [norm * len(norms) >= sum(norms) for norm in norms]
    above = sum(is_above[row] for row in draw_class(array(norms), sizes))
    below = min(sizes.m, len(norms)) - above
    assert above >= min(sizes.a, sum(is_above))
    assert below >= min(sizes.b, len(norms) - sum(is_above))
    if above > sizes.a:
        assert below == len(norms) - sum(is_above)
    if below > sizes.b:
        assert above == sum(is_above)


def test_draw_takes_the_nearest_to_the_mean_on_both_sides() -> None:
    norms = array([100, 10, 52, 49, 0, 70, 40, 79])  # mean 50
    assert norms[draw_class(norms, DrawSizes.of(5))].tolist() == [52, 70, 79, 49, 40]


def test_norm_equal_to_the_mean_counts_as_above() -> None:
    assert draw_class(array([1, 2, 3]), DrawSizes(1, 1, 0)).tolist() == [1]


def test_mean_is_exact_where_a_float_would_round() -> None:
    """The largest pool: a mean that differs from a norm by less than a float of 32 bits can tell."""
    norms = np.full(10_000_000, 65536, np.int64)
    norms[-1] = 65535
    assert draw_class(norms, DrawSizes(2, 1, 1)).tolist() == [0, 9_999_999]


def test_equal_norms_are_drawn_in_the_order_of_their_hashes() -> None:
    assert draw_class(array([7] * 9), DrawSizes.of(4)).tolist() == [0, 1, 2, 3]
    assert draw_class(array([9, 1, 1, 9]), DrawSizes(4, 2, 2)).tolist() == [0, 3, 1, 2]


def test_only_candidates_are_drawn_and_their_mean_counts() -> None:
    class_ids, norms = np.zeros(6, np.int64), array([0, 10, 20, 30, 65536, 65536])
    candidates = np.array([True, True, True, True, False, False])
    drawn = draw_round(class_ids, norms, candidates, sizes=DrawSizes.of(2), selector=NormNearest())
    assert drawn.tolist() == [2, 1]


def test_no_candidates_give_an_empty_draw() -> None:
    nothing = draw_round(
        array([0, 1]), array([5, 5]), np.zeros(2, np.bool_), sizes=DrawSizes.of(3), selector=NormNearest()
    )
    assert nothing.size == 0
    assert nothing.dtype == np.int64


@given(st.integers(1, 10_000))
def test_halves_make_m_and_differ_by_at_most_one(m: int) -> None:
    sizes = DrawSizes.of(m)
    assert sizes.a + sizes.b == sizes.m == m
    assert sizes.a - sizes.b in {0, 1}


@pytest.mark.parametrize(("m", "a", "b"), [(0, 0, 0), (-1, 0, -1), (3, 1, 1), (3, 4, -1), (2, -1, 3)])
def test_sizes_that_do_not_add_up_are_refused(m: int, a: int, b: int) -> None:
    with pytest.raises(SettingsError, match=r"m = |a = "):
        DrawSizes(m, a, b)


def test_m_below_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="m = 0"):
        DrawSizes.of(0)


@given(st.integers(0, 10**7), st.integers(1, 200))
def test_default_m_is_two_per_cent_of_an_even_share_rounded_up_and_at_least_8(samples: int, classes: int) -> None:
    assert default_m(samples, classes) == max(8, -(-2 * samples // (100 * classes)))
