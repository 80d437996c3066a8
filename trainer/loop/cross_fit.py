"""The survey: before the first round, every sample is scored by a model that never saw it nor its group.

Two fits, each on one half of the pool, test the other half. A short fit on thousands of samples cannot learn single
wrong labels by heart, so it says what most labels say. The small training sets of the first rounds can, and their
models are poor witnesses.

>>> halves = np.array([0, 1, 0, 1])
>>> [part.training.tolist() for part in blind_parts(halves, np.array([True, True, True, False]))]
[[False, True, False, False], [True, False, True, False]]
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.judge.blind_part import BlindPart
from trainer.judge.validation import assign_folds
from trainer.pool.sample_table import SampleTable

__all__ = ["BlindTester", "blind_parts", "survey"]

_HALVES: Final = 2


class BlindTester(Protocol):
    """Trains and tests; the judge of a run does."""

    def score_blind(self, parts: Sequence[BlindPart], steps: int) -> list[NDArray[np.float32]]:
        """Return scores (N, K) of each part: of the tested rows by a model that saw the training rows alone."""
        ...


def survey(table: SampleTable, pool: NDArray[np.bool_], tester: BlindTester, steps: int) -> NDArray[np.float16]:
    """Return the scores of every sample by a model that never saw its group.

    Args:
        table: N samples of K classes.
        pool: (N,) bool, rows that may train; the others are only tested, by both models.
        tester: trains and tests.
        steps: optimiser steps of each fit.

    Returns:
        (N, K) float16; all 0 where no model can tell: a half had nothing to train on, or no sample of the row's class.

    Raises:
        TrainingError: the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load an exported model.
    """
    parts = blind_parts(assign_folds(table.groups, table.class_ids, _HALVES), pool)
    sums = np.zeros((len(table), len(table.classes)))
    counts = np.zeros(len(table), np.int64)
    for part, scores in zip(parts, tester.score_blind(parts, steps), strict=True):
        counts_here = part.tested & np.isin(table.class_ids, table.class_ids[part.training])
        sums[counts_here] += scores[counts_here]
        counts += counts_here
    return (sums / np.maximum(counts, 1)[:, None]).astype(np.float16)


def blind_parts(halves: NDArray[np.int64], pool: NDArray[np.bool_]) -> list[BlindPart]:
    """Return the fits of a survey: a model of one half of the pool tests the other half and the rows outside the pool.

    Args:
        halves: (N,) int64, 0 or 1.
        pool: (N,) bool, rows that may train.
    """
    parts = [BlindPart(pool & (halves != half), (halves == half) | ~pool) for half in range(_HALVES)]
    return [part for part in parts if part.training.any()]
