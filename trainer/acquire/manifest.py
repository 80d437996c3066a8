r"""manifest.csv: what a person states about the files of a source.

A table with the columns `file` and `class`, and if wanted `split`, `group` and `sha256`; further columns are ignored.
Knows text only: whether the files exist is the business of `trainer.acquire.sources`.

>>> rows = parse_manifest("file,class,split\na/1.jpg,rice,val\n", "manifest.csv")
>>> rows["a/1.jpg"].split
'validation'
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from trainer.acquire.containers import safe_name
from trainer.errors import ImportFailedError

__all__ = ["MANIFEST_NAME", "SPLIT_NAMES", "ManifestRow", "decode_manifest", "groups_on_both_sides", "parse_manifest"]

MANIFEST_NAME: Final = "manifest.csv"
SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row.

    Attributes:
        file: path relative to the manifest, "/" between parts.
        class_name: the label.
        split: "train", "validation" or "test"; None if the row does not say.
        group: what belongs together; None if the row does not say.
        sha256: of the file's bytes, 64 hexadecimal digits; None if the row does not say.
    """

    file: str
    class_name: str
    split: str | None
    group: str | None
    sha256: str | None


def decode_manifest(data: bytes, name: str) -> dict[str, ManifestRow]:
    """Return the rows of a manifest by file, from UTF-8 bytes with or without a byte order mark.

    Raises:
        ImportFailedError: not UTF-8, or wrong in the sense of `parse_manifest`.
    """
    try:
        return parse_manifest(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise ImportFailedError(f"{name} is not UTF-8 text: save it as CSV UTF-8 ({error})") from error


def parse_manifest(text: str, name: str) -> dict[str, ManifestRow]:
    """Return the rows of a manifest by file.

    Args:
        text: comma-separated table with a header line.
        name: what to call it in messages.

    Raises:
        ImportFailedError: a missing column, an incomplete or repeated row, a path that leads outside, an unknown
            split or a hash of another length; the message has the line.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: dict[str, ManifestRow] = {}
    try:
        missing = {"file", "class"} - set(reader.fieldnames or ())
        if missing:
            raise ImportFailedError(
                f"{name} has no column {' and no column '.join(sorted(missing))}: the first line must name the columns "
                f"file and class, separated by commas; found {reader.fieldnames or 'nothing'}"
            )
        for cells in reader:
            row = _parse_row(cells, f"{name} line {reader.line_num}")
            if row.file in rows:
                raise ImportFailedError(f"{name} line {reader.line_num}: {row.file} is listed twice: keep one row")
            rows[row.file] = row
    except csv.Error as error:
        raise ImportFailedError(f"{name} line {reader.reader.line_num}: {error}") from error
    return rows


def groups_on_both_sides(rows: Iterable[ManifestRow]) -> frozenset[str]:
    """Return the groups that have rows in "test" and rows outside it: they would make the test too easy."""
    sides: dict[str, set[bool]] = defaultdict(set)
    for row in rows:
        if row.group is not None and row.split is not None:
            sides[row.group].add(row.split == "test")
    return frozenset(group for group, seen in sides.items() if len(seen) == 2)


def _parse_row(cells: Mapping[str, str | None], where: str) -> ManifestRow:
    file, class_name = (cells["file"] or "").strip(), (cells["class"] or "").strip()
    if not file or not class_name:
        raise ImportFailedError(f"{where}: file and class must not be empty")
    path = safe_name(file)
    if path is None:
        raise ImportFailedError(f"{where}: {file!r} leads outside of the manifest's folder: use a relative path with /")
    split = _cell(cells, "split")
    if split is not None and split.lower() not in SPLIT_NAMES:
        raise ImportFailedError(f"{where}: split {split!r} is unknown: use train, validation or test")
    sha256 = _cell(cells, "sha256")
    if sha256 is not None and not _SHA256.fullmatch(sha256.lower()):
        raise ImportFailedError(f"{where}: sha256 {sha256!r} is not 64 hexadecimal digits")
    return ManifestRow(
        path,
        class_name,
        None if split is None else SPLIT_NAMES[split.lower()],
        _cell(cells, "group"),
        None if sha256 is None else sha256.lower(),
    )


def _cell(cells: Mapping[str, str | None], column: str) -> str | None:
    return (cells.get(column) or "").strip() or None
