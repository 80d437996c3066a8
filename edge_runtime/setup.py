"""Files to a ready sorter: model folder, recipe and machine joined and checked. What every command does first."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from edge_runtime.config import load_settings
from edge_runtime.errors import ConfigError
from edge_runtime.flat_field import FlatField, flat_field_path, load_flat_field
from edge_runtime.images import MAX_SIDE_PX
from edge_runtime.inline import desk_machine, make_sorter
from edge_runtime.machine_file import load_machine
from edge_runtime.model import RECIPE_FILE, ModelFolder, check_golden, check_graphs, load_model_folder
from edge_runtime.pipeline import Sorter
from edge_runtime.providers import open_scorer
from edge_runtime.realtime import LinuxSystem
from edge_runtime.residual import Origin
from edge_runtime.schemas import Camera, Machine, Recipe
from edge_runtime.scorer import ModelForm, Scorer
from edge_runtime.storage import sha256_hex
from edge_runtime.tuned_record import chosen_form

__all__ = [
    "CALIBRATION_FOLDER",
    "OpenModel",
    "Setup",
    "camera_references",
    "check_bands",
    "check_classes",
    "open_model",
    "open_sorter",
    "open_sorters",
    "origin_of",
    "recipe_origin",
]

CALIBRATION_FOLDER: Final = "calibration"
_GOLDEN_AT_START: Final = 16  # two batches; the gate runs all


class OpenModel(msgspec.Struct, frozen=True):
    """A model folder with a session on it, in the form that suits this board."""

    folder: ModelFolder
    scorer: Scorer
    form: ModelForm


class Setup(msgspec.Struct, frozen=True):
    """A model on a machine, ready to sort with one of its cameras; `form` is how the model runs."""

    folder: ModelFolder
    sorter: Sorter
    machine: Machine
    form: ModelForm


def open_model(path: Path) -> OpenModel:
    """Load a model folder and open a session on it, as tuned for this board, else FP32 by onnxruntime.

    Raises:
        ModelFolderError: the folder is not whole, its graph is not one that the machine may run, or its golden crops
            get other scores here.
        ConfigError: its recipe has a wrong key or value.

    Note:
        Runs in this process: `model_gate` proves before, in one of its own, that the model is harmless, with all of its
        golden crops; here 16 of them show that processor and runtime still are what they were.
    """
    folder = load_model_folder(path)
    check_graphs(folder)
    form = chosen_form(folder).form
    scorer = open_scorer(folder, form)
    check_golden(folder, scorer, form.variant, most=_GOLDEN_AT_START)
    return OpenModel(folder, scorer, form)


def open_sorter(
    model: Path,
    recipe: Path | None = None,
    *,
    machine: Path | None = None,
    overrides: Iterable[str] = (),
    camera: str | None = None,
) -> Setup:
    """Load a model folder and join it with a recipe and a machine.

    Args:
        model: model folder.
        recipe: file in place of the folder's own recipe.
        machine: machine file; None takes a desk with one view.
        overrides: settings of the recipe, as key=value.
        camera: name of the view; None takes the machine's first.

    Raises:
        ModelFolderError: the folder is not whole, its graph is not one that the machine may run, or its golden crops
            get other scores here.
        ConfigError: recipe, machine, an override or the camera's references are wrong, the recipe names other classes
            or crops than the model, the references have other bands, or the machine has no such camera.
        StorageError: the references cannot be read.

    Note:
        References of the camera are those in `calibration` beside the machine file, where there are any. Memory that is
        freed stays with the process from now on: frames need as much again in a moment.
    """
    with suppress(OSError):  # another C library sorts too, only slower
        LinuxSystem().keep_heap()
    opened = open_model(model)
    path = recipe or model / RECIPE_FILE
    chosen = load_settings(path, Recipe, overrides)
    check_classes(path, chosen, opened.folder)
    where = desk_machine(MAX_SIDE_PX) if machine is None else load_machine(machine)
    return Setup(opened.folder, _view_sorter(opened, chosen, _view(where, camera), machine), where, opened.form)


def open_sorters(model: Path, machine: Path) -> tuple[Setup, ...]:
    """Load a model folder once and join it with every camera of a machine, in the machine's order.

    Args:
        model: model folder; its recipe counts.
        machine: machine file.

    Raises:
        ModelFolderError: as `open_sorter`.
        ConfigError: as `open_sorter`.
        StorageError: the references of a camera cannot be read.
    """
    opened, where = open_model(model), load_machine(machine)
    recipe = opened.folder.recipe
    sorters = [_view_sorter(opened, recipe, view, machine) for view in where.cameras]
    return tuple(Setup(opened.folder, sorter, where, opened.form) for sorter in sorters)


def _view_sorter(opened: OpenModel, recipe: Recipe, view: Camera, machine: Path | None) -> Sorter:
    """Return the sorter of one camera, with its references where it has any."""
    field = None if machine is None else camera_references(machine, view)
    if field is not None:
        check_bands(field, view, recipe)
    return make_sorter(opened.folder, opened.scorer, view, recipe, field)


def check_classes(path: Path, recipe: Recipe, folder: ModelFolder) -> None:
    """Prove that a recipe goes with a model.

    Raises:
        ConfigError: it names other classes, or another shape of crops.
    """
    card = folder.card
    if recipe.class_names != card.classes or recipe.crop != card.crop:
        raise ConfigError(f"{path} names other classes or another crop shape than model {card.model_id[:12]}")


def _view(machine: Machine, name: str | None) -> Camera:
    views = [camera for camera in machine.cameras if name in {None, camera.name}]
    if not views:
        known = ", ".join(camera.name for camera in machine.cameras)
        raise ConfigError(f"machine {machine.name} has no camera {name}: use one of {known}")
    return views[0]


def camera_references(machine: Path, camera: Camera) -> FlatField | None:
    """Return the references of a camera in `calibration` beside a machine file, None where there are none.

    Raises:
        ConfigError: they are damaged, or were made for another width.
        StorageError: they cannot be read.
    """
    path = flat_field_path(machine.parent / CALIBRATION_FOLDER, camera.name)
    if not path.exists():
        return None
    field = load_flat_field(path)
    columns = field.dark.shape[1]
    if columns != camera.width_px:
        raise ConfigError(f"{path} was calibrated for {columns} columns, camera {camera.name} has {camera.width_px}")
    return field


def check_bands(field: FlatField, camera: Camera, recipe: Recipe) -> None:
    """Prove that references have as many bands as a recipe's crops.

    Raises:
        ConfigError: they have others.
    """
    bands = field.dark.shape[2]
    if bands != recipe.crop.channels:
        raise ConfigError(
            f"camera {camera.name} was calibrated with {bands} bands, the recipe's crops have {recipe.crop.channels}"
        )


def origin_of(setup: Setup, lot: str) -> Origin:
    """Return what all records of a lot on this setup have in common."""
    return recipe_origin(setup.folder, setup.sorter.recipe, setup.machine.name, lot)


def recipe_origin(folder: ModelFolder, recipe: Recipe, machine: str, lot: str) -> Origin:
    """Return what all records of a lot have in common that this model and recipe decide about on this machine."""
    digest = sha256_hex(msgspec.json.encode(recipe, order="sorted"))
    card = folder.card
    counts = [card.metrics[name].samples if name in card.metrics else 0 for name in card.classes]
    return Origin(
        machine=machine,
        lot=lot,
        model_id=card.model_id,
        recipe_digest=digest,
        class_names=recipe.class_names,
        policy=recipe.residual,
        sample_counts=tuple(counts) if all(counts) else (),
        class_norms=card.class_norms,
    )
