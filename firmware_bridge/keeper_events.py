"""What a link keeper reports, and how patient it is.

>>> LinkLost(LostReason.TRANSPORT, "port is gone").reason.value
'transport'
"""

from enum import Enum
from typing import Final, TypeAlias

import msgspec

__all__ = [
    "REARM_AFTER",
    "ArmingHeld",
    "KeeperEvent",
    "KeeperSettings",
    "KeeperState",
    "LinkLost",
    "LinkRefused",
    "LinkRestored",
    "LostReason",
]


class KeeperState(Enum):
    """How far the keeper has come."""

    WAITING = "waiting"  # for the next try to open the port
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    READY = "ready"  # in session and configured, not armed
    ARMING = "arming"
    ARMED = "armed"
    DISARMING = "disarming"
    REFUSED = "refused"  # given up: `restart` tries again
    CLOSED = "closed"


class LostReason(Enum):
    """Why a session ended."""

    TRANSPORT = "transport"  # the port failed: unplugged, hung up
    SILENT = "silent"  # nothing heard from the controller
    NO_ACK = "no_ack"  # the controller does not acknowledge: the same as SILENT, noticed sooner
    RESTARTED = "restarted"  # the controller has started anew
    UNHEARD = "unheard"  # the controller heard nothing from us, although this program was there in time
    STALLED = "stalled"  # this program was not there in time: stopped, swapped out, overloaded
    STOPPED = "stopped"  # the controller left ARMED by itself: another host, an emergency stop, another configuration


# What the machine does to itself is for it to mend. A computer too slow to keep its own deadlines, and a controller
# that somebody else has stopped, are for a person to look at first.
REARM_AFTER: Final = frozenset(
    {LostReason.TRANSPORT, LostReason.SILENT, LostReason.NO_ACK, LostReason.RESTARTED, LostReason.UNHEARD}
)


class KeeperSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a lost session is restored.

    Attributes:
        first_retry_ms: shortest pause between two tries to open the port.
        longest_retry_ms: longest pause; it doubles from try to try, and a random part of it keeps hosts apart.
        attempt_ms: limit for connecting, configuring and arming, each; then the port is opened anew.
        rearm_after: losses after which the machine is armed again without being asked; empty for never.
        max_rearms: so often within rearm_window_s; then arming is held.
        rearm_window_s: see max_rearms.
    """

    first_retry_ms: int = 20
    longest_retry_ms: int = 200
    attempt_ms: int = 1000
    rearm_after: frozenset[LostReason] = REARM_AFTER
    max_rearms: int = 5
    rearm_window_s: int = 60


class LinkLost(msgspec.Struct, frozen=True):
    """The session is over; valves and feeder are off or will be soon."""

    reason: LostReason
    detail: str


class LinkRestored(msgspec.Struct, frozen=True):
    """A session is there again, or for the first time, in the state that is wanted.

    Attributes:
        after_ms: since the loss, or since the keeper was made.
        attempts: tries to open the port in that time.
        is_armed: whether it fires.
    """

    after_ms: int
    attempts: int
    is_armed: bool


class ArmingHeld(msgspec.Struct, frozen=True):
    """The machine is not armed and its feeder stays off until the caller wants it anew."""

    detail: str


class LinkRefused(msgspec.Struct, frozen=True):
    """Trying again is of no use; the port is closed until `restart`."""

    detail: str


KeeperEvent: TypeAlias = LinkLost | LinkRestored | ArmingHeld | LinkRefused
