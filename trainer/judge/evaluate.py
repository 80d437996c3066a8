"""A model folder against labelled pictures it has never seen: cut as on the machine, judged by its exported model."""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.model import ModelFolder, make_classifier
from trainer.acquire.import_batch import Progress
from trainer.acquire.importer import no_progress
from trainer.acquire.sample_cutting import CutSample, cut_sample
from trainer.acquire.sample_pictures import Unusable, read_picture
from trainer.acquire.sources import RefusedFile, Source, SourceImage, open_source
from trainer.errors import ImportFailedError, SettingsError
from trainer.metrics import Scores, score_confusion
from trainer.pool.data_set import DataSet

__all__ = ["EvaluateReport", "evaluate_folder"]

_CHUNK = 512


class EvaluateReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train evaluate` found.

    Attributes:
        model_id: of the model; mask: "object" or "full", which pixels it saw.
        samples: pictures judged; accuracy, macro_f1, worst_class_recall over them, per_class_recall by class.
        macro_f1_error: one standard error.
        uncut: of these, pictures whose object could not be cut out; they count as wrong.
        unreadable: pictures that could not be read; they count nowhere.
        confusion: rows true, columns predicted, in the order of the model's classes; the last row and column are for
            objects that could not be cut out.
    """

    model_id: str
    mask: str
    samples: int
    accuracy: float
    macro_f1: float
    macro_f1_error: float
    worst_class_recall: float
    per_class_recall: dict[str, float]
    uncut: int
    unreadable: int
    confusion: list[list[int]]
    schema_version: Literal[1] = 1


class _Tally:
    """Counts of true against predicted class; the last column is for objects that could not be cut out."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.position = {name: k for k, name in enumerate(classes)}
        self.confusion = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
        self.unreadable = 0
        self.uncut = 0

    def class_id(self, image: SourceImage) -> int:
        """Return the position of the picture's class.

        Raises:
            SettingsError: the model does not know it.
        """
        if image.class_name not in self.position:
            known = ", ".join(self.position)
            raise SettingsError(f"{image.source} is of class {image.class_name}, the model knows {known}")
        return self.position[image.class_name]


def evaluate_folder(folder: ModelFolder, source: Path, progress: Progress = no_progress) -> EvaluateReport:
    """Return a model's figures on a source of labelled pictures.

    Args:
        folder: the model.
        source: as for an import; where it names splits and some pictures are "test", only those count.
        progress: told after every picture.

    Returns:
        Figures over all usable pictures. One whose object cannot be cut out (none found, or oversize) counts as wrong,
        since the machine could not have judged it; one that cannot be read is only counted.

    Raises:
        ImportFailedError: the source cannot be read, or holds no usable picture.
        SettingsError: a picture has a class that the model does not know, or another number of channels.
    """
    tally = _Tally(folder.card.classes)
    classifier = make_classifier(folder)
    data_set = DataSet(folder.recipe.segment, folder.recipe.crop, folder.card.norm)
    crops: list[NDArray[np.uint8]] = []
    true_ids: list[int] = []

    def judge_chunk() -> None:
        if crops:
            predicted = classifier.scores(np.stack(crops)).argmax(axis=1)
            np.add.at(tally.confusion, (np.array(true_ids), predicted), 1)
            crops.clear()
            true_ids.clear()

    with open_source(source) as files:
        only_test = _has_test_split(files)
        for done, file in enumerate(files, start=1):
            cut = _cut(file, data_set, tally) if _counts(file, only_test=only_test) else None
            if cut is not None:
                crops.append(cut[0])
                true_ids.append(cut[1])
            if len(crops) == _CHUNK:
                judge_chunk()
            progress("evaluate", done, len(files))
    judge_chunk()
    if not tally.confusion.any():
        raise ImportFailedError(f"{source}: no usable picture of a class that the model knows")
    return _report(folder, score_confusion(tally.confusion), tally)


def _has_test_split(files: Source) -> bool:
    splits = {file.split for file in files if isinstance(file, SourceImage)}
    return "test" in splits and len(splits) > 1


def _counts(file: SourceImage | RefusedFile, *, only_test: bool) -> bool:
    return not only_test or (isinstance(file, SourceImage) and file.split == "test")


def _cut(file: SourceImage | RefusedFile, data_set: DataSet, tally: _Tally) -> tuple[NDArray[np.uint8], int] | None:
    if isinstance(file, RefusedFile):
        tally.unreadable += 1
        return None
    picture = read_picture(file.data)
    if isinstance(picture, Unusable):
        tally.unreadable += 1
        return None
    class_id = tally.class_id(file)
    sample = cut_sample(picture.pixels, data_set)
    if isinstance(sample, CutSample):
        return sample.pixels, class_id
    tally.uncut += 1
    tally.confusion[class_id, -1] += 1
    return None


def _report(folder: ModelFolder, figures: Scores, tally: _Tally) -> EvaluateReport:
    recalls = {name: float(figures.recalls[k]) for name, k in tally.position.items() if figures.counts[k]}
    return EvaluateReport(
        model_id=folder.card.model_id,
        mask=folder.recipe.segment.mask,
        samples=figures.samples,
        accuracy=figures.accuracy,
        macro_f1=figures.macro_f1,
        macro_f1_error=figures.macro_f1_error,
        worst_class_recall=figures.worst_class_recall,
        per_class_recall=recalls,
        uncut=tally.uncut,
        unreadable=tally.unreadable,
        confusion=figures.confusion.tolist(),
    )
