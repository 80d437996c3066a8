"""The V4L2 driver, over a device in memory that can really be polled; test_..._contract tries real devices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_v4l2 import BUFFERS, MONOTONIC, FakeCapture, fourcc, open_descriptors

from edge_runtime.cameras.buffered_camera import BufferedCamera
from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.cameras.v4l2_camera import V4l2Driver, V4l2Settings, open_v4l2_camera
from edge_runtime.errors import CameraError
from firmware_bridge.clock import ManualClock

WIDTH, LINES = 32, 8
GREY = np.arange(WIDTH * LINES, dtype=np.uint8).reshape(LINES, WIDTH, 1)
ERROR = 0x40


@pytest.fixture
def captures() -> Iterator[list[FakeCapture]]:
    made: list[FakeCapture] = []
    yield made
    for capture in made:
        capture.close()


def opened(
    captures: list[FakeCapture], capture: FakeCapture | None = None, settings: V4l2Settings | None = None
) -> tuple[FakeCapture, BufferedCamera, ManualClock]:
    capture, clock = capture or FakeCapture(WIDTH, LINES), ManualClock()
    captures.append(capture)
    clock.advance_ns(10**12)
    return capture, BufferedCamera(V4l2Driver(capture, settings or V4l2Settings(WIDTH)), clock), clock


def taken(camera: BufferedCamera) -> CameraFrame:
    frame = camera.take(0.0)
    assert frame is not None
    return frame


def test_counter_stamp_and_pixels_are_the_devices(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures)
    capture.skip_sequence(41)
    capture.arrive(GREY, stamp_us=7_000_123)
    frame = taken(camera)
    assert (frame.frame_id, frame.exposed_ns, frame.is_complete) == (41, 7_000_123_000, True)
    assert np.array_equal(frame.pixels, GREY)


def test_a_counter_of_32_bits_goes_on(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures)
    capture.skip_sequence(2**32 - 1)
    capture.arrive(GREY)
    first = taken(camera).frame_id
    capture.skip_sequence(0)
    capture.arrive(GREY)
    assert (first, taken(camera).frame_id) == (2**32 - 1, 2**32)


def test_stamps_are_put_back_by_what_they_are_late(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures, settings=V4l2Settings(WIDTH, stamp_late_us=300))
    capture.arrive(GREY, stamp_us=1_000_000)
    assert taken(camera).exposed_ns == 999_700_000


@pytest.mark.parametrize("flags", [0x0, 0x4000, 0x8000])
def test_stamps_of_another_clock_are_not_taken(captures: list[FakeCapture], flags: int) -> None:
    capture, camera, clock = opened(captures)
    capture.arrive(GREY, stamp_us=1, flags=flags)
    assert taken(camera).exposed_ns == clock.monotonic_ns()


@pytest.mark.parametrize(
    ("flags", "missing_b", "is_complete"), [(MONOTONIC, 0, True), (MONOTONIC | ERROR, 0, False), (MONOTONIC, 1, False)]
)
def test_a_frame_with_an_error_or_missing_bytes_is_incomplete(
    captures: list[FakeCapture], flags: int, missing_b: int, is_complete: bool
) -> None:
    capture, camera, _ = opened(captures)
    capture.arrive(GREY, flags=flags, missing_b=missing_b)
    assert taken(camera).is_complete == is_complete


def test_incomplete_frames_use_no_buffers_up(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures)
    for _ in range(20):
        capture.arrive(GREY, flags=MONOTONIC | ERROR)
        taken(camera)
    assert camera.take(0.0) is None
    assert (capture.free, capture.lost) == (set(range(BUFFERS)), 0)


def test_frames_that_nobody_took_show_as_a_gap(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures)
    capture.arrive(GREY, count=10)
    ids = [taken(camera).frame_id for _ in range(BUFFERS)]
    capture.arrive(GREY)
    assert [*ids, taken(camera).frame_id] == [0, 1, 2, 3, 10]


def test_a_wake_without_a_frame_is_no_frame(captures: list[FakeCapture]) -> None:
    capture, camera, _ = opened(captures)
    capture.spurious_wake()
    assert camera.take(0.0) is None
    capture.arrive(GREY)
    assert taken(camera).frame_id == 0


@pytest.mark.parametrize("frames", [0, 1])
def test_an_unplugged_device_is_gone(captures: list[FakeCapture], frames: int) -> None:
    capture, camera, _ = opened(captures)
    capture.arrive(GREY, count=frames)
    for _ in range(frames):
        taken(camera)
    capture.unplug()
    with pytest.raises(CameraError, match="/dev/video9"):
        camera.take(5.0)
    assert (capture.is_streaming, capture.is_open) == (False, False)


@pytest.mark.parametrize(
    ("formats", "taken_format", "bands"),
    [
        (("GREY", "YUYV"), "YUYV", 3),
        (("YUYV", "BGR3", "GREY"), "BGR3", 3),
        (("GREY", "RGB3", "YUYV"), "RGB3", 3),
        (("MJPG", "GREY"), "GREY", 1),
    ],
)
@pytest.mark.parametrize("refuses_formats", [False, True])
def test_the_best_format_is_taken(
    captures: list[FakeCapture], formats: tuple[str, ...], taken_format: str, bands: int, *, refuses_formats: bool
) -> None:
    capture, camera, _ = opened(captures, FakeCapture(WIDTH, LINES, formats, refuses_formats=refuses_formats))
    assert capture.get_format().pixel_format == fourcc(taken_format)
    capture.arrive(np.zeros((LINES, WIDTH, capture.get_format().bytes_per_line // WIDTH), np.uint8))
    assert taken(camera).pixels.shape == (LINES, WIDTH, bands)


def test_a_format_that_is_asked_for_is_taken(captures: list[FakeCapture]) -> None:
    capture, _, _ = opened(captures, FakeCapture(WIDTH, LINES, ("BGR3", "GREY")), V4l2Settings(WIDTH, fourcc="GREY"))
    assert capture.get_format().pixel_format == fourcc("GREY")


@pytest.mark.parametrize(
    ("formats", "settings", "message"),
    [
        (("MJPG",), V4l2Settings(WIDTH), "no pixel format BGR3, RGB3"),
        (("GREY",), V4l2Settings(WIDTH, fourcc="BGR3"), "no pixel format BGR3:"),
        (("GREY",), V4l2Settings(WIDTH * 2), "gives 32 x 8 px, not 64 x 8"),
        (("GREY",), V4l2Settings(WIDTH, lines=9), "gives 32 x 8 px, not 32 x 9"),
    ],
)
def test_a_device_that_gives_nothing_of_use_is_refused_and_closed(
    captures: list[FakeCapture], formats: tuple[str, ...], settings: V4l2Settings, message: str
) -> None:
    capture = FakeCapture(WIDTH, LINES, formats)
    captures.append(capture)
    with pytest.raises(CameraError, match=message):
        V4l2Driver(capture, settings)
    assert not capture.is_open


@pytest.mark.parametrize("path", ["/dev/null", "/dev/nothing", "."])
def test_what_is_no_device_is_refused_and_left_closed(path: str) -> None:
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(CameraError, match=path):
            open_v4l2_camera(Path(path), V4l2Settings(WIDTH), ManualClock())
    assert open_descriptors() == before
