"""One sample's story in one run: who named it, where its norm lies, when it was drawn, what each round said of it.

Reads the pool and its ledger; draws and trains nothing.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edge_runtime.model import MODEL_FILE, Classifier
from edge_runtime.norm import Q16_ONE
from edge_runtime.storage import read_bytes
from trainer.errors import PoolError
from trainer.loop.results import MODEL_FOLDER, RunResult, load_result
from trainer.loop.run import load_samples
from trainer.loop.run_key import load_inputs
from trainer.pool.ledger import Ledger, RoundResult
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable

__all__ = ["ExplainReport", "LabelEvent", "RoundVerdict", "explain_sample"]


class LabelEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that was once said about the sample's label: what happened, the class, who, why and when (UTC)."""

    event: str
    class_name: str
    who: str
    why: str
    utc: str


class RoundVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sample in one round.

    Attributes:
        number: of the round.
        drawn: it joined the training set in this round.
        in_training: it was in the training set after the round.
        predicted: class by the round's model.
        own_score: what its label's class got, 0..1; by a model that had not seen it, where the round had one.
        is_right: the prediction is its label.
        suggested, confidence: where it was held back, the class that the models see instead; else "" and 0.
    """

    number: int
    drawn: bool
    in_training: bool
    predicted: str
    own_score: float
    is_right: bool
    suggested: str = ""
    confidence: float = 0.0


class ExplainReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train explain` found.

    Attributes:
        sample_id, class_name, group, split, source: as the pool knows it.
        origin: "import" or "residual".
        labels: its history, oldest first.
        norm, class_mean, class_deviation: its norm and those of its class's samples of this run, 0..1.
        side: "above" or "below" the class mean; a norm equal to it is above.
        nearer: share of its class (0..1) whose norm is nearer to the mean.
        role: what it was to the run: "drawn" (in the training set that shipped), "held_back", "validation", "wrong"
            (still wrong when the round that ships was done), "right" (never needed), "test".
        rounds: what each round said; none for a test sample.
        forgotten: how often it was right in one round and wrong in the next.
        shipped: class and score by the shipped model.
    """

    sample_id: str
    class_name: str
    group: str
    split: str
    source: str
    origin: str
    labels: tuple[LabelEvent, ...]
    norm: float
    class_mean: float
    class_deviation: float
    side: Literal["above", "below"]
    nearer: float
    role: Literal["drawn", "held_back", "validation", "wrong", "right", "test"]
    rounds: tuple[RoundVerdict, ...]
    forgotten: int
    shipped: str
    shipped_score: float
    schema_version: Literal[1] = 1


def explain_sample(pool: Pool, folder: Path, prefix: str) -> ExplainReport:
    """Return the story of a sample in a run.

    Args:
        pool: the run's.
        folder: of the finished run.
        prefix: first digits of the sample's id, as reports show them; enough to be the only one.

    Raises:
        PoolError: no sample, or more than one, begins so; or the pool cannot be read.
        ResumeError: no finished run lies there, or the pool lacks a sample that it drew.
        ModelFolderError: the run's model cannot be loaded.
        StorageError: it cannot be read.
    """
    result, samples = load_result(folder), load_samples(pool)
    tables = (samples.table, samples.test)
    found = [(table, at) for table in tables for at, name in enumerate(table.ids) if name.startswith(prefix)]
    if len(found) != 1:
        raise PoolError(f"{len(found)} usable samples of pool {pool.path} begin with {prefix!r}: 1 is needed")
    table, row = found[0]
    rounds: tuple[RoundVerdict, ...] = ()
    if table is samples.table:
        inputs = msgspec.json.encode(load_inputs(folder)).decode()
        ledger = Ledger(pool, result.run_key, inputs, sample_ids=table.ids, classes=table.classes)
        rounds = _verdicts(ledger.rounds(), table, row)
    model = read_bytes(folder / MODEL_FOLDER / MODEL_FILE)
    scores = Classifier(model, samples.data_set.crop, len(table.classes)).scores(table.pixels[row : row + 1])[0]
    right = [verdict.is_right for verdict in rounds]
    mates = table.norms_q16[table.class_ids == table.class_ids[row]]
    norm, mean = table.norms_q16[row] / Q16_ONE, float(mates.mean()) / Q16_ONE
    return ExplainReport(
        sample_id=table.ids[row],
        class_name=table.classes[table.class_ids[row]],
        group=table.groups[row],
        split=table.splits[row],
        source=table.sources[row],
        origin=table.origins[row],
        labels=_label_events(pool, table.ids[row]),
        norm=float(norm),
        class_mean=mean,
        class_deviation=float(mates.std()) / Q16_ONE,
        side="above" if norm >= mean else "below",
        nearer=float((np.abs(mates / Q16_ONE - mean) < abs(norm - mean)).mean()),
        role=_role(table.splits[row], samples.validation.pool[row] if rounds else False, rounds, result),
        rounds=rounds,
        forgotten=sum(before and not now for before, now in pairwise(right)),
        shipped=table.classes[int(scores.argmax())],
        shipped_score=float(scores.max()),
    )


def _verdicts(results: list[RoundResult], table: SampleTable, row: int) -> tuple[RoundVerdict, ...]:
    verdicts, is_in = [], False
    class_id = int(table.class_ids[row])
    for result in results:
        found = result.findings
        held = np.flatnonzero(found.held_back.rows == row)
        drawn = bool((found.drawn == row).any())
        is_in = (is_in or drawn) and not held.size
        predicted = int(found.predicted_ids[row])
        verdicts.append(
            RoundVerdict(
                number=result.record.number,
                drawn=drawn,
                in_training=is_in,
                predicted=table.classes[predicted],
                own_score=round(float(found.scores[row, class_id]), 4),
                is_right=predicted == class_id,
                suggested=table.classes[found.held_back.suggested_ids[held[0]]] if held.size else "",
                confidence=float(found.held_back.confidences[held[0]]) if held.size else 0.0,
            )
        )
    return tuple(verdicts)


def _role(
    split: str, is_in_pool: bool, rounds: tuple[RoundVerdict, ...], result: RunResult
) -> Literal["drawn", "held_back", "validation", "wrong", "right", "test"]:
    if split == "test":
        return "test"
    best = rounds[result.best_round - 1]
    if not is_in_pool:
        return "validation"
    if rounds[-1].suggested:
        return "held_back"
    if best.in_training:
        return "drawn"
    return "right" if best.is_right else "wrong"


def _label_events(pool: Pool, sample_id: str) -> tuple[LabelEvent, ...]:
    rows = pool.connection.execute(
        "SELECT event, class_name, who, why, utc FROM label_events WHERE sample_id = ? ORDER BY event_no", (sample_id,)
    ).fetchall()
    return tuple(LabelEvent(*row) for row in rows)
