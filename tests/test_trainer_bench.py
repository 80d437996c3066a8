"""The benchmark end to end on made-up crops: two arms, two seeds, a crash, and what the rows then say."""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from firmware_bridge.clock import ManualClock
from firmware_bridge.command_line import run_command_line
from trainer.acquire.importer import no_progress
from trainer.bench.arms import ARMS
from trainer.bench.bench import BenchPlan, BenchReport, read_bench, run_bench
from trainer.bench.docs_page import suite_tables
from trainer.bench.row_pool import import_set, read_samples, withdraw_others, write_row_pool
from trainer.bench.row_run import clear_work
from trainer.bench.subset_task import SubsetTask, equal_quotas
from trainer.bench.subsets import METHODS
from trainer.bench.tables import markdown
from trainer.bench.variants import vary
from trainer.cli import cli
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.errors import ImportFailedError, PoolError
from trainer.pool.pool import Pool
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

SETTINGS = RunSettings(m=6, fit=FitSettings(steps=12, final_steps=20, batch=16), stop=StopSettings(rounds=2))
SAMPLES = SyntheticSamples(counts={"train": 24, "validation": 20, "test": 20})


class Watcher:
    """Keeps what it is told, and may break off."""

    def __init__(self, stop_after: int = 99) -> None:
        self.lines: list[str] = []
        self._stop_after = stop_after

    def __call__(self, stage: str, done: int, total: int) -> None:
        pass

    def say(self, text: str) -> None:
        self.lines.append(text)
        if len(self.lines) == self._stop_after:
            raise KeyboardInterrupt


def a_plan(
    folder: Path, arms: tuple[str, ...], seeds: tuple[int, ...] = (0, 1), samples: SyntheticSamples = SAMPLES
) -> BenchPlan:
    """Return a plan on one made-up set whose pool is already there."""
    (folder / "data" / "toy").mkdir(parents=True, exist_ok=True)
    (folder / "out" / "pools").mkdir(parents=True, exist_ok=True)
    for name in ("train.tar", "test.tar"):
        (folder / "data" / "toy" / name).touch()
    if not (folder / "out" / "pools" / "toy.pool").exists():
        make_synthetic_pool(folder / "out" / "pools" / "toy.pool", samples)
    chosen = tuple(ARMS[name] for name in arms)
    return BenchPlan(folder / "data", folder / "out", "core", ("toy",), chosen, seeds, SETTINGS, jobs=0)


def go(plan: BenchPlan, watcher: Watcher | None = None) -> BenchReport:
    return run_bench(plan, [], ManualClock(), watcher or Watcher())


def a_tar(path: Path, pictures: dict[str, int]) -> None:
    """Write a tar of `split/class/name.png` pictures: a bright disc on black, its size by number."""
    with tarfile.open(path, "w") as tar:
        for name, radius in pictures.items():
            picture = np.zeros((40, 40, 3), np.uint8)
            cv2.circle(picture, (20, 20), radius, (200, 180, 60 + radius), -1)
            data = cv2.imencode(".png", picture)[1].tobytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.long
def test_interrupted_benchmark_goes_on_with_the_rows_that_are_missing(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ("norm", "full_matched", "full"))
    with pytest.raises(KeyboardInterrupt):
        go(plan, Watcher(stop_after=3))  # what is planned, and two rows
    early = {path.name: path.read_bytes() for path in (tmp_path / "out" / "rows").iterdir()}
    assert len(early) == 2
    assert list((tmp_path / "out" / "work").iterdir()) == []
    watcher = Watcher()
    report = go(plan, watcher)
    assert (len(report.rows), report.ran, report.failed) == (6, 4, [])
    assert {name: (tmp_path / "out" / "rows" / name).read_bytes() for name in early} == early
    assert watcher.lines[0] == "6 rows, 2 of them finished earlier"
    assert go(plan).ran == 0
    assert read_bench(plan, []).rows == go(plan).rows
    by_arm = {(row.row.arm, row.row.seed): row for row in report.rows}
    norm, matched, full = by_arm["norm", 0], by_arm["full_matched", 0], by_arm["full", 0]
    assert (full.training_samples, full.pool_samples, full.rounds) == (48, 48, 1)
    assert norm.training_samples < 48 and len(norm.points) == norm.rounds
    assert matched.steps == norm.steps + 1  # the one step of the round that takes everything
    assert full.visits == 16 * full.steps
    assert len(norm.predicted) == 2 * norm.test.samples == 2 * 40
    text = markdown(suite_tables(plan, report.rows, report.failed, []))
    assert "`full_matched`" in text and "95 % over seeds" in text


@pytest.mark.long
def test_same_row_again_is_the_same_but_for_times_and_noise_is_counted(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ("balanced_subset",), (0,))
    noisy = BenchPlan(plan.data, plan.folder, "noise", plan.sets, plan.arms, plan.seeds, SETTINGS, jobs=0)
    first = go(noisy).rows
    for path in (tmp_path / "out" / "rows").iterdir():
        path.unlink()
    again = go(noisy).rows
    assert [row.model_id for row in first] == [row.model_id for row in again]
    subset, norm = first
    assert (subset.row.arm, norm.row.arm) == ("balanced_subset", "norm")
    assert norm.noise_in_pool == pytest.approx(4 / 48)  # 2 of 24 a class
    assert subset.noise_in_training is not None and 0.0 <= subset.noise_in_training < 0.5
    assert subset.training_samples == norm.training_samples


@pytest.mark.long
def test_a_row_that_fails_is_kept_with_its_error_and_tried_again(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ("norm",), (0,))
    broken = BenchPlan(plan.data, plan.folder, "core", plan.sets, plan.arms, plan.seeds, _hopeless(), jobs=0)
    report = go(broken)
    assert [failure.kind for failure in report.failed] == ["TrainingError"]
    assert read_bench(broken, []).failed == report.failed
    assert len(go(broken).failed) == 1


def _hopeless() -> RunSettings:
    """Return settings under which the loss is soon no number."""
    return RunSettings(m=6, fit=FitSettings(steps=60, final_steps=60, batch=16, learning_rate=1e30))


def test_set_is_imported_once_from_both_tars(tmp_path: Path) -> None:
    data, pool = tmp_path / "toy", tmp_path / "toy.pool"
    data.mkdir()
    with pytest.raises(ImportFailedError, match=r"no train\.tar and no test\.tar"):
        import_set(data, pool, ManualClock(), no_progress)
    a_tar(data / "train.tar", {f"train/{name}/{r}.png": r + k for k, name in enumerate("ab") for r in (4, 6, 8, 10)})
    a_tar(data / "test.tar", {f"test/{name}/{r}.png": r + k for k, name in enumerate("ab") for r in (12, 14)})
    assert import_set(data, pool, ManualClock(), no_progress)
    assert not import_set(data, pool, ManualClock(), no_progress)
    with Pool.open(pool) as opened:
        assert sum(sample.split == "test" for sample in read_samples(opened)) == 4
        assert len(opened.imports()) == 2


def test_row_pool_holds_what_the_variant_says(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "all.pool", SAMPLES)
    with Pool.open(tmp_path / "all.pool") as source:
        varied = vary(read_samples(source), "noise", seed=3)
        write_row_pool(source, varied[:70], tmp_path / "row.pool")
        before = {sample.sample_id: source.load(("train", "validation", "test")) for sample in varied[:1]}
        with pytest.raises(PoolError, match="holds 70 of 71"):
            stranger = [*varied[:70], varied[70].__class__("0" * 64, "good", "g", "train")]
            write_row_pool(source, stranger, tmp_path / "other.pool")
    with Pool.open(tmp_path / "row.pool") as pool:
        assert read_samples(pool) == varied[:70]
        table = pool.load(("train", "validation", "test"))
        kept = [name for name, side in zip(table.ids, table.splits, strict=True) if side == "train"][:5]
        withdraw_others(pool, kept)
        assert list(pool.load(("train",)).ids) == kept
        assert len(pool.load(("validation",))) == table.splits.count("validation")
    (all_rows,) = before.values()
    at = [all_rows.ids.index(name) for name in table.ids]
    assert np.array_equal(all_rows.pixels[at], table.pixels)
    assert np.array_equal(all_rows.norms_q16[at], table.norms_q16)


def test_subsets_are_as_large_as_asked_and_the_same_for_the_same_seed() -> None:
    ids = np.array([0] * 50 + [1] * 30 + [2] * 3, np.int64)
    nothing = np.zeros((83, 0), np.float32)
    for name in ("random_subset", "balanced_subset"):
        task = SubsetTask(ids, 3, 20, 5, nothing, nothing)
        rows = METHODS[name][0](task)
        assert len(set(rows.tolist())) == 20
        assert np.array_equal(rows, METHODS[name][0](task))
    assert np.bincount(ids[rows]).tolist() == [9, 8, 3]


def test_equal_quotas_spend_the_budget_as_far_as_there_are_samples() -> None:
    counts = np.array([7, 0, 2], np.int64)
    for budget in range(12):
        quotas = equal_quotas(counts, budget)
        assert quotas.sum() == min(budget, 9)
        assert (quotas <= counts).all()


def call(arguments: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command as a shell would; return exit code and stdout."""
    with pytest.raises(SystemExit) as left:
        run_command_line(cli, ["bench", *(str(argument) for argument in arguments)])
    return int(left.value.code or 0), capsys.readouterr().out


def test_command_shows_what_is_finished_and_fills_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = a_plan(tmp_path, ("norm",), (0,))
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:core -->\n<!-- /bench:core -->\n")
    config = tmp_path / "own.toml"
    config.write_text("m = 7\n")
    options = ("--arms", "norm,full", "--seeds", "0", "--config", config)
    common = (plan.data, "--out", plan.folder, *options, "--only-tables")
    code, out = call((*common, "--write-docs", page), capsys)
    assert (code, "No row is finished yet." in out) == (0, True)
    command = "sortloop-train bench DATA --out bench-out --suite core --sets toy"
    assert f"`{command} --arms norm,full --seeds 0 --config {config}`" in page.read_text()
    code, out = call((*common, "--json"), capsys)
    assert (code, msgspec.json.decode(out, type=BenchReport).rows) == (0, [])


def test_command_leaves_with_1_when_a_row_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = a_plan(tmp_path, ("norm",), (0,), SyntheticSamples(("good",), SAMPLES.counts))
    options = ("--out", plan.folder, "--arms", "norm", "--seeds", "0", "--jobs", "0", "-q", "--json")
    code, out = call((plan.data, *options), capsys)
    report = msgspec.json.decode(out, type=BenchReport)
    assert (code, [failure.kind for failure in report.failed]) == (1, ["NotEnoughClassesError"])


def test_command_refuses_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = a_plan(tmp_path, ("norm",))
    assert call((plan.data, "--out", plan.folder, "--arms", "best"), capsys)[0] == 3
    assert call((plan.data, "--out", plan.folder, "--seeds", "9-0"), capsys)[0] == 3
    assert call((plan.data, "--out", plan.folder, "--sets", "rice"), capsys)[0] == 5
    assert call((plan.data, "--out", plan.folder, "--suite", "all"), capsys)[0] == 2


def test_work_of_processes_that_are_no_more_is_cleared(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / f"{os.getpid()}.toy.plain.norm.0.x").mkdir(parents=True)
    (work / "4194999.toy.plain.norm.1.x").mkdir()
    clear_work(tmp_path)
    assert [path.name.split(".")[0] for path in work.iterdir()] == [str(os.getpid())]
