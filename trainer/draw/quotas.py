"""How many samples of which class a round draws. Pure.

>>> equal_quotas(np.array([5, 0, 2]), 3).tolist()
[3, 0, 2]
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["equal_quotas", "error_quotas"]


def equal_quotas(candidates: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """Return, (K,) int64, m of each class, or all that it has: candidates (K,) int64."""
    return np.minimum(candidates, m)


def error_quotas(candidates: NDArray[np.int64], pool: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """Return quotas that give classes which err more a larger part of the round.

    Args:
        candidates: (K,) int64 samples of each class that are wrong and may be drawn.
        pool: (K,) int64 samples of each class in the pool, at least as many.
        m: samples a class on average over the classes that have candidates.

    Returns:
        (K,) int64; together m times the classes with candidates, or all candidates if they are fewer. Proportional to
        the share of the class that is wrong, at least 1 and at most all; what a class cannot give goes to the others.

    Source:
        Vysogorets et al. 2025, DRoP: class quotas proportional to the error; the floor of 1 is ours.
    """
    has = candidates > 0
    total = int(min(m * has.sum(), candidates.sum()))
    rates = np.where(has, candidates / np.maximum(1, pool), 0.0)
    quotas = has.astype(np.int64)
    while (left := total - int(quotas.sum())) > 0:
        room = quotas < candidates
        weights = np.where(room, rates, 0.0)
        shares = left * weights / weights.sum()
        whole = np.minimum(np.floor(shares).astype(np.int64), candidates - quotas)
        if not whole.any():  # less than one each is left: the largest shares, the lower class first
            order = np.lexsort((np.arange(len(shares)), -np.where(room, shares, -1.0)))
            whole[order[: min(left, int(room.sum()))]] = 1
        quotas += whole
    return quotas
