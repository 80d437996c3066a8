"""What is read from a ring of records is what was written, or told to be gone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.decisions import Decisions
from edge_runtime.live.record_ring import FrameKey, RecordRing
from edge_runtime.live.shared_memory import SharedMemory

RING_B = 1 << 16


def decisions(objects: int, seed: int, *, side: int = 16, classes: int = 3, channels: int = 3) -> Decisions:
    """Return decisions full of noise: no two bytes alike by chance alone."""
    rng = np.random.default_rng(seed)
    return Decisions(
        "top",
        rng.integers(0, 2**60, objects),
        rng.integers(0, 2**30, objects).astype(np.int32),
        rng.integers(0, 2**60, (objects, 4)),
        rng.random((objects, 2)),
        rng.random(objects),
        rng.random(objects),
        rng.random(objects),
        rng.integers(-3, 9, objects),
        rng.random((objects, classes)).astype(np.float32),
        rng.random(objects) < 0.5,
        rng.integers(0, 2**40, objects),
        rng.integers(1, 2**30, objects),
        rng.integers(0, 256, (objects, side, side, channels)).astype(np.uint8),
        rng.random((objects, side, side)) < 0.5,
    )


def key(number: int) -> FrameKey:
    return FrameKey(number % 3, number, number + 5, 128 * number, 10**9 * number, is_own=number % 2 == 0)


def equal(one: Decisions, other: Decisions) -> bool:
    names = Decisions.__struct_fields__[1:]
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return same and all(getattr(one, name).dtype == getattr(other, name).dtype for name in names)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 3))
def test_records_come_back_whole_and_the_oldest_are_told_to_be_gone(sizes: list[int], channels: int) -> None:
    ring = RecordRing.create("test", RING_B)
    other = RecordRing(SharedMemory.attach(ring.memory.fd))
    written = [decisions(size, number, channels=channels) for number, size in enumerate(sizes)]
    places = [ring.write(key(number), one) for number, one in enumerate(written)]

    found = [other.read(at_b, "top") for at_b in places]

    is_there = [one is not None for one in found]
    assert is_there == sorted(is_there)  # the oldest go first
    assert is_there[-1]
    for number, one in enumerate(found):
        if one is not None:
            assert one[0] == key(number)
            assert equal(one[1], written[number])


def test_a_successor_goes_on_where_the_killed_writer_was() -> None:
    ring = RecordRing.create("test", RING_B)
    first = ring.write(key(0), decisions(3, 0))
    successor = RecordRing(SharedMemory.attach(ring.memory.fd))
    second = successor.write(key(1), decisions(3, 1))

    assert [ring.read(at_b, "top") is not None for at_b in (first, second)] == [True, True]


def test_what_is_overwritten_while_it_is_read_is_told_to_be_gone() -> None:
    """The writer claims before it writes: a reader in between sees the claim."""
    ring = RecordRing.create("test", RING_B)
    first = ring.write(key(0), decisions(12, 0))
    for number in range(1, 9):
        ring.write(key(number), decisions(12, number))
    assert ring.read(first, "top") is None


def test_crops_that_do_not_fit_are_left_out_and_the_decisions_stay() -> None:
    ring = RecordRing.create("test", RING_B)
    many = decisions(40, 1)
    found = ring.read(ring.write(key(0), many), "top")

    assert found is not None
    assert len(found[1]) == 40
    assert found[1].pixels.size == 0
    assert np.array_equal(found[1].scores, many.scores)


def test_of_more_objects_than_any_record_holds_the_first_are_kept() -> None:
    ring = RecordRing.create("test", RING_B)
    found = ring.read(ring.write(key(0), decisions(1000, 1, side=1)), "top")

    assert found is not None
    assert 0 < len(found[1]) < 1000
