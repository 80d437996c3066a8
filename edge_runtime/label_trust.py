"""How probably the class that a source names is right, once the model's own scores are weighed too. Pure.

A model that is nearly always right makes a trap of every source that errs now and then: most of what looks like a
mistake of the model is then a mistake of the source. The impurity of a teach lot is decided rightly and lies among the
model's "mistakes"; a verdict joined with the wrong piece contradicts a right decision. Bayes' rule says how many.

>>> model = ModelBelief(np.array([1.0, 1.0]), novel_share=0.0)
>>> sure_and_unsure = np.array([[0.01, 0.99], [0.4, 0.6]], np.float32)
>>> lot_trust(model, sure_and_unsure, 0, 0.999).round(3)
array([0.91 , 0.999])
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ModelBelief", "lot_trust", "verdict_trust"]


@dataclass(frozen=True, slots=True)
class ModelBelief:
    """What the scores of a model are worth.

    Attributes:
        sample_shares: (K,) float64 > 0, how often each class occurs among the samples on which the scores were
            calibrated; only their ratios count.
        novel_share: share 0..1 of pieces that look as the model never saw its classes: of them the scores say nothing.
    """

    sample_shares: NDArray[np.float64]
    novel_share: float

    def likelihoods(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return, (N, K) float64, how well each class explains each piece; only the ratios in a row count.

        Args:
            scores: (N, K) float32, calibrated.
        """
        shares = self.sample_shares / self.sample_shares.sum()
        return np.asarray((1 - self.novel_share) * scores / shares + self.novel_share, np.float64)


def lot_trust(model: ModelBelief, scores: NDArray[np.float32], lot_class_id: int, purity: float) -> NDArray[np.float64]:
    """Return how probably each piece of a teach lot is of the lot's class.

    Args:
        model: what its scores are worth.
        scores: (N, K) float32.
        lot_class_id: index of the class.
        purity: share 0..1 of the lot that is of it; the rest may be of any other class alike.

    Returns:
        (N,) float64 in 0..1; the lower, the surer the model is of another class. 1 for a lot that is all pure.
    """
    count = scores.shape[1]
    priors = np.full(count, (1 - purity) / max(1, count - 1))
    priors[lot_class_id] = purity
    return _share_of(priors * model.likelihoods(scores), np.full(len(scores), lot_class_id, np.int64))


def verdict_trust(
    model: ModelBelief,
    scores: NDArray[np.float32],
    label_ids: NDArray[np.int64],
    strengths: NDArray[np.float64],
    class_shares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how probably the class that an inspection names is that of the piece.

    Args:
        model: what its scores are worth.
        scores: (N, K) float32.
        label_ids: (N,) int64, the classes named.
        strengths: (N,) float64 in 0..1, that the verdict is about this piece and right.
        class_shares: (K,) float64 >= 0, how often the inspection names each class: what a verdict about another piece
            would say.

    Returns:
        (N,) float64 in 0..1; low where the model is sure of another class and the verdict's class is so common that a
        neighbour may well have it.
    """
    shares = class_shares / class_shares.sum()
    weights = shares * model.likelihoods(scores)  # (N, K)
    by_chance = (1 - strengths)[:, None] * shares[label_ids][:, None] * weights  # (N, K)
    rows = np.arange(len(scores))
    told = by_chance
    told[rows, label_ids] += strengths * weights[rows, label_ids]
    return _share_of(told, label_ids)


def _share_of(weights: NDArray[np.float64], label_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, (N,), the share that each row's class has of the row; 0 where nothing has any."""
    totals = weights.sum(axis=1)
    own = weights[np.arange(len(weights)), label_ids]
    return np.asarray(np.divide(own, totals, out=np.zeros(len(weights)), where=totals > 0), np.float64)
