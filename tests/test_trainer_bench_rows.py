"""Plans, queues, keys, files and processes of the benchmark."""

import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bench_rows import die_on_seed_1, made_job, made_row
from hypothesis import given
from hypothesis import strategies as st

from trainer.bench.arms import ARMS, SUITES, arm_settings, find_arms, why_unavailable
from trainer.bench.bench import choose_arms, find_sets
from trainer.bench.row_record import RoundPoint, RowFailure, load_record, row_key, save_record
from trainer.bench.row_run import final_fits, matched_settings
from trainer.bench.work_plan import SetFacts, parse_seeds, ranges_text, rows_of, with_norm
from trainer.bench.workers import WorkQueue, failure_path, run_here, run_in_workers
from trainer.errors import ImportFailedError, SettingsError, TrainingError
from trainer.settings import RunSettings
from trainer.train.fit import FitSettings


@given(st.sets(st.integers(0, 60), min_size=1).map(lambda found: tuple(sorted(found))))
def test_seeds_come_back_from_their_text(seeds: tuple[int, ...]) -> None:
    assert parse_seeds(ranges_text(seeds)) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1,,2", "1-2-3"])
def test_seeds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="seeds"):
        parse_seeds(text)


def test_every_suite_names_known_arms_and_every_arm_is_in_a_suite() -> None:
    used = {name for names in SUITES.values() for name in names}
    assert used == set(ARMS)
    assert all(len(names) == len(set(names)) for names in SUITES.values())


def test_unknown_arms_and_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no arm best"):
        find_arms("core", ("best",))
    with pytest.raises(ImportFailedError, match="rice"):
        find_sets(tmp_path, tmp_path, ("rice",))


def test_sets_are_found_by_their_tars_and_by_pools_that_are_already_there(tmp_path: Path) -> None:
    (tmp_path / "data" / "b").mkdir(parents=True)
    (tmp_path / "data" / "b" / "train.tar").touch()
    (tmp_path / "out" / "pools").mkdir(parents=True)
    (tmp_path / "out" / "pools" / "a.pool").touch()
    assert find_sets(tmp_path / "data", tmp_path / "out", ()) == ("a", "b")
    assert find_sets(tmp_path / "data", tmp_path / "out", ("b",)) == ("b",)


def test_an_arm_whose_package_is_missing_is_left_out_and_named() -> None:
    missing = msgspec.structs.replace(RunSettings())  # the settings know every arm of the core
    arms, left_out = choose_arms("core", (), missing)
    assert [arm.name for arm in arms] == list(SUITES["core"])
    assert left_out == []
    assert why_unavailable(ARMS["datacull_rcap"], missing) in {"not installed", ""}


def test_whole_arms_train_on_everything_in_one_round() -> None:
    settings = arm_settings(RunSettings(), ARMS["full"], 7)
    assert (settings.seed, settings.stop.rounds, settings.fit.steps, settings.fit.balance) == (7, 1, 1, "none")
    assert settings.m > 1_000_000


def test_rows_of_the_norm_loop_come_before_those_that_build_on_them() -> None:
    rows = with_norm(rows_of("plain", [SetFacts("rice", "d", False)], [ARMS["full_matched"], ARMS["full"]], (0, 1)))
    assert [(row.arm, row.seed) for row in rows] == [
        ("norm", 0), ("full_matched", 0), ("full", 0), ("norm", 1), ("full_matched", 1), ("full", 1),
    ]  # fmt: skip


def test_folded_sets_have_a_row_a_fold() -> None:
    rows = rows_of("noise", [SetFacts("coffee", "d", True)], [ARMS["norm"]], (3,))
    assert [row.fold for row in rows] == [0, 1, 2, 3, 4]
    assert rows[2].name == "coffee.noise.fold2.norm.3"


def test_key_changes_with_whatever_decides_a_row(tmp_path: Path) -> None:
    row, other = made_job(tmp_path).row, made_job(tmp_path, seed=1).row
    settings = RunSettings()
    longer = msgspec.structs.replace(settings, fit=FitSettings(steps=7))
    keys = {
        row_key(row, "pool", settings, "loop"),
        row_key(other, "pool", settings, "loop"),
        row_key(row, "other pool", settings, "loop"),
        row_key(row, "pool", longer, "loop"),
        row_key(row, "pool", settings, "whole"),
    }
    assert len(keys) == 5
    assert row_key(row, "pool", settings, "loop") in keys


def test_record_comes_back_from_its_file_and_a_damaged_one_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    assert load_record(path) is None
    save_record(path, made_row())
    assert load_record(path) == made_row()
    path.write_bytes(path.read_bytes()[:-20])
    assert load_record(path) is None


def test_queue_gives_the_basis_along_and_waits_for_it(tmp_path: Path) -> None:
    queue = WorkQueue([made_job(tmp_path, "full_matched"), made_job(tmp_path), made_job(tmp_path, "full")], [])
    first, second = queue.next(), queue.next()
    assert first is not None and second is not None
    assert [first.row.arm, second.row.arm] == ["norm", "full"]
    assert queue.next() is None
    queue.settle(made_row())
    third = queue.next()
    assert third is not None and third.norm == made_row()


def test_matched_steps_are_those_of_the_norm_loop(tmp_path: Path) -> None:
    queue = WorkQueue([made_job(tmp_path, "full_matched"), made_job(tmp_path, "rs2")], [made_row()])
    matched, share = queue.next(), queue.next()
    assert matched is not None and share is not None
    assert matched_settings(matched).fit.final_steps == 100
    assert matched_settings(share).fit.final_steps == 400  # 20 of 100 samples: a fifth of 2,000 steps


def test_out_of_fold_a_step_of_every_fit_counts_once(tmp_path: Path) -> None:
    """Six fits a round but two in the end, so that the sum of all steps divided by six would be too few."""
    points = tuple(RoundPoint(20, visits, 0.9, 0.9, 0.8) for visits in (6 * 50 * 32, 6 * 100 * 32))
    norm = msgspec.structs.replace(made_row(), fits=6, steps=6 * 100 + 2 * 2000, points=points)
    matched = WorkQueue([made_job(tmp_path, "full_matched")], [norm]).next()
    assert matched is not None
    assert matched_settings(matched).fit.final_steps == 100 + 2000


@pytest.mark.parametrize(
    ("fits", "folds", "shipped", "steps"),
    [(1, 5, "final", 70), (1, 5, "round", 80), (6, 5, "final", 420), (6, 1, "final", 140), (6, 1, "round", 200)],
)
def test_steps_after_the_rounds_are_those_that_were_taken(fits: int, folds: int, shipped: str, steps: int) -> None:
    fit = FitSettings(steps=10, final_steps=70, final_folds=folds)
    assert sum(final_fits(fit, fits, shipped)) == steps


def test_a_row_whose_basis_failed_says_so(tmp_path: Path) -> None:
    job = made_job(tmp_path, "full_matched")
    queue = WorkQueue([made_job(tmp_path), job], [])
    norm = queue.next()
    assert norm is not None and queue.next() is None
    queue.settle(RowFailure("k", norm.row, "TrainingError", "nan"))
    alone = queue.next()
    assert alone is not None
    with pytest.raises(TrainingError, match="needs the row of `norm`"):
        matched_settings(alone)


def test_rows_run_one_after_the_other_here(tmp_path: Path) -> None:
    queue = WorkQueue([made_job(tmp_path, "full_matched"), made_job(tmp_path)], [])
    seen: list[str] = []

    def work(job):  # type: ignore[no-untyped-def]  # as work_on
        seen.append(job.row.arm)
        return made_row(job.row.arm)

    assert len(list(run_here(queue, work))) == 2
    assert seen == ["norm", "full_matched"]


@pytest.mark.long
def test_a_killed_process_loses_its_row_alone(tmp_path: Path) -> None:
    (tmp_path / "failed").mkdir()
    jobs = [made_job(tmp_path, seed=seed) for seed in range(4)]
    outcomes = {outcome.row.seed: outcome for outcome in run_in_workers(WorkQueue(jobs, []), 2, die_on_seed_1)}
    lost = outcomes.pop(1)
    assert isinstance(lost, RowFailure)
    assert lost.kind == "WorkerLost" and "toy.plain.norm.1" in lost.message and "-9" in lost.message
    assert failure_path(tmp_path, jobs[1].row, jobs[1].key).is_file()
    assert sorted(outcomes) == [0, 2, 3]
    assert all(not isinstance(outcome, RowFailure) for outcome in outcomes.values())


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no handles of processes")
def test_workers_end_when_the_benchmark_is_killed(tmp_path: Path) -> None:
    """Nothing tells a killed program's processes: they would work on rows that nobody takes."""
    os.mkfifo(tmp_path / "pid")
    told = os.open(tmp_path / "pid", os.O_RDONLY | os.O_NONBLOCK)
    folder = Path(__file__).parent
    paths = os.pathsep.join([str(folder.parent), str(folder)])
    benchmark = subprocess.Popen(
        [sys.executable, str(folder / "bench_rows.py"), str(tmp_path)], env=os.environ | {"PYTHONPATH": paths}
    )
    begun, _, _ = select.select([told], [], [], 60.0)
    assert begun == [told], "the worker has not begun"
    worker = os.pidfd_open(int(os.read(told, 32)))
    benchmark.kill()
    benchmark.wait()
    ended, _, _ = select.select([worker], [], [], 30.0)
    os.close(worker)
    os.close(told)
    assert ended == [worker]
