"""How a round is judged: on the split where it is large enough, else out of fold, whole groups each time."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.errors import NotEnoughClassesError
from trainer.judge.validation import FOLDS, LEAST_VALIDATION, assign_folds, plan_validation
from trainer.pool.sample_table import SampleTable

GROUPS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=1, max_size=60)


def ints(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def table(rows: Sequence[tuple[str, str, str, str]]) -> SampleTable:
    """Rows of class, group, split, origin."""
    count = len(rows)
    names, groups, splits, origins = zip(*rows, strict=True)
    classes = tuple(sorted(set(names)))
    class_ids = ints([classes.index(name) for name in names])
    ids = tuple(f"{at:064x}" for at in range(count))
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    return SampleTable(ids, classes, class_ids, groups, splits, origins, np.zeros(count, np.int64), pixels, ids)


def rows(name: str, split: str, count: int, origin: str = "import") -> list[tuple[str, str, str, str]]:
    return [(name, f"{name} {split} {origin} {at}", split, origin) for at in range(count)]


@given(GROUPS)
def test_folds_keep_groups_together(pairs: list[tuple[int, int]]) -> None:
    groups = tuple(f"g{group}" for group, _ in pairs)
    folds = assign_folds(groups, ints([class_id for _, class_id in pairs]), FOLDS)
    seen = defaultdict(set)
    for group, fold in zip(groups, folds.tolist(), strict=True):
        seen[group].add(fold)
    assert all(len(found) == 1 for found in seen.values())
    assert set(folds.tolist()) <= set(range(FOLDS))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_folds_hold_equal_numbers_of_groups_of_each_class(counts: list[int]) -> None:
    class_ids = np.repeat(np.arange(len(counts)), counts)
    folds = assign_folds(tuple(f"group {at}" for at in range(class_ids.size)), class_ids, FOLDS)
    for class_id in range(len(counts)):
        sizes = Counter(folds[class_ids == class_id].tolist())
        held = [sizes[fold] for fold in range(FOLDS)]
        assert max(held) - min(held) <= 1
    totals = np.bincount(folds, minlength=FOLDS)
    assert totals.max(initial=0) - totals.min(initial=class_ids.size) <= 1


@given(GROUPS, st.integers(0, 2**32 - 1))
def test_folds_do_not_depend_on_the_order_of_rows(pairs: list[tuple[int, int]], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(pairs))
    groups = tuple(f"g{group}" for group, _ in pairs)
    class_ids = ints([class_id for _, class_id in pairs])
    shuffled = assign_folds(tuple(groups[at] for at in order), class_ids[order], FOLDS)
    assert np.array_equal(shuffled, assign_folds(groups, class_ids, FOLDS)[order])


def test_enough_validation_samples_of_every_class_keep_the_split() -> None:
    samples = table(
        [row for name in "ab" for row in rows(name, "train", 30) + rows(name, "validation", LEAST_VALIDATION)]
    )
    found = plan_validation(samples)
    is_validation = np.array([split == "validation" for split in samples.splits])
    assert found.folds is None
    assert np.array_equal(found.judged, is_validation)
    assert np.array_equal(found.pool, ~is_validation)


@pytest.mark.parametrize("left", [0, LEAST_VALIDATION - 1])
def test_one_class_with_too_few_validation_samples_brings_folds_for_all(left: int) -> None:
    samples = table(
        rows("a", "train", 30) + rows("a", "validation", 50) + rows("b", "train", 30) + rows("b", "validation", left)
    )
    found = plan_validation(samples)
    assert found.folds is not None
    assert found.pool.all()
    assert found.judged.all()
    assert np.array_equal(found.folds, assign_folds(samples.groups, samples.class_ids, FOLDS))


def test_samples_from_machines_train_and_are_never_judged_on() -> None:
    """They were picked for being wrong: a score over them would tell of the picking."""
    few = table(rows("a", "train", 9) + rows("b", "train", 9) + rows("b", "train", 5, "residual"))
    found = plan_validation(few)
    assert found.pool.all()
    assert np.array_equal(found.judged, np.array([origin == "import" for origin in few.origins]))
    many = table(
        [row for name in "ab" for row in rows(name, "train", 9) + rows(name, "validation", LEAST_VALIDATION)]
        + rows("b", "train", 5, "residual")
    )
    assert not plan_validation(many).judged[-5:].any()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (rows("a", "train", 30), "of 1 class"),
        (rows("a", "train", 30) + rows("a", "validation", 30), "of 1 class"),
        (rows("a", "train", 30) + rows("a", "validation", 30) + rows("b", "validation", 30), "of 1 class"),
        ([("a", "box", "train", "import"), ("b", "box", "train", "import")], "group box"),
    ],
)
def test_what_cannot_be_learnt_or_judged_is_refused(samples: list[tuple[str, str, str, str]], message: str) -> None:
    with pytest.raises(NotEnoughClassesError, match=message):
        plan_validation(table(samples))
