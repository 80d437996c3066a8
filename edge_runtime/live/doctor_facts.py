"""What `sortloop-edge doctor` looks at: plain values for the rules. `doctor_probe` gathers them."""

from typing import Literal

import msgspec

from edge_runtime.schemas import Camera, Machine
from firmware_bridge.doctor_facts import DoctorFacts

__all__ = ["CameraFacts", "ComputerFacts", "LiveFacts", "ModelFacts", "SourceState", "StateFacts"]

SourceState = Literal["there", "none", "unknown", "missing", "denied", "unasked"]


class CameraFacts(msgspec.Struct, frozen=True):
    """One camera.

    Attributes:
        camera: as in the machine file.
        state: of what its pictures come from; unasked where only opening it would tell.
        references: "" calibrated, "none" without references, else what is wrong with them.
    """

    camera: Camera
    state: SourceState
    references: str


class ModelFacts(msgspec.Struct, frozen=True):
    """The model folder.

    Attributes:
        path: of the folder.
        model_id: "" where it is not whole.
        error: what is wrong.
        is_tuned: measured on this board.
        form: why it runs as it does.
        bands: of the pictures; 3 where the recipe cannot be read.
    """

    path: str
    model_id: str = ""
    error: str = ""
    is_tuned: bool = False
    form: str = ""
    bands: int = 3


class StateFacts(msgspec.Struct, frozen=True):
    """The folder for records and journals, or the nearest folder above it that is there."""

    path: str
    free_b: int
    is_writable: bool


class ComputerFacts(msgspec.Struct, frozen=True):
    """This computer, and what it grants to this user.

    Attributes:
        cores: that this process may use.
        memory_b: that may still be taken.
        lockable_b: of memory that may be locked; None without a limit.
        priority_refused: why real-time priority is not granted; "" where it is, or is not asked for.
        clock_source: of the kernel; "" where it tells none.
        governors: of the cores' frequencies, each once; empty where there are none.
        videos: video devices that are there.
    """

    cores: tuple[int, ...]
    memory_b: int
    lockable_b: int | None
    priority_refused: str
    clock_source: str
    governors: tuple[str, ...]
    videos: tuple[str, ...]


class LiveFacts(msgspec.Struct, frozen=True):
    """Everything.

    Attributes:
        machine_path: machine file.
        machine_error: what is wrong with it; then nothing else was looked at.
        machine: None where it is wrong.
        model: the folder that it names; fallback: the one that stands in, None where it names none.
        cameras: in its order.
        state: folder of records.
        computer: this one.
        running: name of the machine whose run answers on this computer; "" for none.
        metrics_trouble: why the port for metrics cannot be used; "" where it can, or a run has it.
        port: what was found at the controller's port; None where it was left alone.
    """

    machine_path: str
    machine_error: str = ""
    machine: Machine | None = None
    model: ModelFacts | None = None
    fallback: ModelFacts | None = None
    cameras: tuple[CameraFacts, ...] = ()
    state: StateFacts | None = None
    computer: ComputerFacts | None = None
    running: str = ""
    metrics_trouble: str = ""
    port: DoctorFacts | None = None
