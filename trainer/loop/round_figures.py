"""The record of a round, counted from where the run stands after it. Pure."""

import numpy as np

from edge_runtime.storage import sha256_hex
from trainer.judge.judge import Judged
from trainer.loop.state import LoopState
from trainer.pool.round_record import ClassRound, RoundRecord

__all__ = ["make_record"]


def make_record(state: LoopState, judged: Judged) -> RoundRecord:
    """Return the record of the round that `state` has just taken over.

    Args:
        state: after the round.
        judged: the round's model and its figures.
    """
    figures, ids, count = judged.validation, state.table.class_ids, len(state.table.classes)
    outside = int((state.pool & ~state.training).sum())
    wrong = int((state.pool & ~state.training & ~state.right[-1]).sum())
    in_pool, new, inside, residual, held = (
        np.bincount(ids[rows], minlength=count).tolist()
        for rows in (state.pool, state.drawn, state.training, state.residual, state.held_back)
    )
    return RoundRecord(
        number=len(state.records) + 1,
        drawn=sum(new),
        training_samples=sum(inside),
        residual=sum(residual),
        pool_samples=sum(in_pool),
        pool_accuracy=1.0 - wrong / max(1, outside),
        macro_f1=figures.macro_f1,
        worst_class_recall=figures.worst_class_recall,
        macro_f1_error=figures.macro_f1_error,
        validation_samples=figures.samples,
        model_id=sha256_hex(judged.model),
        classes={
            name: ClassRound(in_pool[k], new[k], inside[k], residual[k], float(figures.recalls[k]), held[k])
            for k, name in enumerate(state.table.classes)
        },
        held_back=sum(held),
        steps=judged.steps,
        visits=judged.visits,
    )
