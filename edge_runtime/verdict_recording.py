"""The host's memory between a decision and the moment its truth is known, then the recorder.

It holds decisions until their pulses have an outcome and their pieces have passed the inspection, joins the verdicts by
time and lane, and hands all to the recorder. Everything it uses, a host has: stamps, outcomes, verdicts, people.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Decisions
from edge_runtime.errors import StorageError
from edge_runtime.matching import VerdictMatcher
from edge_runtime.recorder import Aftermath, Recorder
from edge_runtime.residual import Acknowledged, Origin, Truth
from edge_runtime.schemas import ResidualPolicy
from edge_runtime.truth import ExpectedObjects, Matches, Verdicts
from firmware_bridge.event_window import unwrap
from firmware_bridge.link_events import EjectOutcome, OutcomeKind
from firmware_bridge.messages import EjectReason, Verdict, VerdictSource

__all__ = ["MOST_VERDICTS", "Logbook", "Recorded", "VerdictRecording", "VerdictTally"]

MOST_VERDICTS: Final = 16_384  # that wait: three seconds at 5000 a second
_SURE_255: Final = 128  # verdicts below this confidence teach nothing
_BATCH_NS: Final = 250_000_000  # steps are matched together for so long
_LATE: Final = (EjectReason.LATE_DROPPED, EjectReason.LATE_FIRED)


class VerdictTally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the verdicts: matched + uncertain + ambiguous + unmatched + doubtful is the number that arrived.

    Attributes:
        matched: joined to one object.
        uncertain: joined too, but so improbably that it teaches nothing, see ResidualPolicy.min_match.
        ambiguous: two objects in reach, or two verdicts on one.
        unmatched: no object in reach, or none came for so long that the verdict had to make room.
        doubtful: the inspection was not sure enough, or named a class that the model does not know.
    """

    matched: int = 0
    ambiguous: int = 0
    unmatched: int = 0
    doubtful: int = 0
    uncertain: int = 0


@dataclass(frozen=True, slots=True)
class Logbook:
    """A recorder and the origin it was made with: one lot."""

    recorder: Recorder
    origin: Origin


@dataclass(slots=True)
class Recorded:
    """Decisions of one step, waiting.

    Attributes:
        decisions: N objects.
        last_ticks: (N,) int64, tick of each object's last row, not wrapped.
        inspection_ticks: (N,) int64, when its middle should pass the inspection.
        lanes: (N,) int64, index of its lane, -1 for none.
        told: N truths that are known without the inspection: teach lot, audit label; None where there is none.
        ready_ns: when everything about it is known.
        acknowledged: N answers of the controller; filled in as they come.
    """

    decisions: Decisions
    last_ticks: NDArray[np.int64]
    inspection_ticks: NDArray[np.int64]
    lanes: NDArray[np.int64]
    told: list[Truth | None]
    ready_ns: int
    acknowledged: list[Acknowledged]


class VerdictRecording:
    """Joins decisions with what is learnt about them.

    Args:
        recorder: gets every object, right or wrong.
        class_names: of the model; a verdict names an index into them.
        tolerance_ticks: how far a verdict may lie from where its object was expected.
        policy: how sure a pair must be, and how reliable the inspection is.
    """

    def __init__(
        self, recorder: Recorder, class_names: Sequence[str], tolerance_ticks: int, policy: ResidualPolicy
    ) -> None:
        self._recorder = recorder
        self._class_names = tuple(class_names)
        self._tolerance_ticks = tolerance_ticks
        self._policy = policy
        self._matcher = VerdictMatcher(tolerance_ticks)
        self._waiting: deque[Recorded] = deque()
        self._past: list[Recorded] = []  # the batch before: its objects can still be neighbours
        self._pulses: dict[int, tuple[Recorded, int]] = {}  # evid -> whose it is
        self._verdicts: deque[tuple[int, Verdict]] = deque()  # unwrapped tick, verdict
        self._near_tick = 0  # a tick not long ago, not wrapped
        self.tally = VerdictTally()

    def add(self, step: Recorded) -> None:
        """Take the decisions of one step, in order."""
        self._waiting.append(step)
        self._near_tick = int(step.last_ticks.max(initial=self._near_tick))

    def add_pulse(self, evid: int, step: Recorded, row: int) -> None:
        """Note for which object a pulse was sent."""
        self._pulses[evid] = (step, row)

    def on_outcome(self, outcome: EjectOutcome) -> None:
        """Take the outcome of a pulse; of several pulses of one object the worst counts."""
        if outcome.evid in self._pulses:
            step, row = self._pulses.pop(outcome.evid)
            if step.acknowledged[row] in {"none", "acked"}:
                step.acknowledged[row] = _acknowledged(outcome)

    def on_verdict(self, verdict: Verdict) -> None:
        """Take a verdict of the inspection; of those that nothing is decided about, the oldest make room."""
        if verdict.confidence_255 < _SURE_255 or verdict.class_id >= len(self._class_names):
            self.tally = msgspec.structs.replace(self.tally, doubtful=self.tally.doubtful + 1)
            return
        self._verdicts.append((unwrap(verdict.tick, self._near_tick), verdict))
        if len(self._verdicts) > MOST_VERDICTS:
            self._verdicts.popleft()
            self.tally = msgspec.structs.replace(self.tally, unmatched=self.tally.unmatched + 1)

    def record_until(self, now_ns: int, *, is_last: bool = False) -> None:
        """Record the steps about which everything is known by `now_ns`; `is_last` takes them all, and commits.

        Raises:
            ConfigError: a truth that was told names a class that the model does not know.
            StorageError: the spool refused. Every object is accounted for all the same.

        Note: before the last it commits nothing: a step is a frame, and each commit waits for the disk.
        """
        is_due = bool(self._waiting) and self._waiting[0].ready_ns + _BATCH_NS <= now_ns
        if not (is_due or is_last):
            return
        batch: list[Recorded] = []
        while self._waiting and (is_last or self._waiting[0].ready_ns <= now_ns):
            batch.append(self._waiting.popleft())
        truths, is_astray = self._judge(batch, self._take_verdicts(batch, is_last=is_last))
        self._past = batch
        try:
            self._note(batch, truths, is_astray)
        finally:
            if is_last:
                self._recorder.commit()

    def _note(self, batch: list[Recorded], truths: list[Truth | None], is_astray: NDArray[np.bool_]) -> None:
        failed: StorageError | None = None
        start = 0
        for step in batch:
            rows = slice(start, start + len(step.decisions))
            start = rows.stop
            try:
                aftermath = Aftermath(step.acknowledged, is_astray[rows], step.last_ticks)
                self._recorder.note_mistakes(step.decisions, truths[rows], aftermath)
            except StorageError as error:
                failed = failed or error
        if failed:
            raise failed

    def _judge(self, batch: list[Recorded], verdicts: Verdicts) -> tuple[list[Truth | None], NDArray[np.bool_]]:
        """Return truth and side of every object of the batch, in order."""
        truths: list[Truth | None] = [truth for step in batch for truth in step.told]
        is_astray = np.zeros(len(truths), np.bool_)
        around = [*self._past, *batch, *self._waiting]
        before = sum(len(step.decisions) for step in self._past)
        objects = _expected(around)
        rated = self._matcher.match(objects, verdicts)
        matches = rated.matches
        is_sure = rated.probabilities >= self._policy.min_match
        self._count(matches, int(is_sure.sum()))
        if not matches.is_trustworthy:  # clock or lanes do not agree: none of them can be believed
            return truths, is_astray
        for at, verdict, probability in zip(
            (matches.objects[is_sure] - before).tolist(),
            matches.verdicts[is_sure].tolist(),
            rated.probabilities[is_sure].tolist(),
            strict=True,
        ):
            if 0 <= at < len(truths):
                is_astray[at] = bool(verdicts.is_rejected[verdict]) != bool(objects.is_eject[at + before])
                label = self._class_names[int(verdicts.class_ids[verdict])]
                strength = probability * self._policy.inspection_reliability
                truths[at] = truths[at] or Truth("T2", label, strength, "inspection")
        return truths, is_astray

    def _count(self, matches: Matches, sure: int) -> None:
        tally = self.tally
        self.tally = msgspec.structs.replace(
            tally,
            matched=tally.matched + sure,
            uncertain=tally.uncertain + matches.matched - sure,
            ambiguous=tally.ambiguous + matches.ambiguous,
            unmatched=tally.unmatched + matches.unmatched,
        )

    def _take_verdicts(self, batch: list[Recorded], *, is_last: bool) -> Verdicts:
        """Return, and forget, the verdicts on pieces up to the end of this batch; at the end all."""
        ticks = [int(step.inspection_ticks.max()) for step in batch if len(step.decisions)]
        until = max(ticks, default=0) + self._tolerance_ticks
        taken = [item for item in self._verdicts if is_last or item[0] <= until]
        self._verdicts = deque(item for item in self._verdicts if not is_last and item[0] > until)
        return Verdicts(
            np.array([tick for tick, _ in taken], np.int64),
            np.array([verdict.object_id for _, verdict in taken], np.int64),
            np.array([verdict.class_id for _, verdict in taken], np.int64),
            np.array([verdict.source == VerdictSource.INSPECTION_REJECT for _, verdict in taken], np.bool_),
        )


def _acknowledged(outcome: EjectOutcome) -> Acknowledged:
    if outcome.reason in _LATE:
        return "late"
    if outcome.kind is OutcomeKind.LOST or not outcome.has_fired:
        return "lost"
    return "acked"


def _expected(steps: Sequence[Recorded]) -> ExpectedObjects:
    none = np.zeros(0, np.int64)
    return ExpectedObjects(
        np.concatenate([none, *(step.inspection_ticks for step in steps)]),
        np.concatenate([none, *(step.lanes for step in steps)]),
        np.concatenate([none, *(step.decisions.class_ids for step in steps)]),
        np.concatenate([np.zeros(0, np.bool_), *(step.decisions.is_eject for step in steps)]),
    )
