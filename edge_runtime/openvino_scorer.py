"""A model by OpenVINO, the optional second runtime: pip install 'sortloop-edge[openvino]'.

Same bytes, crops and scores as `model.Classifier`; openvino is imported only when one is made, and without the
telemetry package that comes with it, whose source sends an event at import: a sorter reports to nobody.
"""

import sys
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, ModelFolderError
from edge_runtime.scorer import BATCH, scores_in_batches

if TYPE_CHECKING:
    from openvino import CompiledModel

__all__ = ["OpenvinoClassifier"]

_TELEMETRY: Final = "openvino_telemetry"
# One thread as with onnxruntime; f32, or OpenVINO takes bfloat16 where the processor has it and moves every score.
_SETTINGS: Final = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,
}


class OpenvinoClassifier:
    """One OpenVINO session: crops to scores.

    Args:
        model: ONNX bytes, FP32 or QDQ.
        crop: shape of the crops it takes.
        class_count: K, columns of its scores.

    Raises:
        ConfigError: openvino is not installed.
        ModelFolderError: OpenVINO cannot load it, or it has no input `crops` or output `scores`.

    Note:
        Not to be shared between threads.
    """

    def __init__(self, model: bytes, crop: CropSpec, class_count: int) -> None:
        self._crop = crop
        self._class_count = class_count
        try:
            self._request = _compiled(model, crop).create_infer_request()
        except (MemoryError, RuntimeError) as error:
            raise ModelFolderError(f"OpenVINO cannot load the model of {len(model)} bytes: {error}") from error

    def scores(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return calibrated probabilities.

        Args:
            crops: (N, S, S, C) uint8 as the crop says; N may be 0.

        Returns:
            (N, K) float32, rows sum to 1, columns in the order of the model's classes.

        Raises:
            ModelFolderError: the crops have another shape than the model takes, or OpenVINO cannot run it.
        """
        return scores_in_batches(self._run, crops, self._crop, self._class_count)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            scores: NDArray[np.float32] = self._request.infer({"crops": batch})["scores"]
        except (MemoryError, RuntimeError) as error:
            raise ModelFolderError(f"OpenVINO cannot run the model: {error}") from error
        return scores


def _compiled(model: bytes, crop: CropSpec) -> "CompiledModel":
    """Return the model compiled for one batch shape.

    Raises:
        ConfigError: openvino is not installed.
        RuntimeError: OpenVINO cannot read or compile it.
    """
    _forbid_telemetry()
    try:
        from openvino import Core  # noqa: PLC0415 - optional, and a third of a second
    except ImportError as error:
        raise ConfigError("openvino is not installed: pip install 'sortloop-edge[openvino]'") from error
    core = Core()
    graph = core.read_model(model=model)
    graph.reshape({"crops": [BATCH, crop.side_px, crop.side_px, crop.channels]})
    compiled = core.compile_model(graph, "CPU", _SETTINGS)
    compiled.output("scores")
    return compiled


def _forbid_telemetry() -> None:
    """Make the import of the telemetry package fail; openvino then takes a stand-in that does nothing."""
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # how Python is told that an import fails
