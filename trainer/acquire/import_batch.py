"""First half of an import: every file read, decoded and cut, or counted with the reason why not.

Knows files, pixels and the tally; nothing of groups, sides or the pool.

>>> Batch().contents()
()
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import pack_crop
from edge_runtime.images import Picture
from trainer.acquire.blob_spool import BlobPlace, BlobSpool
from trainer.acquire.import_report import ImportTally
from trainer.acquire.near_duplicates import THUMBNAIL_PX, thumbnails
from trainer.acquire.sample_cutting import CutSample, Uncut, cut_sample
from trainer.acquire.sample_pictures import Unusable, read_picture
from trainer.acquire.sources import RefusedFile, Source, SourceImage
from trainer.pool.data_set import DataSet
from trainer.pool.samples import sample_id

__all__ = ["Batch", "CutFile", "Progress", "cut_files", "labelled_pictures"]

_STATED_ORDER: Final = ("test", "validation", "train", None)


class Progress(Protocol):
    """Hears how far an import is; an error that it raises ends the import and leaves the pool as it was."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Take note: `done` of `total` files of the stages "look", "measure", "cut", or samples of "store"."""
        ...


@dataclass(frozen=True, slots=True)
class CutFile:
    """A file that became a crop.

    Attributes:
        sample_id: hash of the crop; several files may have the same.
        source, class_name: the file's name and label.
        split, group: as stated by the source; None if it does not say.
        norm_numerator, norm_denominator: of the crop.
        place: where the packed crop waits.
    """

    sample_id: str
    source: str
    class_name: str
    split: str | None
    group: str | None
    norm_numerator: int
    norm_denominator: int
    place: BlobPlace


class Batch:
    """All crops of an import, by content."""

    def __init__(self) -> None:
        self._files: dict[str, list[CutFile]] = defaultdict(list)
        self._thumbs: dict[str, NDArray[np.uint8]] = {}

    def contents(self) -> tuple[str, ...]:
        """The ids of all different crops, sorted."""
        return tuple(sorted(self._files))

    def add(self, file: CutFile, pixels: NDArray[np.uint8]) -> None:
        """Take a file in; `pixels`: its crop, (S, S, C) uint8."""
        if file.sample_id not in self._files:
            self._thumbs[file.sample_id] = thumbnails(pixels[None])[0]
        self._files[file.sample_id].append(file)

    def files(self, content: str) -> Sequence[CutFile]:
        """Return the files with one content; the first, which a test set has before others, speaks for all."""
        return sorted(self._files[content], key=lambda f: (_STATED_ORDER.index(f.split), f.group or "", f.source))

    def thumbs(self, contents: Sequence[str]) -> NDArray[np.uint8]:
        """Return the thumbnails of the contents, (N, 256) uint8."""
        return np.array([self._thumbs[content] for content in contents], np.uint8).reshape(
            -1, THUMBNAIL_PX * THUMBNAIL_PX
        )


def labelled_pictures(files: Source, stage: str, progress: Progress) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give class and pixels, (H, W, 3) uint8, of every file that can be decoded.

    Raises:
        ImportFailedError: a file cannot be read any more.
    """
    for done, file in enumerate(files, start=1):
        if isinstance(file, SourceImage):
            picture = read_picture(file.data)
            if isinstance(picture, Picture):
                yield file.class_name, picture.pixels
        progress(stage, done, len(files))


def cut_files(files: Source, data_set: DataSet, spool: BlobSpool, tally: ImportTally, progress: Progress) -> Batch:
    """Cut the object out of every file.

    Args:
        files: the open source.
        data_set: how objects are found, cut out and weighed.
        spool: takes the packed crops.
        tally: hears of every file that gives no crop, and of crops that are not as their file was.
        progress: told after every file.

    Raises:
        ImportFailedError: a file cannot be read any more, or the temporary folder is full.
        SettingsError: the pictures have another number of channels than the data set.
    """
    batch = Batch()
    for done, file in enumerate(files, start=1):
        match file:
            case RefusedFile():
                tally.outcome(file.source, file.outcome, file.reason, file.class_name)
            case SourceImage():
                _cut_file(file, data_set, spool, tally, batch)
        progress("cut", done, len(files))
    return batch


def _cut_file(file: SourceImage, data_set: DataSet, spool: BlobSpool, tally: ImportTally, batch: Batch) -> None:
    picture = read_picture(file.data)
    if isinstance(picture, Unusable):
        tally.outcome(file.source, picture.outcome, picture.reason, file.class_name)
        return
    sample = cut_sample(picture.pixels, data_set)
    if isinstance(sample, Uncut):
        tally.outcome(file.source, sample.outcome, sample.reason, file.class_name)
        return
    if picture.converted:
        tally.note(file.source, "converted", picture.converted)
    if sample.objects > 1:
        tally.note(file.source, "several_objects", f"{sample.objects} objects: the largest was taken")
    batch.add(_cut(file, sample, spool), sample.pixels)


def _cut(file: SourceImage, sample: CutSample, spool: BlobSpool) -> CutFile:
    return CutFile(
        sample_id(sample.pixels, sample.mask),
        file.source,
        file.class_name,
        file.split,
        file.group,
        sample.norm_numerator,
        sample.norm_denominator,
        spool.put(pack_crop(sample.pixels, sample.mask)),
    )
