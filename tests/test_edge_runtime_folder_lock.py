"""One process at a time, until it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.errors import StorageError
from edge_runtime.folder_lock import lock_folder


def test_a_folder_is_held_until_it_is_let_go(tmp_path: Path) -> None:
    handle = lock_folder(tmp_path / "a" / "b", busy="taken")
    with pytest.raises(StorageError, match=r"^taken$"):
        lock_folder(tmp_path / "a" / "b", busy="taken")
    os.close(handle)
    os.close(lock_folder(tmp_path / "a" / "b", busy="taken"))
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["lock"]


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    story = f"""
import os, signal
from pathlib import Path
from edge_runtime.folder_lock import lock_folder
lock_folder(Path({str(tmp_path)!r}), busy="taken")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", story], check=False, timeout=60)
    os.close(lock_folder(tmp_path, busy="taken"))
    assert done.returncode == -9


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot use .*file"):
        lock_folder(tmp_path / "file", busy="taken")
