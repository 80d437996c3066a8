"""Other packages' methods behind one signature: a task in, row numbers out.

Each import stands in its function, so that a missing package costs its own arms alone. Class counts are the equal
quotas of the budget, where a method takes counts; labels are revealed to active learners as they ask.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.bench.subset_task import SubsetTask, equal_quotas, pick

__all__ = ["METHODS", "without_label_issues"]

_BATCHES: Final = 4  # in which an active learner spends its budget, the first at random
_SURE: Final = 0.999  # MetriQ divides by what a class still gets wrong
_STRATA: Final = 50  # CCS's own default


class _Sampler(Protocol):
    """An under-sampler of imbalanced-learn."""

    def fit_resample(self, x: NDArray[np.float32], y: NDArray[np.int64], /) -> object:
        """Choose."""
        ...


def without_label_issues(task: SubsetTask) -> NDArray[np.int64]:
    """Return all rows but those whose labels cleanlab doubts, by out-of-sample probabilities."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415

    present = np.unique(task.class_ids)
    labels = np.searchsorted(present, task.class_ids)
    scores = task.scores[:, present].astype(np.float64)
    issues = find_label_issues(labels, scores / scores.sum(axis=1, keepdims=True), n_jobs=1)
    return np.flatnonzero(~np.asarray(issues, np.bool_))


def _quotas(task: SubsetTask) -> dict[int, int]:
    quotas = equal_quotas(task.counts, task.budget)
    return {k: int(quota) for k, quota in enumerate(quotas) if quota}


def _under_sampled(task: SubsetTask, sampler: _Sampler) -> NDArray[np.int64]:
    sampler.fit_resample(task.features, task.class_ids)
    return np.asarray(sampler.sample_indices_, np.int64)  # type: ignore[attr-defined]  # set by fit_resample


def _rus(task: SubsetTask) -> NDArray[np.int64]:
    from imblearn.under_sampling import RandomUnderSampler  # noqa: PLC0415

    return _under_sampled(task, RandomUnderSampler(sampling_strategy=_quotas(task), random_state=task.seed))


def _near_miss(version: int) -> Callable[[SubsetTask], NDArray[np.int64]]:
    def choose(task: SubsetTask) -> NDArray[np.int64]:
        from imblearn.under_sampling import NearMiss  # noqa: PLC0415

        return _under_sampled(task, NearMiss(sampling_strategy=_quotas(task), version=version))

    return choose


def _condensed(task: SubsetTask) -> NDArray[np.int64]:
    from imblearn.under_sampling import CondensedNearestNeighbour  # noqa: PLC0415

    return _under_sampled(task, CondensedNearestNeighbour(sampling_strategy="all", random_state=task.seed))


def _hardness(task: SubsetTask) -> NDArray[np.int64]:
    from imblearn.under_sampling import InstanceHardnessThreshold  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    judge = LogisticRegression(max_iter=200)
    sampler = InstanceHardnessThreshold(estimator=judge, sampling_strategy=_quotas(task), random_state=task.seed)
    return _under_sampled(task, sampler)


def _centroids(task: SubsetTask) -> NDArray[np.int64]:
    """Return the real samples nearest to k-means centres of each class."""
    from imblearn.under_sampling import ClusterCentroids  # noqa: PLC0415
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415

    sampler = ClusterCentroids(sampling_strategy=_quotas(task), voting="hard", random_state=task.seed)
    centres, labels = sampler.fit_resample(task.features, task.class_ids)
    rows = []
    for k in np.unique(labels):
        own = np.flatnonzero(task.class_ids == k)
        nearest = NearestNeighbors(n_neighbors=1).fit(task.features[own])
        rows.append(own[nearest.kneighbors(centres[labels == k], return_distance=False)[:, 0]])
    return np.concatenate(rows)


def _first_batch(task: SubsetTask) -> NDArray[np.int64]:
    first = equal_quotas(task.counts, max(task.class_count, task.budget // _BATCHES))
    return pick(task, first, np.random.default_rng(task.seed))


def _active(task: SubsetTask, query: Callable[[NDArray[np.float64], int], NDArray[np.int64]]) -> NDArray[np.int64]:
    """Reveal labels batch after batch, the first at random and balanced; `query` sees NaN for what is hidden."""
    labels = np.full(len(task.class_ids), np.nan)
    first = _first_batch(task)
    labels[first] = task.class_ids[first]
    while (left := task.budget - int(np.isfinite(labels).sum())) > 0:
        asked = query(labels, min(left, -(-task.budget // _BATCHES)))
        labels[asked] = task.class_ids[asked]
    return np.flatnonzero(np.isfinite(labels))


def _skactiveml(name: str, *, needs_classifier: bool, **options: str) -> Callable[[SubsetTask], NDArray[np.int64]]:
    def choose(task: SubsetTask) -> NDArray[np.int64]:
        import skactiveml.pool  # noqa: PLC0415
        from skactiveml.classifier import SklearnClassifier  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

        strategy = getattr(skactiveml.pool, name)(random_state=task.seed, **options)

        def query(labels: NDArray[np.float64], count: int) -> NDArray[np.int64]:
            extra = {}
            if needs_classifier:
                classes = list(range(task.class_count))
                extra["clf"] = SklearnClassifier(LogisticRegression(max_iter=200), classes=classes)
            return np.asarray(strategy.query(task.features, labels, batch_size=count, **extra), np.int64)

        return _active(task, query)

    return choose


def _modal(task: SubsetTask) -> NDArray[np.int64]:
    from modAL.models import ActiveLearner  # noqa: PLC0415
    from modAL.uncertainty import margin_sampling  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    def query(labels: NDArray[np.float64], count: int) -> NDArray[np.int64]:
        known, hidden = np.flatnonzero(np.isfinite(labels)), np.flatnonzero(~np.isfinite(labels))
        learner = ActiveLearner(
            estimator=LogisticRegression(max_iter=200),
            query_strategy=margin_sampling,
            X_training=task.features[known],
            y_training=task.class_ids[known],
        )
        return hidden[np.asarray(learner.query(task.features[hidden], n_instances=count)[0], np.int64)]

    return _active(task, query)


class _Targets:
    """What DataCull looks at of a data set."""

    def __init__(self, targets: NDArray[np.int64]) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[int, int]:
        return row, int(self.targets[row])


@contextmanager
def _datacull_seed(seed: int) -> Iterator[None]:
    """Seed the global generator that DataCull draws from, and put it back afterwards."""
    before = np.random.get_state()  # noqa: NPY002 - the package knows no other
    np.random.seed(seed)  # noqa: NPY002 - likewise
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002 - likewise


def _own_scores(task: SubsetTask) -> NDArray[np.float64]:
    return task.scores[np.arange(len(task.class_ids)), task.class_ids].astype(np.float64)


def _rcap(task: SubsetTask) -> NDArray[np.int64]:
    """One draw of a method that draws afresh each epoch, from losses of the look."""
    from datacull import DCDataset, DCLogger, RCAPDataLoader, RCAPImportance  # noqa: PLC0415

    data = DCDataset(_Targets(task.class_ids))
    with _datacull_seed(task.seed), tempfile.TemporaryDirectory() as folder:
        importance = RCAPImportance(data, DCLogger(f"{folder}/"), beta=1.0)
        importance.sample_losses = -np.log(np.maximum(_own_scores(task), 1e-12))
        loader = RCAPDataLoader(data, task.budget / len(data))
        loader.resample(importance.compute_importance())
        return np.asarray(loader.subset_indices, np.int64)


def _ccs(task: SubsetTask) -> NDArray[np.int64]:
    """Strata of margins by the look, in place of margins over all epochs."""
    from datacull import CCSDataLoader, DCDataset  # noqa: PLC0415

    data, own = DCDataset(_Targets(task.class_ids)), _own_scores(task)
    others = task.scores.astype(np.float64)
    others[np.arange(len(own)), task.class_ids] = -1.0
    share = task.budget / len(data)
    with _datacull_seed(task.seed):
        loader = CCSDataLoader(data, share, beta=min(0.1, share), num_strata=_STRATA)
        loader.resample(own - others.max(axis=1))
        return np.asarray(loader.subset_indices, np.int64)


def _metriq(task: SubsetTask) -> NDArray[np.int64]:
    from datacull import DCDataset, MetriQDataLoader  # noqa: PLC0415

    data = DCDataset(_Targets(task.class_ids))
    hits = task.scores.argmax(axis=1) == task.class_ids
    recalls = np.bincount(task.class_ids, hits, task.class_count) / np.maximum(task.counts, 1)
    with _datacull_seed(task.seed):
        loader = MetriQDataLoader(data, task.budget / len(data), np.minimum(recalls, _SURE))
        loader.resample([])
        return np.asarray(loader.subset_indices, np.int64)


METHODS: Final[dict[str, Callable[[SubsetTask], NDArray[np.int64]]]] = {
    "rus": _rus,
    "nearmiss1": _near_miss(1),
    "nearmiss2": _near_miss(2),
    "nearmiss3": _near_miss(3),
    "cluster_centroids": _centroids,
    "cnn": _condensed,
    "iht": _hardness,
    "al_margin": _skactiveml("UncertaintySampling", needs_classifier=True, method="margin_sampling"),
    "al_coreset": _skactiveml("CoreSet", needs_classifier=False),
    "al_typiclust": _skactiveml("TypiClust", needs_classifier=False),
    "al_probcover": _skactiveml("ProbCover", needs_classifier=False),
    "al_badge": _skactiveml("Badge", needs_classifier=True),
    "modal_margin": _modal,
    "datacull_rcap": _rcap,
    "datacull_ccs": _ccs,
    "datacull_metriq": _metriq,
}
