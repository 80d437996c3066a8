"""Every small change to a Python module, one at a time, for mutation.py. Runs nothing.

A comparison is moved by one or turned round, a number is one more or less, and so on (`_replacements`). Annotations,
decorators, docstrings, messages for people and the values of plain Enums, which nobody sees, stay as they are.

>>> for mutant in mutants_of("def f(a: int) -> bool:\\n    return a < 3\\n"):
...     print(mutant.text)
return a < 3 -> return None
return a < 3 -> return a <= 3
return a < 3 -> return a >= 3
return a < 3 -> return a < 4
return a < 3 -> return a < 2
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Mutant", "mutants_of"]

_SHOWN: Final = 110  # characters of the code around a change


@dataclass(frozen=True, slots=True)
class Mutant:
    """The source of a file with one change."""

    line: int
    scope: str  # class and function it is in
    text: str  # code around the change: before -> after
    source: str


@dataclass(frozen=True, slots=True)
class _Place:
    parent: ast.AST
    field: str
    index: int | None

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_NAMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


def mutants_of(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found: dict[str, Mutant] = {}
    for place, node in _places(tree):
        for other in _replacements(node):
            at = node if isinstance(node, ast.stmt | ast.expr) else place.parent  # operators are shared objects
            line = getattr(at, "lineno", 0)
            shown = _shown(at, parents)
            before = _unparse(shown)
            place.put(other)
            after = _unparse(other if shown is node else shown)
            mutated = ast.unparse(tree)
            place.put(node)
            found.setdefault(mutated, Mutant(line, _scope(at, parents), f"{before} -> {after}", mutated))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _places(node: ast.AST) -> Iterator[tuple[_Place, ast.AST]]:
    """Yield what may be changed: no annotation, decorator, docstring, text for people, nor the number of an Enum."""
    for field, value in ast.iter_fields(node):
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        if field in {"annotation", "returns", "decorator_list", "keywords"} and not isinstance(node, ast.Call):
            continue
        for index, child in children:
            if isinstance(child, ast.AST) and not _is_left_out(child):
                yield _Place(node, field, index), child
                yield from _places(child)


def _is_left_out(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Expr(value=ast.Constant()) | ast.ImportFrom() | ast.Import():
            return True
        case ast.ClassDef(bases=[ast.Name(id="Enum")]):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Subscript(value=ast.Name(id=name)):  # the type in an alias
            return name[0].isupper() or name in {"tuple", "list", "dict", "deque"}
    return False


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.cmpop():
            yield from (other() for other in _COMPARISONS[type(node)])
        case ast.operator() if type(node) in _OPERATORS:
            yield _OPERATORS[type(node)]()
        case ast.And():
            yield ast.Or()
        case ast.Or():
            yield ast.And()
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as flag):
            yield ast.Constant(not flag)
        case ast.Constant(value=int() as number):
            yield from (ast.Constant(number + 1), ast.Constant(number - 1))
        case ast.Constant(value=bytes() as data) if data:
            yield ast.Constant(bytes((data[0] ^ 1,)) + data[1:])
        case ast.Name(id=name) if name in _NAMES:
            yield ast.Name(_NAMES[name])
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.comprehension(target=target, iter=items, ifs=[_, *_], is_async=is_async):
            yield ast.comprehension(target, items, [], is_async)
        case ast.stmt():
            yield from _other_statements(node)


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Return(value=value) if value is not None and not _is_none_or_false(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple(), *_]):
            yield ast.Pass()
        case ast.AnnAssign(target=ast.Attribute()):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.If(test=test, body=body, orelse=orelse) if not isinstance(test, ast.Compare):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)


def _is_none_or_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in {None, False}


def _shown(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.AST:
    """Return the code around the change: as much as is readable, at most its statement."""
    while not isinstance(node, ast.stmt):
        parent = parents[node]
        is_code = isinstance(node, ast.expr | ast.keyword)
        if is_code and (isinstance(parent, ast.arguments) or len(_unparse(parent)) > _SHOWN):
            break
        node = parent
    return node


def _unparse(node: ast.AST) -> str:
    text = ast.unparse(node)
    if isinstance(node, ast.If | ast.For | ast.While | ast.FunctionDef | ast.With | ast.Try | ast.ClassDef):
        return text.splitlines()[0]
    return " ".join(text.split())


def _scope(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    names = []
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
    return ".".join(reversed(names)) or "module"
