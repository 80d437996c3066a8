"""What an ONNX file holds, read from its bytes without onnx: operators, tensors, inputs and outputs.

It judges nothing (that is `graph_rules`), builds no graph and knows no runtime. Stricter than protobuf: a field that
this reader does not know, a wrong wire type or a single field that comes twice is damage, so that no other reader can
see in a file what this one did not. Time and memory are bounded on any bytes: every field counts against one budget,
nested graphs against a depth, and weights are never copied.

>>> read_onnx(b"")
Traceback (most recent call last):
edge_runtime.errors.ModelFolderError: the ONNX file of 0 bytes is damaged: ModelProto has no graph
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Final

import msgspec

from edge_runtime.errors import ModelFolderError

__all__ = ["MOST_DEPTH", "MOST_FIELDS", "OnnxSummary", "OnnxTensor", "OnnxValue", "read_onnx"]

MOST_FIELDS: Final = 250_000  # the largest network of the trainer has some 1500; read in well under two seconds
MOST_DEPTH: Final = 16  # graphs inside of attributes of nodes of graphs
_MOST_TEXT_B: Final = 4096  # names; longer ones are no names
_MOST_RANK: Final = 32
_VARINT_B: Final = 10
_INSIDE: Final = 0  # TensorProto.DataLocation

# Kinds of fields by the wire types that they may have.
_INTEGER: Final = frozenset({0})
_BYTES: Final = frozenset({2})
_FLOAT: Final = frozenset({5})
_INTEGERS: Final = frozenset({0, 2})  # one a field, or packed
_FLOATS: Final = frozenset({5, 2})
_DOUBLES: Final = frozenset({1, 2})


class OnnxTensor(msgspec.Struct, frozen=True):
    """A tensor stored in the file.

    Attributes:
        name: as the graph calls it.
        dims: its shape.
        stored_b: bytes of values in the file.
    """

    name: str
    dims: tuple[int, ...]
    stored_b: int

    @property
    def values(self) -> int:
        """Return how many values the shape claims."""
        return prod(self.dims)


class OnnxValue(msgspec.Struct, frozen=True):
    """A declared input or output.

    Attributes:
        name: as callers use it.
        element_type: number of TensorProto.DataType; None where it is no tensor.
        shape: None for a size that is left open; None instead of a tuple where nothing is declared.
    """

    name: str
    element_type: int | None
    shape: tuple[int | None, ...] | None


class OnnxSummary(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        operators: (domain, op_type) of every node, those of subgraphs and local functions included.
        nodes: how many there are.
        subgraphs: graphs inside of attributes.
        functions: local functions.
        tensors: initializers and constants of all graphs, in the order of the file.
        is_external: a tensor has its values in another file.
        inputs, outputs: of the main graph.
    """

    operators: frozenset[tuple[str, str]]
    nodes: int
    subgraphs: int
    functions: int
    tensors: tuple[OnnxTensor, ...]
    is_external: bool
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]


class _DamageError(Exception):
    """What is wrong; told as ModelFolderError with the file's size."""


class _Message(msgspec.Struct, frozen=True):
    """Fields of a protobuf message: those that come once, and those that may repeat, with their wire types."""

    name: str
    once: dict[int, frozenset[int]]
    many: dict[int, frozenset[int]]


# onnx.proto, field by field. Left out, and so refused: training, several devices, tensors in segments.
_MODEL: Final = _Message(
    "ModelProto",
    {1: _INTEGER, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _INTEGER, 6: _BYTES, 7: _BYTES},
    {8: _BYTES, 14: _BYTES, 25: _BYTES},
)
_GRAPH: Final = _Message(
    "GraphProto",
    {2: _BYTES, 10: _BYTES},
    dict.fromkeys((1, 5, 11, 12, 13, 14, 15, 16), _BYTES),
)
_NODE: Final = _Message(
    "NodeProto",
    dict.fromkeys((3, 4, 6, 7, 8), _BYTES),
    dict.fromkeys((1, 2, 5, 9), _BYTES),
)
_FUNCTION: Final = _Message(
    "FunctionProto",
    dict.fromkeys((1, 8, 10, 13), _BYTES),
    dict.fromkeys((4, 5, 6, 7, 9, 11, 12, 14), _BYTES),
)
_ATTRIBUTE: Final = _Message(
    "AttributeProto",
    {2: _FLOAT, 3: _INTEGER, 20: _INTEGER} | dict.fromkeys((1, 4, 5, 6, 13, 14, 21, 22), _BYTES),
    {7: _FLOATS, 8: _INTEGERS} | dict.fromkeys((9, 10, 11, 15, 23), _BYTES),
)
_TENSOR: Final = _Message(
    "TensorProto",
    {2: _INTEGER, 8: _BYTES, 9: _BYTES, 12: _BYTES, 14: _INTEGER},
    {1: _INTEGERS, 4: _FLOATS, 5: _INTEGERS, 6: _BYTES, 7: _INTEGERS, 10: _DOUBLES, 11: _INTEGERS}
    | {13: _BYTES, 16: _BYTES},
)
_SPARSE_TENSOR: Final = _Message("SparseTensorProto", {1: _BYTES, 2: _BYTES}, {3: _INTEGERS})
_VALUE: Final = _Message("ValueInfoProto", {1: _BYTES, 2: _BYTES, 3: _BYTES}, {4: _BYTES})
_TYPE: Final = _Message("TypeProto", dict.fromkeys((1, 4, 5, 6, 7, 8, 9), _BYTES), {})
_TENSOR_TYPE: Final = _Message("TypeProto.Tensor", {1: _INTEGER, 2: _BYTES}, {})
_SHAPE: Final = _Message("TensorShapeProto", {}, {1: _BYTES})
_DIMENSION: Final = _Message("TensorShapeProto.Dimension", {1: _INTEGER, 2: _BYTES, 3: _BYTES}, {})
_TENSOR_DATA: Final = (4, 5, 6, 7, 9, 10, 11)
_FIXED_B: Final = {1: 8, 5: 4}


def read_onnx(data: bytes) -> OnnxSummary:
    """Read what an ONNX file holds.

    Args:
        data: the whole file; any bytes.

    Raises:
        ModelFolderError: it is no ONNX file, is cut off or damaged, has more than 250,000 fields or graphs nested
            deeper than 16, or uses fields of ONNX that no exporter of ours writes.

    Note:
        At most some two seconds and 100 MB beside the data, on any bytes.
    """
    try:
        return _Reader().read(memoryview(data))
    except _DamageError as error:
        raise ModelFolderError(f"the ONNX file of {len(data)} bytes is damaged: {error}") from error


class _Fields(msgspec.Struct):
    """The fields of one message: integers, or views on bytes; fixed 32 and 64 bits stay bytes."""

    integers: dict[int, list[int]] = msgspec.field(default_factory=dict)
    views: dict[int, list[memoryview]] = msgspec.field(default_factory=dict)

    def view(self, number: int) -> memoryview | None:
        return self.views[number][0] if number in self.views else None

    def text(self, number: int) -> str:
        """Return a text, "" where the field is absent.

        Raises:
            _DamageError: it is too long for a name, or no UTF-8.
        """
        raw = self.view(number)
        if raw is None:
            return ""
        if len(raw) > _MOST_TEXT_B:
            raise _DamageError(f"a name has {len(raw)} bytes, the limit is {_MOST_TEXT_B}")
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError as error:
            raise _DamageError(f"a name is no UTF-8: {error}") from error


class _Reader(msgspec.Struct):
    """One walk over a file; counts what it meets."""

    fields_left: int = MOST_FIELDS
    nodes: int = 0
    subgraphs: int = 0
    is_external: bool = False
    operators: set[tuple[str, str]] = msgspec.field(default_factory=set)
    tensors: list[OnnxTensor] = msgspec.field(default_factory=list)

    def read(self, data: memoryview) -> OnnxSummary:
        """Return what a file holds.

        Raises:
            _DamageError: it is damaged, or larger or deeper than any model of ours.
        """
        model = self._fields(data, _MODEL)
        graph = model.view(7)
        if graph is None:
            raise _DamageError("ModelProto has no graph")
        inputs, outputs = self._graph(graph, 0)
        functions = model.views.get(25, [])
        for function in functions:
            found = self._fields(function, _FUNCTION)
            self._each(found, 7, lambda node: self._node(node, 0))
            self._each(found, 11, lambda attribute: self._attribute(attribute, 0))
        return OnnxSummary(
            operators=frozenset(self.operators),
            nodes=self.nodes,
            subgraphs=self.subgraphs,
            functions=len(functions),
            tensors=tuple(self.tensors),
            is_external=self.is_external,
            inputs=inputs,
            outputs=outputs,
        )

    def _graph(self, data: memoryview, depth: int) -> tuple[tuple[OnnxValue, ...], tuple[OnnxValue, ...]]:
        """Count a graph in; return its inputs and outputs."""
        if depth > MOST_DEPTH:
            raise _DamageError(f"graphs are nested deeper than {MOST_DEPTH}")
        graph = self._fields(data, _GRAPH)
        self._each(graph, 1, lambda node: self._node(node, depth))
        self._each(graph, 5, self._tensor)
        self._each(graph, 15, self._sparse_tensor)
        self._each(graph, 13, self._value)
        inputs, outputs = (tuple(map(self._value, graph.views.get(number, []))) for number in (11, 12))
        return inputs, outputs

    def _node(self, data: memoryview, depth: int) -> None:
        node = self._fields(data, _NODE)
        self.nodes += 1
        self.operators.add((node.text(7), node.text(4)))
        self._each(node, 5, lambda attribute: self._attribute(attribute, depth))

    def _attribute(self, data: memoryview, depth: int) -> None:
        attribute = self._fields(data, _ATTRIBUTE)
        for number in (5, 10):
            self._each(attribute, number, self._tensor)
        for number in (22, 23):
            self._each(attribute, number, self._sparse_tensor)
        for number in (6, 11):
            for graph in attribute.views.get(number, []):
                self.subgraphs += 1
                self._graph(graph, depth + 1)

    def _tensor(self, data: memoryview) -> None:
        tensor = self._fields(data, _TENSOR)
        self.is_external |= 13 in tensor.views or tensor.integers.get(14, [_INSIDE]) != [_INSIDE]
        dims = tensor.integers.get(1, []) + [
            size for packed in tensor.views.get(1, []) for size in self._packed(packed)
        ]
        if len(dims) > _MOST_RANK or any(size >> 63 for size in dims):
            raise _DamageError(f"tensor {tensor.text(8)!r} has {len(dims)} dimensions, or one below 0")
        stored_b = sum(len(view) for number in _TENSOR_DATA for view in tensor.views.get(number, []))
        stored_b += sum(len(tensor.integers.get(number, [])) for number in _TENSOR_DATA)  # a byte each at least
        self.tensors.append(OnnxTensor(tensor.text(8), tuple(dims), stored_b))

    def _sparse_tensor(self, data: memoryview) -> None:
        sparse = self._fields(data, _SPARSE_TENSOR)
        for number in (1, 2):
            self._each(sparse, number, self._tensor)

    def _value(self, data: memoryview) -> OnnxValue:
        value = self._fields(data, _VALUE)
        raw = value.view(2)
        kind = _Fields() if raw is None else self._fields(raw, _TYPE)
        raw = kind.view(1)
        if raw is None or set(kind.views) - {1, 6}:
            return OnnxValue(value.text(1), None, None)
        tensor = self._fields(raw, _TENSOR_TYPE)
        raw = tensor.view(2)
        sizes = None if raw is None else self._fields(raw, _SHAPE).views.get(1, [])
        shape = None if sizes is None else tuple(map(self._dimension, sizes))
        return OnnxValue(value.text(1), tensor.integers.get(1, [0])[0], shape)

    def _dimension(self, data: memoryview) -> int | None:
        """Return a size, None where it is left open; one that is both a number and a name is open."""
        dimension = self._fields(data, _DIMENSION)
        return None if 2 in dimension.views else dimension.integers.get(1, [None])[0]

    def _each(self, fields: _Fields, number: int, read: Callable[[memoryview], object]) -> None:
        for view in fields.views.get(number, []):
            read(view)

    def _fields(self, data: memoryview, message: _Message) -> _Fields:
        """Return the fields of a message, after every check that needs no meaning."""
        found = _Fields()
        at = 0
        while at < len(data):
            self._spend()
            tag, at = _varint(data, at)
            number, wire = tag >> 3, tag & 7
            kinds = message.once.get(number) or message.many.get(number)
            if kinds is None or wire not in kinds:
                raise _DamageError(f"{message.name} has a field {number} of wire type {wire}")
            if number in message.once and (number in found.integers or number in found.views):
                raise _DamageError(f"{message.name} has field {number} twice")
            if wire == 0:
                value, at = _varint(data, at)
                found.integers.setdefault(number, []).append(value)
                continue
            size, at = _varint(data, at) if wire == 2 else (_FIXED_B[wire], at)
            if size > len(data) - at:
                raise _DamageError(f"{message.name} ends {size - (len(data) - at)} bytes too early")
            found.views.setdefault(number, []).append(data[at : at + size])
            at += size
        return found

    def _packed(self, data: memoryview) -> Iterator[int]:
        at = 0
        while at < len(data):
            self._spend()
            value, at = _varint(data, at)
            yield value

    def _spend(self) -> None:
        self.fields_left -= 1
        if self.fields_left < 0:
            raise _DamageError(f"it has more than {MOST_FIELDS} fields")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the integer that begins at `at`, 0 to 2**64 - 1, and where it ends."""
    value = 0
    for shift in range(_VARINT_B):
        if at >= len(data):
            raise _DamageError("it ends inside of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise _DamageError("a number has more than 64 bits")
