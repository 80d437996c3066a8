"""How late the slowest decisions come: python tests/bench/tails_table.py (four minutes for 3,000 frames).

One core, a frame every 30 ms, with and without real-time priority, alone and beside two busy processes of ordinary
priority: one on the same core and one on another. All kinds take turns, 100 frames each, those without priority in
every fifth turn. A frame's time runs from the moment it is due to its decisions. What the host takes from this machine
(steal) cannot be held back from inside; its share of the core stands beside the figures. What the system refuses is
told below the table.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
from children import Child
from tables import machine_line, quantiles, table
from vision_scene import FrameSize
from vision_training import write_scene

SIZE: Final = FrameSize(1024, 128, 16)
SLICE: Final = 100
ORDINARY_EVERY: Final = 5  # what is only told gets fewer frames
SETUPS: Final = ("ordinary", "realtime")
NEIGHBOUR: Final = """
import os, sys, numpy
os.sched_setaffinity(0, {int(sys.argv[1])})
memory = numpy.zeros(1 << 20)
while True:
    memory += 1.0
"""
HEAD: Final = (
    "kind", "frames", "p50 ms", "p99 ms", "p99.9 ms", "highest ms", "p99.9 / p50", "CPU p99.9 / p50", "faults a frame",
    "preempted a frame", "steal",
)  # fmt: skip


@dataclass(slots=True)
class Kind:
    """One kind of run: how the sorter is set up, whether it has busy neighbours, and what was measured."""

    setup: str
    is_beside: bool
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    steal_ticks: int = 0
    ticks: int = 0


@click.command()
@click.option("--frames", default=3000, show_default=True, help="Frames with priority; without it a fifth.")
@click.option("--period-ms", default=30.0, show_default=True, help="From frame to frame.")
@click.option("--markdown", is_flag=True, help="A table for a document.")
def main(frames: int, period_ms: float, *, markdown: bool) -> None:
    """Print the table."""
    core, *others = sorted(os.sched_getaffinity(0), reverse=True)
    kinds = [Kind(setup, is_beside) for is_beside in (False, True) for setup in SETUPS]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        write_scene(Path(name), SIZE, frames=4, steps=1)
        sorters = {setup: stack.enter_context(Child("tails_sorter.py", name, setup, str(core))) for setup in SETUPS}
        neighbours = [stack.enter_context(neighbour(busy)) for busy in (core, *others[:1])]
        for turn in range(-(-frames // SLICE)):
            for kind in kinds if turn % ORDINARY_EVERY == 0 else [kind for kind in kinds if kind.setup == "realtime"]:
                run_slice(kind, sorters[kind.setup], neighbours, core=core, period_ns=round(period_ms * 1e6))
        refused = sorters["realtime"].ask({"frames": 0, "period_ns": 0})["grants"]["refused"]
    sys.stdout.write(table(HEAD, [line(kind) for kind in kinds], markdown=markdown))
    sys.stdout.write("".join(f"refused: {step}: {reason}\n" for step, reason in refused.items()) or "all granted\n")
    sys.stdout.write(machine_line())


@contextmanager
def neighbour(core: int) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a process that computes on a core for ever, stopped until somebody continues it."""
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(core)]) as process:
        process.send_signal(signal.SIGSTOP)
        try:
            yield process
        finally:
            process.kill()


def run_slice(
    kind: Kind, sorter: Child, neighbours: list[subprocess.Popen[bytes]], *, core: int, period_ns: int
) -> None:
    """Let a sorter work through some frames, and add what it and the system counted to its kind."""
    for process in neighbours if kind.is_beside else ():
        process.send_signal(signal.SIGCONT)
    before = core_ticks(core)
    kind.rows += [tuple(row) for row in sorter.ask({"frames": SLICE, "period_ns": period_ns})["rows"]]
    after = core_ticks(core)
    kind.steal_ticks += after[7] - before[7]
    kind.ticks += sum(after) - sum(before)
    for process in neighbours if kind.is_beside else ():
        process.send_signal(signal.SIGSTOP)


def core_ticks(core: int) -> list[int]:
    """Return what /proc/stat counts for a core: user, nice, system, idle, iowait, irq, softirq, steal."""
    lines = Path("/proc/stat").read_text("ascii").splitlines()
    return next([int(value) for value in line.split()[1:9]] for line in lines if line.startswith(f"cpu{core} "))


def line(kind: Kind) -> list[str]:
    """Return a kind's figures."""
    walls, cpus, faults, preempted = zip(*kind.rows, strict=True)
    middle, high, highest = quantiles(walls)
    cpu_middle, _, cpu_highest = quantiles(cpus)
    return [
        f"{kind.setup}, {'beside busy processes' if kind.is_beside else 'alone'}",
        f"{len(walls):,}",
        *(f"{value / 1e6:.1f}" for value in (middle, high, highest, max(walls))),
        *(f"{highest / middle:.2f}", f"{cpu_highest / cpu_middle:.2f}"),
        *(f"{sum(faults) / len(walls):.1f}", f"{sum(preempted) / len(walls):.2f}"),
        f"{kind.steal_ticks / max(1, kind.ticks):.1%}",
    ]


if __name__ == "__main__":
    main()
