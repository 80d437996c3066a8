"""The norm-balanced feedback loop: draw, train, test the rest, drop what is right, draw again from what is wrong.

Reads as the patent's steps; each step is a call into its own module. Every finished round is on disk before the next
begins, so that a killed run goes on where it was and ends with the same bytes.

Source: CN113326857B, claim 1; where it is silent, docs/norm-loop.md says what we do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.storage import read_bytes, sha256_hex, write_atomic
from firmware_bridge.clock import NS_PER_S, Clock
from trainer.draw.selection import DrawSizes, NormNearest, default_m, draw_round
from trainer.judge.judge import Judge, Judged
from trainer.judge.validation import Validation
from trainer.loop.rounds import StopReason, best_round, stop_reason
from trainer.metrics import Scores
from trainer.pool.ledger import Ledger, RoundResult
from trainer.pool.round_record import ClassRound, RoundRecord
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings

__all__ = ["LoopContext", "LoopResult", "LoopState", "Progress", "round_file", "run_loop"]


class Progress(Protocol):
    """Who watches a run."""

    def step(self, what: str, done: int, total: int) -> None:
        """Take note that `done` of `total` optimiser steps of `what` are done; may be called from another thread."""
        ...

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        """Take note of a finished round."""
        ...


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What the rounds came to.

    Attributes:
        rounds: their records, in order.
        seconds: wall time of each; 0 for rounds of an earlier, interrupted process.
        stop_reason: why it ended.
        best: the round that ships.
        training: (N,) bool, the training set of that round.
        sizes: m, a, b of the draw.
    """

    rounds: list[RoundRecord]
    seconds: list[float]
    stop_reason: StopReason
    best: RoundRecord
    training: NDArray[np.bool_]
    sizes: DrawSizes


class LoopState:
    """The rounds so far: what is in the training set, and what is still wrong outside it."""

    def __init__(self, table: SampleTable, validation: Validation) -> None:
        self.table = table
        self.pool = validation.pool
        self.is_out_of_fold = validation.folds is not None
        self.training = np.zeros(len(table), np.bool_)
        self.residual = self.pool.copy()
        self.records: list[RoundRecord] = []

    def start_from(self, training: NDArray[np.bool_], predicted_ids: NDArray[np.int64]) -> None:
        """Continue a run: its training set, and what its model gets wrong outside it."""
        self.training = training & self.pool
        self.residual = self.pool & ~self.training & (predicted_ids != self.table.class_ids)

    def apply(self, result: RoundResult) -> None:
        """Take over a finished round: what its model gets right outside the training set leaves the residual."""
        self.training[result.drawn] = True
        self.residual = self.pool & ~self.training & (result.predicted_ids != self.table.class_ids)
        self.records.append(result.record)


@dataclass(frozen=True, slots=True)
class LoopContext:
    """What surrounds the loop.

    Attributes:
        settings: m, stop rules, steps.
        folder: each round's ONNX file is written here, as round-001.onnx.
        clock: for the seconds a round took.
        progress: told of every finished round.
    """

    settings: RunSettings
    folder: Path
    clock: Clock
    progress: Progress


def run_loop(judge: Judge, state: LoopState, ledger: Ledger, context: LoopContext) -> LoopResult:
    """Run rounds until a stop rule holds.

    Args:
        judge: trains and tests.
        state: empty, or started from a base.
        ledger: of this run; its finished rounds are taken over.
        context: settings, folder, clock, progress.

    Raises:
        TrainingError: there is nothing to train on, or the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load an exported model.
        ResumeError: the ledger names a sample that the pool no longer has.
        PoolError: the ledger cannot be written.
        StorageError: a round's file cannot be read or written.
    """
    settings = context.settings
    rules = msgspec.structs.replace(settings.stop, patience=0) if state.is_out_of_fold else settings.stop
    sizes = _draw_sizes(state, settings)
    selector = NormNearest()
    seconds = _resume(state, ledger, context.folder)
    table, is_drawing = state.table, not settings.take_new
    while True:
        candidates = state.residual & np.bool_(is_drawing)
        drawn = draw_round(table.class_ids, table.norms_q16, candidates, sizes=sizes, selector=selector)
        reason = stop_reason(state.records, rules, is_exhausted=drawn.size == 0 and bool(state.records))
        if reason is not None:
            break
        started_ns = context.clock.monotonic_ns()
        training = state.training.copy()
        training[drawn] = True
        judged = judge.judge(training, settings.fit.steps)
        result = _round_result(state, training, drawn, judged)
        write_atomic(round_file(context.folder, result.record.number), judged.model)
        ledger.add(result)
        state.apply(result)
        seconds.append((context.clock.monotonic_ns() - started_ns) / NS_PER_S)
        context.progress.round_done(result.record, seconds[-1])
    best = best_round(state.records)
    return LoopResult(state.records, seconds, reason, best, _training_at(ledger, state, best.number), sizes)


def round_file(folder: Path, number: int) -> Path:
    """Return where the ONNX file of a round lies."""
    return folder / f"round-{number:03}.onnx"


def _draw_sizes(state: LoopState, settings: RunSettings) -> DrawSizes:
    classes = np.unique(state.table.class_ids[state.pool]).size
    return DrawSizes.of(settings.m or default_m(int(state.pool.sum()), classes))


def _resume(state: LoopState, ledger: Ledger, folder: Path) -> list[float]:
    """Take over the finished rounds whose files are whole; later ones are run again."""
    for result in ledger.rounds():
        path = round_file(folder, result.record.number)
        if not path.is_file() or sha256_hex(read_bytes(path)) != result.record.model_id:
            ledger.drop_from(result.record.number)
            break
        state.apply(result)
    return [0.0] * len(state.records)


def _round_result(
    state: LoopState, training: NDArray[np.bool_], drawn: NDArray[np.int64], judged: Judged
) -> RoundResult:
    predicted = judged.scores.argmax(axis=1).astype(np.int64)
    outside = state.pool & ~training
    wrong = outside & (predicted != state.table.class_ids)
    figures = judged.validation
    record = RoundRecord(
        number=len(state.records) + 1,
        drawn=int(drawn.size),
        training_samples=int(training.sum()),
        residual=int(wrong.sum()),
        pool_samples=int(state.pool.sum()),
        pool_accuracy=1.0 - float(wrong.sum() / max(1, outside.sum())),
        macro_f1=figures.macro_f1,
        worst_class_recall=figures.worst_class_recall,
        macro_f1_error=figures.macro_f1_error,
        validation_samples=figures.samples,
        model_id=sha256_hex(judged.model),
        classes=_class_rounds(state, training, drawn, (wrong, figures)),
    )
    return RoundResult(record, drawn, predicted.astype(np.int16))


def _class_rounds(
    state: LoopState, training: NDArray[np.bool_], drawn: NDArray[np.int64], found: tuple[NDArray[np.bool_], Scores]
) -> dict[str, ClassRound]:
    wrong, figures = found
    ids, count = state.table.class_ids, len(state.table.classes)
    in_pool, new, inside, residual = (
        np.bincount(ids[rows], minlength=count).tolist() for rows in (state.pool, drawn, training, wrong)
    )
    return {
        name: ClassRound(in_pool[k], new[k], inside[k], residual[k], float(figures.recalls[k]))
        for k, name in enumerate(state.table.classes)
    }


def _training_at(ledger: Ledger, state: LoopState, number: int) -> NDArray[np.bool_]:
    training = state.training.copy()
    for result in ledger.rounds():
        if result.record.number > number:
            training[result.drawn] = False
    return training
