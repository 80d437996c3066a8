"""Every graph that the trainer writes is allowed; what nobody of ours writes is refused before a runtime sees it."""

from typing import get_args

import numpy as np
import onnx
import pytest
from bad_models import DECEITFUL, FORBIDDEN, make_graph_onnx
from onnx_facts import facts_by_onnx, facts_by_reader
from own_network import Pooled, Unnamed
from tiny_model import TINY_CROP, make_onnx

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError
from edge_runtime.graph_rules import ALLOWED_OPERATORS, MOST_NODES, check_graph
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate, WholeNetwork
from trainer.export.quantise import Quantiser
from trainer.train.network import NetworkSize, make_network

SIZES: tuple[NetworkSize, ...] = get_args(NetworkSize)


def crops_of(side_px: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (40, side_px, side_px, 3), dtype=np.uint8)


def folded(size: NetworkSize, side_px: int) -> bytes:
    network = FoldedNetwork(make_network(size, 3, 3, seed=0).eval(), 1.0)
    return OnnxTemplate(size, CropSpec(side_px=side_px), 3).fill(network)


@pytest.mark.parametrize(("size", "side_px"), [*((size, 16) for size in SIZES), ("small", 18)])
def test_what_the_trainer_exports_is_allowed_and_read_as_onnx_reads_it(size: NetworkSize, side_px: int) -> None:
    """FP32; INT8 with and without pixels in groups of four; INT8 with convolutions left in floating point."""
    fp32 = folded(size, side_px)
    quantiser = Quantiser(fp32, crops_of(side_px))
    excluded = ((), quantiser.convolutions[:1], quantiser.convolutions[-1:])
    files = (fp32, *(quantiser.quantise(names) for names in excluded))
    for model in files:
        assert check_graph(model, CropSpec(side_px=side_px), 3, name="model").subgraphs == 0
        assert facts_by_reader(model) == facts_by_onnx(model)


@pytest.mark.parametrize("own", [Pooled, Unnamed])
def test_plain_networks_of_ones_own_are_allowed(own: type[Pooled] | type[Unnamed]) -> None:
    network = WholeNetwork(own(3, 3).eval(), 1.0, 3)
    model = OnnxTemplate("own", CropSpec(side_px=16), 3).fill(network)
    assert check_graph(model, CropSpec(side_px=16), 3, name="model").subgraphs == 0
    assert facts_by_reader(model) == facts_by_onnx(model)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_is_not_on_the_list_is_refused_and_named(what: str) -> None:
    make, why = FORBIDDEN[what]
    with pytest.raises(ModelFolderError, match=f"model.onnx {why}"):
        check_graph(make(), TINY_CROP, 3, name="model.onnx")


@pytest.mark.parametrize("what", DECEITFUL)
def test_what_a_graph_does_not_tell_is_left_to_the_gate(what: str) -> None:
    """These are refused when they run, in a process of their own; tests of the gate prove it."""
    assert check_graph(DECEITFUL[what][0](), TINY_CROP, 3, name="model.onnx").nodes > 0


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (make_onnx(side_px=16), r"takes 'crops' \(None, 16, 16, 3\): uint8 crops of \(n, 32, 32, 3\) are expected"),
        (make_onnx(input_name="images"), r"takes 'images' \(None, 32, 32, 3\)"),
        (make_onnx(classes=2), r"gives 'scores' \(None, 2\): float scores of \(n, 3\) are expected"),
        (make_onnx()[:-9], "the ONNX file of .* bytes is damaged"),
        (b"no model", "the ONNX file of 8 bytes is damaged"),
    ],
    ids=["side", "name", "classes", "end", "text"],
)
def test_what_does_not_take_crops_and_give_scores_is_refused(model: bytes, why: str) -> None:
    with pytest.raises(ModelFolderError, match=why):
        check_graph(model, TINY_CROP, 3, name="model.onnx")


def test_too_many_nodes_are_refused() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["x"])
    with pytest.raises(ModelFolderError, match="has 10001 nodes, the limit is 10000"):
        check_graph(make_graph_onnx([node] * (MOST_NODES + 1), {}), TINY_CROP, 3, name="model.onnx")


def test_no_operator_that_holds_graphs_is_on_the_list() -> None:
    schemas = onnx.defs.get_all_schemas()
    holding = {
        schema.name
        for schema in schemas
        for attribute in schema.attributes.values()
        if attribute.type in {onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS}
    }
    assert {"If", "Loop", "Scan"} <= holding
    assert holding.isdisjoint(ALLOWED_OPERATORS)
    assert {schema.name for schema in schemas} >= ALLOWED_OPERATORS
