"""How long a sorter takes from nothing to its first decision, what memory it needs, and whether that grows.

`python tests/bench/cold_table.py` (five minutes) prints the tables. Start: fresh processes in turn, medians; processor
time and memory up to the moment named, beside a process that only imports numpy, OpenCV and onnxruntime; all on one
core, before other processes where the system permits it. Resident counts pages of the libraries' files, own memory only
what the process wrote. Growth: one process that sorts frames of 300 objects and drops the decisions, as a live sorter
does; a line through its resident memory at twenty moments, after as many more to warm up. Heap: what it is worth that
`open_sorter` keeps freed memory; as shipped, glibc decides by what the process freed before.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import msgspec
import numpy as np
from tables import ROOT, machine_line, table

sys.path.insert(0, str(ROOT / "tests"))

from tiny_model import TINY_CROP, draw_pieces, write_model_folder

from edge_runtime.model import CARD_FILE, GOLDEN_FILE, MODEL_FILE, Classifier
from edge_runtime.storage import sha256_hex
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.train.network import make_network

GOLDEN_CROPS: Final = 3 * 64  # what the trainer writes for three classes
CHECKPOINTS: Final = 20
HEAP_RUNS: Final = 5
IMPORTS: Final = "import numpy, cv2, onnxruntime"
FIRST_DECISION: Final = """
import sys
from pathlib import Path
import numpy
from edge_runtime.inline import InlineSorter
from edge_runtime.setup import open_sorter
folder = Path(sys.argv[1])
setup = open_sorter(folder)
assert len(InlineSorter(setup.sorter, setup.machine).sort_frame(numpy.load(folder / "frame.npy")).decisions) == 3
"""
BARE_SESSION: Final = """
import sys
import numpy, cv2, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx", options)
session.run(None, {"crops": numpy.zeros((8, 32, 32, 3), numpy.uint8)})
"""
HELD: Final = "import gc; gc.disable()" + FIRST_DECISION
COMMAND: Final = """
import sys
from edge_runtime.cli import cli
cli.main(["replay", sys.argv[1] + "/frame.png", "--model", sys.argv[1]], standalone_mode=False)
"""
MEASURE: Final = """
import json, time
cpu_ns, now_ns = time.process_time_ns(), time.monotonic_ns()
with open("/proc/self/status") as file:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in file if line.startswith(("VmRSS", "RssAnon"))}
print("\\n" + json.dumps([cpu_ns, now_ns, kib["VmRSS"], kib["RssAnon"]]))
"""
GROWTH: Final = """
import json, sys
from pathlib import Path
import numpy
from edge_runtime.inline import InlineSorter
from edge_runtime.realtime import RealtimeSettings, enter_realtime
from edge_runtime.setup import open_sorter
folder, objects, is_realtime = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "realtime"
setup = open_sorter(folder)
if is_realtime:
    enter_realtime(RealtimeSettings(is_memory_locked=False))
inline, frame = InlineSorter(setup.sorter, setup.machine), numpy.load(folder / "frames.npy")
each = len(inline.sort_frame(frame).decisions)
assert each == 300
frames = -(-objects // each)
moments = [round(frames * share) for share in numpy.linspace(1.0, 2.0, CHECKPOINTS).tolist()]
kept = []
for number in range(1, 2 * frames + 1):
    inline.sort_frame(frame)
    if number in moments:
        with open("/proc/self/smaps_rollup") as file:  # exact; /proc/self/status may be pages behind
            kept.append((number * each, next(int(line.split()[1]) for line in file if line.startswith("Rss:"))))
print(json.dumps(kept))
""".replace("CHECKPOINTS", str(CHECKPOINTS))

HEAP: Final = """
import json, resource, sys, time
import cv2, numpy
sys.path.insert(0, "tests/bench")
from vision_scene import CLASSES, RECIPE, WIDE, draw_field, draw_frame
from edge_runtime.inline import InlineSorter, desk_machine
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.realtime import LinuxSystem
cv2.setNumThreads(1)
rng, machine = numpy.random.default_rng(0), desk_machine(WIDE.width)
frame, field = draw_frame(rng, WIDE), draw_field(rng, WIDE)
def classify(crops):
    return numpy.full((len(crops), CLASSES), 1 / CLASSES, numpy.float32)
inline = InlineSorter(Sorter(RECIPE, NormSpec(), machine.cameras[0], classify, field), machine)
if sys.argv[2] == "kept":
    LinuxSystem().keep_heap()
for number in range(110):
    if number == 10:
        before, cpu_ns = resource.getrusage(resource.RUSAGE_SELF), time.process_time_ns()
    inline.sort_frame(frame)
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([(after.ru_minflt - before.ru_minflt) / 100, (time.process_time_ns() - cpu_ns) / 1e8]))
"""
DATACLASS: Final = """
import dataclasses
make = lambda: dataclasses.make_dataclass("Five", list("abcde"), frozen=True, slots=True)
"""
STRUCT: Final = """
import msgspec
make = lambda: msgspec.defstruct("Five", list("abcde"), frozen=True)
"""
MAKE: Final = """
import time
make()
cpu_ns = time.process_time_ns()
for _ in range(200):
    make()
print((time.process_time_ns() - cpu_ns) / 2e8)
"""


@click.command()
@click.option("--runs", default=15, show_default=True, help="Processes of each kind.")
@click.option("--objects", default=1_000_000, show_default=True, help="Objects of the growth test.")
@click.option("--markdown", is_flag=True, help="Tables for a document.")
def main(runs: int, objects: int, *, markdown: bool) -> None:
    """Print the tables."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # children too: elsewhere helper threads of numpy spin
    with suppress(PermissionError):
        os.nice(-20)  # theirs too: what other processes do would show in the caches
    with tempfile.TemporaryDirectory() as name:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its modules compiled, whoever runs this
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
        tiny, middle = Path(name) / "tiny", Path(name) / "middle"
        write_folders(tiny, middle)
        cases = {
            "imports of numpy, cv2, onnxruntime": (IMPORTS, tiny),
            "the same and a bare onnxruntime session, run once": (BARE_SESSION, tiny),
            "tiny model, first decision": (FIRST_DECISION, tiny),
            "tiny model, no garbage collection from the first line on": (HELD, tiny),
            "middle network, first decision": (FIRST_DECISION, middle),
            "middle network, no garbage collection from the first line on": (HELD, middle),
            "sortloop-edge replay of one picture, tiny model": (COMMAND, tiny),
        }
        sys.stdout.write(start_table(cases, runs, markdown=markdown) + "\n")
        sys.stdout.write(growth_table(tiny, objects, markdown=markdown) + "\n")
        sys.stdout.write(heap_table(tiny, markdown=markdown) + "\n")
        sys.stdout.write(values_table(markdown=markdown))
    sys.stdout.write(machine_line())


def write_folders(tiny: Path, middle: Path) -> None:
    """Write two model folders with a picture of three pieces in each, and a frame of 300 into the first."""
    import cv2  # noqa: PLC0415 - beside numpy only needed here

    frame = draw_pieces(["good", "stone", "husk"])
    for folder in (tiny, middle):
        card = write_model_folder(folder)
        np.save(folder / "frame.npy", frame)
        cv2.imwrite(str(folder / "frame.png"), frame)
    np.save(tiny / "frames.npy", draw_pieces(["good", "stone", "husk"] * 100, width_px=2048))
    network = make_network("middle", TINY_CROP.channels, 3, seed=0).eval()
    model = OnnxTemplate("middle", TINY_CROP, 3).fill(FoldedNetwork(network, 1.0))
    crops = np.random.default_rng(0).integers(
        0, 256, (GOLDEN_CROPS, TINY_CROP.side_px, TINY_CROP.side_px, TINY_CROP.channels), dtype=np.uint8
    )
    (middle / MODEL_FILE).write_bytes(model)
    np.savez(middle / GOLDEN_FILE, crops=crops, scores=Classifier(model, TINY_CROP, 3).scores(crops))
    (middle / CARD_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, model_id=sha256_hex(model))))


def start_table(cases: dict[str, tuple[str, Path]], runs: int, *, markdown: bool) -> str:
    """Return processor time, time and memory of each case, as they are and over the first case."""
    found: dict[str, list[list[float]]] = {name: [] for name in cases}
    for run in range(runs + 1):
        for name, (code, folder) in cases.items():
            figures = started(code, folder)
            if run:  # the first round compiles, and fills the file cache
                found[name].append(figures)
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    first = next(iter(medians.values()))
    rows = [
        [name, *(f"{value:.0f} ({value / least:.2f})" for value, least in zip(values, first, strict=True))]
        for name, values in medians.items()
    ]
    head = [f"from nothing to ({runs} processes each)", "CPU ms", "ms", "resident MiB", "own MiB"]
    return table(head, rows, markdown=markdown)


def started(code: str, folder: Path) -> list[float]:
    """Return CPU ms, ms, resident and own MiB of a fresh process that runs `code`."""
    started_ns = time.monotonic_ns()
    cpu_ns, now_ns, resident_kib, own_kib = json.loads(in_a_child(code + MEASURE, str(folder)).splitlines()[-1])
    return [cpu_ns / 1e6, (now_ns - started_ns) / 1e6, resident_kib / 1024, own_kib / 1024]


def growth_table(folder: Path, objects: int, *, markdown: bool) -> str:
    """Return how resident memory grows over so many objects."""
    rows = []
    for kind in ("ordinary", "realtime"):
        kept = np.array(json.loads(in_a_child(GROWTH, str(folder), str(objects), kind)), np.float64)
        mib = kept[:, 1] / 1024
        slope = np.polyfit(kept[:, 0], mib, 1)[0] * 1e6
        rows.append([kind, f"{mib[0]:.1f}", f"{mib[-1]:.1f}", f"{mib.max() - mib.min():.2f}", f"{slope:+.3f}"])
    head = [f"{objects:,} objects", "MiB after as many", "MiB at the end", "highest - lowest", "MiB a million objects"]
    return table(head, rows, markdown=markdown)


def heap_table(folder: Path, *, markdown: bool) -> str:
    """Return what it costs to get a frame's buffers from the system anew each time."""
    found: dict[str, list[list[float]]] = {"as shipped": [], "kept": []}
    for _ in range(HEAP_RUNS):
        for kind, figures in found.items():
            figures.append(json.loads(in_a_child(HEAP, str(folder), kind)))
    rows = [
        [kind, *(f"{statistics.median(column):.1f}" for column in zip(*figures, strict=True))]
        for kind, figures in found.items()
    ]
    return table(
        ["heap, frame of 2048 x 512, no network", "page faults a frame", "CPU ms a frame"],
        rows,
        markdown=markdown,
    )


def values_table(*, markdown: bool) -> str:
    """Return what it takes to make a class of values, of which a sorter makes some thirty when it starts."""
    ways = {"frozen slotted dataclass": DATACLASS, "msgspec struct": STRUCT}
    rows = [[way, f"{float(in_a_child(code + MAKE)):.2f}"] for way, code in ways.items()]
    return table(["class of five values", "CPU ms to make"], rows, markdown=markdown)


def in_a_child(code: str, *arguments: str) -> str:
    """Return what a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout


if __name__ == "__main__":
    main()
