"""Selectors that look at what models said: chance, margin, entropy, error length, forgetting.

In the first round no model has said anything: all of them then draw at random. Ties go by chance, too.

>>> from trainer.draw.sizes import DrawSizes
>>> one = ClassCandidates.of_norms(np.array([5, 6]), np.array([9, 3], np.uint64))
>>> Margin().draw(one, DrawSizes.of(1)).tolist()
[1]
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.candidates import ClassCandidates
from trainer.draw.selector import NOTHING, Needs, by_chance
from trainer.draw.sizes import DrawSizes

__all__ = ["Entropy", "ErrorLength", "Forgetting", "Margin", "Random"]

_SCORES: Final[Needs] = frozenset(("scores",))
_HISTORY: Final[Needs] = frozenset(("history",))
_LEAST_SCORE: Final = 1e-12


class Random:
    """At random."""

    needs: Needs = NOTHING

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions in random order."""
        return by_chance(candidates, sizes.m)


class Margin:
    """Undecided first: the smallest lead of the highest score over the second.

    Source:
        Scheffer et al. 2001, Active Hidden Markov Models for Information Extraction, section 2: margin sampling.
    """

    needs: Needs = _SCORES

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, the smallest margin first."""
        if candidates.scores is None:
            return by_chance(candidates, sizes.m)
        top = np.sort(candidates.scores, axis=1)[:, -2:]
        return _smallest(top[:, 1] - top[:, 0], candidates, sizes.m)


class Entropy:
    """Undecided first: the scores spread over most classes.

    Source:
        Shannon 1948; as a query, Settles 2009, Active Learning Literature Survey, section 3.1.
    """

    needs: Needs = _SCORES

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, the highest entropy first."""
        if candidates.scores is None:
            return by_chance(candidates, sizes.m)
        scores = np.maximum(candidates.scores.astype(np.float64), _LEAST_SCORE)
        return _smallest((scores * np.log(scores)).sum(axis=1), candidates, sizes.m)


class ErrorLength:
    """Hardest first: the longest error vector, averaged over all rounds (EL2N).

    Source:
        Paul et al. 2021, Deep Learning on a Data Diet, section 2; averaged over rounds instead of over networks.
    """

    needs: Needs = _HISTORY

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, the longest error first."""
        if not len(candidates.errors):
            return by_chance(candidates, sizes.m)
        return _smallest(-candidates.errors.mean(axis=0, dtype=np.float64), candidates, sizes.m)


class Forgetting:
    """Most often forgotten first: right in one round, wrong in the next. What was never right counts as most forgotten.

    Source:
        Toneva et al. 2019, An Empirical Study of Example Forgetting, section 3; over rounds instead of epochs.
    """

    needs: Needs = _HISTORY

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, the most often forgotten first."""
        right = candidates.right
        if not len(right):
            return by_chance(candidates, sizes.m)
        forgotten = (right[:-1] & ~right[1:]).sum(axis=0)
        return _smallest(-np.where(right.any(axis=0), forgotten, len(right)), candidates, sizes.m)


def _smallest(values: NDArray[np.generic], candidates: ClassCandidates, count: int) -> NDArray[np.int64]:
    """Return positions of the smallest values, ascending; equal ones by chance."""
    return np.lexsort((candidates.passing, values))[:count].astype(np.int64)
