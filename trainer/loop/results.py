"""What a run came to, on disk and in reports, and where it lies."""

from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.schemas import Int8Card
from edge_runtime.storage import read_bytes
from trainer.errors import ResumeError
from trainer.loop.rounds import StopReason
from trainer.metrics import Scores
from trainer.pool.round_record import RoundRecord

__all__ = ["MODEL_FOLDER", "RESULT_FILE", "REVIEW_FILE", "RunResult", "RunTiming", "ShippedFigures", "load_result"]

MODEL_FOLDER: Final = "model"
RESULT_FILE: Final = "result.json"
REVIEW_FILE: Final = "quarantine.csv"


class ShippedFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shipped model's figures over some samples, with one standard error of macro_f1."""

    samples: int
    accuracy: float
    macro_f1: float
    macro_f1_error: float
    worst_class_recall: float
    per_class_recall: dict[str, float]
    confusion: list[list[int]]

    @staticmethod
    def of(figures: Scores, classes: tuple[str, ...]) -> "ShippedFigures":
        """Return figures for a report; classes without samples are left out of `per_class_recall`."""
        recalls = {name: float(figures.recalls[k]) for k, name in enumerate(classes) if figures.counts[k]}
        return ShippedFigures(
            figures.samples,
            figures.accuracy,
            figures.macro_f1,
            figures.macro_f1_error,
            figures.worst_class_recall,
            recalls,
            figures.confusion.tolist(),
        )


class RunResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run came to; equal for equal run keys.

    Attributes:
        run_key: what decided every byte.
        classes: of the model, in the order of its scores.
        rounds: every round's record.
        best_round: number of the round whose training set shipped.
        stop_reason: why the loop ended.
        pool_samples: of the training split; training_samples: in the training set that shipped.
        fit: "final" for the longer fit, "round" where it made validation worse.
        validated_on: "split", or "folds" where a class has too few validation samples.
        temperature, calibration_error: of the scores, the error after calibration on the same samples.
        parity: largest difference of a score between torch and onnxruntime; all decisions are equal.
        parity_crops: over how many real crops.
        validation: figures of the shipped model.
        test: on the held-out test samples of the pool, looked at once; None where there are none.
        noise_share: estimated share of wrong labels, 0..1; null where nobody looked. held_back: samples in quarantine
            after the last round, in no training set that ships; quarantine.csv lists what a person should look at.
        model_id: of the shipped model.
        int8: the quantised model, or why there is none; null where none was asked for.
        test_int8: its figures on the same test samples.
    """

    run_key: str
    classes: tuple[str, ...]
    rounds: list[RoundRecord]
    best_round: int
    stop_reason: StopReason
    pool_samples: int
    training_samples: int
    fit: Literal["final", "round"]
    validated_on: Literal["split", "folds"]
    temperature: float
    calibration_error: float
    parity: float
    parity_crops: int
    validation: ShippedFigures
    test: ShippedFigures | None
    model_id: str
    noise_share: float | None = None
    held_back: int = 0
    int8: Int8Card | None = None
    test_int8: ShippedFigures | None = None
    schema_version: Literal[1] = 1


class RunTiming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wall times of a run, apart from everything that is compared: seconds in all and of each round."""

    seconds: float
    rounds: list[float]


def load_result(folder: Path) -> RunResult:
    """Return the result of a finished run.

    Raises:
        ResumeError: the folder holds no finished run, or its result is damaged.
    """
    try:
        return msgspec.json.decode(read_bytes(folder / RESULT_FILE), type=RunResult)
    except (StorageError, msgspec.DecodeError) as error:
        raise ResumeError(f"{folder} holds no finished run: {error}") from error
