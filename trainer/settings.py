"""Everything a person can set about a run, with defaults that are DESIGN's.

>>> RunSettings().stop.patience
3
"""

from typing import Annotated, Literal

import msgspec

from trainer.train.fit import FitSettings

__all__ = ["RunSettings", "StopSettings"]


class StopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the loop ends: at the first of these.

    Attributes:
        residual_share: the residual holds at most this share of the pool (0..1).
        residual_per_class: the residual holds fewer samples than this, per class on average: with fewer than one, no
            draw can be balanced, and a small pool would go on for a last few samples that may be labelled wrong.
        class_residual_share: in every class at most this share of its samples is still wrong (0..1).
        patience: so many rounds without a validation macro-F1 better by more than one standard error; 0 is off, and
            so it is where samples are judged out of fold, since figures of few samples jump.
        rounds: budget of rounds.
        training_share: budget of samples: no round begins once the training set holds this share of the pool (0..1].
    """

    residual_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.002
    residual_per_class: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    class_residual_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.002
    patience: Annotated[int, msgspec.Meta(ge=0)] = 3
    rounds: Annotated[int, msgspec.Meta(ge=1, le=999)] = 30
    training_share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the loop.

    Attributes:
        seed: of weights, order and augmentation; the draw needs none.
        m: samples a class and round; 0 takes max(8, ceil(0.02 N / K)).
        selector: how samples are drawn within a class.
        take_new: a continued run takes every sample that came from machines since and draws nothing from what is wrong:
            one round of plain retraining, for comparison.
        fit: network and optimiser.
        stop: when the loop ends.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    m: Annotated[int, msgspec.Meta(ge=0)] = 0
    selector: Literal["norm_nearest"] = "norm_nearest"
    take_new: bool = False
    fit: FitSettings = FitSettings()
    stop: StopSettings = StopSettings()
    schema_version: Literal[1] = 1
