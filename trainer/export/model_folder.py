"""The model folder: model, card, recipe, golden crops and norms, written whole.

What it must hold and how it is read is edge_runtime.model's affair; this file only makes it.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.config import to_toml
from edge_runtime.errors import StorageError
from edge_runtime.model import (
    CARD_FILE,
    GOLDEN_FILE,
    INT8_FILE,
    MODEL_FILE,
    NORMS_FILE,
    RECIPE_FILE,
    Classifier,
    int8_golden_key,
)
from edge_runtime.norm import class_norms, norm_bins
from edge_runtime.processor import processor_kind
from edge_runtime.schemas import Action, ClassMetrics, ClassRule, DisplayName, Lineage, ModelCard, NormTable, Recipe
from edge_runtime.storage import sha256_hex, write_atomic
from trainer.export.mend import Int8Export
from trainer.metrics import Scores
from trainer.pool.data_set import DataSet
from trainer.pool.sample_table import SampleTable

__all__ = [
    "GOLDEN_PER_CLASS",
    "ModelClass",
    "ShippedModel",
    "golden_rows",
    "make_card",
    "make_recipe",
    "write_model_folder",
]

GOLDEN_PER_CLASS: Final = 64
_NORM_BINS: Final = 64


class ModelClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model folder says of a class that no training tells: how people call it, what the machine does with it."""

    display_name: DisplayName
    action: Action


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A model and what its folder tells about it.

    Attributes:
        model: ONNX bytes, calibrated.
        temperature: folded into the model.
        validation: its figures.
        lineage: where it comes from.
        opset: of the graph; ort_min: oldest onnxruntime that reads it.
        classes: by name, each class of the table.
        int8: what `export_int8` made of it; None where INT8 was not asked for.
    """

    model: bytes
    temperature: float
    validation: Scores
    lineage: Lineage
    opset: int
    ort_min: str
    classes: dict[str, ModelClass]
    int8: Int8Export | None = None


def make_card(shipped: ShippedModel, table: SampleTable, data_set: DataSet) -> ModelCard:
    """Return the card of a model trained on samples of `table`."""
    figures = shipped.validation
    names = table.classes
    return ModelCard(
        model_id=sha256_hex(shipped.model),
        classes=names,
        display_names={name: shipped.classes[name].display_name for name in names},
        crop=data_set.crop,
        norm=data_set.norm,
        class_norms={name: class_norms(table.norms_q16[table.class_ids == k]) for k, name in enumerate(names)},
        temperature=shipped.temperature,
        metrics={
            name: ClassMetrics(
                int(figures.counts[k]), float(figures.precisions[k]), float(figures.recalls[k]), float(figures.f1s[k])
            )
            for k, name in enumerate(names)
        },
        macro_f1=figures.macro_f1,
        worst_class_recall=figures.worst_class_recall,
        lineage=shipped.lineage,
        opset=shipped.opset,
        ort_min=shipped.ort_min,
        int8=None if shipped.int8 is None else shipped.int8.card,
    )


def make_recipe(shipped: ShippedModel, table: SampleTable, data_set: DataSet) -> Recipe:
    """Return a recipe that finds and cuts objects as the training samples were, with an action for each class."""
    rules = tuple(ClassRule(name, shipped.classes[name].action) for name in table.classes)
    return Recipe(classes=rules, segment=data_set.segment, crop=data_set.crop)


def write_model_folder(
    folder: Path,
    shipped: ShippedModel,
    table: SampleTable,
    data_set: DataSet,
    *,
    golden: NDArray[np.int64],
) -> ModelCard:
    """Write a model folder; card.json comes last, so that a folder with a card is whole.

    Args:
        folder: made if it does not exist; an older model in it is replaced.
        shipped: the model.
        table: the samples of its pool.
        data_set: how they were made.
        golden: (G,) row numbers of the golden crops, see `golden_rows`.

    Returns:
        The card.

    Raises:
        StorageError: the folder cannot be written.
        ModelFolderError: onnxruntime cannot load a model.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD_FILE).unlink(missing_ok=True)
        (folder / INT8_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write model folder {folder}: {error.strerror or error}") from error
    crops = table.pixels[golden]
    scores = {"scores": Classifier(shipped.model, data_set.crop, len(table.classes)).scores(crops)}
    int8 = None if shipped.int8 is None else shipped.int8.model
    if int8 is not None:
        key = int8_golden_key(processor_kind())
        scores[key] = Classifier(int8, data_set.crop, len(table.classes)).scores(crops)
        write_atomic(folder / INT8_FILE, int8)
    card = make_card(shipped, table, data_set)
    write_atomic(folder / MODEL_FILE, shipped.model)
    write_atomic(folder / GOLDEN_FILE, _npz(crops=crops, **scores))
    write_atomic(folder / NORMS_FILE, msgspec.json.format(msgspec.json.encode(_norm_table(table))))
    write_atomic(folder / RECIPE_FILE, to_toml(make_recipe(shipped, table, data_set)).encode())
    write_atomic(folder / CARD_FILE, msgspec.json.format(msgspec.json.encode(card)))
    return card


def golden_rows(rows: NDArray[np.int64], class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most 64 of `rows` a class, the first of each: rows (M,) of a table with class_ids (N,)."""
    classes = class_ids[rows]
    picked = [rows[classes == k][:GOLDEN_PER_CLASS] for k in np.unique(classes)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *picked]))


def _norm_table(table: SampleTable) -> NormTable:
    bins = norm_bins(table.norms_q16, _NORM_BINS)
    return NormTable(
        _NORM_BINS,
        {
            name: tuple(np.bincount(bins[table.class_ids == k], minlength=_NORM_BINS).tolist())
            for k, name in enumerate(table.classes)
        },
    )


def _npz(**arrays: NDArray[np.generic]) -> bytes:
    """Return an .npz file; numpy writes no times into it, so that equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
