"""A recording plays at the pace of its belt, counts what is missing, and ends with a word."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.cameras.frame_watch import FrameWatch, Kept, WatchSettings
from edge_runtime.cameras.replay_camera import ReplayCamera, ReplaySettings
from edge_runtime.errors import CameraError, RecordingEndedError
from firmware_bridge.clock import ManualClock

LINES, WIDTH = 10, 16
MS = 1_000_000
PACED = ReplaySettings(lines_s=1000.0)  # a picture lasts 10 ms


def recording(folder: Path, levels: list[int | None]) -> Path:
    """Write pictures of one grey level each; None is a file that is no picture."""
    folder.mkdir()
    for number, level in enumerate(levels):
        path = folder / f"{number}.png"
        if level is None:
            path.write_bytes(b"no picture")
        else:
            cv2.imwrite(str(path), np.full((LINES, WIDTH, 3), level, np.uint8))
    return folder


def played(camera: ReplayCamera) -> list[CameraFrame]:
    """Take until the end."""
    frames = []
    with pytest.raises(RecordingEndedError):
        while True:
            frame = camera.take(1.0)
            assert frame is not None
            frames.append(frame)
    return frames


def test_a_missing_picture_leaves_a_gap_in_ids_and_time(tmp_path: Path) -> None:
    source = recording(tmp_path / "r", [None, 10, None, None, 20])
    frames = played(ReplayCamera(source, ManualClock(), PACED))
    assert [(frame.frame_id, frame.exposed_ns, int(frame.pixels[0, 0, 0])) for frame in frames] == [
        (1, 0, 10),
        (4, 30 * MS, 20),
    ]
    assert all(frame.is_complete and frame.pixels.shape == (LINES, WIDTH, 3) for frame in frames)


def test_a_picture_comes_when_its_last_line_has_passed(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = ReplayCamera(recording(tmp_path / "r", [10, 20, 30]), clock, PACED)
    clock.advance_ns(7 * MS)  # the belt waits for the first take
    arrivals = []
    for _ in range(3):
        frame = camera.take(1.0)
        assert frame is not None
        arrivals.append((frame.exposed_ns, clock.monotonic_ns()))
    assert arrivals == [(7 * MS, 17 * MS), (17 * MS, 27 * MS), (27 * MS, 37 * MS)]


def test_a_take_that_ends_too_early_loses_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = ReplayCamera(recording(tmp_path / "r", [10]), clock, PACED)
    assert [camera.take(timeout_s) for timeout_s in (0.0, 0.004, 0.005)] == [None, None, None]
    assert clock.monotonic_ns() == 9 * MS
    frame = camera.take(0.001)
    assert frame is not None and (frame.exposed_ns, clock.monotonic_ns()) == (0, 10 * MS)


def test_the_belt_waits_while_nobody_takes(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = ReplayCamera(recording(tmp_path / "r", [10, 20, 30, 40]), clock, PACED)
    camera.take(1.0)
    clock.advance_ns(20 * MS)  # the second is late by no more than its length: on time again with the third
    second, third = camera.take(1.0), camera.take(1.0)
    assert second is not None and third is not None
    assert (second.exposed_ns, third.exposed_ns, clock.monotonic_ns()) == (10 * MS, 20 * MS, 30 * MS)
    clock.advance_ns(500 * MS)
    fourth = camera.take(1.0)
    assert fourth is not None and (fourth.exposed_ns, clock.monotonic_ns()) == (530 * MS, 540 * MS)


def test_without_a_pace_pictures_come_at_once_with_ascending_times(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = ReplayCamera(recording(tmp_path / "r", [10, 20, 30]), clock)
    frames = [camera.take(0.0) for _ in range(3)]
    assert clock.monotonic_ns() == 0
    assert [frame.exposed_ns for frame in frames if frame is not None] == [0, 1, 2]


@pytest.mark.parametrize("lines_s", [0.0, 1000.0])
def test_a_watch_keeps_every_picture_of_a_recording(tmp_path: Path, lines_s: float) -> None:
    clock = ManualClock()
    camera = ReplayCamera(recording(tmp_path / "r", [10, None, 20]), clock, ReplaySettings(lines_s, loops=3))
    watch = FrameWatch(WatchSettings(width_px=WIDTH, lines=LINES, bands=3, lines_s=lines_s))
    kept = []
    for _ in range(6):
        frame = camera.take(1.0)
        assert frame is not None
        verdict = watch.show(frame, clock.monotonic_ns())
        assert isinstance(verdict, Kept)
        kept.append(verdict.first_line // LINES)
    assert kept == [0, 2, 3, 5, 6, 8]


def test_ids_and_the_belt_go_on_from_loop_to_loop(tmp_path: Path) -> None:
    frames = played(ReplayCamera(recording(tmp_path / "r", [10, None, 20]), ManualClock(), ReplaySettings(1000.0, 2)))
    assert [(frame.frame_id, frame.exposed_ns // MS) for frame in frames] == [(0, 0), (2, 20), (3, 30), (5, 50)]


def test_a_recording_that_was_played_to_its_end_is_closed(tmp_path: Path) -> None:
    camera = ReplayCamera(recording(tmp_path / "r", [10]), ManualClock())
    played(camera)
    with pytest.raises(CameraError, match="closed"):
        camera.take(0.0)


def test_for_ever_does_not_end(tmp_path: Path) -> None:
    camera = ReplayCamera(recording(tmp_path / "r", [10]), ManualClock(), ReplaySettings(loops=0))
    ids = [frame.frame_id for _ in range(50) if (frame := camera.take(0.0)) is not None]
    assert ids == list(range(50))


@pytest.mark.parametrize("loops", [0, 1])
def test_a_recording_without_one_usable_picture_is_refused(tmp_path: Path, loops: int) -> None:
    camera = ReplayCamera(recording(tmp_path / "r", [None, None]), ManualClock(), ReplaySettings(loops=loops))
    with pytest.raises(CameraError, match="holds no picture that can be used"):
        camera.take(0.0)
    with pytest.raises(CameraError, match="closed"):
        camera.take(0.0)


def test_a_recording_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"no picture, folder, tar or video"):
        ReplayCamera(tmp_path / "nothing", ManualClock())
