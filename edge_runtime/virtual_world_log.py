"""What happened at the controller of a virtual world: pulses, states, refusals, each with its time on the belt's axis.

It reads what the board says to its host and what its pulse recorder saw; it changes nothing. Times are microseconds
since line 0 of the world, so that a board that lost its power and counts from 0 again stays on one axis.

>>> log = BoardLog(line_0_ns=0, drift_ppm=0)
>>> log.see_state(BoardState.ARMED, 5_000_000)
>>> log.see_pulses([FiredPulse(1, 4, 1, 900, 1400)], tick=1000, now_ns=6_000_000)
>>> log.pulses[0].open_us, log.states[0].state
(5900, 'ARMED')
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from firmware_bridge.codec import decode_payload, message_type
from firmware_bridge.endpoint import MAX_LONG_BODY_B
from firmware_bridge.errors import MessageError
from firmware_bridge.event_text import fault_names
from firmware_bridge.framing import Deframer
from firmware_bridge.messages import BoardState, EjectExc, EjectReason, EjectReport, Fault
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = ["BoardLog", "FeederChange", "StateChange", "WorldPulse"]

_EXCEPTION: Final = message_type(EjectExc(()), to_host=True)
_FAULT: Final = message_type(Fault(0, 0, 0, 0), to_host=True)
_NS_PER_US: Final = 1000


class WorldPulse(NamedTuple):
    """A pulse that closed: `FiredPulse` on the belt's axis, and of which life of the board."""

    boot: int
    evid: int
    first_valve: int
    valve_count: int
    open_us: int
    close_us: int


class StateChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The controller's state from `at_us` on; `reason` is a fault's name, "power_cut" or "host"."""

    at_us: int
    state: str
    reason: str


class FeederChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rate that the feeder runs at from `at_us` on."""

    at_us: int
    permille: int


class BoardLog:
    """Everything that is written down; see the module.

    Attributes:
        pulses: all that closed, in the order of closing.
        states, feeder: every change.
        refusals: events that did not go normally, by reason; those fired late are LATE_FIRED.
        worst_lateness_us: largest lateness reported of an event that came late, None where none did.
        boots: how often the board has started again.

    Args:
        line_0_ns: zero of the axis.
        drift_ppm: of the board's clock.
    """

    def __init__(self, line_0_ns: int, drift_ppm: int) -> None:
        self.pulses: list[WorldPulse] = []
        self.states: list[StateChange] = []
        self.feeder: list[FeederChange] = []
        self.refusals: Counter[str] = Counter()
        self.worst_lateness_us: int | None = None
        self.boots = 0
        self._line_0_ns = line_0_ns
        self._us_per_tick = 1e6 / (1_000_000 + drift_ppm)
        self._deframer = Deframer(MAX_LONG_BODY_B)
        self._fault = ""
        self._told: set[tuple[int, int]] = set()

    def us_at(self, now_ns: int) -> int:
        """Return a time on the belt's axis."""
        return (now_ns - self._line_0_ns) // _NS_PER_US

    def see_pulses(self, pulses: Sequence[FiredPulse], *, tick: int, now_ns: int) -> None:
        """Write down pulses that closed, of a board whose tick is `tick` at `now_ns`, not wrapped."""
        if not pulses:
            return
        now_us = (now_ns - self._line_0_ns) / _NS_PER_US
        for evid, first_valve, count, open_tick, close_tick in pulses:
            open_us = round(now_us + (open_tick - tick) * self._us_per_tick)
            close_us = round(now_us + (close_tick - tick) * self._us_per_tick)
            self.pulses.append(WorldPulse(self.boots, evid, first_valve, count, open_us, close_us))

    def see_state(self, state: BoardState, now_ns: int, *, reason: str = "") -> None:
        """Write the state down where it is another one."""
        name = state.name
        if not self.states or self.states[-1].state != name:
            self.states.append(StateChange(self.us_at(now_ns), name, reason or self._fault or "host"))
            self._fault = ""

    def see_feeder(self, permille: int, now_ns: int) -> None:
        """Write the feeder's rate down where it is another one."""
        if not self.feeder or self.feeder[-1].permille != permille:
            self.feeder.append(FeederChange(self.us_at(now_ns), permille))

    def see_boot(self, now_ns: int, state: BoardState) -> None:
        """Write down that the power was away for an instant."""
        self.boots += 1
        self.states.append(StateChange(self.us_at(now_ns), state.name, "power_cut"))

    def see_output(self, data: bytes) -> None:
        """Read what the board says: its reports about events, and its faults."""
        for frame in self._deframer.feed(data):
            if frame.type not in {_EXCEPTION, _FAULT}:
                continue
            try:
                message = decode_payload(frame.type, frame.payload)
            except MessageError:  # our own board sends none of these
                continue
            match message:
                case EjectExc(reports=reports):
                    for report in reports:
                        self._see_report(report)
                case Fault(code=code):
                    self._fault = next(iter(fault_names(1 << code)), f"code {code}")
                case _:
                    pass

    def _see_report(self, report: EjectReport) -> None:
        key = (self.boots, report.evid)
        if key in self._told:  # the board repeats reports until they are acknowledged
            return
        self._told.add(key)
        self.refusals[report.reason.name] += 1
        if report.reason not in {EjectReason.LATE_FIRED, EjectReason.LATE_DROPPED}:
            return
        lateness_us = report.lateness_10us * 10
        if self.worst_lateness_us is None or lateness_us > self.worst_lateness_us:
            self.worst_lateness_us = lateness_us
