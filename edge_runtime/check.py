"""Files proven to be what they should be: what `sortloop-edge check` does. Nothing is changed."""

from dataclasses import dataclass
from pathlib import Path

from edge_runtime.config import load_settings, settings_faults
from edge_runtime.errors import ConfigError, ModelFolderError, StorageError
from edge_runtime.flat_field import FlatField
from edge_runtime.machine_file import load_machine
from edge_runtime.model import ModelFolder, check_graphs, load_model_folder
from edge_runtime.model_gate import GateLimits, forms_of, gate_model
from edge_runtime.schemas import Camera, Machine, Recipe
from edge_runtime.setup import camera_references, check_bands, check_classes
from edge_runtime.tuned_record import chosen_form

__all__ = ["check_files"]


def check_files(
    model: Path | None, recipe: Path | None, machine: Path | None, *, limits: GateLimits | None = None
) -> dict[str, str]:
    """Check files and return, by path, what was found.

    Args:
        model: model folder; None is left out, as with the others.
        recipe: recipe file.
        machine: machine file.
        limits: of the process in which the model is tried; None for the usual ones.

    Raises:
        ConfigError: recipe, machine or the references of a camera are wrong; the message has a line for each table that
            is, of all files. The model waits until they are right. Or recipe, model and references do not go together.
        ModelFolderError: the folder is not whole, or the gate refuses the form in which the model would run.
    """
    faults = () if recipe is None else settings_faults(recipe, Recipe)
    place, more = (None, ()) if machine is None else _look_at_machine(machine)
    if faults + more:
        raise ConfigError("\n".join(faults + more))
    chosen = None if recipe is None else load_settings(recipe, Recipe)
    found = {}
    if model is not None:
        folder = load_model_folder(model)
        if recipe is not None and chosen is not None:
            check_classes(recipe, chosen, folder)
        found[str(model)] = _check_model(folder, limits)
        chosen = chosen or folder.recipe
    if recipe is not None and chosen is not None:
        found[str(recipe)] = f"recipe with classes {', '.join(chosen.class_names)}"
    if machine is not None and place is not None:
        for camera, field in place.fields.items():
            if chosen is not None:
                check_bands(field, camera, chosen)
        found[str(machine)] = (
            f"machine {place.machine.name}, {len(place.machine.cameras)} cameras, {len(place.machine.lanes)} lanes; "
            f"calibrated: {', '.join(camera.name for camera in place.fields) or 'none'}"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """A machine with the references of its calibrated cameras."""

    machine: Machine
    fields: dict[Camera, FlatField]


def _look_at_machine(path: Path) -> tuple[_Place | None, tuple[str, ...]]:
    """Return a machine, or what is wrong with its file or else with the references of its cameras."""
    faults = settings_faults(path, Machine)
    if faults:
        return None, faults
    try:
        machine = load_machine(path)
    except ConfigError as error:
        return None, (str(error),)
    fields: dict[Camera, FlatField] = {}
    for camera in machine.cameras:
        try:
            field = camera_references(path, camera)
        except (ConfigError, StorageError) as error:
            faults += (str(error),)
        else:
            fields |= {} if field is None else {camera: field}
    return _Place(machine, fields), faults


def _check_model(folder: ModelFolder, limits: GateLimits | None) -> str:
    """Gate every form that a model may run in; return what was found, in words.

    Raises:
        ModelFolderError: the graph is not allowed, or the form that would run is refused.
    """
    check_graphs(folder)
    chosen = chosen_form(folder)
    verdicts = {
        form: gate_model(folder, form, limits=limits) for form in dict.fromkeys((chosen.form, *forms_of(folder)))
    }
    runs = verdicts.pop(chosen.form)
    if runs.outcome != "passed":
        raise ModelFolderError(runs.reason)
    words = [
        f"model {folder.card.model_id[:12]}",
        f"{len(folder.card.classes)} classes",
        f"{runs.golden} golden crops",
        f"runs as {chosen.form}: {chosen.why}",
    ]
    words += [f"{form} may not run here: {v.reason}" for form, v in verdicts.items() if v.outcome != "passed"]
    return ", ".join(words)
