"""What a reader takes from a ring is a whole frame or told to be none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import FrameError, OverloadError
from edge_runtime.live.frame_ring import FrameRing, RingShape
from edge_runtime.live.shared_memory import SharedMemory

SHAPE = RingShape(slots=5, lines=4, width_px=3, bands=2)


def frame(number: int, lines: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((lines, 3, 2), number % 251, np.uint8)


@given(st.integers(0, 30))
def test_the_ring_holds_its_latest_frames_but_the_slot_that_is_next(count: int) -> None:
    ring = FrameRing.create("test", SHAPE)
    for number in range(count):
        assert ring.write(frame(number), first_line=4 * number, frame_id=number, exposed_ns=number) == number

    held = [number for number in range(count + 3) if ring.read(number) is not None]
    assert held == list(range(max(0, count - (SHAPE.slots - 1)), count))
    for number in held:
        found = ring.read(number)
        assert found is not None
        assert (found.first_line, found.frame_id, found.end_line) == (4 * number, number, 4 * number + 4)
        assert np.array_equal(found.pixels, frame(number))


def test_a_frame_that_is_read_is_told_to_be_gone_one_frame_before_it_is_overwritten() -> None:
    ring = FrameRing.create("test", SHAPE)
    for number in range(SHAPE.slots - 1):
        ring.write(frame(number), first_line=0, frame_id=0, exposed_ns=0)
    oldest = ring.read(0)
    assert oldest is not None

    ring.write(frame(9), first_line=0, frame_id=0, exposed_ns=0)

    assert not ring.is_intact(0)
    assert oldest.pixels[0, 0, 0] == 0  # and yet its pixels are still there


def test_another_process_sees_the_same_ring() -> None:
    ring = FrameRing.create("test", SHAPE)
    other = FrameRing(SharedMemory.attach(ring.memory.fd))
    ring.write(frame(7, lines=2), first_line=5, frame_id=6, exposed_ns=8)

    found = other.read(0)

    assert other.shape == SHAPE
    assert found is not None
    assert (found.end_line, found.exposed_ns, int(found.pixels.sum())) == (7, 8, 7 * 12)


def test_who_was_not_told_is_noted_with_the_frame_and_goes_with_it() -> None:
    ring = FrameRing.create("test", SHAPE)
    ring.write(frame(0), first_line=0, frame_id=0, exposed_ns=0)
    ring.mark_unannounced(0)
    ring.write(frame(1), first_line=0, frame_id=0, exposed_ns=0)

    assert [ring.is_unannounced(number) for number in range(3)] == [True, False, False]
    for number in range(2, 6):
        ring.write(frame(number), first_line=0, frame_id=0, exposed_ns=0)
    assert not ring.is_unannounced(5)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((5, 3, 2), np.uint8),
        np.zeros((4, 2, 2), np.uint8),
        np.zeros((4, 3, 1), np.uint8),
        np.zeros((4, 3, 2), np.uint16),
    ],
)
def test_a_frame_of_another_shape_is_refused_and_changes_nothing(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    ring = FrameRing.create("test", SHAPE)
    with pytest.raises(FrameError, match="the ring holds"):
        ring.write(pixels, first_line=0, frame_id=0, exposed_ns=0)
    assert ring.published == 0


def test_memory_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(
        OverloadError, match=r"MiB of shared memory for frames-test, .* MiB are there; lower live.ring_frames"
    ):
        FrameRing.create("test", RingShape(1024, 16384, 16384, 30))
