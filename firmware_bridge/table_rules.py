"""Rules between the fields of a message: a small language, written out as Python and as C with the same meaning.

A rule compares sums, differences and masks of fields and numbers. Nothing of it is ever run as it is read.

>>> rule_as_python("1 <= ((to_evid - from_evid) & 0xFFFFFFFF) <= 1024", "x")
'1 <= ((x.to_evid - x.from_evid) & 0xFFFFFFFF) <= 1024'
>>> rule_as_c("proto_min <= proto_max", "m")
'(int64_t)m->proto_min <= (int64_t)m->proto_max'
"""

import ast
import re
from collections.abc import Collection, Iterator
from typing import Final

__all__ = ["check_rule", "rule_as_c", "rule_as_python"]

_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_OPERATIONS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
_NAME: Final = re.compile(r"(?<!\w)(?!(?:len|in)\b)[A-Za-z_]\w*")  # not hexadecimal digits
_ALLOWED: Final = (ast.Expression, ast.Compare, ast.BinOp, ast.Name, ast.Load, *_COMPARISONS, *_OPERATIONS)


def check_rule(rule: str, fields: Collection[str]) -> str | None:
    """Return what is wrong with `rule`, or None.

    Args:
        rule: the text of the table.
        fields: names of the fields it may speak about: integers of at most 32 bits, so that 64 hold every result.
    """
    try:
        tree = ast.parse(rule, mode="eval")
    except SyntaxError as exc:
        return f"no expression: {exc.msg}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in fields:
            return f"{node.id} is no field that a rule may use"
        if isinstance(node, ast.Constant) and type(node.value) is int:
            if not 0 <= node.value < 2**32:
                return f"{node.value} is longer than 32 bits"
        elif not isinstance(node, _ALLOWED):
            return f"{type(node).__name__} is not allowed in a rule"
    return None if isinstance(tree.body, ast.Compare) else "a rule is a comparison"


def rule_as_python(rule: str, subject: str) -> str:
    """Return a checked rule as an expression about `subject`'s attributes."""
    return _NAME.sub(rf"{subject}.\g<0>", rule)


def rule_as_c(rule: str, pointer: str) -> str:
    """Return a checked rule as a C condition about `pointer`'s members, in 64 bits as Python would count."""
    comparison = ast.parse(rule, mode="eval").body
    assert isinstance(comparison, ast.Compare)
    sides = [_c_value(side, pointer) for side in (comparison.left, *comparison.comparators)]
    signs = [_COMPARISONS[type(sign)] for sign in comparison.ops]
    return " && ".join(_pairs(sides, signs))


def _pairs(sides: list[str], signs: list[str]) -> Iterator[str]:
    for left, sign, right in zip(sides[:-1], signs, sides[1:], strict=True):
        yield f"{left} {sign} {right}"


def _c_value(node: ast.expr, pointer: str) -> str:
    if isinstance(node, ast.Name):
        return f"(int64_t){pointer}->{node.id}"
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return f"{node.value}" if node.value < 2**31 else f"INT64_C({node.value})"
    assert isinstance(node, ast.BinOp)
    text = f"{_c_value(node.left, pointer)} {_OPERATIONS[type(node.op)]} {_c_value(node.right, pointer)}"
    return f"({text})"
