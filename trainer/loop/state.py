"""Where a run stands between two rounds: what is in the training set, what is still wrong, what each round said.

Pure: it trains nothing, draws nothing and reads no file. Told the same rounds again, it stands where it stood.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.judge.validation import Validation
from trainer.pool.ledger import RoundFindings
from trainer.pool.round_record import RoundRecord
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings

__all__ = ["LoopState", "error_lengths", "is_right"]


class LoopState:
    """The rounds so far.

    Args:
        table: train and validation samples.
        validation: which rows may be drawn.
        settings: of the run: what counts as right, and whether what is right once stays away for good.

    Attributes:
        training: (N,) bool, the training set.
        drawn: (D,) int64, rows that the last round drew.
        start_set: (N,) bool, training set before the first round; training_sets: after each round.
        residual: (N,) bool, what may be drawn next: in the pool, outside the training set, still wrong.
        held_back: (N,) bool, quarantined: neither trained on nor drawn until a person decides.
        records: of every finished round.
        scores: (N, K) float16 by the last round's models, None before the first.
        right: (N,) bool of each round; errors: (N,) float32 of each round, see `error_lengths`.
    """

    def __init__(self, table: SampleTable, validation: Validation, settings: RunSettings) -> None:
        self.table = table
        self.pool = validation.pool
        self.is_out_of_fold = validation.folds is not None
        self.training = np.zeros(len(table), np.bool_)
        self.residual = self.pool.copy()
        self.held_back = np.zeros(len(table), np.bool_)
        self.drawn = np.zeros(0, np.int64)
        self.start_set = np.zeros(len(table), np.bool_)
        self.training_sets: list[NDArray[np.bool_]] = []
        self.records: list[RoundRecord] = []
        self.scores: NDArray[np.float16] | None = None
        self.right: list[NDArray[np.bool_]] = []
        self.errors: list[NDArray[np.float32]] = []
        self._settings = settings
        self._dropped = np.zeros(len(table), np.bool_)

    def start_from(self, training: NDArray[np.bool_], predicted_ids: NDArray[np.int64]) -> None:
        """Continue a run: its training set, and what its model gets wrong outside it."""
        self.training = training & self.pool
        self.start_set = self.training.copy()
        self.residual = self.pool & ~self.training & (predicted_ids != self.table.class_ids)

    def apply(self, found: RoundFindings) -> None:
        """Take over what a round found: what its models get right outside the training set leaves the residual."""
        right = is_right(found.predicted_ids, found.scores, self.table.class_ids, self._settings.right_margin)
        self.held_back = np.zeros(len(self.table), np.bool_)
        self.held_back[found.held_back.rows] = True
        self.drawn = found.drawn
        self.training[found.drawn] = True
        self.training &= ~self.held_back
        outside = self.pool & ~self.training & ~self.held_back
        if self._settings.drop == "permanent":
            self._dropped |= outside & right
        self.residual = outside & ~right & ~self._dropped
        self.right.append(right)
        self.errors.append(error_lengths(found.scores, self.table.class_ids))
        self.scores = found.scores
        self.training_sets.append(self.training.copy())


def is_right(
    predicted_ids: NDArray[np.int16], scores: NDArray[np.float16], class_ids: NDArray[np.int64], margin: float
) -> NDArray[np.bool_]:
    """Return, (N,) bool, whether each sample was judged right, by more than a margin where one is set.

    Args:
        predicted_ids: (N,) class by the exported model.
        scores: (N, K) of all classes.
        class_ids: (N,) the truth.
        margin: the true class must lead all others by more than this; 0 asks only that it was predicted.
    """
    hit = np.asarray(predicted_ids == class_ids, np.bool_)
    if margin == 0.0:
        return hit
    rows = np.arange(len(class_ids))
    others = scores.astype(np.float32)
    own = others[rows, class_ids].copy()
    others[rows, class_ids] = -1.0
    return np.asarray(hit & (own - others.max(axis=1) > margin), np.bool_)


def error_lengths(scores: NDArray[np.float16], class_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return, (N,) float32 in 0..sqrt(2), how far each sample's scores (N, K) are from its one-hot truth.

    Source:
        Paul et al. 2021, Deep Learning on a Data Diet, section 2: EL2N.
    """
    apart = scores.astype(np.float32)
    apart[np.arange(len(class_ids)), class_ids] -= 1.0
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("nk,nk->n", apart, apart))
    return lengths
