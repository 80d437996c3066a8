"""The board runs INT8 only where it decides as it must and is faster by measurement."""

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from int8_folder import add_int8, rewrite_golden

from edge_runtime.errors import ModelFolderError
from edge_runtime.model import (
    INT8_FILE,
    check_golden,
    int8_golden_key,
    load_model_folder,
    make_classifier,
    read_golden,
)
from edge_runtime.processor import processor_kind
from edge_runtime.setup import check_files
from edge_runtime.variants import choice_text, faster_variant
from firmware_bridge.clock import CpuClock, ManualClock

KEY = int8_golden_key(processor_kind())


class TurnClock(ManualClock):
    """A clock that says the first of two jobs, measured in turn, takes `first_ns`, and the second `second_ns`."""

    def __init__(self, first_ns: int, second_ns: int) -> None:
        super().__init__(datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
        self._steps_ns = (0, first_ns, 0, second_ns)
        self._asked = 0

    def monotonic_ns(self) -> int:
        self.advance_ns(self._steps_ns[self._asked % 4])
        self._asked += 1
        return super().monotonic_ns()


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A model folder with an "INT8" file that gives the same scores."""
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    add_int8(path)
    return path


@pytest.mark.parametrize(
    ("fp32_ns", "int8_ns", "variant"),
    [(2200, 1100, "int8"), (1100, 1100, "fp32"), (1160, 1100, "int8"), (1150, 1100, "fp32"), (1100, 2200, "fp32")],
)
def test_int8_is_chosen_where_it_is_faster_by_a_twentieth(
    folder: Path, fp32_ns: int, int8_ns: int, variant: str
) -> None:
    choice = faster_variant(load_model_folder(folder), TurnClock(fp32_ns, int8_ns))
    assert choice.variant == variant
    assert choice.fp32_us == pytest.approx(fp32_ns / 11e3)
    assert choice.int8_us == pytest.approx(int8_ns / 11e3)
    assert f"{fp32_ns / int8_ns:.2f} times as fast" in choice.reason


def test_a_clock_that_stands_still_chooses_fp32(folder: Path) -> None:
    assert faster_variant(load_model_folder(folder), ManualClock()).variant == "fp32"


def test_a_real_clock_measures_both(folder: Path) -> None:
    choice = faster_variant(load_model_folder(folder), CpuClock())
    assert choice.fp32_us is not None
    assert choice.int8_us is not None
    assert min(choice.fp32_us, choice.int8_us) > 0


def test_without_an_int8_file_nothing_is_timed(tiny_model_folder: Path) -> None:
    choice = faster_variant(load_model_folder(tiny_model_folder), ManualClock())
    assert (choice.variant, choice.fp32_us) == ("fp32", None)
    assert choice_text(choice) == "runs best as fp32: the folder has no INT8 model"


def test_why_int8_was_refused_is_told(folder: Path) -> None:
    add_int8(folder, refused="whole: failed")
    loaded = load_model_folder(folder)
    assert loaded.int8 is None
    assert faster_variant(loaded, ManualClock()).reason == "no INT8 model was made: whole: failed"
    with pytest.raises(ModelFolderError, match=r"has no model.int8.onnx"):
        make_classifier(loaded, "int8")


def test_int8_that_decides_otherwise_here_is_not_chosen(folder: Path) -> None:
    scores = read_golden(load_model_folder(folder)).scores
    rewrite_golden(folder, **{KEY: np.roll(scores, 1, axis=1)})
    choice = faster_variant(load_model_folder(folder), TurnClock(9000, 1000))
    assert choice.variant == "fp32"
    assert "golden crops get another class here in int8" in choice.reason


def test_golden_scores_of_this_kind_hold_within_a_thousandth(folder: Path) -> None:
    loaded = load_model_folder(folder)
    scores = read_golden(loaded).scores
    rewrite_golden(folder, **{KEY: scores + np.float32(0.0009)})
    assert check_golden(loaded, make_classifier(loaded, "int8"), "int8") == 11
    rewrite_golden(folder, **{KEY: scores + np.float32(0.0011)})
    with pytest.raises(ModelFolderError, match=r"golden int8 scores differ by 1.1\de-03, the limit is 1e-03"):
        check_golden(loaded, make_classifier(loaded, "int8"), "int8")


def test_on_a_kind_never_measured_one_crop_may_differ(folder: Path) -> None:
    loaded = load_model_folder(folder)
    scores = read_golden(loaded).scores
    for wrong, is_held in ((0, True), (1, True), (2, False)):
        foreign = scores * np.float32(0.9)
        foreign[:wrong] = np.roll(foreign[:wrong], 1, axis=1)
        rewrite_golden(folder, **{int8_golden_key("other-kind"): foreign})
        if is_held:
            assert check_golden(loaded, make_classifier(loaded, "int8"), "int8") == 11
        else:
            with pytest.raises(ModelFolderError, match="2 of 11 golden crops"):
                check_golden(loaded, make_classifier(loaded, "int8"), "int8")


def test_int8_scores_that_are_missing_or_of_another_type_are_told(folder: Path) -> None:
    loaded = load_model_folder(folder)
    rewrite_golden(folder)
    with pytest.raises(ModelFolderError, match=r"golden.npz has no INT8 scores"):
        check_golden(loaded, make_classifier(loaded, "int8"), "int8")
    rewrite_golden(folder, **{KEY: np.zeros((11, 3), np.float64)})
    with pytest.raises(ModelFolderError, match="uint8 and float32 expected"):
        read_golden(loaded)


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"\x00", lambda data: data[:9], lambda data: b""])
def test_a_tampered_int8_file_is_refused(folder: Path, change: object) -> None:
    assert callable(change)
    (folder / INT8_FILE).write_bytes(change((folder / INT8_FILE).read_bytes()))
    with pytest.raises(ModelFolderError, match=r"model.int8.onnx has sha256"):
        load_model_folder(folder)


def test_a_missing_int8_file_is_named(folder: Path) -> None:
    (folder / INT8_FILE).unlink()
    with pytest.raises(ModelFolderError, match=r"model.int8.onnx"):
        load_model_folder(folder)


def test_a_file_that_the_card_does_not_name_is_not_read(tiny_model_folder: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    (path / INT8_FILE).write_bytes(b"anything")
    assert load_model_folder(path).int8 is None


def test_check_tells_the_choice(folder: Path, tiny_model_folder: Path) -> None:
    text = check_files(folder, None, None, clock=TurnClock(2200, 1100))[str(folder)]
    assert text.endswith("11 golden crops, runs best as int8: INT8 is 2.00 times as fast as FP32 here")
    assert "runs best" not in check_files(tiny_model_folder, None, None)[str(tiny_model_folder)]
