"""Every object shown to the recorder is recorded or passed over with a reason; norms are counted for all."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def scored(decisions: Decisions, scores: list[list[float]]) -> Decisions:
    return msgspec.structs.replace(decisions, scores=np.array(scores, np.float32))


def policy_recorder(spool: Spool, policy: ResidualPolicy, **known: object) -> Recorder:
    origin = Origin("mill-1", "lot-7", "a" * 64, "b" * 64, CLASSES, policy)
    return Recorder(spool, msgspec.structs.replace(origin, **known), ManualClock())


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


def test_objects_that_cannot_be_a_record_are_accounted_for(spool: Spool) -> None:
    recorder = policy_recorder(spool, ResidualPolicy(audit_rate=0.0), lot="x" * 65)
    with pytest.raises(StorageError, match="cannot be stored"):
        recorder.record_mistakes(some_decisions([0, 1, 0]), [STONE_LOT] * 3)
    assert recorder.counts() == RecorderCounts(3, {}, {"right": 1, "storage": 2})


def test_no_objects_are_no_work(spool: Spool) -> None:
    assert a_recorder(spool).record_mistakes(Decisions.empty("top", CropSpec(side_px=8), 2), []) == []
    assert spool.counts().stored == 0


QUIET = ResidualPolicy(audit_rate=0.0, candidate_margin=0.0)


def test_mistakes_of_an_impure_lot_that_the_model_is_sure_of_wait_for_a_person(spool: Spool) -> None:
    """At a purity of 0.999 a doubtful decision is a mistake; a sure one is the other class's piece."""
    decisions = scored(some_decisions([0, 0]), [[0.55, 0.45], [0.999, 0.001]])
    recorder = policy_recorder(spool, QUIET)
    recorder.record_mistakes(decisions, [Truth("T0", "stone", 0.999, "technician")] * 2)
    found = [(one.header.failure, is_training_sample(one.header)) for one in spool.records()]
    assert sorted(found) == [("candidate", False), ("misclassified", True)]
    assert recorder.counts() == RecorderCounts(2, {"candidate": 1, "misclassified": 1}, {})
    assert spool.norm_statistics().by_label()["stone"].count == 2


@pytest.mark.parametrize(("strength", "expected"), [(0.9999, "misclassified"), (0.96, "candidate")])
def test_a_doubtful_match_confirms_nothing_that_the_model_denies(
    spool: Spool, strength: float, expected: Failure
) -> None:
    decisions = scored(some_decisions([0]), [[0.97, 0.03]])
    recorder = policy_recorder(spool, QUIET)
    recorder.record_mistakes(decisions, [Truth("T2", "stone", strength, "inspection")])
    assert recorder.counts().taken == {expected: 1}


def test_a_person_or_a_tracer_is_believed_whatever_the_model_says(spool: Spool) -> None:
    decisions = scored(some_decisions([0, 0]), [[1.0, 0.0]] * 2)
    recorder = policy_recorder(spool, QUIET)
    recorder.record_mistakes(decisions, [Truth("T1", "stone", 0.9, "uv"), Truth("T3", "stone", 0.6, "ann")])
    assert recorder.counts().taken == {"misclassified": 2}


def test_without_a_limit_of_trust_every_mistake_is_confirmed(spool: Spool) -> None:
    decisions = scored(some_decisions([0]), [[1.0, 0.0]])
    recorder = policy_recorder(spool, msgspec.structs.replace(QUIET, min_trust=0.0))
    recorder.record_mistakes(decisions, [Truth("T0", "stone", 0.5, "technician")])
    assert recorder.counts().taken == {"misclassified": 1}


def test_doubtful_objects_of_which_nothing_is_known_are_candidates(spool: Spool) -> None:
    decisions = scored(some_decisions([0, 0, 1]), [[0.54, 0.46], [0.9, 0.1], [0.1, 0.9]])
    norms = norm_q16(decisions.norm_numerators, decisions.norm_denominators)
    far, near = class_norms(np.full(50, int(norms[1]) // 2)), class_norms(np.full(50, int(norms[2])))
    policy = ResidualPolicy(audit_rate=0.0, candidate_margin=0.1)
    recorder = policy_recorder(spool, policy, class_norms={"rice": far, "stone": near})
    recorder.record_mistakes(decisions, [None] * 3)
    headers = [record.header for record in spool.records()]
    assert [(one.line, one.truth, one.failure) for one in headers] == [
        (0, Truth("T7", who="margin"), "candidate"),
        (1, Truth("T7", who="norm"), "candidate"),
    ]
    assert recorder.counts().passed_over == {"no_truth": 1}
    assert spool.norm_statistics().count == 0


def test_candidates_without_truth_stay_a_share_of_what_was_seen(spool: Spool) -> None:
    policy = ResidualPolicy(audit_rate=0.0, candidate_share=0.1)
    recorder = policy_recorder(spool, policy)
    recorder.record_mistakes(some_decisions([0] * 100), [None] * 100)  # scores of one half: all in doubt
    assert recorder.counts() == RecorderCounts(100, {"candidate": 20}, {"rate": 80})
    none = policy_recorder(spool, msgspec.structs.replace(policy, candidate_share=0.0))
    none.record_mistakes(some_decisions([0] * 5, first_line=500), [None] * 5)
    assert none.counts() == RecorderCounts(5, {}, {"rate": 5})


def test_confirmed_mistakes_take_no_candidate_its_place(spool: Spool) -> None:
    recorder = policy_recorder(spool, ResidualPolicy(audit_rate=0.0, candidate_share=0.1))
    truths = [Truth("T0", "stone", 1.0, "teach")] * 30
    recorder.record_mistakes(some_decisions([0] * 35), [*truths, *[None] * 5])
    assert recorder.counts().taken == {"candidate": 5, "misclassified": 30}


def test_how_often_the_inspection_names_a_class_is_learnt(spool: Spool) -> None:
    """Where nearly everything is stone, a verdict of rice on what looks like stone is more probably a mismatch's."""
    contradicted, later = (scored(some_decisions([1], first_line=line), [[0.03, 0.97]]) for line in (1000, 2000))
    verdict = Truth("T2", "rice", 0.999, "inspection")
    fresh = policy_recorder(spool, QUIET)
    fresh.record_mistakes(contradicted, [verdict])
    assert fresh.counts().taken == {"misclassified": 1}
    stony = policy_recorder(spool, QUIET)
    stony.record_mistakes(some_decisions([1] * 300), [Truth("T2", "stone", 0.999, "inspection")] * 300)
    stony.record_mistakes(later, [verdict])
    assert stony.counts() == RecorderCounts(301, {"candidate": 1}, {"right": 300})


def test_quotas_count_each_truth_source_and_stream_by_itself(spool: Spool) -> None:
    policy = msgspec.structs.replace(QUIET, max_per_class=2, max_candidates=1)
    recorder = policy_recorder(spool, policy)
    teach, verdict = Truth("T0", "stone", 1.0, "teach"), Truth("T2", "stone", 1.0, "inspection")
    impure = Truth("T0", "stone", 0.5, "teach")
    recorder.record_mistakes(some_decisions([0] * 9), [teach] * 3 + [verdict] * 3 + [impure] * 3)
    assert recorder.counts() == RecorderCounts(9, {"candidate": 1, "misclassified": 4}, {"quota": 4})


def test_a_piece_lying_still_is_recorded_once(spool: Spool) -> None:
    still = some_decisions([0] * 4)
    still = msgspec.structs.replace(
        still,
        pixels=np.repeat(still.pixels[:1], 4, axis=0),
        norm_numerators=np.repeat(still.norm_numerators[:1], 4),
    )
    recorder = policy_recorder(spool, QUIET)
    recorder.record_mistakes(still, [Truth("T0", "stone", 1.0, "teach")] * 4)
    assert recorder.counts() == RecorderCounts(4, {"misclassified": 1}, {"near_duplicate": 3})


def test_what_is_drawn_at_random_is_recorded_however_often_it_looks_the_same(spool: Spool) -> None:
    still = some_decisions([0] * 4)
    still = msgspec.structs.replace(still, pixels=np.repeat(still.pixels[:1], 4, axis=0))
    still = msgspec.structs.replace(still, norm_numerators=np.repeat(still.norm_numerators[:1], 4))
    recorder = policy_recorder(spool, ResidualPolicy(audit_rate=1.0, max_candidates=0))
    recorder.record_mistakes(still, [None] * 4)
    assert recorder.counts().taken == {"audit": 4}


TRUTHS = st.one_of(
    st.none(),
    st.builds(
        Truth,
        st.sampled_from(["T0", "T1", "T2", "T3", "T5", "T7"]),
        st.sampled_from(["", "rice", "stone"]),
        st.floats(0.0, 1.0),
    ),
)
SHOWN = st.lists(
    st.tuples(
        st.sampled_from([0, 1, -1, -2, -3]), TRUTHS, st.sampled_from(["none", "acked", "late", "lost"]), st.booleans()
    ),
    max_size=12,
)
POLICIES = st.builds(
    ResidualPolicy,
    audit_rate=st.sampled_from([0.0, 0.3]),
    max_per_class=st.integers(1, 3),
    max_candidates=st.integers(0, 2),
    candidate_share=st.sampled_from([0.0, 0.2]),
    min_trust=st.sampled_from([0.0, 0.99]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(SHOWN, max_size=3), POLICIES)
def test_every_object_shown_is_in_the_books_once_and_kinds_of_failure_stay_apart(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[int, Truth | None, Acknowledged, bool]]],
    policy: ResidualPolicy,
) -> None:
    with Spool.open(tmp_path_factory.mktemp("spool"), clock=ManualClock()) as spool:
        recorder = policy_recorder(spool, policy)
        for number, batch in enumerate(batches):
            decisions = some_decisions([one[0] for one in batch], first_line=100 * number)
            aftermath = Aftermath(
                [one[2] for one in batch], np.array([one[3] for one in batch], np.bool_), decisions.lines
            )
            recorder.record_mistakes(decisions, [one[1] for one in batch], aftermath)
        counts, headers = recorder.counts(), [record.header for record in spool.records()]
        assert_books_add_up(counts)
        assert counts.seen == sum(len(batch) for batch in batches)
        assert sum(counts.taken.values()) == len(headers) == spool.counts().stored
        for header in headers:
            is_wrong = header.truth.label not in {"", header.predicted_class}
            assert is_training_sample(header) == (header.failure == "misclassified")
            assert (header.failure in {"late", "not_deflected"}) <= (not is_wrong)
            assert (header.failure == "misclassified") <= is_wrong
            assert (header.truth.source == "T8") == (header.failure == "audit")
