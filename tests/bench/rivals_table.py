"""The edge path beside what one would take instead: python tests/bench/rivals_table.py (five minutes for 1,000 frames).

Same frames, same trained network, from raw frame to classes on one core and with one thread; every way in a process of
its own, all of them in turn, ten frames each, before other processes where the system permits it (nice -20). Rates are
of CPU time, quantiles of wall time. All must find the same objects and give them the same classes. A way whose library
is missing is left out and named; OpenVINO comes from a folder: `pip install --no-deps --target FOLDER openvino`, then
PYTHONPATH=FOLDER.
"""

import importlib.util
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from children import Child
from tables import machine_line, quantiles, table
from vision_scene import SMALL, WIDE
from vision_training import write_scene

SLICE: Final = 10
STEPS: Final = 60
LIBRARIES: Final = {
    "sortloop": "onnxruntime",
    "onnxruntime-1": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "torch": "torch",
    "opencv": "cv2",
}
TITLES: Final = {
    "sortloop": "sortloop, norms and pulses included",
    "onnxruntime-1": "plain cv2 + onnxruntime, batches of 1",
    "onnxruntime": "the same, batches of 16",
    "openvino": "plain cv2 + OpenVINO",
    "torch": "plain cv2 + torch eager",
    "opencv": "plain cv2 + cv2.dnn",
}
HEAD: Final = (
    "way", "objects/s", "sortloop is x times", "p50 ms", "p99 ms", "p99.9 ms", "resident MiB", "highest MiB", "own MiB",
)  # fmt: skip


@dataclass(slots=True)
class Rival:
    """A way in its process, and what was measured: wall and CPU ns a frame, memory at the end."""

    child: Child
    rows: list[tuple[int, int]] = field(default_factory=list)
    memory_kib: dict[str, int] = field(default_factory=dict)


@click.command()
@click.option("--frames", default=1000, show_default=True, help="Frames of each way.")
@click.option("--wide", is_flag=True, help="Frames of 2048 x 512 with 300 objects; else of 1024 x 128 with 32.")
@click.option("--markdown", is_flag=True, help="A table for a document.")
def main(frames: int, *, wide: bool, markdown: bool) -> None:
    """Print the table."""
    size = WIDE if wide else SMALL
    missing = [name for name, library in LIBRARIES.items() if importlib.util.find_spec(library) is None]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        right = write_scene(Path(name), size, frames=4, steps=STEPS)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the children's too
        rivals = {
            way: Rival(stack.enter_context(Child("rivals.py", way, name))) for way in LIBRARIES if way not in missing
        }
        objects = compared({way: rival.child.ask({"frames": 0})["found"] for way, rival in rivals.items()})
        for _ in range(-(-frames // SLICE)):
            for rival in rivals.values():
                answer = rival.child.ask({"frames": SLICE})
                rival.rows += [tuple(row) for row in answer["rows"]]
                rival.memory_kib = answer["memory_kib"]
    sys.stdout.write(table(HEAD, lines(rivals, size.objects), markdown=markdown))
    sys.stdout.write(f"{frames:,} frames of {size.width} x {size.height} px with {size.objects} objects each; ")
    sys.stdout.write(f"{objects} objects with the same class in every way, {right:.1%} of them right\n")
    sys.stdout.write("".join(f"left out: {TITLES[way]}: {LIBRARIES[way]} is not installed\n" for way in missing))
    sys.stdout.write(machine_line())


def compared(found: dict[str, Any]) -> int:
    """Return how many objects every way found, with the same classes.

    Raises:
        SystemExit: two ways differ, so that their times mean nothing.
    """
    expected = found["sortloop"]
    for way, other in found.items():
        if other != expected:
            raise SystemExit(f"{TITLES[way]} finds other objects or classes than sortloop: nothing to compare")
    return sum(len(frame) for frame in expected)


def lines(rivals: dict[str, Rival], objects: int) -> list[list[str]]:
    """Return one line a way; sortloop's comes first."""
    medians = {way: statistics.median(cpu for _, cpu in rival.rows) for way, rival in rivals.items()}
    result = []
    for way, rival in rivals.items():
        walls = quantiles([wall / 1e6 for wall, _ in rival.rows])
        memory = (rival.memory_kib[name] / 1024 for name in ("VmRSS", "VmHWM", "RssAnon"))
        result.append(
            [
                *(TITLES[way], f"{objects / medians[way] * 1e9:,.0f}", f"{medians[way] / medians['sortloop']:.2f}"),
                *(f"{value:.1f}" for value in walls),
                *(f"{value:.0f}" for value in memory),
            ]
        )
    return result


if __name__ == "__main__":
    main()
