"""The survey: no sample is judged by a model that saw its group; who cannot tell says nothing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.judge.blind_part import BlindPart
from trainer.loop.cross_fit import blind_parts, survey
from trainer.pool.sample_table import SampleTable, empty_table


class Recorder:
    """Scores each tested row by the number of its part: part 0 gives class 0 all, part 1 gives class 1 all."""

    def __init__(self, class_count: int) -> None:
        self.class_count = class_count
        self.parts: list[BlindPart] = []
        self.steps = 0

    def score_blind(self, parts: Sequence[BlindPart], steps: int) -> list[NDArray[np.float32]]:
        self.parts, self.steps = list(parts), steps
        told = []
        for at, part in enumerate(parts):
            scores = np.zeros((len(part.tested), self.class_count), np.float32)
            scores[part.tested, at] = 1.0
            told.append(scores)
        return told


def table(class_ids: list[int], groups: list[str] | None = None) -> SampleTable:
    count = len(class_ids)
    empty = empty_table(("good", "husk"), side_px=8, channels=1)
    names = tuple(groups or (f"g{at}" for at in range(count)))
    ids = tuple(f"{at:064x}" for at in range(count))
    return replace(empty, ids=ids, class_ids=np.array(class_ids, np.int64), groups=names)


@given(
    members=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.booleans()), min_size=1, max_size=30),
)
def test_no_group_is_on_both_sides_and_only_the_pool_trains(members: list[tuple[int, int, bool]]) -> None:
    pool = np.array([in_pool for _, group, in_pool in members], np.bool_)
    groups = [f"g{group}" if in_pool else f"held{group}" for _, group, in_pool in members]
    recorder = Recorder(2)
    scores = survey(table([k for k, _, _ in members], groups), pool, recorder, 7)
    assert scores.shape == (len(members), 2)
    assert scores.dtype == np.float16
    assert recorder.steps == 7
    for part in recorder.parts:
        inside = {groups[row] for row in np.flatnonzero(part.training)}
        assert inside
        assert inside.isdisjoint(groups[row] for row in np.flatnonzero(part.tested))
        assert not (part.training & ~pool).any()
    tested = np.sum([part.tested for part in recorder.parts], axis=0) if recorder.parts else np.zeros(len(members))
    assert (tested[pool] <= 1).all()


def test_each_half_is_judged_by_the_other_and_the_rest_by_both() -> None:
    class_ids = [0, 0, 0, 0, 1, 1, 1, 1, 0, 1]
    pool = np.array([True] * 8 + [False] * 2)
    recorder = Recorder(2)
    scores = survey(table(class_ids), pool, recorder, 1)
    first, second = recorder.parts
    assert first.training.sum() == second.training.sum() == 4
    assert np.array_equal(first.training | second.training, pool)
    assert scores[first.tested & pool].tolist() == [[1.0, 0.0]] * 4
    assert scores[second.tested & pool].tolist() == [[0.0, 1.0]] * 4
    assert scores[~pool].tolist() == [[0.5, 0.5]] * 2


def test_a_model_without_samples_of_a_class_says_nothing_of_it() -> None:
    """All of class 1 is one group: the half that holds it cannot be asked about it by the other half."""
    class_ids = [0, 0, 0, 0, 1, 1, 1]
    groups = ["a", "b", "c", "d", "e", "e", "e"]
    recorder = Recorder(2)
    scores = survey(table(class_ids, groups), np.ones(7, np.bool_), recorder, 1)
    assert not scores[4:].any()
    assert scores[:4].any(axis=1).all()


def test_one_group_makes_one_fit_that_nobody_learns_from() -> None:
    parts = blind_parts(np.array([0, 0]), np.array([True, True]))
    assert [part.training.tolist() for part in parts] == [[True, True]]
    assert [part.tested.tolist() for part in parts] == [[False, False]]
