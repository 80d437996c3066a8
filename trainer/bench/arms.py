"""The contenders, each as settings on top of the command's own: what a user would type to get the same.

Three kinds. A "loop" runs rounds. "whole" trains once on everything: m as large as a class and one round of one step,
so that the same code draws, fits, exports and judges. A "subset" trains once on samples that another method chose.

>>> ARMS["full"].kind, ARMS["norm"].overrides
('whole', ())
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal

import msgspec

from edge_runtime.config import override_settings
from edge_runtime.errors import ConfigError
from trainer.errors import SettingsError
from trainer.settings import RunSettings

__all__ = ["ARMS", "NORM", "SUITES", "Arm", "Suite", "arm_settings", "find_arms", "why_unavailable"]

NORM: Final = "norm"
_EVERYTHING: Final = 1_000_000_000  # m: more samples than any class has
_WHOLE: Final = (f"m={_EVERYTHING}", "stop.rounds=1", "fit.steps=1")
_PLAIN: Final = ("int8.mode=off",)  # quantising costs all arms the same and has a comparison of its own
_ALONE: Final = ("quarantine.mode=off",)  # the loop's own guard has no part in what others train


@dataclass(frozen=True, slots=True)
class Arm:
    """One contender.

    Attributes:
        name: in tables and file names.
        kind: see the module's text.
        overrides: settings, as key=value.
        about: in tables, for people.
        method: which subset, see `trainer.bench.subsets`; "" for other kinds.
        package: that must be installed, "" for none; as it is imported.
        matched: optimiser steps as many as the norm loop used in all.
        share_of_steps: of the final fit's steps, those that the norm loop's share of the samples is worth.
        is_final_short: the final fit takes as many steps as a round.
    """

    name: str
    kind: Literal["loop", "whole", "subset"]
    overrides: tuple[str, ...]
    about: str
    method: str = ""
    package: str = ""
    matched: bool = False
    share_of_steps: bool = False
    is_final_short: bool = False

    @property
    def needs_norm(self) -> bool:
        """Whether the norm loop's row must be finished first: its steps or its number of samples are taken over."""
        return self.matched or self.share_of_steps or self.kind == "subset"


def _loop(name: str, about: str, *overrides: str) -> Arm:
    return Arm(name, "loop", overrides, about)


def _whole(name: str, about: str, *overrides: str, matched: bool = False, share_of_steps: bool = False) -> Arm:
    return Arm(name, "whole", overrides, about, matched=matched, share_of_steps=share_of_steps)


def _subset(name: str, about: str, package: str = "", *overrides: str) -> Arm:
    return Arm(name, "subset", overrides, about, method=name, package=package)


_CORE: Final = (
    _whole("full", "all samples, plain shuffling", "fit.balance=none"),
    _whole("full_balanced", "all samples, every class equally often", "fit.balance=sampler"),
    _whole("full_matched", "all samples, plain, as many steps as `norm` in all", "fit.balance=none", matched=True),
    _loop("windowing", "loop, random draw from all that is wrong", "draw.selector=random", "draw.quota=free"),
    _loop("balanced_random", "loop, m of each class, random draw", "draw.selector=random"),
    _loop("random_scalar", "loop, a random number in place of the norm", "draw.selector=random_scalar"),
    _loop(NORM, "the norm-balanced loop with its defaults"),
)
_SELECTORS: Final = tuple(
    _loop(name, f"loop, `draw.selector={name}`", f"draw.selector={name}")
    for name in (
        "norm_stratified",
        "norm_farthest",
        "closest_to_centre",
        "herding",
        "k_centre",
        "margin",
        "entropy",
        "el2n",
        "forgetting",
    )
)
_LOSSES: Final = (
    _whole("class_weights", "all samples, classes weighted in the loss", "fit.balance=weights"),
    _whole("focal", "all samples, focal loss", "fit.balance=none", "fit.loss=focal"),
    _whole("logit_adjusted", "all samples, logits adjusted", "fit.balance=none", "fit.loss=logit_adjusted"),
)
_LOOPS: Final = (
    _loop("error_quota", "loop, more of classes that err more", "draw.quota=error"),
    _loop("literal", "loop, right once is dropped for good", "drop=permanent"),
    _loop("literal_random", "as `literal`, random draw", "drop=permanent", "draw.selector=random"),
)
_SUBSETS: Final = (
    _subset("random_subset", "as many samples as `norm`, at random"),
    _subset("balanced_subset", "as many samples as `norm`, classes equal, at random"),
    _whole("rs2", "RS2: a fresh random subset an epoch", "fit.balance=none", share_of_steps=True),
    *(
        _subset(name, about, "imblearn")
        for name, about in (
            ("rus", "imblearn RandomUnderSampler"),
            ("nearmiss1", "imblearn NearMiss-1"),
            ("nearmiss2", "imblearn NearMiss-2"),
            ("nearmiss3", "imblearn NearMiss-3"),
            ("cluster_centroids", "imblearn ClusterCentroids, nearest real samples"),
            ("cnn", "imblearn CondensedNearestNeighbour(all)"),
            ("iht", "imblearn InstanceHardnessThreshold"),
        )
    ),
    *(
        _subset(name, about, "skactiveml")
        for name, about in (
            ("al_margin", "scikit-activeml margin sampling"),
            ("al_coreset", "scikit-activeml CoreSet"),
            ("al_typiclust", "scikit-activeml TypiClust"),
            ("al_probcover", "scikit-activeml ProbCover"),
            ("al_badge", "scikit-activeml Badge"),
        )
    ),
    _subset("modal_margin", "modAL margin sampling", "modAL"),
    *(
        _subset(name, about, "datacull")
        for name, about in (
            ("datacull_rcap", "DataCull RCAP"),
            ("datacull_ccs", "DataCull CCS"),
            ("datacull_metriq", "DataCull MetriQ"),
        )
    ),
)
_NOISE: Final = (
    _loop("quarantine_off", "`norm` without quarantine", "quarantine.mode=off"),
    _loop("quarantine_auto", "`norm`, quarantine where labels look wrong", "quarantine.mode=auto"),
    _loop("quarantine_on", "`norm`, quarantine always", "quarantine.mode=on"),
    _subset("cleanlab", "all samples less cleanlab's label issues, plain", "cleanlab", "fit.balance=none"),
)
_FINAL: Final = (
    Arm("no_final", "loop", (), "`norm`, final fit as short as a round", is_final_short=True),
    _loop("restart_warm", "`norm`, rounds go on from the last weights", "restart=warm"),
    _loop("restart_shrink", "`norm`, from shrunk weights", "restart=shrink"),
    _loop("ship_last", "`norm`, the last round ships", "ship=last"),
)
_INT8: Final = (_loop("norm_int8", "`norm` with an INT8 file", "int8.mode=auto"),)

ARMS: Final[dict[str, Arm]] = {
    arm.name: arm for arm in (*_CORE, *_SELECTORS, *_LOSSES, *_LOOPS, *_SUBSETS, *_NOISE, *_FINAL, *_INT8)
}
Suite = Literal["core", "longtail", "noise", "selectors", "baselines", "final", "int8"]
_CORE_NAMES: Final = tuple(arm.name for arm in _CORE)
SUITES: Final[dict[Suite, tuple[str, ...]]] = {
    "core": _CORE_NAMES,
    "longtail": (*_CORE_NAMES, "error_quota", *(arm.name for arm in _LOSSES)),
    "noise": (*_CORE_NAMES, *(arm.name for arm in _NOISE), "literal", "literal_random"),
    "selectors": (NORM, "balanced_random", "random_scalar", *(a.name for a in _SELECTORS), "error_quota", "literal"),
    "baselines": (NORM, "full", *(arm.name for arm in (*_LOSSES, *_SUBSETS))),
    "final": (NORM, *(arm.name for arm in _FINAL)),
    "int8": tuple(arm.name for arm in _INT8),
}


def find_arms(suite: Suite, names: Sequence[str]) -> list[Arm]:
    """Return the arms of a suite, or those named.

    Raises:
        SettingsError: a name is not known.
    """
    strange = sorted(set(names) - set(ARMS))
    if strange:
        raise SettingsError(f"no arm {', '.join(strange)}: there are {', '.join(ARMS)}")
    return [ARMS[name] for name in (names or SUITES[suite])]


def arm_settings(base: RunSettings, arm: Arm, seed: int) -> RunSettings:
    """Return the settings of a row.

    Args:
        base: of the command.
        arm: whose settings come on top.
        seed: of the row.

    Raises:
        ConfigError: the settings do not know what the arm asks for.
    """
    settings = _where_known(msgspec.structs.replace(base, seed=seed), _PLAIN)
    if arm.kind != "loop":
        settings = _where_known(override_settings(settings, _WHOLE), _ALONE)
    if arm.is_final_short:
        fit = msgspec.structs.replace(settings.fit, final_steps=settings.fit.steps)
        settings = msgspec.structs.replace(settings, fit=fit)
    return override_settings(settings, arm.overrides)


def why_unavailable(arm: Arm, base: RunSettings) -> str:
    """Return why an arm cannot run here, "" if it can."""
    if arm.package and find_spec(arm.package) is None:
        return "not installed"
    try:
        arm_settings(base, arm, 0)
    except ConfigError as error:
        return str(error)
    return ""


def _where_known(settings: RunSettings, overrides: Sequence[str]) -> RunSettings:
    """Return settings with some turned off, where this version has them."""
    for text in overrides:
        with suppress(ConfigError):
            settings = override_settings(settings, (text,))
    return settings
