"""Model folders that are whole by their digests and must never run: each wrong in one way."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_runtime.model import CARD_FILE, MODEL_FILE
from edge_runtime.schemas import ModelCard
from edge_runtime.storage import sha256_hex

__all__ = [
    "DECEITFUL",
    "FORBIDDEN",
    "change_card",
    "external_onnx",
    "function_onnx",
    "loop_onnx",
    "make_graph_onnx",
    "neighbourly_onnx",
    "with_model",
]

Weights = dict[str, NDArray[np.generic]]
_OPSETS: Final = [("", 20)]


def make_graph_onnx(
    nodes: Sequence[NodeProto], weights: Weights, *, classes: int = 3, opsets: Sequence[tuple[str, int]] = _OPSETS
) -> bytes:
    """Return a model that takes crops of 32 px and says it gives scores of `classes` classes; not checked."""
    graph = helper.make_graph(
        nodes,
        "bad",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString(deterministic=True)
    return data


def loop_onnx(turns: int = 2**62) -> bytes:
    """Return a model that turns in a Loop before it scores: for ever, as far as anybody can wait."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["still_goes_on"]),
            helper.make_node("Add", ["sum", "one"], ["next_sum"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still_goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next_sum", TensorProto.FLOAT, []),
        ],
    )
    loop = helper.make_node("Loop", ["turns", "yes", "zero"], ["turned"], body=body)
    adding = helper.make_node("Add", ["means", "turned"], ["logits"])
    weights: Weights = {
        "turns": np.array(turns, np.int64),
        "yes": np.array(True),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "middle": np.array([1, 2], np.int64),
    }
    return make_graph_onnx([*_means(), loop, adding, _softmax()], weights)


def function_onnx() -> bytes:
    """Return a model whose one step is a local function of a domain of its own."""
    function = helper.make_function(
        "own", "Bend", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 20)]
    )
    nodes = [*_means(), helper.make_node("Bend", ["means"], ["logits"], domain="own"), _softmax()]
    model = onnx.ModelProto.FromString(make_graph_onnx(nodes, _middle(), opsets=[("", 20), ("own", 1)]))
    model.functions.append(function)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def external_onnx() -> bytes:
    """Return a model whose weight lies in a file beside it."""
    model = onnx.ModelProto.FromString(make_graph_onnx(_plain("bias"), {**_middle(), "bias": np.zeros(3, np.float32)}))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def neighbourly_onnx() -> bytes:
    """Return a model that takes off what the batch has on average: the same crop, other crops beside it, another class.

    Its graph is allowed, its scores are probabilities, and they repeat as long as the crops come in the same order.
    """
    weights = {**_middle(), "first": np.array([0], np.int64)}
    nodes = [
        *_means(),
        helper.make_node("ReduceMean", ["means", "first"], ["usual"], keepdims=1),
        helper.make_node("Sub", ["means", "usual"], ["logits"]),
        _softmax(),
    ]
    return make_graph_onnx(nodes, weights)


def _custom() -> bytes:
    node = helper.make_node("FusedGemm", ["means", "mix"], ["logits"], domain="com.microsoft")
    weights = {**_middle(), "mix": np.eye(3, dtype=np.float32)}
    return make_graph_onnx([*_means(), node, _softmax()], weights, opsets=[("", 20), ("com.microsoft", 1)])


def _random() -> bytes:
    noise = helper.make_node("RandomNormalLike", ["means"], ["noise"])
    adding = helper.make_node("Add", ["means", "noise"], ["logits"])
    return make_graph_onnx([*_means(), noise, adding, _softmax()], _middle())


def _hollow() -> bytes:
    model = onnx.ModelProto.FromString(make_graph_onnx(_plain("bias"), {**_middle(), "bias": np.zeros(3, np.float32)}))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    tensor.dims[:] = [100_000, 100_000]
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _more_inputs() -> bytes:
    model = onnx.ModelProto.FromString(make_graph_onnx(_plain("bias"), {**_middle(), "bias": np.zeros(3, np.float32)}))
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _giant() -> bytes:
    """40 GB of the product of two vectors of 400 kB."""
    weights: Weights = {
        **_middle(),
        "column": np.ones((100_000, 1), np.float32),
        "row": np.ones((1, 100_000), np.float32),
        "all": np.array([0, 1], np.int64),
    }
    product = helper.make_node("MatMul", ["column", "row"], ["product"])
    mean = helper.make_node("ReduceMean", ["product", "all"], ["bias"], keepdims=0)
    return make_graph_onnx([product, mean, *_plain("bias")], weights)


def _giant_border() -> bytes:
    """A border of 50,000 pixels around each crop: 8 x 3 x 100,000 x 100,000 floats."""
    weights: Weights = {
        **_middle(),
        "border": np.array([0, 50_000, 50_000, 0, 0, 50_000, 50_000, 0], np.int64),
        "bias": np.zeros(3, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Pad", ["single", "border"], ["pixels"]),
        helper.make_node("ReduceMean", ["pixels", "middle"], ["means"], keepdims=0),
        helper.make_node("Add", ["means", "bias"], ["logits"]),
        _softmax(),
    ]
    return make_graph_onnx(nodes, weights)


def _not_numbers() -> bytes:
    weights = {**_middle(), "bias": np.array([np.inf, np.inf, 0], np.float32)}
    return make_graph_onnx(_plain("bias"), weights)


def _no_sums() -> bytes:
    nodes = [*_means(), helper.make_node("Sigmoid", ["means"], ["scores"])]
    return make_graph_onnx(nodes, _middle())


def _one_class() -> bytes:
    """Say three classes, give one, which a careless caller would spread over all three."""
    weights = {**_middle(), "last": np.array([1], np.int64)}
    nodes = [*_means(), helper.make_node("ReduceMax", ["means", "last"], ["logits"], keepdims=1), _softmax()]
    return make_graph_onnx(nodes, weights)


def _means() -> list[NodeProto]:
    return [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "middle"], ["means"], keepdims=0),
    ]


def _middle() -> Weights:
    return {"middle": np.array([1, 2], np.int64)}


def _plain(bias: str) -> list[NodeProto]:
    return [*_means(), helper.make_node("Add", ["means", bias], ["logits"]), _softmax()]


def _softmax() -> NodeProto:
    return helper.make_node("Softmax", ["logits"], ["scores"], axis=1)


# Refused by their graph alone, each with what is said of it.
FORBIDDEN: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "endless loop": (loop_onnx, "uses Loop: not on the list"),
    "custom domain": (_custom, "uses com.microsoft.FusedGemm: not on the list"),
    "random": (_random, "uses RandomNormalLike: not on the list"),
    "function": (function_onnx, "uses own.Bend: not on the list"),
    "external data": (external_onnx, "has values in another file"),
    "hollow tensor": (_hollow, r"has tensor 'bias' of shape \(100000, 100000\), but 12 bytes of values"),
    "more inputs": (_more_inputs, r"takes 'crops' \(None, 32, 32, 3\), 'more' \(1,\): uint8 crops"),
}

# Allowed by their graph, refused for what they do, each with what is said of it.
DECEITFUL: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "giant product": (_giant, "cannot (load|run) the model"),
    "giant border": (_giant_border, "cannot (load|run) the model"),
    "not numbers": (_not_numbers, "scores are not numbers"),
    "no sums": (_no_sums, "scores are no probabilities"),
    "one class": (_one_class, r"of shape \(8, 1\)|float scores of 3 classes expected"),
}


def with_model(folder: Path, target: Path, model: bytes) -> Path:
    """Return a copy of a model folder with another model whose digest is the card's."""
    copy = Path(shutil.copytree(folder, target))
    (copy / MODEL_FILE).write_bytes(model)
    change_card(copy, model_id=sha256_hex(model))
    return copy


def change_card(folder: Path, **changes: object) -> None:
    """Change entries of a folder's card."""
    card = msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=ModelCard)
    (folder / CARD_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, **changes)))
