"""A run killed at any moment ends with the bytes of an undisturbed one: model, golden crops, card and ledger."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from trainer_runs import SAMPLES, SETTINGS, answers, books, go

from trainer.demo.synthetic import make_synthetic_pool

# Runs in a process of its own, on "folder:life" arguments. Every life is a fork that dies by SIGKILL: at its n-th touch
# of a file of the run, or, with a point, after so many seconds. Life 0 ends by itself and prints how often it touched.
LIVES = """
import os, signal, sys
from pathlib import Path
import msgspec
from edge_runtime.crop import CropSpec
from firmware_bridge.clock import ManualClock
from trainer.export.onnx_export import OnnxTemplate
from trainer.pool.pool import Pool
from trainer.loop.run import RunPlan, run
from trainer.settings import RunSettings

class Silent:
    def step(self, what, done, total): pass
    def round_done(self, record, seconds): pass

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def live(folder, life):
    touched = 0
    def hook(event, args):
        nonlocal touched
        if event in ("open", "os.rename") and str(args[0]).startswith(str(folder / "run")):
            touched += 1
            if touched == death:
                die()
    death = 0 if "." in life else int(life)
    sys.addaudithook(hook)
    if "." in life:
        signal.signal(signal.SIGALRM, die)
        signal.setitimer(signal.ITIMER_REAL, float(life))
    with Pool.open(folder / "p.pool") as pool:
        run(pool, RunPlan(folder / "run", settings), ManualClock(), Silent())
    print(touched, flush=True)

settings = msgspec.json.decode(sys.argv[1], type=RunSettings)
OnnxTemplate("small", CropSpec(side_px=16), 3)
for argument in sys.argv[2:]:
    folder, _, life = argument.rpartition(":")
    child = os.fork()
    if child == 0:
        live(Path(folder), life)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, status
"""


def live(*lives: tuple[Path, str]) -> list[int]:
    """Live these lives one after the other; return how often each that came to its end had touched a file."""
    command = [sys.executable, "-c", LIVES, msgspec.json.encode(SETTINGS).decode()]
    command += [f"{folder}:{life}" for folder, life in lives]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def new_folder(path: Path) -> Path:
    path.mkdir()
    make_synthetic_pool(path / "p.pool", SAMPLES)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = new_folder(tmp_path_factory.mktemp("undisturbed") / "whole")
    go(folder)
    return folder


def test_a_run_killed_at_three_writes_ends_as_if_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    """In its first file, in the file of the third round, and half way through the model folder."""
    folder = new_folder(tmp_path / "killed")
    ends = live(*((folder, life) for life in ("3", "8", "14", "0")))
    assert len(ends) == 1
    assert answers(folder / "run") == answers(undisturbed / "run")
    assert books(folder / "p.pool") == books(undisturbed / "p.pool")


@pytest.mark.long
def test_a_run_killed_at_any_write_ends_as_if_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    touches = live((new_folder(tmp_path / "whole"), "0"))[0]
    assert touches > 30
    folders = [new_folder(tmp_path / f"killed-{at}") for at in range(1, touches + 1)]
    ends = live(*((folder, life) for at, folder in enumerate(folders, start=1) for life in (str(at), "0")))
    assert len(ends) == touches
    for folder in folders:
        assert answers(folder / "run") == answers(undisturbed / "run")
        assert books(folder / "p.pool") == books(undisturbed / "p.pool")


@pytest.mark.long
def test_a_run_killed_20_times_at_random_moments_ends_as_if_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "killed")
    moments = np.random.default_rng(0).uniform(0.02, 0.6, 20)
    live(*((folder, f"{moment:.3f}") for moment in moments), (folder, "0"))
    assert answers(folder / "run") == answers(undisturbed / "run")
    assert books(folder / "p.pool") == books(undisturbed / "p.pool")
