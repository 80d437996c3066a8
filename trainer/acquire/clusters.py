"""Samples without labels to sets that look alike. Pure but for the seed; knows numbers, not pictures.

>>> two = np.r_[np.zeros((30, 2)), np.ones((30, 2)) * 9] + np.random.default_rng(0).normal(size=(60, 2)) / 9
>>> len(set(cluster(two, ClusterSettings("kmeans", 2)).ids.tolist()))
2
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from trainer.errors import SettingsError

__all__ = ["ClusterMethod", "ClusterSettings", "Clusters", "cluster", "standardise"]

ClusterMethod = Literal["kmeans", "gmm", "hdbscan"]
_MOST_CHOSEN: Final = 20  # more sets than that are more than a person names from a sheet
_MOST_LOOKED_AT: Final = 2000  # samples by which a number of sets is judged: the silhouette costs their square
_KEPT_VARIANCE: Final = 0.95
_FARTHEST: Final = 4.0  # standard deviations: one odd picture shall not be a set of its own
_STARTS: Final = 5
_LEAST_SAMPLES: Final = 10  # fewer are named faster one by one
_LEAST_VARIANCE: Final = 1e-3  # of a set in any direction: a set of copies shall not be infinitely sure of itself


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How sets are found.

    Attributes:
        method: "kmeans", "gmm" (Gaussian mixture) or "hdbscan" (dense regions; what lies between belongs to no set).
        count: sets to find; 0 lets kmeans choose by the silhouette, gmm by the Bayesian information criterion.
            hdbscan always chooses by itself and takes no count.
        seed: of the starts.
    """

    method: ClusterMethod = "gmm"
    count: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Clusters:
    """Found sets.

    Attributes:
        ids: (N,) int64, 0 for the largest set and so on; -1 belongs to none.
        distances: (N,) float64, from the mean of the sample's set, 0 for none.
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.float64]


def standardise(
    features: NDArray[np.float64], families: tuple[slice, ...], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return features of like weight: every family of columns counts the same, however many columns it has.

    Args:
        features: (N, D) float64.
        families: columns of each family.
        least: (D,) float64, the difference that means something: a smaller spread is noise, and not made larger.

    Returns:
        (N, D) float64; a column is centred on its median, divided by its spread (quartiles) and cut at four of it.
    """
    low, middle, high = np.quantile(features, (0.25, 0.5, 0.75), axis=0)
    spread = np.maximum((high - low) / 1.349, least)  # of a normal distribution, the first is its standard deviation
    values: NDArray[np.float64] = np.clip((features - middle) / spread, -_FARTHEST, _FARTHEST)
    for columns in families:
        values[:, columns] /= np.sqrt(columns.stop - columns.start)
    return values


def cluster(values: NDArray[np.float64], settings: ClusterSettings) -> Clusters:
    """Return the sets that lie in samples.

    Args:
        values: (N, D) float64, comparable columns.
        settings: method, number of sets, seed.

    Raises:
        SettingsError: there are too few samples, or too few different ones, for so many sets, or hdbscan is told how
            many.

    Note:
        Same values and settings, same sets, on the same computer. The order of samples has a part in the starts.
    """
    if settings.method == "hdbscan" and settings.count:
        raise SettingsError(f"hdbscan finds the number of sets itself: leave --classes {settings.count} out")
    least = max(_LEAST_SAMPLES, 2 * settings.count)
    if len(values) < least:
        raise SettingsError(f"{len(values)} samples without a class: {settings.count or 2} sets need at least {least}")
    looks = len(np.unique(values, axis=0))
    if settings.count > looks:
        raise SettingsError(f"the samples have {looks} different looks: lower --classes {settings.count}")
    if looks == 1:
        return Clusters(np.zeros(len(values), np.int64), np.zeros(len(values), np.float64))
    reduced = PCA(_KEPT_VARIANCE, svd_solver="full").fit_transform(values)
    counts = range(settings.count, settings.count + 1) if settings.count else _countable(len(values), looks)
    match settings.method:
        case "kmeans":
            found = _kmeans(reduced, counts, settings.seed)
        case "gmm":
            found = _mixture(reduced, counts, settings.seed)
        case "hdbscan":
            found = _dense(reduced)
    return _ordered(found, reduced)


def _kmeans(values: NDArray[np.float64], counts: range, seed: int) -> NDArray[np.int64]:
    fitted = {k: KMeans(k, n_init=_STARTS, random_state=seed).fit_predict(values) for k in counts}
    looked_at = np.random.default_rng(seed).permutation(len(values))[:_MOST_LOOKED_AT]
    best = max(fitted, key=lambda k: (_silhouette(values[looked_at], fitted[k][looked_at]), -k))
    return np.asarray(fitted[best], np.int64)


def _silhouette(values: NDArray[np.float64], ids: NDArray[np.int64]) -> float:
    sets = len(np.unique(ids))
    return float(silhouette_score(values, ids)) if 1 < sets < len(ids) else -1.0


def _mixture(values: NDArray[np.float64], counts: range, seed: int) -> NDArray[np.int64]:
    fitted = [GaussianMixture(k, reg_covar=_LEAST_VARIANCE, random_state=seed).fit(values) for k in counts]
    best = min(fitted, key=lambda mixture: mixture.bic(values))  # of equal ones the one with fewer sets
    return np.asarray(best.predict(values), np.int64)


def _dense(values: NDArray[np.float64]) -> NDArray[np.int64]:
    least = max(5, len(values) // 100)
    return np.asarray(HDBSCAN(min_cluster_size=least, min_samples=5, copy=True).fit_predict(values), np.int64)


def _countable(samples: int, looks: int) -> range:
    """Return the numbers of sets to choose from."""
    return range(2, min(_MOST_CHOSEN, samples // 2, looks) + 1)


def _ordered(found: NDArray[np.int64], values: NDArray[np.float64]) -> Clusters:
    """Return the sets numbered by size, the largest first, and how far every sample lies from the middle of its set."""
    ids = np.full(len(found), -1, np.int64)
    distances = np.zeros(len(found), np.float64)
    names, sizes = np.unique(found[found >= 0], return_counts=True)
    for rank, at in enumerate(np.argsort(-sizes, kind="stable")):
        rows = np.flatnonzero(found == names[at])
        ids[rows] = rank
        distances[rows] = np.linalg.norm(values[rows] - values[rows].mean(axis=0), axis=1)
    return Clusters(ids, distances)
