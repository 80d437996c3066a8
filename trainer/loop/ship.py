"""The last steps of a run: one longer fit, calibration, parity on real crops, the model folder, the test set once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from edge_runtime.schemas import Lineage
from trainer.export.calibrate import at_temperature, expected_calibration_error, temperature_of
from trainer.export.mend import Int8Export, Int8Inputs, export_int8
from trainer.export.onnx_export import ShippedNetwork, check_parity, folded_scores, ship_network
from trainer.judge.judge import Judge, Judged
from trainer.loop.loop import LoopResult
from trainer.loop.run_key import RunInputs
from trainer.metrics import Scores, score_classes
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings
from trainer.train.fit import FitSettings

__all__ = ["Calibrated", "calibrate", "final_fit", "lineage_of", "quantise", "test_once"]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A model ready to ship.

    Attributes:
        network: with calibrated scores, in torch; model: its ONNX bytes.
        temperature: folded in.
        calibration_error: on the validation samples, after calibration.
        parity: largest difference of a score between torch and onnxruntime over `parity_crops` real crops.
        parity_crops: how many.
    """

    network: ShippedNetwork
    model: bytes
    temperature: float
    calibration_error: float
    parity: float
    parity_crops: int


def final_fit(judge: Judge, found: LoopResult, fit: FitSettings) -> tuple[Judged, Literal["final", "round"]]:
    """Fit the best round's training set once more and longer; keep it unless validation falls.

    Args:
        judge: of the run.
        found: the rounds.
        fit: steps of a round and of the longer fit, and how many of its folds are judged.

    Returns:
        The fit that ships and which it is: "round" repeats the round's own fit, when the longer one's macro-F1 is lower
        by more than one standard error.

    Raises:
        TrainingError: the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load the exported model.
    """
    final = judge.judge(found.training, fit.final_steps, blind_folds=fit.final_folds)
    if final.validation.macro_f1 >= found.best.macro_f1 - found.best.macro_f1_error:
        return final, "final"
    return judge.judge(found.training, fit.steps), "round"


def calibrate(judge: Judge, judged: Judged, table: SampleTable, crop: CropSpec) -> Calibrated:
    """Fold the temperature into the model and prove that torch and onnxruntime decide alike.

    Args:
        judge: of the run.
        judged: the fit that ships.
        table: the run's samples.
        crop: their shape.

    Raises:
        ExportRefusedError: one decision of all differs.
        ModelFolderError: onnxruntime cannot load the model.
    """
    rows = judged.rows
    true_ids = table.class_ids[rows]
    temperature = temperature_of(judged.validation_scores, true_ids)
    folded = ship_network(judged.networks[0], temperature, len(table.classes))
    model = judge.template.fill(folded)
    crops = table.pixels[rows]
    scores = Classifier(model, crop, len(table.classes)).scores(crops)
    parity = check_parity(folded_scores(folded, crops), scores)
    # Out of fold the shipped model has learnt from these rows; only the scores it was not trained for tell the error.
    told = at_temperature(judged.validation_scores, temperature)
    return Calibrated(folded, model, temperature, expected_calibration_error(told, true_ids), parity, len(crops))


def quantise(
    judge: Judge, ready: Calibrated, table: SampleTable, training: NDArray[np.bool_], settings: RunSettings
) -> Int8Export | None:
    """Return the INT8 model of a calibrated one, or why there is none; None where none was asked for.

    Args:
        judge: of the run.
        ready: the model that ships.
        table: the run's samples.
        training: (N,) bool, what it was trained on.
        settings: of the run.

    Raises:
        ModelFolderError: onnxruntime cannot load an INT8 model.
        TrainingError: fine-tuning failed.
    """
    if settings.int8.mode == "off":
        return None
    inputs = Int8Inputs(
        model=ready.model,
        network=ready.network,
        template=judge.template,
        crop=judge.crop,
        table=table,
        training=np.flatnonzero(training),
        judged=judge.judged_rows,
    )
    return export_int8(inputs, settings.int8, seed=settings.seed)


def test_once(model: bytes, test: SampleTable, crop: CropSpec) -> Scores | None:
    """Return the figures of a model on held-out test samples, None where there are none.

    Raises:
        ModelFolderError: onnxruntime cannot load the model.
    """
    if len(test) == 0:
        return None
    scores = Classifier(model, crop, len(test.classes)).scores(test.pixels)
    return score_classes(test.class_ids, scores.argmax(axis=1).astype(np.int64), len(test.classes))


def lineage_of(inputs: RunInputs, key: str, found: LoopResult) -> Lineage:
    """Return where a model comes from, for its card."""
    return Lineage(
        pool_digest=inputs.pool_digest,
        run_key=key,
        rounds=len(found.rounds),
        best_round=found.best.number,
        training_samples=int(found.training.sum()),
        pool_samples=found.best.pool_samples,
        seed=inputs.settings.seed,
        m=found.sizes.m,
        a=found.sizes.a,
        b=found.sizes.b,
        versions=inputs.versions,
    )
