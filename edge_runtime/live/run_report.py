"""What a live run tells: its books at one moment, or at its end. Records only."""

from typing import Literal

import msgspec

from edge_runtime.cameras.frame_watch import WatchCounts
from edge_runtime.live.books import CameraCounts

__all__ = ["CameraReport", "LiveReport", "ProcessReport"]


class CameraReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera: what it gave, and what became of it."""

    name: str
    given: WatchCounts
    counts: CameraCounts


class ProcessReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place in a run.

    Attributes:
        name: of the place.
        pid: of the process that fills it, 0 for none.
        state: how far it has come.
        ended: how often a process that filled it ended without being told to.
    """

    name: str
    pid: int
    state: str
    ended: int


class LiveReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run, at one moment or at its end.

    Attributes:
        machine: its name.
        model_id: what sorts now.
        seconds: since the run began.
        is_armed: whether the controller fires.
        wants_armed: whether it shall.
        level: what is shed, see docs/live.md.
        feeder_permille: how much the feeder is asked for.
        cameras: the books.
        processes: who fills which place.
        swaps: changes of the model since the run began.
        told: what became of the last one.
        trouble: what a person should look at, empty where nothing is.
    """

    machine: str
    model_id: str
    seconds: float
    is_armed: bool
    wants_armed: bool
    level: int
    feeder_permille: int
    cameras: tuple[CameraReport, ...]
    processes: tuple[ProcessReport, ...]
    swaps: int = 0
    told: str = ""
    trouble: str = ""
    schema_version: Literal[1] = 1
