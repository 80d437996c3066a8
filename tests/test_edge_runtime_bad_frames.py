"""Whatever a camera or a disk hands over is a clear error or a counted outcome, and the next good frame is sorted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import stub_scores
from tiny_model import TINY_CROP, TINY_RECIPE, draw_pieces, write_model_folder

from edge_runtime.config import to_toml
from edge_runtime.decisions import OVERSIZE
from edge_runtime.errors import ConfigError, EdgeError, FrameError
from edge_runtime.flat_field import FlatField, flat_field_path, save_flat_field
from edge_runtime.inline import InlineSorter, Sorted, desk_machine
from edge_runtime.line_scan import Block
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import Recipe
from edge_runtime.segment import SegmentSettings
from edge_runtime.setup import open_sorter

Pixels = NDArray[np.generic]

WIDTH: Final = 320
GOOD: Final = draw_pieces(["good", "stone", "husk"], width_px=WIDTH)
MACHINE: Final = desk_machine(2 * WIDTH)
DTYPES: Final = (np.bool_, np.int8, np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64)
WRONG: Final[dict[str, Pixels]] = {
    "no bands": GOOD[..., 0],
    "one band": GOOD[..., :1],
    "alpha": np.concatenate((GOOD, GOOD[..., :1]), axis=2),
    "a stack of frames": GOOD[None],
    "no columns": GOOD[:, :0],
    "bands of nothing": GOOD[..., :0],
    "wider than the camera": np.zeros((4, 2 * WIDTH + 1, 3), np.uint8),
    **{np.dtype(dtype).name: GOOD.astype(dtype) for dtype in DTYPES},
    "not a number": np.full((40, WIDTH, 3), np.nan, np.float32),
}


class Counted:
    """A classifier that counts what it is asked."""

    def __init__(self) -> None:
        self.crops = 0

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.crops += len(crops)
        return stub_scores(crops)


def make_inline(classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = stub_scores) -> InlineSorter:
    recipe = Recipe(TINY_RECIPE.classes, segment=SegmentSettings(threshold=60), crop=TINY_CROP)
    return InlineSorter(Sorter(recipe, NormSpec(), MACHINE.cameras[0], classify), MACHINE)


def by_frame(inline: InlineSorter, pixels: NDArray[np.uint8], line: int) -> Sorted:
    return inline.sort_frame(pixels)


def by_block(inline: InlineSorter, pixels: NDArray[np.uint8], line: int) -> Sorted:
    return inline.sort_block(Block(line, pixels))


@pytest.mark.parametrize("sort", [by_frame, by_block])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_frame_is_an_error_and_the_next_good_one_is_sorted(
    sort: Callable[[InlineSorter, Pixels, int], Sorted], name: str
) -> None:
    inline = make_inline()
    with pytest.raises(EdgeError, match=r"8 bit|wants \(H, W, 3\)|px wide"):
        sort(inline, WRONG[name], 0)
    tall = np.concatenate((GOOD, np.zeros((128, WIDTH, 3), np.uint8)))  # the step of a block is complete
    assert len(sort(inline, tall, 0).decisions) == 3


def test_frame_without_lines_is_an_error_and_a_block_without_lines_is_none() -> None:
    with pytest.raises(FrameError, match="no lines"):
        make_inline().sort_frame(GOOD[:0])
    inline = make_inline()
    assert len(inline.sort_block(Block(0, GOOD[:0])).decisions) == 0
    assert len(inline.finish().decisions) == 0


def test_block_of_another_width_is_an_error_and_the_scene_goes_on() -> None:
    inline = make_inline()
    inline.sort_block(Block(0, GOOD))
    with pytest.raises(FrameError, match="the width changed"):
        inline.sort_block(Block(len(GOOD), GOOD[:, : WIDTH // 2]))
    inline.sort_block(Block(len(GOOD), np.zeros((20, WIDTH, 3), np.uint8)))
    assert len(inline.finish().decisions) == 3


def test_after_lines_that_are_lost_a_new_scene_begins_where_the_next_block_does() -> None:
    """A camera does not send refused lines again."""
    inline = make_inline()
    inline.sort_block(Block(0, GOOD))
    with pytest.raises(EdgeError):
        inline.sort_block(Block(len(GOOD), GOOD.astype(np.uint16)))
    assert len(inline.finish().decisions) == 3
    inline.sort_block(Block(2 * len(GOOD), GOOD))
    after = inline.finish().decisions
    assert len(after) == 3
    assert after.lines.min() > 2 * len(GOOD)


@pytest.mark.parametrize("is_readonly", [False, True])
def test_views_and_frames_that_must_not_be_written_to_are_sorted_alike(is_readonly: bool) -> None:
    turned = np.ascontiguousarray(GOOD[::-1, ::-1])[::-1, ::-1]
    turned.flags.writeable = not is_readonly
    assert make_inline().sort_frame(turned).decisions.boxes_px.tolist() == (
        make_inline().sort_frame(GOOD).decisions.boxes_px.tolist()
    )


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 5), max_size=4).map(tuple),
    st.sampled_from(["u1", "u2", "i4", "f4", "?"]),
    st.integers(0, 2**32 - 1),
)
def test_any_small_array_is_sorted_or_refused(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
    inline = make_inline()
    try:
        assert len(inline.sort_frame(pixels).decisions) == 0  # smaller than the smallest object
    except EdgeError as error:
        assert str(shape) in str(error)
    assert len(inline.sort_frame(GOOD).decisions) == 3


def test_black_frame_has_no_object_and_a_saturated_one_is_one_oversize_object() -> None:
    black, white = np.zeros((300, WIDTH, 3), np.uint8), np.full((300, WIDTH, 3), 255, np.uint8)
    assert len(make_inline().sort_frame(black).decisions) == 0
    decisions = make_inline().sort_frame(white).decisions
    assert decisions.class_ids.tolist() == [OVERSIZE]
    assert decisions.boxes_px.tolist() == [[0, 0, WIDTH, 300]]


def test_white_that_never_ends_is_one_oversize_object_at_its_end() -> None:
    """A lamp in the view or a jam: one object that never ends."""
    classify = Counted()
    inline = make_inline(classify)
    white = np.full((64, WIDTH, 3), 255, np.uint8)
    sorted_steps = [inline.sort_block(Block(64 * number, white)) for number in range(64)]
    assert sum(len(step.decisions) for step in sorted_steps) == 0  # its last row has not come
    assert inline.finish().decisions.class_ids.tolist() == [OVERSIZE]
    assert classify.crops == 0


def test_dust_of_twenty_thousand_specks_is_never_looked_at_one_by_one() -> None:
    frame = np.zeros((1000, 2 * WIDTH, 3), np.uint8)
    rows, columns = np.divmod(np.arange(20_000), 128)
    for y in range(3):
        for x in range(3):  # 3 x 3 px outlive the median filter
            frame[5 + 6 * rows + y, 5 * columns + x] = 255
    classify = Counted()
    decisions = make_inline(classify).sort_frame(frame).decisions
    assert (len(decisions), classify.crops) == (0, 0)


def test_thousands_of_objects_are_each_classified_once() -> None:
    frame = np.zeros((1000, 2 * WIDTH, 3), np.uint8)
    rows, columns = np.divmod(np.arange(2_400), 40)
    for y in range(8):
        for x in range(8):
            frame[4 + 16 * rows + y, 4 + 16 * columns + x] = 255
    classify = Counted()
    decisions = make_inline(classify).sort_frame(frame).decisions
    assert (len(decisions), classify.crops) == (2_400, 2_400)
    assert len({(box[0], box[1]) for box in decisions.boxes_px.tolist()}) == 2_400


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.booleans(), st.sampled_from([0.0, 0.9]))
def test_noise_never_breaks_anything(seed: int, threshold: int, is_smooth: bool, neck: float) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (200, WIDTH, 3), dtype=np.uint8)
    frame = np.asarray(cv2.blur(frame, (9, 9)), np.uint8) if is_smooth else frame
    recipe = Recipe(TINY_RECIPE.classes, segment=SegmentSettings(threshold=threshold, split_neck=neck), crop=TINY_CROP)
    inline = InlineSorter(Sorter(recipe, NormSpec(), MACHINE.cameras[0], stub_scores), MACHINE)
    decisions = inline.sort_frame(frame).decisions
    boxes = decisions.boxes_px
    assert ((boxes[:, :2] >= 0) & (boxes[:, 2:] > 0)).all()
    assert (boxes[:, 0] + boxes[:, 2] <= WIDTH).all()
    assert (boxes[:, 2] * boxes[:, 3] >= recipe.segment.min_area_px).all()
    assert ((decisions.norm_denominators > 0) & (decisions.norm_numerators >= 0)).all()


@pytest.mark.parametrize("gain", [np.nan, np.inf, -1.0, 5.0, 1.0001])
def test_calibration_that_holds_no_gain_is_an_error_before_the_first_frame(tmp_path: Path, gain: float) -> None:
    model, machine = tmp_path / "model", tmp_path / "machine.toml"
    write_model_folder(model)
    machine.write_text(to_toml(desk_machine(WIDTH)), encoding="utf-8")
    gains = np.ones((1, WIDTH, 3), np.float32)
    gains[0, 7, 1] = gain
    path = flat_field_path(tmp_path / "calibration", "top")
    path.parent.mkdir()
    save_flat_field(path, FlatField(np.zeros((1, WIDTH, 3), np.uint8), gains))
    with pytest.raises(ConfigError, match="calibrate again"):
        open_sorter(model, machine=machine)


def write_bad_recording(folder: Path) -> None:
    """Write five pictures that can be sorted, three of them as 8-bit colour that they are not, and four that cannot."""
    folder.mkdir()
    deep = GOOD.astype(np.uint16) * 257
    alpha = np.dstack((GOOD, GOOD[..., 0]))
    pictures: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {"a": GOOD, "b": deep, "c": GOOD[..., 0], "d": alpha}
    pictures["e"] = GOOD[:1, :1]
    for name, pixels in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), pixels)
    whole = (folder / "a.png").read_bytes()
    jpeg = cv2.imencode(".jpg", GOOD)[1].tobytes()
    (folder / "f.png").write_bytes(whole[: len(whole) // 2])
    (folder / "g.png").write_bytes(b"")
    (folder / "h.png").write_bytes(b"this is a text")
    (folder / "i.jpg").write_bytes(jpeg[: len(jpeg) // 2])


def replay_of(source: Path, model: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge_runtime", "replay", str(source), "--model", str(model), "--json", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))


def test_replay_counts_every_picture_of_a_bad_recording(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "model")
    write_bad_recording(tmp_path / "recording")
    result = replay_of(tmp_path / "recording", tmp_path / "model")
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert (report["frames"], sum(report["missing"].values())) == (5, 4)
    assert {reason.split(":")[0].split(" (")[0] for reason in report["missing"]} == {
        "damaged picture",
        "empty file",
        "not a whole PNG, JPEG or BMP picture",
    }
    assert report["objects"] == 4 * 3


def test_replay_of_blocks_that_change_their_width_is_an_error_of_the_data(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "model")
    write_bad_recording(tmp_path / "recording")
    result = replay_of(tmp_path / "recording", tmp_path / "model", "--blocks")
    assert (result.returncode, result.stdout) == (5, "")
    assert "the width changed" in result.stderr
    assert "Traceback" not in result.stderr
