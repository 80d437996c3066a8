"""The INT8 file: pixels are its quantised input, it repeats byte for byte, and convolutions can be left out."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_networks import CROP, TRAINING, int8_inputs, int8_table

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.errors import ExportRefusedError
from trainer.export.mend import Int8Inputs
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.export.quantise import Quantiser
from trainer.train.network import make_network

CROPS = int8_table().pixels[TRAINING[:40]]


@pytest.fixture(scope="module")
def inputs() -> Int8Inputs:
    return int8_inputs()


@pytest.fixture(scope="module")
def quantiser(inputs: Int8Inputs) -> Quantiser:
    return Quantiser(inputs.model, CROPS)


def operators_to_first_convolution(model: bytes) -> list[str]:
    """Every operator between the crops and the first convolution's first input, from the convolution back."""
    graph = onnx.ModelProto.FromString(model).graph
    makers = {name: node for node in graph.node for name in node.output}
    node = next(node for node in graph.node if node.op_type == "Conv" and makes_from_crops(node, makers))
    found = []
    while node.input[0] in makers:
        node = makers[node.input[0]]
        found.append(node.op_type)
    assert node.input[0] == "crops"
    return found


def makes_from_crops(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> bool:
    while node.input[0] in makers:
        node = makers[node.input[0]]
        if node.op_type == "Conv":
            return False
    return True


def test_pixels_are_the_quantised_input_of_the_first_convolution(quantiser: Quantiser) -> None:
    model = quantiser.quantise()
    assert operators_to_first_convolution(model) == ["DequantizeLinear", "Transpose", "Reshape"]
    graph = onnx.ModelProto.FromString(model).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    reader = next(node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] == "permute")
    values = {tensor.name: onnx.numpy_helper.to_array(tensor).item() for tensor in graph.initializer if not tensor.dims}
    assert [values[name] for name in reader.input[1:]] == [1.0, 0]


def test_every_convolution_is_quantised_and_the_head_is_not(quantiser: Quantiser) -> None:
    graph = onnx.ModelProto.FromString(quantiser.quantise()).graph
    makers = {name: node for node in graph.node for name in node.output}
    weights = [makers[node.input[1]].op_type for node in graph.node if node.op_type == "Conv"]
    assert weights == ["DequantizeLinear"] * 4
    head = next(node for node in graph.node if node.op_type == "Gemm")
    assert makers[head.input[0]].op_type == "Concat"
    assert head.input[1] == "head.weight"


def test_scores_stay_near_to_fp32_and_no_decision_changes(inputs: Int8Inputs, quantiser: Quantiser) -> None:
    pixels = int8_table().pixels
    expected = Classifier(inputs.model, CROP, 3).scores(pixels)
    scores = Classifier(quantiser.quantise(), CROP, 3).scores(pixels)
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.abs(scores - expected).mean() < 0.02


def test_export_repeats_byte_for_byte(inputs: Int8Inputs, quantiser: Quantiser) -> None:
    assert quantiser.quantise() == quantiser.quantise() == Quantiser(inputs.model, CROPS.copy()).quantise()


def test_the_file_is_in_one_piece_and_says_nothing_of_its_making(
    quantiser: Quantiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """External weights would be a second file that no bundle carries."""
    monkeypatch.chdir(tmp_path)
    model = onnx.ModelProto.FromString(quantiser.quantise())
    assert not [*tmp_path.iterdir()]
    assert all(t.data_location == onnx.TensorProto.DEFAULT and not t.external_data for t in model.graph.initializer)
    holders = (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output)
    assert not any(holder.metadata_props or holder.doc_string for holder in holders)
    assert (model.producer_name, model.producer_version, len(model.graph.value_info)) == ("sortloop", "", 0)
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


def test_a_convolution_left_out_keeps_its_weights(quantiser: Quantiser) -> None:
    names = quantiser.convolutions
    assert len(names) == 4
    for name in names:
        graph = onnx.ModelProto.FromString(quantiser.quantise([name])).graph
        makers = {output: node.op_type for node in graph.node for output in node.output}
        floats = [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] not in makers]
        assert floats == [name]


def test_with_the_first_left_out_pixels_are_cast_and_the_maximum_stays_float(quantiser: Quantiser) -> None:
    """onnxruntime would else move the quantisation to before the maximum, where it is slower than the whole network."""
    model = quantiser.quantise(quantiser.convolutions[:1])
    assert operators_to_first_convolution(model) == ["Cast", "Transpose"]
    graph = onnx.ModelProto.FromString(model).graph
    makers = {name: node for node in graph.node for name in node.output}
    quantise = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    held = makers[quantise.input[0]]
    assert [held.op_type, makers[held.input[0]].op_type] == ["Max", "MaxPool"]


def test_with_all_left_out_the_scores_are_those_of_fp32(inputs: Int8Inputs, quantiser: Quantiser) -> None:
    model = quantiser.quantise(quantiser.convolutions)
    scores = Classifier(model, CROP, 3).scores(CROPS)
    assert np.abs(scores - Classifier(inputs.model, CROP, 3).scores(CROPS)).max() < 1e-5


def test_fewer_levels_give_another_file_with_7_bit_weights(inputs: Int8Inputs) -> None:
    graph = onnx.ModelProto.FromString(Quantiser(inputs.model, CROPS, has_reduced_range=True).quantise()).graph
    kernels = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name.endswith(".weight_quantized")]
    assert len(kernels) == 4
    assert max(int(np.abs(kernel.astype(int)).max()) for kernel in kernels) <= 64


def test_a_side_that_is_no_multiple_of_four_is_quantised_all_the_same() -> None:
    crop = CropSpec(side_px=18, channels=2)
    network = FoldedNetwork(make_network("small", 2, 2, seed=0).eval(), 1.0)
    crops = np.random.default_rng(1).integers(0, 256, (20, 18, 18, 2), dtype=np.uint8)
    fp32 = OnnxTemplate("small", crop, 2).fill(network)
    int8 = Quantiser(fp32, crops).quantise()
    assert operators_to_first_convolution(int8) == ["DequantizeLinear", "Transpose"]
    assert np.abs(Classifier(int8, crop, 2).scores(crops) - Classifier(fp32, crop, 2).scores(crops)).max() < 0.05


def test_what_is_no_such_model_is_refused(inputs: Int8Inputs, quantiser: Quantiser) -> None:
    with pytest.raises(ExportRefusedError, match="0 crops"):
        Quantiser(inputs.model, CROPS[:0])
    with pytest.raises(ExportRefusedError, match="no ONNX file"):
        Quantiser(b"\xff\xff\xff", CROPS)
    with pytest.raises(ExportRefusedError, match="Transpose and Cast"):
        Quantiser(b"", CROPS)
    with pytest.raises(ExportRefusedError, match="Transpose and Cast"):
        Quantiser(quantiser.quantise(), CROPS)
    with pytest.raises(ExportRefusedError, match="node_nowhere cannot be left out"):
        quantiser.quantise(["node_nowhere"])
