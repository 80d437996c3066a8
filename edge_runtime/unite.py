"""Pulses of all cameras to what the valves are told: united where they meet, and none that would come too late. Pure.

Two cameras that see one object ask for the same valves twice, and neighbours follow each other faster than a valve can
close. Each valve opens once for all of them and stays open over pauses that it could not make. Only where a valve would
be open for longer than it may, it closes for as short as it can, as the controller would have it close; whose jet that
cuts is told.

>>> one, two = pulses_of([(0, 4, 2, 1000, 500)]), pulses_of([(0, 5, 1, 1700, 500)])
>>> both = unite(join_views([one, two], [1, 1]), min_pause_us=500, max_pulse_us=20_000)
>>> [row.tolist() for row in (both.pulses.first_valves, both.pulses.open_us, both.pulses.pulse_us, both.is_merged)]
[[4, 5], [1000, 1000], [500, 1200], [False, True]]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Pulses, pulses_of

__all__ = ["United", "in_time", "join_views", "unite"]

_MOST_VALVES: Final = 16  # of one command on the wire


@dataclass(frozen=True, slots=True)
class United:
    """What the valves are told.

    Attributes:
        pulses: what to send, by opening time; the object of each is the first that it is for.
        is_merged: (M,) bool, of each pulse asked for: others open all of its valves.
        is_cut: (M,) bool, of each pulse asked for: a valve is not open for all of it, since it may not be for so long.
    """

    pulses: Pulses
    is_merged: NDArray[np.bool_]
    is_cut: NDArray[np.bool_]


@dataclass(slots=True)
class _Opening:
    """A valve is open from `begin` to `end`; `owner` is the first object that it is for."""

    begin: int
    end: int
    owner: int


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
        min_pause_us: shortest time that a valve is closed, > 0.
        max_pulse_us: longest time that a valve is open.

    Returns:
        Each valve is open whenever a pulse asked for it, but for pulses that are cut, and else only over pauses below
        `min_pause_us`. It is never open for longer than `max_pulse_us`, never closed for less than `min_pause_us`.
        Valves next to each other that open and close together share a pulse.
    """
    columns = (pulses.pulse_us, pulses.valve_counts, pulses.first_valves, pulses.objects, pulses.open_us)
    openings: dict[int, list[_Opening]] = {}  # by valve, in the order of time
    is_merged, is_cut = np.ones(len(pulses), np.bool_), np.zeros(len(pulses), np.bool_)
    for row in np.lexsort(columns).tolist():
        begin, first = int(pulses.open_us[row]), int(pulses.first_valves[row])
        asked = _Opening(begin, begin + int(pulses.pulse_us[row]), int(pulses.objects[row]))
        for valve in range(first, first + int(pulses.valve_counts[row])):
            mine = openings.setdefault(valve, [])
            before = len(mine)
            if not _open(mine, asked, min_pause_us, max_pulse_us):
                is_cut[row] = True
            if len(mine) > before:
                is_merged[row] = False
    return United(_share(openings), is_merged, is_cut)


def _open(mine: list[_Opening], asked: _Opening, min_pause_us: int, max_pulse_us: int) -> bool:
    """Let a valve be open for one more pulse, asked in the order of beginning; return whether it is for all of it."""
    begin = asked.begin
    if mine and begin < mine[-1].end + min_pause_us:
        last = mine[-1]
        if asked.end <= last.begin + max_pulse_us:
            last.end = max(last.end, asked.end)
        elif begin <= last.end:
            last.end = last.begin + max_pulse_us
        begin = max(begin, last.end + min_pause_us)
    if begin < asked.end:
        mine.append(_Opening(begin, min(asked.end, begin + max_pulse_us), asked.owner))
    return _covers(mine, asked)


def _covers(mine: list[_Opening], asked: _Opening) -> bool:
    return any(one.begin <= asked.begin and asked.end <= one.end for one in reversed(mine))


def _share(openings: dict[int, list[_Opening]]) -> Pulses:
    """Return pulses for openings by valve: one for neighbours that open and close together."""
    by_time: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for valve in sorted(openings):
        for one in openings[valve]:
            by_time.setdefault((one.begin, one.end), []).append((valve, one.owner))
    rows: list[list[int]] = []
    for (begin, end), valves in sorted(by_time.items()):
        run: list[int] | None = None
        for valve, owner in valves:
            if run is not None and valve == run[1] + run[2] and run[2] < _MOST_VALVES:
                run[0], run[2] = min(run[0], owner), run[2] + 1
            else:
                run = [owner, valve, 1, begin, end - begin]
                rows.append(run)
    return pulses_of(rows)
