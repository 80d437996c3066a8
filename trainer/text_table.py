"""Tables for a terminal."""

from collections.abc import Sequence

__all__ = ["table_text"]


def table_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with columns as wide as they must be: the first to the left, the others to the right.

    >>> print(table_text(("class", "n"), [("stone", "12")]))
    class   n
    stone  12
    """
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(_width(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = ((" " * (width - _width(cell)), cell) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([first[1] + first[0], *(space + cell for space, cell in others)]).rstrip()


def _width(text: str) -> int:
    """Return the columns a text takes on a terminal: a CJK character takes two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in text)
