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

from edge_runtime.bounded_child import die_with_parent
from edge_runtime.crop import CropSpec
from edge_runtime.errors import EdgeError, ModelFolderError
from edge_runtime.model import ModelFolder, check_golden, check_scores, load_model_folder, read_golden
from edge_runtime.providers import open_scorer
from edge_runtime.score_timing import TIMED_CROPS, medians_us
from edge_runtime.scorer import BATCH, ModelForm, Scorer, spread_rows
from firmware_bridge.clock import NS_PER_S, Clock, CpuClock
from firmware_bridge.printable import printable

__all__ = ["GateAnswer", "GateRequest", "extreme_crops", "judge_form", "main"]

_ALONE: Final = 4  # crops that are scored without any other
_STATM: Final = Path("/proc/self/statm")  # sizes in pages, the address space first


class GateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the child is to judge, and within which limits.

    Attributes:
        path: model folder, as bytes: a name need not be text.
        form: which file by which runtime.
        model_id, int8_sha256: of the files that were looked at before; the child refuses others.
        memory_b: address space that it may take beyond what it has before it loads the model.
        cpu_s: processor time that it may take from there on.
        parent_pid: who asks; the child ends with it.
    """

    path: bytes
    form: ModelForm
    model_id: str
    int8_sha256: str | None
    memory_b: int
    cpu_s: int
    parent_pid: int


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
            differ from run to run or by what stands beside a crop, or there are no golden crops.
        ConfigError: the runtime is not installed.
    """
    scorer = open_scorer(folder, form)
    count = check_golden(folder, scorer, form.variant)
    if not count:
        raise ModelFolderError(f"{folder.path} has no golden crops: nothing proves that it runs as it was trained")
    extreme = extreme_crops(folder.card.crop)
    check_scores(scorer.scores(extreme))
    crops = spread_rows(read_golden(folder).crops, TIMED_CROPS)
    _check_repeats(scorer, np.concatenate([spread_rows(crops, BATCH), extreme[:3]]))
    return GateAnswer(count, medians_us([scorer], crops, clock)[0])


def extreme_crops(crop: CropSpec) -> NDArray[np.uint8]:
    """Return a batch of crops that no camera gives: black, white, chequered, restless (BATCH, S, S, C).

    Note:
        No random numbers: they would load a library within the limits. Takes no more memory than the result.
    """
    crops = np.zeros((BATCH, crop.side_px, crop.side_px, crop.channels), np.uint8)
    for axis, step in enumerate((53, 31, 97, 151)):  # odd and far apart; sums wrap around
        steps = (np.arange(crops.shape[axis]) * step).astype(np.uint8)
        crops += steps.reshape([-1 if at == axis else 1 for at in range(crops.ndim)])
    crops[0], crops[1] = 0, 255
    crops[2], crops[2, ::2, ::2] = 0, 255
    return crops


def main() -> None:
    """Answer the request on stdin and leave with 0; any other end is for the parent to read.

    Raises:
        msgspec.DecodeError: the request is none.
        SystemExit: who asked is gone.
        StorageError: the system does not end a child with its parent.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # what a runtime prints must not come between
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=GateRequest)
    die_with_parent(request.parent_pid)
    clock = CpuClock()
    _limit(request, clock)
    try:
        answer = judge_form(_load(request), request.form, clock)
    except EdgeError as error:
        answer = GateAnswer(refused=printable(str(error)))
    except MemoryError:
        answer = GateAnswer(refused=f"it needs more than {request.memory_b} bytes of memory")
    with os.fdopen(answers, "wb") as stream:
        stream.write(msgspec.json.encode(answer))


def _load(request: GateRequest) -> ModelFolder:
    folder = load_model_folder(Path(os.fsdecode(request.path)))
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


def _check_repeats(scorer: Scorer, crops: NDArray[np.uint8]) -> None:
    """Prove that a crop's scores depend on the crop alone, bit for bit: not on the run, its place or its neighbours."""
    scores = scorer.scores(crops)
    if not np.array_equal(scores, scorer.scores(crops)):
        raise ModelFolderError("the model gives other scores for the same crops: no decision could be repeated")
    places = spread_rows(np.arange(len(crops)), _ALONE)
    alone = np.concatenate([scorer.scores(crops[at : at + 1]) for at in places])
    backwards = scorer.scores(crops[::-1])[::-1]
    if not (np.array_equal(scores, backwards) and np.array_equal(scores[places], alone)):
        raise ModelFolderError(
            "the model gives a crop other scores beside other crops: decisions would depend on how objects fall"
        )


if __name__ == "__main__":
    main()
