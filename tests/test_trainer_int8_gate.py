"""INT8 ships when no class loses more than one sample or one point, and macro-F1 no more than half a point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.export.int8_gate import ClassChange, judge_int8

CLASSES = ("good", "stone", "husk")
TRUE_IDS = np.repeat(np.arange(3), [1000, 400, 60])


def with_wrong(lost: tuple[int, int, int]) -> NDArray[np.int64]:
    """All right but for so many samples of each class, which become the next class."""
    found = TRUE_IDS.copy()
    for class_id, count in enumerate(lost):
        found[np.flatnonzero(class_id == TRUE_IDS)[:count]] = (class_id + 1) % 3
    return found


def test_equal_decisions_hold() -> None:
    verdict = judge_int8(TRUE_IDS, TRUE_IDS, TRUE_IDS, CLASSES)
    assert verdict.passed
    assert verdict.text == "held: 0 of 1460 decisions change"
    assert (verdict.macro_f1_before, verdict.macro_f1_after, verdict.macro_f1_drop) == (1.0, 1.0, 0.0)
    assert verdict.classes[2] == ClassChange("husk", 60, 60, 60)


@pytest.mark.parametrize(
    ("lost", "is_held"),
    [
        ((10, 0, 0), False),  # one point of recall, but the small class that they are taken for loses its precision
        ((0, 4, 0), False),
        ((1, 0, 0), True),
        ((0, 1, 0), True),
        ((0, 0, 1), True),  # 1.7 points, but one sample
        ((0, 0, 2), False),
        ((2, 0, 0), True),
    ],
)
def test_limits_at_their_edge(lost: tuple[int, int, int], is_held: bool) -> None:
    assert judge_int8(TRUE_IDS, TRUE_IDS, with_wrong(lost), CLASSES).passed == is_held


@pytest.mark.parametrize(
    ("samples", "lost", "is_held"),
    [(60, 1, True), (60, 2, False), (200, 2, True), (200, 3, False), (1000, 10, True), (1000, 11, False)],
)
def test_a_class_may_lose_one_sample_or_one_point(samples: int, lost: int, is_held: bool) -> None:
    change = ClassChange("stone", samples, samples, samples - lost)
    assert change.is_within_limit == is_held
    assert (change.lost, change.recall_before) == (lost, 1.0)


def test_failure_names_class_count_and_limit() -> None:
    verdict = judge_int8(TRUE_IDS, TRUE_IDS, with_wrong((0, 0, 6)), CLASSES)
    assert not verdict.passed
    assert verdict.worst.name == "husk"
    assert verdict.text == (
        "failed: macro-F1 falls by 1.85 points (limit 0.5);"
        " class husk loses 6 of 60 samples (limit: 1 sample or 1 point of recall); 6 of 1460 decisions change"
    )


def test_a_class_without_samples_counts_nowhere() -> None:
    ids = np.array([0, 0, 2])
    verdict = judge_int8(ids, ids, np.array([0, 1, 2]), CLASSES)
    assert [change.name for change in verdict.classes] == ["good", "husk"]


def test_what_int8_gets_right_instead_is_no_loss() -> None:
    verdict = judge_int8(TRUE_IDS, with_wrong((30, 20, 5)), TRUE_IDS, CLASSES)
    assert verdict.passed
    assert verdict.macro_f1_drop < 0
    assert verdict.changed_decisions == 55


decisions = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=80)


@given(decisions)
def test_a_file_that_decides_alike_always_holds(rows: list[tuple[int, int, int]]) -> None:
    ids = np.array(rows)
    verdict = judge_int8(ids[:, 0], ids[:, 1], ids[:, 1], CLASSES)
    assert verdict.passed
    assert verdict.changed_decisions == 0


@given(decisions)
def test_the_order_of_samples_has_no_part(rows: list[tuple[int, int, int]]) -> None:
    true_ids, before, after = np.array(rows).T
    assert judge_int8(true_ids, before, after, CLASSES) == judge_int8(
        true_ids[::-1], before[::-1], after[::-1], CLASSES
    )


@given(decisions)
def test_lost_samples_add_up(rows: list[tuple[int, int, int]]) -> None:
    true_ids, before, after = np.array(rows).T
    verdict = judge_int8(true_ids, before, after, CLASSES)
    assert sum(change.lost for change in verdict.classes) == int((before == true_ids).sum() - (after == true_ids).sum())
    assert sum(change.samples for change in verdict.classes) == verdict.samples == len(rows)
    assert abs(sum(change.lost for change in verdict.classes)) <= verdict.changed_decisions
    assert verdict.passed == verdict.text.startswith("held")
