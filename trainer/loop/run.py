"""One run, from a pool to a model folder: the only file of the trainer that sees the whole way.

Everything a run makes lies in one folder. Result and model are the same bytes for the same run key; wall times stand
apart in `timing.json`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edge_runtime.errors import StorageError
from edge_runtime.schemas import Action, DisplayName
from edge_runtime.storage import sha256_hex, write_atomic
from firmware_bridge.clock import NS_PER_S, Clock
from trainer.acquire.split import check_no_leak
from trainer.errors import PoolError, ResumeError, SettingsError
from trainer.export.model_folder import ModelClass, ShippedModel, golden_rows, write_model_folder
from trainer.export.onnx_export import ORT_MIN, opset_of
from trainer.judge.judge import Judge
from trainer.judge.validation import Validation, plan_validation
from trainer.loop.base_run import load_base
from trainer.loop.loop import LoopContext, LoopResult, Progress, run_loop
from trainer.loop.results import (
    MODEL_FOLDER,
    RESULT_FILE,
    REVIEW_FILE,
    RunResult,
    RunTiming,
    ShippedFigures,
    load_result,
)
from trainer.loop.run_key import INPUTS_FILE, RunInputs, differences, load_inputs, run_key
from trainer.loop.ship import calibrate, final_fit, lineage_of, quantise, test_once
from trainer.loop.state import LoopState
from trainer.loop.timing import save_timing
from trainer.pool.class_names import check_named
from trainer.pool.data_set import DataSet
from trainer.pool.ledger import Ledger
from trainer.pool.pool import Pool
from trainer.pool.review_list import review_csv
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings
from trainer.train.fit import use_threads

__all__ = ["RunPlan", "RunSamples", "load_samples", "run"]

_RUN_ORIGINS: Final = ("import", "residual")  # the audit slice measures machines, not runs


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a person asked for.

    Attributes:
        folder: everything the run makes lies here; made if it does not exist.
        settings: of the run.
        base: folder of a finished run on the same pool that is continued, None to start afresh.
        display_names, actions: for the model folder; classes left out show their name and are accepted.
    """

    folder: Path
    settings: RunSettings
    base: Path | None = None
    display_names: dict[str, DisplayName] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunSamples:
    """The samples of a pool that a run looks at.

    Attributes:
        data_set: what all were made with.
        table: the train and validation sides, without the audit slice of machines.
        test: the test side, looked at once, at the end.
        validation: how rounds are judged.
    """

    data_set: DataSet
    table: SampleTable
    test: SampleTable
    validation: Validation


def run(pool: Pool, plan: RunPlan, clock: Clock, progress: Progress) -> RunResult:
    """Run the loop on a pool and leave a model folder; a finished run returns its result at once.

    Args:
        pool: open, with samples of at least two classes.
        plan: folder, settings, base.
        clock: for the timing file.
        progress: told of steps and rounds.

    Raises:
        ResumeError: the folder holds a run with another key, the message says what differs; or the base is no finished
            run on this pool.
        SettingsError: take_new without a base, or an action for a class that the pool does not have.
        PoolError: the pool is empty or cannot be written.
        UnnamedClassesError: samples have no class yet.
        LeakError: a group lies on two sides of the split.
        NotEnoughClassesError: fewer than two classes have training samples, or all samples are of one group.
        TrainingError: the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load an exported model.
        StorageError: the folder cannot be read or written.
    """
    started_ns = clock.monotonic_ns()
    use_threads(plan.settings.fit.threads)
    if plan.settings.take_new and plan.base is None:
        raise SettingsError("take_new is set, but no base run is given: a fresh run has no earlier training set")
    samples = load_samples(pool)
    base = None if plan.base is None else load_base(plan.base, pool, samples.table.classes)
    inputs = RunInputs.here(
        plan.settings,
        pool.digest(),
        classes=_model_classes(plan, samples.table.classes),
        data_set=samples.data_set,
        base_key=base.result.run_key if base else "",
    )
    key = _claim_folder(plan.folder, inputs)
    if (plan.folder / RESULT_FILE).is_file():
        return load_result(plan.folder)
    table = samples.table
    ledger = Ledger(pool, key, msgspec.json.encode(inputs).decode(), sample_ids=table.ids, classes=table.classes)
    judge = Judge(
        samples.table,
        samples.validation,
        plan.settings,
        samples.data_set.crop,
        on_step=lambda done, total: progress.step("fit", done, total),
    )
    state = LoopState(table, samples.validation, plan.settings)
    if base is not None:
        training = base.training_rows(table, take_new=plan.settings.take_new)
        ledger.start_from(np.flatnonzero(training))
        state.start_from(training, base.scores(table, samples.data_set.crop).argmax(axis=1).astype(np.int64))
    found = run_loop(judge, state, ledger, LoopContext(plan.settings, plan.folder, clock, progress))
    result = _ship(judge, samples, found, plan, inputs)
    seconds = (clock.monotonic_ns() - started_ns) / NS_PER_S
    save_timing(plan.folder, RunTiming(seconds, found.seconds))
    write_atomic(plan.folder / RESULT_FILE, msgspec.json.format(msgspec.json.encode(result)))
    return result


def load_samples(pool: Pool) -> RunSamples:
    """Return the samples of a pool that a run looks at.

    Raises:
        PoolError: the pool is empty or cannot be read.
        UnnamedClassesError: samples have no class yet.
        LeakError: a group lies on two sides of the split.
        NotEnoughClassesError: fewer than two classes have training samples, or all samples are of one group.
    """
    data_set = pool.data_set()
    if data_set is None:
        raise PoolError(f"pool {pool.path} is empty: import samples first")
    check_named(pool.class_names())
    table = pool.load(("train", "validation"), origins=_RUN_ORIGINS)
    test = pool.load(("test",), origins=_RUN_ORIGINS)
    check_no_leak(table, test, pool.load(("train", "validation", "test"), origins=("audit",)))
    return RunSamples(data_set, table, test, plan_validation(table))


def _model_classes(plan: RunPlan, names: tuple[str, ...]) -> dict[str, ModelClass]:
    strange = sorted(set(plan.actions) - set(names))
    if strange:
        raise SettingsError(f"no class {', '.join(strange)} in the pool: it has {', '.join(names)}")
    return {
        name: ModelClass(plan.display_names.get(name, DisplayName(name, name)), plan.actions.get(name, "accept"))
        for name in names
    }


def _claim_folder(folder: Path, inputs: RunInputs) -> str:
    """Make the folder this run's, or prove that it is already; return the run key."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    path = folder / INPUTS_FILE
    if not path.exists():
        write_atomic(path, msgspec.json.format(msgspec.json.encode(inputs)))
        return run_key(inputs)
    before = load_inputs(folder)
    if before != inputs:
        changes = "; ".join(differences(before, inputs))
        raise ResumeError(f"{folder} holds a run whose bytes would not be the same: {changes}")
    return run_key(inputs)


def _ship(judge: Judge, samples: RunSamples, found: LoopResult, plan: RunPlan, inputs: RunInputs) -> RunResult:
    judged, which = final_fit(judge, found, plan.settings.fit)
    crop, table = samples.data_set.crop, samples.table
    ready = calibrate(judge, judged, table, crop)
    if found.noise_share is not None:
        write_atomic(plan.folder / REVIEW_FILE, review_csv(found.review).encode())
    int8 = quantise(judge, ready, samples.table, found.training, plan.settings)
    key = run_key(inputs)
    shipped = ShippedModel(
        model=ready.model,
        temperature=ready.temperature,
        validation=judged.validation,
        lineage=lineage_of(inputs, key, found),
        opset=opset_of(ready.model),
        ort_min=ORT_MIN,
        classes=inputs.classes,
        int8=int8,
    )
    golden = golden_rows(judge.judged_rows, table.class_ids)
    write_model_folder(plan.folder / MODEL_FOLDER, shipped, table, samples.data_set, golden=golden)
    test = test_once(ready.model, samples.test, crop)
    test_int8 = None if int8 is None or int8.model is None else test_once(int8.model, samples.test, crop)
    return RunResult(
        run_key=key,
        classes=table.classes,
        rounds=found.rounds,
        best_round=found.best.number,
        stop_reason=found.stop_reason,
        pool_samples=found.best.pool_samples,
        training_samples=int(found.training.sum()),
        fit=which,
        validated_on="split" if samples.validation.folds is None else "folds",
        temperature=ready.temperature,
        calibration_error=ready.calibration_error,
        parity=ready.parity,
        parity_crops=ready.parity_crops,
        validation=ShippedFigures.of(judged.validation, table.classes),
        test=None if test is None else ShippedFigures.of(test, table.classes),
        noise_share=found.noise_share,
        held_back=found.rounds[-1].held_back,
        model_id=sha256_hex(ready.model),
        int8=None if int8 is None else int8.card,
        test_int8=None if test_int8 is None else ShippedFigures.of(test_int8, table.classes),
    )
