"""The recorder: decisions and what is known to be true about them in, residual records and norm sums out.

It joins the rules of `truth` and `residual` with a spool and accounts for every object it is shown; it decides nothing
about sorting and reads no link.

>>> judge(Truth(source="T0", label="stone", strength=1.0, who="technician"), "rice", "none", is_astray=False)
'misclassified'
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from edge_runtime.candidates import is_close, is_far
from edge_runtime.decisions import KIND_NAMES, Decisions
from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.label_trust import ModelBelief, lot_trust, verdict_trust
from edge_runtime.near_duplicate import Glance, RecentCrops
from edge_runtime.norm import norm_q16
from edge_runtime.residual import (
    CONFIRMING_SOURCES,
    NORM_SOURCES,
    Acknowledged,
    Failure,
    Origin,
    ResidualHeader,
    Truth,
    make_record,
)
from edge_runtime.spool import Spool
from edge_runtime.spool_recovery import Stream
from edge_runtime.truth import audit_objects, norm_statistics
from firmware_bridge.clock import Clock

__all__ = ["Aftermath", "Recorder", "RecorderCounts", "judge"]

_UNTOLD: Final = Truth(source="T8")
_LOW_MARGIN: Final = Truth(source="T7", who="margin")
_FAR_NORM: Final = Truth(source="T7", who="norm")
_FIRST_CANDIDATES: Final = 10
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What became of N decisions.

    Attributes:
        acknowledged: N answers of the controller.
        is_astray: (N,) bool, the piece was seen on the side contrary to its action.
        encoders: (N,) int64, tick of each object's last row.
    """

    acknowledged: Sequence[Acknowledged]
    is_astray: NDArray[np.bool_]
    encoders: NDArray[np.int64]

    @staticmethod
    def unknown(decisions: Decisions) -> "Aftermath":
        """Return that nothing is known: no answers, and the line counts as the tick."""
        count = len(decisions)
        return Aftermath(["none"] * count, np.zeros(count, np.bool_), decisions.lines)


class RecorderCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorder's books since it was made: seen == sum(taken) + sum(passed_over).

    Attributes:
        seen: objects shown.
        taken: records handed to the spool, by failure.
        passed_over: objects not recorded, by reason: right, no_truth, unnamed (a truth without a label), oversize,
            cluster and cut_off (they have no class), quota (enough of this source, class and lot), rate (enough
            candidates for so few objects), near_duplicate (shows what was just recorded), repeated (already in the
            spool), storage (the spool refused).
    """

    seen: int
    taken: dict[str, int]
    passed_over: dict[str, int]
    schema_version: int = 1


def judge(truth: Truth, predicted_class: str, acknowledged: Acknowledged, *, is_astray: bool) -> Failure | None:
    """Return what went wrong with one object, None when nothing did.

    Args:
        truth: with a label, unless it is an audit sample or a candidate.
        predicted_class: what the model said.
        acknowledged: what the controller said.
        is_astray: the piece was seen on the side contrary to the action.

    Returns:
        A wrong class is "misclassified", however the ejection went; a right one is "late" when the controller refused
        its pulse as late, and "not_deflected" when the piece went astray all the same.
    """
    if truth.source == "T8":
        return "audit"
    if truth.source not in CONFIRMING_SOURCES:
        return "candidate"
    if truth.label != predicted_class:
        return "misclassified"
    if acknowledged == "late":
        return "late"
    return "not_deflected" if is_astray else None


@dataclass(frozen=True, slots=True)
class _Shown:
    """N objects and what is worked out about all of them at once: norms (N,) int64, trust (N,) in their labels."""

    decisions: Decisions
    aftermath: Aftermath
    norms_q16: NDArray[np.int64]
    trusts: NDArray[np.float64]


class Recorder:
    """Records one lot on one machine. One thread, the spool's."""

    def __init__(self, spool: Spool, origin: Origin, clock: Clock) -> None:
        self._spool = spool
        self._origin = origin
        self._clock = clock
        self._seen = 0
        self._taken: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()  # classes that the inspection named
        self._doubtful = 0  # T7 recorded
        self._recent = RecentCrops()
        counts = np.array(origin.sample_counts or (1,) * len(origin.class_names), np.float64)
        self._belief = ModelBelief(counts, origin.policy.novel_share)

    def record_mistakes(
        self, decisions: Decisions, truths: Sequence[Truth | None], aftermath: Aftermath | None = None
    ) -> list[str]:
        """Record what went wrong among these objects, and make it durable; see `note_mistakes`.

        Returns:
            The ids accepted: flushed to the disk when this returns.

        Raises:
            ConfigError: a truth names a class that the model does not know; nothing was recorded.
            StorageError: the disk is full or failed. Every object is accounted for all the same.
        """
        self.note_mistakes(decisions, truths, aftermath)
        return self.commit()

    def note_mistakes(
        self, decisions: Decisions, truths: Sequence[Truth | None], aftermath: Aftermath | None = None
    ) -> None:
        """Record what went wrong among these objects, and count the norms of all whose truth is known.

        Args:
            decisions: N objects; pass the right ones too, or the class means of the norm will follow the errors.
            truths: N, None where nothing is known: such an object can only join the audit slice.
            aftermath: what became of them; None when nothing is known.

        Raises:
            ConfigError: a truth names a class that the model does not know; nothing was recorded.
            StorageError: the disk is full or failed. Every object is accounted for all the same: do not pass them
                again; what waits in memory goes with the next commit.

        Note:
            It is durable after the next `commit`; `Spool` tells when that comes by itself.
            An object of the audit slice is held out: it becomes an audit record, with its label if it has one, and
            never a class mistake. A mistake whose label is less sure than the policy asks for becomes a candidate, and
            so do some of the objects of which nothing is known but that the model is in doubt.
        """
        self._check_labels(truths)
        norms_q16 = norm_q16(decisions.norm_numerators, decisions.norm_denominators)  # (N,)
        self._count_norms(decisions, truths, norms_q16)
        trusts = self._trusts(decisions, truths)
        shown = _Shown(decisions, aftermath or Aftermath.unknown(decisions), norms_q16, trusts)
        failed: StorageError | None = None
        for row, truth in enumerate(self._with_doubts(shown, self._with_audit(decisions, truths))):
            self._seen += 1
            failure, reason = self._judge_row(shown, row, truth)
            if failure is None or truth is None:
                self._passed_over[reason] += 1
            elif failed:
                self._passed_over["storage"] += 1
            else:
                failed = self._try_append(self._header(shown, row, truth, failure), shown, row)
        if failed:
            raise failed

    def commit(self) -> list[str]:
        """Make records and norm sums that wait in memory durable; call it when the stream pauses or the lot ends.

        Returns:
            The ids accepted since the last call.

        Raises:
            StorageError: the disk is full or failed; call it again when there is room.
        """
        return self._spool.commit()

    def counts(self) -> RecorderCounts:
        """Return the books."""
        return RecorderCounts(self._seen, dict(sorted(self._taken.items())), dict(sorted(self._passed_over.items())))

    def _check_labels(self, truths: Sequence[Truth | None]) -> None:
        known = self._origin.class_names
        for truth in truths:
            if truth is not None and truth.label and truth.label not in known:
                raise ConfigError(
                    f"a truth from {truth.who or truth.source} names class {truth.label!r}, which the model does not "
                    f"know: use one of {', '.join(known)}"
                )

    def _count_norms(self, decisions: Decisions, truths: Sequence[Truth | None], norms_q16: NDArray[np.int64]) -> None:
        labels = np.array([t.label if t is not None and t.source in NORM_SOURCES else "" for t in truths], np.str_)
        is_counted = (labels != "") & (decisions.class_ids >= 0)
        if is_counted.any():
            origin = self._origin
            names = labels[is_counted].tolist()
            sums = norm_statistics(origin.model_id, origin.recipe_digest, names, norms_q16[is_counted])
            self._spool.add_norms(sums)

    def _with_audit(self, decisions: Decisions, truths: Sequence[Truth | None]) -> list[Truth | None]:
        """Return the truths, those of audit objects turned into T8."""
        origin = self._origin
        names = (origin.machine, origin.lot, decisions.camera)
        is_audit = audit_objects(names, decisions.lines, decisions.columns, origin.policy.audit_rate)
        return [
            msgspec.structs.replace(truth or _UNTOLD, source="T8") if audit else truth
            for truth, audit in zip(truths, is_audit.tolist(), strict=True)
        ]

    def _trusts(self, decisions: Decisions, truths: Sequence[Truth | None]) -> NDArray[np.float64]:
        """Return, (N,), how probably each object's label is right; 1 where nothing speaks against its source."""
        names = self._origin.class_names
        trusts = np.ones(len(decisions))
        told = [(row, truth) for row, truth in enumerate(truths) if truth is not None and truth.label]
        for label, purity in {(truth.label, truth.strength) for _, truth in told if truth.source == "T0"}:
            own = [row for row, truth in told if (truth.source, truth.label, truth.strength) == ("T0", label, purity)]
            trusts[own] = lot_trust(self._belief, decisions.scores[own], names.index(label), purity)
        inspected = [(row, truth) for row, truth in told if truth.source == "T2"]
        if inspected:
            own = [row for row, _ in inspected]
            trusts[own] = self._verdict_trusts(decisions.scores[own], [truth for _, truth in inspected])
        return trusts

    def _verdict_trusts(self, scores: NDArray[np.float32], verdicts: Sequence[Truth]) -> NDArray[np.float64]:
        names = self._origin.class_names
        self._verdicts.update(verdict.label for verdict in verdicts)
        label_ids = np.array([names.index(verdict.label) for verdict in verdicts], np.int64)
        strengths = np.array([verdict.strength for verdict in verdicts], np.float64)
        shares = np.array([self._verdicts[name] + 1.0 for name in names])  # none is impossible
        return verdict_trust(self._belief, scores, label_ids, strengths, shares)

    def _with_doubts(self, shown: _Shown, truths: Sequence[Truth | None]) -> list[Truth | None]:
        """Return the truths, those of doubtful objects of which nothing is known turned into T7."""
        decisions, origin = shown.decisions, self._origin
        is_low = is_close(decisions.scores, origin.policy.candidate_margin)
        sigmas = origin.policy.candidate_sigmas
        is_odd = is_far(decisions.class_ids, shown.norms_q16, origin.class_names, origin.class_norms, sigmas=sigmas)
        return [
            truth or (_LOW_MARGIN if low else _FAR_NORM if odd else None)
            for truth, low, odd in zip(truths, is_low.tolist(), is_odd.tolist(), strict=True)
        ]

    def _judge_row(self, shown: _Shown, row: int, truth: Truth | None) -> tuple[Failure | None, str]:
        """Return what went wrong, or None with the reason to pass the object over."""
        class_id = int(shown.decisions.class_ids[row])
        if class_id in KIND_NAMES:
            return None, KIND_NAMES[class_id]
        if truth is None:
            return None, "no_truth"
        if truth.source in CONFIRMING_SOURCES and not truth.label:
            return None, "unnamed"
        aftermath = shown.aftermath
        predicted = self._origin.class_names[class_id]
        failure = judge(truth, predicted, aftermath.acknowledged[row], is_astray=bool(aftermath.is_astray[row]))
        if failure == "misclassified" and shown.trusts[row] < self._origin.policy.min_trust:
            failure = "candidate"
        obstacle = self._obstacle(shown, row, truth, failure)
        return (None, obstacle) if obstacle else (failure, "right")

    def _obstacle(self, shown: _Shown, row: int, truth: Truth, failure: Failure | None) -> str:
        """Return why there is enough of this, "" where there is not: random samples and faults are never too many."""
        if failure not in {"misclassified", "candidate"}:
            return ""
        policy, label = self._origin.policy, truth.label or self._predicted(shown, row)
        if truth.source == "T7" and self._doubtful >= _allowed(policy.candidate_share, self._seen):
            return "rate"
        stream: Stream = "confirmed" if failure == "misclassified" else "candidate"
        most = policy.max_per_class if failure == "misclassified" else policy.max_candidates
        if self._spool.count_kept(stream, self._origin.lot, label=label, source=truth.source) >= most:
            return "quota"
        return "near_duplicate" if self._recent.has_near(_glance(shown, row)) else ""

    def _predicted(self, shown: _Shown, row: int) -> str:
        return self._origin.class_names[int(shown.decisions.class_ids[row])]

    def _header(self, shown: _Shown, row: int, truth: Truth, failure: Failure) -> ResidualHeader:
        """Return the header of one object."""
        decisions, origin = shown.decisions, self._origin
        return ResidualHeader(
            machine=origin.machine,
            lot=origin.lot,
            camera=decisions.camera,
            line=int(decisions.lines[row]),
            column=int(decisions.columns[row]),
            utc=self._clock.utc_now().isoformat(timespec="milliseconds"),
            encoder=int(shown.aftermath.encoders[row]),
            side_px=int(decisions.pixels.shape[1]),
            channels=int(decisions.pixels.shape[3]),
            predicted_class=self._predicted(shown, row),
            scores=tuple(decisions.scores[row].tolist()),
            action="eject" if decisions.is_eject[row] else "accept",
            acknowledged=shown.aftermath.acknowledged[row],
            norm_q16=int(shown.norms_q16[row]),
            norm_numerator=int(decisions.norm_numerators[row]),
            norm_denominator=int(decisions.norm_denominators[row]),
            model_id=origin.model_id,
            recipe_digest=origin.recipe_digest,
            truth=truth,
            failure=failure,
            audit_rate=origin.policy.audit_rate if failure == "audit" else 0.0,
        )

    def _try_append(self, header: ResidualHeader, shown: _Shown, row: int) -> StorageError | None:
        """Hand a record to the spool and count what became of it."""
        try:
            is_new = self._spool.append(make_record(header, shown.decisions.pixels[row], shown.decisions.masks[row]))
        except StorageError as error:
            self._passed_over["storage"] += 1
            _log.warning("residual.drop", reason="storage", error=str(error))
            return error
        if is_new:
            self._taken[header.failure] += 1
            self._doubtful += header.truth.source == "T7"
            if header.failure in {"misclassified", "candidate"}:
                self._recent.add(_glance(shown, row))
        else:
            self._passed_over["repeated"] += 1
        return None


def _allowed(share: float, seen: int) -> float:
    """Return how many T7 candidates so many objects may give: a few at once at the start."""
    return share * seen + (_FIRST_CANDIDATES if share > 0 else 0)


def _glance(shown: _Shown, row: int) -> Glance:
    decisions = shown.decisions
    place = (int(decisions.lines[row]), int(decisions.columns[row]))
    return Glance.of(decisions.pixels[row], place=place, norm_q16=int(shown.norms_q16[row]))
