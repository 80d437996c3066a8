"""A round's work: every row tested by the exported file, validation honest, folds blind to what they judge."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.errors import TrainingError
from trainer.judge.judge import Judge
from trainer.judge.validation import FOLDS, Validation, plan_validation
from trainer.loop.ship import calibrate
from trainer.metrics import score_classes
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings
from trainer.train.fit import FitSettings

CROP = CropSpec(side_px=16)
SETTINGS = RunSettings(fit=FitSettings(network="small", batch=8))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> SampleTable:
    path = tmp_path_factory.mktemp("judge") / "p.pool"
    make_synthetic_pool(path, SyntheticSamples(counts={"train": 24, "validation": 20}))
    with Pool.open(path) as pool:
        return pool.load(("train", "validation"))


def out_of_fold(table: SampleTable) -> Validation:
    few = table.take(np.flatnonzero([split == "train" for split in table.splits]))
    return plan_validation(few)


def some(table: SampleTable, validation: Validation, count: int) -> NDArray[np.bool_]:
    training = np.zeros(len(table), np.bool_)
    training[np.flatnonzero(validation.pool)[:count]] = True
    return training


def test_on_the_split_the_validation_scores_are_the_exported_models(table: SampleTable) -> None:
    validation = plan_validation(table)
    judge = Judge(table, validation, SETTINGS, CROP)
    judged = judge.judge(some(table, validation, 30), 6)
    rows = judge.judged_rows
    assert np.array_equal(rows, np.flatnonzero(validation.judged))
    assert np.array_equal(judged.scores, Classifier(judged.model, CROP, 2).scores(table.pixels))
    assert np.array_equal(judged.validation_scores, judged.scores[rows])
    expected = score_classes(table.class_ids[rows], judged.validation_scores.argmax(axis=1), 2)
    assert judged.validation.confusion.tolist() == expected.confusion.tolist()


def test_out_of_fold_a_row_is_judged_by_a_model_that_never_saw_its_fold(table: SampleTable) -> None:
    """Swapping the label of a training row may change what others are told, never what it is told itself."""
    few = table.take(np.flatnonzero([split == "train" for split in table.splits]))
    validation = out_of_fold(table)
    assert validation.folds is not None
    training = np.ones(len(few), np.bool_)
    row = 7
    swapped_ids = few.class_ids.copy()
    swapped_ids[row] = 1 - swapped_ids[row]
    tables = (few, replace(few, class_ids=swapped_ids))
    told = [Judge(one, validation, SETTINGS, CROP).judge(training, 7) for one in tables]  # 7: every row is seen
    same_fold = validation.folds == validation.folds[row]
    assert np.array_equal(told[0].validation_scores[same_fold], told[1].validation_scores[same_fold])
    assert not np.array_equal(told[0].validation_scores[~same_fold], told[1].validation_scores[~same_fold])
    assert not np.array_equal(told[0].scores[same_fold], told[1].scores[same_fold])


def test_a_fold_without_training_samples_knows_nothing_instead_of_failing(table: SampleTable) -> None:
    """All drawn samples in one fold: its rows cannot be judged, the others can."""
    few = table.take(np.flatnonzero([split == "train" for split in table.splits]))
    validation = out_of_fold(table)
    assert validation.folds is not None
    inside = validation.folds == 0
    judged = Judge(few, validation, SETTINGS, CROP).judge(inside, 3)
    assert (judged.validation_scores[inside] == 0.5).all()
    assert not (judged.validation_scores[~inside] == 0.5).all()


def test_steps_of_all_fits_are_told_in_one_count(table: SampleTable) -> None:
    few = table.take(np.flatnonzero([split == "train" for split in table.splits]))
    told: list[tuple[int, int]] = []
    judge = Judge(few, out_of_fold(table), SETTINGS, CROP, on_step=lambda *step: told.append(step))
    judge.judge(np.ones(len(few), np.bool_), 3)
    assert told == [(done, 3 * (1 + FOLDS)) for done in range(1, 3 * (1 + FOLDS) + 1)]


def test_an_empty_training_set_is_refused(table: SampleTable) -> None:
    with pytest.raises(TrainingError, match="0 samples"):
        Judge(table, plan_validation(table), SETTINGS, CROP).judge(np.zeros(len(table), np.bool_), 3)


def test_calibration_ships_one_model_with_the_same_decisions(table: SampleTable) -> None:
    validation = plan_validation(table)
    judge = Judge(table, validation, SETTINGS, CROP)
    judged = judge.judge(some(table, validation, 40), 25)
    ready = calibrate(judge, judged, table, CROP)
    scores = Classifier(ready.model, CROP, 2).scores(table.pixels)
    assert np.array_equal(scores.argmax(axis=1), judged.scores.argmax(axis=1))
    assert ready.parity <= 1e-5
    assert ready.parity_crops == len(judge.judged_rows) == 40
    assert 0.0 <= ready.calibration_error <= 1.0
    true_ids = table.class_ids[judge.judged_rows]
    rows = np.arange(len(true_ids))

    def loss(told: NDArray[np.float32]) -> float:
        return float(-np.log(told[judge.judged_rows][rows, true_ids] + 1e-12).mean())

    assert loss(scores) <= loss(judged.scores) + 1e-6


def test_out_of_fold_the_calibration_error_is_not_that_of_learnt_rows(table: SampleTable) -> None:
    """The shipped model knows its rows by heart; the error is told by the scores of models that do not."""
    few = table.take(np.flatnonzero([split == "train" for split in table.splits]))
    judge = Judge(few, out_of_fold(table), SETTINGS, CROP)
    judged = judge.judge(np.ones(len(few), np.bool_), 3)
    wrong = 1 - np.eye(2, dtype=np.float32)[few.class_ids]
    assert calibrate(judge, replace(judged, validation_scores=wrong), few, CROP).calibration_error > 0.9
