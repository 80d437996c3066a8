"""The gate before a model may run: its graph by rules, its behaviour in a process of its own.

A model folder comes from outside, its digests prove only that it is whole. So the graph is read first without any
runtime (`graph_rules`), then a child process with limits of memory and time loads it, checks its golden crops and times
it (`gate_child`). Whatever the model does there, this process gets a verdict.
"""

import math
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.bounded_child import ChildEnd, run_bounded
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError, StorageError
from edge_runtime.gate_child import GateAnswer, GateRequest
from edge_runtime.model import GOLDEN_FILE, ModelFolder, check_graphs
from edge_runtime.scorer import ModelForm
from firmware_bridge.clock import Clock, SystemClock
from firmware_bridge.printable import printable

__all__ = [
    "GateLimits",
    "GateOutcome",
    "GateVerdict",
    "forms_of",
    "gate_model",
    "try_in_child",
    "verdict_of",
]

GateOutcome = Literal["passed", "forbidden", "wrong", "slow", "stopped"]

_CHILD: Final = "edge_runtime.gate_child"
_MODEL_COPIES: Final = 8  # bytes of memory for each of the file: parsed, optimised, weights packed anew
_GOLDEN_COPIES: Final = 4
_MOST_REASON: Final = 500  # characters of a child's reason that are told
_OTHER_CROPS: Final = 300  # scored besides the golden ones: to time some, and in other places and beside others
_US_PER_S: Final = 1e6
_WALL_A_CPU: Final = 2.5  # other programs want the processor too


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a model may take while it is judged.

    Attributes:
        memory_b: address space beyond an idle process, besides a multiple of the files' sizes.
        cpu_s: processor time, whole seconds, besides a share for each pixel of each crop.
        wall_s: wall time, the start of the process included, besides two and a half times that share.
        cpu_us_a_pixel: the share; nine times what the largest network takes on a processor with AVX2.
    """

    memory_b: int = 768 * 2**20  # several times what the largest network takes with crops of 192 px
    cpu_s: int = 120
    wall_s: float = 300.0
    cpu_us_a_pixel: float = 10.0

    def for_golden(self, count: int, crop: CropSpec) -> "GateLimits":
        """Return the limits for so many golden crops, the share of crops included.

        Args:
            count: golden crops.
            crop: their shape.
        """
        share_s = math.ceil((count + _OTHER_CROPS) * crop.side_px**2 * self.cpu_us_a_pixel / _US_PER_S)
        wall_s = self.wall_s + share_s * _WALL_A_CPU
        return replace(self, cpu_s=self.cpu_s + share_s, wall_s=wall_s, cpu_us_a_pixel=0.0)


class GateVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether one form of a model may run.

    Attributes:
        form: file and runtime.
        outcome: passed; forbidden (its graph), wrong (cannot be loaded, or gives other scores than it must), slow
            (over the card's budget) or stopped (it crashed, hung, or took too much).
        reason: why, for people; "" where it passed.
        golden: golden crops that got the scores they must.
        median_us: median processor time a crop; null where it was not timed.
    """

    form: ModelForm
    outcome: GateOutcome
    reason: str = ""
    golden: int = 0
    median_us: float | None = None


def forms_of(folder: ModelFolder) -> tuple[ModelForm, ...]:
    """Return in which forms a folder's model can run by onnxruntime."""
    return (ModelForm("fp32"),) if folder.int8 is None else (ModelForm("fp32"), ModelForm("int8"))


def gate_model(
    folder: ModelFolder, form: ModelForm, *, limits: GateLimits | None = None, clock: Clock | None = None
) -> GateVerdict:
    """Judge one form of a model: graph, then memory, time, golden crops and latency in a child process.

    Args:
        folder: loaded, so that its files are those of its card.
        form: file and runtime.
        limits: None for the usual ones.
        clock: for the wall time; None for this computer's.

    Note:
        Takes about a second for a good model of few golden crops, at most what `GateLimits.for_golden` says for any.
    """
    try:
        check_graphs(folder)
    except ModelFolderError as error:
        return GateVerdict(form, "forbidden", printable(str(error)))
    return try_in_child(folder, form, limits=limits or GateLimits(), clock=clock or SystemClock())


def try_in_child(folder: ModelFolder, form: ModelForm, *, limits: GateLimits, clock: Clock) -> GateVerdict:
    """Judge what a model does when it runs, in a process of its own; `gate_model` reads its graph before."""
    int8, golden_b = folder.card.int8, _golden_b(folder)
    limits = limits.for_golden(golden_b // _crop_b(folder.card.crop), folder.card.crop)
    request = GateRequest(
        path=os.fsencode(folder.path),
        form=form,
        model_id=folder.card.model_id,
        int8_sha256=None if int8 is None else int8.sha256,
        memory_b=limits.memory_b + _for_models_b(folder) + _GOLDEN_COPIES * golden_b,
        cpu_s=limits.cpu_s,
        parent_pid=os.getpid(),
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [_root(), os.environ.get("PYTHONPATH")]))}
    try:
        end = run_bounded(
            [sys.executable, "-P", "-m", _CHILD],  # -P: no module is taken from the folder where a person stands
            msgspec.json.encode(request),
            wall_s=limits.wall_s,
            clock=clock,
            environment=environment,
        )
    except StorageError as error:
        return GateVerdict(form, "stopped", printable(str(error)))
    return verdict_of(end, request, budget_us=folder.card.latency_budget_us)


def verdict_of(end: ChildEnd, request: GateRequest, *, budget_us: int) -> GateVerdict:
    """Return what a child's end means.

    Args:
        end: how it ended, and what it said.
        request: what it was asked.
        budget_us: the card's latency budget, 0 for none.
    """
    form = request.form
    if end.killed:
        return GateVerdict(form, "stopped", f"{form}: its process was killed: {end.killed}")
    if end.code != 0:
        return GateVerdict(form, "stopped", f"{form}: its process {_end_text(end, request)}")
    try:
        answer = msgspec.json.decode(end.output, type=GateAnswer)
    except msgspec.DecodeError:
        return GateVerdict(form, "stopped", f"{form}: its process answered {end.output[:64]!r}: no answer at all")
    if answer.refused:
        return GateVerdict(form, "wrong", " ".join(answer.refused.split())[:_MOST_REASON])
    if 0 < budget_us < answer.median_us:
        reason = f"{form} takes {answer.median_us:.0f} us a crop here, its card allows {budget_us}"
        return GateVerdict(form, "slow", reason, answer.golden, answer.median_us)
    return GateVerdict(form, "passed", "", answer.golden, answer.median_us)


def _end_text(end: ChildEnd, request: GateRequest) -> str:
    """Return in words how a child ended that gave no answer."""
    assert end.code is not None
    if end.code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return f"was stopped by the system: more than {request.cpu_s} s of computing, or no memory left"
    if end.code < 0:
        return f"crashed by signal {-end.code}"
    said = end.complaints.decode(errors="replace").strip().splitlines()
    return f"ended with exit code {end.code}: {said[-1][:_MOST_REASON] if said else 'it said nothing'}"


def _for_models_b(folder: ModelFolder) -> int:
    """Return the memory that models of this size may need."""
    return _MODEL_COPIES * (len(folder.model) + len(folder.int8 or b""))


def _golden_b(folder: ModelFolder) -> int:
    golden = folder.path / GOLDEN_FILE
    return golden.stat().st_size if golden.is_file() else 0


def _crop_b(crop: CropSpec) -> int:
    return crop.side_px**2 * crop.channels


def _root() -> str:
    """Return the folder that holds our packages, wherever they are installed."""
    return str(Path(__file__).resolve().parents[1])
