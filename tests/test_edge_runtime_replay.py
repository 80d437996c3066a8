"""A recording gives the same decisions every time, from any container, and its figures add up."""

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from strategies import stub_scores
from tiny_model import draw_pieces, write_recording

from edge_runtime.annotations import read_annotations
from edge_runtime.crop import CropSpec
from edge_runtime.errors import CropError, FrameError
from edge_runtime.flat_field import FlatField
from edge_runtime.inline import desk_machine
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.replay import Extras, Seen, decision_rows, replay, replay_report
from edge_runtime.replay_truth import Polygons
from edge_runtime.reports import ReplayReport
from edge_runtime.reports_text import replay_text
from edge_runtime.schemas import ClassRule, Recipe
from edge_runtime.segment import SegmentSettings
from edge_runtime.stage_times import STAGES, StageWatch
from firmware_bridge.clock import ManualClock

DATA = Path(__file__).parents[2] / "shared" / "data"
CLASSES = (ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject", min_score=0.6))
NAMES = tuple(rule.name for rule in CLASSES)
MACHINE = desk_machine(4096)


class TickClock(ManualClock):
    """A clock that goes on by a fixed step whenever it is read."""

    STEP_NS = 1000

    def monotonic_ns(self) -> int:
        self.advance_ns(self.STEP_NS)
        return super().monotonic_ns()


def make_sorter(crop: CropSpec | None = None, **segment: object) -> Sorter:
    settings = SegmentSettings(**segment)  # type: ignore[arg-type]  # keyword by keyword from the tests below
    recipe = Recipe(CLASSES, segment=settings, crop=crop or CropSpec(side_px=32))
    return Sorter(recipe, NormSpec(), MACHINE.cameras[0], stub_scores)


def run(source: Path, *, as_blocks: bool = False, truth: Polygons | None = None) -> ReplayReport:
    result = replay(source, make_sorter(), MACHINE, as_blocks=as_blocks, extras=Extras(truth))
    return replay_report(result, NAMES, model_id="ab" * 32, seconds=1.5)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "recording", 4)


def test_same_recording_gives_the_same_decisions_twice(recording: Path) -> None:
    assert run(recording) == run(recording)
    assert run(recording).objects == 48


def test_folder_and_tar_give_the_same_decisions(recording: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "recording.tar", "w") as archive:
        archive.add(recording, "elsewhere")
    assert run(tmp_path / "recording.tar") == run(recording)


def test_scene_as_one_picture_or_as_blocks_gives_the_same_decisions(tmp_path: Path) -> None:
    scene = np.concatenate([draw_pieces(["good", "stone"] * 8, seed=number) for number in range(4)])
    digests = set()
    for number, heights in enumerate(([len(scene)], [64], [7, 100])):
        folder = tmp_path / str(number)
        folder.mkdir()
        line = turn = 0
        while line < len(scene):
            block = scene[line : line + heights[turn % len(heights)]]
            cv2.imwrite(str(folder / f"{line:05}.bmp"), block)
            line, turn = line + len(block), turn + 1
        digests.add(run(folder, as_blocks=True).decisions_sha256)
    assert digests == {run(tmp_path / "0").decisions_sha256}


def test_figures_add_up(recording: Path) -> None:
    cv2.imwrite(str(recording / "9.png"), np.full((100, 100, 3), 200, np.uint8))  # larger than the window
    (recording / "5.png").write_bytes(b"")
    (recording / "6.png").write_bytes(b"no picture")
    (recording / "7.png").write_bytes(b"")
    report = run(recording)
    assert (report.frames, sum(report.missing.values())) == (5, 3)
    assert report.missing["empty file"] == 2
    assert report.objects == report.oversize + sum(report.classes.values()) == 49
    assert report.oversize == 1
    assert (report.recall, report.precision, report.mean_iou, report.polygons, report.matched) == (None,) * 5


def test_decision_log_has_every_object_with_its_pulses(recording: Path) -> None:
    result = replay(recording, make_sorter(), MACHINE)
    rows = list(decision_rows(result, NAMES))
    report = replay_report(result, NAMES, model_id="", seconds=0)
    assert len(rows) == report.objects
    assert sum(row.action == "eject" for row in rows) == report.ejected
    assert [row.line for row in rows] == sorted(row.line for row in rows)
    assert all(bool(row.pulses) == (row.action == "eject") for row in rows)
    assert sum(len(row.pulses) for row in rows) == sum(len(step.pulses) for step in result.steps)
    assert all(0 < row.norm_q16 <= 65536 and 0 < row.score <= 1 for row in rows)


def boxes_as_polygons(recording: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Perfect truth about the first and the second picture, by their names elsewhere."""
    polygons: dict[str, list[NDArray[np.float32]]] = {}
    for name in ("0.png", "1.png"):
        gray = cv2.cvtColor(cv2.imread(str(recording / name)), cv2.COLOR_BGR2GRAY)  # type: ignore[arg-type]  # it exists
        contours, _ = cv2.findContours((gray > 60).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        polygons[f"train/{name}"] = [contour[:, 0].astype(np.float32) for contour in contours]
    return polygons


def test_objects_are_compared_with_the_polygons_of_their_picture(recording: Path) -> None:
    truth = boxes_as_polygons(recording)
    report = run(recording, truth=truth)
    assert (report.polygons, report.matched, report.recall, report.precision) == (24, 24, 1.0, 1.0)
    assert report.mean_iou is not None
    assert report.mean_iou > 0.9
    del truth["train/0.png"][:6]
    fewer = run(recording, truth=truth)
    assert (fewer.polygons, fewer.recall, fewer.precision) == (18, 1.0, 0.75)


def test_polygons_are_found_by_name_and_by_the_end_of_a_path_that_only_one_has(recording: Path) -> None:
    drawn = boxes_as_polygons(recording)["train/0.png"]
    assert run(recording, truth={"0.png": drawn, "elsewhere/0.png": []}).recall == 1.0
    with pytest.raises(FrameError, match="none of its pictures"):
        run(recording, truth={"here/0.png": drawn, "there/0.png": drawn})


def test_polygons_of_one_picture_are_never_those_of_another_of_the_same_end(tmp_path: Path, recording: Path) -> None:
    drawn = boxes_as_polygons(recording)["train/0.png"]
    for folder, number in (("a", 1), ("b", 0)):
        (tmp_path / "both" / folder).mkdir(parents=True)
        (recording / f"{number}.png").rename(tmp_path / "both" / folder / "0.png")
    report = run(tmp_path / "both", truth={"b/0.png": drawn})
    assert (report.frames, report.polygons, report.recall) == (2, 12, 1.0)
    with pytest.raises(FrameError, match=r"a/0\.png and b/0\.png both claim"):
        run(tmp_path / "both", truth={"c/0.png": drawn})


def test_recording_without_a_usable_picture_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "1.png").write_bytes(b"no picture")
    for as_blocks in (False, True):
        with pytest.raises(FrameError, match="none of its 2 pictures can be used; the first: empty file"):
            run(tmp_path, as_blocks=as_blocks)


def test_truth_about_other_pictures_is_an_error(recording: Path) -> None:
    with pytest.raises(FrameError, match=r"none of its pictures is named in the truth file, which has other\.png"):
        run(recording, truth={"other.png": []})


def test_recipe_of_other_channels_is_an_error(recording: Path) -> None:
    with pytest.raises(CropError, match="the recipe wants"):
        replay(recording, make_sorter(CropSpec(side_px=32, channels=1)), MACHINE)


def test_time_is_taken_of_every_stage_and_changes_no_decision(recording: Path) -> None:
    clock = TickClock()
    watch = StageWatch(clock)
    watched = replay(recording, make_sorter(), MACHINE, extras=Extras(watch=watch))
    times = watch.times()
    assert tuple(time.stage for time in times) == STAGES
    assert sum(time.share for time in times) == pytest.approx(1)
    assert {time.median_us for time in times} == {TickClock.STEP_NS / 1000}
    report = replay_report(watched, NAMES, model_id="ab" * 32, seconds=1.5)
    assert report.decisions_sha256 == run(recording).decisions_sha256
    lines = replay_text(replace(report, stages=times)).splitlines()
    assert [line.split()[0] for line in lines if " ms" in line] == list(STAGES)


def test_blocks_have_times_too(recording: Path) -> None:
    watch = StageWatch(TickClock())
    replay(recording, make_sorter(), MACHINE, as_blocks=True, extras=Extras(watch=watch))
    assert tuple(time.stage for time in watch.times()) == STAGES


def test_objects_that_only_the_end_of_the_scene_completes_have_times(recording: Path) -> None:
    watch = StageWatch(TickClock())
    replay(recording / "0.png", make_sorter(), MACHINE, as_blocks=True, extras=Extras(watch=watch))
    assert "infer" in {time.stage for time in watch.times()}


def test_viewer_sees_outlines_and_decisions_of_the_same_objects(recording: Path) -> None:
    pictures: list[Seen] = []
    truth = boxes_as_polygons(recording)
    result = replay(recording, make_sorter(), MACHINE, extras=Extras(truth, viewers=(pictures.append,)))
    assert [picture.number for picture in pictures] == [0, 1, 2, 3]
    assert [picture.name for picture in pictures] == [f"{number}.png" for number in range(4)]
    assert [picture.match is None for picture in pictures] == [False, False, True, True]
    for picture, step in zip(pictures, result.steps, strict=True):
        boxes = [cv2.boundingRect(contour) for contour in picture.contours]
        assert boxes == [tuple(box) for box in picture.decisions.boxes_px.tolist()]
        assert picture.decisions.class_ids.tolist() == step.decisions.class_ids.tolist()
        assert picture.decisions.pixels.shape == (len(boxes), 32, 32, 3)
        assert step.decisions.pixels.shape[1:] == (0, 0, 1)  # the replay itself keeps no pixel


def test_viewer_of_a_calibrated_camera_sees_corrected_pixels(recording: Path) -> None:
    half = FlatField(np.zeros((1, 320, 3), np.uint8), np.full((1, 320, 3), 0.5, np.float32))
    sorter = replace(make_sorter(threshold=30), flat_field=half)
    pictures: list[Seen] = []
    replay(recording, sorter, MACHINE, extras=Extras(viewers=(pictures.append,)))
    assert all(len(picture.contours) == 12 for picture in pictures)
    assert max(int(picture.pixels.max()) for picture in pictures) <= 128


def test_text_tells_what_a_person_asks(recording: Path) -> None:
    (recording / "5.png").write_bytes(b"")
    text = replay_text(run(recording, truth=boxes_as_polygons(recording)))
    assert "4 frames, 48 objects (0 oversize, 0 clusters, 0 cut off)" in text
    assert "missing 1: empty file" in text
    assert "against 24 polygons: recall 1.000, precision 1.000" in text
    assert text.splitlines()[-1].startswith("decisions ")


def test_text_tells_at_most_ten_reasons_and_counts_the_rest(recording: Path) -> None:
    reasons = {f"{size} bytes": 1 + size % 2 for size in range(15)}
    lines = replay_text(replace(run(recording), missing=reasons)).splitlines()
    told = [line for line in lines if line.startswith("missing ")]
    assert told[0] == "missing 2: 1 bytes"
    assert told[10:] == ["missing 5: 5 more reasons; --json has them all"]
    few = replay_text(replace(run(recording), missing=dict(list(reasons.items())[:10])))
    assert few.count("missing ") == 10


@pytest.mark.parametrize(
    ("folder", "settings", "least"),
    [
        ("frames_beans_coffee", {"threshold": 220, "min_area_px": 400}, 0.9),
        ("frames_sorghum", {"channel": "blue", "threshold": 70, "min_area_px": 400}, 0.5),
    ],
)
def test_real_frames_have_recall_and_precision(folder: str, settings: dict[str, object], least: float) -> None:
    source = DATA / folder
    if not source.is_dir():
        pytest.skip(f"no recording at {source}")
    truth = read_annotations(source / "annotations.json")
    some = sorted(truth)[0]
    sorter = make_sorter(CropSpec(side_px=64, reduction=4), **settings)
    result = replay(next(source.rglob(Path(some).name)), sorter, MACHINE, extras=Extras(truth))
    report = replay_report(result, NAMES, model_id="", seconds=0)
    assert report.recall is not None
    assert report.precision is not None
    assert report.recall > least
    assert report.precision > least
