"""Every object shown to the recorder is recorded or passed over with a reason; norms are counted for all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.crop import CropSpec, unpack_crop
from edge_runtime.decisions import OVERSIZE, Decisions
from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.norm import NormSpec, class_norms, norm_q16, norm_sums
from edge_runtime.recorder import Aftermath, Recorder, RecorderCounts, judge
from edge_runtime.residual import Acknowledged, Failure, Origin, Truth, check_record, is_training_sample
from edge_runtime.schemas import ResidualPolicy
from edge_runtime.spool import Spool
from edge_runtime.truth import audit_objects
from firmware_bridge.clock import ManualClock

CLASSES = ("rice", "stone")
STONE_LOT = Truth("T0", "stone", 0.99, "technician")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as opened:
        yield opened


def a_recorder(spool: Spool, *, audit_rate: float = 0.0, max_per_class: int = 1000) -> Recorder:
    policy = ResidualPolicy(audit_rate=audit_rate, max_per_class=max_per_class, candidate_margin=0.0)
    return Recorder(spool, Origin("mill-1", "lot-7", "a" * 64, "b" * 64, CLASSES, policy), ManualClock())


def some_decisions(class_ids: list[int], *, first_line: int = 0) -> Decisions:
    count = len(class_ids)
    rng = np.random.default_rng(first_line)
    masks = np.ones((count, 8, 8), np.bool_)
    pixels = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    numerators, denominators = norm_sums(pixels, masks, NormSpec())
    ids = np.array(class_ids, np.int64)
    return Decisions(
        camera="top",
        lines=np.arange(first_line, first_line + count, dtype=np.int64),
        columns=np.full(count, 5, np.int32),
        boxes_px=np.zeros((count, 4), np.int64),
        centres_mm=np.zeros((count, 2)),
        lengths_mm=np.zeros(count),
        widths_mm=np.zeros(count),
        angles_deg=np.zeros(count),
        class_ids=ids,
        scores=np.full((count, 2), 0.5, np.float32),
        is_eject=ids == 1,
        norm_numerators=numerators,
        norm_denominators=denominators,
        pixels=pixels,
        masks=masks,
    )


def assert_books_add_up(counts: RecorderCounts) -> None:
    assert counts.seen == sum(counts.taken.values()) + sum(counts.passed_over.values())


def test_teach_lot_records_mistakes_and_counts_all_norms(spool: Spool) -> None:
    decisions = some_decisions([1, 0, 1, 0, 1])
    recorder = a_recorder(spool)
    accepted = recorder.record_mistakes(decisions, [STONE_LOT] * 5)
    records = list(spool.records())
    assert accepted == [record.id for record in records]
    assert [record.header.line for record in records] == [1, 3]
    assert recorder.counts() == RecorderCounts(5, {"misclassified": 2}, {"right": 3})
    norms = norm_q16(decisions.norm_numerators, decisions.norm_denominators)
    assert spool.norm_statistics().by_label() == {"stone": class_norms(norms)}


def test_record_is_the_object_that_was_seen(spool: Spool) -> None:
    decisions = some_decisions([0, 0])
    aftermath = Aftermath(["none", "lost"], np.array([False, True]), np.array([70, 71]))
    a_recorder(spool).record_mistakes(decisions, [STONE_LOT] * 2, aftermath)
    for row, record in enumerate(spool.records()):
        check_record(record)
        header = record.header
        pixels, mask = unpack_crop(record.blob, header.side_px, header.channels)
        np.testing.assert_array_equal(pixels, decisions.pixels[row])
        np.testing.assert_array_equal(mask, decisions.masks[row])
        assert (header.machine, header.lot, header.camera) == ("mill-1", "lot-7", "top")
        assert (header.predicted_class, header.scores, header.action) == ("rice", (0.5, 0.5), "accept")
        assert (header.acknowledged, header.encoder) == (aftermath.acknowledged[row], 70 + row)
        assert header.utc == "2026-01-01T00:00:00.000+00:00"
        assert is_training_sample(header)


@pytest.mark.parametrize(
    ("truth", "acknowledged", "is_astray", "expected"),
    [
        (Truth("T2", "stone"), "acked", False, "misclassified"),
        (Truth("T2", "stone"), "late", True, "misclassified"),
        (Truth("T2", "rice"), "late", True, "late"),
        (Truth("T2", "rice"), "late", False, "late"),
        (Truth("T2", "rice"), "acked", True, "not_deflected"),
        (Truth("T2", "rice"), "lost", True, "not_deflected"),
        (Truth("T2", "rice"), "acked", False, None),
        (Truth("T8", "rice"), "acked", False, "audit"),
        (Truth("T8"), "acked", False, "audit"),
        (Truth("T7"), "acked", False, "candidate"),
    ],
)
def test_only_a_wrong_class_is_a_mistake_of_the_model(
    truth: Truth, acknowledged: Acknowledged, is_astray: bool, expected: Failure | None
) -> None:
    assert judge(truth, "rice", acknowledged, is_astray=is_astray) == expected


def test_ejection_faults_are_recorded_but_never_teach(spool: Spool) -> None:
    decisions = some_decisions([1, 1, 1])
    aftermath = Aftermath(["late", "acked", "acked"], np.array([True, True, False]), decisions.lines)
    recorder = a_recorder(spool)
    recorder.record_mistakes(decisions, [Truth("T2", "stone", 0.9, "camera 2")] * 3, aftermath)
    assert recorder.counts() == RecorderCounts(3, {"late": 1, "not_deflected": 1}, {"right": 1})
    assert not any(is_training_sample(record.header) for record in spool.records())


def test_audit_objects_are_held_out_whatever_is_known_about_them(spool: Spool) -> None:
    decisions = some_decisions([0] * 400)
    recorder = a_recorder(spool, audit_rate=0.25)
    recorder.record_mistakes(decisions, [STONE_LOT] * 200 + [None] * 200)
    is_audit = audit_objects(("mill-1", "lot-7", "top"), decisions.lines, decisions.columns, 0.25)
    audits = [record.header for record in spool.records() if record.header.failure == "audit"]
    assert [header.line for header in audits] == np.flatnonzero(is_audit).tolist()
    assert {header.truth.label for header in audits} == {"stone", ""}
    assert {(header.truth.source, header.audit_rate) for header in audits} == {("T8", 0.25)}
    others = [record.header for record in spool.records() if record.header.failure != "audit"]
    assert {header.audit_rate for header in others} == {0.0}
    assert len(others) == 200 - int(is_audit[:200].sum())
    assert not any(is_training_sample(header) for header in audits)
    assert recorder.counts().passed_over == {"no_truth": 200 - int(is_audit[200:].sum())}
    assert spool.norm_statistics().count == 200


def test_quota_of_a_class_and_lot_holds_across_restarts(spool: Spool) -> None:
    recorder = a_recorder(spool, max_per_class=3)
    recorder.record_mistakes(some_decisions([0] * 5), [STONE_LOT] * 5)
    assert recorder.counts() == RecorderCounts(5, {"misclassified": 3}, {"quota": 2})
    again = a_recorder(spool, max_per_class=3)
    rice_lot = Truth("T0", "rice", 1.0, "technician")
    again.record_mistakes(some_decisions([0, 1], first_line=10), [STONE_LOT, rice_lot])
    assert again.counts() == RecorderCounts(2, {"misclassified": 1}, {"quota": 1})
    assert spool.norm_statistics().by_label()["stone"].count == 6


def test_what_is_not_recorded_is_counted_by_reason(spool: Spool) -> None:
    decisions = some_decisions([0, 0, OVERSIZE, 1, 0])
    truths = [STONE_LOT, None, STONE_LOT, STONE_LOT, Truth("T3", "", 0.5, "reviewer")]
    recorder = a_recorder(spool)
    assert len(recorder.record_mistakes(decisions, truths)) == 1
    assert recorder.record_mistakes(decisions, truths) == []
    counts = recorder.counts()
    assert counts.taken == {"misclassified": 1}
    assert counts.passed_over == {"no_truth": 2, "oversize": 2, "repeated": 1, "right": 2, "unnamed": 2}
    assert_books_add_up(counts)


def test_unknown_class_is_refused_before_anything_is_recorded(spool: Spool) -> None:
    recorder = a_recorder(spool)
    with pytest.raises(ConfigError, match="'ston', which the model does not know: use one of rice, stone"):
        recorder.record_mistakes(some_decisions([0, 0]), [STONE_LOT, Truth("T2", "ston", 0.9, "camera 2")])
    assert recorder.counts().seen == 0
    assert spool.counts().pending == 0


def test_objects_that_the_spool_refuses_are_accounted_for(tmp_path: Path) -> None:
    """Segments too small for any record stand for a disk that takes nothing."""
    with Spool.open(tmp_path / "spool", clock=ManualClock(), segment_b=100) as spool:
        recorder = a_recorder(spool)
        with pytest.raises(StorageError, match="exceeds a segment"):
            recorder.record_mistakes(some_decisions([0, 1, 0]), [STONE_LOT] * 3)
        assert recorder.counts() == RecorderCounts(3, {}, {"right": 1, "storage": 2})


def test_no_objects_are_no_work(spool: Spool) -> None:
    assert a_recorder(spool).record_mistakes(Decisions.empty("top", CropSpec(side_px=8), 2), []) == []
    assert spool.counts().stored == 0
