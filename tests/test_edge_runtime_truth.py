"""Rules of truth: who is matched with whom, who is audited, and that norm sums are exact."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import objects_at, verdicts_at

from edge_runtime.norm import ClassNorms, class_norms
from edge_runtime.truth import (
    ExpectedObjects,
    Matches,
    NormStatistics,
    Outcome,
    Verdicts,
    audit_objects,
    classify_matches,
    is_audit_object,
    match_verdicts,
    norm_statistics,
    teach_lot_mistakes,
)

TOLERANCE = 5
POINTS = st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 2)), max_size=25)


def pairs_of(matches: Matches) -> set[tuple[int, int]]:
    return set(zip(matches.objects.tolist(), matches.verdicts.tolist(), strict=True))


def plain_pairs(objects: list[tuple[int, int]], verdicts: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Do what match_verdicts does, the slow and obvious way."""
    edges = [
        (i, j)
        for i, (tick, lane) in enumerate(objects)
        for j, (seen, seen_lane) in enumerate(verdicts)
        if lane == seen_lane and abs(tick - seen) <= TOLERANCE
    ]
    own, others = [i for i, _ in edges], [j for _, j in edges]
    return {(i, j) for i, j in edges if own.count(i) == 1 and others.count(j) == 1}


def test_teach_lot_mistakes_are_all_objects_of_another_class() -> None:
    assert teach_lot_mistakes(np.array([1, 0, 1, 2, -1]), 1).tolist() == [False, True, False, True, True]


@given(POINTS, POINTS)
def test_matching_is_what_the_plain_rule_says(objects: list[tuple[int, int]], verdicts: list[tuple[int, int]]) -> None:
    matches = match_verdicts(objects_at(objects), verdicts_at(verdicts), TOLERANCE)
    assert pairs_of(matches) == plain_pairs(objects, verdicts)


@given(POINTS, POINTS)
def test_every_verdict_is_counted_once_and_matching_is_one_to_one(
    objects: list[tuple[int, int]], verdicts: list[tuple[int, int]]
) -> None:
    matches = match_verdicts(objects_at(objects), verdicts_at(verdicts), TOLERANCE)
    assert matches.matched + matches.ambiguous + matches.unmatched == len(verdicts)
    assert matches.matched == len(set(matches.objects.tolist())) == len(set(matches.verdicts.tolist()))
    assert matches.verdicts.tolist() == sorted(matches.verdicts.tolist())


@given(POINTS, POINTS, st.randoms(use_true_random=False))
def test_matching_does_not_depend_on_order(
    objects: list[tuple[int, int]], verdicts: list[tuple[int, int]], random: Any
) -> None:
    own_order = random.sample(range(len(objects)), len(objects))
    other_order = random.sample(range(len(verdicts)), len(verdicts))
    plain = match_verdicts(objects_at(objects), verdicts_at(verdicts), TOLERANCE)
    mixed = match_verdicts(
        objects_at([objects[i] for i in own_order]), verdicts_at([verdicts[j] for j in other_order]), TOLERANCE
    )
    assert {(own_order[i], other_order[j]) for i, j in pairs_of(mixed)} == pairs_of(plain)
    assert (mixed.ambiguous, mixed.unmatched) == (plain.ambiguous, plain.unmatched)


@given(POINTS, POINTS, st.integers(-(2**50), 2**50))
def test_matching_does_not_depend_on_where_ticks_begin(
    objects: list[tuple[int, int]], verdicts: list[tuple[int, int]], shift: int
) -> None:
    def moved(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(tick + shift, lane) for tick, lane in points]

    plain = match_verdicts(objects_at(objects), verdicts_at(verdicts), TOLERANCE)
    shifted = match_verdicts(objects_at(moved(objects)), verdicts_at(moved(verdicts)), TOLERANCE)
    assert pairs_of(shifted) == pairs_of(plain)


@pytest.mark.parametrize(
    ("objects", "verdicts", "expected"),
    [
        ([(0, 0)], [(5, 0)], (1, 0, 0)),
        ([(0, 0)], [(6, 0)], (0, 0, 1)),
        ([(0, 0)], [(0, 1)], (0, 0, 1)),
        ([(0, 0), (4, 0)], [(2, 0)], (0, 1, 0)),
        ([(0, 0)], [(-1, 0), (1, 0)], (0, 2, 0)),
        ([(0, 0), (9, 0)], [(4, 0), (-3, 0)], (0, 2, 0)),
        ([], [(0, 0)], (0, 0, 1)),
        ([(0, 0)], [], (0, 0, 0)),
    ],
    ids=["edge", "beyond", "lane", "two objects", "two verdicts", "shared object", "no object", "no verdict"],
)
def test_what_is_not_certain_is_not_matched(
    objects: list[tuple[int, int]], verdicts: list[tuple[int, int]], expected: tuple[int, int, int]
) -> None:
    matches = match_verdicts(objects_at(objects), verdicts_at(verdicts), TOLERANCE)
    assert (matches.matched, matches.ambiguous, matches.unmatched) == expected


@pytest.mark.parametrize("pitch", [2, 5, 10, 20, 40, 80])
@pytest.mark.parametrize("shift", [11, 57, 1000, -300])
def test_shifted_clock_is_not_trusted(pitch: int, shift: int) -> None:
    """Pieces that fall at random, at any density: a wrong clock never looks like a right one."""
    rng = np.random.default_rng(pitch)
    ticks = rng.integers(0, 2000 * pitch, 2000)
    points = [(int(tick), 0) for tick in ticks]
    wrong = [(tick + shift, lane) for tick, lane in points]
    assert not match_verdicts(objects_at(points), verdicts_at(wrong), TOLERANCE).is_trustworthy


def test_right_clock_with_jitter_and_lost_verdicts_is_trusted() -> None:
    rng = np.random.default_rng(0)
    ticks = np.sort(rng.integers(0, 200_000, 2000))
    seen = [(int(tick + rng.integers(-3, 4)), 0) for tick in ticks[rng.random(2000) < 0.5]]
    matches = match_verdicts(objects_at([(int(t), 0) for t in ticks]), verdicts_at(seen), TOLERANCE)
    assert matches.is_trustworthy
    assert matches.matched_share > 0.75


def test_no_verdicts_are_no_reason_to_trust() -> None:
    assert not match_verdicts(objects_at([(0, 0)]), verdicts_at([]), TOLERANCE).is_trustworthy


def test_wrong_class_is_a_mistake_and_a_stray_piece_an_ejection_fault() -> None:
    count = 4
    ticks, lanes = np.arange(count, dtype=np.int64) * 100, np.zeros(count, np.int64)
    is_eject = np.array([True, True, True, True])
    objects = ExpectedObjects(ticks, lanes, np.array([1, 1, 1, 1]), is_eject)
    verdicts = Verdicts(ticks, lanes, np.array([1, 0, 1, 0]), np.array([True, True, False, False]))
    outcomes = classify_matches(match_verdicts(objects, verdicts, TOLERANCE), objects, verdicts)
    assert outcomes.tolist() == [
        Outcome.RIGHT,
        Outcome.MISCLASSIFIED,
        Outcome.EJECTION_FAULT,
        Outcome.MISCLASSIFIED,
    ]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.25])
def test_audit_takes_the_stated_share(rate: float) -> None:
    count = 200_000
    lines = np.arange(count, dtype=np.int64)
    taken = int(audit_objects(("mill-1", "lot-7", "top"), lines, np.full(count, 3, np.int32), rate).sum())
    assert abs(taken - rate * count) < 4 * (count * rate * (1 - rate)) ** 0.5


def test_audit_rate_of_zero_takes_nothing_and_of_one_everything() -> None:
    lines, columns = np.arange(1000, dtype=np.int64), np.zeros(1000, np.int32)
    assert not audit_objects(("m", "l", "c"), lines, columns, 0.0).any()
    assert audit_objects(("m", "l", "c"), lines, columns, 1.0).all()


def test_audit_is_independent_of_neighbours_lots_and_cameras() -> None:
    """Two slices of rate 1/2 agree on half of the objects."""
    lines, columns = np.arange(40_000, dtype=np.int64), np.zeros(40_000, np.int32)
    first = audit_objects(("mill-1", "lot-7", "top"), lines, columns, 0.5)
    for other in (("mill-2", "lot-7", "top"), ("mill-1", "lot-8", "top"), ("mill-1", "lot-7", "side")):
        agreement = float((first == audit_objects(other, lines, columns, 0.5)).mean())
        assert abs(agreement - 0.5) < 0.01
    assert abs(float((first[1:] == first[:-1]).mean()) - 0.5) < 0.01


@given(st.permutations(list(range(40))))
def test_audit_does_not_depend_on_order(order: list[int]) -> None:
    lines, columns = np.arange(40, dtype=np.int64), np.arange(40, dtype=np.int32) * 7
    names = ("mill-1", "lot-7", "top")
    plain = audit_objects(names, lines, columns, 0.5)
    assert audit_objects(names, lines[order], columns[order], 0.5).tolist() == plain[order].tolist()


def test_higher_audit_rate_keeps_the_objects_of_a_lower_one() -> None:
    places = [(line, 5) for line in range(5000)]
    low = {place for place in places if is_audit_object("m", "l", "c", place, 0.05)}
    high = {place for place in places if is_audit_object("m", "l", "c", place, 0.2)}
    assert set() < low < high


NORMS = st.lists(st.tuples(st.sampled_from(["husk", "rice", "stone"]), st.integers(0, 65536)), max_size=40)


def statistics_of(samples: list[tuple[str, int]], model_id: str = "m") -> NormStatistics:
    labels = [label for label, _ in samples]
    return norm_statistics(model_id, "r", labels, np.array([norm for _, norm in samples], np.int64))


def norms_of(samples: list[tuple[str, int]], label: str) -> NDArray[np.int64]:
    return np.array([norm for name, norm in samples if name == label], np.int64)


@given(NORMS, NORMS)
def test_norm_sums_add_up_in_any_split_and_order(first: list[tuple[str, int]], second: list[tuple[str, int]]) -> None:
    whole = statistics_of(first + second)
    assert statistics_of(first).plus(statistics_of(second)) == whole
    assert statistics_of(second).plus(statistics_of(first)) == whole
    assert whole.count == len(first) + len(second)
    assert whole.by_label() == {
        label: class_norms(norms_of(first + second, label)) for label in sorted({name for name, _ in first + second})
    }


def test_norm_sums_of_several_models_stay_apart_until_asked() -> None:
    both = statistics_of([("rice", 10)], "m1").plus(statistics_of([("rice", 20)], "m2"))
    assert [entry.model_id for entry in both.entries] == ["m1", "m2"]
    assert both.by_label() == {"rice": ClassNorms(2, 30, 500)}


def test_norm_sums_survive_json() -> None:
    statistics = statistics_of([("rice", 10), ("stone", 65536)])
    assert msgspec.json.decode(msgspec.json.encode(statistics), type=NormStatistics) == statistics
