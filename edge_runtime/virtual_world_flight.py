"""Where the pieces of a virtual world land, and an inspection that tells the truth about a share of them.

It must not know sockets, pixels or what the host decided. Times are microseconds on the belt's axis.

>>> from edge_runtime.schemas import Camera, Lane
>>> machine = Machine("desk", (Camera(),), (Lane(0, 0.0, 5.0),), belt_mm_s=2000.0)
>>> piece = BeltPieces(np.array([0]), np.array([20.0]), np.array([1000]), np.array([1019]))
>>> flight = Flight(piece, machine, np.zeros(1))
>>> flight.landed_by(280_999), flight.landed_by(281_000)
(0, 1)
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.schemas import Machine
from edge_runtime.virtual_belt import BeltObject
from edge_runtime.virtual_inspection import VirtualInspection
from edge_runtime.virtual_outcome import Passages, deflected
from edge_runtime.virtual_pieces import Landing
from edge_runtime.virtual_world_log import WorldPulse
from edge_runtime.virtual_world_outcome import passages_of
from edge_runtime.virtual_world_scene import BeltPieces
from firmware_bridge.messages import Verdict
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = ["Flight", "WorldInspection"]

_PULSE_END_US: Final = 80_000  # a pulse is known when it has closed, 65 ms after its begin at the latest
_LONGEST_DELAY_US: Final = 100_000  # of a lane's valve


class Flight:
    """The pieces from the belt to where they land.

    Attributes:
        pieces: all that come, lines are the world's.
        scatter_mm: (N,) float64, each one's own error along the belt.

    Args:
        pieces: see above.
        machine: cameras, lanes, belt.
        scatter_mm: see above.
    """

    def __init__(self, pieces: BeltPieces, machine: Machine, scatter_mm: NDArray[np.float64]) -> None:
        self.pieces = pieces
        self.scatter_mm = scatter_mm
        self._machine = machine
        self._passages = passages_of(pieces, scatter_mm, machine)
        self._landed_us = np.maximum.accumulate(self._passages.end_ticks + _PULSE_END_US)  # in the order of pieces
        us_per_mm = 1e6 / machine.belt_mm_s
        behind_us = round((machine.to_inspection_mm - machine.cameras[0].to_valves_mm) * us_per_mm)
        self._inspected_us = (self._passages.begin_ticks + self._passages.end_ticks) // 2 + behind_us
        self._least_begin_us = np.minimum.accumulate(self._passages.begin_ticks[::-1])[::-1]
        self._judged_us = np.maximum(self._landed_us, np.maximum.accumulate(self._inspected_us))

    @property
    def over_us(self) -> int:
        """Return when the last piece has landed and is past the inspection."""
        return int(self._judged_us.max(initial=0))

    def landed_by(self, us: int) -> int:
        """Return how many pieces, in their order, have landed, and every pulse that could have met them has closed."""
        return int(np.searchsorted(self._landed_us, us, side="right"))

    def inspected_by(self, us: int) -> int:
        """Return how many pieces, in their order, have landed and are past the inspection."""
        return int(np.searchsorted(self._judged_us, us, side="right"))

    def begins_from(self, first: int) -> int | None:
        """Return when the earliest of the pieces from this one on reaches the valves, None where there is none."""
        return int(self._least_begin_us[first]) if first < self.pieces.count else None

    def is_thrown(self, first: int, last: int, pulses: Sequence[WorldPulse]) -> NDArray[np.bool_]:
        """Return, (last - first,) bool, which of these pieces a jet threw out."""
        part, all_ = slice(first, last), self._passages
        passages = Passages(all_.class_ids[part], all_.centres_mm[part], all_.begin_ticks[part], all_.end_ticks[part])
        return deflected(passages, [FiredPulse(*pulse[1:]) for pulse in pulses], self._machine.lanes)

    def landing(self, first: int, last: int, pulses: Sequence[WorldPulse], names: Sequence[str]) -> Landing:
        """Return what an inspection sees of pieces; its ticks are microseconds on the belt's axis."""
        pieces = self.pieces
        columns = (pieces.class_ids, pieces.centres_px, pieces.first_lines, pieces.last_lines)
        rows = zip(*(column[first:last].tolist() for column in columns), strict=True)
        objects = [
            BeltObject(first + number, names[class_id], round(centre), 0, first_line, last_line)
            for number, (class_id, centre, first_line, last_line) in enumerate(rows)
        ]
        return Landing(objects, self.is_thrown(first, last, pulses), self._inspected_us[first:last])


class WorldInspection:
    """Looks at what lands while the world runs.

    Args:
        flight: of the pieces.
        inspection: how good it is.
        class_names: of the recipe.
    """

    def __init__(self, flight: Flight, inspection: VirtualInspection, class_names: Sequence[str]) -> None:
        self._flight = flight
        self._inspection = inspection
        self._names = tuple(class_names)
        self._done = 0
        self._first_pulse = 0

    def judge(self, us: int, pulses: Sequence[WorldPulse]) -> list[Verdict]:
        """Return the verdicts on pieces that came past since the last call; ticks are the belt's microseconds.

        Args:
            us: now.
            pulses: all so far, in the order of closing.
        """
        first, last = self._done, self._flight.inspected_by(us)
        if first == last:
            return []
        self._done = last
        recent = pulses[self._first_pulse :]
        landing = self._flight.landing(first, last, recent, self._names)
        self._forget(recent)
        return self._inspection.judge(landing)

    def _forget(self, recent: Sequence[WorldPulse]) -> None:
        """Leave out pulses that no piece still to come can have met."""
        begin_us = self._flight.begins_from(self._done)
        if begin_us is not None:
            oldest_us = begin_us - _LONGEST_DELAY_US
            self._first_pulse += next((i for i, pulse in enumerate(recent) if pulse.close_us >= oldest_us), len(recent))
