"""The bridge process against a virtual controller on a terminal: what it fires, and how it leaves."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_runs import board_on_pty

from edge_runtime.config import to_toml
from edge_runtime.errors import PeerGoneError
from edge_runtime.live.books import CameraCounts
from edge_runtime.live.bridge import BridgePlan
from edge_runtime.live.messages import FrameDecided, Order, ProcessReady, Stop, Wish, decode_child_news, encode
from edge_runtime.live.packets import wait_for
from edge_runtime.live.processes import Role, start_process
from edge_runtime.live.shared_state import SharedState
from edge_runtime.realtime import RealtimeSettings
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.clock import NS_PER_S, SystemClock
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.virtual_board import VirtualBoard

LIMIT_S = 20.0
ANCHORS = 3
CAMERA = Camera("top", width_px=64, frame_lines=400, to_valves_mm=900.0)  # a frame takes 40 ms
CLOCK = SystemClock()


class TriggeredBoard(VirtualBoard):
    """A board whose triggers come from another thread, and that remembers what it fired."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers: deque[tuple[int, int]] = deque()
        self.all_fired: list[FiredPulse] = []

    def advance(self, now_ns: int) -> None:
        while self.triggers:
            self.trigger(*self.triggers.popleft())
        super().advance(now_ns)

    def take_fired(self) -> list[FiredPulse]:
        fired = super().take_fired()
        self.all_fired += fired
        return fired


class Bench:
    """Everything around a bridge: shared state, controller, supervisor."""

    def __init__(self, machine: Machine, path: Path, board: TriggeredBoard) -> None:
        path.write_text(to_toml(machine), encoding="utf-8")
        self.board = board
        self.shared = SharedState.create(machine, bands=3, rows=1, channels=1)
        share = self.shared.cameras[0]
        ring_fd, books_fd, news_fd = share.ring.memory.fd, share.books.memory.fd, self.shared.news.receiver.fileno()
        records_fd = self.shared.records.sender.fileno()
        role = Role(
            "bridge",
            "bridge",
            0,
            RealtimeSettings(is_memory_locked=False),
            lambda child: BridgePlan(child, (ring_fd,), (books_fd,), news_fd, records_fd),
            (ring_fd, books_fd, news_fd, records_fd),
        )
        self.running = start_process(role, 1, machine=str(path), vitals_fd=self.shared.vitals.memory.fd)
        self.control = self.running.control

    def order(self, order: Order) -> None:
        assert self.control.send(encode(order))

    def hear(self) -> object:
        assert wait_for([self.control], LIMIT_S)
        message = self.control.receive()
        return None if message is None else decode_child_news(message)

    def until(self, is_done: Callable[[], bool]) -> None:
        end_ns = CLOCK.monotonic_ns() + round(LIMIT_S * NS_PER_S)
        while not is_done():
            assert CLOCK.monotonic_ns() < end_ns
            CLOCK.sleep_s(0.002)

    def show(self, *, is_decided: bool) -> None:
        """Let a frame come, with a trigger, and where wished with a decision about one bad object."""
        CLOCK.sleep_s(0.04)
        share, now_ns = self.shared.cameras[0], CLOCK.monotonic_ns()
        number = share.ring.published
        self.board.triggers.append((number, now_ns))
        pixels = np.zeros((8, 64, 3), np.uint8)
        share.ring.write(pixels, first_line=8 * number, frame_id=number, exposed_ns=now_ns)
        if is_decided:
            box = np.array([[20, 8 * number, 9, 6]], "<i8").tobytes()
            self.shared.news.sender.send(encode(FrameDecided(2, 0, number, number, 8 * number, now_ns, 1, box)))

    def end(self) -> CameraCounts:
        assert self.running.wait(LIMIT_S)
        return self.shared.cameras[0].books.counts(self.shared.cameras[0].ring.published)

    def close(self) -> None:
        self.running.kill()
        self.running.wait(LIMIT_S)
        self.running.close()
        self.shared.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    board = TriggeredBoard()
    with board_on_pty(board) as port:
        machine = Machine("desk", (CAMERA,), (Lane(3, 0.0, 6.4),), belt_mm_s=1000.0, min_lead_ms=0.0, port=port)
        bench = Bench(machine, tmp_path / "machine.toml", board)
        try:
            assert isinstance(bench.hear(), ProcessReady)
            yield bench
        finally:
            bench.close()


def arm(bench: Bench) -> None:
    bench.order(Wish(is_armed=True, feeder_permille=1000))
    bench.until(lambda: bench.shared.vitals.is_armed and bench.board.feeder_permille == 1000)
    for _ in range(ANCHORS):  # until it is sure which trigger belongs to which frame
        bench.show(is_decided=False)


def test_told_to_stop_it_fires_at_what_is_on_its_way_and_leaves_nothing_open(bench: Bench) -> None:
    arm(bench)
    bench.show(is_decided=True)
    bench.show(is_decided=False)
    bench.order(Stop())

    counts = bench.end()
    assert counts.ends == {"fired": 1}
    assert (counts.missing, counts.open_frames, counts.open_objects) == ({"late": 1 + ANCHORS}, 0, 0)
    assert [(pulse.first_valve, pulse.valve_count) for pulse in bench.board.all_fired] == [(3, 1)]
    assert (bench.board.feeder_permille, bench.shared.vitals.is_armed) == (0, False)


def test_not_armed_it_fires_at_nothing_and_says_so(bench: Bench) -> None:
    bench.show(is_decided=True)
    bench.until(lambda: bench.shared.cameras[0].books.counts(1).ends == {"unsorted": 1})
    bench.order(Stop())

    assert bench.end().ends == {"unsorted": 1}
    assert bench.board.all_fired == []


def test_a_service_manager_that_asks_all_processes_to_end_leaves_the_order_to_the_supervisor(bench: Bench) -> None:
    arm(bench)
    os.kill(bench.running.pid, signal.SIGTERM)
    bench.show(is_decided=True)
    bench.order(Stop())

    assert bench.end().ends == {"fired": 1}
    assert bench.running.ended() == "exit 0"


def test_without_a_supervisor_it_turns_the_feeder_off_and_ends(bench: Bench) -> None:
    arm(bench)
    bench.control.close()
    bench.end()

    assert bench.running.ended() == f"exit {PeerGoneError.exit_code}"
    bench.until(lambda: bench.board.feeder_permille == 0)


def test_a_frame_that_was_never_announced_is_told_from_a_late_one(bench: Bench) -> None:
    share = bench.shared.cameras[0]
    bench.show(is_decided=False)
    share.ring.mark_unannounced(0)
    bench.show(is_decided=False)
    bench.until(lambda: share.books.counts(2).missing == {"queue_full": 1})
    bench.order(Stop())

    assert bench.end().missing == {"queue_full": 1, "late": 1}
