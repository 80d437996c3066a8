"""How a round is judged: on samples set aside by group, or out of fold where there are too few of them.

>>> assign_folds(("a", "b", "c", "a"), np.array([0, 0, 0, 0]), 2).tolist()
[0, 1, 0, 0]
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.storage import sha256_hex
from trainer.errors import NotEnoughClassesError
from trainer.pool.sample_table import SampleTable

__all__ = ["FOLDS", "LEAST_VALIDATION", "Validation", "assign_folds", "plan_validation"]

FOLDS: Final = 5
LEAST_VALIDATION: Final = 20  # fewer validation samples of a class say nothing about its recall


@dataclass(frozen=True, slots=True)
class Validation:
    """Which rows train, and how they are judged.

    Attributes:
        pool: (N,) bool, rows that may be drawn.
        judged: (N,) bool, rows that figures are about: those set aside; where folds are used, all but a machine's.
        folds: (N,) int64 fold 0..4 of each row, or None when rows are set aside.
    """

    pool: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    folds: NDArray[np.int64] | None


def plan_validation(table: SampleTable) -> Validation:
    """Decide how a run is judged.

    Args:
        table: the train and validation samples.

    Returns:
        The split as imported, when every class has at least 20 validation samples; else all rows in the pool and
        grouped 5-fold out-of-fold predictions. Samples from machines are never judged on: they were picked for being
        wrong.

    Raises:
        NotEnoughClassesError: fewer than two classes may be drawn from, or all samples are of one group, so that none
            can be judged by a model that has not seen its like.
    """
    held_out = np.array([split == "validation" for split in table.splits], np.bool_)
    counts = np.bincount(table.class_ids[held_out], minlength=len(table.classes))
    needed = np.unique(table.class_ids)
    if counts[needed].min(initial=LEAST_VALIDATION) >= LEAST_VALIDATION:
        return _checked(table, Validation(~held_out, held_out, None))
    groups = len(set(table.groups))
    if groups == 1:
        raise NotEnoughClassesError(f"all samples belong to group {table.groups[0]}: at least 2 groups are needed")
    folds = assign_folds(table.groups, table.class_ids, FOLDS)
    is_imported = np.array([origin == "import" for origin in table.origins], np.bool_)
    return _checked(table, Validation(np.ones(len(table), np.bool_), is_imported, folds))


def assign_folds(groups: tuple[str, ...], class_ids: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Return the fold of each row: whole groups, classes spread evenly, whatever the order of rows.

    Args:
        groups: N group names.
        class_ids: (N,) int64; a group counts for the lowest class among its rows.
        folds: how many.

    Returns:
        (N,) int64 in 0..folds-1.
    """
    lowest: dict[str, int] = {}
    for group, class_id in zip(groups, class_ids.tolist(), strict=True):
        lowest[group] = min(class_id, lowest.get(group, class_id))
    ordered = sorted(lowest, key=lambda group: (lowest[group], sha256_hex(group.encode())))
    fold = {group: at % folds for at, group in enumerate(ordered)}
    return np.array([fold[group] for group in groups], np.int64)


def _checked(table: SampleTable, validation: Validation) -> Validation:
    classes = np.unique(table.class_ids[validation.pool]).size
    if classes < 2:
        raise NotEnoughClassesError(f"the pool holds training samples of {classes} class(es), 2 are needed")
    return validation
