"""What goes into the link from the product and what comes out of it.

>>> EjectEvent(fire_tick=1000, first_valve=4, valve_count=2, pulse_us=1500).fire_tick
1000
>>> EjectOutcome(evid=7, kind=OutcomeKind.REPORTED, reason=EjectReason.MERGED).has_fired
True
"""

from enum import Enum
from typing import TypeAlias

import msgspec

from firmware_bridge.messages import (
    EjectReason,
    Fault,
    Log,
    Status,
    TransferKind,
    TransferStatus,
    TriggerStamp,
    Verdict,
)

__all__ = [
    "DownReason",
    "EjectEvent",
    "EjectOutcome",
    "LinkDown",
    "LinkEvent",
    "OutcomeKind",
    "TransferDone",
    "TransferProgress",
    "TransferReceived",
]


class EjectEvent(msgspec.Struct, frozen=True):
    """One pulse wanted.

    Attributes:
        fire_tick: controller's tick, modulo 2**32.
        first_valve: 0..4095.
        valve_count: adjacent valves, 1..16.
        pulse_us: 1..65535.
        valve_mask: where the valves are not adjacent: bit i is valve first_valve + i, 32 bits; valve_count is then
            not used. 0: adjacent.
    """

    fire_tick: int
    first_valve: int
    valve_count: int
    pulse_us: int
    valve_mask: int = 0


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


class TransferProgress(msgspec.Struct, frozen=True):
    """How much of a transfer the other end has in order.

    Attributes:
        transfer_no: the number that `Link.transfer` returned.
        done_b: bytes there; it goes back only where the other end has forgotten them, by a restart.
        size_b: bytes in all.
    """

    transfer_no: int
    done_b: int
    size_b: int


class TransferDone(msgspec.Struct, frozen=True):
    """The one outcome of a transfer: the other end's word.

    Attributes:
        transfer_no: the number that `Link.transfer` returned.
        status: OK only when all bytes are there and their SHA-256 is right.
    """

    transfer_no: int
    status: TransferStatus


class TransferReceived(msgspec.Struct, frozen=True):
    """A transfer from the other end has arrived whole.

    Attributes:
        kind: what it carries.
        name: the other end's word, as it came: no path to be opened without a look at it.
        data: its bytes; their SHA-256 is right.
    """

    kind: TransferKind
    name: str
    data: bytes


LinkEvent: TypeAlias = (
    TriggerStamp
    | Verdict
    | EjectOutcome
    | Status
    | Fault
    | Log
    | LinkDown
    | TransferDone
    | TransferProgress
    | TransferReceived
)
