"""A session that scores nothing and takes as long as the script says."""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.scorer import Scorer
from firmware_bridge.clock import ManualClock

__all__ = ["ScriptedScorer"]


class ScriptedScorer:
    """Moves a clock by `crop_ns` for each crop; scores come from `inner`, or are a third each.

    Args:
        clock: to move.
        crop_ns: time of a crop.
        name: for `order`.
        order: gets the name at every call.
        inner: what scores.
    """

    def __init__(
        self,
        clock: ManualClock,
        *,
        crop_ns: int,
        name: str = "",
        order: list[str] | None = None,
        inner: Scorer | None = None,
    ) -> None:
        self._clock = clock
        self._crop_ns = crop_ns
        self._name = name
        self._order = [] if order is None else order
        self._inner = inner

    def scores(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._clock.advance_ns(self._crop_ns * len(crops))
        self._order.append(self._name)
        return np.full((len(crops), 3), 1 / 3, np.float32) if self._inner is None else self._inner.scores(crops)
