"""Candidates are the doubtful objects, and only those."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge_runtime.candidates import disagreements, is_close, is_far
from edge_runtime.norm import ClassNorms, class_norms
from edge_runtime.truth import ExpectedObjects

NAMES = ("rice", "stone")
RICE = class_norms(np.repeat([29_000, 31_000], 50))  # mean 30000, spread 1000


@given(npst.arrays(np.float32, (5, 3), elements=st.floats(0.0, 1.0, width=32)), st.floats(0.0, 1.0))
def test_close_is_what_sorting_says(scores: np.ndarray, margin: float) -> None:
    ordered = np.sort(scores, axis=1)
    assert is_close(scores, margin).tolist() == (ordered[:, -1] - ordered[:, -2] < margin).tolist()


def test_nothing_is_close_without_a_margin_or_a_second_class() -> None:
    assert not is_close(np.full((3, 2), 0.5, np.float32), 0.0).any()
    assert not is_close(np.ones((3, 1), np.float32), 1.0).any()
    assert is_close(np.zeros((0, 2), np.float32), 1.0).shape == (0,)


@pytest.mark.parametrize(("norm", "expected"), [(30_000, False), (33_999, False), (34_001, True), (25_999, True)])
def test_far_is_so_many_standard_deviations_from_the_class_given(norm: int, expected: bool) -> None:
    norms = {"rice": RICE, "stone": class_norms(np.full(50, norm))}
    assert is_far(np.array([0]), np.array([norm]), NAMES, norms, sigmas=4.0).tolist() == [expected]


def test_a_class_of_one_shade_is_not_far_from_its_next_grey_level() -> None:
    flat = {"rice": class_norms(np.full(100, 30_000))}
    found = is_far(np.array([0, 0]), np.array([30_000 + 4 * 256, 30_000 + 5 * 258]), NAMES, flat, sigmas=4.0)
    assert found.tolist() == [False, True]


def test_nothing_is_far_of_classes_hardly_known_or_objects_without_one_or_no_sigmas() -> None:
    ids, norms = np.array([0, 1, -1]), np.array([0, 0, 0])
    few = {"rice": class_norms(np.full(19, 60_000)), "stone": ClassNorms()}
    assert not is_far(ids, norms, NAMES, few, sigmas=1.0).any()
    assert not is_far(np.array([-1]), np.array([0]), NAMES, {"rice": RICE}, sigmas=1.0).any()
    assert not is_far(np.array([0]), np.array([0]), NAMES, {"rice": RICE}, sigmas=0.0).any()
    assert is_far(np.array([0]), np.array([0]), NAMES, {"rice": class_norms(np.full(20, 60_000))}, sigmas=1.0).all()


def view(ticks: list[int], class_ids: list[int]) -> ExpectedObjects:
    count = len(ticks)
    return ExpectedObjects(
        np.array(ticks, np.int64), np.zeros(count, np.int64), np.array(class_ids, np.int64), np.zeros(count, np.bool_)
    )


def test_views_disagree_where_one_piece_has_two_names() -> None:
    first = view([0, 100, 200, 300, 400, 500], [0, 0, 1, -1, 1, 1])
    second = view([402, 301, 198, 103, 1, 500], [0, 1, 1, 1, 0, -2])
    own, other = disagreements(first, second, 5)
    assert list(zip(own.tolist(), other.tolist(), strict=True)) == [(4, 0), (1, 3)]


def test_pieces_that_two_views_cannot_tell_apart_are_left_out() -> None:
    own, other = disagreements(view([0, 4], [0, 0]), view([2], [1]), 5)
    assert (own.size, other.size) == (0, 0)
