"""May INT8 ship? Decisions compared class by class; pure rules over numbers.

Signal-to-noise is no gate: a file that was 37 dB away from FP32 decided as it did on 14 of 100 crops, and the other way
round one that looks far off may decide alike. What counts is which class each sample gets.

>>> verdict = judge_int8(np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([0, 0, 1]), ("good", "stone"))
>>> verdict.passed, verdict.changed_decisions
(True, 0)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import score_classes

__all__ = ["MOST_F1_DROP", "MOST_RECALL_DROP", "ClassChange", "Int8Verdict", "judge_int8"]

MOST_F1_DROP: Final = 0.005  # of macro-F1: half a point
MOST_RECALL_DROP: Final = 0.01  # of the recall of a class, one point; a class of fewer than 100 may lose one sample
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What INT8 does to one class.

    Attributes:
        name: of the class.
        samples: how many were compared.
        right_before, right_after: of these, right by FP32 and by INT8.
    """

    name: str
    samples: int
    right_before: int
    right_after: int

    @property
    def recall_before(self) -> float:
        """Recall by FP32, 0..1."""
        return self.right_before / self.samples

    @property
    def recall_after(self) -> float:
        """Recall by INT8, 0..1."""
        return self.right_after / self.samples

    @property
    def lost(self) -> int:
        """Samples that FP32 got right more than INT8; below 0 where INT8 is better."""
        return self.right_before - self.right_after

    @property
    def is_within_limit(self) -> bool:
        """Whether at most one sample or one point of recall is lost."""
        return self.lost <= max(1.0, MOST_RECALL_DROP * self.samples + _ROUNDING)


@dataclass(frozen=True, slots=True)
class Int8Verdict:
    """What the gate found.

    Attributes:
        samples: compared.
        changed_decisions: of these, those that get another class.
        macro_f1_before, macro_f1_after: by FP32 and by INT8, 0..1.
        classes: every class with a sample, in their order.
    """

    samples: int
    changed_decisions: int
    macro_f1_before: float
    macro_f1_after: float
    classes: tuple[ClassChange, ...]

    @property
    def macro_f1_drop(self) -> float:
        """By how much macro-F1 falls; below 0 where it rises."""
        return self.macro_f1_before - self.macro_f1_after

    @property
    def worst(self) -> ClassChange:
        """The class that loses most recall; of several the first."""
        return max(self.classes, key=lambda change: change.recall_before - change.recall_after)

    @property
    def passed(self) -> bool:
        """Whether INT8 may ship."""
        return self._is_f1_held and all(change.is_within_limit for change in self.classes)

    @property
    def text(self) -> str:
        """The verdict in one line, with what was exceeded."""
        failed = [
            f"class {c.name} loses {c.lost} of {c.samples} samples (limit: 1 sample or 1 point of recall)"
            for c in self.classes
            if not c.is_within_limit
        ]
        if not self._is_f1_held:
            failed.insert(0, f"macro-F1 falls by {100 * self.macro_f1_drop:.2f} points (limit {100 * MOST_F1_DROP})")
        told = f"{self.changed_decisions} of {self.samples} decisions change"
        return f"held: {told}" if not failed else f"failed: {'; '.join(failed)}; {told}"

    @property
    def _is_f1_held(self) -> bool:
        return self.macro_f1_drop <= MOST_F1_DROP + _ROUNDING


def judge_int8(
    true_ids: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    classes: tuple[str, ...],
) -> Int8Verdict:
    """Compare the decisions of INT8 with those of FP32.

    Args:
        true_ids: (N,) int64 true classes in 0..K-1, N >= 1; never samples that calibrated the quantisation.
        before: (N,) int64 classes by FP32.
        after: (N,) int64 classes by INT8.
        classes: K names.
    """
    by_float = score_classes(true_ids, before, len(classes))
    by_integer = score_classes(true_ids, after, len(classes))
    right = np.diag(by_float.confusion), np.diag(by_integer.confusion)
    return Int8Verdict(
        samples=by_float.samples,
        changed_decisions=int((before != after).sum()),
        macro_f1_before=by_float.macro_f1,
        macro_f1_after=by_integer.macro_f1,
        classes=tuple(
            ClassChange(name, int(by_float.counts[k]), int(right[0][k]), int(right[1][k]))
            for k, name in enumerate(classes)
            if by_float.counts[k]
        ),
    )
