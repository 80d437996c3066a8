"""The benchmark from data to records: import once, plan the rows, skip what is finished, run the rest.

Every row stands for itself on disk; whatever ends this process, the next call goes on with the rows that are missing.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from edge_runtime.errors import StorageError
from firmware_bridge.clock import Clock
from trainer.bench.arms import ARMS, Arm, Suite, arm_settings, find_arms, why_unavailable
from trainer.bench.row_pool import import_set, read_samples
from trainer.bench.row_record import Row, RowFailure, RowRecord, load_failure, load_record, row_key
from trainer.bench.row_run import RowJob, clear_work
from trainer.bench.variants import needs_folds
from trainer.bench.work_plan import SetFacts, rows_of, variant_of, with_norm
from trainer.bench.workers import WorkQueue, failure_path, record_path, run_here, run_in_workers
from trainer.errors import ImportFailedError
from trainer.pool.pool import Pool
from trainer.settings import RunSettings

__all__ = [
    "BenchPlan",
    "BenchReport",
    "BenchWatcher",
    "LeftOut",
    "choose_arms",
    "find_sets",
    "read_bench",
    "run_bench",
]

_TRAIN_TAR: Final = "train.tar"


class BenchWatcher(Protocol):
    """Who watches a benchmark."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` files of a stage of an import are done."""
        ...

    def say(self, text: str) -> None:
        """Take note of a line for people."""
        ...


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What a person asked for.

    Attributes:
        data: folder of sets, each a folder with a train.tar, a test.tar and, best, a manifest.csv.
        folder: everything lies here.
        suite: which comparison.
        sets: names of folders in `data`.
        arms: that can run here.
        seeds: each a pair in every comparison.
        settings: that every arm starts from.
        jobs: processes; 0 runs all rows in this one.
        named_arms, config, overrides: what arms and settings were made from, for the command that repeats the tables.
    """

    data: Path
    folder: Path
    suite: Suite
    sets: tuple[str, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    settings: RunSettings
    jobs: int = 1
    named_arms: tuple[str, ...] = ()
    config: Path | None = None
    overrides: tuple[str, ...] = ()


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm that cannot run here, and why."""

    arm: str
    reason: str


class BenchReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train bench` came to.

    Attributes:
        suite: which comparison; folder: where everything lies.
        rows: all that were asked for, finished now or earlier; failed: those that were not, with their errors.
        left_out: arms that cannot run here.
        ran: rows that this call finished.
    """

    suite: str
    folder: str
    rows: list[RowRecord]
    failed: list[RowFailure]
    left_out: list[LeftOut]
    ran: int
    schema_version: Literal[1] = 1


def find_sets(data: Path, folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the sets of a folder, or those named, in the order named.

    Args:
        data: folder of sets.
        folder: of the benchmark: sets whose pools already lie there need no tars.
        names: wanted ones; none for all.

    Raises:
        ImportFailedError: there is none, or one that was named is missing.
    """
    tars = {path.parent.name for path in data.glob(f"*/{_TRAIN_TAR}")}
    found = sorted(tars | {path.stem for path in (folder / "pools").glob("*.pool")})
    missing = [name for name in names if name not in found]
    if missing or not found:
        what = ", ".join(missing) or "any set"
        raise ImportFailedError(f"{data} does not hold {what}: a set is a folder with a train.tar and a test.tar")
    return tuple(names) or tuple(found)


def choose_arms(suite: Suite, names: Sequence[str], settings: RunSettings) -> tuple[tuple[Arm, ...], list[LeftOut]]:
    """Return the arms that can run here, and the others with the reason.

    Raises:
        SettingsError: a name is not known.
    """
    arms = find_arms(suite, names)
    reasons = {arm.name: why_unavailable(arm, settings) for arm in arms}
    left_out = [LeftOut(name, reason) for name, reason in reasons.items() if reason]
    return tuple(arm for arm in arms if not reasons[arm.name]), left_out


def run_bench(plan: BenchPlan, left_out: list[LeftOut], clock: Clock, watcher: BenchWatcher) -> BenchReport:
    """Run every row that is not finished.

    Args:
        plan: see `BenchPlan`.
        left_out: arms that cannot run here, for the report.
        clock: for the imports' records.
        watcher: told of every file of an import and of every row.

    Raises:
        ProductError: a set cannot be imported, or the folder cannot be written. A row's own error is in the report.
    """
    for name in ("pools", "rows", "failed", "work", "tests"):
        _make_folder(plan.folder / name)
    clear_work(plan.folder)
    jobs = _jobs(plan, _import_all(plan, clock, watcher))
    finished, missing = _sort_out(jobs)
    watcher.say(f"{len(jobs)} rows, {len(finished)} of them finished earlier")
    failed: list[RowFailure] = []
    ran: list[RowRecord] = []
    queue = WorkQueue(missing, finished)
    with closing(_outcomes(queue, plan.jobs)) as outcomes:
        for at, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome, RowRecord):
                ran.append(outcome)
            else:
                failed.append(outcome)
            watcher.say(f"{at}/{len(missing)} {_line(outcome)}")
    return _report(plan, [*finished, *ran], failed, left_out, ran=len(ran))


def read_bench(plan: BenchPlan, left_out: list[LeftOut]) -> BenchReport:
    """Return what a plan has come to so far; nothing is imported and nothing run.

    Raises:
        ProductError: a pool or a row cannot be read.
    """
    facts = [_facts(plan, name) for name in plan.sets if _pool_path(plan, name).is_file()]
    finished, missing = _sort_out(_jobs(plan, facts))
    failed = [failure for job in missing if (failure := load_failure(failure_path(job.folder, job.row, job.key)))]
    return _report(plan, finished, failed, left_out, ran=0)


def _report(
    plan: BenchPlan, rows: list[RowRecord], failed: list[RowFailure], left_out: list[LeftOut], *, ran: int
) -> BenchReport:
    in_order = sorted(rows, key=lambda record: record.row)
    return BenchReport(plan.suite, str(plan.folder), in_order, failed, left_out, ran)


def _outcomes(queue: WorkQueue, jobs: int) -> Generator[RowRecord | RowFailure]:
    return run_in_workers(queue, jobs) if jobs else run_here(queue)


def _import_all(plan: BenchPlan, clock: Clock, watcher: BenchWatcher) -> list[SetFacts]:
    for name in plan.sets:
        if import_set(plan.data / name, _pool_path(plan, name), clock, watcher):
            watcher.say(f"imported {name}")
    return [_facts(plan, name) for name in plan.sets]


def _facts(plan: BenchPlan, name: str) -> SetFacts:
    with Pool.open(_pool_path(plan, name)) as pool:
        return SetFacts(name, pool.digest(), needs_folds(read_samples(pool)))


def _pool_path(plan: BenchPlan, name: str) -> Path:
    return plan.folder / "pools" / f"{name}.pool"


def _jobs(plan: BenchPlan, facts: Sequence[SetFacts]) -> list[RowJob]:
    digests = {one.name: one.pool_digest for one in facts}

    def job(row: Row) -> RowJob:
        arm = ARMS[row.arm]
        settings = arm_settings(plan.settings, arm, row.seed)
        key = row_key(row, digests[row.set], settings, msgspec.json.encode((arm.kind, arm.method)).decode())
        return RowJob(row, key, arm, settings, _pool_path(plan, row.set), plan.folder)

    return [job(row) for row in with_norm(rows_of(variant_of(plan.suite), facts, plan.arms, plan.seeds))]


def _sort_out(jobs: Sequence[RowJob]) -> tuple[list[RowRecord], list[RowJob]]:
    """Return the finished rows, and the jobs that are left."""
    finished: list[RowRecord] = []
    missing: list[RowJob] = []
    for job in jobs:
        record = load_record(record_path(job.folder, job.row, job.key))
        if record is not None and record.key == job.key:
            finished.append(record)
        else:
            missing.append(job)
    return finished, missing


def _line(outcome: RowRecord | RowFailure) -> str:
    if isinstance(outcome, RowFailure):
        return f"{outcome.row.name}: FAILED, {outcome.kind}: {outcome.message}"
    test = outcome.test
    return (
        f"{outcome.row.name}: macro-F1 {test.macro_f1:.4f}, worst recall {test.worst_class_recall:.3f}, "
        f"{outcome.training_samples} of {outcome.pool_samples} samples, {outcome.visits} visits, {outcome.wall_s:.0f} s"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from error
