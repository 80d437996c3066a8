"""One examination of a port, from its name to everything that `doctor` can judge.

>>> from contextlib import closing
>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.transport_open import open_transport
>>> clock = ManualClock()
>>> facts = examine("virtual", 921_600, lambda: closing(open_transport("virtual", clock=clock)), clock)
>>> facts.answer is not None and facts.answer.is_connected
True
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from firmware_bridge.clock import Clock
from firmware_bridge.doctor_facts import DoctorFacts
from firmware_bridge.doctor_probe import Probe, ProbeSettings
from firmware_bridge.errors import TransportError
from firmware_bridge.port_facts import PortTrouble, port_facts, port_holders, port_trouble
from firmware_bridge.transport import Transport

__all__ = ["examine"]


def examine(
    port: str,
    baud: int,
    opened: Callable[[], AbstractContextManager[Transport]],
    clock: Clock,
    *,
    settings: ProbeSettings | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> DoctorFacts:
    """Return what is found at a port; a port that cannot be opened is a finding too.

    Args:
        port: as for `open_transport`.
        baud: line rate, for the report.
        opened: opens the port, and closes it at the end.
        clock: monotonic.
        settings: how long to look.
        on_progress: hears what is being done; "" at the end.

    Note: it opens a session, which clears the controller's faults: not while the machine sorts.
    """
    before = port_facts(port)
    try:
        with opened() as transport:
            answer, line, board = Probe(transport, clock, settings or ProbeSettings(), on_progress).run()
    except TransportError as error:
        trouble = port_trouble(error)
        holders = port_holders(port) if trouble is PortTrouble.BUSY else ()
        return DoctorFacts(
            port=before, baud=baud, trouble=trouble, trouble_text=str(error.__cause__ or error), holders=holders
        )
    finally:
        on_progress("")
    return DoctorFacts(port=before, baud=baud, answer=answer, line=line, board=board)
