"""How long each stage takes, frame by frame, by a clock that is passed in.

The stages know no clock: they call an observer with their own name when they are done, and what has passed since the
one before is theirs.

>>> from firmware_bridge.clock import ManualClock
>>> clock = ManualClock(); watch = StageWatch(clock)
>>> watch.start(); clock.advance_ns(3000); watch.done("read"); clock.advance_ns(1000); watch.done("segment")
>>> watch.end_frame()
>>> [(time.stage, time.share, time.median_us) for time in watch.times()]
[('read', 0.75, 3.0), ('segment', 0.25, 1.0)]
"""

from collections import Counter
from typing import Final

import msgspec
import numpy as np

from firmware_bridge.clock import Clock

__all__ = ["STAGES", "StageTime", "StageWatch"]

STAGES: Final = ("read", "flat_field", "segment", "split", "measure", "crop", "norm", "infer", "decide", "schedule")
_NS_PER_US: Final = 1000


class StageTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one stage took.

    Attributes:
        stage: name of the stage, in the order of the data's way.
        share: of the processor time of all stages, 0..1.
        median_us, p99_us: processor time a frame, in microseconds.
    """

    stage: str
    share: float
    median_us: float
    p99_us: float


class StageWatch:
    """Adds up time by stage and frame. One number a stage and frame is kept.

    Args:
        clock: a `CpuClock`, so that what else runs on the computer does not count.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ns = clock.monotonic_ns()
        self._frame_ns: Counter[str] = Counter()
        self._frames_ns: list[Counter[str]] = []

    def start(self) -> None:
        """Begin anew: what passed since the last stage was done is no stage's."""
        self._since_ns = self._clock.monotonic_ns()

    def done(self, stage: str) -> None:
        """Give the time since the last call to a stage; more than once a frame adds up."""
        now_ns = self._clock.monotonic_ns()
        self._frame_ns[stage] += now_ns - self._since_ns
        self._since_ns = now_ns

    def end_frame(self) -> None:
        """Close the frame's account."""
        self._frames_ns.append(self._frame_ns)
        self._frame_ns = Counter()

    def times(self) -> tuple[StageTime, ...]:
        """Return what the stages took over all closed frames: those of `STAGES` in their order, then others by name.

        Stages that were never done are left out; in a frame without it a stage took nothing.
        """
        totals = sum(self._frames_ns, Counter())
        everything = max(1, totals.total())
        seen = {stage for frame in self._frames_ns for stage in frame}
        ordered = [stage for stage in STAGES if stage in seen] + sorted(seen - set(STAGES))
        times = []
        for stage in ordered:
            median, p99 = np.percentile([frame[stage] for frame in self._frames_ns], (50, 99)) / _NS_PER_US
            times.append(StageTime(stage, totals[stage] / everything, float(median), float(p99)))
        return tuple(times)
