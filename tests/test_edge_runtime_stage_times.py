"""Every nanosecond between two calls belongs to one stage, and the table adds up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.stage_times import STAGES, StageWatch
from firmware_bridge.clock import ManualClock

FRAMES = st.lists(st.dictionaries(st.sampled_from([*STAGES, "polish"]), st.integers(0, 10**9), min_size=1), min_size=1)


@given(FRAMES)
def test_shares_are_of_all_time_and_medians_of_all_frames(frames: list[dict[str, int]]) -> None:
    clock = ManualClock()
    watch = StageWatch(clock)
    for frame in frames:
        clock.advance_ns(77)  # nobody's
        watch.start()
        for stage, spent_ns in frame.items():
            clock.advance_ns(spent_ns)
            watch.done(stage)
        watch.end_frame()
    total_ns = sum(sum(frame.values()) for frame in frames)
    for time in watch.times():
        spent = sorted(frame.get(time.stage, 0) for frame in frames)
        assert time.share == pytest.approx(sum(spent) / max(1, total_ns))
        assert spent[0] / 1000 <= time.median_us <= time.p99_us <= spent[-1] / 1000 + 1e-6
    assert {time.stage for time in watch.times()} == {stage for frame in frames for stage in frame}


def test_stages_stand_in_the_order_of_the_data_and_strange_ones_after_them() -> None:
    watch = StageWatch(ManualClock())
    for stage in ("polish", *reversed(STAGES)):
        watch.done(stage)
    watch.end_frame()
    assert [time.stage for time in watch.times()] == [*STAGES, "polish"]


def test_no_frame_no_table() -> None:
    watch = StageWatch(ManualClock())
    watch.done("read")  # of a frame that never ended
    assert watch.times() == ()
