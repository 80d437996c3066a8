"""What a run loses when its processes are killed at random moments: `python tests/bench/kills_table.py --kills 200`.

A virtual machine sorts; processes other than the supervisor are killed with SIGKILL, one after the other, at random
moments. At the end the books must add up to the last object, and the controller must have fired nothing twice or late.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from live_stage import Stage, adds_up, free_port, make_stage, wait_until  # noqa: E402
from tables import table  # noqa: E402

from edge_runtime.live.run_report import LiveReport  # noqa: E402
from edge_runtime.live_settings import LiveSettings  # noqa: E402
from edge_runtime.virtual_world_outcome import WorldReport  # noqa: E402
from firmware_bridge.clock import NS_PER_S, SystemClock  # noqa: E402

CLOCK = SystemClock()


@dataclass(slots=True)
class Kills:
    """What came of a series of kills."""

    report: LiveReport
    outcome: WorldReport
    killed: Counter[str] = field(default_factory=Counter)
    first_s: dict[str, list[float]] = field(default_factory=dict)  # by role, until it sorted again, first kill
    late: dict[str, int] = field(default_factory=dict)  # by role, frames and objects late meanwhile, first kill
    back_s: dict[str, list[float]] = field(default_factory=dict)  # later kills: the restarts wait longer each time


def run_kills(stage: Stage, kills: int, *, seed: int, rate_hz: float, longest_pause_s: float) -> Kills:
    """Sort while processes are killed.

    Args:
        stage: machine and world.
        kills: how many.
        seed: of moments and victims.
        rate_hz: pieces a second.
        longest_pause_s: between a kill and the next; kills also meet processes that are starting.
    """
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    back_s: dict[str, list[float]] = {}
    first_s: dict[str, list[float]] = {}
    with stage.world("--rate", rate_hz, "--pieces", 10_000_000 // 100, "--priority", 80), stage.run("--armed"):
        if not stage.wait_for_sorting(60.0):
            raise SystemExit(f"the machine did not begin to sort: {(stage.folder / 'run.log').read_text()[-2000:]}")
        while killed.total() < kills:
            is_timed = rng.random() < 0.3  # a machine that sorts is hit, else one at any moment
            if is_timed:
                time_until_back(stage)
            report = stage.look()
            names = [one.name for one in report.processes if one.pid] if report else []
            if not names:
                continue
            name = rng.choice(names)
            if stage.kill(name) is None:
                continue
            killed[name] += 1
            if is_timed:
                times_s = first_s if killed[name] == 1 else back_s  # then each restart waits a little longer
                times_s.setdefault(name.split("-")[0], []).append(time_until_back(stage))
            CLOCK.sleep_s(rng.uniform(0.0, longest_pause_s))
        stage.wait_for_sorting(30.0)
    return Kills(stage.report(), stage.outcome(), killed, first_s, back_s=back_s)


def kill_one_each(stage: Stage, *, rate_hz: float) -> Kills:
    """Kill the process of each place once, each time in a machine that sorts."""
    killed: Counter[str] = Counter()
    first_s: dict[str, list[float]] = {}
    late: dict[str, int] = {}
    with stage.world("--rate", rate_hz, "--pieces", 100_000, "--priority", 80), stage.run("--armed"):
        if not stage.wait_for_sorting(60.0):
            raise SystemExit(f"the machine did not begin to sort: {(stage.folder / 'run.log').read_text()[-2000:]}")
        report = stage.look()
        for name in [one.name for one in report.processes] if report else []:
            CLOCK.sleep_s(2.0)
            time_until_back(stage)
            role, before = name.split("-")[0], late_so_far(stage)
            stage.kill(name)
            killed[name] += 1
            first_s.setdefault(role, []).append(time_until_back(stage))
            CLOCK.sleep_s(1.0)
            late[role] = late.get(role, 0) + late_so_far(stage) - before
    return Kills(stage.report(), stage.outcome(), killed, first_s, late)


def late_so_far(stage: Stage) -> int:
    """Return how many frames and objects were late."""
    counts = [camera.counts for camera in stage.must_look().cameras]
    return sum(one.missing.get("late", 0) + one.ends.get("late", 0) for one in counts)


def time_until_back(stage: Stage) -> float:
    """Return how long it takes until the machine is armed and ten more frames of each camera were decided."""
    began_ns = CLOCK.monotonic_ns()
    before = stage.look()

    def is_back() -> bool:
        now = stage.look()
        if before is None or now is None or not now.is_armed:
            return False
        pairs = zip(before.cameras, now.cameras, strict=True)
        return all(late.counts.processed >= early.counts.processed + 10 for early, late in pairs)

    wait_until(is_back, 10.0, 0.01)
    return (CLOCK.monotonic_ns() - began_ns) / NS_PER_S


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one-each", action="store_true", help="each place once, in a machine that sorts")
    parser.add_argument("--folder", type=Path, default=None, help="Keep logs and outcome here; a new folder.")
    parser.add_argument("--pause", type=float, default=1.0)
    wish = parser.parse_args()
    live = LiveSettings(workers=wish.workers, restarts_a_minute=100, metrics_port=free_port())
    with ExitStack() as stack:
        folder = wish.folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stage"
        stage = make_stage(folder, live, cameras=wish.cameras)
        if wish.one_each:
            found = kill_one_each(stage, rate_hz=wish.rate)
        else:
            found = run_kills(stage, wish.kills, seed=wish.seed, rate_hz=wish.rate, longest_pause_s=wish.pause)
    rows = [
        (
            role,
            str(sum(count for name, count in found.killed.items() if name.startswith(role))),
            *_times(found.first_s.get(role)),
            str(found.late.get(role, "-")),
            *_times(found.back_s.get(role)),
        )
        for role in dict.fromkeys(name.split("-")[0] for name in sorted(found.killed))
    ]
    sys.stdout.write(
        table(
            ("killed", "times", "first: back after, s", "longest", "late meanwhile", "later: back after, s", "longest"),
            rows,
            markdown=False,
        )
    )
    for camera in found.report.cameras:
        counts = camera.counts
        frames = f"{counts.processed} + {counts.missing} + open {counts.open_frames}"
        objects = f"passed {counts.passed} + {counts.ends} + open {counts.open_objects}"
        sys.stdout.write(f"{camera.name}: frames {counts.frames_in} = {frames}; objects {counts.objects} = {objects}\n")
    world = found.outcome
    sys.stdout.write(
        f"books add up: {adds_up(found.report)}; pulses {world.pulses}, fired twice {world.fired_twice}, "
        f"late {world.fired_late}; trouble: {found.report.trouble or 'none'}\n"
    )
    sys.exit(0 if adds_up(found.report) and not world.fired_twice + world.fired_late else 1)


def _times(times_s: list[float] | None) -> tuple[str, str]:
    return ("-", "-") if not times_s else (f"{statistics.median(times_s):.2f}", f"{max(times_s):.2f}")


if __name__ == "__main__":
    main()
