"""What becomes of decided objects after the decision: answers of the controller, verdicts, the recorder.

Decisions wait here until their piece has passed the inspection and its pulse has an outcome. Without an inspection
nothing is waited for. Knows no socket and no process.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge_runtime.decisions import Decisions
from edge_runtime.live.books import ObjectEnd
from edge_runtime.live.messages import FrameExposed, InspectionVerdict, ObjectEnded
from edge_runtime.live.record_ring import FrameKey
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Acknowledged, Origin, Truth
from edge_runtime.schedule import line_time_us
from edge_runtime.schemas import Machine
from edge_runtime.verdict_recording import Recorded, VerdictRecording, VerdictTally
from edge_runtime.virtual_inspection import lane_of
from firmware_bridge.clock import NS_PER_S
from firmware_bridge.messages import Verdict, VerdictSource

__all__ = ["FollowUp"]

_US_PER_S: Final = 1_000_000
_U32: Final = 0xFFFFFFFF
_SETTLE_NS: Final = NS_PER_S  # outcomes are final after half a second, and an inspection may take its time
_KEPT: Final = 4096  # frames that wait for their exposure, or exposures for their frame
_TOLERANCE_MM: Final = 3.0  # how far a piece may be from where it was expected at the inspection
_ACKNOWLEDGED: Final[dict[ObjectEnd, Acknowledged]] = {"fired": "acked", "merged": "acked", "late": "late"}

_UNEXPOSED_NS: Final = 2 * NS_PER_S  # a frame whose exposure is not known by then never gets one
_Frame = tuple[int, int]


class FollowUp:
    """The objects of one set of workers.

    Args:
        machine: ways and lanes.
        recorder: gets every object, right or wrong.
        origin: classes and policy.
        told: the truth about every object, in a teach lot; None where nothing is known.
    """

    def __init__(self, machine: Machine, recorder: Recorder, origin: Origin, told: Truth | None) -> None:
        self._machine = machine
        self._recorder = recorder
        self._told = told
        tolerance = round(_TOLERANCE_MM / machine.belt_mm_s * _US_PER_S)
        self._recording = VerdictRecording(recorder, origin.class_names, tolerance, origin.policy)
        self._frames: OrderedDict[_Frame, tuple[FrameKey, Decisions]] = OrderedDict()  # no exposure yet
        self._exposed_us: OrderedDict[_Frame, int] = OrderedDict()
        self._answers: OrderedDict[_Frame, _Answers] = OrderedDict()
        self._early: OrderedDict[_Frame, list[ObjectEnded]] = OrderedDict()  # before the decisions themselves

    @property
    def tally(self) -> VerdictTally:
        """What became of the verdicts."""
        return self._recording.tally

    def take(self, key: FrameKey, decisions: Decisions) -> None:
        """Take the decisions about a frame.

        Raises:
            ConfigError: the truth of a teach lot names a class that the model does not know.
            StorageError: the spool refused.
        """
        if not self._machine.has_inspection or self._told is not None:
            self._recorder.note_mistakes(decisions, [self._told] * len(decisions))
            return
        frame = (key.camera, key.number)
        self._frames[frame] = (key, decisions)
        if frame in self._exposed_us:
            self._place(frame, self._exposed_us[frame])

    def on_exposed(self, news: FrameExposed) -> None:
        """Learn when a frame was exposed, on the controller's axis."""
        frame = (news.camera, news.number)
        self._exposed_us[frame] = news.at_us
        if frame in self._frames:
            self._place(frame, news.at_us)
        _keep_newest(self._exposed_us)

    def on_ended(self, news: ObjectEnded) -> None:
        """Learn what became of an object that was to be ejected."""
        frame = (news.camera, news.number)
        if frame in self._answers:
            self._answers[frame].take(news)
        else:
            self._early.setdefault(frame, []).append(news)
            _keep_newest(self._early)

    def on_verdict(self, news: InspectionVerdict) -> None:
        """Take what the inspection says about a piece."""
        source = VerdictSource.INSPECTION_REJECT if news.is_rejected else VerdictSource.INSPECTION_ACCEPT
        self._recording.on_verdict(Verdict(news.lane, news.class_id, news.confidence_255, source, news.at_us & _U32))

    def record_until(self, now_ns: int, *, is_last: bool = False) -> None:
        """Record everything about which all is known by now; at the end everything.

        Raises:
            StorageError: the spool refused.
        """
        while self._frames and (is_last or self._is_overdue(now_ns)):  # nothing can be matched with them
            _, (_, decisions) = self._frames.popitem(last=False)
            self._recorder.note_mistakes(decisions, [None] * len(decisions))
        self._recording.record_until(now_ns, is_last=is_last)

    def _is_overdue(self, now_ns: int) -> bool:
        key, _ = next(iter(self._frames.values()))
        return now_ns - key.exposed_ns > _UNEXPOSED_NS or len(self._frames) > _KEPT

    def _place(self, frame: _Frame, at_us: int) -> None:
        key, decisions = self._frames.pop(frame)
        if not len(decisions):
            return
        camera = self._machine.cameras[key.camera]
        line_us = line_time_us(self._machine, camera)
        boxes = decisions.boxes_px
        middles = boxes[:, 1] + boxes[:, 3] / 2 - key.first_line
        to_inspection_us = self._machine.to_inspection_mm / self._machine.belt_mm_s * _US_PER_S
        lanes = [
            lane_of(mm, self._machine.lanes) for mm in ((boxes[:, 0] + boxes[:, 2] / 2) * camera.pixel_mm).tolist()
        ]
        step = Recorded(
            decisions,
            last_ticks=np.rint(at_us + (decisions.lines - key.first_line) * line_us).astype(np.int64),
            inspection_ticks=np.rint(at_us + middles * line_us + to_inspection_us).astype(np.int64),
            lanes=np.array([-1 if lane is None else lane for lane in lanes], np.int64),
            told=[None] * len(decisions),
            ready_ns=key.exposed_ns + round(to_inspection_us * 1000) + _SETTLE_NS,
            acknowledged=["none"] * len(decisions),
        )
        self._recording.add(step)
        self._answers[frame] = _Answers(step.acknowledged, np.flatnonzero(decisions.is_eject).tolist())
        _keep_newest(self._answers)
        for news in self._early.pop(frame, ()):
            self._answers[frame].take(news)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of the controller about one frame: N, and which of them were to be ejected. Without crops: many are kept."""

    acknowledged: list[Acknowledged]
    ejected: list[int]

    def take(self, news: ObjectEnded) -> None:
        self.acknowledged[self.ejected[news.owner]] = _ACKNOWLEDGED.get(news.end, "lost")


def _keep_newest(kept: OrderedDict[_Frame, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)
