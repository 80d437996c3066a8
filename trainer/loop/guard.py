"""The guard against wrong labels, round by round: what was said of each sample so far, and who is held back for it.

Pure: it trains no network and reads no file. Told the same survey and rounds again, it says the same.

>>> guard = Guard(np.array([0, 1]), np.array([True, True]), QuarantineSettings(), class_count=2)
>>> guard.verdict().held_back.rows.tolist()
[]
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.quarantine import Evidence, QuarantineSettings, Verdicts, find_suspects
from trainer.pool.ledger import HeldBack
from trainer.pool.review_list import ReviewItem
from trainer.pool.sample_table import SampleTable

__all__ = ["Guard", "GuardVerdict", "review_items"]

_SURE: Final = 0.5  # mean score from which the models agree on one class


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What a round may not use.

    Attributes:
        held_back: rows of the pool that leave the training set and are not drawn.
        may_be_drawn: (N,) bool, rows whose labels are not in doubt.
        verdicts: of all rows, those set aside for validation included.
        scores: (N, K) float64, the mean of what was said of each row.
    """

    held_back: HeldBack
    may_be_drawn: NDArray[np.bool_]
    verdicts: Verdicts
    scores: NDArray[np.float64]


class Guard:
    """Collects what rounds say and judges labels by it.

    Args:
        class_ids: (N,) int64 labels.
        pool: (N,) bool, rows that may be drawn.
        settings: who is held back.
        class_count: K.
    """

    def __init__(
        self, class_ids: NDArray[np.int64], pool: NDArray[np.bool_], settings: QuarantineSettings, *, class_count: int
    ) -> None:
        self._class_ids = class_ids
        self._pool = pool
        self._settings = settings
        self._evidence = Evidence(class_ids, class_count, settings.looks)

    def add_survey(self, scores: NDArray[np.float16]) -> None:
        """Take the scores (N, K) of the survey, see `trainer.loop.cross_fit.survey`."""
        self._evidence.add_survey(scores)

    def add_round(
        self, scores: NDArray[np.float16], training: NDArray[np.bool_], *, is_out_of_fold: bool = False
    ) -> None:
        """Take what a round's models said of each row, see `Evidence.add_round`."""
        self._evidence.add_round(scores, training, is_out_of_fold=is_out_of_fold)

    def verdict(self) -> GuardVerdict:
        """Return who is held back by all that was said so far.

        Note:
            A row comes back by itself once later models agree with its label: every verdict is made anew.
        """
        scores, is_seen = self._evidence.mean_scores()
        verdicts = find_suspects(self._class_ids, scores, self._pool & is_seen, self._settings)
        rows = np.flatnonzero(verdicts.is_doubtful & self._pool)
        held_back = HeldBack(rows, verdicts.suggested_ids[rows], verdicts.wrong[rows])
        return GuardVerdict(held_back, ~verdicts.is_doubtful, verdicts, scores)


def review_items(table: SampleTable, verdict: GuardVerdict) -> list[ReviewItem]:
    """Return what a person should look at: all suspects, those set aside for validation included; by row."""
    found = verdict.verdicts
    return [
        ReviewItem(
            sample=table.ids[row],
            label=table.classes[table.class_ids[row]],
            suggested=table.classes[found.suggested_ids[row]],
            reason="seen_as_other" if verdict.scores[row].max() >= _SURE else "fits_no_class",
            confidence=float(found.wrong[row]),
            source=table.sources[row],
        )
        for row in np.flatnonzero(found.is_suspect).tolist()
    ]
