"""What our reader and onnx say about the same file, in a form that can be compared."""

from collections.abc import Iterable

import onnx

from edge_runtime.onnx_reader import read_onnx

__all__ = ["Facts", "facts_by_onnx", "facts_by_reader"]

# Operators, number of functions, names and sizes of initializers of the main graph, names of inputs and outputs.
Facts = tuple[set[tuple[str, str]], int, set[tuple[str, tuple[int, ...]]], list[str], list[str]]


def facts_by_reader(data: bytes) -> Facts:
    """Return the facts by our reader; of the tensors, those that onnx counts as initializers of the main graph."""
    found = read_onnx(data)
    named = {tensor.name for tensor in onnx.ModelProto.FromString(data).graph.initializer}
    return (
        set(found.operators),
        found.functions,
        {(tensor.name, tensor.dims) for tensor in found.tensors if tensor.name in named},
        [value.name for value in found.inputs],
        [value.name for value in found.outputs],
    )


def facts_by_onnx(data: bytes) -> Facts:
    """Return the facts by onnx."""
    model = onnx.ModelProto.FromString(data)
    operators = _operators(model.graph.node)
    for function in model.functions:
        operators |= _operators(function.node)
    return (
        operators,
        len(model.functions),
        {(tensor.name, tuple(tensor.dims)) for tensor in model.graph.initializer},
        [value.name for value in model.graph.input],
        [value.name for value in model.graph.output],
    )


def _operators(nodes: Iterable[onnx.NodeProto]) -> set[tuple[str, str]]:
    found = set()
    for node in nodes:
        found.add((node.domain, node.op_type))
        for attribute in node.attribute:
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                found |= _operators(graph.node)
    return found
