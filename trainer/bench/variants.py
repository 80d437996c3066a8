"""What is done to a data set before an arm sees it: long tails, wrong labels, folds. Pure, and by content alone.

Everything is decided by hashes of sample ids and the seed, never by the order of files. The test side keeps its labels
and its samples.

>>> ranks(("a", "b", "c"), seed=1)
{'a': 1, 'b': 2, 'c': 0}
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Final, assert_never

import numpy as np

from edge_runtime.storage import sha256_hex
from trainer.bench.row_record import ALL_IMAGES, Variant
from trainer.judge.validation import FOLDS, LEAST_VALIDATION, assign_folds

__all__ = [
    "NOISE_SHARE",
    "TAIL_RATIO",
    "BenchSample",
    "make_longtail",
    "make_noise",
    "needs_folds",
    "ranks",
    "take_fold",
    "vary",
]

TAIL_RATIO: Final = 10  # largest class to smallest
NOISE_SHARE: Final = Fraction(1, 10)  # of each class, on each side but the test


@dataclass(frozen=True, slots=True)
class BenchSample:
    """A sample without its pixels: id, label, group, side of the split."""

    sample_id: str
    class_name: str
    group: str
    split: str


def vary(samples: Sequence[BenchSample], variant: Variant, *, seed: int, fold: int = ALL_IMAGES) -> list[BenchSample]:
    """Return a set as an arm is to see it, in order of sample ids.

    Args:
        samples: all of the set, each id once.
        variant: "plain" changes nothing.
        seed: decides which class is rare, which samples go, which labels are wrong.
        fold: this fifth of all images becomes the test side, everything else trains; -1 keeps the sides.
    """
    ordered = sorted(samples, key=lambda sample: sample.sample_id)
    sided = ordered if fold == ALL_IMAGES else take_fold(ordered, fold)
    match variant:
        case "plain":
            return sided
        case "longtail":
            return make_longtail(sided, seed)
        case "noise":
            return make_noise(sided, seed)
        case _:
            assert_never(variant)


def needs_folds(samples: Iterable[BenchSample]) -> bool:
    """Return whether a class has fewer than 20 test images: then the set is judged over five folds of all of it."""
    counts: dict[str, int] = defaultdict(int)
    for sample in samples:
        counts[sample.class_name] += sample.split == "test"
    return min(counts.values(), default=0) < LEAST_VALIDATION


def take_fold(samples: Sequence[BenchSample], fold: int) -> list[BenchSample]:
    """Return all samples with one fifth of the groups as the test side, and the rest as the training side."""
    names = sorted({sample.class_name for sample in samples})
    class_ids = np.array([names.index(sample.class_name) for sample in samples], np.int64)
    folds = assign_folds(tuple(sample.group for sample in samples), class_ids, FOLDS).tolist()
    return [replace(s, split="test" if at == fold else "train") for s, at in zip(samples, folds, strict=True)]


def ranks(class_names: Sequence[str], *, seed: int) -> dict[str, int]:
    """Return the place of each class in the tail, 0 the most frequent; it moves on by one with every seed."""
    count = len(class_names)
    return {name: (at + seed) % count for at, name in enumerate(sorted(class_names))}


def make_longtail(samples: Sequence[BenchSample], seed: int) -> list[BenchSample]:
    """Return the samples with class sizes that decay geometrically, the largest ten times the smallest.

    Training and validation side each decay on their own, from the largest size that every class can still follow. A
    class keeps up to 20 validation samples, so that the way a run is judged does not change with the variant.

    Args:
        samples: of at least two classes.
        seed: which class is rare, and which of its samples stay.
    """
    place = ranks(sorted({sample.class_name for sample in samples}), seed=seed)
    kept = [sample for sample in samples if sample.split == "test"]
    for side in ("train", "validation"):
        members = _by_class(sample for sample in samples if sample.split == side)
        if not members:
            continue
        share = {name: TAIL_RATIO ** (-place[name] / max(1, len(place) - 1)) for name in members}
        head = min(len(members[name]) / share[name] for name in members)
        least = LEAST_VALIDATION if side == "validation" else 1
        for name, own in members.items():
            wanted = max(least, floor(head * share[name] + 0.5))
            kept += sorted(own, key=lambda sample: _lot("longtail", seed, sample.sample_id))[:wanted]
    return sorted(kept, key=lambda sample: sample.sample_id)


def make_noise(samples: Sequence[BenchSample], seed: int) -> list[BenchSample]:
    """Return the samples with a tenth of the labels of each class wrong, on each side but the test.

    A wrong label is one of the other classes, each as likely as the next.

    Args:
        samples: of at least two classes.
        seed: which labels, and what they become.
    """
    names = sorted({sample.class_name for sample in samples})
    wrong: dict[str, str] = {}
    for side in ("train", "validation"):
        for name, own in _by_class(sample for sample in samples if sample.split == side).items():
            count = floor(NOISE_SHARE * len(own) + Fraction(1, 2))
            others = [other for other in names if other != name]
            for sample in sorted(own, key=lambda sample: _lot("noise", seed, sample.sample_id))[:count]:
                wrong[sample.sample_id] = others[int(_lot("label", seed, sample.sample_id), 16) % len(others)]
    return [replace(sample, class_name=wrong.get(sample.sample_id, sample.class_name)) for sample in samples]


def _by_class(samples: Iterable[BenchSample]) -> dict[str, list[BenchSample]]:
    members: dict[str, list[BenchSample]] = defaultdict(list)
    for sample in samples:
        members[sample.class_name].append(sample)
    return members


def _lot(what: str, seed: int, sample_id: str) -> str:
    return sha256_hex(f"{what}:{seed}:{sample_id}".encode())
