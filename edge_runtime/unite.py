"""Pulses of all cameras to what the valves are told: united where they meet, and none that would come too late. Pure.

Two cameras that see one object ask for the same valves twice, and neighbours follow each other faster than a valve can
close. Each valve opens once for all of them and stays open over pauses that it could not make. Nobody's jet begins
later or ends earlier than asked.

>>> one = Pulses(*(np.array([value]) for value in (0, 4, 2, 1000, 500)))
>>> two = Pulses(*(np.array([value]) for value in (0, 5, 1, 1700, 500)))
>>> both = unite(join_views([one, two], [1, 1]), min_pause_us=500, max_pulse_us=20_000)
>>> [row.tolist() for row in (both.pulses.first_valves, both.pulses.open_us, both.pulses.pulse_us, both.is_merged)]
[[4, 5], [1000, 1000], [500, 1200], [False, True]]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Pulses

__all__ = ["United", "in_time", "join_views", "unite"]

_MOST_VALVES = 16  # of one command on the wire


@dataclass(frozen=True, slots=True)
class United:
    """What the valves are told.

    Attributes:
        pulses: what to send, by opening time; the object of each is the first that it is for.
        is_merged: (M,) bool, of each pulse asked for: another one asked before opens all of its valves.
    """

    pulses: Pulses
    is_merged: NDArray[np.bool_]


def join_views(views: Sequence[Pulses], object_counts: Sequence[int]) -> Pulses:
    """Return the pulses of all views in one table; objects are counted on from view to view.

    Args:
        views: pulses of each camera, on one time axis.
        object_counts: decisions of each.
    """
    starts = np.cumsum([0, *object_counts])[:-1]
    owners = [pulses.objects + start for pulses, start in zip(views, starts.tolist(), strict=True)]
    return Pulses(
        np.concatenate([np.zeros(0, np.int64), *owners]),
        np.concatenate([np.zeros(0, np.int32), *(pulses.first_valves for pulses in views)]),
        np.concatenate([np.zeros(0, np.int32), *(pulses.valve_counts for pulses in views)]),
        np.concatenate([np.zeros(0, np.int64), *(pulses.open_us for pulses in views)]),
        np.concatenate([np.zeros(0, np.int64), *(pulses.pulse_us for pulses in views)]),
    )


def in_time(pulses: Pulses, *, now_us: int, lead_us: int) -> NDArray[np.bool_]:
    """Return, (M,) bool, which pulses can still be commanded; the others are late: counted, never fired.

    Args:
        pulses: asked for.
        now_us: time on their axis.
        lead_us: a command needs so long to reach the controller.
    """
    return np.asarray(pulses.open_us >= now_us + lead_us, np.bool_)


def unite(pulses: Pulses, *, min_pause_us: int, max_pulse_us: int) -> United:
    """Unite pulses that meet on a valve, or that leave it no time to close.

    Args:
        pulses: asked for, in any order.
        min_pause_us: shortest time that a valve is closed.
        max_pulse_us: longest time that the controller keeps one open; pulses are united only as long as they stay
            below.

    Returns:
        Each valve is open whenever a pulse asked for it, and else only over pauses below `min_pause_us`; valves next to
        each other that open and close together share a pulse.
    """
    order = np.lexsort((pulses.objects, pulses.open_us))
    openings: dict[int, list[list[int]]] = {}  # valve to [open, close, first object], by time
    is_merged = np.ones(len(pulses), np.bool_)
    for row in order.tolist():
        opens = int(pulses.open_us[row])
        closes, owner = opens + int(pulses.pulse_us[row]), int(pulses.objects[row])
        first = int(pulses.first_valves[row])
        for valve in range(first, first + int(pulses.valve_counts[row])):
            mine = openings.setdefault(valve, [])
            last = mine[-1] if mine else None
            if last and opens < last[1] + min_pause_us and max(last[1], closes) - last[0] <= max_pulse_us:
                last[1] = max(last[1], closes)
            else:
                mine.append([opens, closes, owner])
                is_merged[row] = False
    return United(_share(openings), is_merged)


def _share(openings: dict[int, list[list[int]]]) -> Pulses:
    """Return pulses for openings by valve: one for neighbours that open and close together."""
    by_time: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for valve in sorted(openings):
        for opens, closes, owner in openings[valve]:
            by_time.setdefault((opens, closes), []).append((valve, owner))
    rows: list[list[int]] = []
    for (opens, closes), valves in sorted(by_time.items()):
        run: list[int] | None = None
        for valve, owner in valves:
            if run is not None and valve == run[1] + run[2] and run[2] < _MOST_VALVES:
                run[0], run[2] = min(run[0], owner), run[2] + 1
            else:
                run = [owner, valve, 1, opens, closes - opens]
                rows.append(run)
    table = np.array(rows, np.int64).reshape(-1, 5)
    return Pulses(table[:, 0], table[:, 1].astype(np.int32), table[:, 2].astype(np.int32), table[:, 3], table[:, 4])
