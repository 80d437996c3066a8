"""A whole run against a virtual machine in real time: cameras, controller, valves, all processes."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from tiny_model import COLOURS

from edge_runtime.config import to_toml
from edge_runtime.errors import ConfigError, EdgeError
from edge_runtime.live.books import CameraCounts
from edge_runtime.live.run import LiveRun, RunWish
from edge_runtime.live.run_report import LiveReport
from edge_runtime.live_settings import LiveSettings
from edge_runtime.schemas import Camera, Lane, Machine
from edge_runtime.virtual_world_outcome import OUTCOME_FILE, WorldReport
from firmware_bridge.clock import NS_PER_S, SystemClock

PIECES = 240
LIMIT_S = 40.0  # of a machine that does other things as well


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    """A folder with a machine file, and grains for its world."""
    folder = tmp_path_factory.mktemp("live")
    rng = np.random.default_rng(3)
    for name, colour in COLOURS.items():
        (folder / "grains" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.zeros((44, 36, 3), np.uint8)
            height, width = rng.integers(14, 24, 2).tolist()
            noise = rng.integers(-15, 16, (height, width, 3))
            picture[8 : 8 + height, 6 : 6 + width] = np.clip(np.array(colour) + noise, 0, 255)
            cv2.imwrite(str(folder / "grains" / name / f"{number}.png"), picture)
    write_machine(folder / "machine.toml", folder / "world", tiny_model_folder)
    return folder


def write_machine(path: Path, world: Path, model: Path, **changes: str) -> None:
    camera = Camera(
        width_px=512, pixel_mm=0.13, to_valves_mm=600.0, source=changes.get("source", f"virtual:{world}/camera.sock")
    )
    machine = Machine(
        "desk",
        (camera,),
        tuple(Lane(valve, 5.0 * valve, 5.0 * valve + 5.0) for valve in range(14)),
        belt_mm_s=1000.0,
        min_lead_ms=0.0,  # a machine that does other things as well is no reason not to arm here
        port=changes.get("port", str(world / "controller")),
        live=LiveSettings(model=str(model), priority=0, hang_s=20.0, metrics_port=0, send_ahead_ms=200.0),
    )
    path.write_text(to_toml(machine), encoding="utf-8")


@contextmanager
def world(place: Path, model: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Let a virtual machine run beside; it writes its outcome when it is told to end."""
    arguments = ["--model", model, "--machine", place / "machine.toml", "--folder", place / "world"]
    arguments += ["--grains", place / "grains", "--pieces", PIECES, "--rate", 160, *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime", "world", *map(str, arguments), "--json"], stdout=subprocess.DEVNULL
    )
    with process, ExitStack() as stack:
        stack.callback(process.terminate)
        yield process


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def counts_of(report: LiveReport) -> CameraCounts:
    return report.cameras[0].counts


def adds_up(report: LiveReport) -> bool:
    counts, kept = counts_of(report), report.cameras[0].given.kept
    frames = counts.frames_in == counts.processed + sum(counts.missing.values()) + counts.open_frames
    objects = counts.objects == counts.passed + sum(counts.ends.values()) + counts.open_objects
    return frames and objects and counts.frames_in - kept in {0, 1}  # a frame of no lines ends the scene


def until(live: LiveRun, is_done: Callable[[CameraCounts], bool]) -> Callable[[], bool]:
    """Return what stops a run when its books say so, when something is wrong, or when it takes too long."""
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + round(LIMIT_S * NS_PER_S)

    def should_stop() -> bool:
        report = live.report()
        return clock.monotonic_ns() > end_ns or report.trouble != "" or is_done(counts_of(report))

    return should_stop


def test_an_armed_run_sees_every_piece_fires_at_the_bad_ones_and_stops_clean(
    place: Path, tiny_model_folder: Path
) -> None:
    with world(place, tiny_model_folder) as process:
        live = LiveRun(RunWish(place / "machine.toml", is_armed=True), SystemClock())
        report = live.run(until(live, lambda counts: counts.objects >= PIECES // 2))
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    outcome = msgspec.json.decode((place / "world" / OUTCOME_FILE).read_bytes(), type=WorldReport)

    counts = counts_of(report)
    assert adds_up(report)
    assert (counts.open_frames, counts.open_objects) == (0, 0)
    assert not report.is_armed
    if report.trouble.startswith("not armed again after"):
        pytest.skip(f"this computer is too busy to keep a controller armed: {report.trouble}")
    assert report.trouble == ""
    assert [(process.pid, process.ended) for process in report.processes] == [(0, 0)] * 4
    assert (outcome.fired_twice, outcome.fired_late) == (0, 0)
    assert outcome.feeder[-1].permille == 0
    assert counts.missing.keys() <= {"late", "overrun"}  # of a machine that does other things as well
    assert counts.ends.keys() <= {"fired", "merged", "late", "lost", "untold"}
    assert counts.ends.get("fired", 0) + counts.ends.get("merged", 0) > 0.5 * (counts.objects - counts.passed) > 1
    assert outcome.sort.bad_thrown > outcome.sort.good_thrown


def test_without_armed_a_run_only_looks_and_ends_on_ctrl_c(place: Path, tiny_model_folder: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(place / "machine.toml"), "--json"]
    with (
        world(place, tiny_model_folder, "--start-s", "8") as machine,
        subprocess.Popen(command, stdout=subprocess.PIPE) as run,
    ):
        assert machine.wait(LIMIT_S) == 0
        run.send_signal(signal.SIGINT)
        text, _ = run.communicate(timeout=LIMIT_S)

    assert run.returncode == 0
    report = msgspec.json.decode(text, type=LiveReport)
    outcome = msgspec.json.decode((place / "world" / OUTCOME_FILE).read_bytes(), type=WorldReport)
    counts = counts_of(report)
    assert adds_up(report)
    assert counts.processed > 0
    if not counts.missing:
        assert (counts.objects, counts.passed) == (outcome.landed, outcome.sort.good_kept)
    assert counts.objects - counts.passed == counts.ends.get("unsorted", 0)
    assert counts.ends.keys() <= {"unsorted"}
    assert (outcome.pulses, {change.permille for change in outcome.feeder} - {0}) == (0, set())
    assert not report.wants_armed


@pytest.mark.long
def test_the_books_add_up_when_each_process_is_killed_twice(place: Path, tiny_model_folder: Path) -> None:
    victims = ["vision-a0", "capture-top", "bridge"] * 2
    killed: dict[int, int] = {}  # pid -> frames when it was killed

    def kill_when_all_work(counts: CameraCounts) -> bool:
        processes = {process.name: process for process in live.report().processes}
        if counts.objects < 5 or any(one.state != "working" or one.pid in killed for one in processes.values()):
            return False
        if not victims:
            return counts.frames_in > max(killed.values()) + 20
        pid = processes[victims.pop()].pid
        killed[pid] = counts.frames_in
        os.kill(pid, signal.SIGKILL)
        return False

    with world(place, tiny_model_folder, "--pieces", "600", "--rate", "40") as process:
        live = LiveRun(RunWish(place / "machine.toml", is_armed=True), SystemClock())
        report = live.run(until(live, kill_when_all_work))
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    outcome = msgspec.json.decode((place / "world" / OUTCOME_FILE).read_bytes(), type=WorldReport)

    counts = counts_of(report)
    assert adds_up(report)
    assert (counts.open_frames, counts.open_objects) == (0, 0)
    assert victims == []
    assert [process.ended for process in report.processes] == [2, 2, 2, 0]
    assert outcome.fired_twice == 0
    assert counts.missing.keys() <= {"late", "overrun", "worker_lost", "bridge_lost"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"source": ""}, "camera top has no source"), ({"port": ""}, "no port of the controller")],
)
def test_a_machine_without_source_or_port_is_refused(
    tmp_path: Path, tiny_model_folder: Path, changes: dict[str, str], message: str
) -> None:
    write_machine(tmp_path / "machine.toml", tmp_path, tiny_model_folder, **changes)
    with pytest.raises(ConfigError, match=message):
        LiveRun(RunWish(tmp_path / "machine.toml"), SystemClock())


def test_a_model_folder_that_is_not_there_is_refused(tmp_path: Path, tiny_model_folder: Path) -> None:
    write_machine(tmp_path / "machine.toml", tmp_path, tiny_model_folder)
    with pytest.raises(EdgeError, match="nowhere"):
        LiveRun(RunWish(tmp_path / "machine.toml", tmp_path / "nowhere"), SystemClock())


def test_a_source_that_is_no_camera_ends_the_run_with_its_own_message(tmp_path: Path, tiny_model_folder: Path) -> None:
    write_machine(tmp_path / "machine.toml", tmp_path, tiny_model_folder, source="nothing:here")
    before = open_files()
    live = LiveRun(RunWish(tmp_path / "machine.toml", for_s=LIMIT_S), SystemClock())
    with pytest.raises(ConfigError, match="nothing"):
        live.run(lambda: False)
    del live
    gc.collect()  # a run and its reporter know each other
    assert len(open_files()) <= len(before)


def children() -> set[str]:
    """Return the processes that this thread has started."""
    return set(Path("/proc/thread-self/children").read_text(encoding="ascii").split())


def test_whatever_ends_a_run_no_process_is_left_behind(tmp_path: Path, tiny_model_folder: Path) -> None:
    write_machine(tmp_path / "machine.toml", tmp_path, tiny_model_folder)
    before, open_before = children(), len(open_files())
    live = LiveRun(RunWish(tmp_path / "machine.toml"), SystemClock())
    looks: list[set[str]] = []

    def interrupt() -> bool:
        looks.append(children() - before)
        if len(looks) > 2:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        live.run(interrupt)
    assert [len(look) for look in looks] == [0, 3, 3]
    assert children() == before
    del live
    gc.collect()  # a run and its reporter know each other
    assert len(open_files()) <= open_before


def test_pulses_that_would_all_be_late_are_refused_before_the_run(tmp_path: Path, tiny_model_folder: Path) -> None:
    write_machine(tmp_path / "machine.toml", tmp_path, tiny_model_folder)
    text = (tmp_path / "machine.toml").read_text(encoding="utf-8")
    (tmp_path / "machine.toml").write_text(text.replace("send_ahead_ms = 200.0", "send_ahead_ms = 1.5"))
    with pytest.raises(ConfigError, match="would make every pulse late"):
        LiveRun(RunWish(tmp_path / "machine.toml"), SystemClock())
