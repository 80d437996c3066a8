"""The controller's time as one axis, microseconds, not wrapped; and when each frame of each camera was exposed on it.

Both are of one session: another session's ticks have nothing to do with them. Knows no frame's content.
"""

from collections import OrderedDict
from typing import Final

import structlog

from edge_runtime.decisions import Pulses
from edge_runtime.live.messages import FrameExposed
from edge_runtime.live.trigger_match import Anchored, FramePaired, FrameUntold, MatchSettings, SeenFrame, TriggerMatch
from edge_runtime.schedule import line_time_us
from edge_runtime.schemas import Machine
from firmware_bridge.clock_fit import ClockFit
from firmware_bridge.errors import LinkStateError
from firmware_bridge.event_window import unwrap
from firmware_bridge.link import Link
from firmware_bridge.link_events import EjectEvent
from firmware_bridge.messages import TriggerStamp

__all__ = ["ControllerAxis"]

_KEPT: Final = 1024  # exposures of each camera: frames of some seconds
_U32: Final = 0xFFFFFFFF
_US_PER_S: Final = 1_000_000
_log = structlog.get_logger(__name__)


class ControllerAxis:
    """One controller's time, and the frames of all cameras on it.

    Args:
        machine: cameras and belt; the cameras' triggers share the controller's counter in turn.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._fit: ClockFit | None = None
        self._tick_hz = _US_PER_S
        self._matches: list[TriggerMatch] = []
        self._exposed_us: list[OrderedDict[int, int]] = [OrderedDict() for _ in machine.cameras]

    def follow(self, link: Link) -> None:
        """Begin anew where the link has begun another session; call it while a session is open, before its stamps."""
        if link.clock_fit is self._fit:
            return
        self._fit = link.clock_fit
        self._tick_hz = link.ident.tick_hz if link.ident is not None else _US_PER_S
        settings = [self._settings(index) for index in range(len(self._machine.cameras))]
        self._matches = [TriggerMatch(one, link.clock_fit.read) for one in settings]
        for exposed in self._exposed_us:
            exposed.clear()

    def add_stamp(self, stamp: TriggerStamp, now_ns: int) -> None:
        """Take a trigger."""
        for match in self._matches:
            match.add_stamp(stamp, now_ns)

    def add_frame(self, camera: int, frame: SeenFrame, now_ns: int) -> None:
        """Take a frame that has come into a ring."""
        if self._matches:
            self._matches[camera].add_frame(frame, now_ns)

    def pair(self, now_ns: int) -> list[FrameExposed]:
        """Find out which stamp is whose; return the frames whose exposure is known now."""
        known: list[FrameExposed] = []
        for camera, match in enumerate(self._matches):
            for found in match.take(now_ns):
                match found:
                    case FramePaired():
                        self._keep(camera, found.number, self._us(found.tick))
                        known.append(FrameExposed(camera, found.number, self._us(found.tick)))
                    case FrameUntold():
                        _log.debug("bridge.frame_untold", camera=camera, number=found.number, reason=found.reason)
                    case Anchored():
                        _log.info("bridge.anchored", camera=camera, before=found.before, offset=found.offset)
        return known

    def verdict_us(self, tick_u32: int, now_ns: int) -> int | None:
        """Return when a tick on the wire was, on the axis, taken nearest to now; None where that is not known."""
        try:
            return None if self._fit is None else self._us(unwrap(tick_u32, self._fit.tick_at(now_ns)))
        except LinkStateError:
            return None

    def exposed_us(self, camera: int, number: int) -> int | None:
        """Return when a frame's first line was exposed; None where that is not known (yet)."""
        return self._exposed_us[camera].get(number)

    def now_us(self, now_ns: int) -> int:
        """Return a moment of the host's clock on the axis, as well as the link knows it.

        Raises:
            LinkStateError: the controller's clock is not known yet.
        """
        assert self._fit is not None, "follow comes first"
        return self._us(self._fit.tick_at(now_ns))

    def events_of(self, pulses: Pulses) -> list[EjectEvent]:
        """Return pulses on the axis as the link takes them."""
        columns = (pulses.open_us, pulses.first_valves, pulses.valve_counts, pulses.pulse_us)
        return [
            EjectEvent(round(at_us * self._tick_hz / _US_PER_S) & _U32, first, count, length_us)
            for at_us, first, count, length_us in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _keep(self, camera: int, number: int, at_us: int) -> None:
        exposed = self._exposed_us[camera]
        exposed[number] = at_us
        while len(exposed) > _KEPT:
            exposed.popitem(last=False)

    def _settings(self, index: int) -> MatchSettings:
        camera = self._machine.cameras[index]
        return MatchSettings(
            period_us=round(line_time_us(self._machine, camera) * camera.frame_lines),
            n_cameras=len(self._machine.cameras),
            camera_index=index,
            tick_hz=self._tick_hz,
        )

    def _us(self, tick: int) -> int:
        return round(tick * _US_PER_S / self._tick_hz)
