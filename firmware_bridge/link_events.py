"""What goes into the link from the product and what comes out of it.

>>> EjectEvent(fire_tick=1000, first_valve=4, valve_count=2, pulse_us=1500).fire_tick
1000
>>> EjectOutcome(evid=7, kind=OutcomeKind.REPORTED, reason=EjectReason.MERGED).has_fired
True
"""

from enum import Enum
from typing import TypeAlias

import msgspec

from firmware_bridge.messages import EjectReason, Fault, Status, TriggerStamp, Verdict

__all__ = ["DownReason", "EjectEvent", "EjectOutcome", "LinkDown", "LinkEvent", "OutcomeKind"]


class EjectEvent(msgspec.Struct, frozen=True):
    """One pulse wanted.

    Attributes:
        fire_tick: controller's tick, modulo 2**32.
        first_valve: 0..4095.
        valve_count: adjacent valves, 1..16.
        pulse_us: 1..65535.
    """

    fire_tick: int
    first_valve: int
    valve_count: int
    pulse_us: int


class OutcomeKind(Enum):
    """How an event ended, as far as the host can know."""

    ACKED = "acked"  # received, and no exception came: it fired as asked
    REPORTED = "reported"  # the controller sent an exception: see reason
    LOST = "lost"  # never acknowledged before its deadline, or the session ended first


class EjectOutcome(msgspec.Struct, frozen=True):
    """The one outcome of one event.

    Attributes:
        evid: the id that `Link.eject` returned.
        kind: how it ended.
        reason: the controller's word, for REPORTED only.
        lateness_us: how late it reached the controller, negative is early; for REPORTED only.
    """

    evid: int
    kind: OutcomeKind
    reason: EjectReason | None = None
    lateness_us: int = 0

    @property
    def has_fired(self) -> bool:
        """Tell whether the valves opened: yes when acknowledged, and for those reports that say so."""
        return self.kind is OutcomeKind.ACKED or (self.reason is not None and self.reason.has_fired)


class DownReason(Enum):
    """Why a session ended."""

    NO_ACK = "no_ack"  # a control message was repeated in vain
    SILENT = "silent"  # no frame from the controller for too long
    RESTARTED = "restarted"  # the controller has another boot_id
    TRANSPORT = "transport"  # the medium failed
    CLOSED = "closed"  # `Link.close` was called


class LinkDown(msgspec.Struct, frozen=True):
    """The session is over; outcomes of everything unsettled come before this event."""

    reason: DownReason
    detail: str


LinkEvent: TypeAlias = TriggerStamp | Verdict | EjectOutcome | Status | Fault | LinkDown
