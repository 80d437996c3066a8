"""Every frame is kept or refused for one reason, counts add up, and lines never go back."""

import itertools
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.cameras.frame_watch import Axis, FrameWatch, Kept, Refused, WatchCounts, WatchSettings

WIDTH, LINES = 16, 4
FRAME_MS = 4  # of four lines at 1000 a second
MS = 1_000_000
SETTINGS = WatchSettings(width_px=WIDTH, lines=LINES, bands=1, lines_s=1000.0, max_delay_ms=50.0, stall_frames=5)
BLANK: NDArray[np.uint8] = np.zeros((LINES, WIDTH, 1), np.uint8)


def frame(frame_id: int, at_ms: float, *, pixels: NDArray[np.uint8] = BLANK, is_complete: bool = True) -> CameraFrame:
    return CameraFrame(pixels, frame_id, round(at_ms * MS), is_complete)


def shown(watch: FrameWatch, frame_id: int, at_ms: float, *, delay_ms: float = FRAME_MS + 1.0) -> Kept | Refused:
    return watch.show(frame(frame_id, at_ms), round((at_ms + delay_ms) * MS))


Step = tuple[Literal["frame", "time_out", "vanish"], int, int, int, bool, bool]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "frame", "frame", "time_out", "vanish"]),
        st.one_of(st.integers(-2, 4), st.integers(-(10**6), 10**6), st.integers(-(2**40), 2**40)),  # step of the id
        st.one_of(st.integers(-8, 20), st.integers(-(10**4), 10**5)),  # of the exposure, in milliseconds
        st.integers(0, 60),  # of the time of arrival
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@dataclass
class Run:
    """What came of a camera's doings."""

    kept: list[tuple[Kept, CameraFrame]]
    refused: list[str]
    counts: WatchCounts


def run_of(steps: list[Step], settings: WatchSettings) -> Run:
    watch = FrameWatch(settings)
    run = Run([], [], watch.counts)
    frame_id, exposed_ms, now_ms = 100, 0, 0
    for kind, id_step, exposed_step, now_step, is_complete, is_whole in steps:
        now_ms += now_step
        if kind == "vanish":
            watch.vanish()
        elif kind == "time_out":
            watch.time_out(now_ms * MS)
        else:
            frame_id, exposed_ms = frame_id + id_step, exposed_ms + exposed_step
            pixels = BLANK if is_whole else BLANK[:-1]
            given_ = frame(frame_id, exposed_ms, pixels=pixels, is_complete=is_complete)
            verdict = watch.show(given_, now_ms * MS)
            if isinstance(verdict, Kept):
                run.kept.append((verdict, given_))
            else:
                run.refused.append(verdict.reason)
    run.counts = watch.counts
    return run


@given(STEPS, st.sampled_from([0.0, 1000.0]))
def test_every_frame_shown_is_kept_or_refused_for_one_reason(steps: list[Step], lines_s: float) -> None:
    run = run_of(steps, msgspec.structs.replace(SETTINGS, lines_s=lines_s))
    counts = msgspec.structs.asdict(run.counts)
    assert counts["shown"] == sum(1 for step in steps if step[0] == "frame")
    assert counts["kept"] == len(run.kept)
    reasons = ("repeated", "shape", "incomplete", "stale")
    assert {reason: counts[reason] for reason in reasons} == {r: run.refused.count(r) for r in reasons}
    assert counts["shown"] == counts["kept"] + sum(counts[reason] for reason in reasons)
    assert counts["gone"] - counts["returned"] in {0, 1}
    assert min(counts.values()) >= 0


@given(STEPS, st.sampled_from([0.0, 1000.0]))
def test_lines_and_exposures_of_kept_frames_never_go_back(steps: list[Step], lines_s: float) -> None:
    run = run_of(steps, msgspec.structs.replace(SETTINGS, lines_s=lines_s))
    for (earlier, _), (later, _) in itertools.pairwise(run.kept):
        assert later.first_line >= earlier.first_line + LINES
    for kept, seen in run.kept:
        assert seen.pixels.shape == (LINES, WIDTH, 1) and seen.is_complete
        assert kept.skipped >= 0


@given(STEPS)
def test_what_is_kept_depends_on_nothing_after_it(steps: list[Step]) -> None:
    half = len(steps) // 2
    assert (
        run_of(steps, SETTINGS).kept[: len(run_of(steps[:half], SETTINGS).kept)] == run_of(steps[:half], SETTINGS).kept
    )


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["good", "good", "incomplete", "shape", "stale"])), min_size=1
    )
)
def test_in_one_life_of_the_counter_lines_follow_ids_and_no_frame_is_unaccounted(
    steps: list[tuple[int, str]],
) -> None:
    watch, frame_id, first = FrameWatch(SETTINGS), 0, steps[0][0]
    for step, kind in steps:
        frame_id += step
        at_ms = frame_id * FRAME_MS
        pixels = BLANK[:, :-1] if kind == "shape" else BLANK
        delay_ms = 100 if kind == "stale" else 5
        shown_ = frame(frame_id, at_ms, pixels=pixels, is_complete=kind != "incomplete")
        verdict = watch.show(shown_, (at_ms + delay_ms) * MS)
        if kind == "good":
            assert isinstance(verdict, Kept)
            assert verdict.first_line == (frame_id - first) * LINES
        else:
            assert verdict == Refused(kind)  # type: ignore[arg-type]  # one of the reasons
    counts = watch.counts
    counted = frame_id - first + 1
    assert counted == counts.kept + counts.skipped + counts.incomplete + counts.shape + counts.stale
    assert (counts.repeated, counts.restarted) == (0, 0)


def test_the_first_frame_is_line_0_whatever_its_id() -> None:
    assert shown(FrameWatch(SETTINGS), 4711, 0.0) == Kept(0, 0)


def test_a_skipped_frame_leaves_a_gap_in_the_lines() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 1, 0.0)
    assert shown(watch, 4, 12.0) == Kept(3 * LINES, 2)
    assert watch.counts.skipped == 2


def test_frames_that_were_refused_are_not_called_skipped() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 1, 0.0)
    assert watch.show(frame(2, 4.0, is_complete=False), 9 * MS) == Refused("incomplete")
    assert shown(watch, 3, 8.0) == Kept(2 * LINES, 0)
    assert watch.counts.skipped == 0


@pytest.mark.parametrize(("frame_id", "at_ms"), [(5, 0.0), (5, 4.0), (6, 0.0), (6, -1.0), (4, 0.0), (4, -4.0)])
def test_an_id_or_a_stamp_that_is_not_new_is_repeated(frame_id: int, at_ms: float) -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 5, 0.0)
    assert shown(watch, frame_id, at_ms, delay_ms=10.0) == Refused("repeated")
    assert shown(watch, 6, 4.5) == Kept(LINES, 0)  # and moved nothing


@pytest.mark.parametrize(("late_ns", "is_kept"), [(0, True), (1, False)])
def test_stale_counts_from_the_exposure_of_the_last_line(late_ns: int, is_kept: bool) -> None:
    verdict = FrameWatch(SETTINGS).show(frame(1, 0.0), 54_000_000 + late_ns)
    assert verdict == (Kept(0, 0) if is_kept else Refused("stale"))


@pytest.mark.parametrize(("ahead_ns", "next_is_kept"), [(0, False), (1, True)])
def test_a_stamp_is_believed_up_to_the_delay_ahead(ahead_ns: int, next_is_kept: bool) -> None:
    watch = FrameWatch(SETTINGS)
    watch.show(CameraFrame(BLANK, 1, 60_000_000 + ahead_ns, True), 10_000_000)
    assert (watch.show(frame(2, 14.0), 19_000_000) == Refused("repeated")) == (not next_is_kept)


@pytest.mark.parametrize(("frames_ahead", "is_believed"), [(64 + 2 * 50, True), (64 + 2 * 50 + 1, False)])
def test_a_counter_is_believed_up_to_twice_the_pace_and_64_frames(frames_ahead: int, is_believed: bool) -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 10, 0.0)
    verdict = shown(watch, 10 + frames_ahead, 50 * FRAME_MS)
    assert verdict == (Kept(frames_ahead * LINES, frames_ahead - 1) if is_believed else Kept(50 * LINES, 0))
    assert watch.counts.restarted == (not is_believed)


def test_what_is_not_said_is_as_the_documentation_has_it() -> None:
    assert set(msgspec.structs.asdict(WatchCounts()).values()) == {0}
    settings = WatchSettings(width_px=16, lines=1, bands=3)
    assert (settings.lines_s, settings.max_delay_ms, settings.stall_frames) == (0.0, 200.0, 8)


def test_a_queue_of_old_buffers_after_a_pause_is_stale_and_the_lines_are_right_after_it() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 0, 0.0)
    for frame_id in (1, 2, 3):  # waited in the driver while nobody took them for a second
        assert shown(watch, frame_id, frame_id * FRAME_MS, delay_ms=1000.0) == Refused("stale")
    assert shown(watch, 255, 255 * FRAME_MS) == Kept(255 * LINES, 251)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((LINES + 1, WIDTH, 1), np.uint8),
        np.zeros((LINES, WIDTH + 1, 1), np.uint8),
        np.zeros((LINES, WIDTH, 3), np.uint8),
        np.zeros((LINES, WIDTH), np.uint8),
        np.zeros((LINES, WIDTH, 1), np.uint16),
    ],
    ids=lambda pixels: f"{pixels.dtype} {pixels.shape}",
)
def test_another_size_or_depth_is_refused(pixels: NDArray[np.uint8]) -> None:
    assert FrameWatch(SETTINGS).show(frame(1, 0.0, pixels=pixels), 5 * MS) == Refused("shape")


@pytest.mark.parametrize("back_to", [0, 99, 100 + 10**6])
def test_a_counter_that_begins_anew_or_jumps_is_placed_by_time(back_to: int) -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 100, 0.0)
    assert shown(watch, back_to, 40.0) == Kept(40, 0)  # 40 ms later, at a line a millisecond
    assert shown(watch, back_to + 1, 44.0) == Kept(44, 0)
    assert (watch.counts.restarted, watch.counts.skipped) == (1, 0)


def test_a_driver_that_held_frames_back_is_believed() -> None:
    """Stamps of arrival: four at once after a second's pause, then the gap that the pause left."""
    watch = FrameWatch(SETTINGS)
    for frame_id in range(250):
        shown(watch, frame_id, frame_id * FRAME_MS)
    for number in range(4):
        watch.show(frame(250 + number, 2000 + number * 0.01), 2_000_100_000)
    assert shown(watch, 500, 2004.0) == Kept(500 * LINES, 246)
    assert watch.counts.restarted == 0


def test_a_camera_that_returns_is_placed_by_time_though_its_counter_begins_anew() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 100, 0.0)
    watch.vanish()
    watch.vanish()  # opening failed once
    assert shown(watch, 0, 3000.0) == Kept(3000, 0)
    assert (watch.counts.gone, watch.counts.returned, watch.counts.restarted) == (1, 1, 0)


def test_a_camera_that_returns_with_the_same_id_is_not_repeated() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 0, 0.0)
    watch.vanish()
    assert shown(watch, 0, 100.0) == Kept(100, 0)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_belt_that_stood_leaves_no_lines_but_those_of_lost_frames(lost: int) -> None:
    """The encoder triggers the camera; some cameras lose the first frame after a pause."""
    watch = FrameWatch(SETTINGS)
    shown(watch, 1, 0.0)
    assert watch.time_out(60_000 * MS)
    assert shown(watch, 2 + lost, 60_001.0) == Kept((1 + lost) * LINES, lost)
    assert (watch.is_stalled, watch.counts.restarted) == (False, 0)


def test_without_a_line_rate_a_return_follows_directly() -> None:
    watch = FrameWatch(msgspec.structs.replace(SETTINGS, lines_s=0.0))
    shown(watch, 100, 0.0)
    watch.vanish()
    assert shown(watch, 0, 3000.0) == Kept(LINES, 0)


def test_a_new_watch_goes_on_where_another_saw_the_camera_last() -> None:
    watch = FrameWatch(SETTINGS, Axis(first_line=8000, exposed_ns=50 * MS))
    assert shown(watch, 3, 50.0) == Refused("repeated")
    assert shown(watch, 3, 90.0) == Kept(8040, 0)
    assert (watch.counts.gone, watch.counts.restarted) == (0, 0)


def test_a_stamp_from_the_future_does_not_make_the_next_frames_old() -> None:
    watch = FrameWatch(SETTINGS)
    assert watch.show(frame(1, 10**9), 5 * MS) == Kept(0, 0)
    assert shown(watch, 2, 9.0) == Kept(LINES, 0)


def test_a_camera_stalls_after_so_many_frame_times_and_each_time_is_counted_once() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 1, 0.0, delay_ms=5.0)
    assert [watch.time_out(at * MS) for at in (10, 25)] == [False, False]
    assert [watch.time_out(at * MS) for at in (26, 40, 60)] == [True, True, True]
    assert watch.counts.stalled == 1
    shown(watch, 2, 70.0)
    assert (watch.is_stalled, watch.time_out(80 * MS)) == (False, False)
    assert watch.time_out(200 * MS)
    assert watch.counts.stalled == 2


def test_a_camera_that_repeats_one_frame_for_ever_stalls() -> None:
    watch = FrameWatch(SETTINGS)
    for at_ms in range(0, 60, 4):
        watch.show(frame(1, 0.0), at_ms * MS)
    assert (watch.is_stalled, watch.counts.stalled) == (True, 1)


def test_a_camera_that_never_gave_a_frame_stalls() -> None:
    watch = FrameWatch(SETTINGS)
    assert [watch.time_out(at * MS) for at in (1000, 1020, 1021)] == [False, False, True]


def test_a_camera_that_is_gone_does_not_stall_and_has_its_time_anew_when_it_is_opened() -> None:
    watch = FrameWatch(SETTINGS)
    shown(watch, 1, 0.0)
    watch.vanish()
    assert not watch.time_out(10_000 * MS)
    assert watch.time_out(10_021 * MS)


def test_without_a_line_rate_nothing_stalls() -> None:
    watch = FrameWatch(msgspec.structs.replace(SETTINGS, lines_s=0.0))
    assert [watch.time_out(at * MS) for at in (0, 10**9)] == [False, False]
