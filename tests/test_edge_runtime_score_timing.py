"""Sessions are timed in turn; what a clock says decides, how coarse it ticks does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_scorer import ScriptedScorer

from edge_runtime.errors import ModelFolderError
from edge_runtime.score_timing import medians_us
from edge_runtime.scorer import spread_rows
from firmware_bridge.clock import ManualClock

CROPS = np.zeros((4, 8, 8, 1), np.uint8)


class TickingClock(ManualClock):
    """A clock that shows time in steps of `tick_ns`."""

    def __init__(self, tick_ns: int) -> None:
        super().__init__()
        self._tick_ns = tick_ns

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() // self._tick_ns * self._tick_ns


def test_each_session_gets_its_own_median() -> None:
    clock = ManualClock()
    scorers = [ScriptedScorer(clock, crop_ns=ns) for ns in (2_000, 50_000, 30_000_000)]
    assert medians_us(scorers, CROPS, clock) == pytest.approx([2.0, 50.0, 30_000.0])


def test_sessions_take_turns() -> None:
    clock, order = ManualClock(), list[str]()
    slow = [ScriptedScorer(clock, crop_ns=10**9, name=name, order=order) for name in ("a", "b")]
    medians_us(slow, CROPS, clock)
    assert "".join(order) == "ab" * 10  # the first of each is the round that finds how often to pass


@given(st.integers(200_000, 10**9))
def test_ticks_of_a_hundredth_of_a_second_do_not_matter(crop_ns: int) -> None:
    clock = TickingClock(10_000_000)
    (median,) = medians_us([ScriptedScorer(clock, crop_ns=crop_ns)], CROPS, clock)
    assert median == pytest.approx(crop_ns / 1000, rel=0.13)


def test_a_clock_that_stands_still_ends_too() -> None:
    clock = ManualClock()
    assert medians_us([ScriptedScorer(clock, crop_ns=0)], CROPS, clock) == [0.0]


def test_without_crops_nothing_is_timed() -> None:
    with pytest.raises(ModelFolderError, match="there are no golden crops"):
        medians_us([ScriptedScorer(ManualClock(), crop_ns=1)], CROPS[:0], ManualClock())


@given(st.integers(0, 300), st.integers(1, 80))
def test_rows_are_spread_evenly_in_order(count: int, most: int) -> None:
    rows: NDArray[np.int64] = spread_rows(np.arange(count), most)
    assert len(rows) == min(count, most)
    steps = np.diff(rows)
    assert not len(steps) or 1 <= steps.min() <= steps.max() <= steps.min() + 1
