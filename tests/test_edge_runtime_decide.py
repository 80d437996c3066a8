"""The highest score names the class; an eject class fires from its sensitivity on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decide import decide
from edge_runtime.schemas import ClassRule, Recipe

SCORES = st.floats(0.0, 1.0, width=32)


@given(st.lists(st.tuples(SCORES, SCORES, SCORES), max_size=20), st.data())
def test_eject_needs_the_action_and_the_least_score(rows: list[tuple[float, ...]], data: st.DataObject) -> None:
    rules = tuple(
        ClassRule(name, data.draw(st.sampled_from(["accept", "eject"])), data.draw(SCORES)) for name in ("a", "b", "c")
    )
    class_ids, is_eject = decide(np.array(rows, np.float32).reshape(-1, 3), Recipe(rules))
    best = [row.index(max(row)) for row in rows]
    assert class_ids.tolist() == best
    assert is_eject.tolist() == [
        rules[k].action == "eject" and row[k] >= rules[k].min_score for k, row in zip(best, rows, strict=True)
    ]


def test_first_of_equal_scores_wins() -> None:
    recipe = Recipe((ClassRule("a"), ClassRule("b", "eject")))
    assert decide(np.array([[0.5, 0.5]], np.float32), recipe)[0].tolist() == [0]


def test_score_equal_to_the_sensitivity_ejects() -> None:
    recipe = Recipe((ClassRule("a"), ClassRule("b", "eject", min_score=0.7)))
    scores = np.array([[0.3, 0.7], [0.31, 0.69]], np.float32)
    assert decide(scores, recipe)[1].tolist() == [True, False]


def test_lower_sensitivity_never_ejects_more() -> None:
    scores = np.random.default_rng(1).random((200, 2)).astype(np.float32)
    counts = [
        int(decide(scores, Recipe((ClassRule("a"), ClassRule("b", "eject", least))))[1].sum())
        for least in np.linspace(0, 1, 21).tolist()
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
