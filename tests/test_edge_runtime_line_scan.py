"""Steps do not depend on how the stream was cut, and each object belongs to exactly one of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import FrameError
from edge_runtime.flat_field import FlatField
from edge_runtime.line_scan import Block, Lines, LineScan, View, join

SCANS = st.builds(LineScan, st.integers(1, 40), st.integers(1, 6), st.integers(1, 50))
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=20)


def numbered_lines(first_line: int, count: int) -> NDArray[np.uint8]:
    """Lines whose pixels tell their absolute number."""
    lines = np.arange(first_line, first_line + count)
    return np.stack([lines % 251, lines // 251, lines * 0], axis=1).astype(np.uint8)[:, None]  # (H, 1, 3)


def add(tail: Lines | None, first_line: int, pixels: NDArray[np.uint8]) -> Lines:
    return join(tail, Block(first_line, pixels), None, pad_px=2)


def views_of(scan: LineScan, first_line: int, heights: list[int]) -> list[View]:
    views: list[View] = []
    tail: Lines | None = None
    for height in heights:
        start = first_line if tail is None else tail.end_line
        lines = add(tail, start, numbered_lines(start, height))
        views += scan.views(lines, start)
        tail = scan.tail(lines)
    assert tail is not None
    return views + scan.views(tail, tail.end_line, is_last=True)


def pixels_of(view: View) -> NDArray[np.uint8]:
    return view.lines.canvas.pixels


@given(SCANS, st.integers(0, 200), CUTS)
def test_any_cut_gives_the_views_of_the_uncut_scene(scan: LineScan, first_line: int, heights: list[int]) -> None:
    whole = views_of(scan, first_line, [sum(heights)])
    cut = views_of(scan, first_line, heights)
    by_line = views_of(scan, first_line, [1] * sum(heights))

    for views in (cut, by_line):
        assert [(v.lines.first_line, v.owned_from, v.owned_to) for v in views] == [
            (v.lines.first_line, v.owned_from, v.owned_to) for v in whole
        ]
        assert all(np.array_equal(pixels_of(a), pixels_of(b)) for a, b in zip(views, whole, strict=True))


@given(SCANS, st.integers(0, 200), CUTS)
def test_every_line_is_owned_once(scan: LineScan, first_line: int, heights: list[int]) -> None:
    views = views_of(scan, first_line, heights)
    owned = [line for view in views for line in range(view.owned_from, view.owned_to)]
    assert owned == list(range(first_line, first_line + sum(heights)))


@given(SCANS, st.integers(0, 200), CUTS)
def test_longest_object_is_seen_whole_with_its_guard(scan: LineScan, first_line: int, heights: list[int]) -> None:
    end_line = first_line + sum(heights)
    for view in views_of(scan, first_line, heights):
        for last_row in range(view.owned_from, view.owned_to):
            first_row = last_row - scan.max_object_lines + 1
            assert view.lines.first_line <= max(first_line, first_row - scan.guard_px)
            assert view.lines.end_line >= min(end_line, last_row + scan.guard_px + 1)


@given(SCANS, st.integers(0, 200), CUTS)
def test_views_hold_the_lines_that_they_name(scan: LineScan, first_line: int, heights: list[int]) -> None:
    for view in views_of(scan, first_line, heights):
        assert np.array_equal(pixels_of(view), numbered_lines(view.lines.first_line, len(view.lines)))


@given(SCANS, CUTS)
def test_tail_is_bounded(scan: LineScan, heights: list[int]) -> None:
    tail = None
    for height in heights:
        start = 0 if tail is None else tail.end_line
        tail = scan.tail(add(tail, start, numbered_lines(start, height)))
        assert len(tail) < scan.max_object_lines + 2 * scan.guard_px + scan.step_lines


def test_missing_lines_are_refused() -> None:
    tail = LineScan(8, 2).tail(add(None, 5, numbered_lines(5, 3)))
    with pytest.raises(FrameError, match="block starts at line 9, line 8 is expected"):
        add(tail, 9, numbered_lines(9, 1))


def test_another_width_is_refused() -> None:
    tail = LineScan(8, 2).tail(add(None, 0, np.zeros((3, 4, 3), np.uint8)))
    with pytest.raises(FrameError, match="the width changed"):
        add(tail, 3, np.zeros((3, 5, 3), np.uint8))


def test_each_line_is_corrected_once() -> None:
    field = FlatField(np.full((1, 4, 3), 10, np.uint8), np.full((1, 4, 3), 2.0, np.float32))
    scan, tail = LineScan(8, 2, 16), None
    for start in range(0, 40, 5):
        lines = join(tail, Block(start, np.full((5, 4, 3), 60, np.uint8)), field, pad_px=2)
        tail = scan.tail(lines)
        assert (lines.canvas.pixels == 100).all()
