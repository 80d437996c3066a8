"""Memory of a run on a large pool: python tests/bench/memory_table.py FOLDER 100000 1000000 (1 M: 10 GB of disk).

One round of few steps on made-up samples of 48 px: what is measured is the way of the samples, not learning. Own memory
is what the process cannot give back; pages of the crops' file and of the pool can be taken from it at any time.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Final

from edge_runtime.config import override_settings
from firmware_bridge.clock import SystemClock
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.loop.run import RunPlan, run
from trainer.pool.pool import Pool
from trainer.progress import TerminalProgress
from trainer.settings import RunSettings

__all__ = ["measure"]

CLASSES: Final = ("good", "stone", "husk", "seed")
SETTINGS: Final = (
    "m=100",
    "fit.steps=20",
    "fit.final_steps=20",
    "stop.rounds=1",
    "int8.mode=off",
    "quarantine.mode=off",
)
EVERY_S: Final = 0.2


class Watch:
    """The largest own and file-backed memory of this process while it runs, in MiB; use it in a `with` statement."""

    def __init__(self) -> None:
        self.own_mib = 0.0
        self.file_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(EVERY_S):
            lines = Path("/proc/self/status").read_text("ascii").splitlines()
            kib = {
                name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
            }
            self.own_mib = max(self.own_mib, kib["RssAnon"] / 1024)
            self.file_mib = max(self.file_mib, (kib["RssFile"] + kib["RssShmem"]) / 1024)


def measure(folder: Path, count: int) -> str:
    """Return a line of the table for a pool of `count` samples, made in `folder` if it is not there yet."""
    path = folder / f"{count}.pool"
    if not path.exists():
        each = count // len(CLASSES)
        held = max(20, each // 100)
        make_synthetic_pool(
            path, SyntheticSamples(CLASSES, {"train": each - 2 * held, "validation": held, "test": held}, side_px=48)
        )
    settings = override_settings(RunSettings(), SETTINGS)
    started_s, cpu_s = time.monotonic(), time.process_time()
    with Pool.open(path) as pool, TerminalProgress(quiet=True) as progress, Watch() as watch:
        plan = RunPlan(folder / f"run-{count}-{time.time_ns()}", settings)
        result = run(pool, plan, SystemClock(), progress)
    wall_s, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
    crops_mib = result.pool_samples * 48 * 48 * 3 / 2**20
    return (
        f"| {count:,} | {crops_mib:,.0f} | {watch.own_mib:,.0f} | {watch.file_mib:,.0f} | "
        f"{path.stat().st_size / 2**20:,.0f} | {wall_s:,.0f} | {cpu_s:,.0f} |"
    )


if __name__ == "__main__":
    sys.stdout.write("| samples | crops, MiB | own memory, MiB | pages of files, MiB | pool file, MiB | s | CPU s |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    for asked in sys.argv[2:]:
        sys.stdout.write(measure(Path(sys.argv[1]), int(asked)) + "\n")
        sys.stdout.flush()
