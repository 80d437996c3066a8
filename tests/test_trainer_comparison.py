"""Runs side by side: figures as the runs recorded them, said to be fair only where they are."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from firmware_bridge.clock import ManualClock
from trainer.cli import cli
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.draw.quarantine import QuarantineSettings
from trainer.errors import ResumeError, SettingsError
from trainer.loop.results import load_result
from trainer.loop.run import RunPlan, run
from trainer.pool.pool import Pool
from trainer.progress import TerminalProgress
from trainer.report.comparison_page import compare_runs, write_comparison
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

SETTINGS = RunSettings(
    m=4,
    quarantine=QuarantineSettings(mode="off"),
    fit=FitSettings(steps=3, final_steps=4, batch=8),
    stop=StopSettings(rounds=2, patience=0),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_synthetic_pool(folder / "one.pool", SyntheticSamples())
    make_synthetic_pool(folder / "other.pool", SyntheticSamples(counts={"train": 40, "validation": 20}, seed=1))
    plans = {"first": ("one", SETTINGS), "second": ("one", msgspec.structs.replace(SETTINGS, m=6))}
    for name, (pool_name, settings) in (plans | {"stranger": ("other", SETTINGS)}).items():
        with Pool.open(folder / f"{pool_name}.pool") as pool, TerminalProgress(quiet=True) as progress:
            run(pool, RunPlan(folder / name, settings), ManualClock(), progress)
    return folder


def test_figures_are_those_that_the_runs_recorded(runs: Path) -> None:
    report = compare_runs([runs / "first", runs / "second"])
    for name, found in zip(("first", "second"), report.runs, strict=True):
        result = load_result(runs / name)
        assert result.test is not None
        assert (found.name, found.judged_on, found.macro_f1) == (name, "test", result.test.macro_f1)
        assert found.training_samples == result.training_samples
        assert found.per_class_recall == result.test.per_class_recall
        assert found.visits == sum(record.visits for record in result.rounds)
    assert report.is_fair


def test_the_second_run_says_what_was_set_differently(runs: Path) -> None:
    first, second = compare_runs([runs / "first", runs / "second"]).runs
    assert first.changed == ()
    assert second.changed == ("settings.m is 6, was 4",)


def test_runs_of_other_samples_are_shown_but_said_not_to_compare(runs: Path, tmp_path: Path) -> None:
    report = compare_runs([runs / "first", runs / "stranger"])
    assert not report.is_fair
    assert [run.judged_on for run in report.runs] == ["test", "validation"]
    write_comparison(report, tmp_path / "c.html")
    assert "do not compare" in (tmp_path / "c.html").read_text("utf-8")


def test_the_page_stands_alone_and_is_the_same_again(runs: Path, tmp_path: Path) -> None:
    report = compare_runs([runs / "first", runs / "second"])
    for name in ("a.html", "b.html"):
        write_comparison(report, tmp_path / name, "zh-CN")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page == (tmp_path / "b.html").read_text("utf-8")
    assert all(text in page for text in ("first", "second", "训练对比", "Runs side by side", "settings.m is 6, was 4"))
    assert "do not compare" not in page
    assert "<script" not in page and "src=" not in page and "href=" not in page


def test_what_cannot_be_compared_is_named(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least two different"):
        compare_runs([runs / "first"])
    with pytest.raises(SettingsError, match="at least two different"):
        compare_runs([runs / "first", runs / "second" / ".." / "first"])
    shutil.copytree(runs / "second", tmp_path / "half")
    (tmp_path / "half" / "result.json").unlink()
    with pytest.raises(ResumeError, match="half holds no finished run"):
        compare_runs([runs / "first", tmp_path / "half"])


def test_the_command_writes_the_page_and_answers_in_json(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    arguments = ["report", str(runs / "first"), str(runs / "second"), "--out", str(out)]
    told = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert [one["name"] for one in json.loads(told.stdout)["runs"]] == ["first", "second"]
    assert out.stat().st_size > 1000
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "second" in shown.stdout and "do not compare" not in shown.stdout
