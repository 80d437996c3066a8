"""Samples in memory: what a training run works with.

Plain arrays in one order, that of the sample ids, so that no result depends on the order of files or of imports.

>>> empty_table(("good", "stone"), side_px=16, channels=3).pixels.shape
(0, 16, 16, 3)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, unpack_crop

__all__ = ["SampleTable", "empty_table", "read_table"]


@dataclass(frozen=True, slots=True)
class SampleTable:
    """N samples, sorted by sample id.

    Attributes:
        ids: N sample ids, 64 hexadecimal digits each.
        classes: the names of all K classes of the pool, sorted; also those without a sample in this table.
        class_ids: (N,) int64, positions in `classes`.
        groups: N group names; what belongs together stays on one side of the split.
        splits: N of "train", "validation", "test".
        origins: N of "import", "residual", "audit".
        norms_q16: (N,) int64 in 0..65536.
        pixels: (N, S, S, C) uint8, 0 outside the object.
        sources: N names of the files or records the samples came from.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    class_ids: NDArray[np.int64]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    origins: tuple[str, ...]
    norms_q16: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: NDArray[np.int64]) -> "SampleTable":
        """Return the samples at `indices`, (M,) int64, in that order (ascending keeps the table sorted); a copy."""
        rows = np.asarray(indices, np.int64)
        at = rows.tolist()
        return replace(
            self,
            ids=tuple(self.ids[i] for i in at),
            class_ids=self.class_ids[rows],
            groups=tuple(self.groups[i] for i in at),
            splits=tuple(self.splits[i] for i in at),
            origins=tuple(self.origins[i] for i in at),
            norms_q16=self.norms_q16[rows],
            pixels=self.pixels[rows],
            sources=tuple(self.sources[i] for i in at),
        )


def empty_table(classes: tuple[str, ...], *, side_px: int, channels: int) -> SampleTable:
    """Return a table of no samples, with the given class names and crop shape."""
    none = np.zeros(0, np.int64)
    pixels = np.zeros((0, side_px, side_px, channels), np.uint8)
    return SampleTable((), classes, none, (), (), (), none, pixels, ())


def read_table(
    rows: Iterable[tuple[str, str, str, str, str, int, str, bytes]],
    count: int,
    classes: tuple[str, ...],
    crop: CropSpec,
) -> SampleTable:
    """Return the table of rows of the pool.

    Args:
        rows: sample id, class, group, split, origin, norm (Q16), source and packed crop, in order of the ids.
        count: how many they are.
        classes: names of all classes, sorted.
        crop: shape of the crops.

    Raises:
        CropError: a packed crop is damaged.
    """
    if count == 0:
        return empty_table(classes, side_px=crop.side_px, channels=crop.channels)
    pixels = np.empty((count, crop.side_px, crop.side_px, crop.channels), np.uint8)
    columns = []
    for at, row in enumerate(rows):
        pixels[at] = unpack_crop(row[7], crop.side_px, crop.channels)[0]
        columns.append(row[:7])
    ids, names, groups, splits, origins, norms, sources = zip(*columns, strict=True)
    position = {name: at for at, name in enumerate(classes)}
    class_ids = np.array([position[name] for name in names], np.int64)
    return SampleTable(ids, classes, class_ids, groups, splits, origins, np.array(norms, np.int64), pixels, sources)
