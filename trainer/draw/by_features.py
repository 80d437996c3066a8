"""Selectors that look at what a network sees: close to the class centre, matching its mean, covering its extent.

In the first round there is no network: all of them then draw at random.

>>> distances(np.array([[0.0, 3.0]], np.float32), np.array([4.0, 0.0])).tolist()
[5.0]
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.candidates import ClassCandidates
from trainer.draw.selector import Needs, by_chance
from trainer.draw.sizes import DrawSizes

__all__ = ["ClosestToCentre", "Herding", "KCentre", "distances"]

_FEATURES: Final[Needs] = frozenset(("features",))


def distances(features: NDArray[np.floating], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, (N,) float64, how far features (N, F) are from a point (F,)."""
    return np.asarray(np.linalg.norm(features.astype(np.float64) - point, axis=1))


class ClosestToCentre:
    """Most typical first: the smallest distance to the mean of the candidates' features.

    Source:
        Rebuffi et al. 2017, iCaRL, section 3, and Avalanche's ClosestToCenterSelectionStrategy.
    """

    needs: Needs = _FEATURES

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, the closest first."""
        if candidates.features is None:
            return by_chance(candidates, sizes.m)
        centre = candidates.features.mean(axis=0, dtype=np.float64)
        return np.lexsort((candidates.passing, distances(candidates.features, centre)))[: sizes.m].astype(np.int64)


class Herding:
    """Together typical: each next sample brings the mean of those drawn as near as it can to the mean of all.

    Source:
        Welling 2009, Herding Dynamical Weights to Learn; as in iCaRL, algorithm 4.
    """

    needs: Needs = _FEATURES

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, in the order picked."""
        if candidates.features is None:
            return by_chance(candidates, sizes.m)
        features = candidates.features.astype(np.float64)
        centre, total = features.mean(axis=0), np.zeros(features.shape[1])
        left = np.ones(len(features), np.bool_)
        drawn: list[int] = []
        for number in range(1, min(sizes.m, len(features)) + 1):
            gaps = distances((total + features) / number, centre)
            picked = _first(np.where(left, gaps, np.inf), candidates.passing)
            drawn.append(picked)
            left[picked] = False
            total += features[picked]
        return np.array(drawn, np.int64)


class KCentre:
    """Covering: each next sample is the one farthest from all that are drawn or in the training set.

    With nothing in the training set it begins with the sample closest to the centre.

    Source:
        Sener and Savarese 2018, Active Learning for Convolutional Neural Networks: A Core-Set Approach, algorithm 1.
    """

    needs: Needs = _FEATURES

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, in the order picked."""
        if candidates.features is None:
            return by_chance(candidates, sizes.m)
        features = candidates.features.astype(np.float64)
        known = candidates.drawn_features
        if known is not None and len(known):
            gaps = np.full(len(features), np.inf)
            for point in known:  # one at a time: all at once would be T * N numbers
                gaps = np.minimum(gaps, distances(candidates.features, point.astype(np.float64)))
        else:
            gaps = -distances(candidates.features, features.mean(axis=0))
        drawn: list[int] = []
        for _ in range(min(sizes.m, len(features))):
            picked = _first(-gaps, candidates.passing)
            nearer = distances(candidates.features, features[picked])
            gaps = nearer if not drawn and (known is None or not len(known)) else np.minimum(gaps, nearer)
            drawn.append(picked)
            gaps[drawn] = -np.inf
        return np.array(drawn, np.int64)


def _first(values: NDArray[np.float64], chance: NDArray[np.uint64]) -> int:
    """Return the position of the smallest value; of equal ones, that with the smallest random number."""
    equal = np.flatnonzero(values == values.min())
    return int(equal[np.argmin(chance[equal])])
