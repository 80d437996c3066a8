"""Pixels with a margin around them that windows may reach into: what the one copy of a frame is written to.

>>> canvas = Canvas.blank(4, 6, 3, pad_px=2)
>>> canvas.padded.shape, canvas.pixels.shape, canvas.rows(1, 3).pixels.shape
((8, 10, 3), (4, 6, 3), (2, 6, 3))
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas"]


class Canvas(msgspec.Struct, frozen=True):
    """A picture inside of a larger array.

    Attributes:
        padded: (H + 2 pad, W + 2 pad, C) uint8; what the margin holds has no meaning.
        pad_px: width of the margin.
    """

    padded: NDArray[np.uint8]
    pad_px: int

    @staticmethod
    def blank(height: int, width: int, channels: int, *, pad_px: int) -> "Canvas":
        """Return a canvas for a picture that is yet to be written into `pixels`."""
        return Canvas(np.empty((height + 2 * pad_px, width + 2 * pad_px, channels), np.uint8), pad_px)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture, (H, W, C) uint8; a view."""
        pad = self.pad_px
        return self.padded[pad : self.padded.shape[0] - pad, pad : self.padded.shape[1] - pad]

    def rows(self, from_row: int, to_row: int) -> "Canvas":
        """Return some rows of the picture as a canvas, its margin above and below being the rows beyond; a view."""
        return Canvas(self.padded[from_row : max(from_row, to_row) + 2 * self.pad_px], self.pad_px)
