"""The demonstration on a terminal: rounds, shipped models, the machine before and after, in three short tables. Pure.

The page (`trainer.demo.demo_report`) tells the same at length.
"""

from collections.abc import Sequence

from trainer.demo.demo_results import DemoResult
from trainer.demo.demo_verdict import (
    NAMES,
    QUALITY,
    TIMING,
    against_control,
    audit_words,
    by_contender,
    took_words,
    verdict,
)
from trainer.loop.run_record import RunReport
from trainer.report.report_page import count_text, share_text
from trainer.report.texts import Language, Phrase, Say
from trainer.text_table import table_text

__all__ = ["demo_text"]


def demo_text(result: DemoResult, language: Language) -> str:
    """Return what the demonstration came to, for a terminal.

    Args:
        result: with the figures of all three contenders.
        language: of every word.
    """
    figures = by_contender(result)
    sources = ", ".join(f"{source} {count_text(count)}" for source, count in sorted(result.residuals.items()))
    said = (
        verdict(figures["first"], figures["retrained"])[0],
        against_control(figures),
        Say.residuals_line.filled(sources=sources or "0"),
        audit_words(result),
        took_words(result),
    )
    machine_title = Say.machine_title.filled(objects=count_text(figures["first"].objects))
    tables = (
        _titled(Say.rounds_title, _rounds(result), language),
        _titled(Say.shipped_title, _shipped(result), language),
        _titled(machine_title, _machine(result), language),
    )
    return "\n\n".join([*tables, "\n".join(phrase.text(language) for phrase in said)])


_Table = tuple[Sequence[Phrase], Sequence[tuple[Phrase, Sequence[str]]]]  # head; rows, each a model and its cells


def _titled(title: Phrase, table: _Table, language: Language) -> str:
    head, rows = table
    cells = [(name.text(language), *values) for name, values in rows]
    return f"{title.text(language)}\n{table_text([phrase.text(language) for phrase in head], cells)}"


def _rounds(result: DemoResult) -> _Table:
    head = (
        *(Say.model_column, Say.round_column, Say.training_column, Say.share_column),
        *(Say.residual_column, Say.macro_f1, Say.worst_short),
    )
    return head, [(name, cells) for run, name in NAMES.items() for cells in _round_cells(result.runs[run])]


def _round_cells(report: RunReport) -> list[tuple[str, ...]]:
    return [
        (
            f"{'* ' if one.number == report.best_round else ''}{one.number}",
            count_text(one.training_samples),
            share_text(one.training_samples / report.pool_samples),
            count_text(one.residual),
            f"{one.macro_f1:.4f}",
            f"{one.worst_class_recall:.4f}",
        )
        for one in report.rounds
    ]


def _shipped(result: DemoResult) -> _Table:
    head = (Say.model_column, Say.validation_tile, Say.test_tile, Say.worst_short, Say.parity_tile)
    return head, [(name, _shipped_cells(result.runs[run])) for run, name in NAMES.items()]


def _shipped_cells(report: RunReport) -> tuple[str, ...]:
    test = (report.test_macro_f1, report.test_worst_class_recall)
    equal = count_text(report.parity_crops)
    return (
        f"{report.macro_f1:.4f}",
        *("-" if value is None else f"{value:.4f}" for value in test),
        f"{equal} / {equal}, {report.parity:.1e}",
    )


def _machine(result: DemoResult) -> _Table:
    metrics = (*QUALITY, *TIMING)
    rows = [(NAMES[run], [metric.text(one) for metric in metrics]) for run, one in by_contender(result).items()]
    return (Say.model_column, *(metric.name for metric in metrics)), rows
