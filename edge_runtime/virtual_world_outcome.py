"""What a virtual world was and what came of it: records for the disk, and the arrays that a judgement needs.

`world.json` tells where everything is while it runs; `outcome.json` and `outcome.npz` what came of it. Times are
microseconds on the belt's axis: since line 0 of the world. It must not know sockets or boards.

>>> from edge_runtime.schemas import Camera, Lane
>>> machine = Machine("desk", (Camera(),), (Lane(0, 0.0, 5.0),), belt_mm_s=2000.0)
>>> piece = BeltPieces(np.array([0]), np.array([20.0]), np.array([1000]), np.array([1019]))
>>> passages_of(piece, np.zeros(1), machine).begin_ticks.tolist()
[200000]
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import StorageError
from edge_runtime.schemas import Machine
from edge_runtime.storage import read_bytes, write_atomic
from edge_runtime.virtual_outcome import Passages, SortReport
from edge_runtime.virtual_world_cameras import CameraBooks
from edge_runtime.virtual_world_log import FeederChange, StateChange
from edge_runtime.virtual_world_scene import BeltPieces
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = [
    "OUTCOME_FILE",
    "WORLD_FILE",
    "WakeFigures",
    "WorldFacts",
    "WorldOutcome",
    "WorldReport",
    "WorldStatus",
    "load_outcome",
    "passages_of",
    "save_outcome",
]

WORLD_FILE: Final = "world.json"
OUTCOME_FILE: Final = "outcome.json"
_ARRAYS_FILE: Final = "outcome.npz"
# What msgspec, numpy and zipfile raise on damaged bytes; found by damaging each.
_DAMAGED: Final = (msgspec.DecodeError, ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile)


class WorldFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a world is; world.json.

    Attributes:
        pid: of its process.
        machine: cameras, lanes, belt.
        class_names: of the recipe; is_bad: for each, whether the recipe ejects it.
        line_0_ns: when line 0 passed the first camera that sees it, CLOCK_MONOTONIC.
        line_ns: time from line to line.
        block_lines: lines of a block.
        offsets_ns: by camera, how much later than line_0_ns line 0 passes it. A trigger stamp's frame_no is
            block * cameras + camera, modulo 2**32.
        scene_line: first line of the pieces' scene, null before the feeder runs.
        scene_lines: lines of it; pieces: on it.
        controller: where the board is, its terminal or tcp://host:port; camera_socket: of all cameras.
        schema_version: of this record.
    """

    pid: int
    machine: Machine
    class_names: tuple[str, ...]
    is_bad: tuple[bool, ...]
    line_0_ns: int
    line_ns: float
    block_lines: int
    offsets_ns: tuple[int, ...]
    scene_line: int | None
    scene_lines: int
    pieces: int
    controller: str
    camera_socket: str
    schema_version: Literal[1] = 1


class WorldStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the control socket's `status` answers.

    Attributes:
        us: now, on the belt's axis.
        state: of the controller.
        scene_line: first line of the pieces' scene, null before the feeder runs.
        landed: pieces so far; pulses: valve openings so far.
        connected: cameras with a client.
    """

    us: int
    state: str
    scene_line: int | None
    landed: int
    pulses: int
    connected: tuple[str, ...]


class WakeFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How late the process woke for what was due, in microseconds, and its share of a processor core, 0..1."""

    p50_us: int
    p99_us: int
    worst_us: int
    cpu_share: float


class WorldReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a world; outcome.json.

    Attributes:
        facts: what it was.
        sort: where the pieces went. A world does not know what the machine decided: every piece counts as unseen, so
            good pieces thrown are all co_deflected and bad ones kept are all bad_unseen; `judge` tells better.
        landed: pieces that passed the valves before the end; only they count.
        seconds: from line 0 to the end.
        pulses: valve openings recorded.
        fired_twice: openings of one valve for one event beyond the first, in one life of the board: must be 0.
        fired_late: events fired late.
        refusals: events that did not go normally, by the controller's reason.
        worst_lateness_us: largest that it reported of an event that came late, null where none did.
        states: every change of the controller's state; feeder: of its feeder.
        boots: how often the board lost its power.
        cameras: their books.
        dropped_b: bytes of the board that did not get onto the line.
        verdicts: sent by the inspection; verdicts_lost: while no host had a session.
        wakes: how punctual the process was; null where nothing was due.
        schema_version: of this record.
    """

    facts: WorldFacts
    sort: SortReport
    landed: int
    seconds: float
    pulses: int
    fired_twice: int
    fired_late: int
    refusals: dict[str, int]
    worst_lateness_us: int | None
    states: tuple[StateChange, ...]
    feeder: tuple[FeederChange, ...]
    boots: int
    cameras: tuple[CameraBooks, ...]
    dropped_b: int
    verdicts: int
    verdicts_lost: int
    wakes: WakeFigures | None
    schema_version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class WorldOutcome:
    """A world's report with what it is made from.

    Attributes:
        report: see `WorldReport`.
        pieces: those that landed; lines are the world's.
        scatter_mm: (N,) float64, each one's own error along the belt.
        is_thrown: (N,) bool.
        pulses: (M, 6) int64, columns of `WorldPulse`.
    """

    report: WorldReport
    pieces: BeltPieces
    scatter_mm: NDArray[np.float64]
    is_thrown: NDArray[np.bool_]
    pulses: NDArray[np.int64]

    @property
    def passages(self) -> Passages:
        """Return when the pieces passed the valves, ticks on the belt's axis."""
        return passages_of(self.pieces, self.scatter_mm, self.report.facts.machine)

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the pulses, ticks on the belt's axis."""
        return [FiredPulse(*row) for row in self.pulses[:, 1:].tolist()]


def passages_of(pieces: BeltPieces, scatter_mm: NDArray[np.float64], machine: Machine) -> Passages:
    """Return when pieces pass the valves, in microseconds since line 0 passed the camera farthest from them.

    Args:
        pieces: N, lines from line 0.
        scatter_mm: (N,) own error along the belt.
        machine: its cameras have all the same pixels.
    """
    pixel_mm = machine.cameras[0].pixel_mm
    way_mm = max(camera.to_valves_mm for camera in machine.cameras) + scatter_mm
    us_per_mm = 1e6 / machine.belt_mm_s
    begins = np.rint((pieces.first_lines * pixel_mm + way_mm) * us_per_mm).astype(np.int64)
    ends = np.rint(((pieces.last_lines + 1) * pixel_mm + way_mm) * us_per_mm).astype(np.int64)
    return Passages(pieces.class_ids, pieces.centres_px * pixel_mm, begins, ends)


def save_outcome(folder: Path, outcome: WorldOutcome) -> None:
    """Write an outcome; outcome.json comes last, so that who waits for it finds both.

    Raises:
        StorageError: the folder cannot be written.
    """
    arrays = io.BytesIO()
    pieces = outcome.pieces
    np.savez(
        arrays,
        class_ids=pieces.class_ids,
        centres_px=pieces.centres_px,
        first_lines=pieces.first_lines,
        last_lines=pieces.last_lines,
        scatter_mm=outcome.scatter_mm,
        is_thrown=outcome.is_thrown,
        pulses=outcome.pulses,
    )
    write_atomic(folder / _ARRAYS_FILE, arrays.getvalue())
    write_atomic(folder / OUTCOME_FILE, msgspec.json.format(msgspec.json.encode(outcome.report)))


def load_outcome(folder: Path) -> WorldOutcome:
    """Read an outcome back.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    try:
        report = msgspec.json.decode(read_bytes(folder / OUTCOME_FILE), type=WorldReport)
        with np.load(io.BytesIO(read_bytes(folder / _ARRAYS_FILE)), allow_pickle=False) as arrays:
            names = ("class_ids", "centres_px", "first_lines", "last_lines")
            pieces = BeltPieces(*(arrays[name] for name in names))
            return WorldOutcome(report, pieces, arrays["scatter_mm"], arrays["is_thrown"], arrays["pulses"])
    except _DAMAGED as error:
        raise StorageError(f"{folder} holds no outcome of a virtual world: {error}") from error
