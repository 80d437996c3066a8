"""Charts are well-formed whatever comes in, and put every value where its scale says."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.report.svg import (
    Bar,
    Histogram,
    Line,
    Rug,
    Scale,
    bar_chart,
    count_axis,
    heat_map,
    histogram_chart,
    line_chart,
    ratio_axis,
)
from trainer.report.texts import Phrase

SVG: Final = "{http://www.w3.org/2000/svg}"
HOSTILE: Final = Phrase("<b>&\"'</b>", "<稻>&")
PLAIN: Final = Phrase("rice", "稻")
shares = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)
counts = st.lists(st.integers(0, 10**7), min_size=1, max_size=30)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def of_class(svg: str, tag: str, style: str) -> Iterator[ET.Element]:
    return (item for item in parse(svg).iter(f"{SVG}{tag}") if style in item.get("class", "").split())


def numbers(item: ET.Element, *names: str) -> tuple[float, ...]:
    return tuple(float(item.get(name, "nan")) for name in names)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(0.0, 1.0))
def test_a_scale_puts_its_ends_at_its_ends_and_shares_between(low: float, width: float, share: float) -> None:
    scale = Scale(low, low + width, 200.0, 20.0)
    assert scale.at(scale.low) == 200.0
    assert scale.at(scale.high) == pytest.approx(20.0)
    assert scale.at(low + share * (scale.high - low)) == pytest.approx(200.0 - 180.0 * share, abs=1e-6)


def test_a_scale_without_width_gives_the_middle() -> None:
    assert Scale(3.0, 3.0, 10.0, 20.0).at(3.0) == 15.0


@given(shares)
def test_a_ratio_axis_holds_all_values_within_0_and_1(values: list[float]) -> None:
    axis = ratio_axis(values)
    assert 0.0 <= axis.low < axis.high <= 1.0
    assert axis.low <= min(values) + 1e-9
    assert axis.high >= max(values) - 1e-9
    assert len({text for _, text in axis.ticks}) == len(axis.ticks) >= 2


@given(counts)
def test_a_count_axis_starts_at_0_and_holds_all_values(values: list[int]) -> None:
    axis = count_axis(values)
    assert axis.low == 0.0
    assert axis.high >= max(values)
    assert axis.ticks[0] == (0.0, "0")
    assert len(axis.ticks) <= 7


@given(shares)
def test_higher_values_lie_higher_and_later_rounds_further_right(values: list[float]) -> None:
    svg = line_chart(HOSTILE, [Line(HOSTILE, values, "accent", [0.01] * len(values))], ratio_axis(values), marked=1)
    dots = [numbers(dot, "cx", "cy") for dot in of_class(svg, "circle", "dot")]
    assert len(dots) == len(values)
    assert all(left[0] < right[0] for left, right in pairwise(dots))
    tops = [top for _, top in dots]
    assert all(tops[i] <= tops[j] for i, a in enumerate(values) for j, b in enumerate(values) if a > b)


def test_a_line_meets_the_grid_line_of_its_value() -> None:
    axis = count_axis([0, 400])
    svg = line_chart(PLAIN, [Line(PLAIN, [0, 200, 400], "accent")], axis, marked=2)
    grid = {numbers(line, "y1")[0] for line in of_class(svg, "line", "grid")}
    assert {numbers(dot, "cy")[0] for dot in of_class(svg, "circle", "dot")} <= grid
    marker = numbers(next(of_class(svg, "line", "marker")), "x1")
    assert marker == numbers(list(of_class(svg, "circle", "dot"))[1], "cx")


def test_the_band_is_as_high_as_the_error() -> None:
    svg = line_chart(PLAIN, [Line(PLAIN, [0.5, 0.5], "accent", [0.25, 0.25])], ratio_axis([0.0, 1.0]), marked=0)
    path = next(of_class(svg, "path", "band")).get("d", "")
    tops = {float(point.split()[1]) for point in path.strip("Mz").split("L")}
    (lowest, highest) = (max(tops), min(tops))
    whole = [numbers(line, "y1")[0] for line in of_class(svg, "line", "grid")]
    assert lowest - highest == pytest.approx((max(whole) - min(whole)) / 2)


def test_a_single_round_still_shows_its_error() -> None:
    svg = line_chart(PLAIN, [Line(PLAIN, [0.5], "accent", [0.1])], ratio_axis([0.4, 0.6]), marked=1)
    assert any("L" in path.get("d", "") for path in of_class(svg, "path", "line"))


def test_names_at_the_ends_of_lines_never_cover_each_other() -> None:
    lines = [Line(Phrase(f"class {at}", f"类 {at}"), [0.9, 0.9], f"c{at}") for at in range(8)]
    svg = line_chart(PLAIN, lines, ratio_axis([0.8, 1.0]), marked=0, is_named=True)
    tops = sorted(numbers(text, "y")[0] for at in range(8) for text in of_class(svg, "text", f"c{at}"))
    assert len(tops) == 8
    assert min(below - above for above, below in pairwise(tops)) >= 11.9


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=6))
def test_bars_are_as_long_as_their_values(values: list[float]) -> None:
    high = max(values)
    svg = bar_chart(HOSTILE, [Bar(HOSTILE, value, "<1>", "c0") for value in values], high=high)
    widths = [numbers(bar, "width")[0] for bar in of_class(svg, "rect", "bar")]
    assert widths == pytest.approx([220.0 * value / high if high else 0.0 for value in values], abs=0.051)


def test_a_heat_map_has_a_cell_for_every_pair_and_shows_its_share() -> None:
    cells = np.array([[90, 10], [0, 0]], np.int64)
    svg = heat_map(HOSTILE, [PLAIN, HOSTILE], cells)
    found = list(of_class(svg, "rect", "cell"))
    titles = [item.findtext(f"{SVG}title", "") for item in found]
    assert len(found) == 4
    assert titles[0].endswith("90 (90.0%)")
    assert titles[1].endswith("10 (10.0%)")
    assert numbers(found[0], "fill-opacity")[0] > numbers(found[1], "fill-opacity")[0] > 0.0
    assert [numbers(item, "fill-opacity")[0] for item in found[2:]] == [0.0, 0.0]
    assert [text.text for text in of_class(svg, "text", "count")] == ["90", "10"]


def test_a_heat_map_of_many_classes_stays_readable_and_well_formed() -> None:
    names = [Phrase(f"class {at}", f"类 {at}") for at in range(40)]
    svg = heat_map(PLAIN, names, np.ones((40, 40), np.int64))
    assert len(list(of_class(svg, "rect", "cell"))) == 1600
    assert list(of_class(svg, "text", "count")) == []


@given(counts, st.lists(st.floats(0.2, 0.8), max_size=20))
def test_a_histogram_marks_every_drawn_value_in_its_row(bins: list[int], values: list[float]) -> None:
    rugs = [Rug(1, values, []), Rug(2, [], values)]
    svg = histogram_chart(Histogram(HOSTILE, bins, 0.2, 0.8, 0.5, rugs))
    for style in ("above", "below"):
        marks = [path.get("d", "") for path in of_class(svg, "path", style)]
        assert sum(mark.count("M") for mark in marks) == len(values)
    tallest = next(of_class(svg, "text", "tick")).text
    assert tallest == str(max(*bins, 1))


def test_the_line_of_the_mean_lies_between_the_ends() -> None:
    svg = histogram_chart(Histogram(PLAIN, [1, 2, 1], 0.0, 1.0, 0.25, [Rug(1, [0.25], [])]))
    mean = numbers(next(of_class(svg, "line", "mean")), "x1")[0]
    axis = numbers(next(of_class(svg, "line", "axis")), "x1", "x2")
    assert mean == pytest.approx(axis[0] + 0.25 * (axis[1] - axis[0]), abs=0.051)
    assert f"M{mean:g} " in next(of_class(svg, "path", "above")).get("d", "")
