"""FP32 ONNX bytes to INT8 ONNX bytes: static QDQ, in one piece, the uint8 pixels being the first quantised input.

A pixel is its own quantised value (scale 1, zero point 0; the division by 255 lies in the first weights), so that no
node stands between the camera's bytes and the first convolution. Convolutions and what lies between them are quantised;
mean, maximum, head and softmax stay in floating point: they cost next to nothing and decide. Knows no classes.

>>> try:
...     Quantiser(b"", np.zeros((0, 8, 8, 3), np.uint8))
... except ExportRefusedError as error:
...     print(error)
0 crops to calibrate with: at least 1 is needed
"""

import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # onnx brings it, without types
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from trainer.errors import ExportRefusedError
from trainer.export.pixel_groups import group_pixels

__all__ = ["Quantiser"]

_BATCH: Final = 32
_PIXELS: Final = "crops"
_FOLLOWERS: Final = ("Relu", "MaxPool")
_QUANTISED: Final = ("Conv", *_FOLLOWERS)
_QUANTISED_FILE: Final = "int8.onnx"


class Quantiser:
    """One FP32 model, calibrated once, to be quantised with any of its convolutions left out.

    Args:
        model: ONNX bytes as `OnnxTemplate.fill` gives them: uint8 crops are turned and cast to float, nothing else
            stands before the first convolution.
        crops: (N, S, S, C) uint8, N >= 1, from which the ranges of all activations are taken (minimum and maximum).
        has_reduced_range: weights of 7 bits instead of 8.

    Raises:
        ExportRefusedError: there is no crop, or the graph is another one.

    Note:
        Half a second for 300 crops of 64 x 64 pixels. Not to be shared between threads.
    """

    def __init__(self, model: bytes, crops: NDArray[np.uint8], *, has_reduced_range: bool = False) -> None:
        if not len(crops):
            raise ExportRefusedError("0 crops to calibrate with: at least 1 is needed")
        self._has_reduced_range = has_reduced_range
        self._model = _with_float_input(model)
        self._turned = self._model.graph.node[0].output[0]
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "ranges.json"
            self._quantise(Path(folder), cache, _CropReader(crops), ())
            self._ranges = cache.read_bytes()

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the nodes that may be left out, in the order in which they run."""
        return tuple(node.name for node in self._model.graph.node if node.op_type == "Conv")

    def quantise(self, excluded: Collection[str] = ()) -> bytes:
        """Return the INT8 file; equal models, crops and exclusions give equal bytes.

        Args:
            excluded: names of convolutions that stay in floating point.

        Raises:
            ExportRefusedError: a name is no convolution of the model.
        """
        strange = sorted(set(excluded) - set(self.convolutions))
        if strange:
            raise ExportRefusedError(f"{', '.join(strange)} cannot be left out: the model has {self.convolutions}")
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "ranges.json"
            cache.write_bytes(self._ranges)
            return self._quantise(Path(folder), cache, None, tuple(excluded))

    def _quantise(self, folder: Path, cache: Path, crops: "_CropReader | None", excluded: tuple[str, ...]) -> bytes:
        graph = onnx.ModelProto()
        graph.CopyFrom(self._model)
        target = folder / _QUANTISED_FILE
        pixels = {"quant_type": QuantType.QUInt8, "scale": np.array(1, np.float32), "zero_point": np.array(0, np.uint8)}
        with _quiet():
            quantize_static(
                graph,
                target,
                crops,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTISED),
                per_channel=True,
                reduce_range=self._has_reduced_range,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=self._with_followers(excluded),
                extra_options={"TensorQuantOverrides": {self._turned: [pixels]}},
                calibration_cache_path=cache,
            )
        quantised = onnx.load(target)
        _take_pixels_as_they_are(quantised, self._turned)
        group_pixels(quantised, self._turned)
        _hold_float_pools(quantised.graph)
        _forget_the_making(quantised)
        onnx.checker.check_model(quantised, full_check=True)
        data: bytes = quantised.SerializeToString(deterministic=True)
        return data

    def _with_followers(self, excluded: tuple[str, ...]) -> list[str]:
        """Return the names with those of ReLU and maximum behind each: quantised alone they only cost time."""
        left_out = set(excluded)
        floats = {node.output[0] for node in self._model.graph.node if node.name in left_out}
        for node in self._model.graph.node:
            if node.op_type in _FOLLOWERS and node.input[0] in floats:
                floats.add(node.output[0])
                left_out.add(node.name)
        return sorted(left_out)


class _CropReader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Gives the crops in batches, as the float twin of the model takes them."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        starts = range(0, len(crops), _BATCH)
        self._batches = ({_PIXELS: crops[at : at + _BATCH].astype(np.float32)} for at in starts)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, None after the last."""
        return next(self._batches, None)


def _with_float_input(model: bytes) -> onnx.ModelProto:
    """Return the model with float crops in place of uint8 ones: the quantiser calibrates and quantises floats only.

    Raises:
        ExportRefusedError: it does not begin with a transpose and a cast.
    """
    try:
        twin = onnx.ModelProto.FromString(model)
    except DecodeError as error:
        raise ExportRefusedError(f"the model of {len(model)} bytes is no ONNX file: {error}") from error
    graph = twin.graph
    begin = [node.op_type for node in graph.node[:2]]
    if begin != ["Transpose", "Cast"] or [value.name for value in graph.input] != [_PIXELS]:
        raise ExportRefusedError(f"the model begins with {begin}: Transpose and Cast of {_PIXELS} are expected")
    cast = graph.node[1]
    _replace_input(graph, cast.output[0], cast.input[0])
    graph.node.remove(cast)
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]
    twin = shape_inference.infer_shapes(twin)
    add_pre_process_metadata(twin)  # shapes are inferred, batch norm is folded: what its own pre-processing would do
    return twin


def _take_pixels_as_they_are(model: onnx.ModelProto, turned: str) -> None:
    """Make the input uint8 again and drop the quantisation of the turned pixels; a node that wants floats gets a cast.

    Args:
        model: quantised, in place.
        turned: name of the tensor that the first node, a transpose, gives.
    """
    graph = model.graph
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == turned]:
        _replace_input(graph, node.output[0], turned)
        graph.node.remove(node)
    wants_floats = [node for node in graph.node if turned in node.input and node.op_type != "DequantizeLinear"]
    if wants_floats:
        cast = helper.make_node("Cast", [turned], [f"{turned}_float"], name="cast_pixels", to=TensorProto.FLOAT)
        for node in wants_floats:
            node.input[list(node.input).index(turned)] = cast.output[0]
        made_by = [turned in node.output for node in graph.node].index(True)
        graph.node.insert(made_by + 1, cast)


def _hold_float_pools(graph: onnx.GraphProto) -> None:
    """Keep the maximum behind a floating-point convolution in floating point.

    onnxruntime moves a quantisation to before a maximum, here onto planes, where its integer maximum is slower than the
    whole network: 129 of 221 us a crop of 48 pixels. It stops at `max(x, 0)`, which changes nothing behind a ReLU.
    """
    makers = {node.output[0]: node for node in graph.node}
    for at, node in reversed([*enumerate(graph.node)]):
        pool = makers.get(node.input[0])
        if node.op_type != "QuantizeLinear" or pool is None or pool.op_type != "MaxPool":
            continue
        if makers[pool.input[0]].op_type == "Relu":
            held = helper.make_node("Max", [pool.output[0], "zero"], [f"{pool.output[0]}_held"], f"hold_{pool.name}")
            node.input[0] = held.output[0]
            graph.node.insert(at, held)
    if any("zero" in node.input for node in graph.node):
        graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))


def _replace_input(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name == old:
                node.input[at] = new


def _forget_the_making(model: onnx.ModelProto) -> None:
    """Drop shapes, notes and weights that nothing uses, and put tensors into one order: equal models, equal bytes."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    kept = sorted((tensor for tensor in graph.initializer if tensor.name in used), key=lambda tensor: tensor.name)
    tensors = [numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    del graph.value_info[:]
    model.producer_name = "sortloop"
    model.producer_version = ""
    for holder in (model, graph, *graph.node, *graph.input, *graph.output):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's remarks for itself: it writes to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
