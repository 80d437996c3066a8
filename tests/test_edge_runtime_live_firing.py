"""Every frame and object ends once in the books, whatever comes when, and whoever takes over."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.live.books import CameraCounts, FrameBooks, Missing
from edge_runtime.live.firing import Firing, StampOf, flight_ns
from edge_runtime.live.messages import FrameClaimed, FrameDecided, FrameMissed
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.link_events import EjectOutcome, OutcomeKind
from firmware_bridge.messages import EjectReason

MACHINE = Machine(
    "desk",
    (Camera("top", width_px=400), Camera("side", width_px=400)),
    tuple(Lane(valve, 5.0 * valve, 5.0 * valve + 5.0) for valve in range(6)),  # 10 mm of the view have no lane
)
FLIGHT_NS = flight_ns(MACHINE, MACHINE.cameras[0])
FLIGHT_US = FLIGHT_NS // 1000
CAMERAS = (0, 1)


def new_books() -> list[FrameBooks]:
    return [FrameBooks.create(camera.name) for camera in MACHINE.cameras]


def decided(number: int, *, camera: int = 0, xs: tuple[int, ...] = (60,), passed: int = 0) -> FrameDecided:
    boxes = np.array([(x, 128 * number + 40, 20, 30) for x in xs], "<i8").reshape(-1, 4)
    return FrameDecided(1, camera, number, number, 128 * number, 0, len(xs) + passed, boxes.tobytes())


def adds_up(counts: CameraCounts) -> bool:
    frames = counts.frames_in == counts.processed + sum(counts.missing.values()) + counts.open_frames
    objects = counts.objects == counts.passed + sum(counts.ends.values()) + counts.open_objects
    return frames and objects and counts.open_frames >= 0 and counts.open_objects >= 0


def test_a_decision_that_comes_before_its_frame_was_seen_counts() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.on_news(decided(0, xs=(60, 200), passed=3), now_ns=1)
    firing.see([1, 0], now_ns=2)

    counts = books[0].counts(1)
    assert (counts.processed, counts.objects, counts.passed, counts.missing) == (1, 5, 3, {})


def test_a_claim_that_comes_before_its_frame_was_seen_counts() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.on_news(FrameClaimed(7, 0, 1, 0), now_ns=1)
    firing.lose_worker(7, now_ns=2)
    firing.see([2, 0], now_ns=3)

    assert (books[0].counts(2).missing, books[0].counts(2).open_frames) == ({"worker_lost": 1}, 1)


def test_a_frame_that_was_never_announced_counts_before_it_was_seen() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.queue_full(0, 0, now_ns=1)
    firing.see([1, 0], now_ns=2 * FLIGHT_NS)

    assert books[0].counts(1).missing == {"queue_full": 1}
