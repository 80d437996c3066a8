"""What a round found, when the loop stops, and which round ships. Pure rules over records.

>>> stop_reason([], StopSettings(), is_exhausted=True)
'nothing_left'
"""

from typing import Literal

from trainer.pool.round_record import RoundRecord
from trainer.settings import StopSettings

__all__ = ["StopReason", "best_round", "is_better", "stop_reason"]

StopReason = Literal[
    "residual_small",
    "classes_small",
    "no_gain",
    "nothing_left",
    "rounds_budget",
    "samples_budget",
    "steps_budget",
    "seconds_budget",
]


def is_better(challenger: RoundRecord, best: RoundRecord) -> bool:
    """Return whether the challenger's validation macro-F1 is higher by more than one standard error of the best's."""
    return challenger.macro_f1 > best.macro_f1 + best.macro_f1_error


def best_round(rounds: list[RoundRecord]) -> RoundRecord:
    """Return the round that ships.

    Args:
        rounds: at least one.

    Returns:
        Of the rounds whose validation macro-F1 is within one standard error of the highest, the one with the smallest
        residual, then the higher worst-class recall, then the earlier. Differences within the error are noise of short
        fits; a smaller residual is more learnt, and the longer fit that follows can use it (docs/norm-loop.md).
    """
    top = max(rounds, key=lambda r: r.macro_f1)
    equal = [r for r in rounds if r.macro_f1 >= top.macro_f1 - top.macro_f1_error]
    return min(equal, key=lambda r: (r.residual, -r.worst_class_recall, r.number))


def stop_reason(
    rounds: list[RoundRecord], settings: StopSettings, *, is_exhausted: bool, seconds: float = 0.0
) -> StopReason | None:
    """Return why the loop ends after these rounds, None to go on.

    Args:
        rounds: so far, in order; may be empty.
        settings: limits.
        is_exhausted: no sample is left to draw.
        seconds: wall time of the rounds so far.
    """
    rules: list[tuple[StopReason, bool]] = [
        ("nothing_left", is_exhausted),
        ("rounds_budget", len(rounds) >= settings.rounds),
    ]
    if rounds:
        last = rounds[-1]
        small = all(c.residual <= settings.class_residual_share * c.pool for c in last.classes.values())
        few = last.residual <= max(settings.residual, settings.residual_share * last.pool_samples)
        fewer = last.residual < settings.residual_per_class * len(last.classes)
        rules = [
            ("residual_small", few or fewer),
            ("classes_small", small),
            ("no_gain", 0 < settings.patience <= _rounds_without_gain(rounds)),
            *rules,
            ("samples_budget", last.training_samples >= settings.training_share * last.pool_samples),
            ("steps_budget", 0 < settings.steps <= sum(record.steps for record in rounds)),
            ("seconds_budget", 0 < settings.seconds <= seconds),
        ]
    return next((reason for reason, holds in rules if holds), None)


def _rounds_without_gain(rounds: list[RoundRecord]) -> int:
    """Return how many rounds passed since the last one that was better than all before it by a standard error."""
    best, since = rounds[0], 0
    for record in rounds[1:]:
        if is_better(record, best):
            best, since = record, 0
        else:
            since += 1
    return since
