"""Scores by norm alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.norm_classifier import NormClassifier
from edge_runtime.schemas import NormTable

COUNTS = st.integers(2, 20).flatmap(
    lambda bins: st.lists(st.lists(st.integers(0, 1000), min_size=bins, max_size=bins), min_size=1, max_size=5)
)


@given(COUNTS, st.lists(st.integers(0, 65536), max_size=20))
def test_scores_are_shares_that_add_up_to_one(counts: list[list[int]], norms: list[int]) -> None:
    names = tuple(f"c{i}" for i in range(len(counts)))
    table = NormTable(len(counts[0]), {name: tuple(row) for name, row in zip(names, counts, strict=True)})
    scores = NormClassifier(table, names).scores(np.array(norms, np.int64))

    assert scores.dtype == np.float32
    assert scores.shape == (len(norms), len(names))
    assert np.allclose(scores.sum(axis=1), 1.0, atol=1e-6)
    assert np.all(scores > 0)


def test_a_class_with_many_samples_is_not_likelier_than_one_with_few() -> None:
    table = NormTable(2, {"common": (900, 100), "rare": (1, 9)})
    scores = NormClassifier(table, ("common", "rare")).scores(np.array([0, 40_000]))
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_each_norm_falls_into_the_bin_of_the_table() -> None:
    table = NormTable(4, {"a": (9, 0, 9, 0), "b": (0, 9, 0, 9)})
    norms = np.array([0, 16_383, 16_384, 32_767, 32_768, 49_151, 49_152, 65_535, 65_536])
    scores = NormClassifier(table, ("a", "b")).scores(norms)
    assert scores.argmax(axis=1).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 1]


def test_the_order_of_the_scores_is_that_of_the_names() -> None:
    table = NormTable(2, {"a": (9, 0), "b": (0, 9)})
    norms = np.array([0])
    one, other = NormClassifier(table, ("a", "b")), NormClassifier(table, ("b", "a"))
    assert np.array_equal(one.scores(norms), other.scores(norms)[:, ::-1])
