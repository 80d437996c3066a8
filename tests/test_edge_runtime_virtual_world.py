"""The world with a whole host in one thread and in virtual time: what passes, what is hit, what faults do."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from world_host import BLOCK_LINES, DEFAULTS, MACHINE, WorldHost, make_scene, make_world

from edge_runtime.cameras.virtual_camera import open_virtual_camera
from edge_runtime.errors import StorageError
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_world import VirtualWorld, WorldSettings
from edge_runtime.virtual_world_judge import judge
from edge_runtime.virtual_world_outcome import WorldFacts, WorldStatus, load_outcome, save_outcome
from firmware_bridge.clock import ManualClock


class Desk:
    """A world and its host."""

    def __init__(self, folder: Path, settings: WorldSettings = DEFAULTS, *, pieces: int = 300) -> None:
        self.clock = ManualClock()
        self.folder = folder
        self.world: VirtualWorld = make_world(folder, self.clock, make_scene(pieces=pieces), settings)
        self.host = WorldHost(self.world, folder, self.clock)

    def start(self) -> None:
        self.host.connect_cameras()
        self.host.arm()

    def ask(self, command: str) -> str:
        """Send a command while the world's time passes in this thread."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.folder / "world.ctl"))
            connection.sendall(command.encode() + b"\n")
            for _ in range(3):
                self.host.run_once()
            return connection.recv(4096).decode().strip()

    def status(self) -> WorldStatus:
        return msgspec.json.decode(self.ask("status"), type=WorldStatus)

    def close(self) -> None:
        self.host.close()
        self.world.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.close()


def test_a_host_that_sorts_well_gets_what_perfect_timing_gets(desk: Desk) -> None:
    desk.start()
    desk.host.run()

    outcome = desk.world.outcome()
    judgement = judge(outcome, desk.host.decisions)

    assert outcome.report.landed == 300
    assert judgement.live == judgement.oracle
    assert judgement.live.bad_removed == 1.0
    assert judgement.live.purity == 1.0
    assert (judgement.purity_gap, judgement.yield_gap) == (0.0, 0.0)
    assert judgement.live_company.jets == judgement.oracle_company.jets == 67


def test_everything_that_passed_is_in_the_books(desk: Desk) -> None:
    desk.start()
    desk.host.run()

    report = desk.world.outcome().report

    assert [books.name for books in report.cameras] == ["top", "side"]
    for books in report.cameras:
        assert books.passed == books.sent > 80
        assert not (books.dropped or books.absent or books.stalled or books.lost or books.repeated)
    assert [(change.state, change.reason) for change in report.states] == [
        ("SAFE", "host"),
        ("IDLE", "host"),
        ("ARMED", "host"),
    ]
    assert report.feeder[-1].permille == 1000
    assert (report.fired_twice, report.fired_late, report.boots, report.dropped_b) == (0, 0, 0, 0)
    assert set(report.refusals) == {"MERGED"}  # each piece is asked for by both views


def test_the_pieces_wait_for_cameras_and_an_armed_controller(desk: Desk) -> None:
    desk.host.connect_cameras()
    desk.host.run_for(0.2)
    seen_before = desk.world.scene_line
    desk.host.arm()
    desk.host.run_for(0.2)

    assert seen_before is None
    assert desk.world.scene_line is not None
    facts = msgspec.json.decode((desk.folder / "world.json").read_bytes(), type=WorldFacts)
    assert facts.scene_line == desk.world.scene_line
    assert facts.scene_line % BLOCK_LINES == 0


def test_a_world_tells_where_its_controller_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    told = []
    for name, machine in {"pty": MACHINE, "tcp": msgspec.structs.replace(MACHINE, port=port)}.items():
        folder = tmp_path / name
        folder.mkdir()
        VirtualWorld(folder, machine, scene=make_scene(pieces=5), settings=DEFAULTS, clock=ManualClock()).close()
        told.append(msgspec.json.decode((folder / "world.json").read_bytes(), type=WorldFacts).controller)

    assert told == [str(tmp_path / "pty" / "controller"), port]


def test_a_world_that_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "world.json").mkdir()

    with pytest.raises(StorageError, match=r"cannot write .*world\.json"):
        make_world(tmp_path, ManualClock(), make_scene(pieces=5))

    assert [path.name for path in tmp_path.iterdir()] == ["world.json"]


def test_without_anybody_the_pieces_come_when_it_is_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, WorldSettings(start_s=0.1), pieces=60)

    desk.host.run()
    report = desk.world.outcome().report
    desk.close()

    assert (report.landed, report.sort.good_thrown, report.sort.bad_thrown) == (60, 0, 0)
    assert [books.absent for books in report.cameras] == [books.passed for books in report.cameras]


def test_an_outcome_survives_the_disk(desk: Desk) -> None:
    desk.start()
    desk.host.run()
    outcome = desk.world.outcome()

    save_outcome(desk.folder, outcome)
    again = load_outcome(desk.folder)

    assert again.report == outcome.report
    assert judge(again, desk.host.decisions) == judge(outcome, desk.host.decisions)


def test_a_power_cut_is_told_and_times_stay_on_one_axis(tmp_path: Path) -> None:
    desk = Desk(tmp_path, pieces=700)
    desk.start()
    desk.host.run_for(0.6)
    desk.world.cut_power()
    desk.host.run_for(0.55)  # the link notices
    desk.host.arm()
    desk.host.run()
    desk.close()

    outcome = desk.world.outcome()
    judgement = judge(outcome, desk.host.decisions)

    assert outcome.report.boots == 1
    assert "power_cut" in [change.reason for change in outcome.report.states]
    assert [change.at_us for change in outcome.report.states] == sorted(
        change.at_us for change in outcome.report.states
    )
    assert set(outcome.pulses[:, 0].tolist()) == {0, 1}
    assert outcome.report.fired_twice == 0
    assert 0 < judgement.live.missed < judgement.live.bad
    assert judgement.oracle.missed == 0
    assert judgement.purity_gap is not None
    assert judgement.purity_gap < 0


def test_a_valve_that_is_open_closes_with_the_power(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.503)  # in the middle of a pulse
    desk.world.cut_power()

    log = desk.world.controller.log

    assert log.pulses[-1].close_us == log.us_at(desk.clock.monotonic_ns())
    assert 0 < log.pulses[-1].close_us - log.pulses[-1].open_us < 2500


def test_a_silent_line_leads_to_the_safe_state(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.3)
    answer = desk.ask("silence 400")
    desk.host.run_for(0.5)

    assert answer == "ok"
    states = desk.world.outcome().report.states
    assert (states[-1].state, states[-1].reason) == ("SAFE", "HOST_SILENT")


def test_a_stalled_camera_counts_on(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.3)
    desk.ask("stall top 100")
    desk.host.run()

    top, side = desk.world.outcome().report.cameras

    assert 10 <= top.stalled <= 14  # 8.32 ms a block
    assert top.passed == top.sent + top.stalled
    assert side.stalled == 0


def test_a_camera_that_is_gone_refuses_until_it_is_back(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.3)
    desk.ask("gone side 200")
    desk.host.run_for(0.1)
    desk.host.connect_cameras()
    desk.host.run_for(0.01)
    during = desk.status().connected
    desk.host.run_for(0.2)
    desk.host.connect_cameras()
    desk.host.run_for(0.01)
    after = desk.status().connected

    assert (during, after) == (("top",), ("top", "side"))
    assert desk.world.outcome().report.cameras[1].absent > 20


def test_repeated_and_incomplete_blocks_are_told_apart(desk: Desk) -> None:
    desk.start()
    camera = open_virtual_camera(desk.folder / "camera.sock", MACHINE.cameras[0], desk.clock)  # in place of the host's
    desk.host.run_for(0.05)
    desk.ask("repeat top")
    desk.host.run_for(0.03)
    desk.ask("incomplete top")
    desk.host.run_for(0.03)
    frames = []
    while (frame := camera.take(0.0)) is not None:
        frames.append((frame.frame_id, frame.is_complete, bool(frame.pixels[96:].any())))
    camera.close()

    numbers = [number for number, _, _ in frames]
    assert sorted(set(numbers)) == list(range(numbers[0], numbers[-1] + 1))
    assert len(numbers) == len(set(numbers)) + 1
    assert [(is_complete, has_pixels) for _, is_complete, has_pixels in frames].count((False, False)) == 1
    assert desk.world.outcome().report.cameras[0].incomplete == 1


def test_a_client_that_does_not_read_loses_whole_blocks_and_hinders_nobody(tmp_path: Path) -> None:
    desk = Desk(tmp_path, WorldSettings(buffer_blocks=1))
    desk.start()
    camera = open_virtual_camera(desk.folder / "camera.sock", MACHINE.cameras[0], desk.clock)
    desk.host.run_for(0.6)
    numbers = []
    while (frame := camera.take(0.0)) is not None:
        numbers.append(frame.frame_id)
        desk.host.run_once()
    desk.host.run_for(0.1)
    top, side = desk.world.outcome().report.cameras
    camera.close()
    desk.close()

    assert top.dropped > 10
    assert side.dropped == 0
    assert max(b - a for a, b in itertools.pairwise(numbers)) > 10
    assert numbers == sorted(set(numbers))


def test_an_unplugged_line_comes_back_under_its_name(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.1)
    desk.ask("unplug 50")
    is_there = (desk.folder / "controller").exists()
    desk.clock.advance_ns(60_000_000)
    desk.world.step(0.0)

    assert (is_there, (desk.folder / "controller").exists()) == (False, True)


def test_an_inspection_tells_of_its_share_by_the_board_clock(tmp_path: Path) -> None:
    desk = Desk(tmp_path, WorldSettings(inspection=InspectionTraits(share=1.0)), pieces=100)
    desk.start()
    desk.host.run()
    outcome, verdicts = desk.world.outcome(), desk.host.verdicts
    report, board, line_0_ns = outcome.report, desk.world.controller.board, desk.world.plan.line_0_ns
    middles = (outcome.passages.begin_ticks + outcome.passages.end_ticks) // 2
    ticks = [board.tick_at(line_0_ns + (us + 100_000) * 1000) % 2**32 for us in middles.tolist()]  # 200 mm on
    desk.close()

    assert report.verdicts == len(verdicts) == 100
    assert sorted(verdict.tick for verdict in verdicts) == sorted(ticks)
    assert report.verdicts_lost == 0
    assert {verdict.source.name for verdict in verdicts if verdict.class_id == 1} == {"INSPECTION_REJECT"}
    assert {verdict.source.name for verdict in verdicts if verdict.class_id == 0} == {"INSPECTION_ACCEPT"}


def test_stop_ends_it_and_what_has_not_landed_is_left_out(desk: Desk) -> None:
    desk.start()
    desk.host.run_for(0.6)
    desk.ask("stop")

    outcome = desk.world.outcome()

    assert desk.world.is_over
    assert 0 < outcome.report.landed < 300
    assert outcome.report.sort.pieces == outcome.report.landed == outcome.pieces.count
    assert int(outcome.passages.end_ticks.max()) * 1000 <= desk.clock.monotonic_ns()


def test_a_scene_passes_again_and_again_until_there_are_enough_pieces(tmp_path: Path) -> None:
    clock = ManualClock()
    scene = make_scene(pieces=120, most_pieces=50)
    world = make_world(tmp_path, clock, scene, WorldSettings(start_s=0.0))
    while not world.is_over:
        clock.advance_ns(2_000_000)
        world.step(0.0)
    outcome = world.outcome()
    world.close()

    assert (scene.rounds, outcome.report.landed) == (3, 150)
    lines = outcome.pieces.first_lines
    assert np.array_equal(lines[50:100] - lines[:50], np.full(50, len(scene.blocks) * BLOCK_LINES))
    assert np.array_equal(outcome.pieces.class_ids[:50], outcome.pieces.class_ids[100:])
