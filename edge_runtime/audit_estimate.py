"""How often the machine is wrong, estimated from the labelled audit slice, with an interval that holds. Pure.

The slice was drawn by chance alone, so its share of mistakes is that of everything the machine classified. It knows
headers; not where they lie or who labelled them.

>>> [round(bound, 4) for bound in proportion_interval(0, 100)]
[0.0, 0.0362]
"""

from collections.abc import Iterable
from math import exp, lgamma, log, log1p
from typing import Final

import msgspec

from edge_runtime.residual import ResidualHeader

__all__ = ["AuditEstimate", "audit_estimate", "proportion_interval"]

_CONFIDENCE: Final = 0.95
_BISECTIONS: Final = 60
_TERMS: Final = 2000
_TINY: Final = 1e-300
_CLOSE: Final = 1e-13


class AuditEstimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine's error rate.

    Attributes:
        labelled: audit records with a label; unlabelled: those that nobody has named yet, which tell nothing.
        wrong: labelled ones that the machine called something else.
        error_rate: estimated share 0..1 of objects that get a wrong class; None without labels.
        low, high: 95 % interval of it; 0 and 1 without labels.
        effective: number of objects sampled at one rate that would tell as much; `labelled` when all rates are equal.
    """

    labelled: int
    unlabelled: int
    wrong: int
    error_rate: float | None
    low: float
    high: float
    effective: float


def audit_estimate(headers: Iterable[ResidualHeader]) -> AuditEstimate:
    """Estimate the share of objects that get a wrong class.

    Args:
        headers: of any records; those that are no audit samples, or were sampled at no rate, are passed over.

    Returns:
        The share, each object weighed by one over the rate at which it was sampled, and an interval that contains the
        true share in at least 95 of 100 such samples: see `proportion_interval`; where rates differ, on the number of
        objects that would tell as much.

    Source:
        Korn and Graubard, Survey Methodology 24 (1998), for unequal rates; without their correction by Student's t,
        which matters for samples of a few clusters alone.
    """
    audited = [header for header in headers if header.failure == "audit" and header.audit_rate > 0]
    labelled = [header for header in audited if header.truth.label]
    unlabelled = len(audited) - len(labelled)
    if not labelled:
        return AuditEstimate(0, unlabelled, 0, None, 0.0, 1.0, 0.0)
    is_wrong = [header.truth.label != header.predicted_class for header in labelled]
    weights = [1.0 / header.audit_rate for header in labelled]
    total = sum(weights)
    rate = sum(weight for weight, wrong in zip(weights, is_wrong, strict=True) if wrong) / total
    effective = total**2 / sum(weight**2 for weight in weights)
    variance = sum((weight * (wrong - rate)) ** 2 for weight, wrong in zip(weights, is_wrong, strict=True)) / total**2
    if variance > 0:
        effective = min(effective, rate * (1 - rate) / variance)
    low, high = proportion_interval(rate * effective, effective)
    return AuditEstimate(len(labelled), unlabelled, sum(is_wrong), rate, low, high, effective)


def proportion_interval(hits: float, trials: float, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """Return lowest and highest share 0..1 that go with `hits` of `trials`.

    Args:
        hits: 0..trials; need not be whole.
        trials: > 0.
        confidence: least probability, 0..1, with which the interval contains the true share.

    Source:
        Clopper and Pearson, Biometrika 26 (1934): each bound leaves half of the rest outside, for every share. It is
        wider than it must be; Wilson's interval is not, and misses rare mistakes too often.
    """
    tail = (1 - confidence) / 2
    low = _solve(tail, hits, trials - hits + 1) if hits > 0 else 0.0
    high = _solve(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return low, high


def _solve(probability: float, a: float, b: float) -> float:
    """Return x at which the incomplete beta function of a and b is `probability`."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function at x in 0..1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front * _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Return the fraction of the incomplete beta function, by Lentz's rule (Abramowitz and Stegun 26.5.8)."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        before = value
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + step * d)
            c = _not_zero(1 + step / c)
            value *= c * d
        if abs(value - before) < _CLOSE * abs(value):
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
