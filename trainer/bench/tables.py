"""The benchmark's figures as markdown, for docs/benchmarks.md and a terminal. Pure.

>>> signed(-0.0123)
'-0.0123'
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trainer.bench.analysis import FIGURES, Comparison, Figure, Reach, SeedResult
from trainer.bench.arms import ARMS, NORM
from trainer.bench.row_record import RowFailure, RowRecord
from trainer.intervals import Interval, t_interval

__all__ = ["SuiteTables", "markdown", "signed"]

_NAMES: Final[dict[Figure, str]] = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "worst_class_recall": "worst recall",
}
_WORDS: Final = {"better": "**norm better**", "worse": "**norm worse**", "open": "open", "too few seeds": "1 seed"}


@dataclass(frozen=True, slots=True)
class SuiteTables:
    """Everything that a suite's tables are made of.

    Attributes:
        suite: which comparison.
        command: that repeats it.
        results: of every set, arm and seed.
        reached: by every arm on every set.
        comparisons: the norm loop against every other arm.
        left_out: arms and why they are missing.
        failed: rows that did not come to an end.
        plot: name of the chart's file beside the page, "" for none.
    """

    suite: str
    command: str
    results: Sequence[SeedResult]
    reached: Sequence[Reach]
    comparisons: Sequence[Comparison]
    left_out: Sequence[tuple[str, str]] = ()
    failed: Sequence[RowFailure] = ()
    plot: str = ""


def markdown(tables: SuiteTables) -> str:
    """Return a suite's tables: for each set what every arm reached, and the norm loop against each."""
    parts = [f"`{tables.command}`"]
    if not tables.results:
        return "\n\n".join([*parts, "No row is finished yet."])
    parts += [_device(tables.results)]
    for name in dict.fromkeys(result.set for result in tables.results):
        own = [result for result in tables.results if result.set == name]
        parts += [f"#### {name}", _cost(own), _reached([one for one in tables.reached if one.set == name])]
        if any(row.int8 is not None for result in own for row in result.rows):
            parts.append(_quantised(own))
        compared = [one for one in tables.comparisons if one.set == name]
        if compared:
            parts.append(_compared(compared))
        if any(result.rows[0].points for result in own):
            parts.append(_by_round(own))
    if tables.plot:
        parts.append(f"![macro-F1 against sample visits]({tables.plot})")
    parts += _legend(tables)
    return "\n\n".join(parts)


def signed(value: float) -> str:
    """Return a difference with its sign and four decimals; what rounds to nothing has no sign.

    >>> signed(-0.00001)
    '0.0000'
    """
    text = f"{value:+.4f}"
    return text[1:] if float(text) == 0.0 else text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _by_arm(results: Sequence[SeedResult]) -> dict[str, list[SeedResult]]:
    order = [name for name in ARMS if any(result.arm == name for result in results)]
    return {name: [result for result in results if result.arm == name] for name in order}


def _cost(results: Sequence[SeedResult]) -> str:
    is_noisy = any(row.noise_in_pool is not None for result in results for row in result.rows)
    noise = ("wrong labels in training", "held back") if is_noisy else ()
    head = (
        *("arm", "seeds", "macro-F1", "worst recall", "balanced", "ECE", "training set", *noise),
        *("rounds", "steps", "visits", "wall s", "CPU s", "peak MiB"),
    )
    return _table(head, [_arm_row(arm, own, is_noisy=is_noisy) for arm, own in _by_arm(results).items()])


def _arm_row(arm: str, own: Sequence[SeedResult], *, is_noisy: bool) -> list[str]:
    def mean(value: Callable[[SeedResult], float]) -> float:
        return sum(value(result) for result in own) / len(own)

    share = mean(lambda r: r.mean(lambda row: row.training_samples / row.pool_samples))
    row = [
        f"`{arm}`",
        str(len(own)),
        _spread([result.macro_f1 for result in own]),
        _spread([result.worst_class_recall for result in own]),
        f"{mean(lambda r: r.balanced_accuracy):.4f}",
        f"{mean(lambda r: r.calibration_error):.4f}",
        f"{mean(lambda r: r.mean(lambda row: row.training_samples)):,.0f} ({share:.1%})",
    ]
    if is_noisy:
        row += [
            f"{mean(lambda r: r.mean(lambda row: row.noise_in_training or 0.0)):.1%}",
            f"{mean(lambda r: r.mean(lambda row: row.held_back)):,.0f}",
        ]
    return [
        *row,
        f"{mean(lambda r: r.mean(lambda row: row.rounds)):.1f}",
        f"{mean(lambda r: r.total(lambda row: row.steps)):,.0f}",
        f"{mean(lambda r: r.total(lambda row: row.visits)):,.0f}",
        f"{mean(lambda r: r.total(lambda row: row.wall_s)):,.0f}",
        f"{mean(lambda r: r.total(lambda row: row.cpu_s)):,.0f}",
        f"{max(row.peak_rss_mb for result in own for row in result.rows):,.0f}",
    ]


def _reached(reached: Sequence[Reach]) -> str:
    """Return each arm's means over the seeds with their intervals over the test groups."""
    rows = [
        [f"`{one.arm}`", str(one.seeds), *(_between(one.figures[figure]) for figure in FIGURES)]
        for one in sorted(reached, key=lambda r: list(ARMS).index(r.arm))
    ]
    return _table(("arm", "seeds", *(f"{_NAMES[figure]}, 95 % over test groups" for figure in FIGURES)), rows)


def _quantised(results: Sequence[SeedResult]) -> str:
    """Return what INT8 costs on the test side, over the rows whose file passed the gate."""
    rows = []
    for arm, own in _by_arm(results).items():
        told = [(row, row.int8) for result in own for row in result.rows if row.int8 is not None]
        shipped = [
            (row, int8) for row, int8 in told if int8.macro_f1 is not None and int8.worst_class_recall is not None
        ]
        if not told:
            continue
        drops = [row.test.macro_f1 - (int8.macro_f1 or 0.0) for row, int8 in shipped]
        worst = [row.test.worst_class_recall - (int8.worst_class_recall or 0.0) for row, int8 in shipped]
        changed = sum(int8.changed_decisions for _, int8 in shipped)
        images = sum(row.test.samples for row, _ in shipped)
        ways = ", ".join(f"{way} {count}" for way, count in sorted(Counter(i.mended_by for _, i in shipped).items()))
        figures = (
            (_spread(drops), f"{max(drops):.4f}", _spread(worst), f"{changed / images:.2%}") if shipped else [""] * 4
        )
        rows.append([f"`{arm}`", f"{len(shipped)} of {len(told)}", *figures, ways])
    head = ("arm", "INT8 shipped", "macro-F1 lost", "most", "worst recall lost", "decisions changed", "mended by")
    return _table(head, rows)


def _compared(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [
            f"`{one.arm}`",
            _NAMES[one.figure],
            str(one.pairs),
            signed(one.mean),
            _interval(one.over_seeds),
            _interval(one.over_groups),
            _WORDS[one.verdict],
        ]
        for one in sorted(comparisons, key=lambda c: (list(ARMS).index(c.arm), c.figure))
    ]
    return _table(("`norm` less", "figure", "pairs", "mean", "95 % over seeds", "95 % over test groups", ""), rows)


def _by_round(results: Sequence[SeedResult]) -> str:
    """Return the loops round by round on the test side, as only the benchmark may see them."""
    loops = {arm: own for arm, own in _by_arm(results).items() if own[0].rows[0].points}
    norms = {result.seed: _point_means(result) for result in loops.get(NORM, ())}
    rows = []
    for arm, own in loops.items():
        points = {result.seed: _point_means(result) for result in own}
        for at in range(max(len(p) for p in points.values())):
            there = {seed: p[at] for seed, p in points.items() if len(p) > at}
            if len(there) * 2 <= len(points):
                break  # fewer than half of the seeds went so far
            figures = np.array(list(there.values()))
            less = [norms[s][at][3] - p[3] for s, p in there.items() if len(norms.get(s, ())) > at]
            less_text = _interval(t_interval(np.array(less))) if arm != NORM and len(less) > 1 else ""
            training, visits, validation, test, worst = figures.mean(axis=0)
            rows.append(
                [
                    *(f"`{arm}`", str(at + 1), str(len(there)), f"{training:,.0f}", f"{visits:,.0f}"),
                    *(f"{validation:.4f}", f"{test:.4f}", f"{worst:.4f}", less_text),
                ]
            )
            if arm != NORM:
                break  # of the others the first round tells what the draw alone is worth
    head = ("loop", "round", "seeds", "training", "visits", "validation macro-F1", "test macro-F1", "test worst recall")
    return _table((*head, "`norm` less it, 95 % over seeds"), rows)


def _point_means(result: SeedResult) -> list[tuple[float, ...]]:
    """Return training samples, visits and the three figures of each round, as means over the folds."""
    count = min(len(row.points) for row in result.rows)
    return [
        tuple(
            sum(values) / len(result.rows)
            for values in zip(
                *(
                    (p.training_samples, p.visits, p.validation_macro_f1, p.test_macro_f1, p.test_worst_class_recall)
                    for p in (row.points[at] for row in result.rows)
                ),
                strict=True,
            )
        )
        for at in range(count)
    ]


def _device(results: Sequence[SeedResult]) -> str:
    rows: list[RowRecord] = [row for result in results for row in result.rows]
    devices = sorted({row.processor for row in rows})
    names = ("torch", "onnxruntime", "python", "code")
    versions = sorted({", ".join(f"{name} {row.versions.get(name, '?')}" for name in names) for row in rows})
    return f"Ran on {'; '.join(devices)} with {'; '.join(versions)}."


def _legend(tables: SuiteTables) -> list[str]:
    arms = _by_arm(tables.results)
    lines = [f"- `{name}`: {ARMS[name].about}{_note(own)}" for name, own in arms.items()]
    lines += [f"- `{name}` is left out: {reason}" for name, reason in tables.left_out]
    lines += [f"- {failure.row.name} FAILED: {failure.kind}, {failure.message}" for failure in tables.failed]
    return ["\n".join(lines)]


def _note(own: Sequence[SeedResult]) -> str:
    notes = sorted({row.note for result in own for row in result.rows if row.note})
    return f" ({'; '.join(notes)})" if notes else ""


def _spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation over the seeds."""
    array = np.array(values, np.float64)
    return f"{array.mean():.4f}" + (f" ± {array.std(ddof=1):.4f}" if len(array) > 1 else "")


def _between(interval: Interval) -> str:
    return f"{interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{signed(interval.low)} to {signed(interval.high)}"
