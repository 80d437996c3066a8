"""Samples in memory: what a training run works with.

Plain arrays in one order, that of the sample ids, so that no result depends on the order of files or of imports.

>>> empty_table(("good", "stone"), side_px=16, channels=3).pixels.shape
(0, 16, 16, 3)
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, unpack_crop

__all__ = ["MOST_MEMORY_B", "CropRoom", "SampleTable", "empty_table", "read_table"]

MOST_MEMORY_B: Final = 2**31  # of crops; more lie in a file that the system pages in and out


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


@dataclass(frozen=True, slots=True)
class CropRoom:
    """Where the crops of a table lie.

    Attributes:
        crop: their shape.
        folder: a nameless file takes them there if they need more than `most_memory_b`; it goes with the table.
        most_memory_b: bytes of crops that are kept in memory.
    """

    crop: CropSpec
    folder: Path
    most_memory_b: int = MOST_MEMORY_B

    def for_crops(self, count: int) -> NDArray[np.uint8]:
        """Return an array (count, S, S, C) to be filled.

        Raises:
            OSError: the folder has no room for the file.
        """
        shape = (count, self.crop.side_px, self.crop.side_px, self.crop.channels)
        if int(np.prod(shape, dtype=np.int64)) <= self.most_memory_b:
            return np.empty(shape, np.uint8)
        with tempfile.TemporaryFile(dir=self.folder) as file:  # the mapping outlives the closed file
            return np.memmap(file, np.uint8, "w+", shape=shape)


def empty_table(classes: tuple[str, ...], *, side_px: int, channels: int) -> SampleTable:
    """Return a table of no samples, with the given class names and crop shape."""
    none = np.zeros(0, np.int64)
    pixels = np.zeros((0, side_px, side_px, channels), np.uint8)
    return SampleTable((), classes, none, (), (), (), none, pixels, ())


def read_table(
    rows: Iterable[tuple[str, str, str, str, str, int, str, bytes]],
    count: int,
    classes: tuple[str, ...],
    room: CropRoom,
) -> SampleTable:
    """Return the table of rows of the pool.

    Args:
        rows: sample id, class, group, split, origin, norm (Q16), source and packed crop, in order of the ids.
        count: how many they are.
        classes: names of all classes, sorted.
        room: shape of the crops, and where they lie.

    Raises:
        CropError: a packed crop is damaged.
        OSError: the folder has no room for the file.

    Note:
        Memory: about 600 bytes a sample for names, and the crops: side * side * channels bytes each, in memory up to
        2 GiB, beyond that in the file, of which the system keeps in memory what fits.
    """
    crop = room.crop
    if count == 0:
        return empty_table(classes, side_px=crop.side_px, channels=crop.channels)
    pixels = room.for_crops(count)
    columns = []
    for at, row in enumerate(rows):
        pixels[at] = unpack_crop(row[7], crop.side_px, crop.channels)[0]
        columns.append(row[:7])
    ids, names, groups, splits, origins, norms, sources = zip(*columns, strict=True)
    position = {name: at for at, name in enumerate(classes)}
    class_ids = np.array([position[name] for name in names], np.int64)
    return SampleTable(ids, classes, class_ids, groups, splits, origins, np.array(norms, np.int64), pixels, sources)
