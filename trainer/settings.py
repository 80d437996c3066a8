"""Everything a person can set about a run, with defaults that are DESIGN's.

>>> RunSettings().stop.patience
3
"""

from typing import Annotated, Literal

import msgspec

from trainer.draw.quarantine import QuarantineSettings
from trainer.export.mend import Int8Settings
from trainer.train.fit import FitSettings

__all__ = ["DrawSettings", "RestartMode", "RunSettings", "StopSettings"]

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
RestartMode = Literal["cold", "warm", "shrink"]


class DrawSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which samples a round draws.

    Attributes:
        selector: how samples are drawn within a class; a name of docs/selectors.md, or of an installed extension.
        quota: how many of which class: "equal" is m each, "error" gives classes that err more a larger part of K m,
            "free" draws K m from all that is wrong without looking at classes.
        above: samples of the m from norms at or above the class mean; -1 takes ceil(m / 2).
        strict: a side with too few samples is an error, instead of being filled from the other.
        mean: of the class's candidates in this round ("current"), or of the class in the whole pool ("initial").
        growth: m of each round is that of the round before times this, rounded up.
        strata: "auto" draws from both looks of a class that has two, where their norms show it.
    """

    selector: str = "norm_nearest"
    quota: Literal["equal", "error", "free"] = "equal"
    above: Annotated[int, msgspec.Meta(ge=-1)] = -1
    strict: bool = False
    mean: Literal["current", "initial"] = "current"
    growth: Annotated[float, msgspec.Meta(ge=1.0, le=4.0)] = 1.0
    strata: Literal["off", "auto"] = "off"


class StopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the loop ends: at the first of these.

    Attributes:
        residual_share: the residual holds at most this share of the pool (0..1).
        residual_per_class: the residual holds fewer samples than this, per class on average: with fewer than one, no
            draw can be balanced, and a small pool would go on for a last few samples that may be labelled wrong.
        residual: the residual holds at most this many samples; the patent's own condition.
        class_residual_share: in every class at most this share of its samples is still wrong (0..1).
        patience: so many rounds without a validation macro-F1 better by more than one standard error; 0 is off, and
            so it is where samples are judged out of fold, since figures of few samples jump.
        rounds: budget of rounds.
        training_share: budget of samples: no round begins once the training set holds this share of the pool (0..1].
        steps: budget of optimiser steps over all rounds, the final fit not counted; 0 is off.
        seconds: budget of wall time for the rounds; 0 is off. A run with one gives up the promise of equal bytes.
    """

    residual_share: Share = 0.002
    residual_per_class: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    residual: Annotated[int, msgspec.Meta(ge=0)] = 0
    class_residual_share: Share = 0.002
    patience: Annotated[int, msgspec.Meta(ge=0)] = 3
    rounds: Annotated[int, msgspec.Meta(ge=1, le=999)] = 30
    training_share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    seconds: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the loop.

    Attributes:
        seed: of weights, order, augmentation and of draws that use chance.
        m: samples a class and round; 0 takes max(8, ceil(0.02 N / K)).
        drop: what a model gets right leaves the residual until a later one gets it wrong ("retest"), or for good
            ("permanent", the patent to the letter).
        right_margin: a sample is right when its class leads all others by more than this (0..1).
        restart: every round trains afresh ("cold"), goes on from the last round's weights ("warm"), or from those
            weights shrunk and stirred ("shrink"). The final fit is always cold.
        ship: the round whose training set ships: the best by validation, or the last.
        take_new: a continued run takes every sample that came from machines since and draws nothing from what is wrong:
            one round of plain retraining, for comparison.
        draw: which samples a round draws.
        quarantine: which samples are held back as mislabelled.
        fit: network and optimiser.
        stop: when the loop ends.
        int8: how the quantised model is made.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    m: Annotated[int, msgspec.Meta(ge=0)] = 0
    drop: Literal["retest", "permanent"] = "retest"
    right_margin: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    restart: RestartMode = "cold"
    ship: Literal["best", "last"] = "best"
    take_new: bool = False
    draw: DrawSettings = DrawSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    fit: FitSettings = FitSettings()
    stop: StopSettings = StopSettings()
    int8: Int8Settings = Int8Settings()
    schema_version: Literal[1] = 1
