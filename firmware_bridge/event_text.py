"""What happened on the link, in one line for people: names instead of numbers.

>>> event_text(Fault(code=1, sub=0, tick=5, arg=0))
'HOST_SILENT sub=0 tick=5 arg=0'
"""

from enum import Enum
from typing import Final

import msgspec

from firmware_bridge.link_events import LinkEvent
from firmware_bridge.messages import Fault, FaultCode, Log, Status

__all__ = ["event_text", "fault_names"]

_BITS: Final = 32


def fault_names(faults: int) -> tuple[str, ...]:
    """Return the names of the faults in STATUS.faults; `bit N` for one that this version does not know.

    >>> fault_names(0b1010), fault_names(1 << 20)
    (('HOST_SILENT', 'LATE_RATE'), ('bit 20',))
    """
    known = {int(code): code.name for code in FaultCode}
    return tuple(known.get(bit, f"bit {bit}") for bit in range(_BITS) if faults >> bit & 1)


def event_text(event: LinkEvent) -> str:
    """Return what an event says, without its kind."""
    values = msgspec.structs.asdict(event)
    match event:
        case Log():
            return f"{event.level.name} {event.text.decode(errors='replace')}"
        case Fault():
            name = fault_names(1 << event.code)[0] if event.code < _BITS else f"code {event.code}"
            del values["code"]
            return f"{name} {_fields(values)}"
        case Status():
            values["faults"] = ",".join(fault_names(event.faults)) or "none"
            return _fields(values)
        case _:
            return _fields(values)


def _fields(values: dict[str, object]) -> str:
    return " ".join(f"{name}={_plain(value)}" for name, value in values.items())


def _plain(value: object) -> str:
    match value:
        case Enum():
            return value.name
        case bytes():
            return f"{len(value)}B"
        case _:
            return str(value)
