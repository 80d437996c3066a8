"""Several runs side by side: figures, classes, cost, and what was set differently. The first run is the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.storage import write_atomic
from trainer.errors import SettingsError
from trainer.loop.results import RunResult, ShippedFigures, load_result
from trainer.loop.run_key import RunInputs, differences, load_inputs
from trainer.loop.timing import load_timing
from trainer.report.report_charts import Figure
from trainer.report.report_page import count_text, ratio_text, render_page, share_text
from trainer.report.svg import Bar, bar_chart
from trainer.report.texts import Language, Phrase, Say

__all__ = ["ComparedRun", "ComparisonReport", "compare_runs", "write_comparison"]

_LEAST_BAR: Final = 0.01  # a chart of hundredths of a per cent would make noise look large


class ComparedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run in a comparison.

    Attributes:
        name: of its folder.
        rounds: that it took; best_round: whose training set ships.
        training_samples, pool_samples: of the model, and that it could have learnt from.
        judged_on: "test" where the pool has test samples, else "validation".
        samples: judged; macro_f1, macro_f1_error, worst_class_recall: of the shipped model on them.
        per_class_recall: by class; classes without samples are left out.
        visits: samples that all steps of the rounds looked at, the final fit not counted.
        seconds: wall time of the run.
        changed: what differs from the first run, each in words.
    """

    name: str
    rounds: int
    best_round: int
    training_samples: int
    pool_samples: int
    judged_on: Literal["test", "validation"]
    samples: int
    macro_f1: float
    macro_f1_error: float
    worst_class_recall: float
    per_class_recall: dict[str, float]
    visits: int
    seconds: float
    changed: tuple[str, ...]


class ComparisonReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train report` compares: runs in the order given, and whether their figures are of like samples.

    Attributes:
        is_fair: all were made from the same pool and judged on as many samples of the same kind.
    """

    runs: tuple[ComparedRun, ...]
    is_fair: bool
    schema_version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class _ClassRow:
    """A class, and its recall in every run as text, the best marked."""

    name: str
    recalls: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """Everything the template shows."""

    report: ComparisonReport
    judged: tuple[Phrase, ...]
    figures: tuple[Figure, ...]
    classes: tuple[_ClassRow, ...]


def compare_runs(folders: Sequence[Path]) -> ComparisonReport:
    """Return finished runs side by side.

    Args:
        folders: of at least two runs; the first is what the others are compared with.

    Raises:
        SettingsError: there are fewer than two folders, or one is named twice.
        ResumeError: a folder holds no finished run, or a record is damaged.
        StorageError: a record cannot be read.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        raise SettingsError("a comparison needs at least two different run folders")
    inputs = [load_inputs(folder) for folder in folders]
    runs = tuple(_compared(folder, own, inputs[0]) for folder, own in zip(folders, inputs, strict=True))
    alike = {(run.judged_on, run.samples, own.pool_digest) for run, own in zip(runs, inputs, strict=True)}
    return ComparisonReport(runs, len(alike) == 1)


def write_comparison(report: ComparisonReport, path: Path, language: Language = "en") -> None:
    """Write the page of a comparison; the same report gives the same bytes.

    Args:
        report: from `compare_runs`.
        path: of the page; its folder exists.
        language: shown first; the page holds English and Simplified Chinese.

    Raises:
        StorageError: the page cannot be written.
    """
    page = _Page(report, tuple(_judged(run) for run in report.runs), _figures(report.runs), _class_rows(report.runs))
    write_atomic(path, render_page("comparison.html.j2", page, language))


def _compared(folder: Path, inputs: RunInputs, first: RunInputs) -> ComparedRun:
    result = load_result(folder)
    judged_on: Literal["test", "validation"] = "validation" if result.test is None else "test"
    shown = _shown(result)
    return ComparedRun(
        name=folder.resolve().name,
        rounds=len(result.rounds),
        best_round=result.best_round,
        training_samples=result.training_samples,
        pool_samples=result.pool_samples,
        judged_on=judged_on,
        samples=shown.samples,
        macro_f1=shown.macro_f1,
        macro_f1_error=shown.macro_f1_error,
        worst_class_recall=shown.worst_class_recall,
        per_class_recall=shown.per_class_recall,
        visits=sum(record.visits for record in result.rounds),
        seconds=load_timing(folder).seconds,
        changed=differences(first, inputs),
    )


def _shown(result: RunResult) -> ShippedFigures:
    return result.validation if result.test is None else result.test


def _judged(run: ComparedRun) -> Phrase:
    return (Say.compare_test if run.judged_on == "test" else Say.compare_validation).filled(
        count=count_text(run.samples)
    )


def _figures(runs: Sequence[ComparedRun]) -> tuple[Figure, ...]:
    lost = [(run.name, 1 - run.macro_f1, ratio_text(1 - run.macro_f1)) for run in runs]
    missed = [(run.name, 1 - run.worst_class_recall, ratio_text(1 - run.worst_class_recall)) for run in runs]
    used = [(run.name, run.training_samples / run.pool_samples) for run in runs]
    shares = [(name, share, share_text(share)) for name, share in used]
    return tuple(
        _bars(heading, values)
        for heading, values in ((Say.compare_lost, lost), (Say.compare_missed, missed), (Say.compare_used, shares))
    )


def _bars(heading: Phrase, values: Sequence[tuple[str, float, str]]) -> Figure:
    high = max(_LEAST_BAR, *(value for _, value, _ in values))
    bars = [
        Bar(Phrase(name, name), value, text, "accent" if at else "muted")
        for at, (name, value, text) in enumerate(values)
    ]
    return Figure(heading, bar_chart(heading, bars, high=high))


def _class_rows(runs: Sequence[ComparedRun]) -> tuple[_ClassRow, ...]:
    rows = []
    for name in sorted({name for run in runs for name in run.per_class_recall}):
        known = [run.per_class_recall.get(name) for run in runs]
        best = max(recall for recall in known if recall is not None)
        texts = tuple(("–" if recall is None else ratio_text(recall), recall == best) for recall in known)
        rows.append(_ClassRow(name, texts))
    return tuple(rows)
