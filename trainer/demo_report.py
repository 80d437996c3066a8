"""The report of the demonstration: what was done, and whether the machine got better; as a page, and as a short table.

Better and worse are computed from the figures, digit for digit as shown; where the retrained model is not better, the
page says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Final, Literal

from edge_runtime.storage import write_atomic
from trainer.demo_results import Contender, DemoResult, MachineFigures
from trainer.report_charts import Figure
from trainer.report_page import count_text, render_page, share_text
from trainer.reports import RunReport
from trainer.run_text import table_text
from trainer.svg import Bar, Line, bar_chart, line_chart, ratio_axis
from trainer.texts import Language, Phrase, Say, joined

__all__ = ["Mark", "compare", "demo_text", "verdict", "write_demo_report"]

Mark = Literal["better", "worse", "same"]

_REPORT_FILE: Final = "report.html"
_SIGNS: Final[dict[Mark, str]] = {"better": "▲", "worse": "▼", "same": "="}
_NAMES: Final[dict[Contender, Phrase]] = {
    "first": Say.first_model,
    "retrained": Say.retrained_model,
    "control": Say.control_model,
}
_STYLES: Final[dict[Contender, str]] = {"first": "c7", "retrained": "c0", "control": "c1"}
_SOURCES: Final = {"T0": Say.teach_lot, "T2": Say.inspection}


@dataclass(frozen=True, slots=True)
class _Metric:
    """One figure of the machine: its name, how it is read, the digits shown, and which way is better."""

    name: Phrase
    value: Callable[[MachineFigures], float]
    decimals: int
    is_more_better: bool = True
    help: Phrase | None = None

    def text(self, figures: MachineFigures) -> str:
        return f"{self.value(figures):,.{self.decimals}f}"


_QUALITY: Final = (
    _Metric(Say.purity, lambda f: f.purity, 4, help=Say.purity_help),
    _Metric(Say.yield_good, lambda f: f.yield_good, 4, help=Say.yield_help),
    _Metric(Say.removed, lambda f: f.removed, 4, help=Say.removed_help),
    _Metric(Say.carry_over, lambda f: f.carry_over, 3, is_more_better=False, help=Say.carry_over_help),
    _Metric(Say.macro_f1, lambda f: f.macro_f1, 4),
    _Metric(Say.worst_short, lambda f: f.worst_class_recall, 4),
)
_TIMING: Final = (
    _Metric(Say.late, lambda f: f.late, 0),
    _Metric(Say.least_lead, lambda f: f.least_lead_ms, 1),
)


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


def demo_text(result: DemoResult, language: Language) -> str:
    """Return the short table for a terminal: the machine's figures of each model, and what they say."""
    by_name = _by_name(result)
    head = (Say.model_column, *(metric.name for metric in _QUALITY))
    rows = [
        (_NAMES[name].text(language), *(metric.text(figures) for metric in _QUALITY))
        for name, figures in by_name.items()
    ]
    sources = ", ".join(f"{source} {count_text(count)}" for source, count in sorted(result.residuals.items()))
    said = [
        verdict(by_name["first"], by_name["retrained"])[0],
        _against_control(by_name),
        Say.residuals_line.filled(sources=sources or "0"),
        _audit(result),
    ]
    table = table_text([phrase.text(language) for phrase in head], rows)
    return "\n".join([table, *(phrase.text(language) for phrase in said)])


def compare(base: float, other: float, *, decimals: int, is_more_better: bool) -> Mark:
    """Return how `other` stands to `base`, looking only at the digits that people see.

    >>> compare(0.98761, 0.98759, decimals=4, is_more_better=True)
    'same'
    """
    shown, against = round(other, decimals), round(base, decimals)
    if shown == against:
        return "same"
    return "better" if (shown > against) == is_more_better else "worse"


def verdict(first: MachineFigures, retrained: MachineFigures) -> tuple[Phrase, Literal["good", "mixed", "bad"]]:
    """Return in words whether the retrained model is better, and the tone of it, from the six figures of quality."""
    better, worse = _sort_out(first, retrained)
    if better and not worse:
        return Say.better_all.filled(better=joined(better)), "good"
    if better:
        return Say.better_some.filled(better=joined(better), worse=joined(worse)), "mixed"
    if worse:
        return Say.better_none.filled(worse=joined(worse)), "bad"
    return Say.no_difference, "bad"


def _make_page(result: DemoResult) -> _Page:
    by_name = _by_name(result)
    words, tone = verdict(by_name["first"], by_name["retrained"])
    return _Page(
        lead=Say.demo_lead.filled(objects=count_text(by_name["first"].objects)),
        verdict=words,
        tone=tone,
        against_control=_against_control(by_name),
        steps=_steps(result),
        columns=tuple(_NAMES[name] for name in by_name),
        rows=(
            *(_row(metric, tuple(by_name.values())) for metric in _QUALITY),
            *(_plain_row(metric, tuple(by_name.values())) for metric in _TIMING),
        ),
        bars=_bars(by_name),
        sources=tuple((_SOURCES.get(name, Phrase(name, name)), count) for name, count in result.residuals.items()),
        audit=_audit(result),
        runs=tuple(_run(name, result.runs[name]) for name in by_name),
        took=Say.took.filled(seed=result.seed, seconds=f"{result.seconds:,.0f}"),
    )


def _by_name(result: DemoResult) -> dict[Contender, MachineFigures]:
    found = {figures.contender: figures for figures in result.machine}
    return {name: found[name] for name in _NAMES}


def _sort_out(base: MachineFigures, other: MachineFigures) -> tuple[list[Phrase], list[Phrase]]:
    marks = [(metric.name, _mark(metric, base, other)) for metric in _QUALITY]
    return [name for name, mark in marks if mark == "better"], [name for name, mark in marks if mark == "worse"]


def _mark(metric: _Metric, base: MachineFigures, other: MachineFigures) -> Mark:
    return compare(
        metric.value(base), metric.value(other), decimals=metric.decimals, is_more_better=metric.is_more_better
    )


def _against_control(by_name: dict[Contender, MachineFigures]) -> Phrase:
    better, worse = _sort_out(by_name["control"], by_name["retrained"])
    return Say.against_control.filled(better=_listed(better), worse=_listed(worse))


def _listed(names: Sequence[Phrase]) -> Phrase:
    return joined(names) if names else Say.nothing


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


def _row(metric: _Metric, contenders: Sequence[MachineFigures]) -> _Row:
    first, *others = contenders
    cells = [_Cell(metric.text(first), None, "")]
    for figures in others:
        mark = _mark(metric, first, figures)
        cells.append(_Cell(metric.text(figures), mark, _SIGNS[mark]))
    return _Row(metric.name, metric.help, tuple(cells))


def _plain_row(metric: _Metric, contenders: Sequence[MachineFigures]) -> _Row:
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
        bars = [Bar(_NAMES[name], value(of), text(value(of)), _STYLES[name]) for name, of in by_name.items()]
        chart = bar_chart(heading, bars, high=max(bar.value for bar in bars))
        figures.append(Figure(heading, chart, Say.less_is_better))
    return tuple(figures)


def _audit(result: DemoResult) -> Phrase:
    if result.audit == 0:
        return Say.no_audit
    error = sqrt(result.audit_error * (1.0 - result.audit_error) / result.audit)
    return Say.audit_text.filled(
        audit=count_text(result.audit), share=share_text(result.audit_error), error=share_text(error)
    )


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
    return _Run(Figure(_NAMES[name], chart, caption), f"runs/{name}/{_REPORT_FILE}")
