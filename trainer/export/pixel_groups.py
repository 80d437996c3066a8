"""The first convolution over groups of four pixels: the same integers, at half the time.

onnxruntime's fast integer convolution takes channels in fours. A crop has three, so that its first layer falls back to
a slow copy of every window and costs more than all others together. Four neighbours of a row, seen as one place with
four times the channels, need no copy: `(N, S, S, C)` is `(N, S, S / 4, 4 C)` as it lies in memory. The kernel is
spread over the group, zeros where a pixel does not reach; results are equal, not close (docs/int8.md has the figures).

>>> spread_kernel(np.ones((1, 1, 1, 3), np.int8))[:, :, 0].sum(axis=(1, 2)).tolist()
[3, 3, 3, 3]
"""

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["GROUP_PX", "group_pixels", "spread_kernel"]

GROUP_PX: Final = 4


def group_pixels(model: onnx.ModelProto, turned: str) -> bool:
    """Rewrite the first convolution of a quantised model in place; return whether it could be.

    Args:
        model: static QDQ; its uint8 crops are turned and then read by nothing but a quantised convolution.
        turned: name of the tensor that the transpose of the crops gives.

    Returns:
        False, and the model unchanged, where the crop's side is no multiple of four or the first convolution is not
        3 x 3 with a border of one pixel, stride one, quantised.
    """
    graph = model.graph
    readers = _readers(graph, turned)
    side_px = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    if side_px % GROUP_PX or [node.op_type for node in readers] != ["DequantizeLinear"]:
        return False
    convolutions = _readers(graph, readers[0].output[0])
    if [node.op_type for node in convolutions] != ["Conv"] or not _is_plain(convolutions[0]):
        return False
    quantisers = _readers(graph, convolutions[0].output[0])
    if [node.op_type for node in quantisers] != ["QuantizeLinear"]:
        return False
    width = _spread_weights(graph, convolutions[0])
    _reshape_around(graph, turned, quantisers[0], (side_px, width))
    return True


def spread_kernel(kernel: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the kernel (4 K, 4 C, H, 3) over groups of pixels of a kernel (K, C, H, 3) over pixels.

    Output channel `p K + k` is channel k at pixel p of the group; input channel `q C + c` is channel c of pixel q.
    """
    outside, inside, height, width = kernel.shape
    spread = np.zeros((GROUP_PX * outside, GROUP_PX * inside, height, 3), kernel.dtype)
    for pixel in range(GROUP_PX):
        for column in range(width):
            group, within = divmod(pixel + column - 1, GROUP_PX)  # group -1, 0 or 1
            rows = slice(pixel * outside, (pixel + 1) * outside)
            spread[rows, within * inside : (within + 1) * inside, :, group + 1] = kernel[:, :, :, column]
    return spread


def _readers(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in node.input]


def _is_plain(convolution: onnx.NodeProto) -> bool:
    plain = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    given = {a.name: helper.get_attribute_value(a) for a in convolution.attribute if a.name in plain}
    return {**plain, **given} == plain


def _spread_weights(graph: onnx.GraphProto, convolution: onnx.NodeProto) -> int:
    """Spread kernel, bias and their scales; return the number of channels that one pixel gets."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    kernel, *of_kernel = makers[convolution.input[1]].input
    values = numpy_helper.to_array(tensors[kernel])
    _set(tensors[kernel], spread_kernel(values))
    for name in (*of_kernel, *makers[convolution.input[2]].input):
        by_channel = numpy_helper.to_array(tensors[name])
        if by_channel.ndim == 1:
            _set(tensors[name], np.tile(by_channel, GROUP_PX))
    return int(values.shape[0])


def _reshape_around(graph: onnx.GraphProto, turned: str, quantiser: onnx.NodeProto, sizes: tuple[int, int]) -> None:
    """Group the pixels before the transpose, and take the groups apart behind the first convolution."""
    side_px, width = sizes
    turn = next(node for node in graph.node if turned in node.output)
    channels = graph.input[0].type.tensor_type.shape.dim[3].dim_value
    shapes = {
        "grouped_shape": (-1, side_px, side_px // GROUP_PX, GROUP_PX * channels),
        "single_shape": (-1, side_px, side_px, width),
    }
    graph.initializer.extend(numpy_helper.from_array(np.array(shape, np.int64), n) for n, shape in shapes.items())
    at = list(graph.node).index(turn)
    graph.node.insert(at, helper.make_node("Reshape", [turn.input[0], "grouped_shape"], ["grouped"], "group_pixels"))
    turn.input[0] = "grouped"
    given = quantiser.output[0]
    quantiser.output[0] = "grouped_features"
    apart = (
        helper.make_node("Transpose", ["grouped_features"], ["grouped_rows"], "turn_groups", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["grouped_rows", "single_shape"], ["single_rows"], "single_pixels"),
        helper.make_node("Transpose", ["single_rows"], [given], "turn_back", perm=[0, 3, 1, 2]),
    )
    at = list(graph.node).index(quantiser) + 1
    for offset, node in enumerate(apart):
        graph.node.insert(at + offset, node)


def _set(tensor: onnx.TensorProto, values: NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
