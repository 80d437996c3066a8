"""One rig a kind of camera: what the contract suite needs to try it, or the reason why it cannot be tried here."""

import os
import socket
import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
import pytest
from fake_v4l2 import FakeStream

from edge_runtime.cameras.buffered_camera import BufferedCamera
from edge_runtime.cameras.camera import CameraFrame, CameraSource
from edge_runtime.cameras.genicam_camera import GenicamDriver
from edge_runtime.cameras.genicam_device import GenicamSettings, StartedDevice, start_device
from edge_runtime.cameras.open_camera import open_camera
from edge_runtime.cameras.replay_camera import ReplayCamera, ReplaySettings
from edge_runtime.cameras.v4l2_camera import V4l2Driver, V4l2Settings
from edge_runtime.errors import CameraError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import SystemClock

__all__ = ["RIGS", "CameraRig", "is_gone_after", "simulated_producer", "take_soon"]

WIDTH: Final = 32
LINES: Final = 8
FRAME_S: Final = 0.05  # of the replay and of the simulated producer
VIVID: Final = Path("/sys/bus/platform/drivers/vivid")


class CameraRig(Protocol):
    """A kind of camera with a way to make it work, wait and vanish."""

    shape: tuple[int, int, int]

    def open(self) -> CameraSource: ...

    def feed(self) -> None:
        """Let the next frame come soon."""
        ...

    def starve(self, camera: CameraSource) -> None:
        """Let no frame be there for the next 10 ms."""
        ...

    def vanish(self, camera: CameraSource) -> None:
        """Let the camera be gone, at the latest after some more takes."""
        ...

    def close(self) -> None: ...


def take_soon(camera: CameraSource) -> CameraFrame:
    frame = camera.take(5.0)
    assert frame is not None
    return frame


class ReplayRig:
    """Five pictures, 50 ms each."""

    shape = (LINES, WIDTH, 3)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for number in range(5):
            cv2.imwrite(str(folder / f"{number}.png"), np.full(self.shape, number * 40, np.uint8))

    def open(self) -> ReplayCamera:
        return ReplayCamera(self._folder, SystemClock(), ReplaySettings(lines_s=LINES / FRAME_S))

    def feed(self) -> None: ...

    def starve(self, camera: CameraSource) -> None:
        take_soon(camera)

    def vanish(self, camera: CameraSource) -> None:
        """It ends by itself, after five takes."""

    def close(self) -> None: ...


class V4l2Rig:
    """The driver over a device in memory."""

    shape = (LINES, WIDTH, 1)

    def __init__(self, folder: Path) -> None:
        self._stream = FakeStream(WIDTH, LINES)
        self._streams = [self._stream]

    def open(self) -> CameraSource:
        if not self._stream.is_open:
            self._stream = FakeStream(WIDTH, LINES)
            self._streams.append(self._stream)
        return BufferedCamera(V4l2Driver(self._stream, Path("/dev/video9"), V4l2Settings(WIDTH)), SystemClock())

    def feed(self) -> None:
        self._stream.arrive(np.full(self.shape, 7, np.uint8), stamp_us=SystemClock().monotonic_ns() // 1000)

    def starve(self, camera: CameraSource) -> None: ...

    def vanish(self, camera: CameraSource) -> None:
        self._stream.unplug()

    def close(self) -> None:
        for stream in self._streams:
            stream.stop()


class V4l2DeviceRig:
    """A real device: the first there is, or the one that SORTLOOP_V4L2_DEVICE names.

    The kernel's test device can be unplugged; of others nobody here pulls the cable.
    """

    def __init__(self, folder: Path) -> None:
        self._path = os.environ.get("SORTLOOP_V4L2_DEVICE", "/dev/video0")
        self._camera = Camera(width_px=640)
        self._opened: list[CameraSource] = []
        self._is_unplugged = False
        if not Path(self._path).exists():
            pytest.skip(f"no {self._path}: no V4L2 device on this computer")
        camera = self.open()
        height, width, bands = take_soon(camera).pixels.shape
        camera.close()
        self.shape = (height, width, bands)

    def open(self) -> CameraSource:
        if self._is_unplugged:
            (VIVID / "bind").write_text("vivid.0")
            self._is_unplugged = False
            for _ in range(100):  # its file takes a moment
                SystemClock().sleep_s(0.0 if Path(self._path).exists() else 0.05)
        self._opened.append(open_camera(f"v4l2:{self._path}", self._camera, SystemClock()))
        return self._opened[-1]

    def feed(self) -> None: ...

    def starve(self, camera: CameraSource) -> None:
        take_soon(camera)
        while camera.take(0.0) is not None:
            pass

    def vanish(self, camera: CameraSource) -> None:
        if not VIVID.exists():
            pytest.skip("nobody pulls the cable of a real device here")
        (VIVID / "unbind").write_text("vivid.0")
        self._is_unplugged = True

    def close(self) -> None:
        for camera in self._opened:
            camera.close()


def simulated_producer() -> Path:
    """Return the GenTL producer that the genicam package brings along, or skip."""
    spec = find_spec("genicam")
    if spec is None or spec.origin is None or find_spec("harvesters") is None:
        pytest.skip("genicam and harvesters are not installed (extra genicam)")
    producer = Path(spec.origin).parent / "viky.cti"
    if not producer.is_file():
        pytest.skip("this genicam package brings no simulated producer")
    return producer


class GenicamRig:
    """The simulated producer, 20 frames a second; it is made to vanish by ending the device under the camera."""

    shape = (400, 400, 1)

    def __init__(self, folder: Path) -> None:
        self._settings = GenicamSettings(400, pixel_format="Mono8", producer=str(simulated_producer()))
        self._devices: list[StartedDevice] = []

    def open(self) -> CameraSource:
        clock = SystemClock()
        self._devices.append(start_device("VikyTL_DEV_red", self._settings, clock))
        return BufferedCamera(GenicamDriver(self._devices[-1], self._settings, clock), clock)

    def feed(self) -> None: ...

    def starve(self, camera: CameraSource) -> None:
        take_soon(camera)

    def vanish(self, camera: CameraSource) -> None:
        self._devices[-1].close()

    def close(self) -> None:
        for device in self._devices:
            device.close()


class VirtualRig:
    """A listener that speaks the wire of the virtual world."""

    shape = (LINES, WIDTH, 3)

    def __init__(self, folder: Path) -> None:
        self._path = folder / "camera.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(4)
        self._peers: list[socket.socket] = []
        self._next_id = 0

    def open(self) -> CameraSource:
        camera = open_camera(f"virtual:{self._path}", Camera(width_px=WIDTH), SystemClock())
        self._peers.append(self._listener.accept()[0])
        return camera

    def feed(self) -> None:
        block = np.full(self.shape, self._next_id, np.uint8)
        now_ns = SystemClock().monotonic_ns()
        header = struct.pack("<4sQQIIIQ", b"SLVC", self._next_id, self._next_id * LINES, LINES, WIDTH, 3, now_ns)
        self._peers[-1].sendall(header + block.tobytes())
        self._next_id += 1

    def starve(self, camera: CameraSource) -> None: ...

    def vanish(self, camera: CameraSource) -> None:
        self._peers[-1].close()

    def close(self) -> None:
        for peer in (*self._peers, self._listener):
            peer.close()


RIGS: Final[dict[str, Callable[[Path], CameraRig]]] = {
    "replay": ReplayRig,
    "v4l2": V4l2Rig,
    "v4l2_device": V4l2DeviceRig,
    "genicam": GenicamRig,
    "virtual": VirtualRig,
}


def is_gone_after(camera: CameraSource, takes: int) -> bool:
    """Tell whether one of so many takes raises CameraError."""
    for _ in range(takes):
        try:
            camera.take(0.2)
        except CameraError:
            return True
    return False
