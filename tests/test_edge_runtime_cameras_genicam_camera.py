"""GenICam cameras: the simulated producer that genicam brings along, and buffers as other producers may give them."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from camera_rigs import simulated_producer, take_soon

from edge_runtime.cameras.buffered_camera import BufferedCamera
from edge_runtime.cameras.genicam_camera import GenicamDriver, open_genicam_camera, read_buffer
from edge_runtime.cameras.genicam_device import GenicamSettings, StartedDevice, start_device
from edge_runtime.errors import CameraError, ConfigError
from firmware_bridge.clock import NS_PER_S, SystemClock

DEVICE = "VikyTL_DEV_red"


@pytest.fixture(scope="module")
def settings() -> GenicamSettings:
    return GenicamSettings(400, pixel_format="Mono8", producer=str(simulated_producer()))


@dataclass
class Raw:
    """A buffer of genicam; what the producer does not know, it has no answer to."""

    context: int = 3
    raw_buffer: bytes = bytes(8)
    size: int | None = 8
    number: int | None = 17
    time_ns: int | None = 5
    is_whole: bool | None = True

    @property
    def size_filled(self) -> int:
        return known(self.size)

    @property
    def frame_id(self) -> int:
        return known(self.number)

    @property
    def timestamp_ns(self) -> int:
        return known(self.time_ns)

    def is_complete(self) -> bool:
        return bool(known(self.is_whole))


def known(value: int | None) -> int:
    if value is None:
        from genicam.gentl import NotAvailableException  # noqa: PLC0415 - optional

        raise NotAvailableException("not available")
    return value


def test_a_complete_buffer_is_read_as_it_is(settings: GenicamSettings) -> None:
    buffer = read_buffer(Raw(), last_id=4)
    assert (buffer.key, buffer.filled_b, buffer.frame_id, buffer.stamp_ns, buffer.has_error) == (3, 8, 17, 5, False)


@pytest.mark.parametrize("is_whole", [False, None])
def test_an_incomplete_buffer_keeps_its_id(settings: GenicamSettings, is_whole: bool | None) -> None:
    buffer = read_buffer(Raw(is_whole=is_whole), last_id=4)
    assert (buffer.frame_id, buffer.has_error) == (17, True)


def test_what_a_producer_does_not_know_speaks_against_the_frame(settings: GenicamSettings) -> None:
    buffer = read_buffer(Raw(size=None, number=None, time_ns=None), last_id=4)
    assert (buffer.filled_b, buffer.frame_id, buffer.stamp_ns) == (0, 5, None)


def test_ids_count_on_and_no_buffer_is_used_up(settings: GenicamSettings) -> None:
    camera = open_genicam_camera(DEVICE, settings, SystemClock())
    frames = [take_soon(camera).frame_id for _ in range(20)]
    camera.close()
    assert frames == sorted(set(frames))
    assert frames[-1] - frames[0] < 100  # a busy computer may lose some


def test_stopped_and_started_again_it_gives_frames_again(settings: GenicamSettings) -> None:
    for _ in range(4):
        camera = open_genicam_camera(DEVICE, settings, SystemClock())
        assert take_soon(camera).frame_id <= 2  # the counter begins anew
        camera.close()


def test_a_second_camera_in_one_process_is_refused_and_the_first_goes_on(settings: GenicamSettings) -> None:
    camera = open_genicam_camera(DEVICE, settings, SystemClock())
    with pytest.raises(CameraError, match="a process opens a producer once"):
        open_genicam_camera("VikyTL_DEV_blue", settings, SystemClock())
    assert [take_soon(camera).is_complete for _ in range(3)] == [True] * 3
    camera.close()


def test_colour_is_taken_where_no_format_is_asked_for(settings: GenicamSettings) -> None:
    camera = open_genicam_camera(DEVICE, GenicamSettings(400, producer=settings.producer), SystemClock())
    pixels = take_soon(camera).pixels
    assert pixels.shape == (400, 400, 3)
    red = (pixels[:, :, 2] > 200) & (pixels[:, :, 0] < 50)  # the device is called red, for its ball
    assert np.count_nonzero(red) > 0
    camera.close()


def test_height_is_set_and_a_size_that_it_does_not_have_refused(settings: GenicamSettings) -> None:
    wanted = GenicamSettings(400, lines=200, pixel_format="Mono8", producer=settings.producer)
    camera = open_genicam_camera(DEVICE, wanted, SystemClock())
    assert take_soon(camera).pixels.shape == (200, 400, 1)
    camera.close()
    with pytest.raises(CameraError, match="must be equal or greater than Min"):
        open_genicam_camera(DEVICE, GenicamSettings(16, producer=settings.producer), SystemClock())
    camera = open_genicam_camera(DEVICE, settings, SystemClock())  # the one that was refused is not left open
    assert take_soon(camera).is_complete
    camera.close()


@pytest.mark.parametrize(
    ("name", "settings_of", "error", "message"),
    [
        ("VikyTL_DEV_pink", lambda cti: GenicamSettings(400, producer=cti), CameraError, "found: VikyTL_DEV_red"),
        ("", lambda cti: GenicamSettings(400, producer=cti), ConfigError, "name one of VikyTL_DEV_red"),
        (DEVICE, lambda cti: GenicamSettings(400, pixel_format="BGR8", producer=cti), CameraError, "has RGBa8, Mono8"),
        (DEVICE, lambda cti: GenicamSettings(400, producer=cti + "x"), ConfigError, "no GenTL producer /"),
    ],
)
def test_what_is_not_there_is_told(
    settings: GenicamSettings,
    name: str,
    settings_of: Callable[[str], GenicamSettings],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        open_genicam_camera(name, settings_of(settings.producer), SystemClock())


def test_frames_without_a_stamp_have_the_time_of_arrival_less_what_it_is_late(settings: GenicamSettings) -> None:
    clock = SystemClock()
    late = GenicamSettings(400, pixel_format="Mono8", producer=settings.producer, stamp_late_us=2_000_000)
    camera = open_genicam_camera(DEVICE, late, clock)
    exposed_ns, now_ns = take_soon(camera).exposed_ns, clock.monotonic_ns()
    camera.close()
    assert 2 * NS_PER_S <= now_ns - exposed_ns < 4 * NS_PER_S


def test_the_interrupt_key_stays_ours(settings: GenicamSettings) -> None:
    before = signal.getsignal(signal.SIGINT)
    camera = open_genicam_camera(DEVICE, settings, SystemClock())
    assert signal.getsignal(signal.SIGINT) is before
    camera.close()


def test_a_device_that_was_ended_is_ended_once(settings: GenicamSettings) -> None:
    device: StartedDevice = start_device(DEVICE, settings, SystemClock())
    camera = BufferedCamera(GenicamDriver(device, settings, SystemClock()), SystemClock())
    device.close()
    assert device.undo == []
    with pytest.raises(CameraError):
        camera.take(0.1)
    camera.close()
