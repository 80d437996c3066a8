"""How surely a verdict of the inspection belongs to the object it was joined with: estimated from the data alone.

`truth.match_verdicts` says who can be meant; this module says with what probability that is right. It knows ticks and
lanes; nothing of classes, links or records.

>>> fit = MatchFit(middle_ticks=0.0, spread_ticks=10.0, stray_share=0.02)
>>> match_probabilities(fit, np.array([0, 35]), np.array([1e-4, 1e-4])).round(3)
array([1.   , 0.977])
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.truth import ExpectedObjects, Matches, Verdicts, match_verdicts

__all__ = ["MatchFit", "RatedMatches", "VerdictMatcher", "fit_matching", "match_probabilities"]

# What is believed before anything was seen, as so many verdicts: one of twenty without its object, and a spread of a
# third of the tolerance. Both are worse than a machine that works, so that a start is careful.
_PRIOR_VERDICTS: Final = 20.0
_PRIOR_STRAY: Final = 1.0
_PRIOR_PAIRS: Final = 4.0
_STEPS: Final = 30
_LEAST_SPREAD: Final = 0.5  # ticks are whole
_HISTORY: Final = 4000  # pairs; a belt that changes is followed within seconds
_KEEP: Final = 0.95  # share of the old counts that stays, each call
_LEAST_FREE: Final = 0.02  # share of objects without a verdict of their own, where an inspection looks at all


@dataclass(frozen=True, slots=True)
class MatchFit:
    """How verdicts lie about their objects.

    Attributes:
        middle_ticks: mean of verdict tick minus expected tick, of right pairs.
        spread_ticks: standard deviation of it, > 0.
        stray_share: share 0..1 of the verdicts whose own object is not there to be found: not seen, in another lane, or
            out of reach. Such a verdict finds another object by chance.
    """

    middle_ticks: float
    spread_ticks: float
    stray_share: float


@dataclass(frozen=True, slots=True)
class RatedMatches:
    """Matches, and how sure each is.

    Attributes:
        matches: P pairs.
        probabilities: (P,) float64 in 0..1, that the pair is right.
        fit: what they follow from.
    """

    matches: Matches
    probabilities: NDArray[np.float64]
    fit: MatchFit


def fit_matching(
    offsets: NDArray[np.int64], densities: NDArray[np.float64], unmatched: int, tolerance_ticks: int
) -> MatchFit:
    """Estimate how verdicts lie about their objects, from pairs of which some are wrong.

    Args:
        offsets: (P,) int64, verdict tick minus expected tick of pairs from `match_verdicts`.
        densities: (P,) float64 > 0, objects a tick in each pair's lane that no verdict of their own has claimed.
        unmatched: verdicts of the same time that had no object in reach.
        tolerance_ticks: of the matching, >= 0.

    Returns:
        The fit; without data the careful beliefs of a start.

    Note:
        A right pair's offset is normal, a wrong one lies anywhere within the tolerance, the more often the denser the
        lane; both parts are found by expectation and maximisation. Ambiguous verdicts tell nothing.
    """
    prior_spread = max(_LEAST_SPREAD, tolerance_ticks / 3)
    middle = float(np.median(offsets)) if offsets.size else 0.0
    fit = MatchFit(middle, prior_spread, _PRIOR_STRAY / _PRIOR_VERDICTS)
    if offsets.size == 0:
        return fit
    away = np.abs(offsets - middle)
    fit = MatchFit(middle, max(_LEAST_SPREAD, 1.5 * float(np.median(away))), fit.stray_share)
    for _ in range(_STEPS):
        right = match_probabilities(fit, offsets, densities)  # (P,)
        total = float(right.sum())
        middle = float((right * offsets).sum()) / total if total > 0 else middle
        squares = float((right * (offsets - middle) ** 2).sum()) + _PRIOR_PAIRS * prior_spread**2 * _small(total)
        spread = max(_LEAST_SPREAD, (squares / (total + _PRIOR_PAIRS * _small(total))) ** 0.5)
        strays = _PRIOR_STRAY + unmatched + offsets.size - total
        fit = MatchFit(middle, spread, strays / (_PRIOR_VERDICTS + unmatched + offsets.size))
    return fit


def match_probabilities(
    fit: MatchFit, offsets: NDArray[np.int64], densities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return, (P,) float64 in 0..1, how probably each pair is right.

    Args:
        fit: from `fit_matching`.
        offsets: (P,) int64, verdict tick minus expected tick.
        densities: (P,) float64, objects a tick in each pair's lane that no verdict of their own has claimed.
    """
    distances = (offsets - fit.middle_ticks) / fit.spread_ticks
    own = (1 - fit.stray_share) * np.exp(-0.5 * distances**2) / (fit.spread_ticks * np.sqrt(2 * np.pi))
    return np.asarray(own / (own + fit.stray_share * densities + 1e-300), np.float64)


class VerdictMatcher:
    """Matches batch after batch, and learns from those before. One machine, one thread."""

    def __init__(self, tolerance_ticks: int) -> None:
        self._tolerance_ticks = tolerance_ticks
        self._pairs: deque[tuple[int, float]] = deque(maxlen=_HISTORY)  # offset, density
        self._unmatched = 0.0
        self._lane_counts: dict[int, float] = {}
        self._span_ticks = 0.0
        self._told = self._passed = 0.0  # verdicts, and objects between the first and the last of them
        self._fit = fit_matching(np.zeros(0, np.int64), np.zeros(0), 0, tolerance_ticks)

    def match(self, objects: ExpectedObjects, verdicts: Verdicts) -> RatedMatches:
        """Pair verdicts with objects and say how sure each pair is.

        Args:
            objects: all that can be meant, those before and after the verdicts too.
            verdicts: new ones; a verdict shown twice counts twice.

        Returns:
            The pairs of `match_verdicts`. A batch that is not trustworthy is rated too, but not learnt from.
        """
        matches = match_verdicts(objects, verdicts, self._tolerance_ticks)
        self._count_lanes(objects)
        self._count_told(objects, verdicts)
        offsets = verdicts.ticks[matches.verdicts] - objects.ticks[matches.objects]  # (P,)
        densities = self._densities(verdicts.lanes[matches.verdicts])  # (P,)
        if matches.is_trustworthy:
            self._learn(offsets, densities, matches.unmatched)
        known = np.array(self._pairs, np.float64).reshape(-1, 2)
        own, dense = known[:, 0].astype(np.int64), known[:, 1]
        self._fit = fit_matching(own, dense, round(self._unmatched), self._tolerance_ticks)
        return RatedMatches(matches, match_probabilities(self._fit, offsets, densities), self._fit)

    def _learn(self, offsets: NDArray[np.int64], densities: NDArray[np.float64], unmatched: int) -> None:
        pushed_out = max(0, len(self._pairs) + offsets.size - _HISTORY)
        self._unmatched *= 1 - min(1.0, pushed_out / _HISTORY)
        self._unmatched += unmatched
        self._pairs.extend(zip(offsets.tolist(), densities.tolist(), strict=True))

    def _count_lanes(self, objects: ExpectedObjects) -> None:
        if objects.ticks.size == 0:
            return
        span = max(int(np.ptp(objects.ticks)), 2 * self._tolerance_ticks + 1)
        self._span_ticks = self._span_ticks * _KEEP + span
        lanes, counts = np.unique(objects.lanes, return_counts=True)
        self._lane_counts = {lane: count * _KEEP for lane, count in self._lane_counts.items()}
        for lane, count in zip(lanes.tolist(), counts.tolist(), strict=True):
            self._lane_counts[lane] = self._lane_counts.get(lane, 0.0) + count

    def _count_told(self, objects: ExpectedObjects, verdicts: Verdicts) -> None:
        if verdicts.ticks.size < 2:
            return
        is_between = (objects.ticks >= verdicts.ticks.min()) & (objects.ticks <= verdicts.ticks.max())
        self._told = self._told * _KEEP + verdicts.ticks.size - 1
        self._passed = self._passed * _KEEP + int(is_between.sum())

    def _densities(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return, (P,), how dense the objects lie that a stray verdict can be joined with.

        An object that has its own verdict cannot: two verdicts in reach are ambiguous, and no pair.
        """
        claimed = self._told * (1 - self._fit.stray_share) / max(1.0, self._passed)
        free = min(1.0, max(_LEAST_FREE, 1 - claimed))
        counts = [self._lane_counts.get(lane, 0.0) for lane in lanes.tolist()]
        return free * np.array(counts, np.float64) / max(1.0, self._span_ticks)


def _small(pairs: float) -> float:
    """Return the weight 0..1 of the belief about the spread: it is forgotten as pairs come in."""
    return 1.0 if pairs < _PRIOR_PAIRS else _PRIOR_PAIRS / pairs
