"""A list that a program wrote and a person filled in with any table program: CSV text to rows.

>>> FilledRow("list.csv, line 2", ("unnamed-01", "stone")).values
('unnamed-01', 'stone')
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.storage import read_bytes
from trainer.errors import SettingsError

__all__ = ["FilledRow", "read_filled_list"]


@dataclass(frozen=True, slots=True)
class FilledRow:
    """One line: its place for messages, and the text of the columns asked for, without spaces around it."""

    place: str
    values: tuple[str, ...]


def read_filled_list(path: Path, needed: Sequence[str], *, whole: Sequence[str]) -> list[FilledRow]:
    """Return the lines of a list.

    Args:
        path: CSV in UTF-8, first line names the columns.
        needed: columns to return, in this order.
        whole: all columns that the program wrote, for the message.

    Raises:
        SettingsError: the file is no UTF-8 text, or lacks a column.
        StorageError: the file cannot be read.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")  # table programs write a mark in front
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is no UTF-8 text: save the list as CSV (UTF-8)") from error
    rows = csv.DictReader(io.StringIO(text))
    missing = [name for name in needed if name not in (rows.fieldnames or ())]
    if missing:
        raise SettingsError(f"{path} has no column {', '.join(missing)}: it needs {','.join(whole)}")
    return [
        FilledRow(f"{path}, line {number}", tuple((row[name] or "").strip() for name in needed))
        for number, row in enumerate(rows, start=2)
    ]
