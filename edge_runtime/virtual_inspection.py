"""A virtual inspection behind the valves: it tells the truth about a share of the pieces, through the board's link.

Like a real one it misjudges some and is unsure about others. Knows lanes, ticks and classes; nothing of models.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from edge_runtime.schemas import Lane
from edge_runtime.virtual_belt import BeltObject
from edge_runtime.virtual_pieces import Landing
from firmware_bridge.messages import Verdict, VerdictSource

__all__ = ["InspectionTraits", "VirtualInspection", "lane_of"]

_SURE_255 = 255
_DOUBTFUL_255 = 96
_U32 = 0xFFFFFFFF


class InspectionTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good the inspection is.

    Attributes:
        share: share 0..1 of pieces that it looks at.
        wrong_share: share 0..1 of its verdicts that name another class than the true one.
        doubtful_share: share 0..1 of its verdicts that it gives with low confidence.
        strayed_share: share 0..1 of pieces that reach it one lane further: a verdict finds no object then, or another.
    """

    share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.2
    wrong_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    doubtful_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    strayed_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0


def lane_of(centre_mm: float, lanes: Sequence[Lane]) -> int | None:
    """Return the index of the first lane whose strip holds `centre_mm`, None where there is none.

    >>> lane_of(7.0, (Lane(8, 0.0, 5.0), Lane(9, 5.0, 10.0)))
    1
    """
    return next((i for i, lane in enumerate(lanes) if lane.from_mm <= centre_mm < lane.to_mm), None)


class VirtualInspection:
    """Verdicts on landed pieces.

    Args:
        traits: how good it is.
        lanes: of the machine; a verdict names the index of the piece's lane.
        class_names: a verdict names the index of the class.
        pixel_mm: scale of the pieces' places.
        rng: of what it looks at, misjudges and doubts.
    """

    def __init__(
        self,
        traits: InspectionTraits,
        lanes: Sequence[Lane],
        class_names: Sequence[str],
        *,
        pixel_mm: float,
        rng: np.random.Generator,
    ) -> None:
        self._traits = traits
        self._lanes = tuple(lanes)
        self._class_names = tuple(class_names)
        self._pixel_mm = pixel_mm
        self._rng = rng

    def judge(self, landing: Landing) -> list[Verdict]:
        """Return the verdicts on these pieces, in their order; a piece outside every lane gets none."""
        verdicts = []
        draws = self._rng.random((len(landing.pieces), 3))
        strays = self._strays(len(landing.pieces))
        rows = zip(landing.pieces, landing.is_thrown.tolist(), landing.inspection_ticks.tolist(), draws, strict=True)
        for (piece, is_thrown, tick, (look, wrong, doubt)), has_strayed in zip(rows, strays, strict=True):
            lane = lane_of(piece.centre_px * self._pixel_mm, self._lanes)
            if lane is None or look >= self._traits.share:
                continue
            if has_strayed:
                lane = (lane + 1) % len(self._lanes)
            verdicts.append(
                Verdict(
                    object_id=lane,
                    class_id=self._class_id(piece, is_wrong=bool(wrong < self._traits.wrong_share)),
                    confidence_255=_DOUBTFUL_255 if doubt < self._traits.doubtful_share else _SURE_255,
                    source=VerdictSource.INSPECTION_REJECT if is_thrown else VerdictSource.INSPECTION_ACCEPT,
                    tick=tick & _U32,
                )
            )
        return verdicts

    def _strays(self, count: int) -> list[bool]:
        """Return which pieces have changed their lane; nothing is drawn where none may."""
        share = self._traits.strayed_share
        return (self._rng.random(count) < share).tolist() if share > 0 else [False] * count

    def _class_id(self, piece: BeltObject, *, is_wrong: bool) -> int:
        true_id = self._class_names.index(piece.kind)
        if not is_wrong or len(self._class_names) < 2:
            return true_id
        return (true_id + 1 + int(self._rng.integers(len(self._class_names) - 1))) % len(self._class_names)
