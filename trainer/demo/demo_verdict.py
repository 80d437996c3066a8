"""Whether the machine got better: computed from the figures, digit for digit as people see them.

Page and terminal say the same because both ask here; where the retrained model is not better, both say so. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

from trainer.demo.demo_results import Contender, DemoResult, MachineFigures
from trainer.report.report_page import count_text, share_text
from trainer.report.texts import Phrase, Say, joined

__all__ = [
    "NAMES",
    "QUALITY",
    "TIMING",
    "Mark",
    "Metric",
    "against_control",
    "audit_words",
    "by_contender",
    "compare",
    "mark_of",
    "took_words",
    "verdict",
]

Mark = Literal["better", "worse", "same"]

NAMES: Final[dict[Contender, Phrase]] = {
    "first": Say.first_model,
    "retrained": Say.retrained_model,
    "control": Say.control_model,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of the machine: its name, how it is read, the digits shown, and which way is better."""

    name: Phrase
    value: Callable[[MachineFigures], float]
    decimals: int
    is_more_better: bool = True
    help: Phrase | None = None

    def text(self, figures: MachineFigures) -> str:
        """Return the figure as people see it."""
        return f"{self.value(figures):,.{self.decimals}f}"


QUALITY: Final = (
    Metric(Say.purity, lambda f: f.purity, 4, help=Say.purity_help),
    Metric(Say.yield_good, lambda f: f.yield_good, 4, help=Say.yield_help),
    Metric(Say.removed, lambda f: f.removed, 4, help=Say.removed_help),
    Metric(Say.carry_over, lambda f: f.carry_over, 3, is_more_better=False, help=Say.carry_over_help),
    Metric(Say.macro_f1, lambda f: f.macro_f1, 4),
    Metric(Say.worst_short, lambda f: f.worst_class_recall, 4),
)
TIMING: Final = (
    Metric(Say.late, lambda f: f.late, 0),
    Metric(Say.least_lead, lambda f: f.least_lead_ms, 1),
)


def by_contender(result: DemoResult) -> dict[Contender, MachineFigures]:
    """Return the machine's figures of each contender, in the order they are shown."""
    found = {figures.contender: figures for figures in result.machine}
    return {name: found[name] for name in NAMES}


def compare(base: float, other: float, *, decimals: int, is_more_better: bool) -> Mark:
    """Return how `other` stands to `base`, looking only at the digits that people see.

    >>> compare(0.98761, 0.98759, decimals=4, is_more_better=True)
    'same'
    """
    shown, against = round(other, decimals), round(base, decimals)
    if shown == against:
        return "same"
    return "better" if (shown > against) == is_more_better else "worse"


def mark_of(metric: Metric, base: MachineFigures, other: MachineFigures) -> Mark:
    """Return how `other` stands to `base` in one figure."""
    return compare(
        metric.value(base), metric.value(other), decimals=metric.decimals, is_more_better=metric.is_more_better
    )


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


def against_control(figures: dict[Contender, MachineFigures]) -> Phrase:
    """Return in words what the retrained model does better and worse than the control."""
    better, worse = _sort_out(figures["control"], figures["retrained"])
    return Say.against_control.filled(better=_listed(better), worse=_listed(worse))


def audit_words(result: DemoResult) -> Phrase:
    """Return in words what the audit slice tells of the first model, with one standard error."""
    if result.audit == 0:
        return Say.no_audit
    error = sqrt(result.audit_error * (1.0 - result.audit_error) / result.audit)
    return Say.audit_text.filled(
        audit=count_text(result.audit), share=share_text(result.audit_error), error=share_text(error)
    )


def took_words(result: DemoResult) -> Phrase:
    """Return in words which demonstration it was, and how long it took."""
    share, seconds = share_text(result.new_season_share), f"{result.seconds:,.0f}"
    return Say.took.filled(seed=result.seed, share=share, seconds=seconds)


def _sort_out(base: MachineFigures, other: MachineFigures) -> tuple[list[Phrase], list[Phrase]]:
    marks = [(metric.name, mark_of(metric, base, other)) for metric in QUALITY]
    return [name for name, mark in marks if mark == "better"], [name for name, mark in marks if mark == "worse"]


def _listed(names: Sequence[Phrase]) -> Phrase:
    return joined(names) if names else Say.nothing
