"""Files and wishes to a running virtual world and its outcome on disk: what `sortloop-edge world` runs.

>>> wish = WorldWish(Path("model"), Path("machine.toml"), Path("world"), WorldSettings())
>>> wish.pieces, wish.realtime.priority
(10000, 0)
"""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import structlog

from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.grain_sources import ClassFolderGrains, GrainPool, GrainSource, RenderedGrains
from edge_runtime.grains import FLOOR
from edge_runtime.live.stop_signals import StopSignals
from edge_runtime.machine_file import load_machine
from edge_runtime.model import load_model_folder
from edge_runtime.realtime import RealtimeSettings, enter_realtime
from edge_runtime.schemas import Machine, Recipe
from edge_runtime.setup import open_sorter
from edge_runtime.simulate import even_mix
from edge_runtime.storage import write_atomic
from edge_runtime.virtual_belt import BeltSettings
from edge_runtime.virtual_world import VirtualWorld, WorldSettings
from edge_runtime.virtual_world_decisions import scene_decisions
from edge_runtime.virtual_world_judge import judge
from edge_runtime.virtual_world_outcome import OUTCOME_FILE, WORLD_FILE, WorldOutcome, WorldReport, save_outcome
from edge_runtime.virtual_world_plan import check_cameras, check_inspection
from edge_runtime.virtual_world_scene import WorldScene, draw_scene
from firmware_bridge.clock import Clock

__all__ = ["JUDGEMENT_FILE", "WorldWish", "run_world", "world_text"]

JUDGEMENT_FILE: Final = "judgement.json"
_POOL_PER_CLASS: Final = 200  # rendering a piece takes longer than it lies under a camera
_MOST_SCENE_B: Final = 512 << 20
_CHANNELS: Final = 3
_ORDINARY: Final = RealtimeSettings(is_memory_locked=False)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorldWish:
    """What is asked for.

    Attributes:
        model: model folder, for class names and actions.
        machine: machine file.
        folder: where everything is; made if missing.
        settings: how the world behaves.
        pieces: on the belt; made up to whole rounds of the scene, see `draw_scene`.
        rate_hz: pieces a second in the mean.
        min_gap_mm: room between any two pieces.
        grains: class folders of real crops; None renders grains.
        realtime: what keeps the process punctual.
        is_judged: at the end the scene is sorted once more in peace, and the judgement written.
    """

    model: Path
    machine: Path
    folder: Path
    settings: WorldSettings
    pieces: int = 10_000
    rate_hz: float = 500.0
    min_gap_mm: float = 0.8
    grains: Path | None = None
    realtime: RealtimeSettings = _ORDINARY
    is_judged: bool = False


def run_world(wish: WorldWish, clock: Clock, cpu: Clock) -> WorldReport:
    """Run a world until its pieces have landed or SIGTERM comes; write its outcome into the folder.

    Args:
        wish: what is asked for.
        clock: real time.
        cpu: processor time of this process.

    Raises:
        ModelFolderError: the model folder is not whole.
        ConfigError: the machine file or the recipe is wrong, the model and the grains have other classes, the
            cameras differ in what a virtual world has in common, or the machine has no inspection that is asked for.
        TransportError: the controller's terminal cannot be made.
        StorageError: the folder cannot be written, or its path is too long for a socket.
        EdgeError: the run is to be judged, and the model cannot be opened or takes other frames.

    Note: from the main thread only, which is where signals arrive.
    """
    machine = load_machine(wish.machine)
    check_cameras(machine.cameras)
    if wish.settings.inspection.share:
        check_inspection(machine)
    recipe = load_model_folder(wish.model).recipe
    _clear(wish.folder)
    scene = _scene(wish, machine, recipe)
    grants = enter_realtime(wish.realtime)
    if grants.refused:
        _log.warning("world.realtime", refused=grants.refused)
    with (  # the signals first: a world that can be found can be told
        StopSignals() as stop,
        _power_cuts() as cuts,
        closing(VirtualWorld(wish.folder, machine, scene=scene, settings=wish.settings, clock=clock)) as world,
    ):
        _log.info("world.ready", folder=str(wish.folder), pieces=scene.pieces.count, blocks=scene.total_blocks)

        def should_stop() -> bool:
            if cuts:
                cuts.clear()
                world.cut_power()
            return stop.has_come()

        world.run(should_stop, cpu)
        outcome = world.outcome()
        save_outcome(wish.folder, outcome)
    if wish.is_judged and world.scene_line is not None:
        _judge(wish, outcome, scene, world.scene_line)
    return outcome.report


def _clear(folder: Path) -> None:
    """Make the folder, without what a world before has told: who waits for a file shall find this one's.

    Raises:
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (WORLD_FILE, OUTCOME_FILE, JUDGEMENT_FILE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot use {folder}: {error.strerror or error}") from error


def _judge(wish: WorldWish, outcome: WorldOutcome, scene: WorldScene, scene_line: int) -> None:
    """Write what the same decisions would have given with perfect timing, beside what they gave.

    Raises:
        EdgeError: the model cannot be opened, or the folder cannot be written.
    """
    machine = outcome.report.facts.machine
    sorters = [open_sorter(wish.model, machine=wish.machine, camera=camera.name).sorter for camera in machine.cameras]
    judgement = judge(outcome, scene_decisions(scene, scene_line, sorters, machine))
    write_atomic(wish.folder / JUDGEMENT_FILE, msgspec.json.format(msgspec.json.encode(judgement)))


def world_text(report: WorldReport) -> str:
    """Return a world's report for people."""
    sort, wakes = report.sort, report.wakes
    refused = ", ".join(f"{name} {count}" for name, count in report.refusals.items()) or "none"
    lines = [
        f"{report.landed} pieces landed in {report.seconds:.1f} s",
        f"good: {sort.good_kept} kept, {sort.good_thrown} thrown; bad: {sort.bad_kept} kept, {sort.bad_thrown} thrown",
        f"{report.pulses} pulses, {report.fired_late} late, {report.fired_twice} twice; refused: {refused}",
        *(
            f"camera {books.name}: {books.passed} blocks, {books.sent} sent, {books.dropped} dropped, "
            f"{books.absent} with nobody there"
            for books in report.cameras
        ),
    ]
    if wakes is not None:
        lines.append(
            f"woke late by {wakes.p50_us} us (median), {wakes.p99_us} us (99 %), {wakes.worst_us} us (worst); "
            f"{wakes.cpu_share:.1%} of a core"
        )
    return "\n".join(lines)


def _scene(wish: WorldWish, machine: Machine, recipe: Recipe) -> WorldScene:
    if recipe.crop.channels != _CHANNELS:
        raise ConfigError(f"{wish.model} wants {recipe.crop.channels} band: a virtual world has cameras of 3")
    source: GrainSource = RenderedGrains(FLOOR)
    if wish.grains is not None:
        source = ClassFolderGrains(wish.grains, recipe.segment)
    camera = machine.cameras[0]
    belt = BeltSettings(
        mix=even_mix(wish.model),
        pieces=wish.pieces,
        rate_hz=wish.rate_hz,
        belt_mm_s=machine.belt_mm_s,
        pixel_mm=camera.pixel_mm,
        width_px=camera.width_px,
        min_gap_mm=wish.min_gap_mm,
        seed=wish.settings.seed,
    )
    pool = GrainPool(source, _POOL_PER_CLASS, wish.settings.seed)
    return draw_scene(belt, pool, recipe, block_lines=camera.frame_lines, most_pieces=_round_pieces(belt))


def _round_pieces(belt: BeltSettings) -> int:
    """Return how many pieces a scene of the memory it may take has."""
    bytes_per_s = belt.belt_mm_s / belt.pixel_mm * belt.width_px * _CHANNELS
    return max(1, int(_MOST_SCENE_B / bytes_per_s * belt.rate_hz))


@contextmanager
def _power_cuts() -> Iterator[list[int]]:
    """Let SIGUSR1 be noted while this is entered; yield where."""
    noted: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        noted.append(number)

    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGUSR1, before)
