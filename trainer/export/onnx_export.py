"""Network to model.onnx: folded for the board, exported once, filled with each round's weights.

The graph takes pixels as they are: batch norm, the division by 255 and the temperature are folded into the weights.
Each round tests with the very file that would ship. Knows no pool and no rounds.
"""

import logging
import warnings
from copy import deepcopy
from functools import lru_cache
from threading import Lock
from typing import Final, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError
from edge_runtime.graph_rules import check_graph
from trainer.errors import ExportRefusedError
from trainer.train.network import ConvolutionStage, CropNetwork, NetworkSize, make_network, mean_and_maximum

__all__ = [
    "ORT_MIN",
    "FoldedNetwork",
    "OnnxTemplate",
    "ShippedNetwork",
    "WholeNetwork",
    "check_parity",
    "export_graph",
    "folded_scores",
    "opset_of",
    "ship_network",
]

ORT_MIN: Final = "1.22.0"  # the oldest release of the base dependencies that reads opset 20
_FULL_SCALE: Final = 255.0
_BATCH: Final = 256
_MOST_CROPS: Final = 65536
_SIZES: Final[tuple[NetworkSize, ...]] = get_args(NetworkSize)


class FoldedNetwork(nn.Module):
    """The network as it ships: uint8 crops to calibrated probabilities, convolutions and one matrix."""

    def __init__(self, network: CropNetwork, temperature: float) -> None:
        super().__init__()
        stages = [stage for stage in network.stages if isinstance(stage, ConvolutionStage)]
        convolutions = [fuse_conv_bn_eval(stage.convolution.eval(), stage.norm.eval()) for stage in stages]
        self._is_halved = [stage.is_halved for stage in stages]
        self.convolutions = nn.ModuleList(convolutions)
        self.head = deepcopy(network.head)
        self.class_count = network.head.out_features
        with torch.no_grad():
            convolutions[0].weight /= _FULL_SCALE
            self.head.weight.div_(temperature)
            self.head.bias.div_(temperature)
        self.eval()

    def forward(self, crops: Tensor) -> Tensor:
        """Return scores (N, K) float32 of crops (N, S, S, C) uint8."""
        pixels = crops.permute(0, 3, 1, 2).to(torch.float32)  # (N, C, S, S)
        for convolution, is_halved in zip(self.convolutions, self._is_halved, strict=True):
            pixels = torch.relu(convolution(pixels))
            pixels = functional.max_pool2d(pixels, 2) if is_halved else pixels
        return torch.softmax(self.head(mean_and_maximum(pixels)), dim=1)  # (N, K)


class WholeNetwork(nn.Module):
    """A network of one's own as it ships: uint8 crops to calibrated probabilities; the exporter folds what it can."""

    def __init__(self, network: nn.Module, temperature: float, class_count: int) -> None:
        super().__init__()
        self.network = deepcopy(network)
        self.class_count = class_count
        self._temperature = temperature
        self.eval()

    def forward(self, crops: Tensor) -> Tensor:
        """Return scores (N, K) float32 of crops (N, S, S, C) uint8."""
        pixels = crops.permute(0, 3, 1, 2).to(torch.float32) / _FULL_SCALE  # (N, C, S, S)
        return torch.softmax(self.network(pixels) / self._temperature, dim=1)  # (N, K)


ShippedNetwork = FoldedNetwork | WholeNetwork


def ship_network(network: nn.Module, temperature: float, class_count: int) -> ShippedNetwork:
    """Return a trained network as it ships, with the temperature that calibrates its scores."""
    if isinstance(network, CropNetwork):
        return FoldedNetwork(network, temperature)
    return WholeNetwork(network, temperature, class_count)


class OnnxTemplate:
    """The exported graph of one network and crop shape, to be filled with weights.

    Exporting takes seconds, once a process and shape; filling takes milliseconds. A round's file is byte for byte what
    an export of its own would give. A network of one's own is exported anew each time: its weights may be folded.

    Args:
        name: of the network in the settings.
        crop: shape of the crops.
        class_count: K.
    """

    def __init__(self, name: str, crop: CropSpec, class_count: int) -> None:
        self._crop = crop
        self._graph = next((_exported_graph(n, crop, class_count) for n in _SIZES if n == name), None)
        self._export = Lock()  # torch's exporter is not made for several threads

    def fill(self, network: ShippedNetwork) -> bytes:
        """Return the ONNX file with this network's weights, in one piece; several threads may fill one template.

        Raises:
            ExportRefusedError: the graph misses a weight of the network: torch and onnxscript do not fit together; or a
                network of one's own cannot be exported, or has an operator that the machine would refuse.
        """
        if self._graph is None:
            with self._export:
                whole: bytes = export_graph(network, self._crop).SerializeToString(deterministic=True)
            _require_allowed(whole, self._crop, network.class_count)
            return whole
        weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
        model = onnx.ModelProto.FromString(self._graph)
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                values = np.ascontiguousarray(weights.pop(tensor.name))
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        if weights:
            raise ExportRefusedError(f"the exported graph misses the weights {sorted(weights)}: check torch's version")
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def opset_of(model: bytes) -> int:
    """Return the operator set of an ONNX file."""
    return int(onnx.ModelProto.FromString(model).opset_import[0].version)


def folded_scores(network: ShippedNetwork, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return torch's own scores (N, K) float32 of crops (N, S, S, C) uint8, the yardstick for parity."""
    batches = (torch.from_numpy(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH))
    with torch.inference_mode():
        parts = [network(batch).numpy() for batch in batches]
    return np.concatenate([np.zeros((0, network.class_count), np.float32), *parts])


def check_parity(torch_scores: NDArray[np.float32], onnx_scores: NDArray[np.float32]) -> float:
    """Return the largest difference between torch's and onnxruntime's scores, (N, K) each.

    Raises:
        ExportRefusedError: one decision of all differs.
    """
    differ = torch_scores.argmax(axis=1) != onnx_scores.argmax(axis=1)
    if differ.any():
        raise ExportRefusedError(
            f"{int(differ.sum())} of {len(differ)} decisions differ between torch and onnxruntime: 0 are allowed"
        )
    return float(np.abs(torch_scores - onnx_scores).max(initial=0.0))


def export_graph(network: ShippedNetwork, crop: CropSpec) -> onnx.ModelProto:
    """Return the ONNX graph of a network, weights inside, by torch's exporter; `OnnxTemplate` is much faster.

    Raises:
        ExportRefusedError: a network of one's own holds something that torch cannot export.
    """
    example = torch.zeros((8, crop.side_px, crop.side_px, crop.channels), dtype=torch.uint8)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)  # it warns that torchvision is absent, as it must be
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # inside torch 2.13's own pytree
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                external_data=False,
                input_names=["crops"],
                output_names=["scores"],
                dynamic_shapes={"crops": {0: torch.export.Dim("n", min=1, max=_MOST_CROPS)}},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportRefusedError(f"the network cannot be exported: {str(error).splitlines()[0]}") from error
    finally:
        exporter_log.setLevel(level)
    assert program is not None  # dynamo=True returns a program
    model = program.model_proto
    _forget_where_it_was_made(model)
    onnx.checker.check_model(model)
    return model


@lru_cache(maxsize=8)
def _exported_graph(size: NetworkSize, crop: CropSpec, class_count: int) -> bytes:
    network = FoldedNetwork(make_network(size, crop.channels, class_count, seed=0).eval(), 1.0)
    with torch.no_grad():
        for at, (name, value) in enumerate(network.named_parameters(), start=1):
            if name.endswith("bias"):  # the exporter drops a bias that is 0, and merges equal ones
                value.copy_(torch.linspace(at, at + 0.5, len(value)))
    data: bytes = export_graph(network, crop).SerializeToString(deterministic=True)
    return data


def _require_allowed(model: bytes, crop: CropSpec, class_count: int) -> None:
    """Refuse now what the machine would refuse later, after all the training.

    Raises:
        ExportRefusedError: the graph is not one that the machine runs.
    """
    try:
        check_graph(model, crop, class_count, name="the exported network")
    except ModelFolderError as error:
        raise ExportRefusedError(str(error)) from error


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    """Drop notes of the exporter that hold source paths: they would make equal models differ between computers."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
