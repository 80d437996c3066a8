"""The live table of `monitor`: events and figures in, lines of text out. No terminal, no clock.

>>> table = MonitorTable("/dev/ttyACM0", "76697274", history=3)
>>> table.lines(HostFigures(), now_ns=0)[1]
'state     no STATUS yet'
"""

from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from firmware_bridge.clock import NS_PER_S
from firmware_bridge.clock_watch import RttFigures
from firmware_bridge.event_text import event_text, fault_names
from firmware_bridge.explanations import FAULTS, STATES
from firmware_bridge.link_events import LinkEvent
from firmware_bridge.messages import FaultCode, Status, TriggerStamp

__all__ = ["HostFigures", "MonitorTable"]

_WINDOW_NS: Final = 2 * NS_PER_S  # of the rates
_LABEL: Final = 10
_WIDTHS: Final = {"fired": 32, "late": 16, "dup": 16, "crc_err": 16, "cobs_err": 16, "len_err": 16, "rx_over": 16}


class HostFigures(msgspec.Struct, frozen=True):
    """What this end knows of the line.

    Attributes:
        damaged: frames that arrived damaged.
        gaps: telemetry frames that never came.
        rtt: round trips of this session.
        drift_ppm: how much faster the controller's clock runs.
        bound_us: how wrong the estimate of its tick can be.
    """

    damaged: int = 0
    gaps: int = 0
    rtt: RttFigures | None = None
    drift_ppm: float | None = None
    bound_us: float | None = None


class _Sample(NamedTuple):
    now_ns: int
    counts: dict[str, int]


class MonitorTable:
    """Remembers what the table shows.

    Args:
        port: what is watched.
        uid: of the controller, in hex.
        history: how many of the last events to show.
    """

    def __init__(self, port: str, uid: str, *, history: int = 8) -> None:
        self._title = f"{port}, controller {uid}"
        self._status: Status | None = None
        self._triggers = 0
        self._events: deque[str] = deque(maxlen=history)
        self._samples: deque[_Sample] = deque()

    def take(self, event: LinkEvent, at: datetime) -> None:
        """Take an event that came at that time."""
        match event:
            case Status():
                if self._status is not None and self._status.state is not event.state:
                    self._note(at, "State", f"{self._status.state.name} -> {event.state.name}")
                self._status = event
            case TriggerStamp():
                self._triggers += 1
            case _:
                self._note(at, type(event).__name__, event_text(event))

    def lines(self, host: HostFigures, now_ns: int) -> list[str]:
        """Return the whole table.

        Args:
            host: figures of this end.
            now_ns: for the rates; never goes back.
        """
        status = self._status
        rows = [("monitor", self._title)]
        if status is None:
            rows.append(("state", "no STATUS yet"))
        else:
            rates = self._rates(host, status, now_ns)
            rows += [
                ("state", f"{status.state.name}: {STATES[status.state].what.en}"),
                *_fault_rows(status.faults),
                ("events", _counted(rates, fired="fired", late="late", duplicate="dup")),
                ("queue", f"{status.pending} waiting, {status.free} free, longest so far {status.q_hwm}"),
                ("triggers", _counted(rates, seen="triggers")),
                ("errors", _counted(rates, here="damaged", missing="gaps", overrun="rx_over")),
                ("", _counted(rates, checksum="crc_err", stuffing="cobs_err", length="len_err") + " at the controller"),
                ("machine", _machine_text(status)),
            ]
        rows.append(("line", _line_text(host)))
        found = [f"{label:<{_LABEL}}{text}" for label, text in rows]
        return [*found, "", f"last events{'' if self._events else ': none'}", *(f"  {text}" for text in self._events)]

    def _note(self, at: datetime, kind: str, text: str) -> None:
        self._events.append(f"{at:%H:%M:%S} {kind} {text}")

    def _rates(self, host: HostFigures, status: Status, now_ns: int) -> dict[str, tuple[int, float]]:
        """Return every count with its rate a second over the last moments."""
        counts = {name: int(getattr(status, name)) for name in _WIDTHS}
        counts |= {"damaged": host.damaged, "gaps": host.gaps, "triggers": self._triggers}
        self._samples.append(_Sample(now_ns, counts))
        while len(self._samples) > 2 and now_ns - self._samples[1].now_ns >= _WINDOW_NS:
            self._samples.popleft()
        oldest = self._samples[0]
        elapsed_s = (now_ns - oldest.now_ns) / NS_PER_S
        return {
            name: (count, _grown(name, count - oldest.counts[name]) / elapsed_s if elapsed_s else 0.0)
            for name, count in counts.items()
        }


def _grown(name: str, difference: int) -> int:
    """Return how far a counter got on; the controller's wrap at their width."""
    return difference % (1 << _WIDTHS[name]) if name in _WIDTHS else difference


def _counted(rates: dict[str, tuple[int, float]], **names: str) -> str:
    parts = []
    for label, name in names.items():
        count, per_s = rates[name]
        parts.append(f"{label} {count}" + (f" ({per_s:.1f}/s)" if per_s else ""))
    return ", ".join(parts)


def _fault_rows(faults: int) -> list[tuple[str, str]]:
    if not faults:
        return [("faults", "none")]
    texts = {code.name: FAULTS[code].what.en for code in FaultCode}
    rows = [f"{name}: {texts.get(name, 'unknown to this version')}" for name in fault_names(faults)]
    return [("faults" if number == 0 else "", text) for number, text in enumerate(rows)]


def _machine_text(status: Status) -> str:
    air = f"air {status.air_kpa} kPa" if status.air_kpa else "air not measured"
    supply = f"supply {status.supply_mv / 1000:.1f} V" if status.supply_mv else "supply not measured"
    return f"{air}, {supply}, {status.temp_c} C"


def _line_text(host: HostFigures) -> str:
    parts = []
    if host.rtt is not None:
        parts.append(f"round trip {host.rtt.median_us / 1000:.2f} ms, 99 % within {host.rtt.p99_us / 1000:.2f} ms")
    if host.drift_ppm is not None:
        parts.append(f"clock {host.drift_ppm:+.0f} ppm")
    if host.bound_us is not None:
        parts.append(f"known to {host.bound_us:.0f} us")
    return ", ".join(parts) or "not measured yet"
