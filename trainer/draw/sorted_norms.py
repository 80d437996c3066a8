"""The draw around the mean at scale: one sort, then each round looks at a few hundred samples, not at millions.

Samples of a class lie in order of their norms, in blocks; each block knows how many of its samples may be drawn. The
mean comes from running integer sums, its place from a binary search, the samples from the blocks around it; where few
may be drawn, from a list of their places. What it draws is what `draw_around_mean` draws, ties included.

>>> norms = SortedNorms(np.array([0, 0, 0, 0]), np.array([10, 20, 30, 40]), 1)
>>> norms.draw(0, DrawSizes(m=2, a=1, b=1)).tolist()
[2, 1]
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.sizes import DrawSizes

__all__ = ["SortedNorms"]

_BLOCK: Final = 64
_SPARSE: Final = 16  # with fewer than one of so many left, the list of places is shorter than the way through blocks
_NORM_BITS: Final = 17  # norms reach 65536
_ROW_BITS: Final = 40


@dataclass(slots=True)
class _Class:
    """One class: norms (N,) in ascending order, their rows, which are free to be drawn, and how many in each block."""

    norms: NDArray[np.int64]
    rows: NDArray[np.int64]
    free: NDArray[np.bool_]  # (blocks * 64,), False beyond N
    counts: NDArray[np.int64]  # (blocks,)
    total: int
    count: int
    few: NDArray[np.int64] | None = None  # the free places, where they are few


class SortedNorms:
    """The norms of all samples, sorted once; all may be drawn at first.

    Args:
        class_ids: (N,) int64 in 0..class_count-1, rows in the order of the content hashes.
        norms_q16: (N,) int64 in 0..65536.
        class_count: K.

    Note:
        Memory: 25 bytes a sample. Sorting ten million samples takes about 1.6 s, once (tests/bench/bench_selection.py).
    """

    def __init__(self, class_ids: NDArray[np.int64], norms_q16: NDArray[np.int64], class_count: int) -> None:
        packed = (class_ids.astype(np.uint64) << np.uint64(_NORM_BITS)) | norms_q16.astype(np.uint64)
        packed = (packed << np.uint64(_ROW_BITS)) | np.arange(len(class_ids), dtype=np.uint64)
        packed.sort()
        rows = (packed & np.uint64((1 << _ROW_BITS) - 1)).astype(np.int64)
        bounds = np.searchsorted(class_ids[rows], np.arange(class_count + 1))
        self._class_ids = class_ids
        self._places = np.empty(len(rows), np.int64)  # of each row within its class
        self._classes: list[_Class] = []
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            own = rows[start:end]
            self._places[own] = np.arange(end - start)
            self._classes.append(_make_class(norms_q16[own], own))

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Take rows, (M,) int64, that may be drawn, out of the draw."""
        self._set(rows, is_free=False)

    def restore(self, rows: NDArray[np.int64]) -> None:
        """Put rows, (M,) int64, that were taken out, back into the draw."""
        self._set(rows, is_free=True)

    def draw(self, class_id: int, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return the rows of a class around the mean of those that may be drawn; see `draw_around_mean`.

        Args:
            class_id: position of the class.
            sizes: a, b, m.
        """
        found = self._classes[class_id]
        if found.count == 0:
            return np.zeros(0, np.int64)
        middle = int(np.searchsorted(found.norms, -(-found.total // found.count)))  # norm * count >= total
        below_count = _count_below(found, middle)
        above_count = found.count - below_count
        above = _upwards(found, middle, min(above_count, max(sizes.a, sizes.m - below_count)))
        below = _downwards(found, middle, min(below_count, max(sizes.b, sizes.m - above_count)))
        return found.rows[np.concatenate((above, below))]

    def _set(self, rows: NDArray[np.int64], *, is_free: bool) -> None:
        for class_id, found in enumerate(self._classes):
            places = self._places[rows[self._class_ids[rows] == class_id]]
            if len(places) == 0:
                continue
            found.free[places] = is_free
            sign = 1 if is_free else -1
            np.add.at(found.counts, places // _BLOCK, sign)
            found.total += sign * int(found.norms[places].sum())
            found.count += sign * len(places)
            if found.count * _SPARSE >= len(found.rows):
                found.few = None
            elif found.few is None or is_free:
                found.few = np.flatnonzero(found.free[: len(found.rows)])
            else:
                found.few = found.few[found.free[found.few]]


def _make_class(norms: NDArray[np.int64], rows: NDArray[np.int64]) -> _Class:
    blocks = -(-len(norms) // _BLOCK)
    free = np.zeros(blocks * _BLOCK, np.bool_)
    free[: len(norms)] = True
    return _Class(norms, rows, free, free.reshape(blocks, _BLOCK).sum(axis=1), int(norms.sum()), len(norms))


def _upwards(found: _Class, start: int, wanted: int) -> NDArray[np.int64]:
    """Return the first `wanted` free places at or above `start`, ascending; so many there are."""
    if wanted == 0:
        return np.zeros(0, np.int64)
    if found.few is not None:
        begin = int(np.searchsorted(found.few, start))
        return found.few[begin : begin + wanted]
    first = start // _BLOCK
    blocks = _blocks_with(found, found.counts[first:], wanted + _BLOCK)  # the first may hold places before `start`
    places = _free_places(found, first + blocks)
    return places[places >= start][:wanted]


def _downwards(found: _Class, end: int, wanted: int) -> NDArray[np.int64]:
    """Return `wanted` free places below `end` in descending norm; equal norms in the order of their rows."""
    if wanted == 0:
        return np.zeros(0, np.int64)
    places = _free_below(found, end, wanted)
    edge = int(found.norms[places[-wanted]])  # of this norm perhaps not all are wanted: the first of its rows are
    inner = places[-wanted:][found.norms[places[-wanted:]] > edge]
    ordered = inner[np.argsort(-found.norms[inner], kind="stable")]
    start = int(np.searchsorted(found.norms, edge))
    return np.concatenate((ordered, _upwards(found, start, wanted - len(inner))))


def _free_below(found: _Class, end: int, wanted: int) -> NDArray[np.int64]:
    """Return free places below `end`, ascending, at least the last `wanted` of them."""
    if found.few is not None:
        return found.few[: int(np.searchsorted(found.few, end))]
    last = -(-end // _BLOCK)
    blocks = _blocks_with(found, found.counts[:last][::-1], wanted + _BLOCK)  # from the mean downwards
    places = _free_places(found, last - 1 - blocks[::-1])
    return places[places < end]


def _count_below(found: _Class, end: int) -> int:
    if found.few is not None:
        return int(np.searchsorted(found.few, end))
    block = end // _BLOCK
    return int(found.counts[:block].sum()) + int(found.free[block * _BLOCK : end].sum())


def _blocks_with(found: _Class, counts: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return the positions of the first blocks that together hold `wanted` free places, or all; empty ones left out.

    Looks twice as far as blocks of average fill would need, and at everything only if that was not far enough.
    """
    likely = 8 + 2 * wanted * len(found.counts) // found.count
    for reach in (likely, len(counts)):
        sums = np.cumsum(counts[:reach])
        if reach >= len(counts) or sums[-1] >= wanted:
            break
    return np.flatnonzero(counts[: int(np.searchsorted(sums, wanted)) + 1])


def _free_places(found: _Class, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the free places of some blocks, ascending."""
    hits = np.flatnonzero(found.free.reshape(-1, _BLOCK)[blocks])
    return blocks[hits // _BLOCK] * _BLOCK + hits % _BLOCK
