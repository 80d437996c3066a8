"""The highest score names the class; an eject class fires from its sensitivity on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decide import decide
from edge_runtime.schemas import Action, ClassRule, Recipe

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


COSTS = st.floats(0.0, 100.0)


def priced(name: str, accept: float, eject: float, sensitivity: float = 1.0) -> ClassRule:
    action: Action = "eject" if accept > eject else "accept"
    return ClassRule(name, action, sensitivity=sensitivity, accept_cost=accept, eject_cost=eject)


@given(st.lists(st.tuples(SCORES, SCORES, SCORES), max_size=20), st.data())
def test_of_two_actions_the_one_of_less_expected_cost_is_taken(
    rows: list[tuple[float, ...]], data: st.DataObject
) -> None:
    rules = tuple(priced(name, data.draw(COSTS), data.draw(COSTS)) for name in ("a", "b", "c"))
    is_eject = decide(np.array(rows, np.float32).reshape(-1, 3), Recipe(rules))[1].tolist()
    for row, ejected in zip(rows, is_eject, strict=True):
        accepting = sum(score * (rule.accept_cost or 0.0) for score, rule in zip(row, rules, strict=True))
        ejecting = sum(score * (rule.eject_cost or 0.0) for score, rule in zip(row, rules, strict=True))
        if abs(accepting - ejecting) > 1e-4 * (accepting + ejecting):
            assert ejected == (accepting > ejecting)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20), st.booleans(), st.floats(1.0, 50.0))
def test_a_more_sensitive_eject_class_never_ejects_less(
    rows: list[tuple[float, ...]], has_costs: bool, sensitivity: float
) -> None:
    scores = np.array(rows, np.float32)

    def ejected(weight: float) -> list[bool]:
        rules = (priced("a", 0.0, 1.0), priced("b", 5.0, 0.0, weight))
        plain = (ClassRule("a"), ClassRule("b", "eject", sensitivity=weight))
        found: list[bool] = decide(scores, Recipe(rules if has_costs else plain))[1].tolist()
        return found

    assert all(more or not less for less, more in zip(ejected(1.0), ejected(sensitivity), strict=True))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20), st.floats(0.1, 10.0))
def test_class_is_the_highest_score_whatever_the_sensitivity(rows: list[tuple[float, ...]], weight: float) -> None:
    recipe = Recipe((ClassRule("a"), ClassRule("b", "eject", sensitivity=weight)))
    assert decide(np.array(rows, np.float32), recipe)[0].tolist() == [row.index(max(row)) for row in rows]


def test_twice_as_sensitive_wins_at_half_the_score() -> None:
    recipe = Recipe((ClassRule("a"), ClassRule("b", "eject", sensitivity=2.0)))
    class_ids, is_eject = decide(np.array([[0.65, 0.35], [0.7, 0.3]], np.float32), recipe)
    assert (class_ids.tolist(), is_eject.tolist()) == ([0, 0], [True, False])


def test_equal_costs_let_the_object_pass() -> None:
    recipe = Recipe((priced("a", 0.0, 1.0), priced("b", 1.0, 0.0)))
    assert decide(np.array([[0.5, 0.5]], np.float32), recipe)[1].tolist() == [False]
