"""Which file of a model folder runs on this board: decided by measurement, since no rule holds for every processor.

Integer arithmetic is three times as fast on one board and slower on the next. Both files are timed on the folder's own
golden crops, one after the other in turn; an INT8 file that decides otherwise here than it must is never chosen.

>>> round(_median([3.0, 1.0, 2.0]))
2
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_runtime.errors import ModelFolderError
from edge_runtime.model import Classifier, ModelFolder, Variant, check_golden, make_classifier, read_golden
from firmware_bridge.clock import Clock

__all__ = ["VariantChoice", "choice_text", "faster_variant"]

_ROUNDS: Final = 9
_LEAST_GAIN: Final = 1.05  # below it INT8 is not worth what it loses
_NS_PER_US: Final = 1000


@dataclass(frozen=True, slots=True)
class VariantChoice:
    """What this board should run.

    Attributes:
        variant: the choice.
        reason: why, for people.
        fp32_us, int8_us: median time a golden crop; None where it was not measured.
    """

    variant: Variant
    reason: str
    fp32_us: float | None = None
    int8_us: float | None = None


def faster_variant(folder: ModelFolder, clock: Clock) -> VariantChoice:
    """Check and time both files of a model folder on its golden crops.

    Args:
        folder: loaded; without an INT8 file nothing is timed.
        clock: a `CpuClock` on a board that does other things meanwhile.

    Returns:
        "int8" where its golden scores hold on this processor and it is faster by at least 5 %.

    Raises:
        ModelFolderError: the FP32 file does not give its golden scores, or golden.npz is damaged.

    Note:
        Runs each file ten times over at most 64 crops a class: a second or two.
    """
    fp32 = make_classifier(folder)
    check_golden(folder, fp32)
    if folder.int8 is None:
        return VariantChoice("fp32", _why_none(folder))
    try:
        int8 = make_classifier(folder, "int8")
        check_golden(folder, int8, "int8")
    except ModelFolderError as error:
        return VariantChoice("fp32", f"INT8 fails its check here: {error}")
    fp32_us, int8_us = _time_in_turn(folder, (fp32, int8), clock)
    gain = fp32_us / int8_us if int8_us else 1.0
    if gain < _LEAST_GAIN:
        return VariantChoice("fp32", f"INT8 is only {gain:.2f} times as fast as FP32 here", fp32_us, int8_us)
    return VariantChoice("int8", f"INT8 is {gain:.2f} times as fast as FP32 here", fp32_us, int8_us)


def choice_text(choice: VariantChoice) -> str:
    """Return the choice in one phrase for a report."""
    return f"runs best as {choice.variant}: {choice.reason}"


def _why_none(folder: ModelFolder) -> str:
    int8 = folder.card.int8
    return "the folder has no INT8 model" if int8 is None else f"no INT8 model was made: {int8.refused}"


def _time_in_turn(folder: ModelFolder, classifiers: tuple[Classifier, Classifier], clock: Clock) -> tuple[float, float]:
    """Return the median microseconds a crop of each, after a first round that warms caches."""
    crops = read_golden(folder).crops
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS + 1):
        for classifier, taken in zip(classifiers, times, strict=True):
            started_ns = clock.monotonic_ns()
            classifier.scores(crops)
            taken.append((clock.monotonic_ns() - started_ns) / _NS_PER_US / max(1, len(crops)))
    return _median(times[0][1:]), _median(times[1][1:])


def _median(values: list[float]) -> float:
    return float(np.median(values))
