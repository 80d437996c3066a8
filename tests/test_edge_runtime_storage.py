"""A file is the old or the new one, whole, and every failure of the disk is a StorageError."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import StorageError
from edge_runtime.storage import fsync_folder, read_bytes, sha256_hex, write_atomic


@given(data=st.binary(max_size=100), old=st.none() | st.binary(max_size=100))
def test_written_bytes_are_read_and_nothing_else_is_left(
    data: bytes, old: bytes | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("storage")
    if old is not None:
        (folder / "file").write_bytes(old)
    write_atomic(folder / "file", data)
    assert read_bytes(folder / "file") == data
    assert os.listdir(folder) == ["file"]  # noqa: PTH208 - names are enough


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*missing/file: No such file"):
        write_atomic(tmp_path / "missing" / "file", b"x")


def test_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot write .*plain/file: Not a directory"):
        write_atomic(tmp_path / "plain" / "file", b"x")


def test_failed_write_leaves_the_old_and_no_rest(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").write_bytes(b"old")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(tmp_path / "target", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "kept").read_bytes() == b"old"


def test_full_disk_is_an_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this computer has no /dev/full")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(full / "file", b"x")


@pytest.mark.parametrize("call", [read_bytes, fsync_folder])
def test_missing_path_is_an_error_that_names_it(call: object, tmp_path: Path) -> None:
    assert callable(call)
    with pytest.raises(StorageError, match=r"cannot .*nowhere: No such file or directory"):
        call(tmp_path / "nowhere")


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        read_bytes(tmp_path)


def test_digest_is_sha256() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("most_b", "is_read"), [(5, True), (4, False), (None, True)])
def test_a_file_is_read_up_to_a_size(tmp_path: Path, most_b: int | None, is_read: bool) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    if is_read:
        assert read_bytes(tmp_path / "file", most_b=most_b) == b"12345"
    else:
        with pytest.raises(StorageError, match="it has 5 bytes, the limit is 4"):
            read_bytes(tmp_path / "file", most_b=most_b)


def test_with_a_limit_only_plain_files_are_read(tmp_path: Path) -> None:
    """Nobody writes into the pipe: reading it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(StorageError, match="it is no plain file"):
            read_bytes(tmp_path / name, most_b=9)
    with pytest.raises(StorageError, match=r"cannot read .*missing: No such file"):
        read_bytes(tmp_path / "missing", most_b=9)
