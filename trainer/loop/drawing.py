"""The draw of a run: what the settings ask for, from where the run stands."""

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray
from torch import nn

from trainer.draw.chance import content_keys
from trainer.draw.draw_round import DrawPool, DrawRules, RoundKnowledge, draw_round
from trainer.draw.registry import selector_named
from trainer.draw.selector import Selector
from trainer.draw.sizes import DrawSizes, default_m
from trainer.draw.sorted_norms import SortedNorms
from trainer.loop.state import LoopState
from trainer.settings import DrawSettings, RunSettings
from trainer.train.network_choice import network_features

__all__ = ["Drawing"]


class Drawing:
    """Draws one round after another.

    Args:
        state: of the run, at its beginning.
        settings: of the run.

    Raises:
        SettingsError: there is no such selector, or the sizes do not fit together.
    """

    def __init__(self, state: LoopState, settings: RunSettings) -> None:
        table, asked = state.table, settings.draw
        classes = np.unique(table.class_ids[state.pool]).size
        m = settings.m or default_m(int(state.pool.sum()), classes)
        self.sizes = DrawSizes.of(m, asked.above)
        self.selector = selector_named(asked.selector)
        self._state = state
        self._settings = settings
        self._pool = DrawPool(table.class_ids, table.norms_q16, table.classes, content_keys(table.ids))
        self._sorted: SortedNorms | None = None
        if _is_plain(asked):
            self._sorted = SortedNorms(table.class_ids, table.norms_q16, len(table.classes))
            self._free = np.ones(len(table), np.bool_)

    def draw(self, network: nn.Module | None, may_be_drawn: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the rows of the next round, class after class; none when nothing is left.

        Args:
            network: of the last round, for selectors that look at features; None in the first.
            may_be_drawn: (N,) bool, rows whose labels are not in doubt.

        Raises:
            SettingsError: the draw is strict and a side of a class's mean has too few samples.
        """
        if self._settings.take_new:
            return np.zeros(0, np.int64)
        state, number = self._state, len(self._state.records) + 1
        sizes = DrawSizes.of(ceil(self.sizes.m * self._settings.draw.growth ** (number - 1)), self._settings.draw.above)
        candidates = state.residual & may_be_drawn
        if self._sorted is not None:
            return self._draw_around_means(self._sorted, candidates, sizes)
        known = RoundKnowledge(
            number=number,
            pool=state.pool,
            training=state.training,
            scores=state.scores,
            features=_features_of(network, state.table.pixels),
            right=state.right,
            errors=state.errors,
        )
        return draw_round(self._pool, candidates, self._rules(self.selector, sizes), known)

    def _draw_around_means(
        self, norms: SortedNorms, candidates: NDArray[np.bool_], sizes: DrawSizes
    ) -> NDArray[np.int64]:
        norms.remove(np.flatnonzero(self._free & ~candidates))
        norms.restore(np.flatnonzero(candidates & ~self._free))
        self._free = candidates
        drawn = [norms.draw(class_id, sizes) for class_id in range(len(self._pool.classes))]
        return np.concatenate([np.zeros(0, np.int64), *drawn])

    def _rules(self, selector: Selector, sizes: DrawSizes) -> DrawRules:
        asked = self._settings.draw
        return DrawRules(
            selector=selector,
            sizes=sizes,
            quota=asked.quota,
            seed=self._settings.seed,
            is_strict=asked.strict,
            has_strata=asked.strata == "auto",
            is_initial_mean=asked.mean == "initial",
        )


def _is_plain(asked: DrawSettings) -> bool:
    """Return whether the draw is the patent's own, which needs no look at all candidates."""
    others = (asked.quota != "equal", asked.strict, asked.mean != "current", asked.strata != "off")
    return asked.selector == "norm_nearest" and not any(others)


def _features_of(
    network: nn.Module | None, pixels: NDArray[np.uint8]
) -> Callable[[NDArray[np.int64]], NDArray[np.float32]] | None:
    return None if network is None else lambda rows: network_features(network, pixels[rows])
