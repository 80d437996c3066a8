"""A model on the virtual sorting machine, with everything from folders: what `sortloop-edge simulate` runs."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import ConfigError
from edge_runtime.grain_sources import ClassFolderGrains, GrainSource, RenderedGrains
from edge_runtime.grains import FLOOR
from edge_runtime.inline import make_sorter
from edge_runtime.model import load_model_folder
from edge_runtime.recorder import Recorder
from edge_runtime.setup import Setup, open_model, origin_of
from edge_runtime.spool import Spool
from edge_runtime.verdict_recording import Logbook
from edge_runtime.virtual_machine import run_virtual_machine
from edge_runtime.virtual_run import VirtualReport, VirtualRun, rendered_machine
from firmware_bridge.clock import Clock

__all__ = ["Simulation", "even_mix", "simulate_machine", "virtual_setup"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated.

    Attributes:
        model: model folder.
        run: belt, world and mode.
        lot: name of the lot in the records.
        grains: class folders of real crops; None renders grains as the factory floor sees them.
        spool: where mistakes are recorded; None records nothing.
    """

    model: Path
    run: VirtualRun
    lot: str = "virtual"
    grains: Path | None = None
    spool: Path | None = None


def virtual_setup(model: Path) -> Setup:
    """Return a model on the virtual machine, checked with its golden crops.

    Raises:
        ModelFolderError: the folder is not whole, its graph is not one that the machine may run, or its golden crops
            get other scores here.
        ConfigError: its recipe has a wrong key or value.
    """
    opened = open_model(model)
    machine = rendered_machine()
    sorter = make_sorter(opened.folder, opened.scorer, machine.cameras[0])
    return Setup(opened.folder, sorter, machine, opened.form)


def even_mix(model: Path) -> dict[str, float]:
    """Return a mix in which nine of ten pieces are of the classes that a model's recipe accepts.

    Raises:
        ModelFolderError: the folder is not whole.
        ConfigError: its recipe has a wrong key or value.
    """
    rules = load_model_folder(model).recipe.classes
    good = sum(rule.action == "accept" for rule in rules)
    bad = len(rules) - good
    share = {"accept": (0.9 if bad else 1.0) / max(1, good), "eject": (0.1 if good else 1.0) / max(1, bad)}
    return {rule.name: share[rule.action] for rule in rules}


def simulate_machine(simulation: Simulation, clock: Clock) -> VirtualReport:
    """Run the virtual sorting machine.

    Args:
        simulation: model, belt, records.
        clock: for the time in the records; belt time costs nothing.

    Raises:
        ModelFolderError: the model folder is not whole or not what it says.
        ConfigError: the model and the grains have other classes, or the run names an unknown one.
        StorageError: the spool cannot be written.
    """
    setup = virtual_setup(simulation.model)
    recipe = setup.sorter.recipe
    source: GrainSource = RenderedGrains(FLOOR)
    if simulation.grains is not None:
        source = ClassFolderGrains(simulation.grains, recipe.segment)
    strange = sorted(set(source.class_names) - set(recipe.class_names))
    if strange:
        raise ConfigError(f"the belt carries {', '.join(strange)}, which the model does not know: train it on them")
    with nullcontext() if simulation.spool is None else Spool.open(simulation.spool, clock=clock) as spool:
        logbook = None if spool is None else _logbook(setup, spool, simulation.lot, clock)
        return run_virtual_machine(simulation.run, setup.sorter, machine=setup.machine, source=source, logbook=logbook)


def _logbook(setup: Setup, spool: Spool, lot: str, clock: Clock) -> Logbook:
    origin = origin_of(setup, lot)
    return Logbook(Recorder(spool, origin, clock), origin)
