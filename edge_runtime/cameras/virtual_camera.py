r"""A camera of the virtual world: blocks of lines from a socket of `virtual_world_cameras`.

The wire, little-endian, after one line `camera NAME\n` of the client: for each block the header `BLOCK_HEADER` (magic,
frame_id u64, first_line u64, lines u32, width u32, bands u32, exposed_ns u64), then lines * width * bands bytes. The
magic is b"SLVC", b"SLVI" for a block of which pixels are missing: these are 0. It must not know what made the pixels.

>>> BLOCK_HEADER.size, BLOCK_HEADER.unpack(BLOCK_HEADER.pack(WHOLE, 3, 384, 128, 1024, 3, 9))[:3]
(40, (b'SLVC', 3, 384))
"""

import select
import socket
import struct
from pathlib import Path
from typing import Final

import numpy as np

from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.errors import CameraError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["BLOCK_HEADER", "INCOMPLETE", "WHOLE", "VirtualCamera", "open_virtual_camera"]

BLOCK_HEADER: Final = struct.Struct("<4sQQIIIQ")
WHOLE: Final = b"SLVC"
INCOMPLETE: Final = b"SLVI"
_MOST_LINES: Final = 65_536
_BANDS: Final = frozenset({1, 3})
_CONNECT_S: Final = 1.0
_BUFFER_B: Final = 4 << 20


def open_virtual_camera(path: Path, camera: Camera, clock: Clock) -> "VirtualCamera":
    """Connect to a camera of a virtual world.

    Args:
        path: the world's `camera.sock`.
        camera: its name and width.
        clock: for the timeouts of `take`.

    Raises:
        CameraError: nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_B)
        connection.connect(str(path))
        connection.sendall(f"camera {camera.name}\n".encode())
        connection.setblocking(False)
    except OSError as error:
        connection.close()
        raise CameraError(f"camera {camera.name} at {path} cannot be reached: {error.strerror or error}") from error
    return VirtualCamera(connection, camera, clock)


class VirtualCamera:
    """An open camera of a virtual world.

    Args:
        connection: connected, not blocking; closed with this object.
        camera: its name and width.
        clock: for the timeouts.

    Note: pixels are received into one buffer, the same from frame to frame while their shape stays.
    """

    def __init__(self, connection: socket.socket, camera: Camera, clock: Clock) -> None:
        self._socket = connection
        self._camera = camera
        self._clock = clock
        self._header = bytearray(BLOCK_HEADER.size)
        self._pixels = np.empty((0, camera.width_px, 3), np.uint8)
        self._missing = memoryview(self._header)  # of the header, then of the pixels
        self._is_in_pixels = False

    def take(self, timeout_s: float) -> CameraFrame | None:
        """Return the next block, None when it is not whole within timeout_s: the next call goes on with it.

        Raises:
            CameraError: the connection ended or failed, or a header is none, or of another width.
        """
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        while True:
            frame = self._receive()
            if frame is not None:
                return frame
            left_s = (deadline_ns - self._clock.monotonic_ns()) / NS_PER_S
            if left_s <= 0 or not select.select([self._socket], [], [], left_s)[0]:
                return None

    def close(self) -> None:
        """Let the camera go; twice is harmless."""
        self._socket.close()

    def _receive(self) -> CameraFrame | None:
        """Take what is there; return the block that it completes."""
        while True:
            try:
                received = self._socket.recv_into(self._missing)
            except BlockingIOError:
                return None
            except OSError as error:
                raise CameraError(f"camera {self._camera.name} failed: {error.strerror or error}") from error
            if not received:
                raise CameraError(f"camera {self._camera.name} is gone: the connection ended")
            self._missing = self._missing[received:]
            if self._missing:
                continue
            if self._is_in_pixels:
                return self._finish()
            self._begin()

    def _begin(self) -> None:
        """Read the header and let its pixels come into the buffer.

        Raises:
            CameraError: it is none, or of another width.
        """
        magic, _, _, lines, width, bands, _ = BLOCK_HEADER.unpack(self._header)
        if magic not in {WHOLE, INCOMPLETE} or bands not in _BANDS or not 1 <= lines <= _MOST_LINES:
            raise CameraError(f"camera {self._camera.name} sent no block: header {self._header[:24].hex()}")
        if width != self._camera.width_px:
            raise CameraError(f"camera {self._camera.name} has {width} px a line, width_px is {self._camera.width_px}")
        if self._pixels.shape != (lines, width, bands):
            self._pixels = np.empty((lines, width, bands), np.uint8)
        self._missing = self._pixels.reshape(-1).data
        self._is_in_pixels = True

    def _finish(self) -> CameraFrame:
        magic, frame_id, _, _, _, _, exposed_ns = BLOCK_HEADER.unpack(self._header)
        self._missing = memoryview(self._header)
        self._is_in_pixels = False
        return CameraFrame(self._pixels, frame_id, exposed_ns, magic == WHOLE)
