"""Ejections to valve pulses, from position, size and belt speed. Pure: whose clock it is, is the link's affair.

>>> machine = Machine("desk", (Camera(),), (Lane(0, 0.0, 5.0), Lane(1, 5.0, 10.0)))
>>> lanes_of(np.array([[10, 0, 20, 30]]), machine, machine.cameras[0])
[(0, 1)]
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.belts import Belt, SteadyBelt
from edge_runtime.decisions import Decisions, Pulses, pulses_of
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.errors import BeltError

__all__ = ["Scheduled", "lanes_of", "line_time_us", "schedule", "schedule_boxes", "schedule_on"]


class Scheduled(msgspec.Struct, frozen=True):
    """What is asked of the valves.

    Attributes:
        pulses: one or more an ejected object over a lane.
        untold: ejected objects, as indices into the decisions, of which the belt cannot tell when they pass, or that
            have passed: they are not fired, and counted.
    """

    pulses: Pulses
    untold: tuple[int, ...] = ()


def line_time_us(machine: Machine, camera: Camera) -> float:
    """Return how long the belt takes for one line of this camera, in microseconds."""
    return camera.pixel_mm / machine.belt_mm_s * 1e6


def lanes_of(boxes_px: NDArray[np.int64], machine: Machine, camera: Camera) -> list[tuple[int, int]]:
    """Return for each box the lanes that clear it, as (index of the first lane, number of lanes); (0, 0) for none.

    Args:
        boxes_px: (N, 4): x, line, width, height.
        machine: lanes, neighbours in order.
        camera: scale.

    Note:
        A lane takes part when it covers some of the middle half of the object: an edge that leans into the next lane
        is not worth the good product that a second valve would take along.
    """
    left = np.array([lane.from_mm for lane in machine.lanes])
    right = np.array([lane.to_mm for lane in machine.lanes])
    result = []
    for x, _, width, _ in boxes_px.tolist():
        begin, end = (x + width * 0.25) * camera.pixel_mm, (x + width * 0.75) * camera.pixel_mm
        hit = np.flatnonzero((left < end) & (right > begin))
        result.append((int(hit[0]), int(hit[-1] - hit[0] + 1)) if hit.size else (0, 0))
    return result


def schedule(decisions: Decisions, machine: Machine, camera: Camera) -> Pulses:
    """Return the pulses for the ejected objects at the machine's steady speed; see `schedule_on`."""
    return schedule_on(SteadyBelt(machine.belt_mm_s, machine.timing_spread_us), decisions, machine, camera).pulses


def schedule_on(belt: Belt, decisions: Decisions, machine: Machine, camera: Camera) -> Scheduled:
    """Return the pulses for the ejected objects of some decisions; see `schedule_boxes`."""
    ejected = np.flatnonzero(decisions.is_eject)
    return schedule_boxes(belt, ejected.tolist(), decisions.boxes_px[ejected], machine, camera)


def schedule_boxes(
    belt: Belt, owners: Sequence[int], boxes_px: NDArray[np.int64], machine: Machine, camera: Camera
) -> Scheduled:
    """Return the pulses for objects to be ejected, and the objects of which the belt cannot tell when they come.

    Args:
        belt: what carries the objects.
        owners: E numbers by which the pulses name their objects.
        boxes_px: (E, 4) int64 of these: x, absolute first line, width, height.
        machine: lanes, margins.
        camera: scale and way to the valves.

    Returns:
        Pulses that open `pulse_margin_mm` before an object's first row reaches the valves, earlier by what the belt
        leaves open and by the valve's own delay, and last until the margin after its last row, later by what is open
        then. An object over no lane gets no pulse. One pulse serves lanes whose valves have consecutive numbers and
        equal delays; others get a pulse each.
    """
    rows: list[tuple[int, int, int, int, int]] = []
    untold: list[int] = []
    lanes = lanes_of(boxes_px, machine, camera)
    for owner, box, (first, count) in zip(owners, boxes_px.tolist(), lanes, strict=True):
        if count == 0:
            continue
        begin_mm = box[1] * camera.pixel_mm + camera.to_valves_mm - machine.pulse_margin_mm
        try:
            arrives = belt.passing(begin_mm)
            leaves = belt.passing(begin_mm + box[3] * camera.pixel_mm + 2 * machine.pulse_margin_mm)
        except BeltError:
            untold.append(owner)
            continue
        open_us = arrives.at_us - arrives.spread_us
        pulse_us = max(1, round(leaves.at_us + leaves.spread_us - open_us))
        rows += [
            (owner, run[0].valve, len(run), round(open_us - run[0].delay_us), pulse_us)
            for run in _valve_runs(machine.lanes[first : first + count])
        ]
    return Scheduled(pulses_of(rows), tuple(untold))


def _valve_runs(lanes: tuple[Lane, ...]) -> list[list[Lane]]:
    runs: list[list[Lane]] = []
    for lane in lanes:
        last = runs[-1][-1] if runs else None
        if last is not None and lane.valve == last.valve + 1 and lane.delay_us == last.delay_us and len(runs[-1]) < 16:
            runs[-1].append(lane)
        else:
            runs.append([lane])
    return runs
