"""Recorded mistakes to look at: which ones are asked for, in which order, and their crops side by side. Pure.

It knows headers and pixels; nothing of spools, files or commands.

>>> contact_sheet([np.full((8, 8, 3), 200, np.uint8)] * 3, columns=2).shape
(18, 18, 3)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.images import as_bgr
from edge_runtime.residual import ResidualHeader, counted_class

__all__ = ["Kept", "Wanted", "contact_sheet", "kept_counts", "suspicion"]

_GAP_PX: Final = 1


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """How many records of one kind a spool holds: what quotas are counted by.

    Attributes:
        lot: name of the lot.
        source: of the truth.
        label: true class, or the decided one while nobody has named it.
        failure: what went wrong.
        count: records.
    """

    lot: str
    source: str
    label: str
    failure: str
    count: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are meant; what is None stands for all.

    Attributes:
        failure, source, lot: as in the header.
        label: true class, or the decided one while nobody has named it.
        before: recorded before this moment, with zone; records whose time cannot be read are never meant then.
    """

    failure: str | None = None
    source: str | None = None
    lot: str | None = None
    label: str | None = None
    before: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Wanted()

    def has(self, header: ResidualHeader) -> bool:
        """Return whether a record is meant."""
        found = (header.failure, header.truth.source, header.lot, counted_class(header))
        asked = (self.failure, self.source, self.lot, self.label)
        is_named = all(want is None or want == have for want, have in zip(asked, found, strict=True))
        return is_named and (self.before is None or _is_before(header.utc, self.before))


def suspicion(header: ResidualHeader) -> float:
    """Return how loudly the model contradicts the label: its best score, 0..1.

    Candidates of a teach lot with the highest are most probably no mistakes, but pieces that do not belong to the lot.
    """
    return max(header.scores, default=0.0)


def kept_counts(headers: Iterable[ResidualHeader]) -> tuple[Kept, ...]:
    """Return how many there are of each lot, source, class and failure, ascending."""
    keys = Counter((one.lot, one.truth.source, counted_class(one), one.failure) for one in headers)
    return tuple(sorted(Kept(*key, count) for key, count in keys.items()))


def contact_sheet(crops: Sequence[NDArray[np.uint8]], *, columns: int) -> NDArray[np.uint8]:
    """Return crops side by side in one picture, row by row.

    Args:
        crops: N > 0 crops (S, S, C) uint8, each of its own side and number of bands.
        columns: crops in a row, > 0.

    Returns:
        (H, W, 3) uint8, BGR; each crop in the upper left of a cell of the largest crop's size, black between them.
    """
    pictures = [as_bgr(crop) for crop in crops]
    cell = max(picture.shape[0] for picture in pictures) + _GAP_PX
    wide = min(columns, len(pictures))
    sheet = np.zeros((ceil(len(pictures) / wide) * cell, wide * cell, 3), np.uint8)
    for at, picture in enumerate(pictures):
        top, left = at // wide * cell, at % wide * cell
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _is_before(utc: str, moment: datetime) -> bool:
    try:
        when = datetime.fromisoformat(utc)
    except ValueError:
        return False
    return when.tzinfo is not None and when < moment
