"""Scores to actions, by the recipe. Pure.

>>> from edge_runtime.schemas import ClassRule
>>> recipe = Recipe(classes=(ClassRule("good"), ClassRule("stone", "eject", min_score=0.7)))
>>> decide(np.array([[0.4, 0.6], [0.2, 0.8]], np.float32), recipe)[1].tolist()
[False, True]
>>> dear = ClassRule("stone", "eject", accept_cost=20.0, eject_cost=0.0)
>>> recipe = Recipe(classes=(ClassRule("good", accept_cost=0.0, eject_cost=1.0), dear))
>>> decide(np.array([[0.9, 0.1], [0.99, 0.01]], np.float32), recipe)[1].tolist()
[True, False]
"""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.schemas import Recipe

__all__ = ["decide"]


def decide(scores: NDArray[np.float32], recipe: Recipe) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each object's class and whether it is ejected.

    Args:
        scores: (N, K) float32, calibrated, columns in the order of the recipe's classes.
        recipe: actions, sensitivities and costs.

    Returns:
        class_ids (N,) int64, the highest score (the first of equals), whatever the recipe; and is_eject (N,) bool.
        With costs: letting the object pass is expected to cost more than ejecting it, each class weighed by score times
        sensitivity. Without: the highest score times sensitivity (the first of equals) is that of an eject class, and
        the score reaches the class's min_score.
    """
    class_ids = scores.argmax(axis=1).astype(np.int64)  # (N,)
    weights = scores * np.array([rule.sensitivity for rule in recipe.classes], np.float32)
    if recipe.has_costs:
        extra = np.array([(rule.accept_cost or 0.0) - (rule.eject_cost or 0.0) for rule in recipe.classes])
        return class_ids, np.asarray((weights * extra).sum(axis=1) > 0, np.bool_)
    ejects = np.array([rule.action == "eject" for rule in recipe.classes])
    least = np.array([rule.min_score for rule in recipe.classes], np.float32)
    strongest = weights.argmax(axis=1)
    reached = scores[np.arange(len(scores)), strongest] >= least[strongest]
    return class_ids, np.asarray(ejects[strongest] & reached, np.bool_)
