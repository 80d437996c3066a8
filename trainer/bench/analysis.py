"""What the rows say: folds pooled, arms against the norm loop, with intervals over seeds and over test groups. Pure.

A difference counts only where neither interval holds zero: it must outlast another seed and another test set. What the
norm loop loses is told in the same words as what it wins.

>>> verdict(Interval(0.02, 0.01, 0.03), Interval(0.02, 0.005, 0.04))
'better'
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.bench.arms import NORM
from trainer.bench.row_record import ALL_IMAGES, HeldOut, RowRecord
from trainer.intervals import Interval, percentile_interval, resampled_weights, t_interval
from trainer.judge.validation import FOLDS
from trainer.metrics import score_confusion

__all__ = [
    "FIGURES",
    "Comparison",
    "Curves",
    "Figure",
    "Reach",
    "Resamples",
    "SeedResult",
    "Verdict",
    "compare_arms",
    "pool_folds",
    "reach_of",
    "resample_groups",
    "verdict",
]

Figure = Literal["accuracy", "macro_f1", "worst_class_recall"]
FIGURES: Final[tuple[Figure, ...]] = ("accuracy", "macro_f1", "worst_class_recall")
Verdict = Literal["better", "worse", "open", "too few seeds"]
Curves = dict[Figure, NDArray[np.float64]]
Resamples = dict[tuple[str, str, int], Curves]  # by set, arm and seed


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One arm on one set with one seed; where a set is judged over folds, all of them together.

    Attributes:
        set, arm, seed: which.
        rows: one, or one a fold.
        macro_f1, worst_class_recall, balanced_accuracy, accuracy: 0..1 over all test images together.
        calibration_error: mean over the folds.
        confusions: (G, K, K) float32, of each test group on its own.
        per_class_recall: by class.
    """

    set: str
    arm: str
    seed: int
    rows: tuple[RowRecord, ...]
    macro_f1: float
    worst_class_recall: float
    balanced_accuracy: float
    accuracy: float
    calibration_error: float
    confusions: NDArray[np.float32]
    per_class_recall: dict[str, float]

    def total(self, value: Callable[[RowRecord], float]) -> float:
        """Return the sum of a figure over the rows: cost of all folds."""
        return sum(value(row) for row in self.rows)

    def mean(self, value: Callable[[RowRecord], float]) -> float:
        """Return the mean of a figure over the rows."""
        return self.total(value) / len(self.rows)


@dataclass(frozen=True, slots=True)
class Reach:
    """What one arm reached on one set: means over its seeds, and how sure another test set would give the same.

    Attributes:
        set, arm: which.
        seeds: how many.
        figures: each with its 95 % interval over the test groups.
    """

    set: str
    arm: str
    seeds: int
    figures: dict[Figure, Interval]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The norm loop less one other arm, on one set, in one figure.

    Attributes:
        set, arm, figure: which.
        pairs: seeds that both have.
        mean: of the differences.
        over_seeds: 95 % interval; None with fewer than two pairs.
        over_groups: 95 % interval over the test groups, with the seeds as they are.
        verdict: of the norm loop.
    """

    set: str
    arm: str
    figure: Figure
    pairs: int
    mean: float
    over_seeds: Interval | None
    over_groups: Interval
    verdict: Verdict


def pool_folds(rows: Iterable[RowRecord], sides: Mapping[str, HeldOut]) -> list[SeedResult]:
    """Return one result for each set, arm and seed; seeds that lack a fold are left out.

    Args:
        rows: of one variant.
        sides: test images, by their digest.

    Raises:
        KeyError: the test images of a row are not among `sides`.
    """
    together: dict[tuple[str, str, int], list[RowRecord]] = defaultdict(list)
    for row in sorted(rows, key=lambda record: record.row):
        together[row.row.set, row.row.arm, row.row.seed].append(row)
    return [
        _result(key, tuple(found), sides)
        for key, found in together.items()
        if found[0].row.fold == ALL_IMAGES or len(found) == FOLDS
    ]


def resample_groups(results: Iterable[SeedResult]) -> Resamples:
    """Return the figures of every result, (B,) float64 each, over 10,000 resamples of its test groups.

    Note:
        The same resamples for all arms of a set; about 0.2 s an arm and seed of 2,500 images.
    """
    return {(result.set, result.arm, result.seed): _resample(result.confusions) for result in results}


def reach_of(results: Sequence[SeedResult], resamples: Resamples) -> list[Reach]:
    """Return what every arm reached on every set, in the order of the results.

    Args:
        results: of one variant.
        resamples: of all of them.
    """
    found: list[Reach] = []
    for (name, arm), own in _by_set_and_arm(results).items():
        figures: dict[Figure, Interval] = {}
        for figure in FIGURES:
            mean = float(np.mean([getattr(result, figure) for result in own.values()]))
            curves = [resamples[name, arm, seed][figure] for seed in own]
            figures[figure] = percentile_interval(mean, np.mean(curves, axis=0))
        found.append(Reach(name, arm, len(own), figures))
    return found


def compare_arms(results: Sequence[SeedResult], resamples: Resamples) -> list[Comparison]:
    """Return the norm loop against every other arm, set by set, in the order of the results.

    Args:
        results: of one variant.
        resamples: of all of them.
    """
    by_arm = _by_set_and_arm(results)
    compared: list[Comparison] = []
    for (name, arm), seeds in by_arm.items():
        if arm != NORM and (name, NORM) in by_arm:
            compared += _compare(by_arm[name, NORM], seeds, resamples)
    return compared


def verdict(over_seeds: Interval | None, over_groups: Interval) -> Verdict:
    """Return how the norm loop stands: a difference that one of the intervals lets vanish stays open."""
    if over_seeds is None:
        return "too few seeds"
    if not (over_seeds.excludes_zero and over_groups.excludes_zero):
        return "open"
    if over_seeds.low > 0.0 and over_groups.low > 0.0:
        return "better"
    return "worse" if over_seeds.high < 0.0 and over_groups.high < 0.0 else "open"


def _result(key: tuple[str, str, int], rows: tuple[RowRecord, ...], sides: Mapping[str, HeldOut]) -> SeedResult:
    confusions = np.concatenate([_group_confusions(row, sides[row.test_side]) for row in rows])
    scores = score_confusion(confusions.sum(axis=0).round().astype(np.int64))
    present = scores.counts > 0
    return SeedResult(
        *key,
        rows=rows,
        macro_f1=scores.macro_f1,
        worst_class_recall=scores.worst_class_recall,
        balanced_accuracy=float(scores.recalls[present].mean()),
        accuracy=scores.accuracy,
        calibration_error=sum(row.test.calibration_error for row in rows) / len(rows),
        confusions=confusions,
        per_class_recall={name: float(scores.recalls[k]) for k, name in enumerate(rows[0].classes) if present[k]},
    )


def _group_confusions(row: RowRecord, side: HeldOut) -> NDArray[np.float32]:
    """Return (G, K, K) float32: true against predicted of each group, groups in the order of their names."""
    names, at = np.unique(np.array(side.groups), return_inverse=True)
    predicted = np.frombuffer(bytes.fromhex(row.predicted), np.uint8)
    confusions = np.zeros((len(names), len(side.classes), len(side.classes)), np.float32)
    np.add.at(confusions, (at, np.array(side.class_ids), predicted), 1.0)
    return confusions


def _by_set_and_arm(results: Iterable[SeedResult]) -> dict[tuple[str, str], dict[int, SeedResult]]:
    found: dict[tuple[str, str], dict[int, SeedResult]] = defaultdict(dict)
    for result in results:
        found[result.set, result.arm][result.seed] = result
    return dict(found)


def _compare(
    norms: Mapping[int, SeedResult], others: Mapping[int, SeedResult], resamples: Resamples
) -> list[Comparison]:
    """Return the comparisons of two arms over the seeds that both have."""
    seeds = sorted(set(norms) & set(others))
    pairs = [(norms[seed], others[seed]) for seed in seeds]
    found: list[Comparison] = []
    for figure in FIGURES if pairs else ():
        differences = np.array([getattr(norm, figure) - getattr(other, figure) for norm, other in pairs], np.float64)
        mean = float(differences.mean())
        name, arm = pairs[0][1].set, pairs[0][1].arm
        curves = [resamples[name, NORM, s][figure] - resamples[name, arm, s][figure] for s in seeds]
        over_groups = percentile_interval(mean, np.mean(curves, axis=0))
        over_seeds = t_interval(differences) if len(seeds) > 1 else None
        compared = (len(seeds), mean, over_seeds, over_groups, verdict(over_seeds, over_groups))
        found.append(Comparison(name, arm, figure, *compared))
    return found


def _resample(confusions: NDArray[np.float32]) -> Curves:
    """Return all figures, (B,) float64, of 10,000 resamples of the groups: the same draws for equally many groups."""
    groups, count, _ = confusions.shape
    flat = confusions.reshape(groups, count * count)
    chunks = [
        _figures((weights @ flat).reshape(-1, count, count).astype(np.float64))
        for weights in resampled_weights(groups, np.random.default_rng(groups))
    ]
    return {figure: np.concatenate([chunk[figure] for chunk in chunks]) for figure in FIGURES}


def _figures(confusions: NDArray[np.float64]) -> Curves:
    """Return the figures, (B,) each, of (B, K, K) confusions; classes without a sample count nowhere."""
    counts, predicted = confusions.sum(axis=2), confusions.sum(axis=1)  # (B, K)
    right = np.diagonal(confusions, axis1=1, axis2=2)
    present = counts > 0
    f1s = np.where(present, 2 * right / np.maximum(counts + predicted, 1), 0.0)
    recalls = np.where(present, right / np.maximum(counts, 1), np.inf)
    return {
        "accuracy": right.sum(axis=1) / counts.sum(axis=1),
        "macro_f1": f1s.sum(axis=1) / present.sum(axis=1),
        "worst_class_recall": recalls.min(axis=1),
    }
