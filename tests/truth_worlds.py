"""Worlds whose truth is known: a model with calibrated scores, impure lots, verdicts that lose their pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from strategies import objects_at, verdicts_at

from edge_runtime.audit_estimate import audit_estimate, proportion_interval
from edge_runtime.label_trust import ModelBelief, lot_trust, verdict_trust
from edge_runtime.matching import VerdictMatcher
from edge_runtime.residual import ResidualHeader, Truth
from edge_runtime.schemas import ResidualPolicy

__all__ = [
    "MIX",
    "Belt",
    "Joined",
    "ScoredWorld",
    "Sifted",
    "audit_coverage",
    "audit_header",
    "calibration",
    "joined_verdicts",
    "lots",
    "verdicts",
]

POLICY: Final = ResidualPolicy()
MIX: Final = np.array([0.66, 0.14, 0.07, 0.06, 0.04, 0.03])
BINS: Final = (0.0, 0.5, 0.9, 0.97, 0.99, 0.995, 0.998, 0.999, 1.0 + 1e-9)
LOT_PIECES: Final = 30_000
AUDIT_RUNS: Final = 500
_TICKS_A_SECOND: Final = 1_000_000
_BATCH_TICKS: Final = 250_000
_HEADER: Final = ResidualHeader(
    machine="m", lot="l", camera="c", line=0, column=0, utc="", encoder=0, side_px=8, channels=1,
    predicted_class="rice", scores=(), action="accept", acknowledged="none", norm_q16=0, norm_numerator=0,
    norm_denominator=1, model_id="a" * 64, recipe_digest="b" * 64, truth=Truth("T8", "rice", 1.0, "person"),
    failure="audit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScoredWorld:
    """Classes as normal clouds, and the model that knows them exactly but for the novel pieces.

    Attributes:
        means: (K, D) float64, middle of each class.
        novel_share: share of pieces that lie six tenths of the way to another class: the model is wrong and sure.
    """

    means: NDArray[np.float64]
    novel_share: float

    @staticmethod
    def make(
        rng: np.random.Generator, *, classes: int = 6, distance: float = 2.5, novel_share: float = 0.0
    ) -> "ScoredWorld":
        """Draw a world; the larger the distance, the better its model."""
        return ScoredWorld(distance * rng.normal(0, 1, (classes, 6)), novel_share)

    def score(self, kinds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a piece of each kind and return the model's scores, (N, K)."""
        count, (classes, dims) = kinds.size, self.means.shape
        points = self.means[kinds] + rng.normal(0, 1, (count, dims))
        others = (kinds + 1 + rng.integers(max(1, classes - 1), size=count)) % classes
        is_novel = rng.random(count) < self.novel_share
        points += 0.6 * is_novel[:, None] * (self.means[others] - self.means[kinds])
        logits = -0.5 * ((points[:, None] - self.means) ** 2).sum(axis=-1)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def lot(
        self, label: int, count: int, purity: float, rng: np.random.Generator, *, is_kin: bool = False
    ) -> NDArray[np.int64]:
        """Draw the true classes of a lot, (count,); with `is_kin` all impurities are of the class most like its own."""
        classes = len(self.means)
        others = (label + 1 + rng.integers(max(1, classes - 1), size=count)) % classes
        if is_kin:
            distances = ((self.means - self.means[label]) ** 2).sum(axis=1)
            others[:] = np.argsort(distances)[1]
        return np.where(rng.random(count) < purity, label, others)


@dataclass(frozen=True, slots=True)
class Belt:
    """Pieces on a belt with 26 lanes and an inspection behind it.

    Attributes:
        rate_hz: pieces a second.
        seconds: how long.
        unseen: share of pieces that the machine never saw as an object.
        strayed: share of pieces that reach the inspection one lane further.
        scatter_ticks: standard deviation of the time of arrival; tails: "normal" or "laplace", which has longer ones.
        looked_at: share of pieces that the inspection looks at.
        tolerance_ticks: of the matching.
    """

    rate_hz: float = 2000.0
    seconds: float = 60.0
    unseen: float = 0.1
    strayed: float = 0.15
    scatter_ticks: float = 100.0
    tails: str = "normal"
    looked_at: float = 0.5
    tolerance_ticks: int = 750


@dataclass(frozen=True, slots=True)
class Joined:
    """Pairs: the piece that the machine saw, the piece that the inspection meant, and the stated probability."""

    objects: NDArray[np.int64]
    verdicts: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether both are one piece."""
        return np.asarray(self.objects == self.verdicts, np.bool_)


def joined_verdicts(belt: Belt, count: int, rng: np.random.Generator) -> Joined:
    """Let `count` pieces pass and join what the inspection says of them, batch by batch as a host does."""
    ticks = np.sort(rng.integers(0, int(belt.seconds * _TICKS_A_SECOND), count))
    lanes = rng.integers(0, 26, count)
    scatter = rng.normal(0, 1, count) if belt.tails == "normal" else rng.laplace(0, 0.5**0.5, count)
    seen_ticks = np.rint(ticks + 30 + belt.scatter_ticks * scatter).astype(np.int64)
    seen_lanes = np.where(rng.random(count) < belt.strayed, (lanes + 1) % 26, lanes)
    is_object, is_seen = rng.random(count) >= belt.unseen, rng.random(count) < belt.looked_at
    matcher = VerdictMatcher(belt.tolerance_ticks)
    parts = []
    for start in range(0, int(ticks.max()) + _BATCH_TICKS, _BATCH_TICKS):
        end, around = start + _BATCH_TICKS, _BATCH_TICKS
        own = np.flatnonzero(is_object & (ticks >= start - around) & (ticks < end + around))
        told = np.flatnonzero(is_seen & (seen_ticks >= start) & (seen_ticks < end))
        objects = objects_at(np.stack([ticks[own], lanes[own]], axis=1))
        rated = matcher.match(objects, verdicts_at(np.stack([seen_ticks[told], seen_lanes[told]], axis=1)))
        parts.append((own[rated.matches.objects], told[rated.matches.verdicts], rated.probabilities))
    return Joined(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True)
class Sifted:
    """What looked like mistakes, and what became of it.

    Attributes:
        apparent: label and decision differ; true: of them mistakes of the model.
        confirmed: teach; confirmed_true: of them mistakes of the model.
        candidates: wait for a person.
    """

    apparent: int
    true: int
    confirmed: int
    confirmed_true: int
    candidates: int

    @staticmethod
    def of(is_true: NDArray[np.bool_], trusts: NDArray[np.float64], *, least: float = POLICY.min_trust) -> "Sifted":
        """Count N apparent mistakes by their truth and by how much their labels are trusted."""
        sure = trusts >= least
        return Sifted(sure.size, int(is_true.sum()), int(sure.sum()), int((sure & is_true).sum()), int((~sure).sum()))

    def plus(self, other: "Sifted") -> "Sifted":
        """Return the sums."""
        return Sifted(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def precision(self) -> float:
        """Share of the confirmed ones that are mistakes of the model; 1 where none is confirmed."""
        return self.confirmed_true / self.confirmed if self.confirmed else 1.0

    @property
    def recall(self) -> float:
        """Share of the model's mistakes that are confirmed."""
        return self.confirmed_true / max(1, self.true)

    def cells(self) -> list[str]:
        """Return the row: apparent, share true, confirmed, precision with its interval, recall, candidates."""
        low, high = proportion_interval(self.confirmed_true, max(1, self.confirmed))
        return [
            f"{self.apparent}",
            f"{self.true / max(1, self.apparent):.3f}",
            f"{self.confirmed}",
            f"{self.precision:.4f} ({low:.4f}..{high:.4f})",
            f"{self.recall:.2f}",
            f"{self.candidates}",
        ]


def lots(
    world: ScoredWorld, purity: float, rng: np.random.Generator, *, stated: float | None = None, is_kin: bool = False
) -> Sifted:
    """Run a teach lot of each class past a world's model, and sift what it gets wrong; `stated` is another purity."""
    classes = len(world.means)
    belief = ModelBelief(np.ones(classes), POLICY.novel_share)
    total = Sifted(0, 0, 0, 0, 0)
    for label in range(classes):
        kinds = world.lot(label, LOT_PIECES, purity, rng, is_kin=is_kin)
        scores = world.score(kinds, rng)
        wrong = scores.argmax(axis=1) != label
        trusts = lot_trust(belief, scores[wrong], label, stated or purity)
        total = total.plus(Sifted.of(kinds[wrong] == label, trusts))
    return total


def verdicts(world: ScoredWorld, belt: Belt, rng: np.random.Generator) -> tuple[Sifted, float, float]:
    """Sort and inspect a stream; return what was sifted, and the share of wrong pairs, of all and of those kept."""
    count = int(belt.rate_hz * belt.seconds)
    kinds = rng.choice(MIX.size, count, p=MIX)
    scores = world.score(kinds, rng)
    joined = joined_verdicts(belt, count, rng)
    sure = joined.probabilities >= POLICY.min_match
    own, told = joined.objects[sure], kinds[joined.verdicts[sure]]
    shares = np.bincount(told, minlength=MIX.size).astype(np.float64) + 1.0
    belief = ModelBelief(np.ones(MIX.size), POLICY.novel_share)
    trusts = verdict_trust(belief, scores[own], told, joined.probabilities[sure], shares)
    wrong = scores[own].argmax(axis=1) != told
    sifted = Sifted.of(kinds[own][wrong] == told[wrong], trusts[wrong])
    return sifted, float((~joined.is_right).mean()), float((~joined.is_right[sure]).sum() / max(1, sure.sum()))


def calibration(belt: Belt, rng: np.random.Generator) -> list[tuple[int, float, float]]:
    """Return for each bin of stated match probability: pairs, mean stated, share right."""
    joined = joined_verdicts(belt, int(belt.rate_hz * belt.seconds), rng)
    found = []
    for low, high in pairwise(BINS):
        own = (joined.probabilities >= low) & (joined.probabilities < high)
        if own.any():
            found.append((int(own.sum()), float(joined.probabilities[own].mean()), float(joined.is_right[own].mean())))
    return found


def audit_coverage(
    error_rate: float, objects: int, rates: Sequence[float], rng: np.random.Generator, *, runs: int = AUDIT_RUNS
) -> tuple[float, float]:
    """Audit streams of known error rate; return the share of intervals that hold it, and their mean width.

    Args:
        error_rate: probability of a wrong class; with several audit rates it is doubled and halved by turns.
        objects: that pass in each stretch of one audit rate.
        rates: audit rate of each stretch.
        rng: of everything.
        runs: audits.
    """
    wrongs = [error_rate * (1.0 if len(rates) == 1 else (2.0, 0.5)[i % 2]) for i in range(len(rates))]
    truth = float(np.mean(wrongs))
    held, width = 0, 0.0
    for _ in range(runs):
        headers = []
        for rate, wrong in zip(rates, wrongs, strict=True):
            taken = int(rng.binomial(objects, rate))
            headers += [audit_header(rate, is_wrong=bool(is_wrong)) for is_wrong in rng.random(taken) < wrong]
        estimate = audit_estimate(headers)
        held += estimate.low <= truth <= estimate.high
        width += (estimate.high - estimate.low) / runs
    return held / runs, width


def audit_header(rate: float, *, is_wrong: bool) -> ResidualHeader:
    """Return the header of a labelled audit record."""
    return msgspec.structs.replace(_HEADER, audit_rate=rate, predicted_class="stone" if is_wrong else "rice")
