"""The controller's time as one axis, microseconds, not wrapped; and which stamp belongs to which frame.

Ticks on the wire are u32 and come again after an hour. Knows no frame's content.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from edge_runtime.decisions import Pulses
from edge_runtime.live.firing import StampOf
from edge_runtime.live.messages import FrameDecided
from firmware_bridge.event_window import unwrap
from firmware_bridge.link import Link
from firmware_bridge.link_events import EjectEvent
from firmware_bridge.messages import TriggerStamp

__all__ = ["ControllerAxis"]

_KEPT: Final = 4096
_U32: Final = 0xFFFFFFFF
_US_PER_S: Final = 1_000_000


class ControllerAxis:
    """Ticks of one controller, one session after another.

    Args:
        cameras: of the machine; their triggers share the controller's counter in turn.
    """

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._stamps: OrderedDict[int, int] = OrderedDict()  # frame_no -> tick, not wrapped
        self._near = 0
        self._tick_hz = _US_PER_S

    def begin_session(self, link: Link) -> None:
        """Take the session's tick rate."""
        if link.ident is not None:
            self._tick_hz = link.ident.tick_hz

    def end_session(self) -> None:
        """Forget the stamps: another session's ticks have nothing to do with them."""
        self._stamps.clear()

    def add_stamp(self, stamp: TriggerStamp) -> None:
        """Take a trigger."""
        tick = unwrap(stamp.tick, self._near)
        self._near = tick
        self._stamps[stamp.frame_no] = tick
        while len(self._stamps) > _KEPT:
            self._stamps.popitem(last=False)

    def now_us(self, link: Link) -> int:
        """Return the time on the axis, as well as the link knows it.

        Raises:
            LinkStateError: no session has been up yet.
        """
        return self._us(unwrap(link.tick_now(), self._near))

    def stamps_of(self, frames: Iterable[FrameDecided]) -> list[StampOf]:
        """Return the stamps of those frames that have one."""
        found = []
        for frame in frames:
            tick = self._stamps.get((frame.frame_id * self._cameras + frame.camera) & _U32)
            if tick is not None:
                found.append(StampOf(frame.camera, frame.number, self._us(tick)))
        return found

    def events_of(self, pulses: Pulses) -> list[EjectEvent]:
        """Return pulses on the axis as the link takes them."""
        rows = zip(
            pulses.open_us.tolist(),
            pulses.first_valves.tolist(),
            pulses.valve_counts.tolist(),
            pulses.pulse_us.tolist(),
            strict=True,
        )
        return [
            EjectEvent(round(at_us * self._tick_hz / _US_PER_S) & _U32, first, count, length_us)
            for at_us, first, count, length_us in rows
        ]

    def _us(self, tick: int) -> int:
        return round(tick * _US_PER_S / self._tick_hz)
