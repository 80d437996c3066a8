"""Crops to scores, whatever runtime does it: the one interface, and what all implementations share.

`model.Classifier` is onnxruntime, `openvino_scorer.OpenvinoClassifier` is OpenVINO; `providers.open_scorer` picks.

>>> str(ModelForm("int8"))
'int8 by onnxruntime'
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError

__all__ = ["BATCH", "ModelForm", "Provider", "Scorer", "Variant", "scores_in_batches", "spread_rows"]

Variant = Literal["fp32", "int8"]
Provider = Literal["onnxruntime", "openvino"]
_Scalar = TypeVar("_Scalar", bound=np.generic)

# One shape keeps memory constant and makes a score independent of the crop's neighbours in the batch, bit for bit;
# larger batches gain little on a network this small (vision.classifier_of_bare_ort in make bench).
BATCH: Final = 8


class ModelForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which form a model folder's model runs.

    Attributes:
        variant: which file.
        provider: which runtime.
    """

    variant: Variant = "fp32"
    provider: Provider = "onnxruntime"

    def __str__(self) -> str:
        return f"{self.variant} by {self.provider}"


class Scorer(Protocol):
    """One session of a model. Not to be shared between threads."""

    def scores(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, K) float32 of crops (N, S, S, C) uint8; N may be 0.

        Raises:
            ModelFolderError: the crops have another shape than the model takes, or the model cannot be run.
        """
        ...


def spread_rows(values: NDArray[_Scalar], most: int) -> NDArray[_Scalar]:
    """Return at most `most` rows of an array, evenly spread, in order.

    >>> spread_rows(np.arange(10), 4).tolist()
    [0, 2, 5, 7]
    """
    count = min(most, len(values))
    return values[np.arange(count) * len(values) // max(1, count)]


def scores_in_batches(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], crops: NDArray[np.uint8], crop: CropSpec, class_count: int
) -> NDArray[np.float32]:
    """Score any number of crops by a function that always gets the same number of them.

    Args:
        run: crops (BATCH, S, S, C) uint8, reused from call to call, to scores (BATCH, K) float32.
        crops: (N, S, S, C) uint8.
        crop: S and C.
        class_count: K.

    Returns:
        (N, K) float32.

    Raises:
        ModelFolderError: the crops have another shape, or `run` gives scores of another shape or type.
    """
    shape = (crop.side_px, crop.side_px, crop.channels)
    if crops.shape[1:] != shape:
        raise ModelFolderError(f"crops of shape {crops.shape[1:]}: the model takes {shape}")
    scores = np.empty((len(crops), class_count), np.float32)
    batch = np.zeros((BATCH, *shape), np.uint8)
    for start in range(0, len(crops), BATCH):
        part = crops[start : start + BATCH]
        batch[: len(part)] = part
        result = run(batch)
        if result.shape != (BATCH, class_count) or result.dtype != np.float32:
            raise ModelFolderError(
                f"the model gives {result.dtype} of shape {result.shape} for {BATCH} crops: "
                f"float32 of {(BATCH, class_count)} expected"
            )
        scores[start : start + BATCH] = result[: len(part)]
    return scores
