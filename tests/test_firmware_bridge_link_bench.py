"""The bench: every figure is there, nothing fires, and a dead line ends it."""

import pytest
from cli_runs import board_on_pty, run
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.errors import LinkTimeoutError
from firmware_bridge.histogram import RttClass, histogram, histogram_rows
from firmware_bridge.link_bench import LineBench, codec_figures
from firmware_bridge.messages import BoardState
from firmware_bridge.native_build import is_native_available
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.virtual_board import VirtualBoard


def test_the_codec_is_measured_in_python_and_where_possible_in_c() -> None:
    figures = list(codec_figures(SystemClock(), for_s=0.01))
    assert all(figure.value > 1000 for figure in figures)
    assert sum("Python" in figure.name for figure in figures) == 4
    assert sum(", C" in figure.name for figure in figures) == (3 if is_native_available() else 0)


def test_a_line_is_measured_without_firing() -> None:
    clock, board = SystemClock(), VirtualBoard()
    figures = LineBench(BoardTransport(board, clock), clock).run(pings=10, flood_s=0.05)
    assert all(figure.value > 0 for figure in figures.rows)
    assert sum(one.count for one in figures.histogram) == 10
    assert figures.lost == 0
    assert board.fired == []
    assert board.state is BoardState.IDLE


def test_a_line_that_nobody_answers_on_ends_it() -> None:
    clock = ManualClock()
    near, _ = memory_pair(clock)
    with pytest.raises(LinkTimeoutError, match="no answer to HELLO"):
        LineBench(near, clock).run(pings=1, flood_s=0.1)


def test_what_is_lost_is_counted_and_the_flood_goes_on() -> None:
    clock = SystemClock()

    class Lossy(BoardTransport):
        has_lost = False

        def write(self, data: bytes) -> None:
            if len(data) > 500 and not self.has_lost:  # only the flood writes so much at once
                self.has_lost = True
                return
            super().write(data)

    figures = LineBench(Lossy(VirtualBoard(), clock), clock).run(pings=2, flood_s=0.3)
    assert figures.lost > 0
    assert all(figure.value > 0 for figure in figures.rows)


def test_the_table_of_a_line_has_its_histogram(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard()) as path:
        code, out, _ = run(capsys, "bench", "--port", path, "--for-s", "0.1", "--pings", "20")
    assert code == 0
    assert "requests and answers" in out
    assert "round trips\n" in out


@given(st.lists(st.integers(0, 10**9)))
def test_a_histogram_loses_no_round_trip(rtts_ns: list[int]) -> None:
    classes = histogram(rtts_ns)
    assert sum(one.count for one in classes) == len(rtts_ns)
    assert len(histogram_rows(classes)) == len(classes)


def test_a_class_contains_its_upper_limit() -> None:
    assert histogram([1_000_000]) == (RttClass(1.0, 1),)
    assert histogram([1_000_001]) == (RttClass(2.0, 1),)
    assert histogram([32_000_001]) == (RttClass(None, 1),)
