"""The page of a retraining: the verdict in words, class by class, and pictures of what changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.model import MODEL_FILE, Classifier
from edge_runtime.storage import read_bytes, write_atomic
from trainer.loop.base_run import BaseRun, load_base
from trainer.loop.results import MODEL_FOLDER
from trainer.loop.retrain import RUN_FOLDER, RetrainPlan, RetrainReport, held_out_table
from trainer.loop.retrain_gate import ClassChange
from trainer.loop.run import RunSamples, load_samples
from trainer.loop.run_key import load_inputs
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.report.report_page import count_text, crop_uri, render_page
from trainer.report.strips import Crop, Strip
from trainer.report.texts import Language, Phrase, Say

__all__ = ["RETRAIN_PAGE", "write_retrain_page"]

RETRAIN_PAGE: Final = "retrain.html"
_CROPS_A_CLASS: Final = 12
_WHICH: Final = {"test": Say.on_test, "validation": Say.on_validation, "folds": Say.on_folds_short}


@dataclass(frozen=True, slots=True)
class _Row:
    """A class in the table."""

    name: Phrase
    change: ClassChange


@dataclass(frozen=True, slots=True)
class _Page:
    """Everything the template shows; crops as heading, strips and their kind."""

    lead: tuple[Phrase, ...]
    change_text: Phrase
    rows: tuple[_Row, ...]
    crops: tuple[tuple[Phrase, tuple[Strip, ...], str], ...]


@dataclass(frozen=True, slots=True)
class _Answers:
    """Samples, and what both models say of them: (N,) int64 each."""

    table: SampleTable
    base_ids: NDArray[np.int64]
    candidate_ids: NDArray[np.int64]


def write_retrain_page(pool: Pool, plan: RetrainPlan, report: RetrainReport, language: Language = "en") -> Path:
    """Write the page of a retraining, accepted or refused.

    Args:
        pool: as it was retrained on.
        plan: of the retraining.
        report: its verdict.
        language: shown first; the page holds English and Simplified Chinese.

    Returns:
        The page: retrain.html in the plan's folder.

    Raises:
        ResumeError: base or pool do not belong to the retraining.
        PoolError: the pool cannot be read.
        ModelFolderError: a model cannot be loaded.
        StorageError: a file cannot be read or written.
    """
    samples = load_samples(pool)
    base = load_base(plan.base, pool, samples.table.classes)
    candidate = read_bytes(plan.folder / RUN_FOLDER / MODEL_FOLDER / MODEL_FILE)
    shown = load_inputs(plan.folder / RUN_FOLDER).classes
    names = {name: Phrase(one.display_name.en, one.display_name.zh_cn) for name, one in shown.items()}
    ordered = tuple(names[name] for name in samples.table.classes)
    page = _Page(
        lead=_lead(report, names),
        change_text=Say.change_text.filled(which=_WHICH[report.held_out]),
        rows=tuple(_Row(names[name], change) for name, change in report.gate.classes.items()),
        crops=_crops(samples, base, candidate, ordered),
    )
    path = plan.folder / RETRAIN_PAGE
    write_atomic(path, render_page("retrain.html.j2", page, language))
    return path


def _lead(report: RetrainReport, names: dict[str, Phrase]) -> tuple[Phrase, ...]:
    lost = [names[name] for name, change in report.gate.classes.items() if change.is_lost]
    verdict = Say.accepted_lead
    if lost:
        words = Phrase(", ".join(name.en for name in lost), "、".join(name.zh_cn for name in lost))
        verdict = Say.refused_lead.filled(lost=words)
    mistakes, learnt = sum(report.mistakes.values()), sum(report.learnt.values())
    return (verdict, Say.learnt_lead.filled(mistakes=count_text(mistakes), learnt=count_text(learnt)))


def _crops(
    samples: RunSamples, base: BaseRun, candidate: bytes, names: tuple[Phrase, ...]
) -> tuple[tuple[Phrase, tuple[Strip, ...], str], ...]:
    machine = np.array([origin == "residual" for origin in samples.table.origins], np.bool_)
    back = _ask(samples, base, candidate, samples.table.take(np.flatnonzero(machine)))
    unlearnt = _strips(back, back.candidate_ids != back.table.class_ids, names)
    _, held_out = held_out_table(samples)
    if held_out is None:
        return ((Say.unlearnt_heading, unlearnt, "wrong"),)
    told = _ask(samples, base, candidate, held_out)
    was, now = told.base_ids == told.table.class_ids, told.candidate_ids == told.table.class_ids
    return (
        (Say.broken_heading, _strips(told, was & ~now, names), "wrong"),
        (Say.mended_heading, _strips(told, now & ~was, names), ""),
        (Say.unlearnt_heading, unlearnt, "wrong"),
    )


def _ask(samples: RunSamples, base: BaseRun, candidate: bytes, table: SampleTable) -> _Answers:
    crop = samples.data_set.crop
    new = Classifier(candidate, crop, len(table.classes)).scores(table.pixels)
    old = base.scores(table, crop)
    return _Answers(table, old.argmax(axis=1).astype(np.int64), new.argmax(axis=1).astype(np.int64))


def _strips(answers: _Answers, chosen: NDArray[np.bool_], names: tuple[Phrase, ...]) -> tuple[Strip, ...]:
    """Return the chosen samples, class by class, each with what the new model says."""
    strips, table = [], answers.table
    for class_id in np.unique(table.class_ids[chosen]).tolist():
        rows = np.flatnonzero(chosen & (table.class_ids == class_id))
        crops = tuple(
            Crop(crop_uri(table.pixels[row]), names[answers.candidate_ids[row]], table.ids[row][:12])
            for row in rows[:_CROPS_A_CLASS].tolist()
        )
        strips.append(Strip(names[class_id], crops, len(rows) - len(crops)))
    return tuple(strips)
