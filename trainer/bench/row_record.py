"""What the benchmark keeps of a row: one arm on one set, in one variant, with one seed. Values and their files.

A finished row is one JSON file, written whole; a failed one leaves its error beside and is tried again.

>>> Row("rice", "plain", -1, "norm", 3).name
'rice.plain.norm.3'
"""

from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.storage import read_bytes, sha256_hex, write_atomic
from trainer.errors import PoolError

__all__ = [
    "ALL_IMAGES",
    "HeldOut",
    "HeldOutFigures",
    "Int8Figures",
    "RoundPoint",
    "Row",
    "RowFailure",
    "RowRecord",
    "Variant",
    "load_failure",
    "load_held_out",
    "load_record",
    "row_key",
    "save_held_out",
    "save_record",
]

_Kept = TypeVar("_Kept", "RowRecord", "RowFailure")

ALL_IMAGES: Final = -1  # no fold: the test side is the set's own
Variant = Literal["plain", "longtail", "noise"]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One piece of work.

    Attributes:
        set: name of the data set.
        variant: what was done to its training and validation sides.
        fold: which fifth of all images is the test side; -1 where the set's own test side is used.
        arm: what is trained.
        seed: of the variant and of the run.
    """

    set: str
    variant: Variant
    fold: int
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Its name in progress lines and file names."""
        fold = "" if self.fold == ALL_IMAGES else f".fold{self.fold}"
        return f"{self.set}.{self.variant}{fold}.{self.arm}.{self.seed}"


class HeldOutFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures on the test side.

    Attributes:
        samples: how many.
        accuracy, macro_f1, worst_class_recall, balanced_accuracy: 0..1.
        calibration_error: expected, 15 bins.
        per_class_recall: by class.
    """

    samples: int
    accuracy: float
    macro_f1: float
    worst_class_recall: float
    balanced_accuracy: float
    calibration_error: float
    per_class_recall: dict[str, float]


class RoundPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round's model, asked about the test side by the benchmark alone: no run ever sees these figures.

    Attributes:
        training_samples: in the training set.
        visits: samples that all steps so far looked at.
        validation_macro_f1, test_macro_f1, test_worst_class_recall: 0..1.
    """

    training_samples: int
    visits: int
    validation_macro_f1: float
    test_macro_f1: float
    test_worst_class_recall: float


class Int8Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The quantised file of a run on the test side.

    Attributes:
        macro_f1, worst_class_recall: 0..1; None where no file passed the gate.
        changed_decisions: test images that get another class than from the FP32 file.
        mended_by: what made it pass: nothing, exclusion, fine_tuning.
        refused: why there is none, "" where there is.
    """

    macro_f1: float | None
    worst_class_recall: float | None
    changed_decisions: int
    mended_by: str
    refused: str


class RowRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finished row.

    Attributes:
        key: over everything that was asked for; see `row_key`.
        row: which; overrides: the arm's settings on top of those of the command.
        classes: in the order of `predicted`.
        test: figures on the test side.
        predicted: class of every test image, two hexadecimal digits each, in the order of the test side's file.
        test_side: sha256 of that file's order.
        training_samples: that the shipped model learnt from; pool_samples: that it could have learnt from.
        visits: samples that all optimiser steps of all fits looked at; steps: these steps; fits: that stand for one,
            six where samples are judged out of fold.
        rounds, stop_reason, best_round: of the loop; one round for arms without a loop.
        fit: which fit shipped.
        wall_s, cpu_s: of everything but the import.
        peak_rss_mb: of the process, in MiB.
        noise_in_pool, noise_in_training: share of wrong labels, None where none were put in.
        held_back: samples in quarantine at the end.
        points: every round on the test side; empty for arms without a loop.
        int8: the quantised file, where one was asked for.
        note: what else must be known of the arm.
        versions, processor: what it ran on; "code" is the sha256 over the trainer's own sources.
        model_id: sha256 of the shipped file.
    """

    key: str
    row: Row
    overrides: tuple[str, ...]
    classes: tuple[str, ...]
    test: HeldOutFigures
    predicted: str
    test_side: str
    training_samples: int
    pool_samples: int
    visits: int
    steps: int
    fits: int
    rounds: int
    stop_reason: str
    best_round: int
    fit: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    noise_in_pool: float | None
    noise_in_training: float | None
    held_back: int
    points: tuple[RoundPoint, ...]
    int8: Int8Figures | None
    note: str
    versions: dict[str, str]
    processor: str
    model_id: str
    schema_version: Literal[1] = 1


class RowFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row that did not come to an end: its key, which, the kind of error, and what it said."""

    key: str
    row: Row
    kind: str
    message: str
    schema_version: Literal[1] = 1


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The test images of a set or fold, in order of sample ids: ids, groups, and the true class of each."""

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    class_ids: tuple[int, ...]

    @property
    def digest(self) -> str:
        """Return the sha256 over images, groups and classes."""
        return sha256_hex(msgspec.json.encode(self))


def row_key(row: Row, pool_digest: str, settings: msgspec.Struct, arm_version: str) -> str:
    """Return the key under which a finished row counts: sha256 over row, pool, settings and what the arm does.

    Args:
        row: which.
        pool_digest: of the set's whole pool, before the variant.
        settings: of the run, the arm's included.
        arm_version: anything else that decides what the arm trains.
    """
    parts = (
        row.name.encode(),
        pool_digest.encode(),
        msgspec.json.encode(settings, order="sorted"),
        arm_version.encode(),
    )
    return sha256_hex(b"\n".join(parts))


def load_record(path: Path) -> RowRecord | None:
    """Return the finished row of a file, None where there is none or it is of another version.

    Raises:
        StorageError: the file is there and cannot be read.
    """
    return _load(path, RowRecord)


def load_failure(path: Path) -> RowFailure | None:
    """Return the error of a row, None where there is none or it is of another version.

    Raises:
        StorageError: the file is there and cannot be read.
    """
    return _load(path, RowFailure)


def save_record(path: Path, record: RowRecord | RowFailure) -> None:
    """Write a row's file whole.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(record)))


def load_held_out(path: Path) -> HeldOut:
    """Return the test images of a set or fold.

    Raises:
        PoolError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_bytes(path), type=HeldOut)
    except (StorageError, msgspec.DecodeError) as error:
        raise PoolError(f"{path} is missing or damaged ({error}): remove the rows of its set and run again") from error


def save_held_out(path: Path, side: HeldOut) -> None:
    """Write the test images of a set or fold; the same images give the same bytes.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomic(path, msgspec.json.encode(side))


def _load(path: Path, kind: type[_Kept]) -> _Kept | None:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(read_bytes(path), type=kind)
    except msgspec.DecodeError:
        return None
