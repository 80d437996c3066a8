"""What a selector may look at: the candidates of one class, and nothing of files, other classes or networks.

>>> lonely = ClassCandidates.of_norms(np.array([7]), np.array([0], np.uint64))
>>> len(lonely)
1
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassCandidates"]


@dataclass(frozen=True, slots=True)
class ClassCandidates:
    """The samples of one class that may be drawn in a round; rows in the order of their content hashes.

    Attributes:
        class_id: position of the class; column of `scores`.
        norms_q16: (N,) int64 in 0..65536.
        keys: (N,) uint64, the first 8 bytes of the content hash: ties and everything random come from it.
        scores: (N, K) float32 probabilities by the last round's model, which never saw these samples; None in the
            first round.
        features: (N, F) float32 of the last round's network before its head; None in the first round.
        drawn_features: (T, F) float32 of this class's samples in the training set, by the same network; None as above.
        right: (R, N) bool, whether each earlier round's model was right about each sample; R = 0 in the first round.
        errors: (R, N) float32, length of the error vector (scores less one-hot truth) in each earlier round.
    """

    class_id: int
    norms_q16: NDArray[np.int64]
    keys: NDArray[np.uint64]
    scores: NDArray[np.float32] | None
    features: NDArray[np.float32] | None
    drawn_features: NDArray[np.float32] | None
    right: NDArray[np.bool_]
    errors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.norms_q16)

    @staticmethod
    def of_norms(norms_q16: NDArray[np.int64], keys: NDArray[np.uint64], class_id: int = 0) -> "ClassCandidates":
        """Return candidates of a first round: norms (N,) int64 and keys (N,) uint64 are all that is known."""
        count = len(norms_q16)
        return ClassCandidates(
            class_id, norms_q16, keys, None, None, None, np.zeros((0, count), np.bool_), np.zeros((0, count), np.float32)
        )
