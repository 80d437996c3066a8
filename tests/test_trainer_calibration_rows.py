"""Crops for calibration cover every class from its darkest to its brightest sample."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.export.calibration_rows import calibration_rows

samples = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65536), st.booleans()), min_size=1, max_size=120)


@given(samples, st.integers(1, 60))
def test_rows_are_chosen_of_those_given_evenly_over_classes(rows: list[tuple[int, int, bool]], count: int) -> None:
    class_ids, norms, allowed = np.array(rows).T
    choice = np.flatnonzero(allowed)
    found = calibration_rows(class_ids, norms, choice, count=count)
    assert np.array_equal(found, np.unique(found))
    assert set(found) <= set(choice)
    if not len(choice):
        return
    classes = np.unique(class_ids[choice])
    each = -(-count // len(classes))
    for class_id in classes:
        own = choice[class_ids[choice] == class_id]
        taken = found[class_ids[found] == class_id]
        assert len(taken) == min(len(own), each)
        if len(taken) > 1:
            assert norms[taken].min() == norms[own].min()
            assert norms[taken].max() == norms[own].max()


@given(samples, st.integers(1, 60))
def test_the_order_of_the_rows_given_has_no_part(rows: list[tuple[int, int, bool]], count: int) -> None:
    class_ids, norms, _ = np.array(rows).T
    choice = np.arange(len(rows))
    assert np.array_equal(
        calibration_rows(class_ids, norms, choice, count=count),
        calibration_rows(class_ids, norms, choice[::-1], count=count),
    )


def test_a_class_with_few_gives_all() -> None:
    class_ids = np.array([0] * 100 + [1] * 3)
    found = calibration_rows(class_ids, np.arange(103), np.arange(103), count=20)
    assert np.bincount(class_ids[found]).tolist() == [10, 3]
    assert found[:10].tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
