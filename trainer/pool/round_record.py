"""What the ledger keeps of a round; values only."""

from typing import Literal

import msgspec

__all__ = ["ClassRound", "RoundRecord"]


class ClassRound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class in one round.

    Attributes:
        pool: samples that may be drawn at all; drawn: in this round; training: in the training set.
        residual: still wrong outside it; held_back: in quarantine.
        recall: on validation samples, 0..1.
    """

    pool: int
    drawn: int
    training: int
    residual: int
    recall: float
    held_back: int = 0


class RoundRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round of the loop; times are kept elsewhere, so that equal runs have equal records.

    Attributes:
        number: from 1.
        drawn: samples that joined the training set; held_back: samples in quarantine after the round.
        training_samples: size of the training set.
        residual: samples outside the training set that the round's model gets wrong.
        pool_samples: of the training split.
        pool_accuracy: share of right samples outside the training set; it steers the loop and is no test score.
        macro_f1, worst_class_recall, macro_f1_error: on validation samples; the error is one standard error.
        validation_samples: how many.
        steps: optimiser steps of all fits of the round; visits: samples that these steps looked at.
        model_id: sha256 of the round's ONNX file.
        classes: by class name.
    """

    number: int
    drawn: int
    training_samples: int
    residual: int
    pool_samples: int
    pool_accuracy: float
    macro_f1: float
    worst_class_recall: float
    macro_f1_error: float
    validation_samples: int
    model_id: str
    classes: dict[str, ClassRound]
    held_back: int = 0
    steps: int = 0
    visits: int = 0
    schema_version: Literal[1] = 1
