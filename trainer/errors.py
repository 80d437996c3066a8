"""Errors of the trainer.

ProductError
└── TrainerError
    ├── SettingsError           3  a training setting is unknown, out of range or contradicts the pool
    ├── ImportFailedError       5  a source of samples cannot be used; the pool is unchanged
    ├── PoolError               5  the pool file is missing, damaged, locked or of another version
    ├── LeakError               5  one group lies on two sides of the split
    ├── UnnamedClassesError     5  samples have no class yet: a person must name what `classify` found
    ├── NotEnoughClassesError   5  a model needs samples of at least two classes, and of two groups to be judged
    ├── ResumeError             5  a run cannot go on from where it stopped
    ├── TrainingError           5  training cannot go on: the loss is not a number
    ├── ExportRefusedError      1  the model is not good enough, or differs from the one that was trained
    └── RetrainRefusedError     1  a retrained model may not replace its base
"""

from typing import ClassVar

from firmware_bridge.product_error import ProductError

__all__ = [
    "ExportRefusedError",
    "ImportFailedError",
    "LeakError",
    "NotEnoughClassesError",
    "PoolError",
    "ResumeError",
    "RetrainRefusedError",
    "SettingsError",
    "TrainerError",
    "TrainingError",
    "UnnamedClassesError",
]


class TrainerError(ProductError):
    """Base of everything that can go wrong between a folder of pictures and a model folder."""


class SettingsError(TrainerError):
    """A training setting is unknown, out of range, or contradicts what the pool was made with."""

    exit_code: ClassVar[int] = 3
    remedy: ClassVar[str] = "Correct the named setting, or start with a new pool."


class ImportFailedError(TrainerError):
    """A source of samples cannot be read, or holds no usable picture; the pool is as it was before."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Correct the named file or folder and import again; docs/samples.md shows every layout."


class PoolError(TrainerError):
    """The pool file is missing, damaged, locked, or was written by another version."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Check the path, the free space and that no other program uses the pool."


class LeakError(TrainerError):
    """One group lies on two sides of the split, so that every score would be too good."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Import the sources into a new pool: an import leaves such samples out and names them."


class UnnamedClassesError(TrainerError):
    """Samples have no class yet, so that nothing can be right or wrong about them."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Name the sets: sortloop-train classify, then pool name; docs/classify.md shows how."


class NotEnoughClassesError(TrainerError):
    """A model needs training samples of at least two classes, and of two groups where it is judged out of fold."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Import more samples of the named kind; the import's report says why any were left out."


class TrainingError(TrainerError):
    """Training cannot go on: the loss is no longer a number, or nothing is left to train on."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Lower fit.learning_rate and run again; rounds already finished are kept."


class ResumeError(TrainerError):
    """A run cannot go on, because its inputs, settings or computer are not those it started with."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Restore what the message names, or start a new run in an empty folder."


class ExportRefusedError(TrainerError):
    """A gate was not passed, so that no model was written."""

    exit_code: ClassVar[int] = 1
    remedy: ClassVar[str] = "Read the failed gate in the report; more or better samples of the named class help most."


class RetrainRefusedError(TrainerError):
    """A retrained model may not replace its base: a class got worse, or there was nothing to learn."""

    exit_code: ClassVar[int] = 1
    remedy: ClassVar[str] = "Look at the named classes in retrain.html; the machine keeps the model it has."
