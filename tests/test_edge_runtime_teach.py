"""A teach lot killed at any moment, again and again: what was told to be safe is in export and pool exactly once."""

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from strategies import stub_scores
from tiny_model import COLOURS, TINY_RECIPE, draw_pieces

from edge_runtime.crop import pack_crop
from edge_runtime.decisions import OVERSIZE
from edge_runtime.inline import desk_machine
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Origin, Truth
from edge_runtime.residual_export import read_export
from edge_runtime.spool import Spool
from edge_runtime.teach import teach
from firmware_bridge.clock import ManualClock
from trainer.acquire.intake import take_in
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.samples import NewSample, sample_id

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
LINE_FRAMES = 60


class TeachProcess:
    """`sortloop-edge teach -v` in a process of its own, to be killed; its log is read with a bounded wait."""

    def __init__(self, lot: str, *, recording: Path, model: Path, spool: Path) -> None:
        command = [sys.executable, "-m", "edge_runtime", "teach", str(recording), "--class", "stone", "--lot", lot]
        command += ["--model", str(model), "--spool", str(spool), "-v"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        self._pipe = self._process.stderr.fileno()
        self._text = b""
        self._is_open = True

    def read(self, patience_s: float) -> None:
        """Read what is there, waiting at most this long for the first byte."""
        ready, _, _ = select.select([self._pipe], [], [], patience_s)
        if not ready:
            assert patience_s < PATIENCE_S, "the process says nothing"
            return
        data = os.read(self._pipe, 256)
        self._text += data
        self._is_open = data != b""

    def accepted(self) -> list[list[str]]:
        """Ids of each whole log line so far."""
        logs = [json.loads(line) for line in self._text.split(b"\n")[:-1]]
        return [log["ids"] for log in logs if log["event"] == "residual.accepted"]

    @property
    def was_killed(self) -> bool:
        """Whether the kill came before the process was done."""
        return self._process.returncode == -signal.SIGKILL

    def kill_after(self, lines: int, spins: int) -> list[str]:
        """Kill it after it told of so many frames and a few reads more; return all ids that it told."""
        while self._is_open and len(self.accepted()) < lines:
            self.read(PATIENCE_S)
        for _ in range(spins):
            self.read(0.0)
        os.kill(self._process.pid, signal.SIGKILL)
        while self._is_open:
            self.read(PATIENCE_S)
        self._process.wait(PATIENCE_S)
        assert self._process.stderr is not None
        self._process.stderr.close()
        return [record_id for ids in self.accepted() for record_id in ids]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of good and husk pieces: to a lot of stone, every decision is a mistake."""
    folder = tmp_path_factory.mktemp("lot")
    for number in range(LINE_FRAMES):
        frame = draw_pieces(["good", "husk", "good", "good"], width_px=160, seed=number)
        cv2.imwrite(str(folder / f"{number:03}.bmp"), frame)
    return folder


def make_pool(path: Path) -> Pool:
    """A small pool with a sample of each class."""
    pool = Pool.open(path, create=True)
    data_set = DataSet(TINY_RECIPE.segment, TINY_RECIPE.crop, NormSpec())
    pool.set_data_set(data_set)
    mask = np.ones((32, 32), np.bool_)
    for name, colour in COLOURS.items():
        pixels = np.empty((32, 32, 3), np.uint8)
        pixels[:] = colour
        sums = int(pixels.sum()), 32 * 32 * 3
        who = {"truth": "folder", "source": f"{name}.png", "who": "ann", "why": "import", "utc": "2026-01-01T00:00:00Z"}
        new = NewSample(
            sample_id(pixels, mask), name, name, "train", "import", norm_numerator=sums[0], norm_denominator=sums[1],
            blob=pack_crop(pixels, mask), **who,
        )  # fmt: skip
        pool.add_sample(new)
    return pool


def column(pool: Path, query: str) -> list[str]:
    with closing(sqlite3.connect(pool)) as connection:
        return [str(row[0]) for row in connection.execute(query)]


def assert_kills_lose_nothing(folder: Path, *, recording: Path, model: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    accepted: list[str] = []
    in_full_run = 0
    for turn in range(kills):
        lot = f"lot {turn // 2}"  # each second run goes over a lot that was killed before
        process = TeachProcess(lot, recording=recording, model=model, spool=folder / "spool")
        accepted += process.kill_after(rng.randrange(LINE_FRAMES // 2), rng.randrange(200))
        in_full_run += process.was_killed

    export = [sys.executable, "-m", "edge_runtime", "residual", "export", str(folder / "spool")]
    out = ["--out", str(folder / "out.slrx")]
    subprocess.run([*export, *out], cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=True)
    exported = [record.id for record in read_export(folder / "out.slrx").records]
    assert in_full_run > kills // 2
    assert len(accepted) == len(set(accepted)) >= kills
    assert len(exported) == len(set(exported))
    assert set(accepted) <= set(exported)

    with make_pool(folder / "rice.pool") as pool:
        first, receipt = take_in(read_export(folder / "out.slrx"), pool, ManualClock())
        again, _ = take_in(read_export(folder / "out.slrx"), pool, ManualClock())
    assert (first.known, sum(first.fates.values())) == (0, len(exported))
    assert (again.known, again.fates, again.samples) == (len(exported), {}, 0)
    assert sorted(receipt.ids) == sorted(exported)
    assert sorted(column(folder / "rice.pool", "SELECT record_id FROM residual_records")) == sorted(exported)
    samples = column(folder / "rice.pool", "SELECT sample_id FROM samples")
    assert len(samples) == len(set(samples)) == len(COLOURS) + first.samples


def test_killed_a_few_times_every_accepted_mistake_reaches_the_pool_once(
    tmp_path: Path, recording: Path, tiny_model_folder: Path
) -> None:
    assert_kills_lose_nothing(tmp_path, recording=recording, model=tiny_model_folder, kills=3, seed=1)


@pytest.mark.long
def test_killed_twenty_times_every_accepted_mistake_reaches_the_pool_once(
    tmp_path: Path, recording: Path, tiny_model_folder: Path
) -> None:
    assert_kills_lose_nothing(tmp_path, recording=recording, model=tiny_model_folder, kills=20, seed=2)


def test_oversize_pieces_are_not_counted_as_wrong(tmp_path: Path) -> None:
    """They are never classified, so that the model got nothing wrong."""
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[10:90, 10:90] = 200
    cv2.imwrite(str(tmp_path / "frame.bmp"), frame)
    machine = desk_machine(100)
    sorter = Sorter(TINY_RECIPE, NormSpec(), machine.cameras[0], stub_scores)
    origin = Origin("desk", "lot 1", "ab" * 32, "cd" * 32, TINY_RECIPE.class_names)
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as spool:
        recorder = Recorder(spool, origin, ManualClock())
        report = teach(tmp_path / "frame.bmp", sorter, machine, recorder, truth=Truth("T0", "stone", 1.0, "teach"))
    assert (report.objects, report.wrong, report.accepted) == (1, 0, 0)
    assert report.recorded.passed_over == {"oversize": 1}
    assert OVERSIZE not in range(len(TINY_RECIPE.classes))
