"""Where a machine's knowledge of its own mistakes comes from: pure rules, no I/O.

Teach lots (T0), verdicts of a downstream inspection (T2), the audit slice (T8), and the running norm sums of every
object whose truth is known. It knows arrays and records, nothing of spools, links or clocks.

>>> teach_lot_mistakes(np.array([2, 2, 0]), 2)
array([False, False,  True])
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.norm import ClassNorms, class_norms

__all__ = [
    "MIN_MATCHED_SHARE",
    "ExpectedObjects",
    "LabelNorms",
    "Matches",
    "NormStatistics",
    "Outcome",
    "Verdicts",
    "audit_objects",
    "classify_matches",
    "is_audit_object",
    "match_verdicts",
    "norm_statistics",
    "teach_lot_mistakes",
]

# With a wrong clock, pieces that fall at random match at most 0.184 of the verdicts: a match needs exactly one
# neighbour seen from either side, x * exp(-2x) of them at x pieces a window, largest at x = 1/2. A true clock stays
# far above one half.
MIN_MATCHED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class ExpectedObjects:
    """Own objects, where they should pass the inspection.

    Attributes:
        ticks: (N,) int64, unwrapped encoder tick at the inspection's line.
        lanes: (N,) int64.
        class_ids: (N,) int64, what the model said.
        is_eject: (N,) bool, what the machine did.
    """

    ticks: NDArray[np.int64]
    lanes: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    is_eject: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the inspection says.

    Attributes:
        ticks: (M,) int64, on the same unwrapped scale as the objects.
        lanes: (M,) int64.
        class_ids: (M,) int64, the true class.
        is_rejected: (M,) bool, the piece was seen on the reject side.
    """

    ticks: NDArray[np.int64]
    lanes: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    is_rejected: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of an object and its verdict; matched + ambiguous + unmatched is the number of verdicts.

    Attributes:
        objects: (P,) int64, indices into the objects; each occurs once.
        verdicts: (P,) int64, indices into the verdicts, ascending; each occurs once.
        matched: P.
        ambiguous: verdicts with two objects in reach, or sharing their object with another verdict.
        unmatched: verdicts with no object in reach.
    """

    objects: NDArray[np.int64]
    verdicts: NDArray[np.int64]
    matched: int
    ambiguous: int
    unmatched: int

    @property
    def matched_share(self) -> float:
        """Share 0..1 of the verdicts that found their object; 0 without verdicts."""
        return self.matched / max(1, self.matched + self.ambiguous + self.unmatched)

    @property
    def is_trustworthy(self) -> bool:
        """Whether enough verdicts matched to believe that clock and lanes agree; see MIN_MATCHED_SHARE.

        Pieces fed at one exact pitch can hide a shift of whole pitches: no matching by time can tell.
        """
        return self.matched_share >= MIN_MATCHED_SHARE


class Outcome(IntEnum):
    """What a verdict says about one object."""

    RIGHT = 0
    MISCLASSIFIED = 1
    EJECTION_FAULT = 2  # the class was right, the piece went to the other side


class LabelNorms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Norm sums of one true class under one model and recipe: other crops or weights give other norms.

    Attributes:
        model_id, recipe_digest: sha256 of what computed the norms.
        label: true class name.
        norms: the sums.
    """

    model_id: str
    recipe_digest: str
    label: str
    norms: ClassNorms


class NormStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Norm sums of ALL objects of known truth, right or wrong: errors alone would move the class means.

    Attributes:
        entries: ascending by (model_id, recipe_digest, label), each of these once.
    """

    entries: tuple[LabelNorms, ...] = ()
    schema_version: int = 1

    @property
    def count(self) -> int:
        """Number of objects counted."""
        return sum(entry.norms.count for entry in self.entries)

    def plus(self, other: "NormStatistics") -> "NormStatistics":
        """Return the sums over both."""
        sums: dict[tuple[str, str, str], ClassNorms] = {}
        for entry in (*self.entries, *other.entries):
            key = (entry.model_id, entry.recipe_digest, entry.label)
            sums[key] = sums.get(key, ClassNorms()).plus(entry.norms)
        return NormStatistics(tuple(LabelNorms(*key, norms) for key, norms in sorted(sums.items())))

    def by_label(self) -> dict[str, ClassNorms]:
        """Return the sums by true class over every model and recipe, names ascending."""
        sums: dict[str, ClassNorms] = {}
        for entry in self.entries:
            sums[entry.label] = sums.get(entry.label, ClassNorms()).plus(entry.norms)
        return dict(sorted(sums.items()))


def teach_lot_mistakes(predicted_class_ids: NDArray[np.int64], lot_class_id: int) -> NDArray[np.bool_]:
    """Return, (N,) bool, which objects of a lot of one known class the model got wrong."""
    return np.asarray(predicted_class_ids != lot_class_id, np.bool_)


def match_verdicts(objects: ExpectedObjects, verdicts: Verdicts, tolerance_ticks: int) -> Matches:
    """Pair each verdict with the one object that can be meant, or with none.

    Args:
        objects: in any order.
        verdicts: in any order.
        tolerance_ticks: an object is in reach of a verdict of its lane when their ticks differ by no more than this.

    Returns:
        Only pairs in which neither side has another choice; everything else is counted. The pairs do not depend on the
        order of the inputs.

    Note:
        O((N + M) log(N + M)). Ticks must stay 2**62 away from the ends of int64.
    """
    reach_of_verdicts, first_objects = _in_reach(verdicts.ticks, verdicts.lanes, objects, tolerance_ticks)
    reach_of_objects, _ = _in_reach(objects.ticks, objects.lanes, verdicts, tolerance_ticks)
    lonely = np.flatnonzero(reach_of_verdicts == 1)  # one object in reach ...
    pairs = lonely[reach_of_objects[first_objects[lonely]] == 1]  # ... which no other verdict can mean
    unmatched = int((reach_of_verdicts == 0).sum())
    ambiguous = int(verdicts.ticks.size) - unmatched - int(pairs.size)
    return Matches(first_objects[pairs], pairs.astype(np.int64), int(pairs.size), ambiguous, unmatched)


def classify_matches(matches: Matches, objects: ExpectedObjects, verdicts: Verdicts) -> NDArray[np.int64]:
    """Return, (P,) int64, the `Outcome` of each pair; a wrong class is misclassified whatever side it went to."""
    is_wrong = objects.class_ids[matches.objects] != verdicts.class_ids[matches.verdicts]
    is_astray = objects.is_eject[matches.objects] != verdicts.is_rejected[matches.verdicts]
    outcomes = np.where(is_astray, Outcome.EJECTION_FAULT, Outcome.RIGHT)
    return np.where(is_wrong, Outcome.MISCLASSIFIED, outcomes).astype(np.int64)


def is_audit_object(machine: str, lot: str, camera: str, place: tuple[int, int], rate: float) -> bool:
    """Return whether an object belongs to the audit slice.

    Args:
        machine: name of the machine.
        lot: name of the lot.
        camera: name of the view.
        place: line and column of the object.
        rate: probability, 0..1.

    Returns:
        The same answer for the same object at any time, in any order; it knows no score, so that the slice measures
        the machine without bias. A higher rate keeps all objects of a lower one.
    """
    key = msgspec.msgpack.encode((machine, lot, camera, *place))
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") < rate * 2.0**64


def audit_objects(
    names: tuple[str, str, str], lines: NDArray[np.int64], columns: NDArray[np.int32], rate: float
) -> NDArray[np.bool_]:
    """Return, (N,) bool, `is_audit_object` of many objects.

    Args:
        names: machine, lot, camera.
        lines: (N,).
        columns: (N,).
        rate: probability, 0..1.
    """
    places = zip(lines.tolist(), columns.tolist(), strict=True)
    return np.array([is_audit_object(*names, place, rate) for place in places], np.bool_)


def norm_statistics(
    model_id: str, recipe_digest: str, labels: Sequence[str], norms_q16: NDArray[np.int64]
) -> NormStatistics:
    """Return the norm sums of N objects of known truth.

    Args:
        model_id: sha256 of the model.
        recipe_digest: sha256 of the recipe.
        labels: N true class names.
        norms_q16: (N,) int64 in 0..65536.
    """
    names = np.asarray(labels, np.str_)
    return NormStatistics(
        tuple(
            LabelNorms(model_id, recipe_digest, str(label), class_norms(norms_q16[names == label]))
            for label in np.unique(names)
        )
    )


def _in_reach(
    ticks: NDArray[np.int64], lanes: NDArray[np.int64], others: ExpectedObjects | Verdicts, tolerance_ticks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many of `others` each one reaches, and the index of the first of them (meaningless where none is)."""
    counts = np.zeros(ticks.size, np.int64)
    firsts = np.zeros(ticks.size, np.int64)
    for lane in np.unique(lanes):
        own = np.flatnonzero(lanes == lane)
        order = np.flatnonzero(others.lanes == lane)
        order = order[np.argsort(others.ticks[order], kind="stable")]
        if order.size == 0:
            continue
        from_ = np.searchsorted(others.ticks[order], ticks[own] - tolerance_ticks, side="left")
        to = np.searchsorted(others.ticks[order], ticks[own] + tolerance_ticks, side="right")
        counts[own] = to - from_
        firsts[own] = order[np.minimum(from_, order.size - 1)]
    return counts, firsts
