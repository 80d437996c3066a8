r"""Round-trip times in classes: what a median hides, such as a timer that strikes every 16 ms.

>>> print("\n".join(histogram_rows(histogram([200_000, 300_000, 310_000, 700_000]))))
<= 0.25 ms ####################                     1
<= 0.5 ms  ######################################## 2
<= 1 ms    ####################                     1
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = ["RttClass", "histogram", "histogram_rows"]

_CLASSES_MS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_BAR: Final = 40


class RttClass(msgspec.Struct, frozen=True):
    """So many round trips took up to `up_to_ms`, and longer than the class before; null has no upper limit."""

    up_to_ms: float | None
    count: int


def histogram(rtts_ns: Sequence[int]) -> tuple[RttClass, ...]:
    """Return classes, from the first to the last that is not empty."""
    limits: tuple[float | None, ...] = (*_CLASSES_MS, None)
    counts = [0] * len(limits)
    for rtt_ns in rtts_ns:
        counts[bisect_left(_CLASSES_MS, rtt_ns / 1e6)] += 1
    used = [number for number, count in enumerate(counts) if count]
    classes = tuple(RttClass(limit, count) for limit, count in zip(limits, counts, strict=True))
    return classes[used[0] : used[-1] + 1] if used else ()


def histogram_rows(classes: Sequence[RttClass]) -> list[str]:
    """Return a bar for each class, the longest for the fullest."""
    most = max((one.count for one in classes), default=0)
    rows = []
    for one in classes:
        label = "more" if one.up_to_ms is None else f"<= {one.up_to_ms:g} ms"
        rows.append(f"{label:<11}{'#' * -(-one.count * _BAR // most):<{_BAR}} {one.count}")
    return rows
