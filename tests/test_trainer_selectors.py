"""The selectors: one template that all must pass, a direction each must keep, the patent's draw against an oracle."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.draw.by_norm import draw_around_mean
from trainer.draw.candidates import ClassCandidates
from trainer.draw.chance import content_keys, mixed
from trainer.draw.registry import ENTRY_POINTS, SELECTORS, selector_named
from trainer.draw.selector import EVERYTHING, Selector
from trainer.draw.sizes import DrawSizes, default_m
from trainer.errors import SettingsError

NORMS = st.one_of(
    st.lists(st.integers(0, 65536), min_size=1, max_size=60),
    st.lists(st.integers(0, 3), min_size=1, max_size=60),  # ties everywhere
)
SIZES = st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(any).map(lambda ab: DrawSizes(sum(ab), *ab))
every_selector = pytest.mark.parametrize("name", SELECTORS)


def candidates(norms: list[int], rounds: int = 0, seed: int = 0) -> ClassCandidates:
    """Candidates of class 1 of 3; after `rounds` rounds a model has said something of each."""
    count, rng = len(norms), np.random.default_rng(seed)
    chance = mixed(np.arange(count, dtype=np.uint64), seed, 1)
    array = np.array(norms, np.int64)
    scores = rng.dirichlet(np.ones(3), count).astype(np.float32)
    features = rng.normal(size=(count + 4, 5)).astype(np.float32)
    return ClassCandidates(
        class_name="stone",
        class_id=1,
        norms_q16=array,
        mean=(int(array.sum()), count),
        lasting=mixed(np.arange(count, dtype=np.uint64), seed, 0),
        passing=chance,
        scores=scores if rounds else None,
        features=features[:count] if rounds else None,
        drawn_features=features[count:] if rounds else None,
        right=rng.random((rounds, count)) < 0.5,
        errors=rng.random((rounds, count)).astype(np.float32),
    )


def same(one: ClassCandidates, other: ClassCandidates) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in ClassCandidates.__slots__)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def oracle(norms: list[int], sizes: DrawSizes) -> list[int]:
    """The patent's draw in words: nearest to the mean on each side, in whole numbers, ties by row."""
    total, count = sum(norms), len(norms)
    above = sorted((at for at in range(count) if norms[at] * count >= total), key=lambda at: (norms[at], at))
    below = sorted((at for at in range(count) if norms[at] * count < total), key=lambda at: (-norms[at], at))
    a = min(len(above), sizes.a)
    b = min(len(below), sizes.m - a)
    a = min(len(above), max(a, sizes.m - max(b, min(len(below), sizes.b))))
    b = min(len(below), sizes.m - a)
    return above[:a] + below[:b]


@every_selector
@settings(max_examples=40)
@given(norms=NORMS, sizes=SIZES, rounds=st.sampled_from([0, 1, 3]))
def test_draw_gives_different_positions_and_exactly_m_if_there_are_so_many(
    name: str, norms: list[int], sizes: DrawSizes, rounds: int
) -> None:
    drawn = selector_named(name).draw(candidates(norms, rounds), sizes)
    assert drawn.dtype == np.int64
    assert len(set(drawn.tolist())) == len(drawn) == min(sizes.m, len(norms))
    assert all(0 <= row < len(norms) for row in drawn)


@every_selector
@settings(max_examples=25)
@given(norms=NORMS, sizes=SIZES, rounds=st.sampled_from([0, 2]))
def test_draw_is_the_same_each_time_and_leaves_its_input_alone(
    name: str, norms: list[int], sizes: DrawSizes, rounds: int
) -> None:
    given_ones, kept = candidates(norms, rounds), candidates(norms, rounds)
    first, again = (selector_named(name).draw(given_ones, sizes) for _ in range(2))
    assert np.array_equal(first, again)
    assert same(given_ones, kept)


@every_selector
@settings(max_examples=25)
@given(norms=NORMS, m=st.integers(1, 9), rounds=st.sampled_from([0, 2]))
def test_draws_go_on_until_nothing_is_left_and_take_each_exactly_once(
    name: str, norms: list[int], m: int, rounds: int
) -> None:
    left, everything = np.arange(len(norms)), candidates(norms, rounds)
    taken: list[int] = []
    while len(left):
        drawn = selector_named(name).draw(everything.take(left), DrawSizes.of(m))
        taken += left[drawn].tolist()
        left = np.delete(left, drawn)
    assert sorted(taken) == list(range(len(norms)))


@every_selector
@settings(max_examples=25)
@given(norms=NORMS, m=st.integers(1, 9), rounds=st.sampled_from([0, 2]))
def test_a_larger_draw_of_one_kind_begins_with_the_smaller_one(
    name: str, norms: list[int], m: int, rounds: int
) -> None:
    """Not so for draws with sides or strata, which share m out anew."""
    if name in {"norm_nearest", "random_scalar", "norm_farthest", "norm_stratified"}:
        return
    small, large = (selector_named(name).draw(candidates(norms, rounds), DrawSizes.of(size)) for size in (m, m + 3))
    assert large[: len(small)].tolist() == small.tolist()


NORM_CASE = [10, 20, 30, 40, 50, 60, 70, 1000]  # the mean is 160
SCORES = np.array([[0.1, 0.8, 0.1], [0.34, 0.33, 0.33], [0.45, 0.5, 0.05], [0.0, 0.95, 0.05]], np.float32)
POINTS = np.array([[0.0], [1.0], [2.0], [9.0], [3.0]], np.float32)  # the mean is 3
ERRORS = np.array([[0.1, 0.9, 0.5, 0.2], [0.1, 0.2, 0.9, 0.2]], np.float32)
RIGHT = np.array([[1, 0, 1, 1], [1, 0, 0, 1], [1, 0, 1, 0], [1, 0, 0, 0]], np.bool_)


def with_model(**changes: object) -> ClassCandidates:
    return replace(candidates([5] * 4), **changes)  # type: ignore[arg-type]  # names of its fields


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("norm_nearest", (candidates(NORM_CASE), DrawSizes(3, 1, 2)), [7, 6, 5]),
        ("norm_farthest", (candidates(NORM_CASE), DrawSizes(3, 1, 2)), [7, 0, 1]),
        ("norm_stratified", (candidates(NORM_CASE), DrawSizes.of(4)), [1, 3, 5, 7]),
        ("margin", (with_model(scores=SCORES), DrawSizes.of(4)), [1, 2, 0, 3]),
        ("entropy", (with_model(scores=SCORES), DrawSizes.of(4)), [1, 2, 0, 3]),
        (
            "el2n",
            (with_model(errors=np.array([[0.1, 0.9, 0.5, 0.2], [0.1, 0.2, 0.9, 0.2]])), DrawSizes.of(3)),
            [2, 1, 3],
        ),
        ("forgetting", (with_model(right=RIGHT), DrawSizes.of(4)), [1, 2, 3, 0]),
    ],
)
def test_each_selector_draws_in_its_own_direction(
    name: str, asked: tuple[ClassCandidates, DrawSizes], expected: list[int]
) -> None:
    assert selector_named(name).draw(*asked).tolist() == expected


def test_selectors_by_features_draw_in_their_own_direction() -> None:
    five = replace(candidates([5] * 5), features=POINTS, drawn_features=np.array([[0.5]], np.float32))
    assert selector_named("closest_to_centre").draw(five, DrawSizes.of(5)).tolist() == [4, 2, 1, 0, 3]
    assert selector_named("herding").draw(five, DrawSizes.of(3)).tolist() == [4, 2, 1]
    assert selector_named("k_centre").draw(five, DrawSizes.of(2)).tolist() == [3, 4]
    alone = replace(five, drawn_features=np.zeros((0, 1), np.float32))
    assert selector_named("k_centre").draw(alone, DrawSizes.of(2)).tolist() == [4, 3]


def test_chance_differs_by_round_and_seed_and_the_control_keeps_its_numbers() -> None:
    norms = list(range(40))
    first, other = candidates(norms, seed=0), candidates(norms, seed=1)
    draws = {
        name: [selector_named(name).draw(one, DrawSizes.of(9)).tolist() for one in (first, other)] for name in SELECTORS
    }
    assert draws["random"][0] != draws["random"][1]
    assert draws["random_scalar"][0] != draws["random_scalar"][1]
    assert draws["random"][0] != draws["random_scalar"][0]
    assert draws["norm_nearest"][0] == draws["norm_nearest"][1]


@given(norms=NORMS, sizes=SIZES)
def test_the_patents_draw_is_the_oracles(norms: list[int], sizes: DrawSizes) -> None:
    array = np.array(norms, np.int64)
    assert draw_around_mean(array, sizes, (sum(norms), len(norms))).tolist() == oracle(norms, sizes)


def test_the_mean_may_be_one_that_no_candidate_is_near() -> None:
    """The class's initial mean: all candidates lie above it, so the side below is filled from above."""
    assert draw_around_mean(np.array([50, 60, 70, 80]), DrawSizes.of(2), (100, 10)).tolist() == [0, 1]


@given(norms=NORMS, sizes=SIZES)
def test_the_farthest_of_a_side_are_drawn_before_nearer_ones_of_it(norms: list[int], sizes: DrawSizes) -> None:
    drawn = selector_named("norm_farthest").draw(candidates(norms), sizes).tolist()
    for is_above in (True, False):
        side = [at for at in range(len(norms)) if (norms[at] * len(norms) >= sum(norms)) == is_above]
        ordered = sorted(side, key=lambda at: (-norms[at] if is_above else norms[at], at))
        taken = [at for at in drawn if at in side]
        assert taken == ordered[: len(taken)]
        assert len(taken) >= min(sizes.a if is_above else sizes.b, len(side))


@given(SIZES, st.integers(1, 60))
def test_scaled_sizes_keep_the_share_of_the_sides(sizes: DrawSizes, m: int) -> None:
    scaled = sizes.scaled(m)
    assert scaled.m == m
    assert abs(scaled.a / m - sizes.a / sizes.m) < 1 / m + 1 / (2 * sizes.m)
    assert sizes.scaled(sizes.m) == sizes
    if sizes == DrawSizes.of(sizes.m):
        assert scaled == DrawSizes.of(m)


@given(st.integers(-5, 60), st.integers(-5, 60), st.integers(-5, 60))
def test_sizes_hold_only_halves_that_make_the_whole(m: int, a: int, b: int) -> None:
    if m >= 1 and a >= 0 and b >= 0 and a + b == m:
        assert DrawSizes(m, a, b) == DrawSizes.of(m, a)
    else:
        with pytest.raises(SettingsError):
            DrawSizes(m, a, b)


@pytest.mark.parametrize(("m", "halves"), [(1, (1, 0)), (2, (1, 1)), (7, (4, 3))])
def test_default_halves_give_the_odd_one_to_the_upper_side(m: int, halves: tuple[int, int]) -> None:
    assert (DrawSizes.of(m).a, DrawSizes.of(m).b) == halves


@pytest.mark.parametrize(
    ("samples", "classes", "m"), [(10, 2, 8), (8500, 5, 34), (1000, 2, 10), (1001, 2, 11), (800, 2, 8)]
)
def test_default_m_is_two_per_cent_of_the_pool_but_at_least_eight(samples: int, classes: int, m: int) -> None:
    assert default_m(samples, classes) == m


class Lowest:
    """An extension's selector: the first rows."""

    needs = frozenset(("scores",))

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        return np.arange(min(sizes.m, len(candidates)))


class NoSelector:
    needs = frozenset(("luck",))

    def draw(self) -> None:
        """Draw nothing."""


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"test_trainer_selectors:{value}", ENTRY_POINTS)


def test_an_installed_package_may_add_a_selector() -> None:
    found: Selector = selector_named("lowest", [point("lowest", "Lowest")])
    assert found.needs <= EVERYTHING
    assert found.draw(candidates([4, 5, 6]), DrawSizes.of(2)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "points", "message"),
    [
        ("norm_neerest", [], "no selector 'norm_neerest': did you mean norm_nearest"),
        ("xyz", [point("lowest", "Lowest")], "Known are norm_nearest, .*, forgetting, lowest"),
        ("gone", [point("gone", "Missing")], "cannot be loaded"),
        ("bad", [point("bad", "NoSelector")], "is no selector"),
    ],
)
def test_what_is_no_selector_is_named(name: str, points: list[EntryPoint], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        selector_named(name, points)


def test_ours_come_before_an_extension_of_the_same_name() -> None:
    assert type(selector_named("random", [point("random", "Lowest")])).__name__ == "Random"


def test_keys_are_the_first_bytes_of_the_content_hash_and_mix_without_collisions() -> None:
    keys = content_keys([f"{at:02x}" * 32 for at in range(256)])
    assert keys[1] == 0x0101010101010101
    streams = [mixed(keys, seed, stream) for seed in (0, 1) for stream in (0, 1, 2)]
    assert len(np.unique(np.concatenate(streams))) == 6 * 256
    shares = np.concatenate(streams) / 2**64
    assert abs(float(shares.mean()) - 0.5) < 0.04


def test_chance_is_splitmix64() -> None:
    """Its published first numbers for 1234567; one stream is another by as much added to the keys."""
    key = np.array([1234567], np.uint64)
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(mixed(key, step, 0)[0]) for step in range(4)] == published
    for stream in (1, 2, 1000):
        shift = np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
        assert mixed(key, 3, stream).tolist() == mixed(key + shift, 3, 0).tolist()


@pytest.mark.parametrize(("m", "drawn"), [(1, [50]), (2, [25, 75]), (3, [16, 50, 84])])
def test_a_stratified_draw_takes_the_middle_of_each_part(m: int, drawn: list[int]) -> None:
    rising = candidates(list(range(101)))
    assert selector_named("norm_stratified").draw(rising, DrawSizes(m, m - m // 2, m // 2)).tolist() == drawn


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40, unique=True), st.integers(1, 10))
def test_the_control_draws_around_the_mean_of_its_numbers_remainders(keys: list[int], m: int) -> None:
    """A promise: the same content and seed draw the same samples in every version."""
    sizes = DrawSizes(m, m - m // 2, m // 2)
    many = replace(candidates([0] * len(keys)), lasting=np.array(keys, np.uint64))
    assert selector_named("random_scalar").draw(many, sizes).tolist() == oracle([key % 65537 for key in keys], sizes)
