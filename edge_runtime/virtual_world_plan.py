"""When which block passes which camera of a virtual world: pure arithmetic on the belt's steady speed.

All cameras look at the same belt: line L is the same place of it for each of them, and passes the nearer to the valves
a camera is, the later.

>>> plan = WorldPlan(line_0_ns=0, line_ns=65_000.0, block_lines=100, offsets_ns=(0, 10_000_000))
>>> plan.begins_ns(1, 2), plan.frame_no(1, 2)
(23000000, 5)
"""

import heapq
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from edge_runtime.errors import ConfigError
from edge_runtime.schemas import Camera, Machine
from firmware_bridge.clock import NS_PER_S

__all__ = ["Agenda", "Moment", "MomentKind", "WorldPlan", "check_cameras", "check_inspection", "plan_for"]

_U32: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """Where the belt is when.

    Attributes:
        line_0_ns: when line 0 passes the first camera that sees it, on the monotonic clock.
        line_ns: time from line to line.
        block_lines: lines of a block.
        offsets_ns: by camera, in the machine's order: how much later than `line_0_ns` line 0 passes it; least is 0.
    """

    line_0_ns: int
    line_ns: float
    block_lines: int
    offsets_ns: tuple[int, ...]

    def line_passes_ns(self, camera: int, line: float) -> int:
        """Return when a line passes a camera."""
        return self.line_0_ns + self.offsets_ns[camera] + round(line * self.line_ns)

    def begins_ns(self, camera: int, block: int) -> int:
        """Return when the first line of a block passes a camera: its trigger."""
        return self.line_passes_ns(camera, block * self.block_lines)

    def ends_ns(self, camera: int, block: int) -> int:
        """Return when the last line of a block has passed a camera."""
        return self.begins_ns(camera, block + 1)

    def frame_no(self, camera: int, block: int) -> int:
        """Return the number of the block's TRIGGER_STAMP, u32: block * cameras + camera.

        Note: a stamp names no camera; this way the host tells from the number alone whose it is.
        """
        return (block * len(self.offsets_ns) + camera) & _U32

    def next_block(self, now_ns: int) -> int:
        """Return the first block that has not begun at any camera."""
        return max(0, int((now_ns - self.line_0_ns) // (self.block_lines * self.line_ns)) + 1)


def check_cameras(cameras: tuple[Camera, ...]) -> None:
    """Prove that a virtual world can play these cameras.

    Raises:
        ConfigError: one is an area camera, or has other pixels than the first.
    """
    first = cameras[0]
    for camera in cameras:
        shape = (camera.width_px, camera.frame_lines, camera.pixel_mm)
        if camera.kind != "line" or shape != (first.width_px, first.frame_lines, first.pixel_mm):
            raise ConfigError(
                f"camera {camera.name} is {_described(camera)}: a virtual world has line cameras of the same pixels, "
                f"the first is {_described(first)}"
            )


def check_inspection(machine: Machine) -> None:
    """Prove that a machine has an inspection behind its valves to which a piece can be followed.

    Raises:
        ConfigError: it has none there, or its pieces change their order.
    """
    to_valves_mm = machine.cameras[0].to_valves_mm
    if machine.to_inspection_mm <= to_valves_mm or not machine.keeps_order:
        raise ConfigError(
            f"an inspection needs to_inspection_mm above {to_valves_mm}, the way to the valves, and keeps_order: "
            f"the machine has {machine.to_inspection_mm} and {str(machine.keeps_order).lower()}"
        )


def plan_for(machine: Machine, block_lines: int, line_0_ns: int) -> WorldPlan:
    """Return the plan of a machine whose cameras have all the same pixels.

    Args:
        machine: cameras, belt speed.
        block_lines: lines of a block.
        line_0_ns: see `WorldPlan`.
    """
    longest_mm = max(camera.to_valves_mm for camera in machine.cameras)
    offsets = tuple(
        round((longest_mm - camera.to_valves_mm) / machine.belt_mm_s * NS_PER_S) for camera in machine.cameras
    )
    line_ns = machine.cameras[0].pixel_mm / machine.belt_mm_s * NS_PER_S
    return WorldPlan(line_0_ns, line_ns, block_lines, offsets)


def _described(camera: Camera) -> str:
    return f"{camera.kind}, {camera.width_px} x {camera.frame_lines} px of {camera.pixel_mm} mm"


class MomentKind(IntEnum):
    """What happens; where two happen at once, in this order."""

    BEGIN = 0  # the first line of a block is under a camera: its trigger
    END = 1  # its last line has passed: the camera gives it


class Moment(NamedTuple):
    """Something that happens at a time; they are ordered by it."""

    at_ns: int
    kind: MomentKind
    camera: int
    block: int


class Agenda:
    """All moments of a plan, in the order of time, without end.

    Args:
        plan: says when.
    """

    def __init__(self, plan: WorldPlan) -> None:
        self._plan = plan
        self._next: list[Moment] = []
        for camera in range(len(plan.offsets_ns)):
            heapq.heappush(self._next, Moment(plan.begins_ns(camera, 0), MomentKind.BEGIN, camera, 0))
            heapq.heappush(self._next, Moment(plan.ends_ns(camera, 0), MomentKind.END, camera, 0))

    @property
    def next_ns(self) -> int:
        """Return when the next moment is."""
        return self._next[0].at_ns

    def due(self, now_ns: int) -> list[Moment]:
        """Return the moments up to and including now_ns that were not returned before, in order."""
        moments = []
        while self._next[0].at_ns <= now_ns:
            moment = self._next[0]
            moments.append(moment)
            tell = self._plan.begins_ns if moment.kind is MomentKind.BEGIN else self._plan.ends_ns
            block = moment.block + 1
            heapq.heapreplace(self._next, Moment(tell(moment.camera, block), moment.kind, moment.camera, block))
        return moments
