"""A ring of frames in shared memory: one writer, any readers, nobody waits.

The writer overwrites the oldest slot whether or not it is being read. A reader copies what it needs and asks afterwards
whether the slot still was the frame's: if not, the copy is worth nothing. Frames are numbered 0, 1, 2, ...
Knows no camera, no clock and no process.

>>> shape = RingShape(slots=4, lines=2, width_px=3, bands=1)
>>> ring = FrameRing.create("top", shape)
>>> ring.write(np.ones((2, 3, 1), np.uint8), first_line=0, frame_id=9, exposed_ns=5)
0
>>> frame = ring.read(0)
>>> frame.pixels.sum(), frame.frame_id, ring.is_intact(0), ring.published
(np.uint64(6), 9, True, 1)
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError
from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["FrameRing", "RingFrame", "RingShape"]

_HEAD: Final = np.dtype(
    [("slots", "<u8"), ("lines", "<u8"), ("width_px", "<u8"), ("bands", "<u8"), ("published", "<u8")]
)
_SLOT: Final = np.dtype(
    [
        ("generation", "<u8"),  # number + 1 while the slot holds a whole frame, 0 while it is written
        ("first_line", "<i8"),
        ("lines", "<u8"),
        ("frame_id", "<u8"),
        ("exposed_ns", "<i8"),
        ("is_unannounced", "u1"),
    ],
    align=True,
)
_PAGE_B: Final = 4096


class RingShape(msgspec.Struct, frozen=True):
    """How large a ring is.

    Attributes:
        slots: frames that it holds, >= 3.
        lines: most lines of a frame.
        width_px, bands: of every frame.
    """

    slots: int
    lines: int
    width_px: int
    bands: int

    @property
    def size_b(self) -> int:
        """Bytes of the whole ring."""
        return self.pixels_at_b + self.slots * self.slot_b

    @property
    def slot_b(self) -> int:
        """Bytes of a slot's pixels, in whole pages."""
        return -(-self.lines * self.width_px * self.bands // _PAGE_B) * _PAGE_B

    @property
    def pixels_at_b(self) -> int:
        """Where pixels begin."""
        return -(-(_HEAD.itemsize + self.slots * _SLOT.itemsize) // _PAGE_B) * _PAGE_B


class RingFrame(msgspec.Struct, frozen=True):
    """A frame where it lies in the ring.

    Attributes:
        number: of the frame.
        first_line: absolute.
        frame_id: the camera's own.
        exposed_ns: monotonic time at which its first line was exposed.
        pixels: (H, W, C) uint8, not a copy: the writer may overwrite it at any time, see `FrameRing.is_intact`.
    """

    number: int
    first_line: int
    frame_id: int
    exposed_ns: int
    pixels: NDArray[np.uint8]

    @property
    def end_line(self) -> int:
        """One past the last line."""
        return self.first_line + int(self.pixels.shape[0])


class FrameRing:
    """The ring of one camera. Reading and writing never wait; `write` only from one process.

    Args:
        memory: of `create`, or attached.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._head = memory.array(0, _HEAD, (1,))
        head = self._head[0]
        self.shape = RingShape(int(head["slots"]), int(head["lines"]), int(head["width_px"]), int(head["bands"]))
        self._slots = memory.array(_HEAD.itemsize, _SLOT, (self.shape.slots,))
        shape, places = self.shape, range(self.shape.slots)
        frame_shape = (shape.lines, shape.width_px, shape.bands)
        starts = [shape.pixels_at_b + place * shape.slot_b for place in places]
        self._pixels = [memory.array(start, np.dtype(np.uint8), frame_shape) for start in starts]

    @staticmethod
    def create(name: str, shape: RingShape) -> "FrameRing":
        """Make an empty ring.

        Raises:
            OverloadError: the computer does not have so much memory left.
        """
        memory = SharedMemory.create(f"frames-{name}", shape.size_b)
        head = memory.array(0, _HEAD, (1,))
        head[0] = (shape.slots, shape.lines, shape.width_px, shape.bands, 0)
        return FrameRing(memory)

    @property
    def published(self) -> int:
        """Number of frames written so far: the next one's number."""
        return int(self._head["published"][0])

    def write(self, pixels: NDArray[np.uint8], *, first_line: int, frame_id: int, exposed_ns: int) -> int:
        """Copy a frame into the ring and return its number.

        Args:
            pixels: (H, W, C) uint8, H at most the ring's lines, W and C the ring's.
            first_line: absolute line of its first.
            frame_id: the camera's own number.
            exposed_ns: monotonic time at which its first line was exposed.

        Raises:
            FrameError: the frame has another shape or depth than the ring.
        """
        shape = self.shape
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (shape.width_px, shape.bands) or len(pixels) > shape.lines:
            raise FrameError(
                f"frame of {pixels.dtype} {pixels.shape}: the ring holds uint8 of at most "
                f"({shape.lines}, {shape.width_px}, {shape.bands}); look at width_px and block_lines of the camera"
            )
        number = self.published
        place, after = number % shape.slots, (number + 1) % shape.slots
        self._slots["generation"][place] = 0
        self._slots["generation"][after] = 0  # who reads the oldest frame learns it one frame before it is overwritten
        np.copyto(self._pixels[place][: len(pixels)], pixels)
        self._slots[place] = (0, first_line, len(pixels), frame_id, exposed_ns, 0)
        self._slots["generation"][place] = number + 1
        self._head["published"][0] = number + 1
        return number

    def read(self, number: int) -> RingFrame | None:
        """Return a frame where it lies, None where it is not in the ring (any more)."""
        place = number % self.shape.slots
        if not self.is_intact(number):
            return None
        slot = self._slots[place]
        return RingFrame(
            number,
            int(slot["first_line"]),
            int(slot["frame_id"]),
            int(slot["exposed_ns"]),
            self._pixels[place][: int(slot["lines"])],
        )

    def is_intact(self, number: int) -> bool:
        """Tell whether the ring still holds this frame: if so, what was read of it before is whole."""
        return number >= 0 and int(self._slots["generation"][number % self.shape.slots]) == number + 1

    def mark_unannounced(self, number: int) -> None:
        """Note that nobody was told of this frame; only the writer does so, for the frame it wrote last."""
        self._slots["is_unannounced"][number % self.shape.slots] = 1

    def is_unannounced(self, number: int) -> bool:
        """Tell whether nobody was told of this frame; False where it is not in the ring any more."""
        return self.is_intact(number) and bool(self._slots["is_unannounced"][number % self.shape.slots])
