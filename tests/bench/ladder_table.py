"""How the degrade ladder settles an overload, simulated: python tests/bench/ladder_table.py [--markdown] (about 5 s).

A queue of frames before one worker. Frames come evenly; what a frame costs follows the load, what the level sheds, and
what the feeder gave when its material was fed. A frame that is older than the slack is passed over at little cost: its
objects are past the valves. No noise, no real time: the figures are the rule's own.
"""

import sys
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from tables import table

from edge_runtime.live.ladder import Ladder, LadderSettings, Level

__all__ = ["PROFILES", "Scene", "Story", "simulate"]

MS: Final = 1_000_000
NOMINAL: Final = 0.6  # load before and after
SKIP_SHARE: Final = 0.02  # of a frame's period, to pass a late one over
SPELL_GAP: Final = 100 * MS  # late frames closer together than this belong to one spell

# Cost of a frame at each level but L4, relative to L0.
PROFILES: Final[dict[str, tuple[float, ...]]] = {
    "both forms": (1.0, 0.95, 0.6, 0.2, 0.2),
    "norm table saves little": (1.0, 0.95, 0.8, 0.7, 0.7),
    "no other form": (1.0, 0.95, 0.95, 0.95, 0.95),
}


@dataclass(frozen=True)
class Scene:
    """What happens.

    Attributes:
        costs: by level, a value of PROFILES.
        load: of the overload: work that comes in a second at L0 with the feeder full, in seconds of the worker.
        overload_s: how long, from second 2 on.
        slack_ms, period_ms: of the frames.
        delay_ms: from the feeder to the camera.
        has_ladder: False shows what it is good for.
    """

    costs: tuple[float, ...]
    load: float
    overload_s: float = 20.0
    slack_ms: float = 100.0
    period_ms: float = 10.0
    delay_ms: float = 100.0
    has_ladder: bool = True


@dataclass
class Story:
    """What came of it.

    Attributes:
        frames, late: frames, and those older than the slack when taken.
        late_after_1_s: late ones from a second after the overload's begin on.
        longest_late_ms: from the first to the last late frame of the longest spell.
        worst_ms: oldest.
        highest: level.
        changes: of the level, up and down.
        changes_settled: those from 5 s after the overload's begin to its end.
        feeder_permille: mean from 5 s after the overload's begin to its end; 0 in L4.
        healed_s: from the end of the overload to L0 with the feeder full; None if never.
    """

    frames: int = 0
    late: int = 0
    late_after_1_s: int = 0
    longest_late_ms: float = 0.0
    worst_ms: float = 0.0
    highest: Level = Level.L0
    changes: int = 0
    changes_settled: int = 0
    feeder_permille: float = 0.0
    healed_s: float | None = None


def simulate(scene: Scene, settings: LadderSettings | None = None, *, after_s: float = 90.0) -> Story:
    """Return what the ladder makes of an overload, which ends `after_s` before the simulation does."""
    slack, period, delay = (round(value * MS) for value in (scene.slack_ms, scene.period_ms, scene.delay_ms))
    begin, end = 2000 * MS, round((2 + scene.overload_s) * 1000) * MS
    ladder, story = Ladder(settings or LadderSettings(), slack), Story()
    fed: deque[tuple[int, int]] = deque([(-delay, 1000)])  # (when, permille), the first holds until the second
    free = 0
    late_since = late_last = -SPELL_GAP
    feeds: list[int] = []
    for came in range(0, end + round(after_s * 1000) * MS, period):
        while len(fed) > 1 and fed[1][0] + delay <= came:
            fed.popleft()
        taken = max(came, free)
        age = taken - came
        step = ladder.look(taken, age) if scene.has_ladder else None
        if step is not None:
            fed.append((taken, step.feeder_permille))
        load = (scene.load if begin <= came < end else NOMINAL) * fed[0][1] / 1000
        cost = scene.costs[min(ladder.level, Level.L3)] * load
        free = taken + round(period * (SKIP_SHARE if age > slack else cost))
        if age > slack:
            late_since = taken if taken - late_last > SPELL_GAP else late_since
            late_last = taken
            story.longest_late_ms = max(story.longest_late_ms, (taken - late_since) / MS)
        _count(story, age / MS, is_late=age > slack, is_after=came >= begin + 1000 * MS)
        is_settled = begin + 5000 * MS <= came < end
        if step is not None and step.is_level_change:
            story.changes += 1
            story.changes_settled += is_settled
            story.highest = max(story.highest, step.level)
        if is_settled:
            feeds.append(ladder.feeder_permille)
        if came >= end and story.healed_s is None and (ladder.level, ladder.feeder_permille) == (Level.L0, 1000):
            story.healed_s = (taken - end) / MS / 1000
    story.feeder_permille = sum(feeds) / max(len(feeds), 1)
    return story


def _count(story: Story, age_ms: float, *, is_late: bool, is_after: bool) -> None:
    story.frames += 1
    story.late += is_late
    story.late_after_1_s += is_late and is_after
    story.worst_ms = max(story.worst_ms, age_ms)


def rows() -> list[list[str]]:
    """Return a row a scene."""
    return [
        _row(name, Scene(costs, load, delay_ms=delay_ms))
        for name, costs in PROFILES.items()
        for load in (1.3, 2.0, 3.0)
        for delay_ms in (100.0, 300.0)
    ]


def _row(name: str, scene: Scene) -> list[str]:
    story, bare = simulate(scene), simulate(replace(scene, has_ladder=False))
    return [
        name,
        f"{scene.load:g}",
        f"{scene.delay_ms:.0f}",
        story.highest.name,
        f"{story.worst_ms:.0f}",
        str(bare.late),
        str(story.late),
        str(story.late_after_1_s),
        f"{story.longest_late_ms:.0f}",
        str(story.changes_settled),
        f"{story.feeder_permille:.0f}",
        "-" if story.healed_s is None else f"{story.healed_s:.1f}",
    ]


HEAD: Final = (
    "what the levels save",
    "load",
    "feeder delay ms",
    "highest",
    "oldest ms",
    "late without",
    "late",
    "after 1 s",
    "late for ms",
    "changes settled",
    "feeder permille",
    "healed s",
)

if __name__ == "__main__":
    sys.stdout.write(table(HEAD, rows(), markdown="--markdown" in sys.argv[1:]))
