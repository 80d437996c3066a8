"""Shows and gives up records of a spool: the driver of `residual_view`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import unpack_crop
from edge_runtime.errors import StorageError
from edge_runtime.images import as_bgr
from edge_runtime.reports import PurgeReport, ShownRecord, ShowReport
from edge_runtime.residual import ResidualRecord
from edge_runtime.residual_view import Wanted, contact_sheet, suspicion
from edge_runtime.spool import Spool
from edge_runtime.storage import write_atomic

__all__ = ["Showing", "purge", "show"]

_COLUMNS: Final = 10
_ID_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Showing:
    """What is to be shown.

    Attributes:
        wanted: which records.
        id_prefix: first digits of their ids, "" for any.
        most: so many at most.
        folder: where their crops go, None for nowhere.
    """

    wanted: Wanted
    id_prefix: str = ""
    most: int = 100
    folder: Path | None = None


def show(spool: Spool, showing: Showing) -> ShowReport:
    """Return records, those in which the model contradicts most surely first, and write their crops.

    Raises:
        StorageError: the spool cannot be read, or the folder cannot be written.
        CropError: a crop is damaged.
    """
    found = 0
    shown: list[ResidualRecord] = []
    for record in spool.records():
        if record.id.startswith(showing.id_prefix) and showing.wanted.has(record.header):
            found += 1
            shown.append(record)
            if len(shown) > 2 * showing.most:  # a spool may be larger than the memory
                shown = _first(shown, showing.most)
    shown = _first(shown, showing.most)
    files = [] if showing.folder is None or not shown else _write(showing.folder, shown)
    records = tuple(ShownRecord(record.id, record.header) for record in shown)
    return ShowReport(found, records, tuple(str(path) for path in files))


def purge(spool: Spool, wanted: Wanted, *, is_meant: bool) -> PurgeReport:
    """Give up records, or only count them.

    Args:
        spool: open.
        wanted: which records.
        is_meant: whether they go.

    Raises:
        StorageError: the spool cannot be read or written.
    """
    ids = [record.id for record in spool.records() if wanted.has(record.header)]
    purged = spool.purge(ids) if is_meant else 0
    return PurgeReport(len(ids), purged, spool.counts())


def _first(records: list[ResidualRecord], most: int) -> list[ResidualRecord]:
    return sorted(records, key=lambda record: (-suspicion(record.header), record.id))[:most]


def _write(folder: Path, records: list[ResidualRecord]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}") from error
    crops = [unpack_crop(one.blob, one.header.side_px, one.header.channels)[0] for one in records]
    names = [f"{record.id[:_ID_DIGITS]}.png" for record in records]
    for name, crop in zip(names, crops, strict=True):
        write_atomic(folder / name, _png(as_bgr(crop)))
    write_atomic(folder / "sheet.png", _png(contact_sheet(crops, columns=_COLUMNS)))
    return [*(folder / name for name in names), folder / "sheet.png"]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
