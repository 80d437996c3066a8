"""Retraining in one step: what came back is learnt, and a model that is worse at anything stays at home."""

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_runs import SAMPLES, SETTINGS, Spy, go

from edge_runtime.crop import CropSpec
from firmware_bridge.clock import ManualClock
from trainer.demo.synthetic import make_synthetic_pool, synthetic_sample
from trainer.errors import ResumeError, RetrainRefusedError
from trainer.loop.base_run import load_base
from trainer.loop.results import ShippedFigures
from trainer.loop.retrain import RetrainPlan, RetrainReport, continue_settings, require_accepted, retrain
from trainer.loop.retrain_gate import Answers, judge_change, judge_figures
from trainer.pool.pool import Pool
from trainer.report.retrain_page import write_retrain_page

CLASSES = ("good", "husk", "stone")
FIVE = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40)


def answers(rows: list[tuple[int, int, int]]) -> Answers:
    true_ids, base_ids, candidate_ids = np.array(rows, np.int64).T
    return Answers(true_ids, base_ids, candidate_ids)


@given(FIVE)
def test_a_model_may_always_replace_itself(rows: list[tuple[int, int, int]]) -> None:
    told = answers(rows)
    gate = judge_change(CLASSES, Answers(told.true_ids, told.base_ids, told.base_ids), 0.0)
    assert gate.is_accepted
    assert gate.base_macro_f1 == gate.candidate_macro_f1


@given(FIVE, st.sampled_from([0.0, 0.01, 0.5]))
def test_a_class_is_lost_exactly_when_more_than_the_allowed_samples_are(
    rows: list[tuple[int, int, int]], max_loss: float
) -> None:
    gate = judge_change(CLASSES, answers(rows), max_loss)
    for class_id, name in enumerate(CLASSES):
        own = [row for row in rows if row[0] == class_id]
        lost = sum(row[1] == class_id for row in own) - sum(row[2] == class_id for row in own)
        assert (name in gate.classes) == bool(own)
        if own:
            assert gate.classes[name].is_lost == (lost > max(max_loss * len(own), 1))
            assert gate.classes[name].mended == sum(row[2] == class_id != row[1] for row in own)
            assert gate.classes[name].broken == sum(row[1] == class_id != row[2] for row in own)
    assert gate.is_accepted == (not any(change.is_lost for change in gate.classes.values()))


def test_a_gain_in_one_class_does_not_pay_for_a_loss_in_another() -> None:
    gate = judge_change(CLASSES, answers([(0, 1, 0)] * 50 + [(1, 1, 0)] * 2 + [(1, 1, 1)] * 98), 0.01)
    assert (gate.is_accepted, gate.classes["good"].is_lost, gate.classes["husk"].is_lost) == (False, False, True)
    assert gate.candidate_macro_f1 > gate.base_macro_f1


def figures(recalls: dict[str, float], confusion: list[list[int]]) -> ShippedFigures:
    return ShippedFigures(100, 0.9, 0.9, 0.01, min(recalls.values()), recalls, confusion)


def test_out_of_fold_figures_are_compared_class_by_class_and_new_classes_are_left_out() -> None:
    base = figures({"good": 0.9, "stone": 0.8}, [[9, 1], [2, 8]])
    candidate = figures({"good": 0.8, "husk": 0.1, "stone": 0.6}, [[8, 1, 1], [9, 1, 0], [4, 0, 6]])
    gate = judge_figures(CLASSES, base, candidate, 0.0)
    assert {name: change.is_lost for name, change in gate.classes.items()} == {"good": False, "stone": True}
    assert gate.classes["good"].mended is None
    assert not gate.is_accepted


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and a pool that took a dozen objects of a machine in since: good ones that look like stones."""
    folder = tmp_path_factory.mktemp("retrain")
    make_synthetic_pool(folder / "p.pool", replace(SAMPLES, counts={"train": 30, "validation": 20, "test": 20}))
    go(folder)
    rng = np.random.default_rng(3)
    with Pool.open(folder / "p.pool") as pool:
        for at in range(12):
            strange = synthetic_sample(2, "good", f"machine/{at}", ("train", 16), rng)
            pool.add_sample(replace(strange, origin="residual", truth="T0"))
    return folder


def plan(folder: Path, out: str, max_loss: float = 1.0) -> RetrainPlan:
    with Pool.open(folder / "p.pool") as pool:
        settings = continue_settings(pool, folder / "run")
    return RetrainPlan(folder / out, folder / "run", settings, max_loss)


def go_on(folder: Path, asked: RetrainPlan) -> RetrainReport:
    with Pool.open(folder / "p.pool") as pool:
        return retrain(pool, asked, ManualClock(), Spy())


def test_m_is_as_large_as_what_came_back_and_is_wrong(grown: Path) -> None:
    with Pool.open(grown / "p.pool") as pool:
        table = pool.load(("train",), origins=("residual",))
        told = load_base(grown / "run", pool, CLASSES).scores(table, CropSpec(side_px=16)).argmax(axis=1)
    settings = plan(grown, "x").settings
    assert settings.m == int((told != table.class_ids).sum()) > 8  # 8 is the default
    assert msgspec.structs.replace(settings, m=SETTINGS.m, stop=SETTINGS.stop) == SETTINGS


def test_an_accepted_model_lies_where_bundles_are_built_from(grown: Path) -> None:
    report = go_on(grown, plan(grown, "accepted"))
    assert (report.is_accepted, report.held_out, report.mistakes) == (True, "test", {"good": 12})
    assert report.model == str(grown / "accepted" / "model")
    assert (grown / "accepted/model/model.onnx").read_bytes() == (grown / "accepted/run/model/model.onnx").read_bytes()
    assert msgspec.json.decode((grown / "accepted/retrain.json").read_bytes(), type=RetrainReport) == report
    assert go_on(grown, plan(grown, "accepted")) == report


def test_a_refused_model_is_not_let_out_and_an_earlier_one_is_gone(grown: Path) -> None:
    asked = plan(grown, "refused", max_loss=0.0)
    settings = msgspec.structs.replace(asked.settings, fit=msgspec.structs.replace(asked.settings.fit, final_steps=1))
    report = go_on(grown, replace(asked, settings=settings))
    assert (report.is_accepted, report.model) == (False, "")
    with pytest.raises(RetrainRefusedError, match="the new model is worse at "):
        require_accepted(report)
    assert not (grown / "refused/model").exists()
    assert (grown / "refused/run/model/model.onnx").is_file()


def test_a_pool_that_did_not_grow_has_nothing_to_teach(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    go(tmp_path)
    with pytest.raises(RetrainRefusedError, match="take mistakes in first"):
        go_on(tmp_path, plan(tmp_path, "next"))
    with pytest.raises(ResumeError, match="holds no finished run"):
        plan(tmp_path, "next").base.joinpath("result.json").unlink()
        go_on(tmp_path, RetrainPlan(tmp_path / "next", tmp_path / "run", SETTINGS, 0.01))


def test_the_page_tells_the_verdict_and_shows_what_changed_in_both_languages(grown: Path) -> None:
    asked = plan(grown, "page", max_loss=0.0)
    settings = msgspec.structs.replace(asked.settings, fit=msgspec.structs.replace(asked.settings.fit, final_steps=1))
    asked = replace(asked, settings=settings)
    report = go_on(grown, asked)
    with Pool.open(grown / "p.pool") as pool:
        text = write_retrain_page(pool, asked, report).read_text(encoding="utf-8")
        assert write_retrain_page(pool, asked, report).read_text(encoding="utf-8") == text
    lost = next(name for name, change in report.gate.classes.items() if change.is_lost)
    assert f"Refused. {lost}" in text
    assert "未通过" in text
    broken = sum(change.broken or 0 for change in report.gate.classes.values())
    mended = sum(change.mended or 0 for change in report.gate.classes.values())
    still_wrong = sum(report.mistakes.values()) - sum(report.learnt.values())
    hidden = sum(int(count) for count in re.findall(r"and (\d+) more", text))
    assert text.count("<img ") + hidden == broken + mended + still_wrong
