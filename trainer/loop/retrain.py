"""Retraining in one step: what a machine got wrong joins the loop where its model left off, and a gate says what ships.

The command of a technician. It continues the lineage of a base run, chooses how much a round draws by how many mistakes
came back, and lets the new model out only if no class is worse on samples that neither model has seen.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.errors import StorageError
from edge_runtime.model import MODEL_FILE, Classifier
from edge_runtime.storage import read_bytes, write_atomic
from firmware_bridge.clock import Clock
from trainer.draw.sizes import default_m
from trainer.errors import RetrainRefusedError
from trainer.judge.validation import LEAST_VALIDATION
from trainer.loop.base_run import BaseRun, load_base
from trainer.loop.loop import Progress
from trainer.loop.results import MODEL_FOLDER, RunResult
from trainer.loop.retrain_gate import Answers, Gate, judge_change, judge_figures
from trainer.loop.run import RunPlan, RunSamples, load_samples, run
from trainer.loop.run_key import load_inputs
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings, StopSettings

__all__ = [
    "RETRAIN_FILE",
    "RUN_FOLDER",
    "HeldOut",
    "RetrainPlan",
    "RetrainReport",
    "continue_settings",
    "held_out_table",
    "require_accepted",
    "retrain",
]

RETRAIN_FILE: Final = "retrain.json"
RUN_FOLDER: Final = "run"
_ROUNDS: Final = 2  # nearly every mistake, then what the new model forgot: docs/results.md
HeldOut = Literal["test", "validation", "folds"]


@dataclass(frozen=True, slots=True)
class RetrainPlan:
    """What a person asked for.

    Attributes:
        folder: everything lies here: the run, the verdict, and the model folder if it is let out.
        base: folder of the finished run whose model is in the machine.
        settings: of the new run; see `continue_settings`.
        max_loss: recall that a class may lose against the base, 0..1.
    """

    folder: Path
    base: Path
    settings: RunSettings
    max_loss: float


class RetrainReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train retrain` came to.

    Attributes:
        is_accepted: the candidate may replace the base; only then `model` is written.
        held_out: samples that both were judged on: the pool's test side, its validation side, or, with too few of
            either, out of fold.
        gate: class by class.
        mistakes: samples that machines brought back, by class; learnt: of these, those the candidate gets right.
        m: samples drawn of a class and round.
        base_model_id, model_id: sha256 of both models.
        run_key: of the new run.
        model: folder of the accepted model, "" if it was refused.
    """

    is_accepted: bool
    held_out: HeldOut
    gate: Gate
    mistakes: dict[str, int]
    learnt: dict[str, int]
    m: int
    base_model_id: str
    model_id: str
    run_key: str
    model: str
    schema_version: Literal[1] = 1


def continue_settings(pool: Pool, base: Path) -> RunSettings:
    """Return the settings with which a base run is best continued: its own, with m as large as what came back.

    Args:
        pool: grown since.
        base: folder of the finished run.

    Returns:
        m is the number of mistakes that the machine brought of the commonest class, at least the default; two rounds:
        the first takes them, the second what the new model forgot.

    Raises:
        ResumeError: no finished run lies there, or the pool does not fit it.
        PoolError: the pool cannot be read.
        ModelFolderError: the base's model cannot be loaded.
        StorageError: the base cannot be read.
    """
    samples = load_samples(pool)
    known = load_base(base, pool, samples.table.classes)
    settings = load_inputs(base).settings
    table = samples.table
    told = known.scores(table, samples.data_set.crop).argmax(axis=1)
    wrong = _is_mistake(table) & (told != table.class_ids) & ~known.training_rows(table, take_new=False)
    most = int(np.bincount(table.class_ids[wrong], minlength=1).max())
    m = max(default_m(int(samples.validation.pool.sum()), len(table.classes)), most)
    return msgspec.structs.replace(settings, m=m, take_new=False, stop=StopSettings(patience=0, rounds=_ROUNDS))


def retrain(pool: Pool, plan: RetrainPlan, clock: Clock, progress: Progress) -> RetrainReport:
    """Continue a run with what came back, and let the new model out if no class is worse; repeating it changes nothing.

    Args:
        pool: grown since the base run.
        plan: folders, settings, gate.
        clock: for wall times.
        progress: told of steps and rounds.

    Returns:
        The verdict, also written to retrain.json. A refused candidate stays in the run's folder, to be looked at.

    Raises:
        RetrainRefusedError: the pool holds nothing that the base run did not know.
        ProductError: as `trainer.loop.run.run` raises.
    """
    base, inputs = load_base(plan.base, pool, pool.class_names()), load_inputs(plan.base)
    if pool.digest() == inputs.pool_digest:
        raise RetrainRefusedError(
            f"pool {pool.path} is as it was when the run in {plan.base} was made: take mistakes in first "
            "(sortloop-train intake), or import new samples"
        )
    classes = inputs.classes
    names = {name: known.display_name for name, known in classes.items()}
    actions = {name: known.action for name, known in classes.items()}
    run_folder = plan.folder / RUN_FOLDER
    result = run(pool, RunPlan(run_folder, plan.settings, plan.base, names, actions), clock, progress)
    candidate = read_bytes(run_folder / MODEL_FOLDER / MODEL_FILE)
    samples = load_samples(pool)
    table = samples.table
    which, gate = _judge(samples, base, (candidate, result), plan.max_loss)
    mistakes, told = _is_mistake(table), _predicted(candidate, table, samples.data_set.crop)
    report = RetrainReport(
        is_accepted=gate.is_accepted,
        held_out=which,
        gate=gate,
        mistakes=_by_class(table, mistakes),
        learnt=_by_class(table, mistakes & (told == table.class_ids)),
        m=plan.settings.m,
        base_model_id=base.result.model_id,
        model_id=result.model_id,
        run_key=result.run_key,
        model=str(plan.folder / MODEL_FOLDER) if gate.is_accepted else "",
    )
    _let_out(run_folder / MODEL_FOLDER, plan.folder / MODEL_FOLDER, is_accepted=gate.is_accepted)
    write_atomic(plan.folder / RETRAIN_FILE, msgspec.json.format(msgspec.json.encode(report)))
    return report


def require_accepted(report: RetrainReport) -> None:
    """Refuse to go on with a candidate that may not replace its base.

    Raises:
        RetrainRefusedError: a class lost more recall than allowed; the message names it.
    """
    if not report.is_accepted:
        lost = ", ".join(name for name, change in report.gate.classes.items() if change.is_lost)
        raise RetrainRefusedError(f"the new model is worse at {lost}: it was not let out")


def held_out_table(samples: RunSamples) -> tuple[HeldOut, SampleTable | None]:
    """Return the samples that neither base nor candidate has learnt from, and which side of the split they are.

    Args:
        samples: of the pool.

    Returns:
        The test side, if every class that has samples there has at least 20; else the validation side; else, where runs
        are judged out of fold and every sample is learnt from, None.
    """
    counts = np.bincount(samples.test.class_ids)
    if counts.size and counts[counts > 0].min() >= LEAST_VALIDATION:
        return "test", samples.test
    if samples.validation.folds is None:
        return "validation", samples.table.take(np.flatnonzero(samples.validation.judged))
    return "folds", None


def _judge(
    samples: RunSamples, base: BaseRun, candidate: tuple[bytes, RunResult], max_loss: float
) -> tuple[HeldOut, Gate]:
    model, result = candidate
    which, table = held_out_table(samples)
    if table is None:
        return which, judge_figures(result.classes, base.result.validation, result.validation, max_loss)
    crop = samples.data_set.crop
    told = base.scores(table, crop).argmax(axis=1).astype(np.int64)
    answers = Answers(table.class_ids, told, _predicted(model, table, crop))
    return which, judge_change(table.classes, answers, max_loss)


def _predicted(model: bytes, table: SampleTable, crop: CropSpec) -> NDArray[np.int64]:
    scores = Classifier(model, crop, len(table.classes)).scores(table.pixels)
    return np.asarray(scores.argmax(axis=1), np.int64)


def _is_mistake(table: SampleTable) -> NDArray[np.bool_]:
    """Return, (N,) bool, which samples a machine brought back as its mistakes."""
    return np.array([origin == "residual" for origin in table.origins], np.bool_)


def _by_class(table: SampleTable, rows: NDArray[np.bool_]) -> dict[str, int]:
    counts = np.bincount(table.class_ids[rows], minlength=len(table.classes)).tolist()
    return {name: count for name, count in zip(table.classes, counts, strict=True) if count}


def _let_out(made: Path, target: Path, *, is_accepted: bool) -> None:
    """Put the accepted model folder where bundles are built from; a refused one leaves nothing there."""
    beside = target.with_name(f"{target.name}.new")
    try:
        for old in (beside, target):
            shutil.rmtree(old, ignore_errors=True)
        if is_accepted:
            shutil.copytree(made, beside)
            beside.rename(target)
    except OSError as error:
        raise StorageError(f"cannot write model folder {target}: {error.strerror or error}") from error
