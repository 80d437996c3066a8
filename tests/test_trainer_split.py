"""The split: whole groups, right shares, the same for every order of the files."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.acquire.split import Candidate, assign_splits, check_no_leak, find_leaks
from trainer.errors import LeakError
from trainer.pool.sample_table import SampleTable

SIDES = ("train", "validation", "test")


def pieces(count: int, class_name: str = "good", stated: str | None = None, per_group: int = 1) -> list[Candidate]:
    return [
        Candidate(f"{class_name}{at}", class_name, f"{class_name} group {at // per_group}", stated, "import")
        for at in range(count)
    ]


@st.composite
def candidate_lists(draw: st.DrawFn) -> list[Candidate]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.integers(0, 12),
                st.sampled_from((None, None, "train", "train", "validation", "test")),
                st.sampled_from(("import", "import", "import", "residual", "audit")),
            ),
            max_size=60,
        )
    )
    return [
        Candidate(f"{at:04}", name, f"g{group}", stated, origin)
        for at, (name, group, stated, origin) in enumerate(rows)
    ]


pool_sides = st.dictionaries(st.integers(0, 12).map("g{}".format), st.sampled_from(SIDES), max_size=5)


@settings(deadline=None)
@given(candidate_lists(), pool_sides)
def test_no_group_lies_on_two_sides(candidates: list[Candidate], pool: dict[str, str]) -> None:
    leaks = find_leaks(candidates, pool)
    kept = [c for c in candidates if c.sample_id not in leaks]
    sides = assign_splits(kept, pool)
    by_group = defaultdict(set, {group: {side} for group, side in pool.items()})
    for candidate in kept:
        by_group[candidate.group].add(sides[candidate.sample_id])
    assert all(len(found) == 1 for found in by_group.values())


@settings(deadline=None)
@given(candidate_lists(), pool_sides, st.randoms(use_true_random=False))
def test_the_split_does_not_depend_on_the_order(candidates: list[Candidate], pool: dict[str, str], mix: object) -> None:
    shuffled = list(candidates)
    mix.shuffle(shuffled)  # type: ignore[attr-defined]  # random.Random, which hypothesis does not type
    assert find_leaks(candidates, pool) == find_leaks(shuffled, pool)
    assert assign_splits(candidates, pool) == assign_splits(shuffled, pool)


@settings(deadline=None)
@given(candidate_lists(), pool_sides)
def test_what_is_stated_as_test_is_never_trained_on(candidates: list[Candidate], pool: dict[str, str]) -> None:
    leaks = find_leaks(candidates, pool)
    sides = assign_splits([c for c in candidates if c.sample_id not in leaks], pool)
    for candidate in candidates:
        if candidate.stated == "test" and candidate.origin != "residual" and candidate.sample_id in sides:
            assert sides[candidate.sample_id] == "test"
        if candidate.origin == "residual" and candidate.sample_id in sides:
            assert sides[candidate.sample_id] != "test"


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_shares_of_single_samples_are_exact(sizes: list[int]) -> None:
    candidates = [c for at, size in enumerate(sizes) for c in pieces(size, f"c{at}")]
    sides = assign_splits(candidates)
    for at, size in enumerate(sizes):
        found = Counter(sides[f"c{at}{i}"] for i in range(size))
        held_out = (15 * size + 50) // 100
        assert (found["validation"], found["test"]) == (held_out, held_out)


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from((None, "train")), st.integers(1, 9))
def test_every_class_keeps_a_training_sample(count: int, stated: str | None, per_group: int) -> None:
    assert "train" in assign_splits(pieces(count, stated=stated, per_group=per_group)).values()


@pytest.mark.parametrize("per_group", [1, 4, 10])
def test_shares_hold_to_within_a_group(per_group: int) -> None:
    found = Counter(assign_splits(pieces(1000, per_group=per_group)).values())
    assert abs(found["validation"] - 150) <= per_group
    assert abs(found["test"] - 150) <= per_group


def test_groups_of_several_classes_keep_the_shares_of_each() -> None:
    rng = np.random.default_rng(2)
    names = rng.choice(["a", "b", "c"], 3000, p=[0.7, 0.2, 0.1])
    candidates = [Candidate(str(i), str(names[i]), f"board {i // 10}", "train", "import") for i in range(3000)]
    sides = assign_splits(candidates)
    for name in "abc":
        found = Counter(sides[c.sample_id] for c in candidates if c.class_name == name)
        assert 0.12 <= found["validation"] / found.total() <= 0.18
        assert found["test"] == 0


def test_stated_sides_hold_and_training_gives_its_share_to_validation() -> None:
    candidates = [*pieces(100, "a", "train"), *pieces(20, "b", "test"), *pieces(10, "c", "validation")]
    sides = assign_splits(candidates)
    assert Counter(sides[c.sample_id] for c in candidates if c.class_name == "a") == {"train": 85, "validation": 15}
    assert {sides[c.sample_id] for c in candidates if c.class_name == "b"} == {"test"}
    assert {sides[c.sample_id] for c in candidates if c.class_name == "c"} == {"validation"}


def test_a_class_whose_validation_is_stated_here_or_elsewhere_gives_nothing_more() -> None:
    here = [*pieces(100, "a", "train"), Candidate("v", "a", "v", "validation", "import")]
    assert Counter(assign_splits(here).values()) == {"train": 100, "validation": 1}
    assert Counter(assign_splits(pieces(100, "a", "train"), None, {"a"}).values()) == {"train": 100}


def test_new_members_follow_the_group_that_the_pool_holds() -> None:
    pool = {"good group 0": "test", "good group 1": "validation", "good group 2": "train"}
    sides = assign_splits(pieces(3), pool)
    assert [sides[f"good{i}"] for i in range(3)] == ["test", "validation", "train"]


def test_residuals_train_and_audits_are_held_out() -> None:
    residuals = [Candidate(f"r{i}", "a", f"r{i}", None, "residual") for i in range(50)]
    audits = [Candidate(f"u{i}", "a", f"u{i}", None, "audit") for i in range(50)]
    sides = assign_splits(residuals + audits)
    assert {sides[c.sample_id] for c in residuals} == {"train"}
    assert {sides[c.sample_id] for c in audits} == {"test"}


def test_a_group_in_train_and_test_keeps_only_its_test_members() -> None:
    candidates = [
        Candidate("1", "a", "g", "train", "import"),
        Candidate("2", "a", "g", "test", "import"),
        Candidate("3", "a", "g", "validation", "import"),
        Candidate("4", "a", "h", "train", "import"),
    ]
    assert set(find_leaks(candidates)) == {"1", "3"}


def test_a_group_that_leaks_elsewhere_or_is_tested_in_the_pool_is_not_trained_on() -> None:
    candidates = [Candidate("1", "a", "g", "train", "import"), Candidate("2", "a", "h", "train", "import")]
    assert set(find_leaks(candidates, None, {"g"})) == {"1"}
    assert set(find_leaks(candidates, {"h": "test"})) == {"2"}
    assert "group h" in find_leaks(candidates, {"h": "test"})["2"]


def test_a_test_sample_of_a_group_that_the_pool_trains_with_is_left_out() -> None:
    leaks = find_leaks([Candidate("1", "a", "g", "test", "import")], {"g": "train"})
    assert leaks == {"1": "group g is stated as test, but the pool holds it in train"}


def test_samples_without_a_stated_side_join_the_test_of_their_group() -> None:
    candidates = [Candidate("1", "a", "g", None, "import"), Candidate("2", "a", "g", "test", "import")]
    assert find_leaks(candidates) == {}
    assert assign_splits(candidates) == {"1": "test", "2": "test"}


def table(groups: tuple[str, ...], splits: tuple[str, ...]) -> SampleTable:
    count = len(groups)
    numbers = np.zeros(count, np.int64)
    names = tuple(f"{i:064x}" for i in range(count))
    pixels = np.zeros((count, 16, 16, 3), np.uint8)
    return SampleTable(names, ("a",), numbers, groups, splits, ("import",) * count, numbers, pixels, names)


def test_a_table_without_leak_passes() -> None:
    whole = table(("g", "g", "h"), ("train", "train", "test"))
    check_no_leak(whole)
    assert len(whole) == 3


@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_table_with_a_leak_is_refused_and_the_group_named(other: str) -> None:
    with pytest.raises(LeakError, match=f"group g lies in train and in {other}"):
        check_no_leak(table(("g", "h", "g"), ("train", "test", other)))
