"""Where a run stands between two rounds: what leaves the residual, what comes back, what is gone for good."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.judge.validation import Validation
from trainer.loop.state import LoopState, error_lengths, is_right
from trainer.pool.ledger import HeldBack, RoundFindings
from trainer.pool.sample_table import empty_table
from trainer.settings import RunSettings

ROWS = 8
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1])
POOL = np.array([True] * 7 + [False])  # the last row is set aside
TABLE = replace(
    empty_table(("good", "stone"), side_px=16, channels=3),
    ids=tuple(f"{at:064x}" for at in range(ROWS)),
    class_ids=TRUTH,
)


def start(**changes: object) -> LoopState:
    settings = RunSettings(**changes)  # type: ignore[arg-type]  # names and values of settings
    return LoopState(TABLE, Validation(POOL, ~POOL, None), settings)


def held(*rows: int) -> HeldBack:
    return HeldBack(np.array(rows, np.int64), 1 - TRUTH[list(rows)], np.full(len(rows), 0.9))


def findings(drawn: list[int], wrong: list[int], held_back: HeldBack | None = None) -> RoundFindings:
    told = TRUTH.copy()
    told[wrong] = 1 - told[wrong]
    scores = np.eye(2, dtype=np.float16)[told]
    return RoundFindings(np.array(drawn, np.int64), told.astype(np.int16), scores, held_back or HeldBack.nothing())


def rows(mask: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_before_the_first_round_everything_in_the_pool_may_be_drawn() -> None:
    assert rows(start().residual) == [0, 1, 2, 3, 4, 5, 6]


def test_what_is_right_leaves_and_comes_back_when_it_is_wrong_again() -> None:
    state = start()
    state.apply(findings([0, 4], wrong=[1, 5, 7]))
    assert (rows(state.training), rows(state.residual)) == ([0, 4], [1, 5])
    state.apply(findings([1], wrong=[0, 2, 5, 6]))
    assert (rows(state.training), rows(state.residual)) == ([0, 1, 4], [2, 5, 6])
    assert [rows(training) for training in state.training_sets] == [[0, 4], [0, 1, 4]]


def test_dropped_for_good_means_that_it_never_comes_back() -> None:
    """The patent to the letter: rows 2 and 6 were right once; that a later model forgets them is not looked at."""
    state = start(drop="permanent")
    state.apply(findings([0, 4], wrong=[1, 5]))
    state.apply(findings([1], wrong=[2, 5, 6]))
    assert rows(state.residual) == [5]


def test_what_is_held_back_is_neither_trained_on_nor_drawn_and_returns_when_released() -> None:
    state = start()
    state.apply(findings([0, 4], wrong=[1, 5], held_back=held(0, 5)))
    assert (rows(state.training), rows(state.residual), rows(state.held_back)) == ([4], [1], [0, 5])
    state.apply(findings([1], wrong=[5]))
    assert (rows(state.training), rows(state.residual), rows(state.held_back)) == ([1, 4], [5], [])


@given(st.lists(st.tuples(*[st.sets(st.integers(0, 6))] * 3), max_size=5), st.sampled_from(["retest", "permanent"]))
def test_a_row_is_in_one_place_only(story: list[tuple[set[int], set[int], set[int]]], drop: str) -> None:
    state = start(drop=drop)
    for drawn, wrong, kept in story:
        state.apply(findings(sorted(drawn), sorted(wrong), held(*sorted(kept))))
        places = state.training.astype(int) + state.residual + state.held_back
        assert places.max() <= 1
        assert places[7] == 0


def test_told_the_same_rounds_it_stands_where_it_stood() -> None:
    rounds = [findings([0, 4], [1, 5, 6], held(6)), findings([1], [2]), findings([2, 5], [])]
    states = [start(drop="permanent"), start(drop="permanent")]
    for state in states:
        for found in rounds:
            state.apply(found)
    one, other = states
    assert np.array_equal(one.training, other.training)
    assert np.array_equal(one.residual, other.residual)
    assert np.array_equal(np.stack(one.errors), np.stack(other.errors))


@pytest.mark.parametrize(
    ("scores", "margin", "expected"),
    [
        ([0.6, 0.4], 0.0, True),
        ([0.6, 0.4], 0.125, True),
        ([0.6, 0.4], 0.25, False),
        ([0.4, 0.6], 0.0, False),
        ([0.75, 0.25], 0.5, False),  # it must lead by more
    ],
)
def test_right_by_a_margin(scores: list[float], margin: float, expected: bool) -> None:
    told = np.array([scores], np.float16)
    assert is_right(told.argmax(axis=1).astype(np.int16), told, np.array([0]), margin).tolist() == [expected]


def test_the_margin_is_to_the_best_of_all_other_classes() -> None:
    told = np.array([[0.5, 0.125, 0.375]], np.float16)
    predicted = np.array([0], np.int16)
    assert is_right(predicted, told, np.array([0]), 0.12).tolist() == [True]
    assert is_right(predicted, told, np.array([0]), 0.13).tolist() == [False]


def test_the_error_is_the_distance_to_the_truth() -> None:
    told = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], np.float16)
    assert error_lengths(told, np.array([0, 0, 1])) == pytest.approx([0.0, 2**0.5, 0.5**0.5])
