"""An overlay on disk is whole or not there, whatever the disk does, and what was there before stays."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from strategies import stub_scores
from tiny_model import write_recording

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import Decisions
from edge_runtime.errors import FrameError, StorageError
from edge_runtime.frames import Frame, read_frames
from edge_runtime.inline import desk_machine
from edge_runtime.norm import NormSpec
from edge_runtime.overlay_files import overlay_files
from edge_runtime.pipeline import Sorter
from edge_runtime.replay import Extras, Seen, replay
from edge_runtime.schemas import ClassRule, Recipe

MACHINE = desk_machine(320)
RECIPE = Recipe((ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject")), crop=CropSpec(side_px=32))
SORTER = Sorter(RECIPE, NormSpec(), MACHINE.cameras[0], stub_scores)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "recording", 9)


def seen(number: int, height: int = 48, width: int = 64, name: str = "a.png") -> Seen:
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    return Seen(number, name, pixels, (), Decisions.empty("main", RECIPE.crop, 3))


@contextmanager
def full_disk(size_b: int) -> Iterator[None]:
    """No file of this process grows beyond a size meanwhile: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_b, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_overlay_folder_has_a_picture_of_every_frame(recording: Path, tmp_path: Path) -> None:
    with overlay_files(tmp_path / "deep" / "folder") as files:
        replay(recording, SORTER, MACHINE, extras=Extras(viewers=(files.look,)))
    pictures = list(read_frames(tmp_path / "deep" / "folder"))
    assert [picture.name for picture in pictures] == [f"{number:06d}_{number}.png" for number in range(9)]
    assert all(isinstance(picture, Frame) and picture.pixels.shape == (80, 320, 3) for picture in pictures)


def test_overlay_video_plays_every_frame(recording: Path, tmp_path: Path) -> None:
    with overlay_files(tmp_path / "out.avi") as files:
        replay(recording, SORTER, MACHINE, extras=Extras(viewers=(files.look,)))
    assert sum(isinstance(frame, Frame) for frame in read_frames(tmp_path / "out.avi")) == 9
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_video_of_several_sizes_is_refused_and_leaves_nothing(recording: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(recording / "9.png"), np.full((100, 100, 3), 200, np.uint8))
    with (
        pytest.raises(FrameError, match=r"9\.png is 100 x 100 px, the video has 320 x 80"),
        overlay_files(tmp_path / "o.avi") as files,
    ):
        replay(recording, SORTER, MACHINE, extras=Extras(viewers=(files.look,)))
    assert [path.name for path in tmp_path.iterdir()] == ["recording"]


def test_places_that_cannot_be_written_are_errors(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot make the folder"), overlay_files(tmp_path / "file" / "x"):
        pass
    with pytest.raises(StorageError, match="cannot write a video"), overlay_files(tmp_path / "no" / "o.avi") as files:
        replay(recording, SORTER, MACHINE, extras=Extras(viewers=(files.look,)))


def test_full_disk_is_an_error_and_the_video_of_before_stays(tmp_path: Path) -> None:
    (tmp_path / "out.avi").write_bytes(b"of before")
    with (
        full_disk(8 * 1024),
        pytest.raises(StorageError, match=r"out\.avi: \d+ of 20 frames can be read back; is the disk full"),
        overlay_files(tmp_path / "out.avi") as files,
    ):
        for number in range(20):
            files.look(seen(number))
    assert [path.name for path in tmp_path.iterdir()] == ["out.avi"]
    assert (tmp_path / "out.avi").read_bytes() == b"of before"


def test_video_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.avi" / "taken").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot write"), overlay_files(tmp_path / "out.avi") as files:
        files.look(seen(0))
    assert [path.name for path in tmp_path.iterdir()] == ["out.avi"]


@pytest.mark.parametrize("name", ["out.avi", "out.mp4"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (49, 64), (48, 65), (49, 65)])
def test_odd_sides_get_a_black_line_in_a_video(tmp_path: Path, name: str, height: int, width: int) -> None:
    with overlay_files(tmp_path / name) as files:
        for number in range(3):
            files.look(seen(number, height, width))
    frames = [frame.pixels for frame in read_frames(tmp_path / name) if isinstance(frame, Frame)]
    assert [frame.shape for frame in frames] == [(height + height % 2, width + width % 2, 3)] * 3
    assert frames[0][:height, :width].mean() > 100


def test_any_picture_name_makes_a_file_name(tmp_path: Path) -> None:
    names = ("\\xd6\\xd0.png", "粒" * 90 + ".png", "b/c.avi#7")
    with overlay_files(tmp_path / "out") as files:
        for number, name in enumerate(names):
            files.look(seen(number, name=name))
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["000000__xd6_xd0.png", f"000001_{'粒' * 66}.png", "000002_c.png"]


def test_video_whose_path_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="must be UTF-8"), overlay_files(tmp_path / os.fsdecode(b"\xd6.avi")):
        pass
