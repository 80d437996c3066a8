"""What becomes of each frame of a camera, and where its lines lie. Pure.

A camera is trusted in nothing: ids repeat, go back and jump, queues hold frames from before a pause, packets get lost,
cables are pulled and put back. Each frame that is shown is kept or refused for one reason, so that the counts add up.
Lines are absolute: first_line advances by the height of every frame that the camera counted, kept or not. Where the
counter begins anew, the time between the exposures says how many lines went by; lines never go back.

Knows no camera, no clock and no ring.

>>> watch = FrameWatch(WatchSettings(width_px=16, lines=4, bands=1, lines_s=1000.0))
>>> blank = np.zeros((4, 16, 1), np.uint8)
>>> watch.show(CameraFrame(blank, frame_id=20, exposed_ns=0, is_complete=True), now_ns=5_000_000)
Kept(first_line=0, skipped=0)
>>> watch.show(CameraFrame(blank, frame_id=23, exposed_ns=12_000_000, is_complete=True), now_ns=17_000_000)
Kept(first_line=12, skipped=2)
>>> watch.show(CameraFrame(blank, frame_id=23, exposed_ns=12_000_000, is_complete=True), now_ns=18_000_000)
Refused(reason='repeated')
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import numpy as np

from edge_runtime.cameras.camera import CameraFrame
from firmware_bridge.clock import NS_PER_S

__all__ = ["Axis", "FrameWatch", "Kept", "Refused", "RefusedReason", "WatchCounts", "WatchSettings"]

RefusedReason = Literal["repeated", "shape", "incomplete", "stale"]

_NS_PER_MS: Final = 1_000_000
# A counter is believed while it runs at most twice as fast as the settings say, and this many frames more: what the
# driver held back may arrive at once, with the time of its arrival for a stamp.
_MAX_PACE: Final = 2
_MAX_BURST: Final = 64


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a camera should give.

    Attributes:
        width_px: pixels of a line.
        lines: of a frame: block height of a line-scan camera, height of an area camera's picture.
        bands: 1 grey, 3 BGR.
        lines_s: lines a second while the belt runs; 0 where time says nothing of lines: then no camera stalls, and a
            counter that begins anew leaves no gap.
        max_delay_ms: a frame that arrives later than this after the exposure of its last line is stale.
        stall_frames: a camera stalls when nothing new came for the time of so many frames.
    """

    width_px: Annotated[int, msgspec.Meta(ge=16, le=16384)]
    lines: Annotated[int, msgspec.Meta(ge=1, le=16384)]
    bands: Literal[1, 3]
    lines_s: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] = 0.0
    max_delay_ms: Annotated[float, msgspec.Meta(gt=0.0, le=60_000.0)] = 200.0
    stall_frames: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 8

    @property
    def frame_ns(self) -> int:
        """How long the exposure of a frame's lines takes, in nanoseconds; 0 where time says nothing of lines."""
        return round(self.lines / self.lines_s * NS_PER_S) if self.lines_s else 0


class Axis(NamedTuple):
    """Where a camera's lines were last: first line of its newest frame, and when that was exposed."""

    first_line: int
    exposed_ns: int


class Kept(NamedTuple):
    """The frame is to be sorted.

    Attributes:
        first_line: of the frame, on the axis that never goes back.
        skipped: frames that the camera counted just before it and nobody saw.
    """

    first_line: int
    skipped: int


class Refused(NamedTuple):
    """The frame is not to be sorted, and why: see docs/cameras.md."""

    reason: RefusedReason


class WatchCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a watch saw since it began: shown = kept + repeated + shape + incomplete + stale.

    Attributes:
        shown: frames.
        kept: to be sorted.
        repeated, shape, incomplete, stale: refused for that reason.
        skipped: frames that the camera counted and nobody saw.
        stalled: times that nothing new came for too long.
        gone: times that the camera vanished; returned: times that it gave frames again.
        restarted: times that its counter began anew, or jumped beyond belief, without the camera having vanished.
    """

    shown: int = 0
    kept: int = 0
    repeated: int = 0
    shape: int = 0
    incomplete: int = 0
    stale: int = 0
    skipped: int = 0
    stalled: int = 0
    gone: int = 0
    returned: int = 0
    restarted: int = 0


class _Seen(NamedTuple):
    """The newest frame that counts."""

    frame_id: int
    first_line: int
    exposed_ns: int


class FrameWatch:
    """Judges the frames of one camera, in the order in which they come.

    Args:
        settings: what the camera should give.
        after: where the camera's lines were when another watch saw it last; None begins at line 0.
    """

    def __init__(self, settings: WatchSettings, after: Axis | None = None) -> None:
        self._settings = settings
        self._last = None if after is None else _Seen(0, after.first_line, after.exposed_ns)
        self._is_counter_new = True  # the next id cannot be compared with the last one
        self._begin: _Seen | None = None  # the first frame of the counter's present life
        self._news_ns: int | None = None  # when something new was shown last
        self._is_stalled = False
        self._is_gone = False
        self._counts: dict[str, int] = dict.fromkeys(WatchCounts.__struct_fields__, 0)

    @property
    def counts(self) -> WatchCounts:
        """What was seen so far."""
        return WatchCounts(**self._counts)

    @property
    def is_stalled(self) -> bool:
        """Whether nothing new has come for too long."""
        return self._is_stalled

    def show(self, frame: CameraFrame, now_ns: int) -> Kept | Refused:
        """Judge a frame.

        Args:
            frame: as the camera gave it.
            now_ns: when it came; never less than in the call before.

        Returns:
            Kept with its first line; or refused, in this order: `repeated` where its id or its stamp is not newer than
            the newest, `shape` where its size or depth is not that of the settings, `incomplete`, `stale`.

        Note:
            A stamp from the future is taken as `now_ns`: one wrong stamp must not make all that follow look old.
        """
        self._counts["shown"] += 1
        if self._is_gone:
            self._is_gone = False
            self._counts["returned"] += 1
        exposed_ns = frame.exposed_ns if frame.exposed_ns - now_ns <= self._max_delay_ns else now_ns
        verdict = self._judge(frame, exposed_ns, now_ns)
        if verdict == Refused("repeated"):
            self._look_for_stall(now_ns)
        else:
            self._news_ns, self._is_stalled = now_ns, False
        self._counts[verdict.reason if isinstance(verdict, Refused) else "kept"] += 1
        return verdict

    def time_out(self, now_ns: int) -> bool:
        """Take note that nothing came, and tell whether the camera stalls.

        Args:
            now_ns: when that was; never less than in the call before.

        Returns:
            Whether nothing new has come for the time of `stall_frames` frames; each such time is counted once.
        """
        self._look_for_stall(now_ns)
        return self._is_stalled

    def vanish(self) -> None:
        """Take note that the camera is gone; the next frame is its return, and its counter begins anew."""
        self._counts["gone"] += not self._is_gone
        self._is_gone, self._is_counter_new = True, True
        self._is_stalled, self._news_ns = False, None

    @property
    def _max_delay_ns(self) -> int:
        return round(self._settings.max_delay_ms * _NS_PER_MS)

    def _judge(self, frame: CameraFrame, exposed_ns: int, now_ns: int) -> Kept | Refused:
        if self._is_repeated(frame.frame_id, exposed_ns):
            return Refused("repeated")
        skipped = self._count_on(frame.frame_id, exposed_ns)
        settings = self._settings
        if frame.pixels.dtype != np.uint8 or frame.pixels.shape != (settings.lines, settings.width_px, settings.bands):
            return Refused("shape")
        if not frame.is_complete:
            return Refused("incomplete")
        if now_ns - exposed_ns > settings.frame_ns + self._max_delay_ns:
            return Refused("stale")
        assert self._last is not None  # _count_on
        return Kept(self._last.first_line, skipped)

    def _is_repeated(self, frame_id: int, exposed_ns: int) -> bool:
        last = self._last
        if last is None:
            return False
        return exposed_ns <= last.exposed_ns or (not self._is_counter_new and frame_id == last.frame_id)

    def _count_on(self, frame_id: int, exposed_ns: int) -> int:
        """Move the axis to this frame; return how many frames were skipped before it."""
        last, lines = self._last, self._settings.lines
        if not self._is_counter_new and not self._is_believable(frame_id, exposed_ns):
            self._counts["restarted"] += 1
            self._is_counter_new = True
        if last is None:
            self._begin = self._last = _Seen(frame_id, 0, exposed_ns)
        elif self._is_counter_new:
            passed = round((exposed_ns - last.exposed_ns) * self._settings.lines_s / NS_PER_S)
            self._begin = self._last = _Seen(frame_id, last.first_line + max(passed, lines), exposed_ns)
        else:
            steps = frame_id - last.frame_id
            self._counts["skipped"] += steps - 1
            self._last = _Seen(frame_id, last.first_line + steps * lines, exposed_ns)
            return steps - 1
        self._is_counter_new = False
        return 0

    def _is_believable(self, frame_id: int, exposed_ns: int) -> bool:
        """Tell whether a counter goes forward, and not much faster than time since it began."""
        assert self._last is not None and self._begin is not None  # a counter that is not new
        if frame_id < self._last.frame_id:
            return False
        frame_ns = self._settings.frame_ns
        counted_ns = (frame_id - self._begin.frame_id - _MAX_BURST) * frame_ns
        return counted_ns <= _MAX_PACE * (exposed_ns - self._begin.exposed_ns)

    def _look_for_stall(self, now_ns: int) -> None:
        if self._news_ns is None:
            self._news_ns = now_ns
        limit_ns = self._settings.stall_frames * self._settings.frame_ns
        if limit_ns and now_ns - self._news_ns > limit_ns and not self._is_stalled:
            self._is_stalled = True
            self._counts["stalled"] += 1
