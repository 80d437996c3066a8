"""Every picture of a recording is a frame or missing with its reason, in one order."""

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import FrameError
from edge_runtime.frames import Frame, MissingFrame, picture_names, printable, read_frames


def picture(level: int) -> NDArray[np.uint8]:
    return np.full((6, 8, 3), level, np.uint8)


def encoded(level: int, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, picture(level))[1].tobytes())


def levels(source: Path) -> list[int | str]:
    """The grey level of each frame, the reason of each missing one."""
    return [int(f.pixels[0, 0, 0]) if isinstance(f, Frame) else f.reason for f in read_frames(source)]


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is one of the literals
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames" / "b").mkdir(parents=True)
    (tmp_path / "frames" / "c.PNG").write_bytes(encoded(30))
    (tmp_path / "frames" / "b" / "z.bmp").write_bytes(encoded(20, ".bmp"))
    (tmp_path / "frames" / "a.png").write_bytes(encoded(10))
    (tmp_path / "frames" / "notes.txt").write_text("no picture")
    return tmp_path / "frames"


def test_folder_is_read_through_all_levels_sorted_by_path(folder: Path) -> None:
    assert levels(folder) == [10, 20, 30]
    assert [frame.name for frame in read_frames(folder)] == ["a.png", "b/z.bmp", "c.PNG"]


def test_single_picture_is_a_recording(folder: Path) -> None:
    assert [frame.name for frame in read_frames(folder / "a.png")] == ["a.png"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_is_read_sorted_by_name(tmp_path: Path, mode: str) -> None:
    files = {"run/b.png": encoded(2), "run/a.png": encoded(1), "run/readme.md": b"text"}
    assert levels(write_tar(tmp_path / "run.tar", files, mode)) == [1, 2]


def test_video_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "run.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for level in (200, 20, 120):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    frames = list(read_frames(path))
    assert [frame.name for frame in frames] == ["run.avi#0", "run.avi#1", "run.avi#2"]
    assert [int(f.pixels.mean()) for f in frames if isinstance(f, Frame)] == pytest.approx([200, 20, 120], abs=3)


def test_damaged_picture_is_missing_and_the_others_are_not(folder: Path) -> None:
    (folder / "b" / "z.bmp").write_bytes(encoded(20, ".bmp")[:60])
    (folder / "aa.jpg").write_bytes(b"")
    found = list(read_frames(folder))
    assert [type(frame) for frame in found] == [Frame, MissingFrame, MissingFrame, Frame]
    assert levels(folder)[1] == "empty file"


def test_link_to_nothing_is_no_picture(folder: Path) -> None:
    (folder / "b" / "loop.png").symlink_to(folder / "b" / "loop.png")
    (folder / "b" / "gone.png").symlink_to(folder / "nowhere.png")
    assert levels(folder) == [10, 20, 30]


def test_picture_that_cannot_be_read_is_missing(folder: Path) -> None:
    unreadable = Path("/proc/self/mem")
    if not unreadable.exists():
        pytest.skip("this system has no file that even its owner cannot read")
    (folder / "b.png").symlink_to(unreadable)
    found = levels(folder)
    assert [value for value in found if isinstance(value, int)] == [10, 20, 30]
    assert any(str(value).startswith("cannot read") for value in found)


def test_tar_that_ends_early_is_an_error_after_what_was_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "run.tar", {f"{i}.bmp": encoded(i, ".bmp") for i in range(3)})
    whole = path.read_bytes()
    refused = 0
    for length in range(0, len(whole), 256):
        path.write_bytes(whole[:length])
        try:
            assert levels(path) == [0, 1, 2][: len(levels(path))]
        except FrameError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 5


def test_damaged_compressed_tar_is_an_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "run.tar.gz", {f"{i}.bmp": encoded(i, ".bmp") for i in range(3)}, "w:gz")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FrameError, match=r"run\.tar\.gz"):
        levels(path)


@given(st.binary())
def test_every_name_can_be_printed_and_utf_8_stays(raw: bytes) -> None:
    name = os.fsdecode(raw)
    assert printable(name).encode().decode() == printable(name)
    assert printable(printable(name)) == printable(name)
    with suppress(UnicodeDecodeError):
        assert printable(name) == raw.decode()


def test_names_that_are_not_utf_8_can_be_printed_where_they_leave(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / os.fsdecode(b"\xd6\xd0.png")).write_bytes(encoded(7))
    (folder / os.fsdecode(b"\xd6\xd1.png")).write_bytes(b"no picture")
    with tarfile.open(tmp_path / "run.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, "gbk")
    names = ("\\xd6\\xd0.png", "\\xd6\\xd1.png")
    for source, start in ((folder, ""), (tmp_path / "run.tar", "gbk/")):
        assert [frame.name for frame in read_frames(source)] == [start + name for name in names]
        assert picture_names(source) == tuple(start + name for name in names)
    for frame in read_frames(folder):
        assert isinstance(frame, Frame) or frame.reason.encode()


def test_video_whose_path_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xd6\xd0.avi")
    path.write_bytes(b"")
    with pytest.raises(FrameError, match=r"d6.*\.avi: the path of a video must be UTF-8"):
        levels(path)


def test_names_are_known_before_a_recording_is_read(folder: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "run.tar", {"run/b.png": b"no picture", "run/a.png": encoded(1), "run/readme.md": b""})
    (tmp_path / "run.avi").write_bytes(b"no video")
    for source in (folder, folder / "a.png", tar):
        assert picture_names(source) == tuple(frame.name for frame in read_frames(source))
    assert picture_names(tmp_path / "run.avi") == ()
    with pytest.raises(FrameError, match="is no picture, folder, tar or video"):
        picture_names(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["nowhere", "nowhere.png", "nowhere.avi", "notes.txt"])
def test_source_of_no_known_kind_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(FrameError, match="is no picture, folder, tar or video"):
        levels(tmp_path / name)


def test_source_without_a_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.avi").write_bytes(b"no video")
    tar = write_tar(tmp_path / "run.tar", {"readme.md": b"text"})
    for source in (tmp_path / "empty", tmp_path / "no.avi", tar):
        with pytest.raises(FrameError, match="holds no picture"):
            levels(source)
