"""What a technician reads on a terminal."""

import msgspec

from edge_runtime.crop import CropSpec
from edge_runtime.norm import NormSpec
from edge_runtime.segment import SegmentSettings
from trainer.acquire.import_report import ImportEntry, ImportReport
from trainer.acquire.import_text import import_text
from trainer.acquire.intake import IntakeReport
from trainer.command_text import evaluate_text, intake_text, pool_text, run_text
from trainer.judge.evaluate import EvaluateReport
from trainer.loop.run_record import RoundReport, RunReport
from trainer.pool.data_set import DataSet
from trainer.pool.samples import PoolReport
from trainer.text_table import table_text

RUN = RunReport(
    model="runs/rice/model",
    rounds=[RoundReport(1, 16, 30, 0.5, 0.05, 0.25, 0.7, 1.25), RoundReport(2, 32, 9, 0.75, 0.05, 0.5, 0.9, 2.5)],
    pool_samples=200,
    training_samples=32,
    stop_reason="rounds_budget",
    best_round=2,
    macro_f1=0.8,
    worst_class_recall=0.6,
    validated_on="split",
    test_macro_f1=0.7,
    test_worst_class_recall=0.5,
    parity=2e-7,
    parity_crops=40,
    seconds=12.4,
    model_id="a" * 64,
    run_key="b" * 64,
)


def test_columns_align_also_with_chinese_class_names() -> None:
    lines = table_text(("class", "n"), [("石子", "12"), ("sound", "3")]).splitlines()
    assert lines == ["class   n", "石子   12", "sound   3"]


def test_a_table_without_rows_is_its_head() -> None:
    assert table_text(("class", "n"), []) == "class  n"


def test_a_run_shows_its_rounds_marks_the_one_that_ships_and_names_the_figures() -> None:
    lines = run_text(RUN).splitlines()
    assert lines[1].split() == ["1", "16", "8.0%", "30", "0.5000", "0.250", "1.2"]
    assert lines[2].startswith("2 *")
    assert "32 of 200 samples; stopped: rounds_budget" in lines[3]
    assert lines[4:6] == [
        "validation (split): macro-F1 0.8000, worst recall 0.6000",
        "held-out test: macro-F1 0.7000, worst recall 0.5000",
    ]
    assert "40 of 40 decisions equal, largest difference 2.0e-07" in lines[6]
    assert lines[7] == "model: runs/rice/model (12 s)"


def test_a_run_without_test_samples_says_nothing_of_them() -> None:
    untested = msgspec.structs.replace(RUN, test_macro_f1=None, test_worst_class_recall=None)
    assert "held-out" not in run_text(untested)


def test_an_evaluation_tells_what_counted_as_wrong_and_what_nowhere() -> None:
    recalls = {"good": 0.9, "stone": 0.5}
    report = EvaluateReport("a" * 64, "object", 20, 0.8, 0.75, 0.04, 0.5, recalls, 2, 1, [[9, 1], [5, 5]])
    text = evaluate_text(report)
    assert "stone  0.5000" in text
    assert "20 pictures (mask: object), accuracy 0.8000: macro-F1 0.7500, worst recall 0.5000" in text
    assert "standard error 0.0400" in text
    assert "not cut out, counted as wrong: 2; unreadable, not counted: 1" in text


def test_an_intake_accounts_for_every_record() -> None:
    report = IntakeReport(5, 2, {"residual": 2, "kept": 1}, {"late": 1}, {"T0": 2}, {"stone": 2}, 2, "d" * 64)
    assert intake_text(report).splitlines() == [
        "5 records, 2 known before",
        "new records: residual 2, kept 1",
        "truth source: T0 2",
        "class: stone 2",
        "kept or refused: late 1",
    ]
    nothing = msgspec.structs.replace(report, fates={}, reasons={}, sources={}, labels={})
    assert intake_text(nothing).count("none") == 4
    drifted = msgspec.structs.replace(report, norm_drift={"good": 0.123, "stone": -1.5})
    assert intake_text(drifted).endswith("in standard deviations: good +0.12, stone -1.50")


def test_a_pool_shows_every_side_of_every_class() -> None:
    text = pool_text(PoolReport({"good": {"test": 1, "train": 7}, "stone": {"train": 5}}, 2, 3, "d" * 64))
    assert text.splitlines() == [
        "class  test  train",
        "good      1      7",
        "stone     0      5",
        "in conflict: 2, withdrawn: 3",
        f"digest {'d' * 64}",
    ]


IMPORT = ImportReport(
    source="set.tar",
    utc="2026-01-01T00:00:00+00:00",
    files=5,
    outcomes={"added": 3, "corrupt": 2, "duplicate": 0},
    notes={},
    notices={},
    classes={},
    splits={"good": {"train": 3}},
    data_set=DataSet(SegmentSettings(), CropSpec(side_px=48, reduction=2), NormSpec()),
    evidence=None,
    pool_digest="d" * 64,
    entries=(),
)


def test_an_import_shows_counts_and_decisions() -> None:
    text = import_text(IMPORT)
    assert text.splitlines() == [
        "class  train",
        "good       3",
        "5 files: added 3, corrupt 2",
        "mask object, threshold 60 (bright), crops 48 x 48 x 3 reduced by 2",
    ]


def test_an_import_shows_the_first_20_things_to_know_and_how_many_more_there_are() -> None:
    entries = tuple(ImportEntry(f"{at}.png", "corrupt", "torn") for at in range(23))
    report = msgspec.structs.replace(IMPORT, entries=entries, notes={"several_objects": 1})
    lines = import_text(report).splitlines()
    assert "noted: several_objects 1" in lines
    assert "  corrupt: 0.png: torn" in lines
    assert lines[-1] == "  ... and 3 more; --json lists all"
