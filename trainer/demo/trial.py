"""The whole loop on a virtual machine: train, sort, learn from the mistakes, sort better. The demonstration's engine.

One trial with one seed is the demonstration; many seeds are the long test. The control is retrained on as many objects
of the same streams, inspected at random, with the same optimiser steps: what is left is the worth of the mistakes.
"""

import shutil
import signal
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec

from edge_runtime.grains import DISPLAY_NAMES, FLOOR, LAB, write_class_folders
from edge_runtime.residual import ResidualRecord
from edge_runtime.residual_export import read_export
from edge_runtime.schemas import Action
from edge_runtime.storage import read_bytes, write_atomic
from edge_runtime.virtual_run import VirtualReport
from firmware_bridge.clock import NS_PER_S, Clock
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.acquire.intake import Fate, take_in
from trainer.demo.demo_results import Contender, DemoResult, MachineFigures
from trainer.demo.trial_machine import Streams, machine_figures, record_streams, sort_unseen
from trainer.draw.quarantine import QuarantineSettings
from trainer.loop.loop import Progress
from trainer.loop.results import MODEL_FOLDER
from trainer.loop.run import RunPlan, run
from trainer.loop.run_record import RunReport, run_report
from trainer.loop.timing import load_timing
from trainer.pool.pool import Pool
from trainer.report.run_report import write_report
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

__all__ = ["RESULT_FILE", "TrialSettings", "Watcher", "run_trial"]

RESULT_FILE: Final = "demo.json"
_SETTINGS_FILE: Final = "settings.json"
_ACTIONS: Final[dict[str, Action]] = {
    "sound": "accept",
    "broken": "accept",
    "chalky": "eject",
    "discoloured": "eject",
    "insect": "eject",
    "stone": "eject",
}
_LAB_COUNTS: Final = {"sound": 1500, "broken": 900, "chalky": 700, "discoloured": 600, "insect": 500, "stone": 400}
_AUDIT_RATE: Final = 0.05


_TITLES: Final[dict[Contender, str]] = {
    "first": "2. The norm-balanced loop trains the first model",
    "retrained": "4. The next rounds of the loop learn from the mistakes",
    "control": "6. The control learns from its random objects, with the same optimiser steps",
}


class Watcher(Progress, Protocol):
    """Who watches a trial."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` things of a stage are done."""
        ...

    def say(self, text: str) -> None:
        """Take note of one line."""
        ...


class TrialSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large a trial is.

    Attributes:
        seed: of grains, belts and training.
        sources: truth sources that mistakes are taken from.
        teach_pieces: pieces of each class in its teach lot (T0).
        production_pieces: pieces sorted while half of them are inspected (T2).
        unseen_pieces: pieces of the stream that judges every model.
        new_season_share: share 0..1 of pieces of all streams that look as the laboratory never saw them.
        lab_share: share of the laboratory samples that are rendered; 1 is 4,600.
        m: samples drawn of each class and round, in the first run and in retraining.
        rounds: most rounds of the first run and of retraining.
        fit: network and steps, the same for every contender.
    """

    seed: int = 0
    sources: tuple[Literal["T0", "T2"], ...] = ("T0", "T2")
    teach_pieces: int = 300
    production_pieces: int = 3000
    unseen_pieces: int = 4000
    new_season_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = FLOOR.new_season_share
    lab_share: float = 1.0
    m: tuple[int, int] = (40, 100)
    rounds: tuple[int, int] = (3, 2)
    fit: FitSettings = FitSettings(steps=300, final_steps=1200)


def run_trial(folder: Path, settings: TrialSettings, clock: Clock, watcher: Watcher) -> DemoResult:
    """Run one trial from rendered grains to the figures of three models.

    Args:
        folder: everything lies here. A finished trial with the same settings returns its result at once; anything else
            that an earlier trial left there is made anew.
        settings: see `TrialSettings`.
        clock: for wall times and the records' stamps.
        watcher: told of every stage.

    Returns:
        What the trial came to; also written to demo.json.

    Raises:
        ProductError: a part failed; see `import_samples`, `run`, `record_streams` and `take_in`.
    """
    known = msgspec.json.encode(settings)
    if (folder / RESULT_FILE).is_file() and read_bytes(folder / _SETTINGS_FILE) == known:
        return msgspec.json.decode(read_bytes(folder / RESULT_FILE), type=DemoResult)
    started_ns = clock.monotonic_ns()
    _clear(folder)
    write_atomic(folder / _SETTINGS_FILE, known)
    # One core sorts while the other trains; only this process answers Ctrl-C.
    with ProcessPoolExecutor(1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as beside:
        trial = _Trial(folder, settings, clock, watcher, beside)
        trial.make_samples()
        first = trial.train("first")
        learned = trial.learn_from_mistakes()
        shown, sorted_by_first = trial.show_objects(), trial.sort_with("first")
        retrained = trial.train("retrained")
        sorted_by_retrained = trial.sort_with("retrained")
        trial.learn_at_random(shown, retrained.training_samples - first.training_samples)
        control = trial.train("control")
        machine = (
            trial.judge("first", sorted_by_first),
            trial.judge("retrained", sorted_by_retrained),
            trial.judge("control", trial.sort_with("control")),
        )
    runs: dict[Contender, RunReport] = {"first": first, "retrained": retrained, "control": control}
    result = DemoResult(
        seed=settings.seed,
        new_season_share=settings.new_season_share,
        runs=runs,
        residuals=learned.residuals,
        inspected=learned.inspected,
        added={name: report.training_samples - first.training_samples for name, report in runs.items()},
        audit=learned.audited,
        audit_error=learned.audited_wrong / max(1, learned.audited),
        machine=machine,
        seconds=(clock.monotonic_ns() - started_ns) / NS_PER_S,
    )
    write_atomic(folder / RESULT_FILE, msgspec.json.format(msgspec.json.encode(result)))
    return result


@dataclass(frozen=True, slots=True)
class _Learned:
    """What a machine's records gave: residuals by truth source, pieces shown, audited, and audited ones found wrong."""

    residuals: dict[str, int]
    inspected: int
    audited: int
    audited_wrong: int


class _Trial:
    """The steps of a trial; each leaves its files in the folder, and what may wait is done by another process."""

    def __init__(self, folder: Path, settings: TrialSettings, clock: Clock, watcher: Watcher, beside: Executor) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._watcher = watcher
        self._beside = beside
        self._look = replace(FLOOR, new_season_share=settings.new_season_share)
        self._streams = Streams(
            settings.seed + 1, settings.sources, settings.teach_pieces, settings.production_pieces, self._look
        )

    def make_samples(self) -> None:
        """Render what a technician would have photographed, and import it."""
        self._watcher.say("1. Samples from the laboratory: rendered, imported, split by group")
        share = self._settings.lab_share
        counts = {name: max(1, round(count * share)) for name, count in _LAB_COUNTS.items()}
        write_class_folders(self._folder / "samples", counts, LAB, self._settings.seed)
        with Pool.open(self._pool("first"), create=True) as pool:
            import_samples(self._folder / "samples", pool, ImportOptions(), self._clock, self._watcher)

    def train(self, contender: Contender) -> RunReport:
        """Train one contender with the settings of its role and write its report."""
        self._watcher.say(_TITLES[contender])
        folder = self._run_folder(contender)
        base = None if contender == "first" else self._run_folder("first")
        plan = RunPlan(folder, self._run_settings(contender), base, dict(DISPLAY_NAMES), _ACTIONS)
        with Pool.open(self._pool(contender)) as pool:
            result = run(pool, plan, self._clock, self._watcher)
            write_report(pool, result, folder)
        return run_report(result, load_timing(folder), str(folder / MODEL_FOLDER))

    def learn_from_mistakes(self) -> _Learned:
        """Run the streams past the first model, take its recorded mistakes into the pool."""
        self._watcher.say("3. The virtual machine sorts and records what it is known to get wrong")
        shutil.copyfile(self._pool("first"), self._pool("control"))  # what the control knows before it is shown objects
        path, inspected = self._record("machine", _AUDIT_RATE).result()
        export = read_export(path)
        wrong = sum(_is_audited_wrong(record) for record in export.records)
        with Pool.open(self._pool("first")) as pool:
            report, _ = take_in(export, pool, self._clock)
        return _Learned(report.sources, inspected, report.fates.get("audit", 0), wrong)

    def show_objects(self) -> Future[tuple[Path, int]]:
        """Run the same streams past the first model once more, every object recorded for a person to label."""
        return self._record("control-machine", 1.0)

    def learn_at_random(self, shown: Future[tuple[Path, int]], wanted: int) -> None:
        """Take `wanted` objects of the same streams, picked at random and labelled, into the control's pool."""
        self._watcher.say(f"5. The control: {wanted} objects of the same streams, picked at random and labelled")
        export = read_export(shown.result()[0])
        picked = set(sorted(record.id for record in export.records)[:wanted])  # ids are hashes: a random pick

        def fate(record: ResidualRecord) -> tuple[Fate, str]:
            return ("residual", "") if record.id in picked else ("kept", "not picked for the control")

        with Pool.open(self._pool("control")) as pool:
            take_in(export, pool, self._clock, fate)

    def sort_with(self, contender: Contender) -> Future[VirtualReport]:
        """Sort the unseen stream with a contender's model."""
        model, settings = self._run_folder(contender) / MODEL_FOLDER, self._settings
        seed, pieces = settings.seed + 1, settings.unseen_pieces
        return self._beside.submit(sort_unseen, model, seed=seed, pieces=pieces, look=self._look)

    def judge(self, contender: Contender, report: Future[VirtualReport]) -> MachineFigures:
        """Return what a contender did on the unseen stream."""
        figures = machine_figures(contender, report.result())
        self._watcher.say(f"unseen stream, {contender}: macro-F1 {figures.macro_f1:.4f}, purity {figures.purity:.4f}")
        return figures

    def _record(self, name: str, audit_rate: float) -> Future[tuple[Path, int]]:
        folder = self._folder / name
        folder.mkdir()
        model = self._run_folder("first") / MODEL_FOLDER
        return self._beside.submit(
            record_streams, model, self._streams, folder, audit_rate=audit_rate, clock=self._clock
        )

    def _run_settings(self, contender: Contender) -> RunSettings:
        settings = self._settings
        (m_first, m_retrained), (most_first, most_retrained) = settings.m, settings.rounds
        sure = QuarantineSettings(mode="off")  # every label is known: the pieces are rendered
        common = RunSettings(seed=settings.seed, m=m_first, quarantine=sure, fit=settings.fit)
        match contender:
            case "first":
                return msgspec.structs.replace(common, stop=StopSettings(rounds=most_first))
            case "retrained":
                stop = StopSettings(patience=0, rounds=most_retrained)
                return msgspec.structs.replace(common, m=m_retrained, stop=stop)
            case "control":
                return msgspec.structs.replace(common, take_new=True)

    def _pool(self, contender: Contender) -> Path:
        return self._folder / ("control.pool" if contender == "control" else "grains.pool")

    def _run_folder(self, contender: Contender) -> Path:
        return self._folder / "runs" / contender


def _is_audited_wrong(record: ResidualRecord) -> bool:
    header = record.header
    return header.failure == "audit" and header.truth.label not in {"", header.predicted_class}


def _clear(folder: Path) -> None:
    """Remove what an earlier trial left, nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("samples", "runs", "machine", "control-machine"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for pattern in ("grains.pool*", "control.pool*", RESULT_FILE, "report.html"):
        for path in folder.glob(pattern):
            path.unlink()
