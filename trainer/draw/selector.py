"""What every selector is: it says what it needs to know, and draws from the candidates of one class.

>>> sorted(EVERYTHING)
['features', 'history', 'scores']
"""

from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.draw.candidates import ClassCandidates
from trainer.draw.sizes import DrawSizes

__all__ = ["EVERYTHING", "NOTHING", "Needs", "Selector", "by_chance"]

Needs = frozenset[Literal["scores", "features", "history"]]
NOTHING: Final[Needs] = frozenset()
EVERYTHING: Final[Needs] = frozenset(("scores", "features", "history"))


class Selector(Protocol):
    """Draws from the candidates of one class.

    Attributes:
        needs: what must be known of the candidates beside norms and chance, from the second round on.
    """

    needs: Needs

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return positions among the candidates, at most m, all different, in the order drawn.

        Args:
            candidates: of one class, rows in the order of their content hashes; at least one.
            sizes: a, b, m; selectors without sides look at m alone.
        """
        ...


def by_chance(candidates: ClassCandidates, count: int) -> NDArray[np.int64]:
    """Return at most `count` positions in a random order that content and seed decide.

    What selectors fall back to in the first round, when no model has said anything yet.
    """
    return np.argsort(candidates.passing, kind="stable")[:count].astype(np.int64)
