"""Whose label is more likely wrong than hard: chances from the scores of models that never saw the sample. Pure numpy.

Knows no files, no networks and no rounds. Two questions, answered from the same scores:

How many labels are wrong? Where models are surest they hardly err, so what contradicts them there is wrong labels.
Which? A wrong label fits its picture like any label fits a picture of another class, and that can be looked up: in the
scores of all the samples of other classes. So many labels as should fit that badly, against how many do, is the chance.

A rare class is often contradicted because it is little known. That alone puts nothing in doubt: how many of its labels
are wrong is expected from the flips among the other classes, and with few flips few are held back.

>>> scores = np.array([[0.9, 0.1]] * 110 + [[0.1, 0.9]] * 100)
>>> labels = np.array([0] * 100 + [1] * 110)
>>> found = find_suspects(labels, scores, np.ones(210, np.bool_), QuarantineSettings())
>>> np.flatnonzero(found.is_suspect).tolist()
[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]
"""

from collections import deque
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence", "Flips", "QuarantineSettings", "Verdicts", "estimate_flips", "find_suspects", "label_fits"]

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

_TIERS: Final = (0.5, 0.7, 0.9)  # quantiles of sureness, by predicted class
_PRIOR_ROWS: Final = 20.0  # sure rows of a class that weigh as much as the flips into the other classes
_MOST_BEYOND: Final = 0.1  # of a class's labels, believed wrong on its own testimony
_LEAST_SCORE: Final = 1e-4  # scores below are told apart by rounding alone
_MOST_STEPS: Final = 1000  # of a class's staircase: finer ones change no verdict and cost time


class QuarantineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is held back as mislabelled, and who is shown to a person.

    Attributes:
        mode: "auto" holds back only where the share of wrong labels is proven to reach `least_noise`, by two standard
            errors; "on" always, "off" never.
        least_noise: see `mode` (0..1).
        doubt: a sample is neither drawn nor learnt from while its label is wrong with at least this chance (0..1). Far
            below one half, since of what stays wrong and would be drawn far more is wrongly labelled than of the pool.
        review: a person is asked about a sample whose label is wrong with at least this chance (0..1).
        class_share: at most this share of a class's samples, the surest first; more is no matter of single labels.
        survey_steps: optimiser steps of each of the two blind fits before the first round, on one half of the pool
            each; 0 makes none, then only the rounds' own models testify.
        looks: so many of the last rounds count beside the survey.
    """

    mode: Literal["off", "auto", "on"] = "auto"
    least_noise: Share = 0.01
    doubt: Share = 0.1
    review: Share = 0.5
    class_share: Share = 0.5
    survey_steps: Annotated[int, msgspec.Meta(ge=0)] = 600
    looks: Annotated[int, msgspec.Meta(ge=1)] = 3


@dataclass(frozen=True, slots=True)
class Flips:
    """How many labels are wrong.

    Attributes:
        noise_share: of all labels, 0..1.
        proven_share: two standard errors lower, so much at least with some certainty.
        expected: (K, K) float64, number of samples that truly are of the row's class and are labelled as the column's;
            the diagonal is 0.
    """

    noise_share: float
    proven_share: float
    expected: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the scores say of each label.

    Attributes:
        noise_share: estimated share of wrong labels, 0..1.
        wrong: (N,) float64, the chance that the label is wrong, 0..1.
        suggested_ids: (N,) int64, the class that scores highest beside the label.
        is_doubtful: (N,) bool, held back: neither drawn nor learnt from.
        is_suspect: (N,) bool, of these, those that a person should see.
    """

    noise_share: float
    wrong: NDArray[np.float64]
    suggested_ids: NDArray[np.int64]
    is_doubtful: NDArray[np.bool_]
    is_suspect: NDArray[np.bool_]


class Evidence:
    """What models said of samples that they had not learnt from, look after look.

    Args:
        class_ids: (N,) int64 labels in 0..K-1.
        class_count: K.
        looks: so many of the last rounds count, beside the survey.
    """

    def __init__(self, class_ids: NDArray[np.int64], class_count: int, looks: int) -> None:
        self._class_ids = class_ids
        self._class_count = class_count
        self._survey: list[_Look] = []
        self._rounds: deque[_Look] = deque(maxlen=looks)

    def add_survey(self, scores: NDArray[np.float16]) -> None:
        """Take the scores (N, K) of the blind fits before the first round; all 0 in the rows that none has seen."""
        self._survey = [_Look(scores, np.asarray(scores.any(axis=1), np.bool_))]

    def add_round(
        self, scores: NDArray[np.float16], training: NDArray[np.bool_], *, is_out_of_fold: bool = False
    ) -> None:
        """Take what a round's models said.

        Args:
            scores: (N, K).
            training: (N,) bool, what the round's model has learnt from.
            is_out_of_fold: the scores of these rows, too, come from models that have not learnt from them.

        Note:
            A model that has learnt a label is no witness for it. Where it contradicts the label all the same, it is
            one against. A model that has learnt nothing of a class is no witness about samples labelled so.
        """
        rows = np.isin(self._class_ids, self._class_ids[training])
        if not is_out_of_fold:
            rows &= ~training | np.not_equal(scores.argmax(axis=1), self._class_ids)
        self._rounds.append(_Look(scores, rows))

    def mean_scores(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean of the looks at each row, (N, K) float64, equal for all classes where there was none; and,
        (N,) bool, where there was one.
        """  # noqa: D205
        sums = np.zeros((len(self._class_ids), self._class_count))
        counts = np.zeros(len(self._class_ids), np.int64)
        for look in (*self._survey, *self._rounds):
            sums[look.rows] += look.scores[look.rows]
            counts += look.rows
        is_seen = counts > 0
        sums[~is_seen] = 1 / self._class_count
        return sums / np.maximum(counts, 1)[:, None], is_seen


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the samples: scores (N, K), and of which rows they count, (N,) bool."""

    scores: NDArray[np.float16]
    rows: NDArray[np.bool_]


def find_suspects(
    class_ids: NDArray[np.int64],
    scores: NDArray[np.float64],
    counted: NDArray[np.bool_],
    settings: QuarantineSettings,
) -> Verdicts:
    """Return how likely each label is wrong, and who is held back for it.

    Args:
        class_ids: (N,) int64 labels in 0..K-1.
        scores: (N, K) float64 in 0..1, K >= 2, by models that never saw the row; the mean where there were several.
        counted: (N,) bool, rows that chances are estimated from; the others are judged by them. A row that no model
            has looked at yet is not counted and has equal scores for all classes: it is never in doubt.
        settings: limits.

    Note:
        Only a label that the scores contradict is in doubt. Within a class, the worse a label fits the higher its
        chance, and equal fits have equal chances. Cost: sorting, about 10 ms for 10,000 rows of 7 classes.

    Source:
        Efron 2010, Large-Scale Inference, section 5: the local false discovery rate, with a null that is looked up
        here instead of assumed. Northcutt et al. 2021, Confident Learning, section 3: joint counts of given and likely
        labels; theirs come from all rows above a class's mean, ours from the surest alone, since a weak model's
        mistakes would count as noise.
    """
    count, class_count = scores.shape
    rows = np.arange(count)
    fits = label_fits(scores)  # (N, K)
    flips = estimate_flips(class_ids, scores, counted)
    wrong = np.zeros(count)
    for class_id in range(class_count):
        labelled = class_ids == class_id
        foreign = [fits[counted & (class_ids == other), class_id] for other in range(class_count)]
        stairs = _chances(fits[counted & labelled, class_id], foreign, flips.expected[:, class_id])
        wrong[labelled] = stairs.at(fits[labelled, class_id])
    others = scores.copy()
    others[rows, class_ids] = -1.0
    is_on = settings.mode == "on" or (settings.mode == "auto" and flips.proven_share >= settings.least_noise)
    is_contradicted = (fits[rows, class_ids] < 0) & np.bool_(is_on)
    is_doubtful = _surest(is_contradicted & (wrong >= settings.doubt), wrong, class_ids, settings.class_share)
    is_suspect = is_doubtful & (wrong >= settings.review)
    return Verdicts(flips.noise_share, wrong, others.argmax(axis=1).astype(np.int64), is_doubtful, is_suspect)


def label_fits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, (N, K) float64, how well each class would fit as the label: the logarithm of its score over the highest
    other one; negative where the scores (N, K) contradict it.
    """  # noqa: D205
    logs = np.log(np.maximum(scores, _LEAST_SCORE))
    ordered = np.sort(logs, axis=1)
    first, second = ordered[:, -1:], ordered[:, -2:-1]
    fits: NDArray[np.float64] = logs - np.where(logs == first, second, first)
    return fits


def estimate_flips(class_ids: NDArray[np.int64], scores: NDArray[np.float64], counted: NDArray[np.bool_]) -> Flips:
    """Return how many labels are wrong, as the surest predictions tell it.

    Args:
        class_ids: (N,) int64 labels.
        scores: (N, K) float64 by models that never saw the row.
        counted: (N,) bool, rows that count.

    Returns:
        Counted among the surest half, three tenths or tenth of all and of each predicted class, where fewest show:
        mistakes of a model grow rare as it gets surer, wrong labels do not. Into each class so many flips are believed
        as go into the other classes, by their median. Where its own labels show more, a tenth of them at most is
        believed beyond that: a class that models do not know looks like a class full of wrong labels.
    """
    class_count, rows = scores.shape[1], int(counted.sum())
    labels, scores = class_ids[counted], scores[counted]
    joint = min((_joint_counts(labels, scores, tier) for tier in _TIERS), key=_most_noise)  # rows predicted
    sure = joint.sum(axis=1)  # (K,)
    flipped = joint - np.diag(np.diag(joint))
    rates = flipped.sum(axis=0) / np.maximum(1.0, sure.sum() - sure)  # (K,) of the other classes' samples, into each
    even = np.array([np.median(np.delete(rates, class_id)) for class_id in range(class_count)])  # (K,)
    sizes = np.bincount(scores.argmax(axis=1), minlength=class_count)[:, None]  # (K, 1)
    shown = sizes * (flipped + _PRIOR_ROWS * even) / (sure[:, None] + _PRIOR_ROWS)  # (K, K)
    expected = np.minimum(shown, sizes * even)
    beyond = shown - expected
    np.fill_diagonal(expected, 0.0)
    np.fill_diagonal(beyond, 0.0)
    most = _MOST_BEYOND * np.bincount(labels, minlength=class_count)
    expected += beyond * np.minimum(1.0, most / np.maximum(beyond.sum(axis=0), 1e-9))
    noise_share = float(expected.sum()) / max(1, rows)
    share, error = _noise_of(joint)
    return Flips(noise_share, noise_share * max(0.0, 1 - 2 * error / share) if share else 0.0, expected)


def _noise_of(joint: NDArray[np.float64]) -> tuple[float, float]:
    """Return the share of joint counts (K, K) off the diagonal and its standard error."""
    count = max(1.0, float(joint.sum()))
    share = float(joint.sum() - np.trace(joint)) / count
    return share, float(np.sqrt(share * (1 - share) / count))


def _most_noise(joint: NDArray[np.float64]) -> float:
    """Return the share of joint counts (K, K) off the diagonal, plus two standard errors: few rows prove little."""
    share, error = _noise_of(joint)
    return share + 2 * error


def _joint_counts(class_ids: NDArray[np.int64], scores: NDArray[np.float64], tier: float) -> NDArray[np.float64]:
    """Return (K, K) counts of the rows surer than a tier of all and of their class: rows predicted, columns labels.

    The surest of a class that the model hardly knows are not sure.
    """
    class_count = scores.shape[1]
    predicted, sureness = scores.argmax(axis=1), scores.max(axis=1)
    joint = np.zeros((class_count, class_count))
    is_high = sureness >= np.quantile(sureness, tier) if sureness.size else np.zeros(0, np.bool_)
    for class_id in np.unique(predicted):
        own = predicted == class_id
        is_sure = own & is_high & (sureness >= np.quantile(sureness[own], tier))
        joint[class_id] = np.bincount(class_ids[is_sure], minlength=class_count)
    return joint


@dataclass(frozen=True, slots=True)
class _Stairs:
    """A chance that falls in steps: `chances[i]` up to and with `ends[i]`, ascending; 0 beyond the last."""

    ends: NDArray[np.float64]
    chances: NDArray[np.float64]

    def at(self, fits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.append(self.chances, 0.0)[np.searchsorted(self.ends, fits, side="left")]


def _chances(own: NDArray[np.float64], foreign: list[NDArray[np.float64]], expected: NDArray[np.float64]) -> _Stairs:
    """Return the chance that a label of one class is wrong, by how well it fits.

    Args:
        own: fits of the class to the samples labelled so.
        foreign: of each class, fits of this one to the samples labelled as that one.
        expected: (K,) number of samples of each class that are labelled as this one by mistake.

    Returns:
        Wrong labels expected per label found, made falling: the slopes of the least concave curve over the running
        sums (the Grenander estimate).
    """
    if own.size == 0:
        return _Stairs(np.zeros(0), np.zeros(0))
    fits, counts = np.unique(own, return_counts=True)
    found = np.cumsum(counts)
    keep = np.unique(np.linspace(0, fits.size - 1, _MOST_STEPS).astype(np.int64))
    fits, found = fits[keep], found[keep]
    wrong = np.zeros(fits.size)
    for other, number in zip(foreign, expected.tolist(), strict=True):
        if other.size and number > 0:
            wrong += number * np.searchsorted(np.sort(other), fits, side="right") / other.size
    corners = _concave_corners(np.append(0.0, found), np.append(0.0, wrong))
    slopes = np.diff(np.append(0.0, wrong)[corners]) / np.diff(np.append(0.0, found)[corners])
    return _Stairs(fits[corners[1:] - 1], np.minimum(slopes, 1.0))


def _concave_corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return positions of the points that the least concave curve over (x, y) bends at, first and last included."""
    corners: list[int] = []
    for at in range(x.size):
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (y[b] - y[a]) * (x[at] - x[b]) > (y[at] - y[b]) * (x[b] - x[a]):
                break
            corners.pop()
        corners.append(at)
    return np.array(corners, np.int64)


def _surest(
    is_doubtful: NDArray[np.bool_], wrong: NDArray[np.float64], class_ids: NDArray[np.int64], class_share: float
) -> NDArray[np.bool_]:
    """Return the doubtful, of each class no more than a share of its rows: the surest, equal ones by row."""
    kept = np.zeros_like(is_doubtful)
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(is_doubtful & (class_ids == class_id))
        most = int(class_share * np.count_nonzero(class_ids == class_id))
        kept[rows[np.argsort(-wrong[rows], kind="stable")][:most]] = True
    return kept
