"""What the ledger tells about a finished run: who was drawn and on which side of the mean, who stayed wrong.

Reads the pool and its ledger, writes nothing and draws nothing.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from trainer.errors import ResumeError
from trainer.judge.validation import plan_validation
from trainer.loop.results import RunResult
from trainer.loop.run_key import RunInputs
from trainer.loop.state import LoopState
from trainer.pool.ledger import HeldBack, Ledger, RoundResult, training_ids
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable

__all__ = ["RUN_ORIGINS", "Draw", "RunStory", "read_story", "sides_of_draw"]

RUN_ORIGINS: Final = ("import", "residual")  # the audit slice measures machines and is never part of a run


@dataclass(frozen=True, slots=True)
class Draw:
    """What one round drew.

    Attributes:
        number: of the round.
        rows: (M,) int64 rows of the story's table, in the order drawn.
        is_above: (M,) bool, norm at or above the mean of the class's candidates of that round.
    """

    number: int
    rows: NDArray[np.int64]
    is_above: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RunStory:
    """A finished run with its samples.

    Attributes:
        inputs: what the run was made from.
        table: train and validation samples, without the audit slice.
        in_pool: (N,) bool, rows that could be drawn.
        start: rows that the run began with: its base's training set, none for a fresh run.
        draws: of every round, in order.
        training: (N,) bool, training set of the round that ships.
        wrong: (N,) bool, residual after that round: outside its training set and judged wrong.
        held_back: rows in quarantine after the last round; they are in neither.
        predicted_ids: (N,) int64 class by that round's model.
    """

    inputs: RunInputs
    table: SampleTable
    in_pool: NDArray[np.bool_]
    start: NDArray[np.int64]
    draws: tuple[Draw, ...]
    training: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    held_back: HeldBack
    predicted_ids: NDArray[np.int64]


def read_story(pool: Pool, result: RunResult) -> RunStory:
    """Return a finished run with its samples.

    Args:
        pool: the run's, unchanged since.
        result: of the run.

    Raises:
        ResumeError: the pool holds no such run, or was changed since.
        PoolError: the pool cannot be read.
    """
    inputs = _read_inputs(pool, result.run_key)
    if pool.digest() != inputs.pool_digest:
        raise ResumeError(
            f"pool {pool.path} was changed since run {result.run_key[:12]}: its report can only be written from the "
            "pool as it was"
        )
    table = pool.load(("train", "validation"), origins=RUN_ORIGINS)
    ledger = Ledger(
        pool, result.run_key, msgspec.json.encode(inputs).decode(), sample_ids=table.ids, classes=table.classes
    )
    rounds = ledger.rounds()
    if len(rounds) != len(result.rounds):
        raise ResumeError(f"pool {pool.path} holds {len(rounds)} rounds of a run of {len(result.rounds)}")
    assert all(found.findings.predicted_ids.size == len(table) for found in rounds), "a run judges every row"
    state = LoopState(table, plan_validation(table), inputs.settings)
    start = _rows_of(table, training_ids(pool, result.run_key, 0))
    state.training[start] = True
    for found in rounds[: result.best_round]:
        state.apply(found.findings)
    best, last = rounds[result.best_round - 1].findings, rounds[-1].findings
    state.training[last.held_back.rows] = False
    state.residual[last.held_back.rows] = False
    return RunStory(
        inputs=inputs,
        table=table,
        in_pool=state.pool,
        start=start,
        draws=tuple(_draw(found, table) for found in rounds),
        training=state.training,
        wrong=state.residual,
        held_back=last.held_back,
        predicted_ids=best.predicted_ids.astype(np.int64),
    )


def sides_of_draw(class_ids: NDArray[np.int64], norms_q16: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return, (M,) bool, which samples of a draw lie at or above the mean of the candidates they were drawn from.

    Args:
        class_ids: (M,) int64, in the order drawn: class after class.
        norms_q16: (M,) int64.

    Note:
        A class's draw begins with the smallest norm at or above the mean (there always is one), and every norm drawn
        from below is smaller: so the first of a class tells, without the candidates.

    >>> sides_of_draw(np.array([0, 0, 0, 1]), np.array([30, 40, 20, 5])).tolist()
    [True, True, False, True]
    """
    _, firsts, groups = np.unique(class_ids, return_index=True, return_inverse=True)
    return np.asarray(norms_q16 >= norms_q16[firsts][groups], np.bool_)


def _read_inputs(pool: Pool, run_key: str) -> RunInputs:
    try:
        row = pool.connection.execute("SELECT inputs FROM runs WHERE run_key = ?", (run_key,)).fetchone()
    except sqlite3.Error as error:
        raise ResumeError(f"pool {pool.path} holds no run: {error}") from error
    if row is None:
        raise ResumeError(f"pool {pool.path} holds no run {run_key[:12]}: give the pool that the run was made with")
    try:
        return msgspec.json.decode(row[0], type=RunInputs)
    except msgspec.DecodeError as error:
        raise ResumeError(f"inputs of run {run_key[:12]} in pool {pool.path} are damaged: {error}") from error


def _rows_of(table: SampleTable, ids: tuple[str, ...]) -> NDArray[np.int64]:
    wanted = set(ids)
    return np.flatnonzero(np.array([name in wanted for name in table.ids], np.bool_)).astype(np.int64)


def _draw(found: RoundResult, table: SampleTable) -> Draw:
    rows = found.findings.drawn
    sides = sides_of_draw(table.class_ids[rows], table.norms_q16[rows])
    return Draw(found.record.number, rows, sides)
