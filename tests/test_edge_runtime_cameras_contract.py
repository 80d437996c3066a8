"""What every camera promises, whatever it is."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from camera_rigs import RIGS, CameraRig, is_gone_after, take_soon

from edge_runtime.errors import CameraError
from firmware_bridge.clock import NS_PER_S, SystemClock


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CameraRig]:
    made = RIGS[request.param](tmp_path)
    yield made
    made.close()


def test_ids_and_exposures_ascend(rig: CameraRig) -> None:
    camera, seen = rig.open(), []
    for _ in range(4):
        rig.feed()
        frame = take_soon(camera)
        seen.append((frame.frame_id, frame.exposed_ns))
    camera.close()
    assert all(later[0] > earlier[0] and later[1] > earlier[1] for earlier, later in itertools.pairwise(seen))
    assert 0 <= seen[0][0] <= seen[-1][0] < 1000


def test_pixels_are_bytes_of_the_promised_shape(rig: CameraRig) -> None:
    camera = rig.open()
    rig.feed()
    frame = take_soon(camera)
    assert frame.pixels.dtype == np.uint8
    assert (frame.pixels.shape, frame.is_complete) == (rig.shape, True)
    camera.close()


def test_exposures_are_on_the_clock_and_in_the_past(rig: CameraRig) -> None:
    clock = SystemClock()
    before_ns = clock.monotonic_ns()
    camera = rig.open()
    rig.feed()
    frame = take_soon(camera)
    assert before_ns - NS_PER_S < frame.exposed_ns <= clock.monotonic_ns()
    camera.close()


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_without_a_frame_none_is_returned_within_the_limit(rig: CameraRig, timeout_s: float) -> None:
    clock, camera, given = SystemClock(), rig.open(), []
    rig.starve(camera)
    for _ in range(3):  # on a computer that is busy elsewhere a frame may have come in between
        started_ns = clock.monotonic_ns()
        given.append(camera.take(timeout_s))
        assert clock.monotonic_ns() - started_ns < (timeout_s + 2.0) * NS_PER_S
        if given[-1] is None:
            break
    assert given[-1] is None
    rig.feed()
    take_soon(camera)  # and the next one is not lost
    camera.close()


def test_closing_twice_is_harmless_and_a_closed_camera_gives_nothing(rig: CameraRig) -> None:
    camera = rig.open()
    rig.feed()
    take_soon(camera)
    camera.close()
    camera.close()
    for _ in range(2):
        with pytest.raises(CameraError):
            camera.take(0.01)


def test_pixels_may_still_be_read_when_the_camera_is_closed(rig: CameraRig) -> None:
    camera = rig.open()
    rig.feed()
    pixels = take_soon(camera).pixels
    camera.close()
    assert 0 <= int(pixels.max()) <= 255


def test_a_camera_that_is_gone_says_so_and_can_be_opened_again(rig: CameraRig) -> None:
    camera = rig.open()
    rig.feed()
    take_soon(camera)
    rig.vanish(camera)
    assert is_gone_after(camera, takes=8)
    with pytest.raises(CameraError):
        camera.take(0.01)
    camera.close()
    again = rig.open()
    rig.feed()
    assert take_soon(again).pixels.shape == rig.shape
    again.close()
