"""The norm-balanced feedback loop: draw, train, test the rest, drop what is right, draw again from what is wrong.

Reads as the patent's steps; each step is a call into its own module. Every finished round is on disk before the next
begins, so that a killed run goes on where it was and ends with the same bytes.

Source: CN113326857B, claim 1; where it is silent, docs/norm-loop.md says what we do.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge_runtime.storage import read_bytes, sha256_hex, write_atomic
from firmware_bridge.clock import NS_PER_S, Clock
from trainer.draw.sizes import DrawSizes
from trainer.judge.judge import Judge, Judged
from trainer.loop.drawing import Drawing
from trainer.loop.label_watch import watch_labels
from trainer.loop.round_figures import make_record
from trainer.loop.rounds import StopReason, best_round, stop_reason
from trainer.loop.state import LoopState
from trainer.loop.timing import load_seconds, save_seconds
from trainer.pool.ledger import HeldBack, Ledger, RoundFindings, RoundResult
from trainer.pool.review_list import ReviewItem
from trainer.pool.round_record import RoundRecord
from trainer.settings import RunSettings
from trainer.train.weights import load_weights, pack_weights

__all__ = ["LoopContext", "LoopResult", "Progress", "round_file", "run_loop"]


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
        training: (N,) bool, the training set of that round, less what is held back after the last.
        sizes: m, a, b of the draw.
        noise_share: estimated share of wrong labels, 0..1; None where nobody looked.
        review: samples whose labels a person should look at.
    """

    rounds: list[RoundRecord]
    seconds: list[float]
    stop_reason: StopReason
    best: RoundRecord
    training: NDArray[np.bool_]
    sizes: DrawSizes
    noise_share: float | None
    review: list[ReviewItem]


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
        SettingsError: there is no such selector or network, or a strict draw finds too few samples on a side.
        TrainingError: there is nothing to train on, or the loss is no longer a number.
        ExportRefusedError: torch and onnxruntime decide differently.
        ModelFolderError: onnxruntime cannot load an exported model.
        ResumeError: the ledger names a sample that the pool no longer has.
        PoolError: the ledger cannot be written.
        StorageError: a round's file cannot be read or written.
    """
    settings = context.settings
    rules = msgspec.structs.replace(settings.stop, patience=0) if state.is_out_of_fold else settings.stop
    drawing = Drawing(state, settings)
    seconds = _resume(state, ledger, context.folder)
    is_remembered = settings.restart != "cold" or "features" in drawing.selector.needs
    memory = _Memory(judge, context.folder, is_needed=is_remembered)
    networks = memory.recall(len(state.records))
    watch = watch_labels(judge, state, ledger, context.folder, settings)
    while True:
        drawn = drawing.draw(networks[0] if networks else None, watch.may_be_drawn)
        is_exhausted = drawn.size == 0 and bool(state.records)
        reason = stop_reason(state.records, rules, is_exhausted=is_exhausted, seconds=sum(seconds))
        if reason is not None:
            break
        started_ns = context.clock.monotonic_ns()
        training = state.training.copy()
        training[drawn] = True
        judged = judge.judge(training, settings.fit.steps, previous=() if settings.restart == "cold" else networks)
        found = _findings(drawn, judged)
        found = replace(found, held_back=watch.hear(found.scores, training))
        state.apply(found)
        record = make_record(state, judged)
        write_atomic(round_file(context.folder, record.number), judged.model)
        networks = memory.keep(record.number, judged.networks)
        ledger.add(RoundResult(record, found))
        state.records.append(record)
        seconds.append((context.clock.monotonic_ns() - started_ns) / NS_PER_S)
        save_seconds(context.folder, seconds)
        context.progress.round_done(record, seconds[-1])
    best = best_round(state.records) if settings.ship == "best" else state.records[-1]
    return LoopResult(
        rounds=state.records,
        seconds=seconds,
        stop_reason=reason,
        best=best,
        training=state.training_sets[best.number - 1] & ~state.held_back,  # what was learnt of labels since counts
        sizes=drawing.sizes,
        noise_share=watch.noise_share,
        review=watch.review(state.table),
    )


class _Memory:
    """The last round's networks, on disk too, for runs whose next round looks at them."""

    def __init__(self, judge: Judge, folder: Path, *, is_needed: bool) -> None:
        self._judge = judge
        self._folder = folder
        self._is_needed = is_needed

    def keep(self, number: int, networks: tuple[nn.Module, ...]) -> tuple[nn.Module, ...]:
        """Return the networks if they are needed, read back from their weights; those of older rounds are removed.

        What was read is used, so that a run that goes on computes with the same layout in memory, and so the same bits.
        """
        if not self._is_needed:
            return ()
        write_atomic(_weights_file(self._folder, number), pack_weights(networks))
        _weights_file(self._folder, number - 2).unlink(missing_ok=True)
        return self.recall(number)

    def recall(self, number: int) -> tuple[nn.Module, ...]:
        """Return the networks of a finished round, none if no round is finished or they are not needed.

        Raises:
            ResumeError: their weights are damaged.
            StorageError: they are missing.
        """
        if number == 0 or not self._is_needed:
            return ()
        networks = self._judge.fresh_networks()
        load_weights(read_bytes(_weights_file(self._folder, number)), networks)
        return tuple(network.eval() for network in networks)


def _weights_file(folder: Path, number: int) -> Path:
    return folder / f"round-{number:03}.weights.npz"


def round_file(folder: Path, number: int) -> Path:
    """Return where the ONNX file of a round lies."""
    return folder / f"round-{number:03}.onnx"


def _resume(state: LoopState, ledger: Ledger, folder: Path) -> list[float]:
    """Take over the finished rounds whose files are whole, and return their wall times; later ones are run again."""
    for result in ledger.rounds():
        path = round_file(folder, result.record.number)
        if not path.is_file() or sha256_hex(read_bytes(path)) != result.record.model_id:
            ledger.drop_from(result.record.number)
            break
        state.apply(result.findings)
        state.records.append(result.record)
    return load_seconds(folder, len(state.records))


def _findings(drawn: NDArray[np.int64], judged: Judged) -> RoundFindings:
    predicted = judged.scores.argmax(axis=1).astype(np.int16)
    return RoundFindings(drawn, predicted, judged.blind_scores.astype(np.float16), HeldBack.nothing())
