"""One row from pool to record: the variant's pool, the arm's run, and what its model does on the test side.

The run itself is the product's own, told nothing of being measured; only this file asks the rounds' models about the
test side, after everything is decided.
"""

import os
import resource
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

import trainer
from edge_runtime.crop import CropSpec
from edge_runtime.model import INT8_FILE, MODEL_FILE, Classifier
from edge_runtime.storage import read_bytes, sha256_hex
from firmware_bridge.clock import NS_PER_S, Clock, CpuClock
from trainer.bench.arms import Arm
from trainer.bench.row_pool import read_samples, withdraw_others, write_row_pool
from trainer.bench.row_record import HeldOut, HeldOutFigures, Int8Figures, RoundPoint, Row, RowRecord, save_held_out
from trainer.bench.variants import vary
from trainer.errors import TrainingError
from trainer.export.calibrate import expected_calibration_error
from trainer.loop.loop import round_file
from trainer.loop.results import MODEL_FOLDER, RunResult
from trainer.loop.run import RunPlan, RunSamples, load_samples, run
from trainer.loop.run_key import load_inputs
from trainer.metrics import Scores, score_classes
from trainer.pool.ledger import training_ids
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings
from trainer.train.fit import FitSettings, use_threads

__all__ = [
    "NOTHING_LEARNT",
    "Cost",
    "RowJob",
    "clear_work",
    "final_fits",
    "held_out_path",
    "matched_settings",
    "run_row",
]

_KIB_PER_MIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What was trained besides the run itself: optimiser steps, samples that they looked at."""

    steps: int
    visits: int


NOTHING_LEARNT: Final = Cost(0, 0)


@dataclass(frozen=True, slots=True)
class RowJob:
    """Everything that a worker needs to know of a row.

    Attributes:
        row: which.
        key: under which it counts.
        arm: what is trained.
        settings: of the run, seed and arm included.
        pool: of the set, whole.
        folder: of the benchmark; the row works in a folder of its own below it.
        norm: the norm loop's finished row, for arms that take its steps or its number of samples over.
    """

    row: Row
    key: str
    arm: Arm
    settings: RunSettings
    pool: Path
    folder: Path
    norm: RowRecord | None = None


class _Silent:
    """Nobody watches a row."""

    def step(self, what: str, done: int, total: int) -> None:
        """Take no note."""

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        """Take no note."""


def held_out_path(folder: Path, row: Row) -> Path:
    """Return where the test images of a row's set or fold are kept."""
    return folder / "tests" / f"{row.set}.{row.fold}.json"


def clear_work(folder: Path) -> None:
    """Remove what processes that are no more left in the benchmark's folder of work."""
    for path in (folder / "work").glob("*.*"):
        if not Path(f"/proc/{path.name.split('.')[0]}").exists():
            shutil.rmtree(path, ignore_errors=True)


def run_row(job: RowJob, clock: Clock) -> RowRecord:
    """Run one row.

    Args:
        job: see `RowJob`.
        clock: for wall times.

    Raises:
        ProductError: the run failed, see `trainer.loop.run.run`; or the arm needs the norm loop's row and has none.

    Note:
        Disk: a copy of the pool and the run's folder while it lasts.
    """
    work_folder = job.folder / "work"
    work_folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.{job.row.name}.", dir=work_folder))
    try:
        return _run_in(work, job, clock)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Trained:
    """A run that is over, what it saw, and what it took.

    Attributes:
        folder: of the run; settings: of it; result: what it came to.
        seen: samples of the pool; trainable: ids of those that could be trained on, learnt: of those that were.
        cost: of what was trained besides; note: on how samples were chosen.
        wall_s, cpu_s, peak_rss_mb: of everything but the import.
    """

    folder: Path
    settings: RunSettings
    result: RunResult
    seen: RunSamples
    trainable: tuple[str, ...]
    learnt: tuple[str, ...]
    cost: Cost
    note: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float


def _run_in(work: Path, job: RowJob, clock: Clock) -> RowRecord:
    with Pool.open(job.pool) as source:
        samples = read_samples(source)
        varied = vary(samples, job.row.variant, seed=job.row.seed, fold=job.row.fold)
        write_row_pool(source, varied, work / "row.pool")
    true_names = {sample.sample_id: sample.class_name for sample in samples}
    wrong = {sample.sample_id for sample in varied if sample.class_name != true_names[sample.sample_id]}
    with Pool.open(work / "row.pool") as pool:
        trained = _train(pool, work / "run", job, clock)
    return _record(job, trained, wrong)


def _train(pool: Pool, folder: Path, job: RowJob, clock: Clock) -> _Trained:
    """Run the arm on the row's pool, measured."""
    _forget_peak()
    seen = load_samples(pool)
    trainable = tuple(name for name, ok in zip(seen.table.ids, seen.validation.pool.tolist(), strict=True) if ok)
    cpu = CpuClock()
    started_ns, started_cpu_ns = clock.monotonic_ns(), cpu.monotonic_ns()
    cost, note = _choose(job, pool, seen.table, seen.validation.pool)
    settings = matched_settings(job)
    result = run(pool, RunPlan(folder, settings), clock, _Silent())
    return _Trained(
        folder=folder,
        settings=settings,
        result=result,
        seen=seen,
        trainable=trainable,
        learnt=training_ids(pool, result.run_key, result.best_round),
        cost=cost,
        note=note,
        wall_s=(clock.monotonic_ns() - started_ns) / NS_PER_S,
        cpu_s=(cpu.monotonic_ns() - started_cpu_ns) / NS_PER_S,
        peak_rss_mb=_peak_mb(),
    )


def _record(job: RowJob, trained: _Trained, wrong: set[str]) -> RowRecord:
    """Ask the shipped model about the test side, and write everything down."""
    result, test, crop = trained.result, trained.seen.test, trained.seen.data_set.crop
    scores = _scores(trained.folder / MODEL_FOLDER / MODEL_FILE, test, crop)
    predicted = scores.argmax(axis=1).astype(np.int64)
    inputs, fits, is_noisy = load_inputs(trained.folder), _fits(trained), job.row.variant == "noise"
    last = sum(final_fits(trained.settings.fit, fits, result.fit))
    return RowRecord(
        key=job.key,
        row=job.row,
        overrides=job.arm.overrides,
        classes=result.classes,
        test=_figures(test, scores, predicted),
        predicted=bytes(predicted.astype(np.uint8)).hex(),
        test_side=_keep_held_out(job, test).digest,
        training_samples=result.training_samples,
        pool_samples=len(trained.trainable),
        visits=trained.cost.visits + sum(r.visits for r in result.rounds) + last * trained.settings.fit.batch,
        steps=trained.cost.steps + sum(r.steps for r in result.rounds) + last,
        fits=fits,
        rounds=len(result.rounds),
        stop_reason=result.stop_reason,
        best_round=result.best_round,
        fit=result.fit,
        wall_s=trained.wall_s,
        cpu_s=trained.cpu_s,
        peak_rss_mb=trained.peak_rss_mb,
        noise_in_pool=_share(trained.trainable, wrong) if is_noisy else None,
        noise_in_training=_share(trained.learnt, wrong) if is_noisy else None,
        held_back=result.rounds[-1].held_back,
        points=_points(trained) if job.arm.kind == "loop" else (),
        int8=_int8(trained, predicted),
        note=trained.note,
        versions=inputs.versions | {"code": _code_digest()},
        processor=inputs.processor,
        model_id=result.model_id,
    )


def matched_settings(job: RowJob) -> RunSettings:
    """Return a row's settings with the norm loop's steps taken over, where the arm asks for that.

    Raises:
        TrainingError: it asks, and the norm loop's row is not there.
    """
    arm, fit = job.arm, job.settings.fit
    if not (arm.matched or arm.share_of_steps):
        return job.settings
    norm = _norm_of(job)
    steps = _steps_of_one_fit(norm, fit) if arm.matched else round(fit.final_steps * _share_learnt(norm))
    return msgspec.structs.replace(job.settings, fit=msgspec.structs.replace(fit, final_steps=max(1, steps)))


def final_fits(fit: FitSettings, fits: int, shipped: str) -> tuple[int, ...]:
    """Return the optimiser steps of every fit after the rounds.

    Args:
        fit: of the row.
        fits: that stand for one in a round: six where samples are judged out of fold, of which the end may judge fewer.
        shipped: "final", or "round": then a round's fits come again, since the longer ones were worse.
    """
    longer = (fit.final_steps,) * (1 + fit.final_folds if fits > 1 else 1)
    return longer + (fit.steps,) * fits if shipped == "round" else longer


def _norm_of(job: RowJob) -> RowRecord:
    if job.norm is None:
        raise TrainingError(f"{job.row.name} needs the row of `norm` with the same set, variant and seed: it failed")
    return job.norm


def _choose(job: RowJob, pool: Pool, table: SampleTable, is_trainable: NDArray[np.bool_]) -> tuple[Cost, str]:
    """Let a subset arm choose, and take the other training samples out of use; return what that cost, and a note."""
    if job.arm.kind != "subset":
        return NOTHING_LEARNT, ""
    from trainer.bench.subsets import choose_subset  # noqa: PLC0415 - other packages, for their own arms alone

    use_threads(job.settings.fit.threads)
    chosen = choose_subset(job.arm.method, table.take(np.flatnonzero(is_trainable)), job.settings, _norm_of(job))
    withdraw_others(pool, chosen.ids)
    return Cost(chosen.steps, chosen.visits), chosen.note


def _fits(trained: _Trained) -> int:
    """Return how many fits stand for one: six where samples are judged out of fold."""
    return max(1, trained.result.rounds[-1].steps // trained.settings.fit.steps)


def _steps_of_one_fit(norm: RowRecord, fit: FitSettings) -> int:
    """Return the steps that one fit of the loop took in each round and in the end."""
    if norm.fits == 1:
        return norm.steps
    rounds = norm.points[-1].visits // (fit.batch * norm.fits)
    return rounds + fit.final_steps + (fit.steps if norm.fit == "round" else 0)


def _share_learnt(norm: RowRecord) -> float:
    return norm.training_samples / norm.pool_samples


def _scores(path: Path, test: SampleTable, crop: CropSpec) -> NDArray[np.float32]:
    return Classifier(read_bytes(path), crop, len(test.classes)).scores(test.pixels)


def _keep_held_out(job: RowJob, test: SampleTable) -> HeldOut:
    side = HeldOut(test.classes, test.ids, test.groups, tuple(test.class_ids.tolist()))
    path = held_out_path(job.folder, job.row)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_held_out(path, side)
    return side


def _figures(test: SampleTable, scores: NDArray[np.float32], predicted: NDArray[np.int64]) -> HeldOutFigures:
    found: Scores = score_classes(test.class_ids, predicted, len(test.classes))
    present = found.counts > 0
    return HeldOutFigures(
        samples=found.samples,
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        worst_class_recall=found.worst_class_recall,
        balanced_accuracy=float(found.recalls[present].mean()),
        calibration_error=float(expected_calibration_error(scores, test.class_ids)),
        per_class_recall={name: float(found.recalls[k]) for k, name in enumerate(test.classes) if present[k]},
    )


def _points(trained: _Trained) -> tuple[RoundPoint, ...]:
    """Ask every round's model about the test side; only the benchmark does, when all is decided."""
    test, crop = trained.seen.test, trained.seen.data_set.crop
    points: list[RoundPoint] = []
    visits = 0
    for record in trained.result.rounds:
        visits += record.visits
        predicted = _scores(round_file(trained.folder, record.number), test, crop).argmax(axis=1).astype(np.int64)
        found = score_classes(test.class_ids, predicted, len(test.classes))
        figures = (record.macro_f1, found.macro_f1, found.worst_class_recall)
        points.append(RoundPoint(record.training_samples, visits, *figures))
    return tuple(points)


def _int8(trained: _Trained, fp32_ids: NDArray[np.int64]) -> Int8Figures | None:
    """Return what the quantised file does on the test side; None where none was asked for."""
    card, figures = trained.result.int8, trained.result.test_int8
    if card is None:
        return None
    if figures is None:
        return Int8Figures(None, None, 0, card.mended_by, card.refused)
    path = trained.folder / MODEL_FOLDER / INT8_FILE
    scores = _scores(path, trained.seen.test, trained.seen.data_set.crop)
    changed = int((scores.argmax(axis=1) != fp32_ids).sum())
    return Int8Figures(figures.macro_f1, figures.worst_class_recall, changed, card.mended_by, card.refused)


def _share(ids: tuple[str, ...], wrong: set[str]) -> float:
    return sum(name in wrong for name in ids) / max(1, len(ids))


def _code_digest() -> str:
    """Return the first digits of the sha256 over our own sources: rows of different code are told apart."""
    folder = Path(trainer.__file__).parent
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
    return sha256_hex(b"".join(str(name).encode() + (folder / name).read_bytes() for name in names))[:12]


def _forget_peak() -> None:
    """Make the system count this process's largest memory anew; where it cannot, the peak is the process's own."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Return the largest memory of this process since `_forget_peak`, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / _KIB_PER_MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
