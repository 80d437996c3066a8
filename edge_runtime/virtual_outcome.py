"""Which pieces the jets threw out, and what that means for the product: pure physics and arithmetic.

The rule: a piece is deflected when one lane's valve that covers the middle of the piece is open, counting the valve's
own delay, for at least half of the piece's passage over the valve line. Knows no pixels, model or link.

>>> lanes = (Lane(valve=4, from_mm=0.0, to_mm=5.0),)
>>> passages = Passages(np.array([1]), np.array([2.5]), np.array([1000]), np.array([1400]))
>>> deflected(passages, [FiredPulse(0, 4, 1, open_tick=1200, close_tick=1600)], lanes).tolist()
[True]
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.schemas import Lane
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = ["ClassSplit", "Decided", "Passages", "SortReport", "deflected", "score"]


@dataclass(frozen=True, slots=True)
class Passages:
    """N pieces crossing the valve line; ticks are the controller's, microseconds, not wrapped.

    Attributes:
        class_ids: (N,) int64, true class.
        centres_mm: (N,) float64, middle of the piece across the belt.
        begin_ticks: (N,) int64, its first edge reaches the valves.
        end_ticks: (N,) int64, its last edge leaves them; > begin_ticks.
    """

    class_ids: NDArray[np.int64]
    centres_mm: NDArray[np.float64]
    begin_ticks: NDArray[np.int64]
    end_ticks: NDArray[np.int64]


class Decided(IntEnum):
    """What the machine decided about a piece."""

    UNSEEN = -1  # no object of the camera lies where the piece was
    ACCEPT = 0
    EJECT = 1


class ClassSplit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the pieces of one true class went: kept + thrown = fed."""

    fed: int
    kept: int
    thrown: int


class SortReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the product looks like after the machine. Ratios are None where there is nothing to divide by.

    Attributes:
        pieces: fed; good + bad.
        good, bad: pieces whose class the recipe accepts, or ejects.
        good_kept, good_thrown, bad_kept, bad_thrown: where they went.
        feed_purity: good / pieces: what came in.
        purity: good_kept / (good_kept + bad_kept): the accept stream.
        product_yield: good_kept / good.
        carry_over: good_thrown / bad_thrown: good product lost for each bad piece removed.
        bad_removed: bad_thrown / bad.
        good_condemned: good pieces thrown that the machine had decided to eject: mistakes of the model.
        co_deflected: good pieces thrown that it had decided to accept, or never saw: a jet meant for another.
        bad_accepted: bad pieces kept that it had decided to accept: mistakes of the model.
        bad_unseen: bad pieces kept that it never saw as an object.
        missed: bad pieces kept that it had decided to eject: mistakes of timing, lanes or link.
        by_class: by true class.
        schema_version: of this record.
    """

    pieces: int
    good: int
    bad: int
    good_kept: int
    good_thrown: int
    bad_kept: int
    bad_thrown: int
    feed_purity: float | None
    purity: float | None
    product_yield: float | None
    carry_over: float | None
    bad_removed: float | None
    good_condemned: int
    co_deflected: int
    bad_accepted: int
    bad_unseen: int
    missed: int
    by_class: dict[str, ClassSplit]
    schema_version: int = 1


def deflected(passages: Passages, pulses: Sequence[FiredPulse], lanes: Sequence[Lane]) -> NDArray[np.bool_]:
    """Return, (N,) bool, which pieces a jet threw out.

    Args:
        passages: of the pieces.
        pulses: in any order, from the controller; overlapping pulses of a valve count once.
        lanes: which strip each valve clears, and its delay.

    Note:
        O((N + M) log M). A jet that opens late or closes early hits no less than one in time: there is no pressure
        curve, and a piece thrown out never pushes its neighbours.
    """
    hit = np.zeros(passages.class_ids.size, np.bool_)
    by_valve = _intervals_by_valve(pulses, {lane.valve for lane in lanes})
    for lane in lanes:
        if lane.valve not in by_valve:  # it never opened
            continue
        inside = np.flatnonzero((passages.centres_mm >= lane.from_mm) & (passages.centres_mm < lane.to_mm))
        opens, closes = (ticks + lane.delay_us for ticks in by_valve[lane.valve])
        begins, ends = passages.begin_ticks[inside], passages.end_ticks[inside]
        blown = _open_until(ends, opens, closes) - _open_until(begins, opens, closes)
        hit[inside] |= 2 * blown >= ends - begins
    return hit


def score(
    class_ids: NDArray[np.int64],
    is_thrown: NDArray[np.bool_],
    decided: NDArray[np.int8],
    class_names: Sequence[str],
    is_bad_class: NDArray[np.bool_],
) -> SortReport:
    """Return the report over all pieces.

    Args:
        class_ids: (N,) true classes.
        is_thrown: (N,) from `deflected`.
        decided: (N,) int8, values of `Decided`.
        class_names: K names.
        is_bad_class: (K,) the recipe ejects this class.
    """
    is_bad = is_bad_class[class_ids]
    good_kept, good_thrown = int((~is_bad & ~is_thrown).sum()), int((~is_bad & is_thrown).sum())
    bad_kept, bad_thrown = int((is_bad & ~is_thrown).sum()), int((is_bad & is_thrown).sum())
    kept_bad = decided[is_bad & ~is_thrown]
    condemned = int((decided[~is_bad & is_thrown] == Decided.EJECT).sum())
    return SortReport(
        pieces=int(class_ids.size),
        good=good_kept + good_thrown,
        bad=bad_kept + bad_thrown,
        good_kept=good_kept,
        good_thrown=good_thrown,
        bad_kept=bad_kept,
        bad_thrown=bad_thrown,
        feed_purity=_ratio(good_kept + good_thrown, class_ids.size),
        purity=_ratio(good_kept, good_kept + bad_kept),
        product_yield=_ratio(good_kept, good_kept + good_thrown),
        carry_over=_ratio(good_thrown, bad_thrown),
        bad_removed=_ratio(bad_thrown, bad_kept + bad_thrown),
        good_condemned=condemned,
        co_deflected=good_thrown - condemned,
        bad_accepted=int((kept_bad == Decided.ACCEPT).sum()),
        bad_unseen=int((kept_bad == Decided.UNSEEN).sum()),
        missed=int((kept_bad == Decided.EJECT).sum()),
        by_class=_by_class(class_ids, is_thrown, class_names),
    )


_Intervals = tuple[NDArray[np.int64], NDArray[np.int64]]


def _intervals_by_valve(pulses: Sequence[FiredPulse], valves: set[int]) -> dict[int, _Intervals]:
    """Return the open times of each of `valves` that opened, as disjoint ascending intervals."""
    rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for pulse in pulses:
        for valve in range(pulse.first_valve, pulse.first_valve + pulse.valve_count):
            if valve in valves:
                rows[valve].append((pulse.open_tick, pulse.close_tick))
    return {valve: _union(np.array(sorted(parts), np.int64).reshape(-1, 2)) for valve, parts in rows.items()}


def _union(parts: NDArray[np.int64]) -> _Intervals:
    """Return the union of intervals (M, 2), M > 0, sorted by their begin, as begins and ends."""
    reached = np.maximum.accumulate(parts[:, 1])  # latest end so far
    starts = np.flatnonzero(np.concatenate(([True], parts[1:, 0] > reached[:-1])))
    lasts = np.concatenate((starts[1:], [len(parts)])) - 1
    return parts[starts, 0], reached[lasts]


def _open_until(ticks: NDArray[np.int64], opens: NDArray[np.int64], closes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each tick how long the valve had been open before it, in all."""
    before = np.concatenate(([0], np.cumsum(closes - opens)))  # open time before each interval
    last = np.searchsorted(opens, ticks, side="right") - 1  # the interval that began last, -1 for none
    begun = np.maximum(last, 0)
    within = np.clip(ticks - opens[begun], 0, closes[begun] - opens[begun])
    return np.asarray(before[begun] + within, np.int64)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _by_class(
    class_ids: NDArray[np.int64], is_thrown: NDArray[np.bool_], class_names: Sequence[str]
) -> dict[str, ClassSplit]:
    fed = np.bincount(class_ids, minlength=len(class_names)).tolist()
    thrown = np.bincount(class_ids[is_thrown], minlength=len(class_names)).tolist()
    return {name: ClassSplit(fed[i], fed[i] - thrown[i], thrown[i]) for i, name in enumerate(class_names)}
