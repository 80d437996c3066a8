"""What a selector may look at: the candidates of one class, and nothing of files, other classes or networks.

>>> len(ClassCandidates.of_norms(np.array([7, 9]), np.array([0, 1], np.uint64)))
2
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassCandidates"]


@dataclass(frozen=True, slots=True)
class ClassCandidates:
    """The samples of one class that may be drawn in a round; rows in the order of their content hashes.

    Attributes:
        class_name: for messages.
        class_id: its column in `scores`.
        norms_q16: (N,) int64 in 0..65536.
        mean: (sum, count) of the norms that make the mean: of the candidates, or of the class in the whole pool.
        lasting: (N,) uint64 random number of each sample, the same in all rounds.
        passing: (N,) uint64 random number of each sample, another one each round.
        scores: (N, K) float32 by the last round's models, which never saw these samples; None in the first round.
        features: (N, F) float32 of the last round's network before its head; None in the first round.
        drawn_features: (T, F) float32 of this class's samples in the training set, by the same network; None as above.
        right: (R, N) bool, whether each earlier round's model was right; R = 0 in the first round.
        errors: (R, N) float32, length of the error vector (scores less one-hot truth) in each earlier round.
    """

    class_name: str
    class_id: int
    norms_q16: NDArray[np.int64]
    mean: tuple[int, int]
    lasting: NDArray[np.uint64]
    passing: NDArray[np.uint64]
    scores: NDArray[np.float32] | None
    features: NDArray[np.float32] | None
    drawn_features: NDArray[np.float32] | None
    right: NDArray[np.bool_]
    errors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.norms_q16)

    @staticmethod
    def of_norms(norms_q16: NDArray[np.int64], chance: NDArray[np.uint64]) -> "ClassCandidates":
        """Return candidates of a first round: all that is known is norms (N,) int64, random numbers (N,) uint64."""
        count, mean = len(norms_q16), (int(norms_q16.sum()), len(norms_q16))
        nothing = (np.zeros((0, count), np.bool_), np.zeros((0, count), np.float32))
        return ClassCandidates("", 0, norms_q16, mean, chance, chance, None, None, None, *nothing)

    def take(self, rows: NDArray[np.int64]) -> "ClassCandidates":
        """Return some of the candidates, (M,) ascending positions, with the mean of their own norms."""
        norms = self.norms_q16[rows]
        return ClassCandidates(
            class_name=self.class_name,
            class_id=self.class_id,
            norms_q16=norms,
            mean=(int(norms.sum()), len(norms)),
            lasting=self.lasting[rows],
            passing=self.passing[rows],
            scores=None if self.scores is None else self.scores[rows],
            features=None if self.features is None else self.features[rows],
            drawn_features=self.drawn_features,
            right=self.right[:, rows],
            errors=self.errors[:, rows],
        )
