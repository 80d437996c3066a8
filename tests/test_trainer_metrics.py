"""Figures of a classification: equal to torchmetrics', and right where classes are empty."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from trainer.metrics import confusion_matrix, score_classes, score_confusion

LABELS = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=80)
    )
)


@settings(max_examples=60)
@given(LABELS)
def test_figures_equal_those_of_torchmetrics(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = case
    pairs = [*pairs, *((k, 0) for k in range(count))]  # each class has a sample: empty ones are defined below
    true_ids, predicted = np.array(pairs, np.int64).T
    told = (torch.from_numpy(predicted.copy()), torch.from_numpy(true_ids.copy()), count)
    found = score_classes(true_ids, predicted, count)
    assert found.confusion.tolist() == multiclass_confusion_matrix(*told).tolist()
    assert found.recalls == pytest.approx(multiclass_recall(*told, average="none").numpy(), abs=1e-6)
    assert found.precisions == pytest.approx(multiclass_precision(*told, average="none").numpy(), abs=1e-6)
    assert found.f1s == pytest.approx(multiclass_f1_score(*told, average="none").numpy(), abs=1e-6)
    assert found.macro_f1 == pytest.approx(float(multiclass_f1_score(*told, average="macro")), abs=1e-6)
    assert found.accuracy == pytest.approx(float(multiclass_accuracy(*told, average="micro")), abs=1e-6)
    assert found.worst_class_recall == pytest.approx(float(multiclass_recall(*told, average="none").min()), abs=1e-6)


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    found = confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 3)
    assert found.tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_classes_without_a_sample_count_nowhere() -> None:
    """The third class has no sample: what is wrongly called so lowers the others, no figure of its own joins."""
    with_empty = score_classes(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 4)
    assert with_empty.recalls.tolist() == [0.5, 1.0, 0.0, 0.0]
    assert with_empty.worst_class_recall == 0.5
    assert with_empty.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert with_empty.counts.tolist() == [2, 2, 0, 0]


def test_standard_error_is_that_of_the_mean_of_binomial_recalls() -> None:
    found = score_confusion(np.array([[8, 2], [5, 15]]))
    assert found.macro_f1_error == pytest.approx(np.sqrt(0.8 * 0.2 / 10 + 0.75 * 0.25 / 20) / 2)


def test_all_right_has_no_error_and_all_wrong_scores_zero() -> None:
    right = score_classes(np.array([0, 1, 2]), np.array([0, 1, 2]), 3)
    wrong = score_classes(np.array([0, 1, 2]), np.array([1, 2, 0]), 3)
    assert (right.macro_f1, right.accuracy, right.worst_class_recall, right.macro_f1_error) == (1.0, 1.0, 1.0, 0.0)
    assert (wrong.macro_f1, wrong.accuracy, wrong.worst_class_recall) == (0.0, 0.0, 0.0)


@settings(max_examples=40)
@given(LABELS, st.integers(0, 2**32 - 1))
def test_figures_do_not_depend_on_the_order_of_samples(case: tuple[int, list[tuple[int, int]]], seed: int) -> None:
    count, pairs = case
    order = np.random.default_rng(seed).permutation(len(pairs))
    true_ids, predicted = np.array(pairs, np.int64).T
    first, second = (
        score_classes(true_ids, predicted, count),
        score_classes(true_ids[order], predicted[order], count),
    )
    assert first.confusion.tolist() == second.confusion.tolist()
    assert (first.macro_f1, first.macro_f1_error) == (second.macro_f1, second.macro_f1_error)
