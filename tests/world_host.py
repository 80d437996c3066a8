"""A virtual world in virtual time with a whole host in the same thread: two views, a link, pulses from stamps."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.cameras.virtual_camera import VirtualCamera, open_virtual_camera
from edge_runtime.decisions import Decisions, Pulses
from edge_runtime.errors import CameraError
from edge_runtime.grains import Grain
from edge_runtime.inline import InlineSorter, Sorted
from edge_runtime.line_scan import Block
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import Camera, ClassRule, Lane, Machine, Recipe
from edge_runtime.segment import SegmentSettings
from edge_runtime.virtual_belt import BeltSettings
from edge_runtime.virtual_world import VirtualWorld, WorldSettings
from edge_runtime.virtual_world_scene import WorldScene, draw_scene
from firmware_bridge.clock import NS_PER_S, ManualClock
from firmware_bridge.errors import TransportClosedError
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent, EjectOutcome, LinkEvent
from firmware_bridge.messages import TriggerStamp, Verdict

__all__ = [
    "BLOCK_LINES",
    "DEFAULTS",
    "MACHINE",
    "RECIPE",
    "Blocks",
    "WorldHost",
    "by_colour",
    "make_scene",
    "make_world",
]

RECIPE: Final = Recipe((ClassRule("good"), ClassRule("bad", "eject")), segment=SegmentSettings(threshold=45))
BLOCK_LINES: Final = 128
DEFAULTS: Final = WorldSettings()
_WIDTH_PX: Final = 512
_U32: Final = 0xFFFFFFFF
_STEP_NS: Final = 1_000_000


def _machine() -> Machine:
    top = Camera("top", _WIDTH_PX, pixel_mm=0.13, to_valves_mm=300.0, max_object_lines=64)
    side = Camera("side", _WIDTH_PX, pixel_mm=0.13, to_valves_mm=250.0, max_object_lines=64)
    width_mm = _WIDTH_PX * 0.13
    lanes = tuple(Lane(i, i * 5.0, min((i + 1) * 5.0, width_mm)) for i in range(14))
    return Machine("world", (top, side), lanes, belt_mm_s=2000.0, to_inspection_mm=500.0)


MACHINE: Final = _machine()


class Blocks:
    """Pieces of one colour a class: green is good, red is bad."""

    class_names = ("good", "bad")

    def draw(self, kind: str, rng: np.random.Generator) -> Grain:
        height, width = (int(side) for side in rng.integers(14, 36, 2))
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = (60, 200, 80) if kind == "good" else (60, 80, 200)
        return Grain(pixels, np.ones((height, width), np.bool_))


def by_colour(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    is_red = crops[:, 24, 24, 2] > crops[:, 24, 24, 1]
    return np.stack([~is_red, is_red], axis=1).astype(np.float32)


def make_scene(*, pieces: int = 300, rate_hz: float = 500.0, most_pieces: int = 10_000) -> WorldScene:
    belt = BeltSettings({"good": 4.0, "bad": 1.0}, pieces, rate_hz, pixel_mm=0.13, width_px=_WIDTH_PX)
    return draw_scene(belt, Blocks(), RECIPE, block_lines=BLOCK_LINES, most_pieces=most_pieces)


def make_world(folder: Path, clock: ManualClock, scene: WorldScene, settings: WorldSettings = DEFAULTS) -> VirtualWorld:
    return VirtualWorld(folder, MACHINE, scene=scene, settings=settings, clock=clock)


class _Line:
    """The host's end of the world's terminal; waiting on it lets the world's time pass."""

    def __init__(self, path: Path, host: "WorldHost") -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._host = host

    def read(self, max_b: int, timeout_s: float) -> bytes:
        left_ns = round(timeout_s * NS_PER_S)
        while True:
            try:
                data = os.read(self._fd, max_b)
            except BlockingIOError:
                data = b""
            except OSError as error:
                raise TransportClosedError("hung up") from error
            if data or left_ns <= 0:
                return data
            self._host.pass_time()
            left_ns -= _STEP_NS

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class WorldHost:
    """Sorts what the world's cameras give, as a live host would, in the world's thread.

    Attributes:
        decisions: of both views, lines are the world's.
        outcomes: of the pulses; verdicts: of the inspection.
    """

    def __init__(self, world: VirtualWorld, folder: Path, clock: ManualClock) -> None:
        self.decisions: list[Decisions] = []
        self.outcomes: list[EjectOutcome] = []
        self.verdicts: list[Verdict] = []
        self.link = Link(_Line(folder / "controller", self), clock, LinkSettings(epoch_seed=1))
        self._world, self._folder, self._clock = world, folder, clock
        self._sorters = [InlineSorter(Sorter(RECIPE, NormSpec(), view, by_colour), MACHINE) for view in MACHINE.cameras]
        self._cameras: list[VirtualCamera | None] = [None for _ in MACHINE.cameras]
        self._next_frames = [-1 for _ in MACHINE.cameras]
        self._stamps: dict[int, int] = {}

    def pass_time(self) -> None:
        """Let a millisecond pass."""
        self._clock.advance_ns(_STEP_NS)
        self._world.step(0.0)

    def connect_cameras(self) -> None:
        for number, camera in enumerate(MACHINE.cameras):
            if self._cameras[number] is None:
                self._cameras[number] = open_virtual_camera(self._folder / "camera.sock", camera, self._clock)

    def arm(self) -> None:
        self.link.connect(1.0)
        self.link.configure({}, 1.0)
        self.link.arm(1.0)
        self.link.set_feeder(1000)

    def run(self) -> None:
        """Sort until the world is over."""
        while not self._world.is_over:
            self.run_once()

    def run_for(self, seconds: float) -> None:
        end_ns = self._clock.monotonic_ns() + round(seconds * NS_PER_S)
        while self._clock.monotonic_ns() < end_ns:
            self.run_once()

    def run_once(self) -> None:
        self.pass_time()
        self._hear(self.link.poll())
        for number in range(len(self._cameras)):
            self._sort_next(number)

    def close(self) -> None:
        for camera in self._cameras:
            if camera is not None:
                camera.close()

    def _hear(self, events: Sequence[LinkEvent]) -> None:
        for event in events:
            match event:
                case TriggerStamp():
                    self._stamps[event.frame_no] = event.tick
                case EjectOutcome():
                    self.outcomes.append(event)
                case Verdict():
                    self.verdicts.append(event)
                case _:
                    pass

    def _sort_next(self, number: int) -> None:
        camera = self._cameras[number]
        if camera is None:
            return
        try:
            frame = camera.take(0.0)
        except CameraError:
            camera.close()
            self._cameras[number] = None
            return
        if frame is None or not frame.is_complete:
            return
        if frame.frame_id != self._next_frames[number]:
            self._keep(number, frame.frame_id, self._sorters[number].finish())
        self._next_frames[number] = frame.frame_id + 1
        block = Block(frame.frame_id * BLOCK_LINES, frame.pixels.copy())
        self._keep(number, frame.frame_id, self._sorters[number].sort_block(block))

    def _keep(self, number: int, frame_id: int, step: Sorted) -> None:
        self.decisions.append(step.decisions.without_crops())
        if len(step.pulses) and self.link.is_armed:
            stamp = self._stamps.get(frame_id * len(MACHINE.cameras) + number)
            if stamp is not None:
                self.link.eject(_events(step.pulses, stamp, frame_id * BLOCK_LINES * 65.0))


def _events(pulses: Pulses, stamp: int, stamp_us: float) -> list[EjectEvent]:
    rows = zip(pulses.open_us, pulses.first_valves, pulses.valve_counts, pulses.pulse_us, strict=True)
    return [
        EjectEvent((stamp + round(float(at_us) - stamp_us)) & _U32, int(first), int(count), int(length_us))
        for at_us, first, count, length_us in rows
    ]
