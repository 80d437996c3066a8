"""The cheapest classifier there is: what class has norms like this one, by the table of the model folder.

It looks one number up where a network computes, and knows little: it stands in when there is no time for more.

>>> table = NormTable(2, {"dark": (8, 0), "bright": (0, 2)})
>>> classifier = NormClassifier(table, ("dark", "bright"))
>>> classifier.scores(np.array([100, 65536])).argmax(axis=1).tolist()
[0, 1]
"""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.norm import norm_bins
from edge_runtime.schemas import NormTable

__all__ = ["NormClassifier"]

_PRIOR = 0.5  # added to each cell: a norm that no sample had says nothing, not everything


class NormClassifier:
    """Scores by norm alone.

    Args:
        table: counts of norms by class, from the model folder.
        class_names: in the order of the scores; each has a row in the table.
    """

    def __init__(self, table: NormTable, class_names: tuple[str, ...]) -> None:
        counts = np.array([table.histograms[name] for name in class_names], np.float64) + _PRIOR  # (K, bins)
        shares = counts / counts.sum(axis=1, keepdims=True)  # each class as likely as another
        self._scores = np.asarray((shares / shares.sum(axis=0)).T, np.float32)  # (bins, K)

    def scores(self, norms_q16: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return scores (N, K) float32, each row adding up to 1.

        Args:
            norms_q16: (N,) int64 in 0..65536.
        """
        return np.asarray(self._scores[norm_bins(norms_q16, len(self._scores))], np.float32)
