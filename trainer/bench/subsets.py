"""Training sets that other methods choose, each as large as the norm loop's unless the method fixes its own size.

The choice alone is theirs; network, fit, export and judging are those of every arm.

>>> equal_quotas(np.array([5, 100, 100]), 25).tolist()
[5, 10, 10]
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.bench import subset_packages as others
from trainer.bench.look import Look, blind_scores, look_at
from trainer.bench.row_record import RowRecord
from trainer.bench.subset_task import SubsetTask, equal_quotas, pick
from trainer.errors import SettingsError, TrainingError
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings

__all__ = ["METHODS", "Chosen", "Method", "choose_subset", "equal_quotas"]

Method = Callable[[SubsetTask], NDArray[np.int64]]
# What other packages may raise on data that they cannot take; anything else is a fault of ours.
_FAULTS: Final = (ImportError, ValueError, TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a method chose.

    Attributes:
        ids: of the samples that train.
        steps, visits: of the fits that it asked for.
        note: what must be known of it.
    """

    ids: tuple[str, ...]
    steps: int
    visits: int
    note: str


def choose_subset(method: str, table: SampleTable, settings: RunSettings, norm: RowRecord) -> Chosen:
    """Let a method choose from the samples that may be trained on.

    Args:
        method: a name of `METHODS`.
        table: every sample that may be trained on.
        settings: of the row; seed and fit count.
        norm: the norm loop's row with the same seed: how many samples, how long a round.

    Raises:
        SettingsError: no such method.
        TrainingError: the method's package cannot take this data.
    """
    if method not in METHODS:
        raise SettingsError(f"no subset method {method}: there are {', '.join(METHODS)}")
    choose, needs = METHODS[method]
    looked = _look(needs, table, settings, norm)
    task = SubsetTask(
        class_ids=table.class_ids,
        class_count=len(table.classes),
        budget=min(norm.training_samples, len(table)),
        seed=settings.seed,
        features=looked.features,
        scores=looked.scores,
    )
    try:
        rows = np.unique(choose(task))
    except _FAULTS as error:
        raise TrainingError(f"{method} failed on {len(table)} samples: {type(error).__name__}: {error}") from error
    if not rows.size:
        raise TrainingError(f"{method} chose none of {len(table)} samples")
    note = (
        "standardised features, and scores, by a network fitted on all samples for one round's steps"
        if needs == "look"
        else ""
    )
    return Chosen(tuple(table.ids[row] for row in rows), looked.steps, looked.steps * settings.fit.batch, note)


def _look(needs: str, table: SampleTable, settings: RunSettings, norm: RowRecord) -> Look:
    nothing = np.zeros((len(table), 0), np.float32)
    match needs:
        case "look":
            round_steps = norm.points[0].visits // (settings.fit.batch * norm.fits)
            return look_at(table, settings.fit, steps=max(1, round_steps), seed=settings.seed)
        case "blind":
            return blind_scores(table, settings.fit, steps=settings.fit.final_steps, seed=settings.seed)
        case _:
            return Look(nothing, nothing, 0)


def _random(task: SubsetTask) -> NDArray[np.int64]:
    return np.random.default_rng(task.seed).permutation(len(task.class_ids))[: task.budget]


def _balanced(task: SubsetTask) -> NDArray[np.int64]:
    return pick(task, equal_quotas(task.counts, task.budget), np.random.default_rng(task.seed))


METHODS: Final[dict[str, tuple[Method, str]]] = {
    "random_subset": (_random, ""),
    "balanced_subset": (_balanced, ""),
    "cleanlab": (others.without_label_issues, "blind"),
    **{name: (method, "look") for name, method in others.METHODS.items()},
}
