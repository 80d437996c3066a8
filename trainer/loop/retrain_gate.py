"""May a retrained model replace its base? A pure rule over both models' answers on the same held-out samples.

>>> gate = judge_change(("good", "stone"), Answers(np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([0, 0, 0])), 0.01)
>>> gate.is_accepted, gate.classes["stone"].is_lost
(True, False)
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from trainer.loop.results import ShippedFigures
from trainer.metrics import score_classes

__all__ = ["Answers", "ClassChange", "Gate", "judge_change", "judge_figures"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What two models say of the same samples: (N,) int64 each, N >= 1."""

    true_ids: NDArray[np.int64]
    base_ids: NDArray[np.int64]
    candidate_ids: NDArray[np.int64]


class ClassChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class on the held-out samples.

    Attributes:
        samples: how many of it.
        base, candidate: recall of each model, 0..1.
        allowed_loss: recall that the candidate may lose: the set one, or that of a single sample where it is larger.
        is_lost: the candidate loses more.
        mended, broken: samples that only the candidate, or only the base, gets right; null if unknown.
    """

    samples: int
    base: float
    candidate: float
    allowed_loss: float
    is_lost: bool
    mended: int | None = None
    broken: int | None = None


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict.

    Attributes:
        is_accepted: no class that the base knew loses more recall than allowed.
        base_macro_f1, candidate_macro_f1: over the classes that have samples.
        classes: by name; those without a held-out sample are left out.
    """

    is_accepted: bool
    base_macro_f1: float
    candidate_macro_f1: float
    classes: dict[str, ClassChange]


def judge_change(classes: tuple[str, ...], answers: Answers, max_loss: float) -> Gate:
    """Return whether a candidate may replace its base, by both models' answers on the same samples.

    Args:
        classes: names, in the order of the ids.
        answers: of both models.
        max_loss: recall that a class may lose, 0..1.

    Note:
        One sample is always allowed: of 30 it is 3 points of recall, and any retraining moves one.
    """
    true_ids, count = answers.true_ids, len(classes)
    base, candidate = (score_classes(true_ids, ids, count) for ids in (answers.base_ids, answers.candidate_ids))
    base_right, candidate_right = answers.base_ids == true_ids, answers.candidate_ids == true_ids
    mended = np.bincount(true_ids[candidate_right & ~base_right], minlength=count).tolist()
    broken = np.bincount(true_ids[base_right & ~candidate_right], minlength=count).tolist()
    changes = {
        name: _change(int(base.counts[k]), (float(base.recalls[k]), float(candidate.recalls[k])), max_loss)
        for k, name in enumerate(classes)
        if base.counts[k]
    }
    told = {
        name: msgspec.structs.replace(changes[name], mended=mended[k], broken=broken[k])
        for k, name in enumerate(classes)
        if name in changes
    }
    return Gate(_is_accepted(told), base.macro_f1, candidate.macro_f1, told)


def judge_figures(classes: tuple[str, ...], base: ShippedFigures, candidate: ShippedFigures, max_loss: float) -> Gate:
    """Return whether a candidate may replace its base, by the figures of two runs that were judged out of fold.

    Args:
        classes: names, in the order of the candidate's confusion matrix; those that the base lacks are left out.
        base: figures of the base; what changed sample by sample is not known.
        candidate: figures of the candidate.
        max_loss: recall that a class may lose, 0..1.
    """
    counts = {name: sum(row) for name, row in zip(classes, candidate.confusion, strict=True)}
    changes = {
        name: _change(counts[name], (recall, candidate.per_class_recall[name]), max_loss)
        for name, recall in base.per_class_recall.items()
        if counts.get(name)
    }
    return Gate(_is_accepted(changes), base.macro_f1, candidate.macro_f1, changes)


def _change(samples: int, recalls: tuple[float, float], max_loss: float) -> ClassChange:
    base, candidate = recalls
    allowed = max(max_loss, 1 / samples)
    # Recalls are ratios of small whole numbers: half a thousandth of a sample is no loss, only rounding.
    is_lost = base - candidate > allowed + 0.0005 / samples
    return ClassChange(samples, base, candidate, allowed, is_lost)


def _is_accepted(changes: dict[str, ClassChange]) -> bool:
    return not any(change.is_lost for change in changes.values())
