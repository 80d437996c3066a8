"""What `sortloop-train run` prints with --json: the run and its wall times in one versioned record."""

from typing import Literal

import msgspec

from trainer.loop.results import RunResult, RunTiming

__all__ = ["RoundReport", "RunReport", "run_report"]


class RoundReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round: size of the training set, samples still wrong outside it, validation figures, wall seconds."""

    number: int
    training_samples: int
    residual: int
    macro_f1: float
    macro_f1_error: float
    worst_class_recall: float
    pool_accuracy: float
    seconds: float


class RunReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train run` came to.

    Attributes:
        model: folder of the model.
        rounds: every round.
        pool_samples: of the training split; training_samples: in the training set that shipped.
        stop_reason: residual_small, classes_small, no_gain, nothing_left, rounds_budget or samples_budget.
        best_round: whose training set shipped.
        macro_f1, worst_class_recall: of the shipped model on validation samples.
        validated_on: "split" or "folds".
        test_macro_f1, test_worst_class_recall: on the pool's held-out test samples, null where there are none.
        parity: largest difference of a score between torch and onnxruntime, over parity_crops real crops.
        seconds: wall time of the whole run.
        model_id: sha256 of model.onnx; run_key: of everything that decided it.
    """

    model: str
    rounds: list[RoundReport]
    pool_samples: int
    training_samples: int
    stop_reason: str
    best_round: int
    macro_f1: float
    worst_class_recall: float
    validated_on: str
    test_macro_f1: float | None
    test_worst_class_recall: float | None
    parity: float
    parity_crops: int
    seconds: float
    model_id: str
    run_key: str
    schema_version: Literal[1] = 1


def run_report(result: RunResult, timing: RunTiming, model: str) -> RunReport:
    """Join a run's result with its wall times."""
    seconds = [*timing.rounds, *([0.0] * len(result.rounds))]
    return RunReport(
        model=model,
        rounds=[
            RoundReport(
                record.number,
                record.training_samples,
                record.residual,
                record.macro_f1,
                record.macro_f1_error,
                record.worst_class_recall,
                record.pool_accuracy,
                seconds[at],
            )
            for at, record in enumerate(result.rounds)
        ],
        pool_samples=result.pool_samples,
        training_samples=result.training_samples,
        stop_reason=result.stop_reason,
        best_round=result.best_round,
        macro_f1=result.validation.macro_f1,
        worst_class_recall=result.validation.worst_class_recall,
        validated_on=result.validated_on,
        test_macro_f1=result.test.macro_f1 if result.test else None,
        test_worst_class_recall=result.test.worst_class_recall if result.test else None,
        parity=result.parity,
        parity_crops=result.parity_crops,
        seconds=timing.seconds,
        model_id=result.model_id,
        run_key=result.run_key,
    )
