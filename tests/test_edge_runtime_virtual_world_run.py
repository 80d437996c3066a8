"""The command as a process: it ends with its pieces or with SIGTERM, and leaves its outcome."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from tiny_model import COLOURS, write_model_folder
from world_host import MACHINE

from edge_runtime.config import to_toml
from edge_runtime.errors import ConfigError
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_world import WorldSettings
from edge_runtime.virtual_world_control import ask_world
from edge_runtime.virtual_world_outcome import WorldReport, WorldStatus, load_outcome
from edge_runtime.virtual_world_run import WorldWish, run_world
from firmware_bridge.clock import NS_PER_S, CpuClock, SystemClock


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, crops and a machine file."""
    folder = tmp_path_factory.mktemp("desk")
    write_model_folder(folder / "model")
    for name, colour in COLOURS.items():
        (folder / "crops" / name).mkdir(parents=True)
        picture = np.zeros((40, 36, 3), np.uint8)
        picture[8:30, 8:26] = colour
        cv2.imwrite(str(folder / "crops" / name / "0.png"), picture)
    (folder / "machine.toml").write_text(to_toml(MACHINE), encoding="utf-8")
    return folder


def command(desk: Path, folder: Path, *options: str) -> list[str]:
    places = (
        "--model",
        desk / "model",
        "--grains",
        desk / "crops",
        "--machine",
        desk / "machine.toml",
        "--folder",
        folder,
    )
    return [sys.executable, "-m", "edge_runtime", "world", *map(str, places), *options]


def run(desk: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command(desk, folder, *options), capture_output=True, timeout=120, check=False)


@pytest.fixture
def world(desk: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Return a world that waits for a host, ready for commands."""
    with subprocess.Popen(
        command(desk, tmp_path, "--pieces", "50", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        clock = SystemClock()
        deadline_ns = clock.monotonic_ns() + 60 * NS_PER_S
        while not is_there(tmp_path) and process.poll() is None and clock.monotonic_ns() < deadline_ns:
            clock.sleep_s(0.02)
        yield process
        process.kill()


def is_there(folder: Path) -> bool:
    try:
        return bool(status_of(folder))
    except ConfigError:
        return False


def status_of(folder: Path) -> WorldStatus:
    return msgspec.json.decode(ask_world(folder, "status", timeout_s=10.0), type=WorldStatus)


def test_a_world_ends_with_its_pieces_and_is_judged(desk: Path, tmp_path: Path) -> None:
    done = run(desk, tmp_path / "world", "--pieces", "60", "--start-s", "0", "--judge", "--json")

    report = msgspec.json.decode(done.stdout, type=WorldReport)
    assert (done.returncode, done.stderr) == (0, b"")
    assert load_outcome(tmp_path / "world").report == report
    assert report.landed == report.sort.pieces == 60
    judgement = msgspec.json.decode((tmp_path / "world" / "judgement.json").read_bytes())
    assert judgement["live"]["missed"] == judgement["oracle"]["bad_thrown"] == report.sort.bad
    assert sorted(path.name for path in (tmp_path / "world").iterdir()) == [
        "judgement.json",
        "outcome.json",
        "outcome.npz",
        "world.json",
    ]


def test_sigterm_ends_a_world_that_waits(world: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    before = status_of(tmp_path)
    world.send_signal(signal.SIGUSR1)
    world.send_signal(signal.SIGTERM)
    output, errors = world.communicate(timeout=60)

    report = msgspec.json.decode(output, type=WorldReport)
    assert (world.returncode, errors) == (0, b"")
    assert (before.state, before.scene_line, before.connected) == ("SAFE", None, ())
    assert (report.boots, report.landed) == (1, 0)
    assert not (tmp_path / "world.ctl").exists()


def test_a_signal_counts_from_the_moment_a_world_can_be_found(desk: Path, tmp_path: Path) -> None:
    story = f"""
import os, signal
from pathlib import Path
from edge_runtime.virtual_world import WorldSettings
from edge_runtime.virtual_world_run import WorldWish, run_world
from firmware_bridge.clock import CpuClock, SystemClock

desk, folder = Path({str(desk)!r}), Path({str(tmp_path)!r})
numbers = [signal.SIGTERM, signal.SIGUSR1]

class Watched(SystemClock):
    def monotonic_ns(self):
        if numbers and (folder / "world.ctl").exists():
            os.kill(os.getpid(), numbers.pop())
        return super().monotonic_ns()

wish = WorldWish(desk / "model", desk / "machine.toml", folder, WorldSettings(), pieces=20, grains=desk / "crops")
run_world(wish, Watched(), CpuClock())
"""
    done = subprocess.run([sys.executable, "-c", story], check=False, timeout=120)

    assert done.returncode == 0
    assert load_outcome(tmp_path).report.boots == 1


def test_a_refused_command_says_what_to_write(world: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write stall CAMERA MS"):
        ask_world(tmp_path, "stall")

    assert ask_world(tmp_path, "stop") == "ok"
    assert world.wait(60) == 0


def test_nobody_to_ask_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no world answers at"):
        ask_world(tmp_path, "status")


def test_cameras_of_different_pixels_are_refused_before_anything_is_drawn(desk: Path, tmp_path: Path) -> None:
    other = msgspec.structs.replace(MACHINE.cameras[1], pixel_mm=0.2)
    machine = msgspec.structs.replace(MACHINE, cameras=(MACHINE.cameras[0], other))
    (desk / "other.toml").write_text(to_toml(machine), encoding="utf-8")
    wish = WorldWish(desk / "model", desk / "other.toml", tmp_path / "world", WorldSettings())

    with pytest.raises(ConfigError, match=r"camera side is line, 512 x 128 px of 0\.2 mm"):
        run_world(wish, SystemClock(), CpuClock())
    assert not (tmp_path / "world").exists()


@pytest.mark.parametrize("changes", [{"to_inspection_mm": 0.0}, {"to_inspection_mm": 300.0}, {"keeps_order": False}])
def test_an_inspection_that_the_machine_cannot_have_is_refused(
    desk: Path, tmp_path: Path, changes: dict[str, float]
) -> None:
    (tmp_path / "machine.toml").write_text(to_toml(msgspec.structs.replace(MACHINE, **changes)), encoding="utf-8")
    settings = WorldSettings(inspection=InspectionTraits(share=0.5))
    wish = WorldWish(desk / "model", tmp_path / "machine.toml", tmp_path / "world", settings)

    with pytest.raises(ConfigError, match=r"to_inspection_mm above 300\.0"):
        run_world(wish, SystemClock(), CpuClock())
    assert not (tmp_path / "world").exists()
