"""The V4L2 driver, over a device in memory that can really be polled; test_..._contract tries real devices."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_v4l2 import BUFFERS, MONOTONIC, FakeStream, open_descriptors

from edge_runtime.cameras.buffered_camera import BufferedCamera
from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.cameras.v4l2_camera import V4l2Driver, V4l2Settings, open_v4l2_camera
from edge_runtime.errors import CameraError
from firmware_bridge.clock import ManualClock

PATH = Path("/dev/video9")
WIDTH, LINES = 32, 8
GREY = np.arange(WIDTH * LINES, dtype=np.uint8).reshape(LINES, WIDTH, 1)
ERROR = 0x40


@pytest.fixture
def streams() -> Iterator[list[FakeStream]]:
    made: list[FakeStream] = []
    yield made
    for stream in made:
        stream.stop()


def opened(
    streams: list[FakeStream], stream: FakeStream | None = None, settings: V4l2Settings | None = None
) -> tuple[FakeStream, BufferedCamera, ManualClock]:
    stream, clock = stream or FakeStream(WIDTH, LINES), ManualClock()
    streams.append(stream)
    clock.advance_ns(10**12)
    return stream, BufferedCamera(V4l2Driver(stream, PATH, settings or V4l2Settings(WIDTH)), clock), clock


def taken(camera: BufferedCamera) -> CameraFrame:
    frame = camera.take(0.0)
    assert frame is not None
    return frame


def test_counter_stamp_and_pixels_are_the_devices(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.skip_sequence(41)
    stream.arrive(GREY, stamp_us=7_000_123)
    frame = taken(camera)
    assert (frame.frame_id, frame.exposed_ns, frame.is_complete) == (41, 7_000_123_000, True)
    assert np.array_equal(frame.pixels, GREY)


def test_a_counter_of_32_bits_goes_on(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.skip_sequence(2**32 - 1)
    stream.arrive(GREY)
    first = taken(camera).frame_id
    stream.skip_sequence(0)
    stream.arrive(GREY)
    assert (first, taken(camera).frame_id) == (2**32 - 1, 2**32)


def test_stamps_are_put_back_by_what_they_are_late(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams, settings=V4l2Settings(WIDTH, stamp_late_us=300))
    stream.arrive(GREY, stamp_us=1_000_000)
    assert taken(camera).exposed_ns == 999_700_000


def test_other_flags_do_not_matter(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.arrive(GREY, stamp_us=5, flags=0xFFFFFFFF & ~0xE000 & ~ERROR | MONOTONIC)
    frame = taken(camera)
    assert (frame.exposed_ns, frame.is_complete) == (5000, True)


@pytest.mark.parametrize("flags", [0x0, 0x4000, 0x8000])
def test_stamps_of_another_clock_are_not_taken(streams: list[FakeStream], flags: int) -> None:
    stream, camera, clock = opened(streams)
    stream.arrive(GREY, stamp_us=1, flags=flags)
    assert taken(camera).exposed_ns == clock.monotonic_ns()


@pytest.mark.parametrize(
    ("flags", "missing_b", "is_complete"), [(MONOTONIC, 0, True), (MONOTONIC | ERROR, 0, False), (MONOTONIC, 1, False)]
)
def test_a_frame_with_an_error_or_missing_bytes_is_incomplete(
    streams: list[FakeStream], flags: int, missing_b: int, is_complete: bool
) -> None:
    stream, camera, _ = opened(streams)
    stream.arrive(GREY, flags=flags, missing_b=missing_b)
    assert taken(camera).is_complete == is_complete


def test_incomplete_frames_use_no_buffers_up(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    for _ in range(20):
        stream.arrive(GREY, flags=MONOTONIC | ERROR)
        taken(camera)
    assert camera.take(0.0) is None
    assert (stream.free, stream.lost) == (set(range(BUFFERS)), 0)


def test_frames_that_nobody_took_show_as_a_gap(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.arrive(GREY, count=10)
    ids = [taken(camera).frame_id for _ in range(BUFFERS)]
    stream.arrive(GREY)
    assert [*ids, taken(camera).frame_id] == [0, 1, 2, 3, 10]


def test_a_wake_without_a_frame_is_no_frame(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.spurious_wake()
    assert camera.take(0.0) is None
    stream.arrive(GREY)
    assert taken(camera).frame_id == 0


def test_a_frame_that_comes_within_the_limit_is_waited_for(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    later = threading.Timer(0.05, stream.arrive, [GREY])
    later.start()
    frame = camera.take(20.0)
    later.join()
    assert frame is not None


def test_a_limit_that_has_passed_is_no_wait(streams: list[FakeStream]) -> None:
    _, camera, _ = opened(streams)
    assert camera.take(-1.0) is None


def test_a_device_that_only_polls_as_gone_is_gone(streams: list[FakeStream]) -> None:
    stream, camera, _ = opened(streams)
    stream.unplug(is_silent=True)
    with pytest.raises(CameraError, match="the device is gone"):
        camera.take(5.0)


@pytest.mark.parametrize("frames", [0, 1])
def test_an_unplugged_device_is_gone(streams: list[FakeStream], frames: int) -> None:
    stream, camera, _ = opened(streams)
    stream.arrive(GREY, count=frames)
    for _ in range(frames):
        taken(camera)
    stream.unplug()
    with pytest.raises(CameraError, match="/dev/video9"):
        camera.take(5.0)
    assert (stream.is_streaming, stream.is_open) == (False, False)


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
    streams: list[FakeStream], formats: tuple[str, ...], taken_format: str, bands: int, *, refuses_formats: bool
) -> None:
    stream, camera, _ = opened(streams, FakeStream(WIDTH, LINES, formats, refuses_formats=refuses_formats))
    assert stream.get_format().fourcc == taken_format
    stream.arrive(np.zeros((LINES, WIDTH, stream.get_format().line_b // WIDTH), np.uint8))
    assert taken(camera).pixels.shape == (LINES, WIDTH, bands)


def test_a_format_that_is_asked_for_is_taken(streams: list[FakeStream]) -> None:
    stream, _, _ = opened(streams, FakeStream(WIDTH, LINES, ("BGR3", "GREY")), V4l2Settings(WIDTH, fourcc="GREY"))
    assert stream.get_format().fourcc == "GREY"


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
    streams: list[FakeStream], formats: tuple[str, ...], settings: V4l2Settings, message: str
) -> None:
    stream = FakeStream(WIDTH, LINES, formats)
    streams.append(stream)
    with pytest.raises(CameraError, match=message):
        V4l2Driver(stream, PATH, settings)
    assert not stream.is_open


def test_a_busy_device_is_refused_and_closed(streams: list[FakeStream]) -> None:
    stream = FakeStream(WIDTH, LINES, is_busy=True)
    streams.append(stream)
    with pytest.raises(CameraError, match="/dev/video9: Device or resource busy"):
        V4l2Driver(stream, PATH, V4l2Settings(WIDTH))
    assert not stream.is_open


@pytest.mark.parametrize("path", ["/dev/null", "/dev/nothing", "."])
def test_what_is_no_device_is_refused_and_left_closed(path: str) -> None:
    pytest.importorskip("linuxpy")
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(CameraError, match=path):
            open_v4l2_camera(Path(path), V4l2Settings(WIDTH), ManualClock())
    assert open_descriptors() == before
