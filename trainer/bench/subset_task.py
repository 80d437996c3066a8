"""What a subset method is told, and how a budget is spread over classes. Pure.

>>> equal_quotas(np.array([1, 2, 50]), 9).tolist()
[1, 2, 6]
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SubsetTask", "equal_quotas", "pick"]


@dataclass(frozen=True, slots=True)
class SubsetTask:
    """What a method is told.

    Attributes:
        class_ids: (N,) int64 labels, in order of sample ids.
        class_count: K.
        budget: how many samples it may choose.
        seed: of everything random.
        features: (N, F) float32, F = 0 where the method asked for none.
        scores: (N, K) float32 probabilities, likewise.
    """

    class_ids: NDArray[np.int64]
    class_count: int
    budget: int
    seed: int
    features: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K,) samples of each class."""
        return np.bincount(self.class_ids, minlength=self.class_count).astype(np.int64)


def equal_quotas(counts: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Return (K,) how many of each class, as equal as their counts allow, together at most `budget`.

    Args:
        counts: (K,) samples of each class.
        budget: in all; what is left over by division goes to the classes of lower number.
    """
    quotas = np.zeros_like(counts)
    left = min(budget, int(counts.sum()))
    while left > 0:
        open_classes = np.flatnonzero(quotas < counts)
        share, rest = divmod(left, len(open_classes))
        wanted = np.full(len(open_classes), share, np.int64) + (np.arange(len(open_classes)) < rest)
        given = np.minimum(wanted, (counts - quotas)[open_classes])
        quotas[open_classes] += given
        left -= int(given.sum())
    return quotas


def pick(task: SubsetTask, quotas: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return row numbers, `quotas` of each class at random."""
    order = rng.permutation(len(task.class_ids))
    return np.concatenate([order[task.class_ids[order] == k][: quotas[k]] for k in range(task.class_count)])
