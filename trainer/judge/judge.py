"""Train, export and test one training set: a round's work, by the file that would ship and the machine's own code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.export.onnx_export import OnnxTemplate, check_parity, folded_scores, ship_network
from trainer.judge.blind_part import BlindPart
from trainer.judge.validation import FOLDS, Validation
from trainer.metrics import Scores, score_classes
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings
from trainer.train.fit import FitHooks, TrainingSet, fit_network
from trainer.train.fits import map_fits
from trainer.train.network_choice import build_network
from trainer.train.restart import copy_weights, shrink_and_stir

__all__ = ["Judge", "Judged"]

_PARITY_CROPS = 256
_CROPS_AT_ONCE = 8192  # a copy of all crops of a large pool would not fit into memory


@dataclass(frozen=True, slots=True)
class Judged:
    """A trained model and what it does.

    Attributes:
        networks: as trained, before folding: the one that ships, then those blind to each fold.
        model: ONNX bytes, not yet calibrated.
        scores: (N, K) float32 for every row of the table, by the exported model.
        rows: (M,) int64 rows judged on, ascending.
        validation_scores: (M, K) float32 for these rows; out of fold where there are folds.
        validation: figures over those rows.
        blind_scores: (N, K) float32: out of fold where there are folds, else as `scores`.
        steps: optimiser steps of all fits together; visits: samples that they looked at.
    """

    networks: tuple[nn.Module, ...]
    model: bytes
    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    validation_scores: NDArray[np.float32]
    validation: Scores
    blind_scores: NDArray[np.float32]
    steps: int
    visits: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One fit of a round: rows to train on and rows to test, (N,) bool each."""

    training: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    begin: Callable[[nn.Module], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A trained network, its ONNX bytes, and its scores (N, K) float32, 0 where it was not asked."""

    network: nn.Module
    model: bytes
    scores: NDArray[np.float32]


class Judge:
    """Fixed for a run: the table, how it is validated, the settings and the exported graph.

    Args:
        table: train and validation samples.
        validation: see `plan_validation`.
        settings: of the run.
        crop: shape of the table's crops.
        on_step: called with (steps done, steps in all) while a training set is judged; out of fold from the threads of
            the fits, never by two at once.
    """

    def __init__(
        self,
        table: SampleTable,
        validation: Validation,
        settings: RunSettings,
        crop: CropSpec,
        on_step: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._table = table
        self._validation = validation
        self._settings = settings
        self.crop = crop
        self._on_step = on_step
        self.template = OnnxTemplate(settings.fit.network, crop, len(table.classes))

    @property
    def judged_rows(self) -> NDArray[np.int64]:
        """(M,) row numbers that validation figures are about, ascending."""
        return np.flatnonzero(self._validation.judged)

    def judge(
        self,
        training: NDArray[np.bool_],
        steps: int,
        *,
        previous: tuple[nn.Module, ...] = (),
        blind_folds: int = FOLDS,
    ) -> Judged:
        """Train on some rows, export, and test every row with the exported model.

        Args:
            training: (N,) bool, rows of the training set.
            steps: optimiser steps of each fit.
            previous: networks of the last round to go on from; none to begin afresh.
            blind_folds: where samples are judged out of fold, how many of the five folds are judged.

        Raises:
            TrainingError: the training set is empty, or the loss is no longer a number.
            ExportRefusedError: torch and onnxruntime decide differently on a real crop.
            ModelFolderError: onnxruntime cannot load the exported model.
        """
        everything, *blind = self._parts(training, previous, blind_folds)
        fits = 1 + len(blind)

        def fit(part: _Part, on_step: Callable[[int], None]) -> _Fitted:
            return self._fit_and_test(part, steps, on_step)

        def on_step(done: int) -> None:
            self._on_step(done, fits * steps)

        fitted, *told = map_fits(fit, (everything, *blind), self._settings.fit.threads, on_step)
        scores = fitted.scores if self._validation.folds is None else self._out_of_fold(blind, told)
        rows = self.judged_rows
        if self._validation.folds is not None:
            rows = rows[self._validation.folds[rows] < blind_folds]
        return Judged(
            networks=(fitted.network, *(one.network for one in told)),
            model=fitted.model,
            scores=fitted.scores,
            rows=rows,
            validation_scores=scores[rows],
            validation=self._score(scores[rows], rows),
            blind_scores=scores,
            steps=fits * steps,
            visits=fits * steps * self._settings.fit.batch,
        )

    def score_blind(self, parts: Sequence[BlindPart], steps: int) -> list[NDArray[np.float32]]:
        """Return scores (N, K) of each part: of the tested rows by a model that saw the training rows alone.

        Raises:
            TrainingError: a part has nothing to train on, or the loss is no longer a number.
            ExportRefusedError: torch and onnxruntime decide differently on a real crop.
            ModelFolderError: onnxruntime cannot load an exported model.
        """

        def fit(part: _Part, on_step: Callable[[int], None]) -> _Fitted:
            return self._fit_and_test(part, steps, on_step)

        def on_step(done: int) -> None:
            self._on_step(done, len(parts) * steps)

        asked = [_Part(part.training, part.tested) for part in parts]
        return [one.scores for one in map_fits(fit, asked, self._settings.fit.threads, on_step)] if asked else []

    def fresh_networks(self) -> tuple[nn.Module, ...]:
        """Return as many fresh networks as a round has fits.

        Raises:
            SettingsError: there is no such network.
        """
        fit, table = self._settings.fit, self._table
        fits = len(self._parts(self._validation.pool, (), FOLDS))
        channels, count = table.pixels.shape[3], len(table.classes)
        return tuple(build_network(fit.network, channels, count, seed=self._settings.seed) for _ in range(fits))

    def _parts(self, training: NDArray[np.bool_], previous: tuple[nn.Module, ...], blind_folds: int) -> list[_Part]:
        """Return the fits of a round: on all of the training set; where there are folds, one blind to each."""
        parts = [_Part(training, np.ones(len(self._table), np.bool_))]
        folds = self._validation.folds
        if folds is not None:
            insides = [folds == fold for fold in range(blind_folds)]
            parts += [_Part(training & ~x, x) for x in insides if x.any() and (training & ~x).any()]
        if len(previous) != len(parts):  # none yet, or a fold has its first training sample
            return parts
        begin = copy_weights if self._settings.restart == "warm" else shrink_and_stir
        return [replace(part, begin=partial(begin, network)) for part, network in zip(parts, previous, strict=True)]

    def _out_of_fold(self, blind: list[_Part], told: list[_Fitted]) -> NDArray[np.float32]:
        """Return the scores (N, K) of every row by a model that was trained without the row's fold."""
        count = len(self._table.classes)
        scores = np.full((len(self._table), count), 1 / count, np.float32)  # stays so where nothing is left to train on
        for part, fitted in zip(blind, told, strict=True):
            scores[part.tested] = fitted.scores[part.tested]
        return scores

    def _score(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> Scores:
        true_ids = self._table.class_ids[rows]
        return score_classes(true_ids, scores.argmax(axis=1).astype(np.int64), len(self._table.classes))

    def _fit_and_test(self, part: _Part, steps: int, on_step: Callable[[int], None]) -> _Fitted:
        table, settings = self._table, self._settings
        data = TrainingSet(table.pixels[part.training], table.class_ids[part.training], len(table.classes))
        network = fit_network(data, settings.fit, steps=steps, seed=settings.seed, hooks=FitHooks(part.begin, on_step))
        folded = ship_network(network, 1.0, len(table.classes))
        model = self.template.fill(folded)
        scores = np.zeros((len(table), len(table.classes)), np.float32)
        classifier = Classifier(model, self.crop, len(table.classes))
        tested = np.flatnonzero(part.tested)
        for some in np.split(tested, range(_CROPS_AT_ONCE, len(tested), _CROPS_AT_ONCE)):
            scores[some] = classifier.scores(table.pixels[some])
        sample = np.flatnonzero(part.tested)[:_PARITY_CROPS]
        check_parity(folded_scores(folded, table.pixels[sample]), scores[sample])
        return _Fitted(network, model, scores)
