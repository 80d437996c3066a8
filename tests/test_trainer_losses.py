"""Losses against their formulas, and the order in which samples are shown."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from trainer.train.batches import balanced_rows, shuffled_rows
from trainer.train.losses import LossName, LossOptions, make_loss

COUNTS = torch.tensor([90.0, 9.0, 1.0])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 3.0]])
IDS = torch.tensor([0, 1, 2, 0])
NAMES: tuple[LossName, ...] = ("cross_entropy", "focal", "logit_adjusted")


def by_hand(shift: tuple[float, float, float] = (0.0, 0.0, 0.0), focus: float = 0.0) -> float:
    total = 0.0
    for row, true_id in zip(LOGITS.tolist(), IDS.tolist(), strict=True):
        powers = [math.exp(value + add) for value, add in zip(row, shift, strict=True)]
        share = powers[true_id] / sum(powers)
        total -= (1 - share) ** focus * math.log(share)
    return total / len(IDS)


def test_each_loss_is_its_formula() -> None:
    priors = tuple(math.log(count / 100) for count in COUNTS.tolist())
    expected = {
        "cross_entropy": by_hand(),
        "focal": by_hand(focus=2.0),
        "logit_adjusted": by_hand((priors[0], priors[1], priors[2])),
    }
    for name in NAMES:
        assert float(make_loss(name, COUNTS, LossOptions())(LOGITS, IDS)) == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_shares_of_one_class_give_the_same_loss(name: LossName) -> None:
    loss = make_loss(name, COUNTS, LossOptions(label_smoothing=0.1))
    assert float(loss(LOGITS, IDS)) == pytest.approx(float(loss(LOGITS, functional.one_hot(IDS, 3).float())), rel=1e-5)


def test_weights_make_every_class_count_alike() -> None:
    """One row of each class: the weighted mean of cross entropy is dominated by the rare one, N / (K n) each."""
    loss = make_loss("cross_entropy", COUNTS, LossOptions(is_weighted=True))
    rows = LOGITS[:3]
    singles = functional.cross_entropy(rows, torch.tensor([0, 1, 2]), reduction="none")
    weights = 100 / (3 * COUNTS)
    assert float(loss(rows, torch.tensor([0, 1, 2]))) == pytest.approx(float((singles * weights).sum() / weights.sum()))


def test_a_class_without_samples_divides_by_nothing() -> None:
    for name in NAMES:
        for is_weighted in (False, True):
            loss = make_loss(name, torch.tensor([5.0, 5.0, 0.0]), LossOptions(0.02, is_weighted))
            assert math.isfinite(float(loss(LOGITS[:2], IDS[:2])))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 9), st.integers(1, 9))
def test_classes_are_shown_equally_often_and_each_sample_before_any_again(
    ids: list[int], batch: int, steps: int
) -> None:
    class_ids = torch.tensor(ids)
    rows = balanced_rows(class_ids, batch, steps, torch.Generator().manual_seed(1))
    assert rows.shape == (steps, batch)
    shown = torch.bincount(class_ids[rows.flatten()], minlength=4)[torch.unique(class_ids)]
    assert int(shown.max() - shown.min()) <= 1
    times = torch.bincount(rows.flatten(), minlength=len(ids))
    for class_id in set(ids):
        own = times[class_ids == class_id]
        assert int(own.max() - own.min()) <= 1


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_shuffled_rows_show_every_sample_before_any_again(count: int, batch: int, steps: int) -> None:
    rows = shuffled_rows(count, batch, steps, torch.Generator().manual_seed(1))
    times = torch.bincount(rows.flatten(), minlength=count)
    assert rows.shape == (steps, batch)
    assert int(times.max() - times.min()) <= 1
