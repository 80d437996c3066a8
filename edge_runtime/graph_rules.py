"""What a model's graph may hold: judged from its bytes, before any runtime sees them.

Pure rules over what `onnx_reader` found; reads no file and opens no session. What a graph does when it runs (memory,
time, scores) is proven by `model_gate` in a process of its own.

>>> sorted(ALLOWED_OPERATORS & {"Conv", "Loop", "Relu"})
['Conv', 'Relu']
"""

from typing import Final

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError
from edge_runtime.onnx_reader import OnnxSummary, OnnxTensor, OnnxValue, read_onnx

__all__ = ["ALLOWED_OPERATORS", "MOST_MODEL_B", "MOST_NODES", "check_graph"]

MOST_MODEL_B: Final = 256 * 2**20  # fifty times the largest network of the trainer
MOST_NODES: Final = 10_000
_VALUES_A_BYTE: Final = 2  # 4-bit integers are the smallest that onnxruntime runs
_UINT8: Final = 2  # TensorProto.DataType
_FLOAT: Final = 1
_STANDARD: Final = ("", "ai.onnx")  # two names of one domain

# fmt: off
# What the exporter and the quantiser write, for the three sizes and for networks of one's own.
_WRITTEN: Final = frozenset({
    "Add", "Cast", "Concat", "Conv", "DequantizeLinear", "Div", "Gather", "Gemm", "MatMul", "Max", "MaxPool", "Mul",
    "QuantizeLinear", "Range", "ReduceMax", "ReduceMean", "Relu", "Reshape", "Shape", "Softmax", "Squeeze",
    "Transpose", "Unsqueeze",
})
# Their relatives in plain convolution networks: other bends, pools, norms, and arithmetic element by element.
_RELATIVES: Final = frozenset({
    "AveragePool", "BatchNormalization", "Clip", "Constant", "Elu", "Exp", "Flatten", "Gelu", "GlobalAveragePool",
    "GlobalMaxPool", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization",
    "LayerNormalization", "LeakyRelu", "LogSoftmax", "Min", "Mish", "Neg", "PRelu", "Pad", "Pow", "ReduceMin",
    "ReduceSum", "Selu", "Sigmoid", "Slice", "Softplus", "Split", "Sqrt", "Sub", "Tanh",
})
# fmt: on
ALLOWED_OPERATORS: Final = _WRITTEN | _RELATIVES


def check_graph(model: bytes, crop: CropSpec, class_count: int, *, name: str) -> OnnxSummary:
    """Prove that a graph is one that the machine may run.

    Args:
        model: ONNX bytes.
        crop: shape of the crops that it must take.
        class_count: K, columns of the scores that it must give.
        name: what to call the file in messages.

    Returns:
        What the graph holds.

    Raises:
        ModelFolderError: it is too large or damaged, has an operator that is not on the list, a subgraph, a function,
            values in another file or fewer than it claims, or does not take crops and give scores.
    """
    if len(model) > MOST_MODEL_B:
        raise ModelFolderError(f"{name} has {len(model)} bytes, the limit is {MOST_MODEL_B}")
    try:
        found = read_onnx(model)
    except ModelFolderError as error:
        raise ModelFolderError(f"{name}: {error}") from error
    complaint = _about_operators(found) or _about_tensors(found) or _about_ends(found, crop, class_count)
    if complaint:
        raise ModelFolderError(f"{name} {complaint}")
    return found


def _about_operators(found: OnnxSummary) -> str:
    """Return what is wrong with the operators, "" for nothing."""
    strange = sorted(
        f"{domain}.{operator}" if domain else operator
        for domain, operator in found.operators
        if domain not in _STANDARD or operator not in ALLOWED_OPERATORS
    )
    if strange:
        names = ", ".join(name[:64] for name in strange[:5])
        return f"uses {names}: not on the list of operators that the machine runs; export it without"
    if found.subgraphs or found.functions:
        return f"has {found.subgraphs} subgraphs and {found.functions} functions: the machine runs plain graphs only"
    if found.nodes > MOST_NODES:
        return f"has {found.nodes} nodes, the limit is {MOST_NODES}"
    return ""


def _about_tensors(found: OnnxSummary) -> str:
    """Return what is wrong with the weights, "" for nothing."""
    if found.is_external:
        return "has values in another file: export it in one piece"
    hollow = [tensor for tensor in found.tensors if _is_hollow(tensor)]
    if hollow:
        return f"has tensor {hollow[0].name[:64]!r} of shape {hollow[0].dims}, but {hollow[0].stored_b} bytes of values"
    return ""


def _is_hollow(tensor: OnnxTensor) -> bool:
    return tensor.values > _VALUES_A_BYTE * tensor.stored_b


def _about_ends(found: OnnxSummary, crop: CropSpec, class_count: int) -> str:
    """Return what is wrong with inputs and outputs, "" for nothing."""
    side_px, channels = crop.side_px, crop.channels
    if not _is_one(found.inputs, "crops", _UINT8, (side_px, side_px, channels)):
        return f"takes {_told(found.inputs)}: uint8 crops of (n, {side_px}, {side_px}, {channels}) are expected"
    if not _is_one(found.outputs, "scores", _FLOAT, (class_count,)):
        return f"gives {_told(found.outputs)}: float scores of (n, {class_count}) are expected"
    return ""


def _is_one(values: tuple[OnnxValue, ...], name: str, element_type: int, shape: tuple[int, ...]) -> bool:
    """Tell whether there is exactly one value, whose sizes behind the first, the number of crops, are as they must."""
    if len(values) != 1 or (values[0].name, values[0].element_type) != (name, element_type):
        return False
    declared = values[0].shape
    return declared is not None and len(declared) == len(shape) + 1 and declared[1:] == shape


def _told(values: tuple[OnnxValue, ...]) -> str:
    """Return inputs or outputs in words, not more than three of them."""
    return ", ".join(f"{value.name[:64]!r} {value.shape}" for value in values[:3]) or "nothing"
