"""Who watches the labels of a run: nobody, or the guard, with its survey kept on disk.

The survey is made once; a run that goes on reads it again and tells the guard its finished rounds, so that the same
samples are held back as if nothing had happened.
"""

import io
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.storage import read_bytes, write_atomic
from trainer.judge.judge import Judge
from trainer.loop.cross_fit import survey
from trainer.loop.guard import Guard, review_items
from trainer.loop.state import LoopState
from trainer.pool.ledger import HeldBack, Ledger
from trainer.pool.review_list import ReviewItem
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings

__all__ = ["LabelWatch", "watch_labels"]

_SURVEY_FILE: Final = "survey.npz"


class LabelWatch:
    """Holds back samples whose labels the models contradict.

    Args:
        guard: who judges labels; None where nobody does.
        trusted: (N,) bool, rows whose labels nobody doubts.
        is_out_of_fold: the rounds' scores come from models that have not learnt from the sample.

    Attributes:
        may_be_drawn: (N,) bool, rows whose labels are not in doubt.
        noise_share: estimated share of wrong labels, 0..1; None where nobody looks.
    """

    def __init__(self, guard: Guard | None, trusted: NDArray[np.bool_], *, is_out_of_fold: bool) -> None:
        self._guard = guard
        self._trusted = trusted
        self._is_out_of_fold = is_out_of_fold
        self.may_be_drawn = np.ones(len(trusted), np.bool_)
        self.noise_share: float | None = None
        self._judge()

    def hear(self, scores: NDArray[np.float16], training: NDArray[np.bool_]) -> HeldBack:
        """Take the scores (N, K) of a round that had learnt `training`, (N,) bool; return who is held back."""
        if self._guard is not None:
            self._guard.add_round(scores, training, is_out_of_fold=self._is_out_of_fold)
        return self._judge()

    def review(self, table: SampleTable) -> list[ReviewItem]:
        """Return what a person should look at."""
        return [] if self._guard is None else review_items(table, self._guard.verdict())

    def _judge(self) -> HeldBack:
        if self._guard is None:
            return HeldBack.nothing()
        verdict = self._guard.verdict()
        self.may_be_drawn = verdict.may_be_drawn | self._trusted
        self.may_be_drawn[verdict.held_back.rows] = False
        self.noise_share = verdict.verdicts.noise_share
        return verdict.held_back


def watch_labels(judge: Judge, state: LoopState, ledger: Ledger, folder: Path, settings: RunSettings) -> LabelWatch:
    """Return who watches a run's labels, told everything that was said so far.

    Args:
        judge: makes the survey, if it was not made yet.
        state: where the run stands.
        ledger: its finished rounds.
        folder: of the run; the survey is kept there.
        settings: of the run.

    Raises:
        TrainingError: the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load an exported model.
        StorageError: the survey cannot be written.
    """
    table, asked = state.table, settings.quarantine
    # What a machine got wrong contradicts its model by definition, and its truth was confirmed.
    trusted = np.array([origin == "residual" for origin in table.origins], np.bool_)
    if asked.mode == "off" or len(table.classes) < 2:
        return LabelWatch(None, trusted, is_out_of_fold=state.is_out_of_fold)
    guard = Guard(table.class_ids, state.pool & ~trusted, asked, class_count=len(table.classes))
    if asked.survey_steps and not state.is_out_of_fold:  # out of fold every round is a survey
        guard.add_survey(_survey(judge, state, folder / _SURVEY_FILE, asked.survey_steps))
    trained = state.start_set.copy()
    for result, after in zip(ledger.rounds(), state.training_sets, strict=True):
        trained[result.findings.drawn] = True
        guard.add_round(result.findings.scores, trained, is_out_of_fold=state.is_out_of_fold)
        trained = after.copy()
    return LabelWatch(guard, trusted, is_out_of_fold=state.is_out_of_fold)


def _survey(judge: Judge, state: LoopState, path: Path, steps: int) -> NDArray[np.float16]:
    """Return the survey's scores (N, K), made now or read again; a damaged file is made anew."""
    if path.is_file():
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
                return np.asarray(arrays["scores"], np.float16)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
            pass
    scores = survey(state.table, state.pool, judge, steps)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, scores=scores)
    write_atomic(path, buffer.getvalue())
    return scores
