"""What a virtual run is asked to do and what it reports, and the machine that suits the rendered grains.

>>> rendered_machine().lanes[1]
Lane(valve=1, from_mm=5.0, to_mm=10.0, delay_us=0)
"""

from typing import Annotated, Final, Literal

import msgspec

from edge_runtime.recorder import RecorderCounts
from edge_runtime.schemas import Camera, Lane, Machine
from edge_runtime.verdict_recording import VerdictTally
from edge_runtime.virtual_controller import ControllerTraits, EjectTally
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_outcome import SortReport

__all__ = ["UNSEEN", "VirtualReport", "VirtualRun", "rendered_machine"]

UNSEEN: Final = "unseen"

NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]


class VirtualRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs, for how long, and how well the world keeps to the plan.

    Attributes:
        mix: share of each class on the belt, > 0.
        pieces: number of pieces.
        rate_hz: pieces a second in the mean.
        min_gap_mm: room between any two pieces; 0 lets them touch.
        seed: of everything random.
        teach_class: "" sorts; a class name runs a teach lot (T0) with the valves off, recorded as being of that class.
        block_lines: lines of a camera block.
        host_latency_ms: time from the end of a block to the sending of its pulses.
        scatter_mm: standard deviation of where a piece is along the belt when it reaches valves and inspection.
        inspection: how good the inspection is; there is none where the machine has no way to it, or keeps no order.
        person_labels_audit: a person names the class of each object of the audit slice (T8).
        match_tolerance_mm: how far a verdict may lie from where its object was expected.
        controller: clock of the virtual controller.
    """

    mix: dict[str, float]
    pieces: Annotated[int, msgspec.Meta(ge=0)] = 1000
    rate_hz: Annotated[float, msgspec.Meta(gt=0.0)] = 500.0
    min_gap_mm: NotNegative = 0.8
    seed: int = 1
    teach_class: str = ""
    block_lines: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 128
    host_latency_ms: NotNegative = 15.0
    scatter_mm: NotNegative = 0.2
    inspection: InspectionTraits = InspectionTraits()
    person_labels_audit: bool = True
    match_tolerance_mm: NotNegative = 1.5
    controller: ControllerTraits = ControllerTraits()


class VirtualReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run showed. docs/virtual-machine.md defines every figure.

    Attributes:
        mode: production or teach.
        sort: where the pieces went.
        confusion: pieces by true class and by the class decided, "unseen" or "oversize".
        macro_f1: mean over the classes fed of F1, over pieces; a piece never seen is an error of its class.
        eject: what became of the pulses.
        objects: objects decided on; clusters: those that held no piece or several.
        seconds: virtual time the pieces took; pieces_per_s: pieces over that.
        verdicts: sent by the inspection; matching: what became of them, where there is a recorder.
        recorded: the recorder's books, None without one.
        decisions_sha256: digest over all decisions and pulses.
        schema_version: of this record.
    """

    mode: Literal["production", "teach"]
    sort: SortReport
    confusion: dict[str, dict[str, int]]
    macro_f1: float | None
    eject: EjectTally
    objects: int
    clusters: int
    seconds: float
    pieces_per_s: float
    verdicts: int
    matching: VerdictTally | None
    recorded: RecorderCounts | None
    decisions_sha256: str
    schema_version: Literal[1] = 1


def rendered_machine(width_px: int = 1024) -> Machine:
    """Return a machine that suits the rendered grains: 0.13 mm a pixel, 2 m/s, 5 mm valves, an inspection 500 mm on."""
    camera = Camera(width_px=width_px, pixel_mm=0.13, to_valves_mm=300.0, max_object_lines=64)
    width_mm = width_px * camera.pixel_mm
    lanes = tuple(Lane(i, i * 5.0, min((i + 1) * 5.0, width_mm)) for i in range(max(1, -int(-width_mm // 5))))
    return Machine("virtual", (camera,), lanes, belt_mm_s=2000.0, to_inspection_mm=500.0)
