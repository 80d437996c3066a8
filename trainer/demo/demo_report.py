"""The page of the demonstration: what was done, and whether the machine got better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.storage import write_atomic
from trainer.demo.demo_results import Contender, DemoResult, MachineFigures
from trainer.demo.demo_verdict import (
    NAMES,
    QUALITY,
    TIMING,
    Mark,
    Metric,
    against_control,
    audit_words,
    by_contender,
    mark_of,
    took_words,
    verdict,
)
from trainer.loop.run_record import RunReport
from trainer.report.report_charts import Figure
from trainer.report.report_page import count_text, render_page
from trainer.report.svg import Bar, Line, bar_chart, line_chart, ratio_axis
from trainer.report.texts import Language, Phrase, Say

__all__ = ["write_demo_report"]

_REPORT_FILE: Final = "report.html"
_SIGNS: Final[dict[Mark, str]] = {"better": "▲", "worse": "▼", "same": "="}
_STYLES: Final[dict[Contender, str]] = {"first": "c7", "retrained": "c0", "control": "c1"}
_SOURCES: Final = {"T0": Say.teach_lot, "T2": Say.inspection}


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    mark: Mark | None
    sign: str


@dataclass(frozen=True, slots=True)
class _Row:
    name: Phrase
    help: Phrase | None
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """One training run: its figure, and the way to its own report."""

    figure: Figure
    link: str


@dataclass(frozen=True, slots=True)
class _Page:
    """Everything the template shows."""

    lead: Phrase
    verdict: Phrase
    tone: str
    against_control: Phrase
    steps: tuple[Phrase, ...]
    columns: tuple[Phrase, ...]
    rows: tuple[_Row, ...]
    bars: tuple[Figure, ...]
    sources: tuple[tuple[Phrase, int], ...]
    audit: Phrase
    runs: tuple[_Run, ...]
    took: Phrase


def write_demo_report(result: DemoResult, folder: Path, *, language: Language = "en") -> Path:
    """Write the report of a demonstration.

    Args:
        result: with the figures of all three contenders.
        folder: of the demonstration; the reports of the runs lie below it, in runs/first, runs/retrained and
            runs/control.
        language: shown first; the page holds English and Simplified Chinese.

    Returns:
        The page: report.html in `folder`.

    Raises:
        StorageError: the page cannot be written.
    """
    path = folder / _REPORT_FILE
    write_atomic(path, render_page("demo.html.j2", _make_page(result), language))
    return path


def _make_page(result: DemoResult) -> _Page:
    by_name = by_contender(result)
    words, tone = verdict(by_name["first"], by_name["retrained"])
    return _Page(
        lead=Say.demo_lead.filled(objects=count_text(by_name["first"].objects)),
        verdict=words,
        tone=tone,
        against_control=against_control(by_name),
        steps=_steps(result),
        columns=tuple(NAMES[name] for name in by_name),
        rows=(
            *(_row(metric, tuple(by_name.values())) for metric in QUALITY),
            *(_plain_row(metric, tuple(by_name.values())) for metric in TIMING),
        ),
        bars=_bars(by_name),
        sources=tuple((_SOURCES.get(name, Phrase(name, name)), count) for name, count in result.residuals.items()),
        audit=audit_words(result),
        runs=tuple(_run(name, result.runs[name]) for name in by_name),
        took=took_words(result),
    )


def _steps(result: DemoResult) -> tuple[Phrase, ...]:
    first = result.runs["first"]
    residuals = count_text(sum(result.residuals.values()))
    return (
        Say.step_samples.filled(pool=count_text(first.pool_samples)),
        Say.step_first.filled(training=count_text(first.training_samples), rounds=len(first.rounds)),
        Say.step_record.filled(residuals=residuals, inspected=count_text(result.inspected)),
        Say.step_retrain.filled(added=count_text(result.added["retrained"])),
        Say.step_pick,
        Say.step_control.filled(added=count_text(result.added["control"])),
        Say.step_judge,
    )


def _row(metric: Metric, contenders: Sequence[MachineFigures]) -> _Row:
    first, *others = contenders
    cells = [_Cell(metric.text(first), None, "")]
    for figures in others:
        mark = mark_of(metric, first, figures)
        cells.append(_Cell(metric.text(figures), mark, _SIGNS[mark]))
    return _Row(metric.name, metric.help, tuple(cells))


def _plain_row(metric: Metric, contenders: Sequence[MachineFigures]) -> _Row:
    """Give figures without marks: how early commands leave is the computer's doing, not the model's."""
    return _Row(metric.name, metric.help, tuple(_Cell(metric.text(figures), None, "") for figures in contenders))


def _bars(by_name: dict[Contender, MachineFigures]) -> tuple[Figure, ...]:
    """Show what is lost rather than what is right: bars from 0 can be told apart only there."""
    charts: tuple[tuple[Phrase, Callable[[MachineFigures], float], Callable[[float], str]], ...] = (
        (Say.impurity_chart, lambda f: 1.0 - f.purity, lambda value: f"{value:.2%}"),
        (Say.loss_chart, lambda f: 1.0 - f.yield_good, lambda value: f"{value:.2%}"),
        (Say.carry_over_chart, lambda f: f.carry_over, lambda value: f"{value:.3f}"),
    )
    figures = []
    for heading, value, text in charts:
        bars = [Bar(NAMES[name], value(of), text(value(of)), _STYLES[name]) for name, of in by_name.items()]
        chart = bar_chart(heading, bars, high=max(bar.value for bar in bars))
        figures.append(Figure(heading, chart, Say.less_is_better))
    return tuple(figures)


def _run(name: Contender, report: RunReport) -> _Run:
    f1s = [record.macro_f1 for record in report.rounds]
    errors = [record.macro_f1_error for record in report.rounds]
    reach = [f1 + way * error for f1, error in zip(f1s, errors, strict=True) for way in (-1, 1)]
    line = Line(Say.macro_f1, f1s, _STYLES[name], errors)
    chart = line_chart(Say.f1_chart, [line], ratio_axis(reach), marked=report.best_round)
    caption = Say.run_caption.filled(
        training=count_text(report.training_samples),
        pool=count_text(report.pool_samples),
        seconds=f"{report.seconds:,.0f}",
    )
    return _Run(Figure(NAMES[name], chart, caption), f"runs/{name}/{_REPORT_FILE}")
