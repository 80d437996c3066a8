"""The sheet from which a person names found sets: what is typical of each, and what hardly belongs to it."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import StorageError
from edge_runtime.storage import write_atomic
from trainer.acquire.classify import Classified
from trainer.pool.class_names import UNNAMED, provisional_name
from trainer.pool.naming import clusters_csv
from trainer.report.report_page import count_text, crop_uri, render_page, share_text
from trainer.report.strips import Crop, Strip
from trainer.report.texts import Language, Phrase, Say

__all__ = ["CLUSTERS_FILE", "CONTACT_SHEET", "write_contact_sheet"]

CONTACT_SHEET: Final = "contact_sheet.html"
CLUSTERS_FILE: Final = "clusters.csv"
_TYPICAL: Final = 18
_ODD: Final = 9


@dataclass(frozen=True, slots=True)
class _Set:
    """A found set: its provisional name, how many and what share, typical samples and the oddest ones."""

    name: str
    size: Phrase
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """Everything the template shows."""

    lead: Phrase
    sets: tuple[_Set, ...]
    command: str


def write_contact_sheet(found: Classified, pool: Path, folder: Path, language: Language = "en") -> Path:
    """Write the contact sheet, and beside it the list to fill in.

    Args:
        found: from `classify`.
        pool: its file, for the command on the page.
        folder: made if it does not exist; contact_sheet.html and clusters.csv in it are replaced.
        language: shown first; the page holds English and Simplified Chinese.

    Returns:
        The page.

    Raises:
        StorageError: the folder cannot be written.
    """
    numbers = sorted(set(found.clusters.ids.tolist()), key=lambda number: (number < 0, number))
    page = _Page(
        lead=Say.sheet_lead.filled(samples=count_text(len(found.table)), sets=sum(number >= 0 for number in numbers)),
        sets=tuple(_set_of(found, number) for number in numbers),
        command=shlex.join(("sortloop-train", "pool", "name", f"{pool}", f"{folder / CLUSTERS_FILE}", "--who", "NAME")),
    )
    path = folder / CONTACT_SHEET
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    write_atomic(folder / CLUSTERS_FILE, clusters_csv(found.report.sets).encode())
    write_atomic(path, render_page("contact_sheet.html.j2", page, language))
    return path


def _set_of(found: Classified, number: int) -> _Set:
    rows = np.flatnonzero(found.clusters.ids == number)
    nearest = rows[np.argsort(found.clusters.distances[rows], kind="stable")]
    odd = nearest[_TYPICAL:][::-1][:_ODD] if number >= 0 else nearest[:0]
    shown = (
        Say.sheet_typical if number >= 0 else Say.sheet_rest,
        nearest[:_TYPICAL],
        len(nearest) - _TYPICAL - len(odd),
    )
    strips = [_strip(found, *shown)]
    if len(odd):
        strips.append(_strip(found, Say.sheet_odd, odd, 0))
    name = provisional_name(number + 1) if number >= 0 else UNNAMED
    size = Say.sheet_size.filled(count=count_text(len(rows)), share=share_text(len(rows) / len(found.table)))
    return _Set(name, size, tuple(strips))


def _strip(found: Classified, heading: Phrase, rows: NDArray[np.int64], more: int) -> Strip:
    ids = found.table.ids
    crops = tuple(
        Crop(
            crop_uri(found.table.pixels[row]),
            Phrase(ids[row][:6], ids[row][:6]),
            f"{ids[row][:12]} {found.table.sources[row]}",
            "plain",
        )
        for row in rows.tolist()
    )
    return Strip(heading, crops, max(0, more))
