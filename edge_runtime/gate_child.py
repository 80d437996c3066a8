"""The child of `model_gate`: limits itself, then loads a model, runs its golden crops and times them.

Started as `python -m edge_runtime.gate_child`; a GateRequest comes on stdin, a GateAnswer goes to stdout. Everything
that the work needs is imported before the limits are set, so that they hold for the model alone.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.errors import EdgeError, ModelFolderError
from edge_runtime.model import ModelFolder, check_golden, check_scores, load_model_folder, read_golden
from edge_runtime.providers import open_scorer
from edge_runtime.score_timing import TIMED_CROPS, medians_us, spread_rows
from edge_runtime.scorer import BATCH, ModelForm, Scorer
from firmware_bridge.clock import NS_PER_S, Clock, CpuClock

__all__ = ["GateAnswer", "GateRequest", "judge_form", "main"]

_STATM: Final = Path("/proc/self/statm")  # sizes in pages, the address space first


class GateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the child is to judge, and within which limits.

    Attributes:
        path: model folder.
        form: which file by which runtime.
        model_id, int8_sha256: of the files that were looked at before; the child refuses others.
        memory_b: address space that it may take beyond what it has before it loads the model.
        cpu_s: processor time that it may take from there on.
    """

    path: str
    form: ModelForm
    model_id: str
    int8_sha256: str | None
    memory_b: int
    cpu_s: int


class GateAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the child found.

    Attributes:
        golden: crops that got the scores they must.
        median_us: median processor time a golden crop.
        refused: why the model must not run; "" where it may.
    """

    golden: int = 0
    median_us: float = 0.0
    refused: str = ""


def judge_form(folder: ModelFolder, form: ModelForm, clock: Clock) -> GateAnswer:
    """Load one form of a model, check its golden crops and extreme ones, and time it.

    Args:
        folder: loaded.
        form: file and runtime.
        clock: for the median.

    Raises:
        ModelFolderError: it cannot be loaded or run, golden crops get other scores, scores are no probabilities or
            differ from run to run, or there are no golden crops.
        ConfigError: the runtime is not installed.
    """
    scorer = open_scorer(folder, form)
    count = check_golden(folder, scorer, form.variant)
    if not count:
        raise ModelFolderError(f"{folder.path} has no golden crops: nothing proves that it runs as it was trained")
    check_scores(scorer.scores(_extreme_crops(folder.card.crop)))
    crops = spread_rows(read_golden(folder).crops, TIMED_CROPS)
    _check_repeats(scorer, crops)
    return GateAnswer(count, medians_us([scorer], crops, clock)[0])


def main() -> None:
    """Answer the request on stdin and leave with 0; any other end is for the parent to read.

    Raises:
        msgspec.DecodeError: the request is none.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # what a runtime prints must not come between
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=GateRequest)
    clock = CpuClock()
    _limit(request, clock)
    try:
        answer = judge_form(_load(request), request.form, clock)
    except EdgeError as error:
        answer = GateAnswer(refused=str(error))
    except MemoryError:
        answer = GateAnswer(refused=f"it needs more than {request.memory_b} bytes of memory")
    with os.fdopen(answers, "wb") as stream:
        stream.write(msgspec.json.encode(answer))


def _load(request: GateRequest) -> ModelFolder:
    folder = load_model_folder(Path(request.path))
    int8_sha256 = None if folder.card.int8 is None else folder.card.int8.sha256
    if (folder.card.model_id, int8_sha256) != (request.model_id, request.int8_sha256):
        raise ModelFolderError(f"{folder.path} was changed while it was looked at: start again")
    return folder


def _limit(request: GateRequest, clock: Clock) -> None:
    """Set what the process may take from now on; nothing can raise it again."""
    address_space_b = int(_STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    cpu_s = clock.monotonic_ns() // NS_PER_S + 1 + request.cpu_s
    for limit, value in (
        (resource.RLIMIT_AS, address_space_b + request.memory_b),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (most, most))


def _extreme_crops(crop: CropSpec) -> NDArray[np.uint8]:
    """Return a batch of crops that no camera gives: black, white, chequered, restless (BATCH, S, S, C).

    No random numbers: they would load a library within the limits.
    """
    shape = (BATCH, crop.side_px, crop.side_px, crop.channels)
    crops = (np.arange(np.prod(shape)) * 97 % 251).astype(np.uint8).reshape(shape)
    crops[0], crops[1] = 0, 255
    crops[2], crops[2, ::2, ::2] = 0, 255
    return crops


def _check_repeats(scorer: Scorer, crops: NDArray[np.uint8]) -> None:
    if not np.array_equal(scorer.scores(crops), scorer.scores(crops)):
        raise ModelFolderError("the model gives other scores for the same crops: no decision could be repeated")


if __name__ == "__main__":
    main()
