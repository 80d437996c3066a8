"""What --json prints: joined from result and wall times, complete, and the same after a round trip."""

import msgspec
import numpy as np
import pytest

from trainer.loop.results import RunResult, RunTiming, ShippedFigures
from trainer.loop.run_record import RunReport, run_report
from trainer.metrics import score_classes
from trainer.pool.round_record import RoundRecord

FIGURES = ShippedFigures.of(score_classes(np.array([0, 0, 1]), np.array([0, 1, 1]), 3), ("good", "stone", "husk"))
ROUNDS = [RoundRecord(n, 8, 8 * n, 9 - n, 60, 0.9, 0.8, 0.7, 0.01, 40, "a" * 64, {}) for n in (1, 2)]
RESULT = RunResult(
    run_key="b" * 64,
    classes=("good", "stone", "husk"),
    rounds=ROUNDS,
    best_round=2,
    stop_reason="rounds_budget",
    pool_samples=60,
    training_samples=16,
    fit="final",
    validated_on="split",
    temperature=1.5,
    calibration_error=0.02,
    parity=1e-7,
    parity_crops=40,
    validation=FIGURES,
    test=None,
    model_id="c" * 64,
)


def test_figures_leave_classes_without_samples_out_of_the_recalls() -> None:
    assert FIGURES.per_class_recall == {"good": 0.5, "stone": 1.0}
    assert FIGURES.worst_class_recall == 0.5
    assert FIGURES.confusion == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_result_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(RESULT), type=RunResult) == RESULT


def test_report_joins_result_and_times() -> None:
    report = run_report(RESULT, RunTiming(12.5, [1.0, 2.0]), "runs/1/model")
    assert [(r.number, r.training_samples, r.residual, r.seconds) for r in report.rounds] == [
        (1, 8, 8, 1.0),
        (2, 16, 7, 2.0),
    ]
    assert (report.seconds, report.model, report.test_macro_f1) == (12.5, "runs/1/model", None)
    assert (report.macro_f1, report.worst_class_recall) == (FIGURES.macro_f1, 0.5)
    assert msgspec.json.decode(msgspec.json.encode(report), type=RunReport) == report


def test_report_has_the_test_figures_where_there_are_some_and_0_seconds_where_none_are_known() -> None:
    tested = msgspec.structs.replace(RESULT, test=FIGURES)
    report = run_report(tested, RunTiming(0.0, []), "model")
    assert (report.test_macro_f1, report.test_worst_class_recall) == (FIGURES.macro_f1, 0.5)
    assert [r.seconds for r in report.rounds] == [0.0, 0.0]


def test_a_record_of_a_later_version_is_refused() -> None:
    text = msgspec.json.encode(RESULT).replace(b'"schema_version":1}', b'"schema_version":2}')
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=RunResult)
