"""A run is written down beside it, one at a time, and one whose supervisor was killed is closed by the next."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edge_runtime.errors import StorageError
from edge_runtime.live.run_diary import RunDiary
from edge_runtime.live.run_journal import LOST, list_runs
from firmware_bridge.clock import SystemClock


class Books(msgspec.Struct):
    frames: int


class OddBooks(msgspec.Struct):
    thing: object


def test_the_last_books_and_the_end_are_on_disk(tmp_path: Path) -> None:
    diary = RunDiary(tmp_path / "runs", {"machine": "desk"}, SystemClock())
    for frames in range(5):
        diary.note(Books(frames))
    diary.close("stopped")
    diary.close("again")

    (run,) = list_runs(tmp_path / "runs").runs
    assert (run.end, bytes(run.books), run.facts) == ("stopped", b'{"frames":4}', {"machine": "desk"})


def test_books_that_could_not_be_written_are_tried_again(tmp_path: Path) -> None:
    diary = RunDiary(tmp_path / "runs", {}, SystemClock())
    (tmp_path / "runs").rename(tmp_path / "away")
    diary.note(Books(7))
    with pytest.raises(StorageError, match="cannot write"):
        diary._snapshot()
    (tmp_path / "away").rename(tmp_path / "runs")
    diary.close("stopped")

    (run,) = list_runs(tmp_path / "runs").runs
    assert (run.end, bytes(run.books)) == ("stopped", b'{"frames":7}')


def test_books_that_cannot_be_written_at_all_do_not_hide_the_end(tmp_path: Path) -> None:
    diary = RunDiary(tmp_path, {}, SystemClock())
    diary.note(OddBooks(object()))
    diary.close("stopped")

    (run,) = list_runs(tmp_path).runs
    assert (run.end, run.snapshots) == ("stopped", 0)


def test_two_runs_of_one_folder_at_a_time_are_refused(tmp_path: Path) -> None:
    diary = RunDiary(tmp_path, {}, SystemClock())
    with pytest.raises(StorageError, match="another run goes on"):
        RunDiary(tmp_path, {}, SystemClock())
    diary.close("stopped")
    RunDiary(tmp_path, {}, SystemClock()).close("stopped")
    assert [run.end for run in list_runs(tmp_path).runs] == ["stopped", "stopped"]


def test_a_run_whose_process_was_killed_is_closed_by_the_next(tmp_path: Path) -> None:
    story = f"""
import os, signal, msgspec
from pathlib import Path
from edge_runtime.live.run_diary import RunDiary
from firmware_bridge.clock import SystemClock
class Books(msgspec.Struct):
    frames: int
diary = RunDiary(Path({str(tmp_path)!r}), {{}}, SystemClock())
diary.note(Books(7))
diary._snapshot()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", story], check=False, timeout=60)
    RunDiary(tmp_path, {}, SystemClock()).close("stopped")

    newest, lost = list_runs(tmp_path).runs
    assert (newest.number, newest.end) == (2, "stopped")
    assert (lost.end, bytes(lost.books)) == (LOST, b'{"frames":7}')
