"""What every camera gives, and what may be asked of it.

Knows no camera: `open_camera.py` opens them, `frame_watch.py` judges what they give.

>>> frame = CameraFrame(np.zeros((2, 16, 3), np.uint8), frame_id=7, exposed_ns=1_000, is_complete=True)
>>> frame.pixels.shape
(2, 16, 3)
"""

from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["CameraFrame", "CameraSource"]


class CameraFrame(msgspec.Struct, frozen=True):
    """What a camera gave.

    Attributes:
        pixels: (H, W, C) uint8, C = 1 grey or 3 BGR; the driver's own memory, valid until the next `take`; not to be
            written to.
        frame_id: the camera's own counter, unwrapped: what was lost in between shows as a gap.
        exposed_ns: `Clock.monotonic_ns` when its first line was exposed, as well as it is known.
        is_complete: every line and packet of it arrived; where not, some pixels are older or black.
    """

    pixels: NDArray[np.uint8]
    frame_id: int
    exposed_ns: int
    is_complete: bool


class CameraSource(Protocol):
    """A camera that is open.

    Opening one starts it; a camera that is gone is opened anew.
    """

    def take(self, timeout_s: float) -> CameraFrame | None:
        """Return the next frame, None where none came in time.

        Args:
            timeout_s: longest wait, 0 looks whether one is there.

        Raises:
            CameraError: the camera is gone or was closed; every later call raises it too.

        Note:
            It gives back the buffer of the frame before, whose pixels may change from now on.
        """
        ...

    def close(self) -> None:
        """Stop the camera and let go of it; harmless when it is gone or was closed before."""
        ...
