"""The host's link and a virtual ejector controller in one thread and in virtual time.

It moves the clock, and sends pulses when the host would have them ready. Every byte goes through the real SEL/1 link.
Knows no pixels, pieces or classes.

>>> from edge_runtime.schemas import Camera, Lane
>>> machine = Machine("desk", (Camera(),), (Lane(0, 0.0, 5.0),))
>>> controller = VirtualController(machine, ManualClock(), ControllerTraits())
>>> controller.arm()
>>> controller.link.is_armed
True
"""

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Pulses
from edge_runtime.schemas import Machine
from firmware_bridge.board import BoardSettings
from firmware_bridge.board_choice import open_board
from firmware_bridge.clock import ManualClock
from firmware_bridge.errors import LinkDownError
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent, EjectOutcome, LinkEvent
from firmware_bridge.messages import TriggerStamp
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.transport_board import BoardTransport

__all__ = ["ControllerTraits", "EjectTally", "ReadyPulses", "VirtualController"]

_POLL_NS: Final = 2_000_000  # the link's batches age 2 ms: looking more often changes nothing
_ANSWER_S: Final = 1.0
_U32: Final = 0xFFFFFFFF
_MAX_PULSE_US: Final = 0xFFFF


class ControllerTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the virtual controller's clock is like.

    Attributes:
        tick_offset: tick at the start; near 2**32 it wraps during the run.
        drift_ppm: how much faster than the belt's time its clock runs.
    """

    tick_offset: int = 0
    drift_ppm: int = 0


class EjectTally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the pulses asked for; the outcomes add up to `asked`.

    Attributes:
        asked: pulses sent to the link.
        outcomes: count by outcome: acked (fired as asked), lost, or the controller's reason in lower case.
        open: without an outcome yet.
        worst_lateness_us: largest lateness the controller reported, None where it reported none.
        least_lead_us: shortest time between sending a pulse and its fire time, None without pulses.
    """

    asked: int
    outcomes: dict[str, int]
    open: int
    worst_lateness_us: int | None
    least_lead_us: int | None

    @property
    def late(self) -> int:
        """Pulses that were too late to fire as asked: fired late, dropped, or given up by the host."""
        return sum(self.outcomes.get(name, 0) for name in ("late_fired", "late_dropped", "lost"))


@dataclass(frozen=True, slots=True)
class ReadyPulses:
    """Pulses of one block, as the host has them after its computing time.

    Attributes:
        ready_ns: when, on the virtual clock.
        step: number of the sorter's step they come from; ascending.
        frame_no: block whose trigger stamp anchors them.
        stamp_us: when that trigger was, in microseconds since line 0 at the machine's belt speed.
        pulses: see `Pulses`.
    """

    ready_ns: int
    step: int
    frame_no: int
    stamp_us: float
    pulses: Pulses


class VirtualController:
    """A board, the link to it, and the virtual clock both live in.

    Args:
        machine: lanes say how many valves there are.
        clock: moved by this object.
        traits: of the board's clock.
    """

    def __init__(self, machine: Machine, clock: ManualClock, traits: ControllerTraits) -> None:
        valves = 1 + max((lane.valve for lane in machine.lanes), default=0)
        self.board = open_board(
            BoardSettings(n_valves=valves, tick_offset=traits.tick_offset, drift_ppm=traits.drift_ppm)
        )
        self.link = Link(BoardTransport(self.board, clock), clock, LinkSettings(epoch_seed=1))
        self._clock = clock
        self._stamps: dict[int, int] = {}
        self._sent: list[tuple[range, ReadyPulses]] = []
        self._waiting: list[tuple[int, int, ReadyPulses]] = []
        self._events: list[LinkEvent] = []
        self._outcomes: Counter[str] = Counter()
        self._asked = 0
        self._lateness_us: list[int] = []
        self._lead_us: list[int] = []

    @property
    def now_ns(self) -> int:
        """Return the virtual time."""
        return self._clock.monotonic_ns()

    @property
    def tally(self) -> EjectTally:
        """Return what became of the pulses so far."""
        return EjectTally(
            self._asked,
            dict(sorted(self._outcomes.items())),
            self._asked - self._outcomes.total(),
            max(self._lateness_us, default=None),
            min(self._lead_us, default=None),
        )

    def connect(self) -> None:
        """Open the session and configure the board; triggers are stamped from here on.

        Raises:
            LinkError: the board does not answer: the link or the board is at fault.
        """
        self.link.connect(_ANSWER_S)
        self.link.configure({}, _ANSWER_S)

    def arm(self) -> None:
        """Open the session, let the valves fire and the feeder run.

        Raises:
            LinkError: the board does not answer or does not arm.
        """
        self.connect()
        self.link.arm(_ANSWER_S)
        self.link.set_feeder(1000)

    def trigger(self, frame_no: int) -> int:
        """Let the camera's trigger of this block reach the board now; return its stamp, a u32 tick.

        Raises:
            LinkDownError: no stamp came back: there is no session.
        """
        self.board.trigger(frame_no, self.now_ns)
        self._poll()
        if frame_no not in self._stamps:
            raise LinkDownError(f"no trigger stamp for block {frame_no}: the session has ended")
        return self._stamps[frame_no]

    def send_when_ready(self, ready: ReadyPulses) -> None:
        """Keep pulses until the host has computed them; `advance_to` sends them then."""
        if len(ready.pulses):
            heapq.heappush(self._waiting, (ready.ready_ns, ready.step, ready))

    def advance_to(self, now_ns: int) -> None:
        """Let time pass until `now_ns`, sending what becomes ready and letting the link work every 2 ms.

        Raises:
            LinkError: the session ended.
        """
        while self.now_ns < now_ns:
            due_ns = max(self._waiting[0][0], self.now_ns) if self._waiting else now_ns
            self._clock.advance_ns(min(due_ns, now_ns, self.now_ns + _POLL_NS) - self.now_ns)
            while self._waiting and self._waiting[0][0] <= self.now_ns:
                self._send(heapq.heappop(self._waiting)[2])
            self._poll()

    def tick_at(self, times_ns: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the board's ticks, not wrapped, at virtual times."""
        return np.array([self.board.tick_at(int(time_ns)) for time_ns in times_ns.tolist()], np.int64)

    def take_events(self) -> list[LinkEvent]:
        """Return what the link brought since the last call, stamps left out."""
        events, self._events = self._events, []
        return events

    def take_sent(self) -> list[tuple[range, ReadyPulses]]:
        """Return the pulses sent since the last call with their event ids, in order."""
        sent, self._sent = self._sent, []
        return sent

    def take_fired(self) -> list[FiredPulse]:
        """Return the pulses that closed since the last call."""
        return self.board.take_fired()

    def _send(self, ready: ReadyPulses) -> None:
        """Anchor the pulses at their block's stamp and hand them to the link."""
        stamp = self._stamps[ready.frame_no]
        pulses = ready.pulses
        open_us = np.rint(pulses.open_us - ready.stamp_us).astype(np.int64)
        now_us = self.board.tick_at(self.now_ns) - stamp & _U32
        self._lead_us.append(int(open_us.min()) - now_us)
        rows = zip(open_us, pulses.first_valves, pulses.valve_counts, pulses.pulse_us, strict=True)
        self._asked += len(pulses)
        evids = self.link.eject(
            [
                EjectEvent((stamp + int(at_us)) & _U32, int(first), int(count), min(int(length_us), _MAX_PULSE_US))
                for at_us, first, count, length_us in rows
            ]
        )
        self._sent.append((evids, ready))

    def _poll(self) -> None:
        for event in self.link.poll():
            match event:
                case TriggerStamp():
                    self._stamps[event.frame_no] = event.tick
                    self._stamps.pop(event.frame_no - 4096, None)  # no pulse is that old
                case EjectOutcome():
                    self._outcomes[event.reason.name.lower() if event.reason else event.kind.value] += 1
                    if event.reason is not None:
                        self._lateness_us.append(event.lateness_us)
                    self._events.append(event)
                case _:
                    self._events.append(event)
