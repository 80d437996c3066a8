"""Grouping four pixels changes no integer, and what cannot be grouped stays as it is."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_networks import CROP, TRAINING, int8_inputs, int8_table
from onnx import helper

from edge_runtime.model import Classifier
from trainer.export.pixel_groups import GROUP_PX, group_pixels, spread_kernel
from trainer.export.quantise import Quantiser

TURNED = "permute"


@pytest.fixture(scope="module")
def grouped() -> bytes:
    return Quantiser(int8_inputs().model, int8_table().pixels[TRAINING]).quantise()


def apart(grouped: bytes) -> onnx.ModelProto:
    """The model as it was before grouping: one pixel a place, the kernel of its own pixel."""
    model: onnx.ModelProto = onnx.ModelProto.FromString(grouped)
    graph = model.graph
    by_name = {node.name: node for node in graph.node}
    node = by_name["turn_back"]
    for reader in graph.node:
        for at, name in enumerate(reader.input):
            if name == node.output[0]:
                reader.input[at] = "grouped_features"
    for name in ("group_pixels", "turn_groups", "single_pixels", "turn_back"):
        graph.node.remove(by_name[name])
    by_name["node_permute"].input[0] = "crops"
    for tensor in graph.initializer:
        if tensor.name.startswith("convolutions.0."):
            values = onnx.numpy_helper.to_array(tensor)
            if values.ndim == 4:  # pixel 1 of a group: its neighbours are pixels 0, 1 and 2 of the same group
                rows = values[16:32, :, :, 1]
                values = np.stack([rows[:, 3 * pixel : 3 * pixel + 3] for pixel in range(3)], axis=3)
            elif values.ndim == 1:
                values = values[:16]
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    return model


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_grouped_convolution_gives_the_same_integers(groups: int, inside: int, outside: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    side_px = GROUP_PX * groups
    pixels = torch.from_numpy(rng.integers(0, 256, (2, side_px, side_px, inside)).astype(np.float64))
    kernel = rng.integers(-127, 128, (outside, inside, 3, 3)).astype(np.int8)
    plain = torch.nn.functional.conv2d(
        pixels.permute(0, 3, 1, 2), torch.from_numpy(kernel.astype(np.float64)), padding=1
    ).permute(0, 2, 3, 1)
    grouped = torch.nn.functional.conv2d(
        pixels.reshape(2, side_px, groups, GROUP_PX * inside).permute(0, 3, 1, 2),
        torch.from_numpy(spread_kernel(kernel).astype(np.float64)),
        padding=1,
    ).permute(0, 2, 3, 1)
    assert (grouped.reshape(plain.shape) == plain).all()


def test_grouped_model_gives_the_same_scores_bit_for_bit(grouped: bytes) -> None:
    pixels = int8_table().pixels
    single = apart(grouped).SerializeToString()
    assert np.array_equal(Classifier(grouped, CROP, 3).scores(pixels), Classifier(single, CROP, 3).scores(pixels))


def test_grouping_what_was_taken_apart_gives_the_model_again(grouped: bytes) -> None:
    model = apart(grouped)
    assert group_pixels(model, TURNED)
    names = ("convolutions.0.weight_quantized", "convolutions.0.bias_quantized", "convolutions.0.weight_scale")
    expected = {t.name: t.raw_data for t in onnx.ModelProto.FromString(grouped).graph.initializer}
    assert {t.name: t.raw_data for t in model.graph.initializer if t.name in names} == {n: expected[n] for n in names}


@pytest.mark.parametrize(
    ("name", "value"), [("strides", [2, 2]), ("pads", [0, 0, 0, 0]), ("kernel_shape", [1, 3]), ("group", 3)]
)
def test_another_convolution_is_left_alone(grouped: bytes, name: str, value: object) -> None:
    model = apart(grouped)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    kept = [attribute for attribute in convolution.attribute if attribute.name != name]
    del convolution.attribute[:]
    convolution.attribute.extend([*kept, helper.make_attribute(name, value)])
    before = model.SerializeToString(deterministic=True)
    assert not group_pixels(model, TURNED)
    assert model.SerializeToString(deterministic=True) == before


def test_a_side_of_no_whole_groups_and_pixels_read_as_floats_are_left_alone(grouped: bytes) -> None:
    odd = apart(grouped)
    odd.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 18
    assert not group_pixels(odd, TURNED)
    floats = apart(grouped)
    floats.graph.node.append(helper.make_node("Cast", [TURNED], ["else"], to=onnx.TensorProto.FLOAT))
    assert not group_pixels(floats, TURNED)
    open_end = apart(grouped)
    open_end.graph.node.remove(next(node for node in open_end.graph.node if node.op_type == "QuantizeLinear"))
    assert not group_pixels(open_end, TURNED)
