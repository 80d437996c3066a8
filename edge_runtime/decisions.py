"""What the machine decided about each object, as columns, and the digest that proves two runs decided the same.

>>> none = Decisions.empty("top", CropSpec(side_px=16), 2)
>>> len(none)
0
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec

__all__ = ["CLUSTER", "CUT_OFF", "KIND_NAMES", "OVERSIZE", "Decisions", "Pulses", "decisions_sha256", "pulses_of"]

# Class ids of objects that are never classified.
OVERSIZE: Final = -1  # larger than the window, or longer than the recipe or the camera allows
CLUSTER: Final = -2  # several objects that could not be parted, by its outline
CUT_OFF: Final = -3  # reaches out of the view
KIND_NAMES: Final = {OVERSIZE: "oversize", CLUSTER: "cluster", CUT_OFF: "cut_off"}


class Decisions(msgspec.Struct, frozen=True):
    """Decisions about N objects of one camera, step by step of the scene, each by last row, then column.

    Parts of a component that touches the next step come with that step, so a part may end above an object before it.
    An object's id is (camera, line, column): it does not depend on how the stream was cut.

    Attributes:
        camera: name of the view.
        lines: (N,) int64, absolute line of the object's last row.
        columns: (N,) int32, column where that row begins.
        boxes_px: (N, 4) int64: x, absolute first line, width, height.
        centres_mm: (N, 2) float64, middle of the object from the left edge of the view and from line 0.
        lengths_mm, widths_mm: (N,) float64, longer side and the side across it.
        angles_deg: (N,) float64 in [0, 180), from across the belt to the longer side.
        class_ids: (N,) int64, index into the card's classes, or below 0: OVERSIZE, CLUSTER or CUT_OFF.
        scores: (N, K) float32; 0 for objects without a class.
        is_eject: (N,) bool, the action.
        norm_numerators, norm_denominators: (N,) int64; 0 and 1 for objects without a class.
        pixels: (N, S, S, C) uint8 crops; 0 for objects without a class.
        masks: (N, S, S) bool.
    """

    camera: str
    lines: NDArray[np.int64]
    columns: NDArray[np.int32]
    boxes_px: NDArray[np.int64]
    centres_mm: NDArray[np.float64]
    lengths_mm: NDArray[np.float64]
    widths_mm: NDArray[np.float64]
    angles_deg: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_eject: NDArray[np.bool_]
    norm_numerators: NDArray[np.int64]
    norm_denominators: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    masks: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.lines.size)

    @staticmethod
    def empty(camera: str, crop: CropSpec, class_count: int) -> "Decisions":
        """Return decisions about no object."""
        side = crop.side_px
        return Decisions(
            camera,
            np.zeros(0, np.int64),
            np.zeros(0, np.int32),
            np.zeros((0, 4), np.int64),
            np.zeros((0, 2)),
            np.zeros(0),
            np.zeros(0),
            np.zeros(0),
            np.zeros(0, np.int64),
            np.zeros((0, class_count), np.float32),
            np.zeros(0, np.bool_),
            np.zeros(0, np.int64),
            np.ones(0, np.int64),
            np.zeros((0, side, side, crop.channels), np.uint8),
            np.zeros((0, side, side), np.bool_),
        )

    @staticmethod
    def concat(parts: Sequence["Decisions"]) -> "Decisions":
        """Return the decisions of one or more parts of one camera's stream, one after the other."""
        names = [name for name in Decisions.__struct_fields__ if name != "camera"]
        columns = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return Decisions(parts[0].camera, *columns)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> "Decisions":
        """Return the decisions where `keep` is true, or at these indices, in that order."""
        columns = (getattr(self, name)[keep] for name in self.__struct_fields__ if name != "camera")
        return Decisions(self.camera, *columns)

    def without_crops(self) -> "Decisions":
        """Return the same decisions with crops and masks of no pixels, to be kept for long."""
        count = len(self)
        pixels, masks = np.zeros((count, 0, 0, 1), np.uint8), np.zeros((count, 0, 0), np.bool_)
        return msgspec.structs.replace(self, pixels=pixels, masks=masks)


class Pulses(msgspec.Struct, frozen=True):
    """Valve pulses; times in microseconds since line 0 of the stream passed the camera, at the machine's belt speed.

    Attributes:
        objects: (M,) int64, which object each pulse is for: index into the decisions.
        first_valves: (M,) int32; valve_counts: (M,) int32, adjacent valves.
        open_us: (M,) int64; pulse_us: (M,) int64, > 0.
    """

    objects: NDArray[np.int64]
    first_valves: NDArray[np.int32]
    valve_counts: NDArray[np.int32]
    open_us: NDArray[np.int64]
    pulse_us: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.objects.size)


def pulses_of(rows: Sequence[Sequence[int]]) -> Pulses:
    """Return pulses from rows of object, first valve, number of valves, opening time and length, in microseconds."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    return Pulses(table[:, 0], table[:, 1].astype(np.int32), table[:, 2].astype(np.int32), table[:, 3], table[:, 4])


def decisions_sha256(parts: Iterable[tuple[Decisions, Pulses]], class_names: Sequence[str]) -> str:
    """Return the digest over the sorted (object id, class, action, valves, relative tick) of all objects.

    Args:
        parts: decisions with the pulses scheduled for them, in any order.
        class_names: the card's classes.

    Returns:
        64 hexadecimal digits, the same for the same decisions whatever the order or the blocks.
    """
    rows = sorted(row for decisions, pulses in parts for row in _rows(decisions, pulses, class_names))
    digest = hashlib.sha256()
    for row in rows:
        digest.update(struct.pack("<I", len(row)) + row)
    return digest.hexdigest()


def _rows(decisions: Decisions, pulses: Pulses, class_names: Sequence[str]) -> list[bytes]:
    fired: list[list[tuple[int, ...]]] = [[] for _ in range(len(decisions))]
    valves = zip(pulses.first_valves, pulses.valve_counts, pulses.open_us, pulses.pulse_us, strict=True)
    for owner, pulse in zip(pulses.objects.tolist(), valves, strict=True):
        fired[owner].append(tuple(int(value) for value in pulse))
    rows = []
    for i in range(len(decisions)):
        class_id = int(decisions.class_ids[i])
        name = class_names[class_id] if class_id >= 0 else "\1" * (OVERSIZE - class_id)  # never a class's name
        head = struct.pack("<qiB", int(decisions.lines[i]), int(decisions.columns[i]), int(decisions.is_eject[i]))
        text = f"{decisions.camera}\0{name}\0{sorted(fired[i])}".encode()
        rows.append(text + head)
    return rows
