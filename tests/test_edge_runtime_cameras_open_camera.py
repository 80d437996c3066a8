"""A source's words open the camera that they name, or say what would be right."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.open_camera import open_camera
from edge_runtime.cameras.replay_camera import ReplayCamera
from edge_runtime.errors import CameraError, ConfigError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import ManualClock

CAMERA = Camera(name="side", width_px=400)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "belt.png"
    cv2.imwrite(str(path), np.zeros((100, 400, 3), np.uint8))
    return path


def test_a_recording_is_opened_with_its_options(picture: Path) -> None:
    clock = ManualClock()
    camera = open_camera(f"replay:{picture}?lines_s=1000&loops=2", CAMERA, clock)
    assert isinstance(camera, ReplayCamera)
    assert [frame.frame_id for _ in range(2) if (frame := camera.take(1.0)) is not None] == [0, 1]
    assert clock.monotonic_ns() == 200_000_000


@pytest.mark.parametrize(
    "source", ["", "replay", "usb:0", "V4L2:/dev/video0", "/dev/video0", ":/x", "http://camera", "replays:/x"]
)
def test_wrong_words_are_answered_with_the_kinds(source: str) -> None:
    with pytest.raises(ConfigError, match=r"replay:PATH, v4l2:PATH, genicam:ID or virtual:PATH|names no place"):
        open_camera(source, CAMERA, ManualClock())


@pytest.mark.parametrize("source", ["replay:", "v4l2:", "virtual:", "v4l2:?lines=3"])
def test_a_kind_without_a_place_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"camera side: .* names no place"):
        open_camera(source, CAMERA, ManualClock())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("replay:/x?line_s=3", "lines_s"),
        ("replay:/x?loops=-1", "loops"),
        ("replay:/x?loops", "loops"),
        ("v4l2:/dev/video0?fourcc=MJPG", "fourcc"),
        ("v4l2:/dev/video0?width_px=640", "camera side"),
        ("genicam:?width_px=640", "camera side"),
        ("genicam:x?lines=-1", "lines"),
    ],
)
def test_a_wrong_option_is_named(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_camera(source, CAMERA, ManualClock())


def test_what_is_not_there_is_a_cameras_error(tmp_path: Path) -> None:
    for source in (f"replay:{tmp_path}/nothing", f"v4l2:{tmp_path}/video0"):
        with pytest.raises(CameraError, match=str(tmp_path)):
            open_camera(source, CAMERA, ManualClock())
