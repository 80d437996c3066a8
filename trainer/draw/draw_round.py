"""One round's draw: quotas for the classes, a selector within each. Pure; it asks for what selectors need to know.

>>> from trainer.draw.by_norm import NormNearest
>>> pool = DrawPool(np.array([0, 0, 1]), np.array([5, 6, 7]), ("good", "stone"), np.zeros(3, np.uint64))
>>> draw_round(pool, np.ones(3, np.bool_), DrawRules(NormNearest(), DrawSizes.of(1)), RoundKnowledge()).tolist()
[1, 2]
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainer.draw.by_norm import NormFarthest, NormNearest
from trainer.draw.candidates import ClassCandidates
from trainer.draw.chance import mixed
from trainer.draw.quotas import equal_quotas, error_quotas
from trainer.draw.selector import Selector
from trainer.draw.sizes import DrawSizes
from trainer.draw.strata import draw_from_looks
from trainer.errors import SettingsError

__all__ = ["DrawPool", "DrawRules", "Quota", "RoundKnowledge", "draw_round"]

Quota = Literal["equal", "error", "free"]
_EVERYBODY = "all classes together"


@dataclass(frozen=True, slots=True)
class DrawPool:
    """All samples of a run, rows in the order of the content hashes.

    Attributes:
        class_ids: (N,) int64; norms_q16: (N,) int64.
        classes: names of the K classes.
        keys: (N,) uint64 from the content hashes.
    """

    class_ids: NDArray[np.int64]
    norms_q16: NDArray[np.int64]
    classes: tuple[str, ...]
    keys: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class DrawRules:
    """How a run draws.

    Attributes:
        selector: within a class.
        sizes: a, b, m of a class with an equal quota.
        quota: "equal", "error" or "free"; see `trainer.draw.quotas`.
        seed: of everything random.
        is_strict: a side of the mean with too few samples is an error, where the selector draws from two sides of it.
        has_strata: both looks of a class that has two are drawn from.
        is_initial_mean: the mean is that of the class in the whole pool, in every round.
    """

    selector: Selector
    sizes: DrawSizes
    quota: Quota = "equal"
    seed: int = 0
    is_strict: bool = False
    has_strata: bool = False
    is_initial_mean: bool = False


@dataclass(frozen=True, slots=True)
class RoundKnowledge:
    """What earlier rounds found; nothing in the first.

    Attributes:
        number: of the round that is drawn, from 1.
        pool: (N,) bool, what may be drawn at all; None for all rows.
        training: (N,) bool, the training set so far; None for none.
        scores: (N, K) by the last round's models, None in the first round.
        features: gives the features (M, F) float32 of some rows, None in the first round.
        right, errors: of each earlier round, (N,) each.
    """

    number: int = 1
    pool: NDArray[np.bool_] | None = None
    training: NDArray[np.bool_] | None = None
    scores: NDArray[np.float16] | None = None
    features: Callable[[NDArray[np.int64]], NDArray[np.float32]] | None = None
    right: list[NDArray[np.bool_]] = field(default_factory=list)
    errors: list[NDArray[np.float32]] = field(default_factory=list)


def draw_round(
    pool: DrawPool, candidates: NDArray[np.bool_], rules: DrawRules, known: RoundKnowledge
) -> NDArray[np.int64]:
    """Draw samples of each class from the candidates.

    Args:
        pool: all samples.
        candidates: (N,) bool: the residual, outside the training set.
        rules: selector, sizes, quota.
        known: what earlier rounds found.

    Returns:
        Row indices, class after class in ascending order, each in the order drawn; empty when nothing is left. With the
        free quota m times the classes, of all candidates together, whatever their class.

    Raises:
        SettingsError: the draw is strict and a side of the mean has too few samples.
    """
    drawn = [np.zeros(0, np.int64)]
    for class_id, quota in _quotas(pool, candidates, rules, known):
        rows = np.flatnonzero(candidates if class_id is None else candidates & (pool.class_ids == class_id))
        sizes = rules.sizes.scaled(quota)
        one = _candidates(pool, rows, class_id, rules, known)
        if rules.is_strict and isinstance(rules.selector, NormNearest | NormFarthest):  # others know no sides
            _check_sides(one, sizes)
        positions = draw_from_looks(rules.selector, one, sizes) if rules.has_strata else rules.selector.draw(one, sizes)
        drawn.append(rows[positions])
    return np.concatenate(drawn)


def _quotas(
    pool: DrawPool, candidates: NDArray[np.bool_], rules: DrawRules, known: RoundKnowledge
) -> list[tuple[int | None, int]]:
    """Return (class, how many) of each class that something is drawn of; class None stands for all together."""
    count = len(pool.classes)
    wrong = np.bincount(pool.class_ids[candidates], minlength=count)
    if rules.quota == "free":
        wanted = min(rules.sizes.m * int((wrong > 0).sum()), int(wrong.sum()))
        return [(None, wanted)] if wanted else []
    if rules.quota == "error" and known.scores is not None:
        in_pool = pool.class_ids if known.pool is None else pool.class_ids[known.pool]
        quotas = error_quotas(wrong, np.bincount(in_pool, minlength=count), rules.sizes.m)
    else:
        quotas = equal_quotas(wrong, rules.sizes.m)
    return [(class_id, quota) for class_id, quota in enumerate(quotas.tolist()) if quota]


def _candidates(
    pool: DrawPool, rows: NDArray[np.int64], class_id: int | None, rules: DrawRules, known: RoundKnowledge
) -> ClassCandidates:
    needs, keys, norms = rules.selector.needs, pool.keys[rows], pool.norms_q16[rows]
    own = np.ones(len(pool.class_ids), np.bool_) if class_id is None else pool.class_ids == class_id
    within = own if known.pool is None else own & known.pool
    mean = (int(norms.sum()), len(rows))
    if rules.is_initial_mean:
        mean = (int(pool.norms_q16[within].sum()), int(within.sum()))
    found = ClassCandidates.of_norms(norms, mixed(keys, rules.seed, 0))
    found = replace(
        found,
        class_name=_EVERYBODY if class_id is None else pool.classes[class_id],
        class_id=class_id or 0,
        mean=mean,
        passing=mixed(keys, rules.seed, known.number),
    )
    if "scores" in needs and known.scores is not None:
        found = replace(found, scores=known.scores[rows].astype(np.float32))
    if "history" in needs and known.right:
        right = np.stack([column[rows] for column in known.right])
        found = replace(found, right=right, errors=np.stack([column[rows] for column in known.errors]))
    if "features" in needs and known.features is not None and known.training is not None:
        inside = known.features(np.flatnonzero(own & known.training))
        found = replace(found, features=known.features(rows), drawn_features=inside)
    return found


def _check_sides(candidates: ClassCandidates, sizes: DrawSizes) -> None:
    total, count = candidates.mean
    above = int((candidates.norms_q16 * count >= total).sum())
    below = len(candidates) - above
    if above < sizes.a or below < sizes.b:
        raise SettingsError(
            f"class {candidates.class_name}: {above} samples at or above its mean norm and {below} below, but the "
            f"strict draw asks for {sizes.a} and {sizes.b}: set draw.strict = false, or a smaller m"
        )
