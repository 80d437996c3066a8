"""Which trigger stamp of the controller belongs to which frame of the ring. Pure.

A wrong pair shoots the neighbours of what should be shot, so a pair is told only when two witnesses agree. By time: one
stamp lies within half a period of the frame's exposure, with the clock's error bound taken off. By number: the
controller's count and the camera's frame id advance together, and their difference is the one that is trusted. As soon
as a frame shows another one, nothing is told until several in a row show the same: the old one again, when a single
exposure time was wrong, or a new one, when a camera or the controller has started again or the camera missed a trigger.

Knows no camera and no link; frames and stamps may come in any order, more than once, or not at all.

>>> ticks = lambda at_ns: ClockReading(at_ns // 1000, 20.0)  # a controller that counts the host's microseconds
>>> match = TriggerMatch(MatchSettings(period_us=1000, confirm=1), ticks)
>>> match.add_stamp(TriggerStamp(frame_no=7, tick=500, enc=40), now_ns=600_000)
>>> match.add_frame(SeenFrame(number=0, frame_id=0, exposed_ns=510_000), now_ns=900_000)
>>> match.take(now_ns=900_000)
[Anchored(number=0, before=None, offset=7), FramePaired(number=0, frame_no=7, tick=500, enc=40, apart_us=10.0)]
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from firmware_bridge.clock_fit import ClockReading
from firmware_bridge.errors import LinkStateError
from firmware_bridge.event_window import unwrap
from firmware_bridge.messages import TriggerStamp

__all__ = ["Anchored", "FramePaired", "FrameUntold", "MatchSettings", "SeenFrame", "TriggerMatch", "Untold"]

Untold = Literal["no_stamp", "no_clock", "disagrees", "crowded"]

_US: Final = 1_000_000
_NS_PER_MS: Final = 1_000_000
_LOOSEST: Final = 4  # a clock that may be wrong by a quarter of the period tells nothing


class MatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one camera's frames and stamps are like.

    Attributes:
        period_us: shortest time between two triggers of this camera, at the belt's highest speed.
        n_cameras: cameras that share the controller's counter: its frame_no is count * n_cameras + camera_index.
        camera_index: of this camera among them.
        tick_hz: of the controller.
        timeout_ms: a frame that has waited as long is untold.
        confirm: frames in a row that must show a difference before it is trusted; the first of them wait.
        most_waiting: frames, and stamps, that are remembered.
    """

    period_us: Annotated[int, msgspec.Meta(ge=100, le=60_000_000)]
    n_cameras: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    camera_index: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    tick_hz: Annotated[int, msgspec.Meta(ge=1000, le=1_000_000_000)] = _US
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 100
    confirm: Annotated[int, msgspec.Meta(ge=1, le=16)] = 3
    most_waiting: Annotated[int, msgspec.Meta(ge=4, le=4096)] = 128


class SeenFrame(NamedTuple):
    """A frame of the ring.

    Attributes:
        number: in the ring; ascending, whatever starts again.
        frame_id: the camera's own count; it counts frames that never reached the ring, and may start again.
        exposed_ns: the trigger's moment as the host knows it, its clock.
    """

    number: int
    frame_id: int
    exposed_ns: int


class FramePaired(NamedTuple):
    """A frame's stamp.

    Attributes:
        number: of the frame.
        frame_no, enc: of the stamp, u32.
        tick: of the stamp, not wrapped.
        apart_us: how much later than the stamp the host says the exposure was; if its mean is not near 0, the host's
            exposure times are late by that much.
    """

    number: int
    frame_no: int
    tick: int
    enc: int
    apart_us: float


class FrameUntold(NamedTuple):
    """A frame whose stamp cannot be told, and why.

    no_stamp: none lies near enough. no_clock: where the controller's tick stands is not known well enough.
    disagrees: the stamp near by is not the one that the numbers tell. crowded: too many frames wait.
    """

    number: int
    reason: Untold


class Anchored(NamedTuple):
    """From this frame on another difference count - frame id is trusted; `before` is None at the start."""

    number: int
    before: int | None
    offset: int


@dataclass(slots=True)
class _Stamp:
    frame_no: int  # u32
    count: int
    tick: int
    enc: int
    is_used: bool = False


@dataclass(slots=True)
class _Waiting:
    frame: SeenFrame
    tick: int
    reach: int  # a stamp closer than this, in ticks, is the only one that can be
    since_ns: int
    stamp: _Stamp | None = None


class TriggerMatch:
    """Pairs the frames of one camera. One thread; call `take` after each call that adds.

    Args:
        settings: of the camera.
        read: where the controller's tick stands at a moment of the host's clock, `ClockFit.read`.

    Attributes:
        repeated: frames and stamps that had come before.
        unclocked: stamps that came before the controller's tick was known.

    Note:
        Memory: `most_waiting` frames and as many stamps. Where n_cameras is no power of two, the remainder that names
        the camera shifts when frame_no wraps: a matcher made after that, with the controller still counting, takes
        another camera's stamps. At 100 frames a second of three cameras that is after 165 days.
    """

    def __init__(self, settings: MatchSettings, read: Callable[[int], ClockReading]) -> None:
        self.repeated = 0
        self.unclocked = 0
        self._settings = settings
        self._read = read
        self._half = settings.period_us * settings.tick_hz // (2 * _US)
        self._stamps: dict[int, _Stamp] = {}  # by count, in the order they came
        self._waiting: dict[int, _Waiting] = {}  # by number
        self._done: list[FramePaired | FrameUntold | Anchored] = []
        self._last_frame_no: int | None = None  # not wrapped
        self._last_number = -1
        self._offset: int | None = None
        self._is_doubted = False
        self._shown = 0  # the difference that the last frames in a row showed, while none is trusted or one is doubted
        self._run: list[_Waiting] = []  # these frames, fewer than `confirm`

    def add_stamp(self, stamp: TriggerStamp, now_ns: int) -> None:
        """Take a stamp that came just now, of any camera of the counter."""
        frame_no = stamp.frame_no if self._last_frame_no is None else unwrap(stamp.frame_no, self._last_frame_no)
        self._last_frame_no = frame_no
        count, index = divmod(frame_no, self._settings.n_cameras)
        if index != self._settings.camera_index:
            return
        try:
            tick = unwrap(stamp.tick, self._read(now_ns).tick)
        except LinkStateError:
            self.unclocked += 1
            return
        known = self._stamps.pop(count, None)
        if known is not None and known.tick == tick:
            self._stamps[count] = known
            self.repeated += 1
            return
        fresh = _Stamp(stamp.frame_no, count, tick, stamp.enc)
        self._stamps[count] = fresh
        if len(self._stamps) > self._settings.most_waiting:
            del self._stamps[next(iter(self._stamps))]
        for waiting in list(self._waiting.values()):
            self._try(waiting, fresh)

    def add_frame(self, frame: SeenFrame, now_ns: int) -> None:
        """Take a frame that was announced just now; one whose number is not above all before is a repetition."""
        if frame.number <= self._last_number:
            self.repeated += 1
            return
        self._last_number = frame.number
        try:
            reading = self._read(frame.exposed_ns)
        except LinkStateError:
            self._done.append(FrameUntold(frame.number, "no_clock"))
            return
        bound = reading.error_bound_us * self._settings.tick_hz / _US
        if bound * _LOOSEST >= 2 * self._half:
            self._done.append(FrameUntold(frame.number, "no_clock"))
            return
        waiting = _Waiting(frame, reading.tick, self._half - round(bound), now_ns)
        self._waiting[frame.number] = waiting
        free = [stamp for stamp in self._stamps.values() if not stamp.is_used]
        if free:
            self._try(waiting, min(free, key=lambda stamp: abs(stamp.tick - waiting.tick)))
        if len(self._waiting) > self._settings.most_waiting:
            self._give_up(next(iter(self._waiting.values())), "crowded")

    def take(self, now_ns: int) -> list[FramePaired | FrameUntold | Anchored]:
        """Return what was found out since the last call, each frame exactly once; what waited too long is untold."""
        limit_ns = self._settings.timeout_ms * _NS_PER_MS
        for waiting in [one for one in self._waiting.values() if now_ns - one.since_ns >= limit_ns]:
            self._give_up(waiting, "no_stamp" if waiting.stamp is None else "disagrees")
        done, self._done = self._done, []
        return done

    # ----- rules

    def _try(self, waiting: _Waiting, stamp: _Stamp) -> None:
        """Take the stamp for the frame if time says so, then see what the numbers say."""
        if waiting.stamp is not None or stamp.is_used or abs(stamp.tick - waiting.tick) >= waiting.reach:
            return
        waiting.stamp = stamp
        offset = stamp.count - waiting.frame.frame_id
        if offset == self._offset and not self._is_doubted:
            self._pair(waiting, stamp)
            return
        self._is_doubted = True
        self._run = [*self._run, waiting] if offset == self._shown else [waiting]
        self._shown = offset
        if len(self._run) >= self._settings.confirm:
            self._anchor(offset)

    def _anchor(self, offset: int) -> None:
        """Trust a difference, and pair the frames in a row that showed it; one that showed it before them may lie."""
        before, self._offset, self._is_doubted = self._offset, offset, False
        run, self._run = self._run, []
        if offset != before:
            self._done.append(Anchored(run[0].frame.number, before, offset))
        for waiting in run:
            if waiting.stamp is not None and waiting.frame.number in self._waiting:  # else it was given up meanwhile
                self._pair(waiting, waiting.stamp)

    def _pair(self, waiting: _Waiting, stamp: _Stamp) -> None:
        number = waiting.frame.number
        del self._waiting[number]
        if stamp.is_used:  # two frames showed the same one
            self._done.append(FrameUntold(number, "disagrees"))
            return
        stamp.is_used = True
        apart_us = (waiting.tick - stamp.tick) * _US / self._settings.tick_hz
        self._done.append(FramePaired(number, stamp.frame_no, stamp.tick, stamp.enc, apart_us))

    def _give_up(self, waiting: _Waiting, reason: Untold) -> None:
        del self._waiting[waiting.frame.number]
        self._done.append(FrameUntold(waiting.frame.number, reason))
