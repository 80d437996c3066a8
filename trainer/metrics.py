"""Figures of a classification, and what counts as better. Pure numpy; cross-tested against torchmetrics.

>>> score_classes(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), 2).worst_class_recall
0.5
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scores", "confusion_matrix", "score_classes", "score_confusion"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures over a set of samples; classes without a sample count nowhere.

    Attributes:
        samples: how many.
        accuracy, macro_f1, worst_class_recall: 0..1.
        macro_f1_error: one standard error of the macro figure, from the binomial spread of each class's recall.
        counts: (K,) int64 samples a class.
        precisions, recalls, f1s: (K,) float64, 0 where undefined.
        confusion: (K, K) int64, rows true, columns predicted.
    """

    samples: int
    accuracy: float
    macro_f1: float
    worst_class_recall: float
    macro_f1_error: float
    counts: NDArray[np.int64]
    precisions: NDArray[np.float64]
    recalls: NDArray[np.float64]
    f1s: NDArray[np.float64]
    confusion: NDArray[np.int64]


def confusion_matrix(
    true_ids: NDArray[np.int64], predicted_ids: NDArray[np.int64], class_count: int
) -> NDArray[np.int64]:
    """Return (K, K) int64 counts, rows the true class, columns the predicted one."""
    cells = np.bincount(true_ids * class_count + predicted_ids, minlength=class_count * class_count)
    return cells.reshape(class_count, class_count).astype(np.int64)


def score_classes(true_ids: NDArray[np.int64], predicted_ids: NDArray[np.int64], class_count: int) -> Scores:
    """Return the figures of predictions.

    Args:
        true_ids: (N,) int64 in 0..K-1, N >= 1.
        predicted_ids: (N,) int64.
        class_count: K.
    """
    return score_confusion(confusion_matrix(true_ids, predicted_ids, class_count))


def score_confusion(confusion: NDArray[np.int64]) -> Scores:
    """Return the figures of a confusion matrix (K, K), rows true; at least one sample."""
    counts = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    right = np.diag(confusion).astype(np.float64)
    present = counts > 0
    recalls = right / np.maximum(counts, 1)
    precisions = right / np.maximum(predicted, 1)
    f1s = 2 * right / np.maximum(counts + predicted, 1)
    spread = recalls * (1 - recalls) / np.maximum(counts, 1)
    return Scores(
        samples=int(counts.sum()),
        accuracy=float(right.sum() / counts.sum()),
        macro_f1=float(f1s[present].mean()),
        worst_class_recall=float(recalls[present].min()),
        macro_f1_error=float(np.sqrt(spread[present].sum()) / present.sum()),
        counts=counts,
        precisions=precisions,
        recalls=recalls,
        f1s=f1s,
        confusion=confusion,
    )
