"""Network to model.onnx: folded for the board, exported once, filled with each round's weights.

The graph takes pixels as they are: batch norm, the division by 255 and the temperature are folded into the weights.
Each round tests with the very file that would ship. Knows no pool and no rounds.
"""

import logging
import warnings
from copy import deepcopy
from functools import lru_cache
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_runtime.crop import CropSpec
from trainer.errors import ExportRefusedError
from trainer.train.network import ConvolutionStage, CropNetwork, NetworkSize, make_network, mean_and_maximum

__all__ = ["ORT_MIN", "FoldedNetwork", "OnnxTemplate", "check_parity", "export_graph", "folded_scores"]

ORT_MIN: Final = "1.22.0"  # the oldest release of the base dependencies that reads opset 20
_FULL_SCALE: Final = 255.0
_BATCH: Final = 256
_MOST_CROPS: Final = 65536


class FoldedNetwork(nn.Module):
    """The network as it ships: uint8 crops to calibrated probabilities, convolutions and one matrix."""

    def __init__(self, network: CropNetwork, temperature: float) -> None:
        super().__init__()
        stages = [stage for stage in network.stages if isinstance(stage, ConvolutionStage)]
        convolutions = [fuse_conv_bn_eval(stage.convolution.eval(), stage.norm.eval()) for stage in stages]
        self._is_halved = [stage.is_halved for stage in stages]
        self.convolutions = nn.ModuleList(convolutions)
        self.head = deepcopy(network.head)
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


class OnnxTemplate:
    """The exported graph of one network and crop shape, to be filled with weights.

    Exporting takes seconds, once a process and shape; filling takes milliseconds. A round's file is byte for byte what
    an export of its own would give.
    """

    def __init__(self, size: NetworkSize, crop: CropSpec, class_count: int) -> None:
        self._graph = _exported_graph(size, crop, class_count)

    @property
    def opset(self) -> int:
        """Operator set of the graph."""
        return int(onnx.ModelProto.FromString(self._graph).opset_import[0].version)

    def fill(self, network: FoldedNetwork) -> bytes:
        """Return the ONNX file with this network's weights, in one piece; several threads may fill one template.

        Raises:
            ExportRefusedError: the graph misses a weight of the network: torch and onnxscript do not fit together.
        """
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


def folded_scores(network: FoldedNetwork, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return torch's own scores (N, K) float32 of crops (N, S, S, C) uint8, the yardstick for parity."""
    batches = (torch.from_numpy(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH))
    with torch.inference_mode():
        parts = [network(batch).numpy() for batch in batches]
    return np.concatenate([np.zeros((0, network.head.out_features), np.float32), *parts])


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


def export_graph(network: FoldedNetwork, crop: CropSpec) -> onnx.ModelProto:
    """Return the ONNX graph of a network, weights inside, by torch's exporter; `OnnxTemplate` is much faster."""
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


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    """Drop notes of the exporter that hold source paths: they would make equal models differ between computers."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
