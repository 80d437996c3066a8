"""References are averaged, judged and kept; what is no good changes nothing on the machine."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from edge_runtime.calibrate import Calibration, calibrate, calibrate_text
from edge_runtime.cli import cli
from edge_runtime.errors import ConfigError, FrameError
from edge_runtime.flat_field import correct, flat_field_path, load_flat_field

WIDTH = 32


def recording(folder: Path, light: NDArray[np.float64], *, frames: int = 4, height: int = 10) -> Path:
    """Noisy pictures whose columns have this light."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(frames):
        levels = np.broadcast_to(light[None, :, None], (height, WIDTH, 3)) + rng.normal(0, 2, (height, WIDTH, 3))
        cv2.imwrite(str(folder / f"{number}.png"), np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    return folder


def lamp(middle: float, edge: float) -> NDArray[np.float64]:
    return middle - (middle - edge) * np.abs(np.linspace(-1, 1, WIDTH))


def asked(tmp_path: Path, light: NDArray[np.float64], *, is_area: bool = False, name: str = "a") -> Calibration:
    dark = recording(tmp_path / name / "dark", np.full(WIDTH, 8.0))
    return Calibration("top", dark, recording(tmp_path / name / "white", light), tmp_path / "calibration", is_area)


@pytest.mark.parametrize("is_area", [False, True])
def test_a_white_surface_comes_out_even(tmp_path: Path, *, is_area: bool) -> None:
    light = lamp(220, 120)
    report = calibrate(asked(tmp_path, light, is_area=is_area))
    assert (report.verdict, report.white_frames, report.drift) == ("good", 4, None)
    raw = np.broadcast_to(np.rint(light).astype(np.uint8)[None, :, None], (10, WIDTH, 3))
    out = np.zeros(raw.shape, np.uint8)
    correct(raw, load_flat_field(flat_field_path(tmp_path / "calibration", "top")), out)
    assert np.abs(out.astype(int) - 230).max() <= (10 if is_area else 4)  # the noise of four pictures, times two


@pytest.mark.parametrize(
    ("light", "verdict", "words"),
    [
        (np.full(WIDTH, 254.0), "too_bright", "at 255"),
        (np.full(WIDTH, 60.0), "too_dark", "60 are needed"),
        (lamp(220, 40), "uneven", "a gain above 4"),
    ],
)
def test_bad_references_leave_the_old_ones(
    tmp_path: Path, light: NDArray[np.float64], verdict: str, words: str
) -> None:
    calibrate(asked(tmp_path, lamp(220, 160)))
    before = flat_field_path(tmp_path / "calibration", "top").read_bytes()
    report = calibrate(asked(tmp_path, light, name="b"))
    assert (report.verdict, report.path) == (verdict, "")
    assert words in calibrate_text(report)
    assert "nothing was written" in calibrate_text(report)
    assert flat_field_path(tmp_path / "calibration", "top").read_bytes() == before


@pytest.mark.parametrize(("factor", "advice"), [(0.9, True), (0.97, False), (1.1, True)])
def test_a_lamp_that_ages_is_told(tmp_path: Path, factor: float, *, advice: bool) -> None:
    light = lamp(200, 150)
    calibrate(asked(tmp_path, light))
    report = calibrate(asked(tmp_path, 8 + (light - 8) * factor, name="b"))
    assert report.verdict == "good"
    assert report.drift == pytest.approx(factor - 1, abs=0.01)
    assert ("clean the lamps" in calibrate_text(report)) is advice


def test_another_target_is_no_drift(tmp_path: Path) -> None:
    calibration = asked(tmp_path, lamp(200, 150))
    calibrate(calibration)
    report = calibrate(replace(calibration, target=180))
    assert report.drift == pytest.approx(0, abs=0.01)


def test_recordings_of_two_shapes_are_refused(tmp_path: Path) -> None:
    calibration = asked(tmp_path, lamp(220, 160))
    cv2.imwrite(str(calibration.white / "9.png"), np.zeros((10, WIDTH + 1, 3), np.uint8))
    with pytest.raises(FrameError, match=r"9\.png has the shape"):
        calibrate(calibration)


def test_dark_and_white_of_two_shapes_are_refused(tmp_path: Path) -> None:
    calibration = asked(tmp_path, lamp(220, 160))
    for path in calibration.dark.iterdir():
        cv2.imwrite(str(path), np.zeros((10, WIDTH + 1, 3), np.uint8))
    with pytest.raises(FrameError, match="has the shape"):
        calibrate(calibration)


def test_damaged_references_are_named(tmp_path: Path) -> None:
    calibrate(asked(tmp_path, lamp(220, 160)))
    flat_field_path(tmp_path / "calibration", "top").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"top\.npz is no flat field"):
        calibrate(asked(tmp_path, lamp(220, 160), name="b"))


def test_the_command_says_no_with_exit_code_1(tmp_path: Path) -> None:
    calibration = asked(tmp_path, np.full(WIDTH, 60.0))
    words = ["calibrate", "--dark", str(calibration.dark), "--white", str(calibration.white)]
    found = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "calibration"), "--json"])
    assert (found.exit_code, json.loads(found.stdout)["verdict"]) == (1, "too_dark")
    assert not (tmp_path / "calibration").exists()


@pytest.mark.parametrize("name", ["", "../top", "a/b", ".hidden", "x" * 65])
def test_a_camera_whose_name_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        flat_field_path(tmp_path, name)
