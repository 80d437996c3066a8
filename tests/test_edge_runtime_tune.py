"""The board runs the form that is fastest by measurement, of those that decide as they must; the choice is kept."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bad_models import change_card, loop_onnx, with_model
from hypothesis import given
from hypothesis import strategies as st
from int8_folder import add_int8, rewrite_golden
from scripted_scorer import ScriptedScorer

from edge_runtime.check import check_files
from edge_runtime.errors import ModelFolderError
from edge_runtime.model import ModelFolder, int8_golden_key, load_model_folder, read_golden
from edge_runtime.processor import processor_kind
from edge_runtime.providers import open_scorer, runtime_version
from edge_runtime.scorer import ModelForm, Scorer
from edge_runtime.setup import open_sorter
from edge_runtime.simulate import virtual_setup
from edge_runtime.tune import PLAIN, choose_form, tune, tune_text
from edge_runtime.tuned_record import TunedRecord, chosen_form, facts_here, tuned_path, write_tuned
from firmware_bridge.clock import CpuClock, ManualClock

KEY = int8_golden_key(processor_kind())
INT8 = ModelForm("int8")
FORMS = (PLAIN, INT8, ModelForm("fp32", "openvino"), ModelForm("int8", "openvino"))


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A model folder with an "INT8" file that gives the same scores."""
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    add_int8(path)
    return path


def scripted(clock: ManualClock, int8_us: int) -> Callable[[ModelFolder, ModelForm], Scorer]:
    """Sessions by the script: FP32 takes 100 us a crop; any other by onnxruntime `int8_us`; OpenVINO half a second."""

    def start(folder: ModelFolder, form: ModelForm) -> Scorer:
        taken_us = 500_000 if form.provider == "openvino" else 100 if form == PLAIN else int8_us
        return ScriptedScorer(clock, crop_ns=1000 * taken_us)

    return start


@pytest.mark.parametrize(
    ("int8_us", "expected", "gain"), [(50, INT8, "2.00"), (95, INT8, "1.05"), (96, PLAIN, "1.04"), (200, PLAIN, "")]
)
def test_the_fastest_by_a_twentieth_is_chosen_and_kept(
    folder: Path, int8_us: int, expected: ModelForm, gain: str
) -> None:
    clock = ManualClock()
    record = tune(folder, clock, start=scripted(clock, int8_us))
    assert record.form == expected
    assert record.medians_us["fp32 by onnxruntime"] == pytest.approx(100)
    assert record.medians_us["int8 by onnxruntime"] == pytest.approx(int8_us)
    assert gain in record.reason
    assert chosen_form(load_model_folder(folder)).form == expected
    assert open_sorter(folder).form == virtual_setup(folder).form == expected


def test_check_tells_the_choice(folder: Path) -> None:
    write_tuned(folder, TunedRecord(facts_here(load_model_folder(folder)), INT8, "twice as fast", {}, {}))
    told = check_files(folder, None, None)[str(folder)]
    assert told.endswith("3 classes, 11 golden crops, runs as int8 by onnxruntime: tuned: twice as fast")


def test_a_real_clock_measures_all_that_passes(folder: Path) -> None:
    record = tune(folder, CpuClock())
    assert min(record.medians_us.values()) > 0
    assert {"fp32 by onnxruntime", "int8 by onnxruntime"} <= set(record.medians_us)
    assert msgspec.json.decode(tuned_path(folder).read_bytes(), type=TunedRecord) == record
    assert ("openvino" in record.refused) == (runtime_version("openvino") is None)
    text = tune_text(record, folder)
    assert text.startswith(f"model {record.made_for.model_id[:12]} runs as ")
    assert text.endswith(f"written to {tuned_path(folder)}")


def test_int8_that_decides_otherwise_here_is_never_chosen(folder: Path) -> None:
    scores = read_golden(load_model_folder(folder)).scores
    rewrite_golden(folder, **{KEY: np.roll(scores, 1, axis=1)})
    clock = ManualClock()
    record = tune(folder, clock, start=scripted(clock, 1))
    assert record.form == PLAIN
    assert "golden crops get another class here in int8" in record.refused["int8 by onnxruntime"]


@pytest.mark.parametrize(
    ("refused", "why"),
    [("", "the folder has no INT8 model"), ("whole: failed", "no INT8 model was made: whole: failed")],
)
def test_why_there_is_no_int8_is_told(tiny_model_folder: Path, tmp_path: Path, refused: str, why: str) -> None:
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    if refused:
        add_int8(path, refused=refused)
    clock = ManualClock()
    record = tune(path, clock, start=scripted(clock, 1))
    assert (record.form, record.refused["int8"]) == (PLAIN, why)


def test_a_bad_folder_is_refused_and_the_old_choice_stays(folder: Path, tmp_path: Path) -> None:
    path = write_tuned(folder, TunedRecord(facts_here(load_model_folder(folder)), INT8, "before", {}, {}))
    before = path.read_bytes()
    change_card(folder, latency_budget_us=1)
    with pytest.raises(ModelFolderError, match=r"no form of the model may run: .*its card allows 1"):
        tune(folder, ManualClock())
    assert path.read_bytes() == before
    bad = with_model(folder, tmp_path / "bad", loop_onnx())
    with pytest.raises(ModelFolderError, match="uses Loop"):
        tune(bad, ManualClock())
    assert not tuned_path(bad).exists()


def changed(record: TunedRecord, **changes: object) -> bytes:
    return msgspec.json.encode(
        msgspec.structs.replace(record, made_for=msgspec.structs.replace(record.made_for, **changes))
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model_id": "ab" * 32}, "it was made for another model_id"),
        ({"int8_sha256": "ab" * 32}, "it was made for another int8_sha256"),
        ({"processor": "riscv64"}, "it was made for another processor"),
        ({"onnxruntime": "0.1"}, "it was made for another onnxruntime"),
        ({"onnxruntime": "0.1", "processor": "riscv64"}, "it was made for another processor, onnxruntime"),
        ({"openvino": "0.1"}, ""),
    ],
)
def test_a_choice_holds_only_for_what_it_was_made_for(folder: Path, changes: dict[str, object], why: str) -> None:
    """A runtime that the choice does not use may be any."""
    record = TunedRecord(facts_here(load_model_folder(folder)), INT8, "measured", {}, {})
    tuned_path(folder).write_bytes(changed(record, **changes))
    chosen = chosen_form(load_model_folder(folder))
    assert chosen.form == (PLAIN if why else INT8)
    assert chosen.why == (f"not as tuned: model.tuned.json is ignored: {why}" if why else "tuned: measured")


def test_a_choice_of_a_runtime_that_is_gone_does_not_hold(folder: Path) -> None:
    record = TunedRecord(facts_here(load_model_folder(folder)), ModelForm("fp32", "openvino"), "measured", {}, {})
    tuned_path(folder).write_bytes(changed(record, openvino="0.0.1"))
    assert "another openvino" in chosen_form(load_model_folder(folder)).why


def test_a_choice_of_openvino_by_no_version_of_it_does_not_hold(folder: Path) -> None:
    """As a person may write it, on a board without it."""
    record = TunedRecord(facts_here(load_model_folder(folder)), ModelForm("fp32", "openvino"), "by hand", {}, {})
    tuned_path(folder).write_bytes(changed(record, openvino=None))
    assert chosen_form(load_model_folder(folder)).why.endswith("it was made for another openvino")
    assert open_sorter(folder).form == PLAIN


@pytest.mark.parametrize("refused", ["", "whole: failed"], ids=["never made", "refused"])
def test_a_choice_of_int8_that_the_folder_does_not_have_does_not_hold(
    tiny_model_folder: Path, tmp_path: Path, refused: str
) -> None:
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    if refused:
        add_int8(path, refused=refused)
    write_tuned(path, TunedRecord(facts_here(load_model_folder(path)), INT8, "by hand", {}, {}))
    assert "it chooses int8 by onnxruntime, and the folder has no INT8 file" in chosen_form(load_model_folder(path)).why
    assert "runs as fp32 by onnxruntime: not as tuned" in check_files(path, None, None)[str(path)]


@pytest.fixture(scope="module")
def scratch_folder(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy beside which a test may write again and again."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path_factory.mktemp("scratch") / "model"))


@given(data=st.binary(max_size=300) | st.sampled_from([b"{}", b"null", b'{"schema_version": 2}', b"\xff"]))
def test_any_bytes_as_a_record_leave_fp32(scratch_folder: Path, data: bytes) -> None:
    tuned_path(scratch_folder).write_bytes(data)
    assert chosen_form(load_model_folder(scratch_folder)).form == PLAIN


def test_a_record_that_cannot_be_read_is_told(folder: Path) -> None:
    tuned_path(folder).mkdir()
    assert chosen_form(load_model_folder(folder)).why.endswith("it cannot be read")


def test_the_record_lies_beside_its_folder_however_that_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = folder.parent / "model.tuned.json"
    monkeypatch.chdir(folder)
    assert {tuned_path(path) for path in (folder, Path(), Path("../model/"), folder / ".." / "model")} == {expected}


@given(st.dictionaries(st.sampled_from(FORMS), st.floats(0.001, 1e6), min_size=1))
def test_the_choice_is_never_slower_than_what_is_left_out_for_a_reason(medians: dict[ModelForm, float]) -> None:
    form, reason = choose_form(medians)
    assert form in medians
    assert str(form) in reason or len(medians) == 1
    fastest = min(medians.values())
    if form == PLAIN:
        assert medians[form] < 1.05 * fastest * (1 + 1e-9)
    else:
        assert medians[form] == fastest


def test_sessions_of_a_form_are_what_the_form_says(folder: Path) -> None:
    loaded = load_model_folder(folder)
    crops = read_golden(loaded).crops
    assert np.array_equal(open_scorer(loaded, PLAIN).scores(crops), open_scorer(loaded, INT8).scores(crops))
