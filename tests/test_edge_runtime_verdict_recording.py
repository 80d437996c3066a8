"""Verdicts may say anything, come without end and meet a full disk: every object and every verdict is accounted for."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from strategies import decided_boxes

from edge_runtime.errors import StorageError
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Origin, Truth
from edge_runtime.schemas import ResidualPolicy
from edge_runtime.spool import MIN_QUOTA_B, Spool
from edge_runtime.verdict_recording import MOST_VERDICTS, Recorded, VerdictRecording, VerdictTally
from firmware_bridge.clock import ManualClock
from firmware_bridge.messages import Verdict, VerdictSource

CLASSES = ("rice", "stone")
POLICY = ResidualPolicy(audit_rate=0.0, candidate_margin=0.0, candidate_sigmas=0.0, min_match=0.0)
ORIGIN = Origin("mill-1", "lot-7", "a" * 64, "b" * 64, CLASSES, POLICY)
MS = 1_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path / "spool", clock=ManualClock(), quota_b=MIN_QUOTA_B) as opened:
        yield opened


@pytest.fixture
def recorder(spool: Spool) -> Recorder:
    return Recorder(spool, ORIGIN, ManualClock())


@pytest.fixture
def recording(recorder: Recorder) -> VerdictRecording:
    return VerdictRecording(recorder, CLASSES, 50, POLICY)


def a_step(tick: int, *, ready_ns: int = 0, side: int = 8, told: Truth | None = None) -> Recorded:
    """Return a step of one object of class 1, which passes the inspection in lane 0 at a tick."""
    pixels = np.random.default_rng(tick).integers(0, 256, (1, side, side, 3)).astype(np.uint8)
    bare = decided_boxes([(10, tick, 4, 4)])
    decisions = msgspec.structs.replace(bare, pixels=pixels, masks=np.ones((1, side, side), np.bool_))
    ticks, lanes = np.array([tick], np.int64), np.zeros(1, np.int64)
    return Recorded(decisions, ticks, ticks, lanes, [told], ready_ns, ["none"])


def a_verdict(tick: int, class_id: int) -> Verdict:
    return Verdict(0, class_id, 255, VerdictSource.INSPECTION_REJECT, tick)


def total(tally: VerdictTally) -> int:
    return tally.matched + tally.uncertain + tally.ambiguous + tally.unmatched + tally.doubtful


def test_a_verdict_of_a_class_that_the_model_does_not_know_teaches_nothing(
    recording: VerdictRecording, recorder: Recorder
) -> None:
    for tick, class_id in ((1000, 1), (2000, 2), (3000, 65_535)):
        recording.add(a_step(tick))
        recording.on_verdict(a_verdict(tick, class_id))
    recording.record_until(0, is_last=True)
    assert recording.tally == VerdictTally(matched=1, doubtful=2)
    assert recorder.counts().passed_over == {"right": 1, "no_truth": 2}


def test_verdicts_that_nobody_waits_for_take_no_more_memory_than_so_many_and_are_counted(
    recording: VerdictRecording,
) -> None:
    """Such as those of a teach lot, or of a machine that does not keep the order."""
    for tick in range(MOST_VERDICTS + 3):
        recording.on_verdict(a_verdict(tick, 1))
        recording.record_until(tick * MS)
    assert recording.tally == VerdictTally(unmatched=3)
    recording.record_until(0, is_last=True)
    assert total(recording.tally) == MOST_VERDICTS + 3


def test_a_step_that_the_spool_refuses_costs_the_others_nothing(
    recording: VerdictRecording, recorder: Recorder, spool: Spool
) -> None:
    stone = Truth("T0", "rice", 1.0, "technician")
    for tick, side in ((1000, 64), (2000, 8), (3000, 64), (4000, 8)):  # the large ones do not fit into a segment
        recording.add(a_step(tick, side=side, told=stone))
    with pytest.raises(StorageError, match="exceeds a segment"):
        recording.record_until(0, is_last=True)
    assert (recorder.counts().seen, recorder.counts().passed_over) == (4, {"storage": 2})
    assert [record.header.line for record in spool.records()] == [2003, 4003]


def test_the_disk_is_asked_once_for_many_steps(recording: VerdictRecording, spool: Spool) -> None:
    """Each step is a frame: a flush for each would keep the disk busy."""
    for tick in range(1000, 6000, 1000):
        recording.add(a_step(tick, told=Truth("T0", "rice", 1.0, "technician")))
    recording.record_until(1000 * MS)
    assert (spool.counts().stored, spool.counts().pending) == (0, 5)
    recording.record_until(1000 * MS, is_last=True)
    assert (spool.counts().stored, spool.counts().pending) == (5, 0)
