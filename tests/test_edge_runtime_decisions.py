"""The digest proves that two runs decided the same: any order, but no other difference."""

from collections.abc import Callable
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import OVERSIZE, Decisions, Pulses, decisions_sha256

NAMES = ("good", "stone", "husk")
Part = tuple[Decisions, Pulses]


def make_part(rows: list[tuple[int, int, int, bool]], pulses: list[tuple[int, int, int, int, int]]) -> Part:
    """Decisions from (line, column, class id, is eject), pulses from their five numbers."""
    count = len(rows)
    table = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3)
    decisions = Decisions(
        camera="top",
        lines=table[:, 0],
        columns=table[:, 1].astype(np.int32),
        boxes_px=np.zeros((count, 4), np.int64),
        centres_mm=np.zeros((count, 2)),
        lengths_mm=np.zeros(count),
        widths_mm=np.zeros(count),
        angles_deg=np.zeros(count),
        class_ids=table[:, 2],
        scores=np.zeros((count, 3), np.float32),
        is_eject=np.array([row[3] for row in rows], np.bool_),
        norm_numerators=np.zeros(count, np.int64),
        norm_denominators=np.ones(count, np.int64),
        pixels=np.zeros((count, 8, 8, 3), np.uint8),
        masks=np.zeros((count, 8, 8), np.bool_),
    )
    columns = np.array(pulses, np.int64).reshape(-1, 5)
    owners, first, valves, open_us, pulse_us = columns.T
    return decisions, Pulses(owners, first.astype(np.int32), valves.astype(np.int32), open_us, pulse_us)


def a_part() -> Part:
    rows = [(10, 3, 0, False), (12, 5, 1, True), (12, 9, OVERSIZE, True)]
    return make_part(rows, [(1, 4, 2, 1000, 500), (1, 9, 1, 1010, 500), (2, 7, 1, 1100, 600)])


def digest(*parts: Part) -> str:
    return decisions_sha256(parts, NAMES)


ROWS = st.lists(
    st.tuples(st.integers(0, 10**12), st.integers(0, 16383), st.integers(OVERSIZE, 2), st.booleans()), max_size=12
)


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_digest_depends_on_no_order_and_no_cut(
    rows: list[tuple[int, int, int, bool]], random: Random, cut: int
) -> None:
    def pulses(some: list[tuple[int, int, int, bool]]) -> list[tuple[int, int, int, int, int]]:
        return [(i, row[1] % 50, 1, row[0] + 1000, 500) for i, row in enumerate(some) if row[3]]

    shuffled = list(rows)
    random.shuffle(shuffled)
    parts = [make_part(some, pulses(some)) for some in (shuffled[cut:], shuffled[:cut])]
    assert digest(*parts) == digest(make_part(rows, pulses(rows)))


def test_order_of_an_objects_pulses_does_not_count() -> None:
    decisions, pulses = a_part()
    turned = Pulses(*(getattr(pulses, name)[::-1] for name in Pulses.__struct_fields__))
    assert digest((decisions, turned)) == digest((decisions, pulses))


def test_object_seen_twice_counts_twice() -> None:
    assert digest(a_part(), a_part()) != digest(a_part())


@pytest.mark.parametrize("field", ["lines", "columns", "class_ids", "is_eject"])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_digest_changes_with_id_class_and_action(field: str, row: int) -> None:
    decisions, pulses = a_part()
    values = getattr(decisions, field).copy()
    values[row] = not values[row] if field == "is_eject" else (values[row] + 2) % 3 if field == "class_ids" else 77
    assert digest((msgspec.structs.replace(decisions, **{field: values}), pulses)) != digest(a_part())


@pytest.mark.parametrize("field", Pulses.__struct_fields__)
def test_digest_changes_with_owner_valves_and_time_of_a_pulse(field: str) -> None:
    decisions, pulses = a_part()
    values = getattr(pulses, field).copy()
    values[0] = values[0] + 1
    assert digest((decisions, msgspec.structs.replace(pulses, **{field: values}))) != digest(a_part())


def test_digest_changes_with_the_camera_and_the_class_names() -> None:
    decisions, pulses = a_part()
    assert digest((msgspec.structs.replace(decisions, camera="side"), pulses)) != digest(a_part())
    assert decisions_sha256([a_part()], ("good", "stones", "husk")) != digest(a_part())


def test_oversize_object_differs_from_one_of_the_last_class() -> None:
    oversize, last = (make_part([(1, 2, class_id, True)], []) for class_id in (OVERSIZE, 2))
    assert digest(oversize) != digest(last)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: msgspec.structs.replace(d, scores=d.scores + 1),
        lambda d: msgspec.structs.replace(d, boxes_px=d.boxes_px + 1),
        lambda d: d.without_crops(),
    ],
    ids=["scores", "boxes", "crops"],
)
def test_digest_takes_decisions_not_what_led_to_them(change: Callable[[Decisions], Decisions]) -> None:
    decisions, pulses = a_part()
    assert digest((change(decisions), pulses)) == digest(a_part())


def test_digest_is_known() -> None:
    """Other machines and later releases must find the same."""
    assert digest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest(a_part()) == "5599fb1839b995a1942d2abe256aaa0ce814e0ebd6a6a1d2416e20b7a823bdb9"


@given(ROWS)
def test_select_and_concat_undo_each_other(rows: list[tuple[int, int, int, bool]]) -> None:
    whole, _ = make_part(rows, [])
    halves = [whole.select(np.arange(len(rows)) < 5), whole.select(np.arange(len(rows)) >= 5)]
    assert [len(half) for half in halves] == [min(5, len(rows)), max(0, len(rows) - 5)]
    again = Decisions.concat(halves)
    for name in Decisions.__struct_fields__:
        assert np.array_equal(getattr(again, name), getattr(whole, name))


def test_empty_decisions_join_with_any() -> None:
    decisions, _ = a_part()
    empty = Decisions.empty("top", CropSpec(side_px=8), 3)
    assert len(empty) == 0
    joined = Decisions.concat([empty, decisions])
    for name in Decisions.__struct_fields__:
        value = getattr(joined, name)
        assert np.array_equal(value, getattr(decisions, name))
        assert name == "camera" or value.dtype == getattr(decisions, name).dtype


def test_decisions_without_crops_keep_everything_else() -> None:
    decisions, _ = a_part()
    kept = decisions.without_crops()
    assert (kept.pixels.nbytes, kept.masks.nbytes) == (0, 0)
    assert kept.select(np.array([2])).lines.tolist() == [12]
