"""The reader sees in any bytes what onnx sees, or refuses them; it never crashes, hangs or reads on without end."""

from contextlib import suppress
from functools import lru_cache

import onnx
import pytest
from bad_models import external_onnx, function_onnx, loop_onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # onnx brings it, without types
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_facts import facts_by_onnx, facts_by_reader
from tiny_model import make_onnx

from edge_runtime.errors import ModelFolderError
from edge_runtime.onnx_reader import MOST_DEPTH, MOST_FIELDS, OnnxSummary, OnnxValue, read_onnx


@lru_cache(maxsize=1)
def tiny() -> bytes:
    return make_onnx()


def nested(depth: int) -> bytes:
    """A model whose one node holds a graph, whose one node holds a graph, and so on; deeper than onnx would write."""
    graph = framed(1, framed(4, b"Relu"))
    for _ in range(depth):
        graph = framed(1, framed(4, b"If") + framed(5, framed(6, graph)))
    return framed(7, graph)


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def framed(number: int, inside: bytes) -> bytes:
    return tag(number, 2) + varint(len(inside)) + inside


def summary_or_none(data: bytes) -> OnnxSummary | None:
    """Read bytes that may be anything; an error that is not ours fails the test."""
    try:
        return read_onnx(data)
    except ModelFolderError:
        return None


@pytest.mark.parametrize("make", [make_onnx, loop_onnx, function_onnx, external_onnx])
def test_it_sees_what_onnx_sees(make: object) -> None:
    assert callable(make)
    assert facts_by_reader(make()) == facts_by_onnx(make())


def test_inputs_outputs_and_sizes_are_told() -> None:
    found = read_onnx(tiny())
    assert found.inputs == (OnnxValue("crops", TensorProto.UINT8, (None, 32, 32, 3)),)
    assert found.outputs == (OnnxValue("scores", TensorProto.FLOAT, (None, 3)),)
    kernel = next(tensor for tensor in found.tensors if tensor.name == "kernel")
    assert (kernel.dims, kernel.values, kernel.stored_b) == ((16, 3, 3, 3), 432, 4 * 432)
    assert (found.nodes, found.subgraphs, found.functions, found.is_external) == (10, 0, 0, False)


def test_subgraphs_functions_and_other_files_are_told() -> None:
    assert read_onnx(loop_onnx()).subgraphs == 1
    assert {"Loop", "Identity", "Add"} <= {operator for _, operator in read_onnx(loop_onnx()).operators}
    assert read_onnx(function_onnx()).functions == 1
    assert ("", "Relu") in read_onnx(function_onnx()).operators
    assert read_onnx(external_onnx()).is_external


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = summary_or_none(data)
    assert found is None or found.nodes >= 0


@given(st.data())
def test_changed_bytes_are_refused_or_read_as_onnx_does(data: st.DataObject) -> None:
    """Some bytes replaced, inserted or cut away; where both readers take them they agree."""
    changed = bytearray(tiny())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        width = data.draw(st.sampled_from([0, 1, 1, 1, 7]))
        changed[at : at + width] = data.draw(st.binary(max_size=3))
    if summary_or_none(bytes(changed)) is None:
        return
    with suppress(DecodeError):  # onnx reads what the reader skips, such as notes
        assert facts_by_reader(bytes(changed)) == facts_by_onnx(bytes(changed))


def test_a_file_that_ends_early_is_refused_or_has_lost_whole_fields() -> None:
    """Every cut inside of the graph, which is the first and longest field, is told."""
    model = onnx.ModelProto.FromString(tiny())
    end = tiny().rindex(model.graph.output[0].SerializeToString())
    for size in range(0, end, 37):
        with pytest.raises(ModelFolderError, match=f"ONNX file of {size} bytes is damaged"):
            read_onnx(tiny()[:size])


def test_graphs_are_followed_down_to_a_depth() -> None:
    assert ("", "Relu") in read_onnx(nested(MOST_DEPTH)).operators
    with pytest.raises(ModelFolderError, match="nested deeper than 16"):
        read_onnx(nested(MOST_DEPTH + 1))
    with pytest.raises(ModelFolderError, match="nested deeper than 16"):
        read_onnx(nested(3000))


def test_fields_are_counted_over_the_whole_file() -> None:
    nodes = framed(1, b"") * (MOST_FIELDS // 2)
    assert read_onnx(framed(7, nodes)).nodes == MOST_FIELDS // 2
    with pytest.raises(ModelFolderError, match="more than 250000 fields"):
        read_onnx(framed(7, nodes + nodes))
    packed = framed(7, framed(5, framed(1, b"\x01" * (MOST_FIELDS + 1))))
    with pytest.raises(ModelFolderError, match="more than 250000 fields"):
        read_onnx(packed)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ModelProto has no graph"),
        (framed(7, b"") * 2, "ModelProto has field 7 twice"),
        (framed(7, b"") + framed(20, b""), "ModelProto has a field 20 of wire type 2"),
        (tag(7, 0) + b"\x00", "ModelProto has a field 7 of wire type 0"),
        (tag(7, 3), "ModelProto has a field 7 of wire type 3"),
        (tag(0, 2) + b"\x00", "ModelProto has a field 0 of wire type 2"),
        (tag(7, 2) + varint(9) + b"1234", "ModelProto ends 5 bytes too early"),
        (tag(1, 0) + b"\x80", "ends inside of a number"),
        (tag(1, 0) + b"\x80" * 10 + b"\x01", "a number has more than 64 bits"),
        (tag(1, 0) + b"\xff" * 9 + b"\x02", "a number has more than 64 bits"),
        (framed(7, framed(1, framed(4, b"x" * 5000))), "a name has 5000 bytes, the limit is 4096"),
        (framed(7, framed(1, framed(4, b"\xff"))), "a name is no UTF-8"),
        (framed(7, framed(5, tag(1, 0) + varint(2**63))), "tensor '' has 1 dimensions, or one below 0"),
        (framed(7, framed(5, framed(1, b"\x01" * 33))), "tensor '' has 33 dimensions"),
        (framed(7, framed(5, framed(3, b""))), "TensorProto has a field 3 of wire type 2"),
    ],
)
def test_damage_is_named(data: bytes, why: str) -> None:
    with pytest.raises(ModelFolderError, match=why):
        read_onnx(data)


def test_dimensions_are_read_packed_or_not() -> None:
    packed = framed(7, framed(5, framed(1, varint(300) + varint(5))))
    single = framed(7, framed(5, tag(1, 0) + varint(300) + tag(1, 0) + varint(5)))
    assert read_onnx(packed).tensors[0].dims == read_onnx(single).tensors[0].dims == (300, 5)


def test_a_value_that_is_no_tensor_or_has_no_shape_is_told() -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    bare = onnx.ValueInfoProto(name="bare")
    shapeless = helper.make_tensor_value_info("shapeless", TensorProto.FLOAT, None)
    graph = helper.make_graph([], "g", [sequence, bare, shapeless], [])
    found = read_onnx(helper.make_model(graph).SerializeToString())
    assert found.inputs == (
        OnnxValue("s", None, None),
        OnnxValue("bare", None, None),
        OnnxValue("shapeless", TensorProto.FLOAT, None),
    )


def test_constants_and_sparse_tensors_are_counted() -> None:
    dense = helper.make_tensor("values", TensorProto.FLOAT, [2], [1.0, 2.0])
    places = helper.make_tensor("places", TensorProto.INT64, [2], [3, 7])
    sparse = helper.make_sparse_tensor(dense, places, [100])
    constants = [
        helper.make_node("Constant", [], ["a"], value=dense),
        helper.make_node("Constant", [], ["b"], sparse_value=sparse),
    ]
    graph = helper.make_graph(constants, "g", [], [])
    graph.sparse_initializer.append(sparse)
    found = read_onnx(helper.make_model(graph).SerializeToString())
    assert [tensor.name for tensor in found.tensors] == ["values", "values", "places", "values", "places"]
