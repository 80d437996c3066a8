"""A capture process between a camera on a socket and the ring: what enters the ring, and what outlives it."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.cameras.virtual_camera import BLOCK_HEADER, WHOLE
from edge_runtime.config import to_toml
from edge_runtime.errors import PeerGoneError
from edge_runtime.live.capture import CapturePlan
from edge_runtime.live.messages import (
    Announce,
    FrameReady,
    ProcessReady,
    Stop,
    decode_child_news,
    decode_frame_ready,
    encode,
)
from edge_runtime.live.packets import wait_for
from edge_runtime.live.processes import Role, Running, start_process
from edge_runtime.live.shared_state import SharedState
from edge_runtime.realtime import RealtimeSettings
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.clock import NS_PER_S, SystemClock

LIMIT_S = 20.0
CLOCK = SystemClock()


class Bench:
    """Everything around a capture process; the camera is this object."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(folder / "camera.sock"))
        self.listener.listen()
        self.listener.settimeout(LIMIT_S)
        camera = Camera("top", width_px=64, frame_lines=8, source=f"virtual:{folder}/camera.sock")
        machine = Machine("desk", (camera,), (Lane(3, 0.0, 6.4),))
        self.path = folder / "machine.toml"
        self.path.write_text(to_toml(machine), encoding="utf-8")
        self.shared = SharedState.create(machine, bands=3, rows=1, channels=2)
        self.ring, self.tally = self.shared.cameras[0].ring, self.shared.cameras[0].tally
        self.running = self.start(1)
        self.eye, _ = self.listener.accept()

    def start(self, number: int) -> Running:
        ring_fd, tally_fd = self.ring.memory.fd, self.tally.memory.fd
        frames = tuple(pair.sender.fileno() for pair in self.shared.frames)
        role = Role(
            "capture-top",
            "capture",
            0,
            RealtimeSettings(is_memory_locked=False),
            lambda child: CapturePlan(child, 0, ring_fd, tally_fd, frames),
            (ring_fd, tally_fd, *frames),
        )
        return start_process(role, number, machine=str(self.path), vitals_fd=self.shared.vitals.memory.fd)

    def restart(self) -> None:
        """Kill the process and start another."""
        self.running.kill()
        assert self.running.wait(LIMIT_S)
        self.running.close()
        self.eye.close()
        shown_and_kept = self.tally.memory.array(0, np.dtype(np.uint64), (2,))
        shown_and_kept[:] = self.ring.published - 1  # as if it had been killed before it could count the last frame
        self.running = self.start(2)
        self.eye, _ = self.listener.accept()

    def show(self, frame_id: int, *, ahead_s: float = 0.0) -> None:
        exposed_ns = CLOCK.monotonic_ns() + round(ahead_s * NS_PER_S)
        header = BLOCK_HEADER.pack(WHOLE, frame_id, 8 * frame_id, 8, 64, 3, exposed_ns)
        self.eye.sendall(header + np.full((8, 64, 3), frame_id, np.uint8).tobytes())

    def hear(self, channel: int = 0) -> FrameReady:
        receiver = self.shared.frames[channel].receiver
        assert wait_for([receiver], LIMIT_S)
        return decode_frame_ready(receiver.receive() or b"")

    def ready(self) -> None:
        assert wait_for([self.running.control], LIMIT_S)
        assert isinstance(decode_child_news(self.running.control.receive() or b""), ProcessReady)

    def close(self) -> None:
        with suppress(PeerGoneError):  # a test may have stopped it
            self.running.control.send(encode(Stop()))
        assert self.running.wait(LIMIT_S)
        self.running.close()
        self.eye.close()
        self.listener.close()
        self.shared.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    try:
        yield bench
    finally:
        bench.close()


def test_frames_enter_the_ring_in_order_and_are_announced_where_it_was_ordered(bench: Bench) -> None:
    bench.show(5)
    assert bench.hear() == FrameReady(0, 0)
    bench.show(6)
    assert bench.hear() == FrameReady(0, 1)
    bench.ready()
    bench.running.control.send(encode(Announce(1)))
    for frame_id in range(7, 107):  # from some frame on
        bench.show(frame_id)
        if wait_for([bench.shared.frames[1].receiver], 0.05):
            break
    number = bench.hear(1).number

    frame = bench.ring.read(number)
    assert frame is not None
    assert (frame.frame_id, frame.first_line) == (number + 5, 8 * number)
    assert (frame.pixels == number + 5).all()


def test_a_killed_capture_is_followed_by_one_that_goes_on_counting(bench: Bench) -> None:
    for frame_id in range(3):
        bench.show(frame_id)
        assert bench.hear() == FrameReady(0, frame_id)
    bench.restart()
    bench.show(0)
    assert bench.hear() == FrameReady(0, 3)
    bench.running.control.send(encode(Stop()))
    assert bench.running.wait(LIMIT_S)

    before, after = bench.ring.read(2), bench.ring.read(3)
    assert before is not None
    assert after is not None
    assert after.first_line >= before.end_line  # lines never go back
    assert (bench.tally.read().shown, bench.tally.read().kept) == (4, 4)
    assert bench.ring.published == 4 + 1  # and a frame of no lines, with which the scene ends


def test_one_stamp_from_the_future_does_not_blind_the_successor(bench: Bench) -> None:
    bench.show(0, ahead_s=3600.0)
    assert bench.hear() == FrameReady(0, 0)
    bench.restart()
    bench.show(1)

    assert bench.hear() == FrameReady(0, 1)
    assert bench.tally.read().repeated == 0


def test_a_camera_that_opens_and_gives_nothing_is_opened_ever_more_seldom(bench: Bench) -> None:
    begin_ns, openings = CLOCK.monotonic_ns(), 0
    while CLOCK.monotonic_ns() - begin_ns < 2 * NS_PER_S:
        bench.eye.close()
        bench.eye, _ = bench.listener.accept()
        openings += 1

    assert openings < 12  # pauses of 20, 40, 80, 160, 320, 500 ms
