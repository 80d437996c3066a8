"""Decisions, exposures, answers and verdicts come in any order: each object is recorded once, with what is known."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import msgspec
import numpy as np
import pytest
from strategies import decided_boxes

from edge_runtime.live.books import ObjectEnd
from edge_runtime.live.follow_up import FollowUp
from edge_runtime.live.messages import FrameExposed, InspectionVerdict, ObjectEnded
from edge_runtime.live.record_ring import FrameKey
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Origin
from edge_runtime.schemas import Camera, Lane, Machine, ResidualPolicy
from edge_runtime.spool import MIN_QUOTA_B, Spool
from firmware_bridge.clock import NS_PER_S, ManualClock

CLASSES = ("rice", "stone")
POLICY = ResidualPolicy(audit_rate=0.0, candidate_margin=0.0, candidate_sigmas=0.0, min_match=0.0)
ORIGIN = Origin("mill-1", "lot-7", "a" * 64, "b" * 64, CLASSES, POLICY)
MACHINE = Machine(
    "mill-1",
    (Camera("top", width_px=64, frame_lines=400, pixel_mm=0.1),),
    (Lane(3, 0.0, 6.4),),
    belt_mm_s=1000.0,
    to_inspection_mm=1000.0,
    keeps_order=True,
)
KEY = FrameKey(0, 7, 7, first_line=280, exposed_ns=5 * NS_PER_S)
EXPOSED = FrameExposed(0, 7, at_us=9_000_000)
IN_TIME_NS = KEY.exposed_ns + 3 * NS_PER_S


class Followed:
    """Two objects of one frame, both ejected as stone; the second one is rice, as the inspection says."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.recorder = Recorder(spool, ORIGIN, ManualClock())
        self.follow_up = FollowUp(MACHINE, self.recorder, ORIGIN, None)

    def decide(self) -> None:
        bare = decided_boxes([(10, 285, 4, 4), (40, 485, 4, 4)])
        pixels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
        decisions = msgspec.structs.replace(bare, pixels=pixels, masks=np.ones((2, 8, 8), np.bool_))
        self.follow_up.take(KEY, decisions)

    def expose(self) -> None:
        self.follow_up.on_exposed(EXPOSED)

    def end(self, end: ObjectEnd = "fired") -> None:
        self.follow_up.on_ended(ObjectEnded(0, 7, 1, end))

    def judge(self) -> None:
        self.follow_up.on_verdict(InspectionVerdict(0, 0, 255, True, EXPOSED.at_us + 1_020_700))

    def recorded(self) -> list[tuple[str, str]]:
        return [(record.header.truth.label, record.header.acknowledged) for record in self.spool.records()]


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    with Spool.open(tmp_path / "spool", clock=ManualClock(), quota_b=MIN_QUOTA_B) as spool:
        yield Followed(spool)


@pytest.mark.parametrize("order", list(permutations(["decide", "expose", "end"])))
def test_whatever_comes_first_a_mistake_is_recorded_with_the_controllers_answer(
    followed: Followed, order: tuple[str, ...]
) -> None:
    for what in order:
        getattr(followed, what)()
    followed.judge()
    followed.follow_up.record_until(IN_TIME_NS)
    followed.follow_up.record_until(IN_TIME_NS, is_last=True)

    assert followed.recorded() == [("rice", "acked")]


def test_a_frame_whose_exposure_never_comes_is_given_up_in_time(followed: Followed) -> None:
    followed.decide()
    followed.follow_up.record_until(KEY.exposed_ns + NS_PER_S)
    assert followed.recorder.counts().seen == 0
    followed.follow_up.record_until(IN_TIME_NS)

    assert followed.recorder.counts().seen == 2
    followed.expose()  # too late, and harmless
    followed.follow_up.record_until(IN_TIME_NS, is_last=True)
    assert (followed.recorder.counts().seen, followed.recorded()) == (2, [])


def test_answers_about_frames_that_nobody_decides_take_no_more_memory_than_so_many(followed: Followed) -> None:
    begin = 8
    for number in range(begin, begin + 10_000):
        followed.follow_up.on_ended(ObjectEnded(0, number, 0, "fired"))
        followed.follow_up.on_exposed(FrameExposed(0, number, number))
    followed.end()  # the newest
    followed.expose()
    followed.decide()
    followed.judge()
    followed.follow_up.record_until(IN_TIME_NS, is_last=True)

    assert followed.recorded() == [("rice", "acked")]
