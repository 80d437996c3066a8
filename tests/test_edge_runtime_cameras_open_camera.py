"""A source's words open the camera that they name, or say what would be right."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.open_camera import open_camera
from edge_runtime.cameras.replay_camera import ReplayCamera
from edge_runtime.errors import CameraError, ConfigError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import ManualClock

ROOT: Final = Path(__file__).parents[1]
CAMERA: Final = Camera(name="side", width_px=400)


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
        ("replay:/x?loops", r'camera side: "replay:/x\?loops": "loops" is no KEY=VALUE$'),
        ("replay:/x?=3", r'camera side: "replay:/x\?=3": "=3" is no KEY=VALUE$'),
        ("v4l2:/x?lines=3&", r'camera side: "v4l2:/x\?lines=3&": "" is no KEY=VALUE$'),
        ("v4l2:/dev/video0?fourcc=MJPG", "fourcc"),
        ("v4l2:/dev/video0?width_px=640", "camera side"),
        ("genicam:?width_px=640", "camera side"),
        ("genicam:x?lines=-1", "lines"),
        ("virtual:/run/camera.sock?lines=3", "has no options"),
    ],
)
def test_a_wrong_option_is_named(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_camera(source, CAMERA, ManualClock())


@pytest.mark.parametrize("kind", ["replay", "v4l2"])
def test_what_is_not_there_is_a_cameras_error(tmp_path: Path, kind: str) -> None:
    if kind == "v4l2":
        pytest.importorskip("linuxpy")
    with pytest.raises(CameraError, match=str(tmp_path)):
        open_camera(f"{kind}:{tmp_path}/nothing", CAMERA, ManualClock())


# Runs in a process of its own, in which no optional package can be imported.
WITHOUT_PACKAGES: Final = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"linuxpy", "genicam", "harvesters"}:
            raise ImportError(f"{name} is refused")

sys.meta_path.insert(0, Refuse())
from edge_runtime.cameras.open_camera import open_camera
from edge_runtime.errors import ConfigError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import ManualClock

try:
    open_camera(sys.argv[1], Camera(), ManualClock())
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("source", ["v4l2:/dev/video0", "genicam:any"])
def test_a_package_that_is_missing_is_named(source: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES, source],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.match(r"\w.* not installed: pip install \S+", ran.stdout)
