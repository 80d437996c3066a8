"""No output lies on or in what is read, by whatever name, and no two outputs are one."""

from pathlib import Path

import pytest

from edge_runtime.output_places import clashes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames" / "deep").mkdir(parents=True)
    (tmp_path / "rec.avi").write_bytes(b"")
    (tmp_path / "same.avi").hardlink_to(tmp_path / "rec.avi")
    (tmp_path / "link").symlink_to(tmp_path / "frames")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "target", "how"),
    [
        ("rec.avi", "rec.avi", "over"),
        ("rec.avi", "frames/../rec.avi", "over"),
        ("rec.avi", "same.avi", "over"),
        ("frames", "frames", "over"),
        ("frames", "link", "over"),
        ("frames", "frames/new", "into"),
        ("frames", "frames/deep/new/x.html", "into"),
        ("frames", "link/x.html", "into"),
        ("link", "frames/x.html", "into"),
    ],
)
def test_output_on_or_in_an_input_is_told(folder: Path, source: str, target: str, how: str) -> None:
    found = clashes((None, folder / source), {"--sheet": None, "--overlay": folder / target})
    assert found == [
        f"--overlay {folder / target} would write {how} {folder / source}, which is read: choose another place"
    ]


@pytest.mark.parametrize("target", ["frames.html", "other/frames", "rec.html", "rec.avi.html"])
def test_output_beside_the_inputs_is_fine(folder: Path, target: str) -> None:
    assert clashes((folder / "frames", folder / "rec.avi"), {"--sheet": folder / target}) == []


def test_two_outputs_of_one_place_are_told(folder: Path) -> None:
    outputs = {"--sheet": folder / "x", "--decisions": folder / "frames" / ".." / "x", "--overlay": folder / "y"}
    assert clashes((), outputs) == [
        f"--sheet and --decisions would both write {folder / 'x'}: choose another place for one"
    ]
