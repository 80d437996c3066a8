"""The charts of a run's report: which numbers go into which picture. Knows results and stories, writes no markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.norm import Q16_ONE
from trainer.loop.results import RunResult
from trainer.pool.round_record import RoundRecord
from trainer.report.report_story import RunStory
from trainer.report.svg import Histogram, Line, Rug, count_axis, histogram_chart, line_chart, ratio_axis
from trainer.report.texts import Phrase, Say

__all__ = ["Figure", "imbalance", "norm_figures", "round_figures"]

_NORM_BINS: Final = 48
_COLOURS: Final = 8  # more cannot be told apart


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its heading and a line below: SVG text, safe to stand in a page."""

    heading: Phrase
    svg: str
    note: Phrase | None = None


def round_figures(result: RunResult, names: dict[str, Phrase]) -> tuple[Figure, ...]:
    """Return how the rounds went: macro-F1, recalls, residual, training set, imbalance.

    Args:
        result: with at least one round.
        names: class names as people say them.
    """
    rounds, best = result.rounds, result.best_round
    errors = [record.macro_f1_error for record in rounds]
    f1s = [record.macro_f1 for record in rounds]
    worst = [record.worst_class_recall for record in rounds]
    reach = [*(f1 - error for f1, error in zip(f1s, errors, strict=True)), *map(sum, zip(f1s, errors, strict=True))]
    residual = [record.residual for record in rounds]
    training = [record.training_samples for record in rounds]
    f1_line = Line(Say.macro_f1, f1s, "accent", errors)
    worst_line = Line(Say.worst_recall, worst, "accent")
    return (
        Figure(Say.f1_chart, line_chart(Say.f1_chart, [f1_line], ratio_axis(reach), marked=best)),
        Figure(Say.worst_chart, line_chart(Say.worst_chart, [worst_line], ratio_axis(worst), marked=best)),
        _recalls_figure(result, names),
        _counts_figure(Say.residual_chart, residual, best),
        _counts_figure(Say.training_chart, training, best),
        _balance_figure(rounds, best),
    )


def imbalance(counts: Sequence[int]) -> float:
    """Return how many times the smallest class goes into the largest; classes without a sample do not count.

    Args:
        counts: samples of each class.

    >>> imbalance([30, 10, 0])
    3.0
    """
    present = [count for count in counts if count]
    return max(present) / min(present) if present else 1.0


def norm_figures(story: RunStory, names: Sequence[Phrase]) -> tuple[Figure, ...]:
    """Return for each class of the pool the norms of all its samples and, round by round, of those drawn.

    Args:
        story: of the run.
        names: K class names in the order of the table.

    Note:
        Each class has an axis of its own: the draw is around its own mean.
    """
    norms = story.table.norms_q16 / Q16_ONE
    present = np.unique(story.table.class_ids[story.in_pool]).tolist()
    return tuple(_norm_figure(story, norms, class_id, names[class_id]) for class_id in present)


def _norm_figure(story: RunStory, norms: NDArray[np.float64], class_id: int, name: Phrase) -> Figure:
    ids = story.table.class_ids
    own = norms[story.in_pool & (ids == class_id)]
    low = float(np.floor(own.min() * 100) / 100)
    high = max(float(np.ceil(own.max() * 100) / 100), low + 0.01)
    counts, _ = np.histogram(own, bins=_NORM_BINS, range=(low, high))
    rugs = []
    for draw in story.draws:
        is_own = ids[draw.rows] == class_id
        above, below = (norms[draw.rows[is_own & side]].tolist() for side in (draw.is_above, ~draw.is_above))
        rugs.append(Rug(draw.number, above, below))
    chart = Histogram(Say.norms_chart.filled(name=name), counts.tolist(), low, high, float(own.mean()), rugs)
    drawn = sum(len(rug.above) + len(rug.below) for rug in rugs)
    return Figure(name, histogram_chart(chart), Say.norms_caption.filled(drawn=f"{drawn:,}", pool=f"{own.size:,}"))


def _counts_figure(heading: Phrase, values: Sequence[int], best: int) -> Figure:
    return Figure(heading, line_chart(heading, [Line(heading, values, "accent")], count_axis(values), marked=best))


def _recalls_figure(result: RunResult, names: dict[str, Phrase]) -> Figure:
    """Show the classes with the lowest recall in colour, the others pale where there are too many for colours."""
    judged = [name for name in result.classes if name in result.validation.per_class_recall]
    worst_first = sorted(judged, key=lambda name: (result.rounds[-1].classes[name].recall, name))
    styles = {name: f"c{at}" for at, name in enumerate(sorted(worst_first[:_COLOURS]))}
    lines = [
        Line(names[name], [record.classes[name].recall for record in result.rounds], styles.get(name, "muted"))
        for name in judged
    ]
    axis = ratio_axis([value for line in lines for value in line.values])
    svg = line_chart(Say.recalls_chart, lines, axis, marked=result.best_round, is_named=True)
    return Figure(Say.recalls_chart, svg)


def _balance_figure(rounds: Sequence[RoundRecord], best: int) -> Figure:
    drawn = [imbalance([one.training for one in record.classes.values()]) for record in rounds]
    pool = [imbalance([one.pool for one in record.classes.values()]) for record in rounds]
    lines = [Line(Say.whole_pool, pool, "c7", is_dashed=True), Line(Say.training_set, drawn, "accent")]
    axis = count_axis([*drawn, *pool])
    return Figure(Say.balance_chart, line_chart(Say.balance_chart, lines, axis, marked=best, is_named=True))
