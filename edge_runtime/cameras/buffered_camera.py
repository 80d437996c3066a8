"""A camera over any driver that fills buffers in turn: V4L2, GenTL.

One rule for both: a buffer is held while its pixels may be looked at and goes back to the driver in every other case,
so that the driver never runs out of them. Knows no driver; `v4l2_camera.py` and `genicam_camera.py` have them.

>>> class NoFrames:
...     layout, id_period = PixelLayout("mono8", width_px=16, lines=2, line_b=16), 2**32
...     def fetch(self, timeout_s: float) -> None: ...
...     def requeue(self, key: int) -> None: ...
...     def close(self) -> None: ...
>>> from firmware_bridge.clock import SystemClock
>>> print(BufferedCamera(NoFrames(), SystemClock()).take(0.0))
None
"""

from mmap import mmap
from typing import Protocol

import msgspec

from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.cameras.frame_ids import FrameIds
from edge_runtime.cameras.pixel_formats import PixelLayout, to_pixels
from edge_runtime.errors import CameraError
from firmware_bridge.clock import Clock

__all__ = ["BufferDriver", "BufferedCamera", "DriverBuffer"]


class DriverBuffer(msgspec.Struct, frozen=True):
    """A buffer that the driver filled and lent.

    Attributes:
        key: which of the driver's buffers, to give it back.
        memory: all of it, whatever was filled.
        filled_b: bytes that arrived.
        frame_id: the driver's counter, as it is.
        stamp_ns: when its first line was exposed, on the clock of `time.monotonic_ns`; None where nobody knows.
        has_error: the driver says that something is missing.
    """

    key: int
    memory: bytes | memoryview | mmap
    filled_b: int
    frame_id: int
    stamp_ns: int | None
    has_error: bool


class BufferDriver(Protocol):
    """A camera's driver, started; every method but `close` raises CameraError when the camera is gone."""

    @property
    def layout(self) -> PixelLayout:
        """How frames lie in the buffers."""
        ...

    @property
    def id_period(self) -> int:
        """After how many frames the counter comes to the same number again."""
        ...

    def fetch(self, timeout_s: float) -> DriverBuffer | None:
        """Lend the next filled buffer, complete or not; None where none was filled in time."""
        ...

    def requeue(self, key: int) -> None:
        """Take a lent buffer back, to be filled again."""
        ...

    def close(self) -> None:
        """Stop the camera and let go of it, also of one that is gone."""
        ...


class BufferedCamera:
    """A camera over a driver.

    Args:
        driver: started; the camera closes it.
        clock: gives the time of frames that the driver gives no stamp, or one from the future: the kernel's test device
            stamps frames with the time at which they were due.
    """

    def __init__(self, driver: BufferDriver, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock
        self._ids = FrameIds(driver.id_period)
        self._lent: int | None = None
        self._is_open = True

    def take(self, timeout_s: float) -> CameraFrame | None:
        """Return the next frame, None where none came in time.

        Args:
            timeout_s: longest wait, 0 looks whether one is there.

        Raises:
            CameraError: the camera is gone or was closed; every later call raises it too.
        """
        if not self._is_open:
            raise CameraError("the camera is closed: open it again")
        try:
            return self._take(timeout_s)
        except CameraError:
            self.close()
            raise

    def close(self) -> None:
        """Stop the camera and let go of it; harmless when it is gone or was closed before."""
        if self._is_open:
            self._is_open = False
            self._driver.close()

    def _take(self, timeout_s: float) -> CameraFrame | None:
        if self._lent is not None:
            lent, self._lent = self._lent, None
            self._driver.requeue(lent)
        buffer = self._driver.fetch(timeout_s)
        if buffer is None:
            return None
        now_ns = self._clock.monotonic_ns()
        self._lent = buffer.key
        return CameraFrame(
            pixels=to_pixels(buffer.memory, self._driver.layout),
            frame_id=self._ids.unwrap(buffer.frame_id),
            exposed_ns=now_ns if buffer.stamp_ns is None else min(buffer.stamp_ns, now_ns),
            is_complete=not buffer.has_error and buffer.filled_b >= self._driver.layout.size_b,
        )
