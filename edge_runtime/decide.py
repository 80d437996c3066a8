"""Scores to actions, by the recipe. Pure.

>>> from edge_runtime.schemas import ClassRule
>>> recipe = Recipe(classes=(ClassRule("good"), ClassRule("stone", "eject", min_score=0.7)))
>>> decide(np.array([[0.4, 0.6], [0.2, 0.8]], np.float32), recipe)[1].tolist()
[False, True]
"""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.schemas import Recipe

__all__ = ["decide"]


def decide(scores: NDArray[np.float32], recipe: Recipe) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each object's class and whether it is ejected.

    Args:
        scores: (N, K) float32, columns in the order of the recipe's classes.
        recipe: actions and sensitivities.

    Returns:
        class_ids (N,) int64, the highest score (the first of equals), and is_eject (N,) bool: the class's action is
        eject and its score reaches the class's min_score.
    """
    class_ids = scores.argmax(axis=1).astype(np.int64)  # (N,)
    ejects = np.array([rule.action == "eject" for rule in recipe.classes])
    least = np.array([rule.min_score for rule in recipe.classes], np.float32)
    best = scores[np.arange(len(scores)), class_ids]
    return class_ids, np.asarray(ejects[class_ids] & (best >= least[class_ids]), np.bool_)
