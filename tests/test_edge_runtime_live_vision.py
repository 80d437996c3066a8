"""A vision process over a ring: what it says of each frame, and which it does not sort."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_model import draw_pieces, make_stubborn_onnx, write_model_folder

from edge_runtime.config import to_toml
from edge_runtime.live.ladder import Level
from edge_runtime.live.messages import (
    FrameClaimed,
    FrameDecided,
    FrameMissed,
    FrameNews,
    FrameReady,
    ProcessReady,
    RecordReady,
    Stop,
    decode_child_news,
    decode_frame_news,
    decode_recorder_news,
    encode,
)
from edge_runtime.live.packets import wait_for
from edge_runtime.live.processes import Role, start_process
from edge_runtime.live.record_ring import FrameKey
from edge_runtime.live.shared_state import SharedState
from edge_runtime.live.vision import VisionPlan
from edge_runtime.live_settings import LiveSettings
from edge_runtime.model import load_model_folder
from edge_runtime.realtime import RealtimeSettings
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.clock import NS_PER_S, SystemClock

LIMIT_S = 30.0
CAMERA = Camera("top", width_px=320, frame_lines=40, kind="area", to_valves_mm=60_000.0)  # 30 s to the valves
PIECES = ["good", "stone", "good", "husk", "stone"]


class Bench:
    """Everything around one worker."""

    def __init__(self, path: Path, model: Path, fallback: str) -> None:
        machine = Machine("desk", (CAMERA,), (Lane(3, 0.0, 32.0),), live=LiveSettings(ring_frames=16))
        path.write_text(to_toml(machine), encoding="utf-8")
        model_id = load_model_folder(model).card.model_id
        self.shared = SharedState.create(machine, bands=3, rows=1, channels=1)
        ring_fd = self.shared.cameras[0].ring.memory.fd
        frames_fd, news_fd = self.shared.frames[0].receiver.fileno(), self.shared.news.sender.fileno()
        record_fd, records_fd = self.shared.record_rings[0].memory.fd, self.shared.records.sender.fileno()
        role = Role(
            "vision-0",
            "vision",
            0,
            RealtimeSettings(is_memory_locked=False),
            lambda child: VisionPlan(
                child, str(model), model_id, fallback, (ring_fd,), frames_fd, news_fd, 0, record_fd, records_fd
            ),
            (ring_fd, frames_fd, news_fd, record_fd, records_fd),
        )
        self.running = start_process(role, 7, machine=str(path), vitals_fd=self.shared.vitals.memory.fd)
        assert wait_for([self.running.control], LIMIT_S)
        assert isinstance(decode_child_news(self.running.control.receive() or b""), ProcessReady)

    def write(self, pixels: NDArray[np.uint8], *, age_s: float = 0.0) -> int:
        exposed_ns = SystemClock().monotonic_ns() - round(age_s * NS_PER_S)
        ring = self.shared.cameras[0].ring
        return ring.write(pixels, first_line=40 * ring.published, frame_id=90, exposed_ns=exposed_ns)

    def announce(self, number: int) -> None:
        assert self.shared.frames[0].sender.send(encode(FrameReady(0, number)))

    def hear(self) -> FrameNews:
        assert wait_for([self.shared.news.receiver], LIMIT_S)
        return decode_frame_news(self.shared.news.receiver.receive() or b"")

    def record_of(self, number: int) -> FrameKey:
        """Return what was recorded of a frame; records come after the news, and those of earlier frames first."""
        while True:
            assert wait_for([self.shared.records.receiver], LIMIT_S)
            ready = decode_recorder_news(self.shared.records.receiver.receive() or b"")
            assert isinstance(ready, RecordReady)
            record = self.shared.record_rings[0].read(ready.at_b, "top")
            if record is not None and record[0].number == number:
                return record[0]

    def close(self) -> None:
        self.running.control.send(encode(Stop()))
        assert self.running.wait(LIMIT_S)
        assert self.running.ended() == "exit 0"
        self.running.close()
        self.shared.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("vision")
    write_model_folder(folder / "fallback", model=make_stubborn_onnx(1))
    bench = Bench(folder / "machine.toml", tiny_model_folder, str(folder / "fallback"))
    yield bench
    bench.close()


def test_a_frame_is_claimed_then_decided_with_the_boxes_of_the_bad_ones(bench: Bench) -> None:
    number = bench.write(draw_pieces(PIECES))
    bench.announce(number)

    claimed, news = bench.hear(), bench.hear()
    assert isinstance(claimed, FrameClaimed)
    assert (claimed.worker, claimed.camera, claimed.number) == (7, 0, number)
    assert isinstance(news, FrameDecided)
    assert (news.number, news.frame_id, news.first_line, news.objects) == (number, 90, 40 * number, len(PIECES))
    boxes = np.frombuffer(news.boxes, "<i8").reshape(-1, 4)
    assert sorted(boxes[:, 0] // 40) == [i for i, name in enumerate(PIECES) if name != "good"]
    assert (boxes[:, 1] // 40).tolist() == [number] * 3


def test_a_frame_whose_objects_have_passed_is_not_sorted(bench: Bench) -> None:
    """So a worker that was away catches up with the camera instead of being late for ever."""
    number = bench.write(draw_pieces(PIECES), age_s=31.0)
    bench.announce(number)

    assert bench.hear() == FrameMissed(7, 0, number, "late")


def test_a_frame_that_the_ring_holds_no_more_is_overrun(bench: Bench) -> None:
    first = bench.write(draw_pieces(PIECES))
    for _ in range(16):
        bench.write(draw_pieces(PIECES))
    bench.announce(first)

    assert bench.hear() == FrameMissed(7, 0, first, "overrun")


@pytest.mark.parametrize(
    ("level", "ejected", "is_own"),
    [
        (Level.L0, 3, True),
        (Level.L1, 3, True),
        (Level.L2_CHEAPER, 5, False),  # the quicker model here takes everything for stones
        (Level.L2_NORM, 0, False),  # the table of the tests' model is empty: the first class, which is good
        (Level.L3, 0, False),
        (Level.L0, 3, True),
    ],
)
def test_each_level_has_its_classifier_and_records_say_whose_decisions_they_are(
    bench: Bench, level: Level, ejected: int, is_own: bool
) -> None:
    bench.shared.vitals.level = level
    number = bench.write(draw_pieces(PIECES))
    bench.announce(number)

    claimed, news = bench.hear(), bench.hear()
    assert isinstance(claimed, FrameClaimed)
    assert isinstance(news, FrameDecided)
    assert (news.objects, len(news.boxes) // 32) == (len(PIECES), ejected)
    assert bench.record_of(number).is_own == is_own
    bench.shared.vitals.level = Level.L0
