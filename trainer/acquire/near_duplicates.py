"""Which samples show the same thing: clusters of crops that look alike to a few grey levels.

Neighbouring frames of one object, or one picture saved twice, must not lie on two sides of the split. Knows pixels
only. Every pair within the limit is found, without comparing all pairs: a set is cut in two at one pixel, with an
overlap as wide as the limit, until the parts are small.

>>> crops = np.zeros((3, 16, 16, 1), np.uint8); crops[1] += 6; crops[2] += 13
>>> near_duplicate_clusters(thumbnails(crops))
array([0, 0, 2])
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.segment import gray_levels

__all__ = ["MAX_DIFFERENCE", "THUMBNAIL_PX", "near_duplicate_clusters", "thumbnails"]

THUMBNAIL_PX: Final = 16
MAX_DIFFERENCE: Final = 6  # grey levels, of the worst of 256 pixels: JPEG noise stays below it, a moved kernel does not
_SMALL_PART: Final = 256  # samples; comparing all pairs of them costs less than cutting further
_WORTHWHILE_CUT: Final = 0.9  # a cut that leaves more than this share in one part is given up
_FIRST_LOOK_PX: Final = 8  # pixels compared first: they tell most pairs apart
_PAIRS_AT_ONCE: Final = 1 << 16  # 16 MiB of thumbnails


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey thumbnails of crops.

    Args:
        pixels: (N, S, S, C) uint8, S >= 8.

    Returns:
        (N, 256) uint8: BT.601 grey (the first band unless C is 3), area mean to 16 x 16.
    """
    thumbs = np.zeros((len(pixels), THUMBNAIL_PX * THUMBNAIL_PX), np.uint8)
    for thumb, crop in zip(thumbs, pixels, strict=True):
        gray = gray_levels(crop)
        thumb[:] = cv2.resize(gray, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).ravel()
    return thumbs


def near_duplicate_clusters(thumbs: NDArray[np.uint8], max_difference: int = MAX_DIFFERENCE) -> NDArray[np.int64]:
    """Return for each sample the smallest index of its cluster.

    Args:
        thumbs: (N, P) uint8, from `thumbnails`.
        max_difference: two samples are near-duplicates when no pixel differs by more, 0..255.

    Returns:
        (N,) int64; a cluster is what near-duplicates connect, so that its ends may differ by more than the limit.

    Note:
        About 1 s and 20 MB for 10,000 kernels of rice; memory does not grow with the number of pairs.
    """
    parents = np.arange(len(thumbs), dtype=np.int64)
    if len(thumbs) == 0:
        return parents
    # Identical thumbnails first: thousands of them would otherwise be compared pair by pair.
    distinct, first, which = np.unique(thumbs, axis=0, return_index=True, return_inverse=True)
    parents[:] = first[which.reshape(-1)]
    for part in _parts(distinct, max_difference):
        _join_part(distinct[part], first[part], max_difference, parents)
    return _roots(parents)


def _parts(thumbs: NDArray[np.uint8], reach: int) -> Iterator[NDArray[np.int64]]:
    """Give index arrays such that every pair within reach lies together in at least one of them."""
    waiting = [np.arange(len(thumbs), dtype=np.int64)]
    while waiting:
        rows = waiting.pop()
        cut = _best_cut(thumbs[rows], reach) if len(rows) > _SMALL_PART else None
        if cut is None:
            yield rows
            continue
        pixel, level = cut
        values = thumbs[rows, pixel].astype(np.int64)
        waiting.append(rows[values <= level + reach])
        waiting.append(rows[values > level])


def _best_cut(thumbs: NDArray[np.uint8], reach: int) -> tuple[int, int] | None:
    """Return pixel and level whose two overlapping parts have the smallest larger one; None if no cut is worthwhile."""
    best: tuple[int, int] | None = None
    best_size = _WORTHWHILE_CUT * len(thumbs)
    for pixel in _telling_pixels(thumbs, 2 * _FIRST_LOOK_PX):
        at_most = np.cumsum(np.bincount(thumbs[:, pixel], minlength=256 + reach))  # (256 + reach,)
        larger = np.maximum(at_most[reach : 256 + reach], len(thumbs) - at_most[:256])
        level = int(np.argmin(larger))
        if larger[level] < best_size:
            best, best_size = (pixel, level), float(larger[level])
    return best


def _telling_pixels(thumbs: NDArray[np.uint8], count: int) -> list[int]:
    """Return the pixels that vary most, most first."""
    spread = thumbs.astype(np.float32).var(axis=0)
    return [int(pixel) for pixel in np.argsort(-spread, kind="stable")[:count]]


def _join_part(thumbs: NDArray[np.uint8], indices: NDArray[np.int64], reach: int, parents: NDArray[np.int64]) -> None:
    """Join, in `parents`, all pairs of a part that are within reach."""
    few = thumbs[:, _telling_pixels(thumbs, _FIRST_LOOK_PX)]  # (M, 8)
    rows_at_once = max(1, _PAIRS_AT_ONCE // len(thumbs))
    for start in range(0, len(thumbs), rows_at_once):
        rows = slice(start, start + rows_at_once)
        alike = _within(few[rows, None, :], few[None, start:, :], reach)  # (rows, M - start)
        left, right = np.nonzero(alike)
        left, right = left + start, right + start
        roots = _roots(parents)[indices] if len(left) > len(thumbs) else indices
        open_pairs = (left < right) & (roots[left] != roots[right])
        left, right = left[open_pairs], right[open_pairs]
        same = _within(thumbs[left], thumbs[right], reach)
        for one, other in zip(indices[left[same]], indices[right[same]], strict=True):
            _join(parents, int(one), int(other))


def _within(one: NDArray[np.uint8], other: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    return np.asarray((np.maximum(one, other) - np.minimum(one, other) <= reach).all(axis=-1), np.bool_)


def _join(parents: NDArray[np.int64], one: int, other: int) -> None:
    one, other = _root(parents, one), _root(parents, other)
    parents[max(one, other)] = min(one, other)


def _root(parents: NDArray[np.int64], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]  # halves the way for the next time
        index = int(parents[index])
    return index


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return above
        parents = above
