"""The pieces of a virtual run as the world knows them: where they fly, which decision was about which, where they land.

The host never sees any of this, but for what an inspection or a person tells it. Knows no link and no pixels.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Decisions
from edge_runtime.schemas import Camera, Machine
from edge_runtime.virtual_belt import BeltObject
from edge_runtime.virtual_outcome import Decided, Passages, deflected
from firmware_bridge.clock import NS_PER_S
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = ["NOBODY", "Course", "Landing", "VirtualPieces"]

NOBODY: Final = -1  # no piece, or more than one
_PULSE_END_NS: Final = 80_000_000  # a pulse is known when it has closed, 65 ms after its begin at the latest


@dataclass(frozen=True, slots=True)
class Course:
    """How pieces move from the camera on.

    Attributes:
        machine: belt speed, lanes, ways.
        camera: the view they pass.
        line_0_ns: virtual time at which line 0 passes the camera.
        scatter_mm: standard deviation of where a piece is along the belt when it reaches the valves.
        tick_at: virtual times, ns, to the controller's ticks, not wrapped.
    """

    machine: Machine
    camera: Camera
    line_0_ns: int
    scatter_mm: float
    tick_at: Callable[[NDArray[np.float64]], NDArray[np.int64]]

    def times_ns(self, way_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when a point that lies `way_mm` behind line 0 passes the camera."""
        return self.line_0_ns + way_mm / self.machine.belt_mm_s * NS_PER_S


@dataclass(frozen=True, slots=True)
class Landing:
    """Pieces that have passed the valves since the last look.

    Attributes:
        pieces: their truth.
        is_thrown: (N,) bool.
        inspection_ticks: (N,) int64, when their middle passes the inspection, not wrapped.
    """

    pieces: Sequence[BeltObject]
    is_thrown: NDArray[np.bool_]
    inspection_ticks: NDArray[np.int64]


class VirtualPieces:
    """All pieces of one run.

    Args:
        course: how they move.
        class_names: of the recipe; every piece's class is one of them.
        rng: of the scatter.
    """

    def __init__(self, course: Course, class_names: Sequence[str], rng: np.random.Generator) -> None:
        self._course = course
        self._ids = {name: i for i, name in enumerate(class_names)}
        self._rng = rng
        self._pieces: list[BeltObject] = []
        self._scatter_mm: list[float] = []
        self._first_lines: list[int] = []
        self._decided: list[int] = []
        self._predicted: list[int | None] = []
        self._is_thrown: list[bool] = []
        self._pulses: list[FiredPulse] = []

    def add(self, pieces: Sequence[BeltObject]) -> None:
        """Take pieces that have come onto the belt, in order."""
        self._pieces += pieces
        self._first_lines += [piece.first_line for piece in pieces]
        self._scatter_mm += self._rng.normal(0, self._course.scatter_mm, len(pieces)).tolist()
        self._decided += [int(Decided.UNSEEN)] * len(pieces)
        self._predicted += [None] * len(pieces)

    @property
    def count(self) -> int:
        """Return how many pieces came so far."""
        return len(self._pieces)

    def kind_of(self, number: int) -> str:
        """Return the class of piece `number`."""
        return self._pieces[number].kind

    @property
    def class_ids(self) -> NDArray[np.int64]:
        """True classes of all pieces, (N,) int64."""
        return np.array([self._ids[piece.kind] for piece in self._pieces], np.int64)

    @property
    def decided(self) -> NDArray[np.int8]:
        """What was decided about each piece, (N,) int8, values of `Decided`."""
        return np.array(self._decided, np.int8)

    @property
    def predicted(self) -> list[int | None]:
        """The class id decided for each piece, None where it was never seen."""
        return list(self._predicted)

    @property
    def is_thrown(self) -> NDArray[np.bool_]:
        """Which pieces were thrown out, (N,) bool; complete when all have landed."""
        return np.array(self._is_thrown, np.bool_)

    def assign(self, decisions: Decisions) -> NDArray[np.int64]:
        """Find the pieces that decisions are about: those whose middle lies in the object's box.

        Returns:
            (N,) int64, number of the one piece of each decision, NOBODY for none or several. Each piece of a cluster
            takes the cluster's decision.
        """
        owners = np.full(len(decisions), NOBODY, np.int64)
        if len(decisions) == 0:
            return owners
        boxes = decisions.boxes_px
        ends = boxes[:, 1] + boxes[:, 3]
        start = bisect_left(self._first_lines, int(boxes[:, 1].min()) - self._course.camera.max_object_lines)
        stop = bisect_left(self._first_lines, int(ends.max()))
        near = self._pieces[start:stop]
        x = np.array([piece.centre_px for piece in near])
        line = np.array([piece.centre_line for piece in near])
        inside = (
            (x >= boxes[:, :1]) & (x < boxes[:, :1] + boxes[:, 2:3]) & (line >= boxes[:, 1:2]) & (line < ends[:, None])
        )  # (N, M)
        for row, column in zip(*(index.tolist() for index in np.nonzero(inside)), strict=True):
            self._decided[start + column] = int(Decided.EJECT if decisions.is_eject[row] else Decided.ACCEPT)
            self._predicted[start + column] = int(decisions.class_ids[row])
        is_sole = inside.sum(axis=1) == 1
        if is_sole.any():
            owners[is_sole] = inside[is_sole].argmax(axis=1) + start
        return owners

    def land(self, now_ns: int, fired: Sequence[FiredPulse]) -> Landing:
        """Decide where the pieces went that are past the valves and, where there is one, past the inspection.

        Args:
            now_ns: virtual time.
            fired: pulses closed since the last call.
        """
        first = len(self._is_thrown)
        self._pulses += fired
        last = first + self._past(now_ns, first)
        pieces = self._pieces[first:last]
        passages, inspection_ticks = self._passages(pieces, np.array(self._scatter_mm[first:last]))
        is_thrown = deflected(passages, self._pulses, self._course.machine.lanes)
        self._is_thrown += is_thrown.tolist()
        self._forget_pulses(last)
        return Landing(pieces, is_thrown, inspection_ticks)

    def _past(self, now_ns: int, first: int) -> int:
        """Return how many pieces from `first` on are past everything, in order."""
        course = self._course
        way_mm = max(course.camera.to_valves_mm, course.machine.to_inspection_mm) + 6 * course.scatter_mm
        until_mm = (now_ns - _PULSE_END_NS - course.line_0_ns) / NS_PER_S * course.machine.belt_mm_s - way_mm
        line = until_mm / course.camera.pixel_mm
        count = 0
        for piece in self._pieces[first:]:
            if piece.last_line >= line:
                break
            count += 1
        return count

    def _passages(
        self, pieces: Sequence[BeltObject], scatter_mm: NDArray[np.float64]
    ) -> tuple[Passages, NDArray[np.int64]]:
        course = self._course
        pixel_mm = course.camera.pixel_mm
        begins = np.array([piece.first_line for piece in pieces], np.float64) * pixel_mm + scatter_mm
        ends = np.array([piece.last_line + 1 for piece in pieces], np.float64) * pixel_mm + scatter_mm
        passages = Passages(
            np.array([self._ids[piece.kind] for piece in pieces], np.int64),
            np.array([piece.centre_px for piece in pieces], np.float64) * pixel_mm,
            course.tick_at(course.times_ns(begins + course.camera.to_valves_mm)),
            course.tick_at(course.times_ns(ends + course.camera.to_valves_mm)),
        )
        middles = (begins + ends) / 2 + course.machine.to_inspection_mm
        return passages, course.tick_at(course.times_ns(middles))

    def _forget_pulses(self, next_piece: int) -> None:
        """Keep only pulses that a piece still to land could meet."""
        if next_piece >= len(self._pieces) or not self._pulses:
            return
        course = self._course
        way_mm = self._pieces[next_piece].first_line * course.camera.pixel_mm + course.camera.to_valves_mm
        earliest_ns = course.times_ns(np.array([way_mm - 6 * course.scatter_mm])) - _PULSE_END_NS
        earliest = int(course.tick_at(earliest_ns)[0])
        self._pulses = [pulse for pulse in self._pulses if pulse.close_tick >= earliest]
