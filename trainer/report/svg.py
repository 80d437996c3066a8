"""Charts as SVG text, to stand inside a page: lines, bars, heat maps, histograms. Pure functions, no script, no files.

Colours are class names that the page's style sheet fills in, so that one chart serves light and dark. Whatever text
comes in leaves escaped.

>>> Scale(0.0, 10.0, 40.0, 240.0).at(5.0)
140.0
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from trainer.report.texts import Phrase

__all__ = [
    "Bar",
    "Histogram",
    "Line",
    "Rug",
    "Scale",
    "ValueAxis",
    "bar_chart",
    "count_axis",
    "heat_map",
    "histogram_chart",
    "line_chart",
    "ratio_axis",
]

_WIDTH_PX, _HEIGHT_PX = 380.0, 220.0
_LEFT_PX, _TOP_PX, _BOTTOM_PX, _RIGHT_PX = 46.0, 14.0, 184.0, 362.0
_LABELLED_RIGHT_PX = 288.0  # leaves room for names at the ends of the lines
_LABEL_GAP_PX = 12.0
_NUMBERED_CLASSES = 12  # more cells than that are too small for numbers


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to positions: `low` lies at `start_px`, `high` at `end_px`; equal ends give the middle."""

    low: float
    high: float
    start_px: float
    end_px: float

    def at(self, value: float) -> float:
        """Return the position of a value; values outside the ends stay on the line beyond them."""
        if self.high == self.low:
            return (self.start_px + self.end_px) / 2
        return self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px)


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """The vertical axis: its ends, and the values with a grid line and the text beside each."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        label: its name, shown at its end and as a tooltip.
        values: one for each x.
        style: colour class of the page: "c0".."c7", "accent", "muted".
        errors: half width of the band around each value; empty for none.
        is_dashed: a reference, drawn thin and without points.
    """

    label: Phrase
    values: Sequence[float]
    style: str
    errors: Sequence[float] = ()
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar: its name, value >= 0, the text at its end, and its colour class."""

    label: Phrase
    value: float
    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Rug:
    """One row of marks under a histogram.

    Attributes:
        number: left of the row.
        above, below: values to mark, in two colours.
    """

    number: int
    above: Sequence[float]
    below: Sequence[float]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts over equal bins, a line at one value, and rows of marks.

    Attributes:
        label: what it shows, for those who cannot see it.
        counts: of each bin.
        low, high: outer edges of the bins.
        middle: value with a vertical line.
        rugs: rows, the first on top.
    """

    label: Phrase
    counts: Sequence[int]
    low: float
    high: float
    middle: float
    rugs: Sequence[Rug]


def ratio_axis(values: Sequence[float]) -> ValueAxis:
    """Return an axis for shares in 0..1 that shows all values large: from a round value below the lowest to at most 1.

    Args:
        values: at least one.
    """
    lowest, highest = max(0.0, min(values)), min(1.0, max(values))
    step = _nice_step(max(highest - lowest, 0.02) / 5)
    low = max(0.0, floor(lowest / step + 1e-9) * step)
    high = min(1.0, ceil(highest / step - 1e-9) * step)
    if high <= low:
        low, high = max(0.0, low - step), min(1.0, high + step)
    return _axis(low, high, step, max(2, -floor(log10(step))))


def count_axis(values: Sequence[float]) -> ValueAxis:
    """Return an axis from 0 to a round value at or above the highest.

    Args:
        values: at least one, all >= 0.
    """
    step = max(1.0, _nice_step(max(*values, 1.0) / 5))
    return _axis(0.0, ceil(max(*values, 1.0) / step - 1e-9) * step, step, 0)


def line_chart(label: Phrase, lines: Sequence[Line], axis: ValueAxis, *, marked: int, is_named: bool = False) -> str:
    """Return lines over rounds 1..n.

    Args:
        label: what the chart shows.
        lines: all of the same length n >= 1.
        axis: from `ratio_axis` or `count_axis`.
        marked: number of the round whose points are emphasised, from 1; 0 for none.
        is_named: write each line's name at its end.
    """
    count = len(lines[0].values)
    x = Scale(1, count, _LEFT_PX + 8, (_LABELLED_RIGHT_PX if is_named else _RIGHT_PX) - 8)
    y = Scale(axis.low, axis.high, _BOTTOM_PX, _TOP_PX)
    parts = [_grid(axis, y, x.end_px + 8), _round_ticks(x, count)]
    parts += [_band(line, x, y) for line in lines if line.errors]
    if marked:
        place = _number(x.at(marked))
        parts.append(f'<line class="marker" x1="{place}" x2="{place}" y1="{_number(_TOP_PX)}" y2="{_BOTTOM_PX:.0f}"/>')
    parts += [_line(line, x, y, marked) for line in lines]
    if is_named:
        parts.append(_end_labels(lines, x, y))
    return _chart(label, _WIDTH_PX, _HEIGHT_PX, parts)


def bar_chart(label: Phrase, bars: Sequence[Bar], *, high: float) -> str:
    """Return horizontal bars from 0.

    Args:
        label: what the chart shows.
        bars: top to bottom.
        high: value whose bar is full; larger values are cut there.
    """
    x = Scale(0.0, high or 1.0, 96.0, 316.0)
    parts = []
    for row, bar in enumerate(bars):
        top_px = 6 + 30.0 * row
        width_px = x.at(min(max(bar.value, 0.0), high)) - x.start_px
        parts.append(
            f'<text class="name" x="88" y="{_number(top_px + 14)}" text-anchor="end">{bar.label.tspans()}</text>'
            f'<rect class="track" x="96" y="{_number(top_px)}" width="220" height="20" rx="3"/>'
            f'<rect class="bar {escape(bar.style)}" x="96" y="{_number(top_px)}" width="{_number(width_px)}"'
            f' height="20" rx="3"/><text x="322" y="{_number(top_px + 14)}">{escape(bar.text)}</text>'
        )
    return _chart(label, _WIDTH_PX, 2 + 30.0 * len(bars), parts)


def heat_map(
    label: Phrase,
    names: Sequence[Phrase],
    cells: NDArray[np.int64],
    anchors: Mapping[tuple[int, int], str] = MappingProxyType({}),
) -> str:
    """Return a confusion matrix: rows true, columns predicted, each cell as strong as its share of the row.

    Args:
        label: what the chart shows.
        names: K class names.
        cells: (K, K) int64 counts.
        anchors: where in the page a click on a cell (row, column) leads.
    """
    count = len(names)
    side_px = min(62.0, 440.0 / count)
    left_px = 8.0 + _name_room_px(names)
    top_px = 34.0 if count <= _NUMBERED_CLASSES else 8.0
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)  # (K, K)
    parts = []
    for row, name in enumerate(names):
        middle_px = top_px + (row + 0.5) * side_px
        parts.append(
            f'<text class="name" x="{_number(left_px - 8)}" y="{_number(middle_px + 4)}" text-anchor="end">'
            f"{name.tspans()}</text>"
        )
        for column, other in enumerate(names):
            corner = (left_px + column * side_px, top_px + row * side_px)
            title = f"{name.both()} → {other.both()}: {int(cells[row, column])} ({shares[row, column]:.1%})"
            cell = _cell(corner, side_px, (float(shares[row, column]), int(cells[row, column])), title, row == column)
            anchor = anchors.get((row, column))
            parts.append(cell if anchor is None else f'<a href="#{escape(anchor)}">{cell}</a>')
    if count <= _NUMBERED_CLASSES:
        parts += [
            f'<text class="name" x="{_number(left_px + (at + 0.5) * side_px)}" y="24" text-anchor="middle">'
            f"{_short(name, side_px).tspans()}</text>"
            for at, name in enumerate(names)
        ]
    return _chart(label, left_px + count * side_px + 4, top_px + count * side_px + 4, parts, style="chart heat")


def histogram_chart(histogram: Histogram) -> str:
    """Return a histogram with its rows of marks below."""
    x = Scale(histogram.low, histogram.high, 30.0, 372.0)
    base_px, row_px = 104.0, 12.0
    tallest = max(*histogram.counts, 1)
    y = Scale(0.0, float(tallest), base_px, 10.0)
    width_px = (x.end_px - x.start_px) / len(histogram.counts)
    bars = "".join(
        f"M{_number(x.start_px + at * width_px)} {_number(base_px)}V{_number(y.at(count))}h{_number(width_px)}"
        f"V{_number(base_px)}z"
        for at, count in enumerate(histogram.counts)
        if count
    )
    bottom_px = base_px + 8 + row_px * len(histogram.rugs)
    middle = _number(x.at(histogram.middle))
    parts = [
        f'<path class="pale" d="{bars}"/><line class="axis" x1="30" x2="372" y1="{base_px:.0f}" y2="{base_px:.0f}"/>',
        f'<line class="mean" x1="{middle}" x2="{middle}" y1="6" y2="{_number(bottom_px)}"/>',
        f'<text class="tick" x="26" y="18" text-anchor="end">{tallest}</text>',
    ]
    for row, rug in enumerate(histogram.rugs):
        parts.append(_rug(rug, x, base_px + 6 + row * row_px, len(histogram.rugs)))
    parts += [
        f'<text class="tick" x="{_number(x.at(value))}" y="{_number(bottom_px + 14)}" text-anchor="{anchor}">'
        f"{value:.2f}</text>"
        for value, anchor in ((histogram.low, "start"), (histogram.middle, "middle"), (histogram.high, "end"))
    ]
    return _chart(histogram.label, _WIDTH_PX, bottom_px + 20, parts)


def _chart(label: Phrase, width_px: float, height_px: float, parts: Sequence[str], style: str = "chart") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{style}" role="img" aria-label="{escape(label.both())}"'
        f' width="{_number(width_px)}" height="{_number(height_px)}"'
        f' viewBox="0 0 {_number(width_px)} {_number(height_px)}">{"".join(parts)}</svg>'
    )


def _number(value: float) -> str:
    """Return a coordinate with at most one decimal: enough for a screen, and the same on every computer."""
    return f"{value + 0.0:.1f}".removesuffix(".0")


def _nice_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


def _axis(low: float, high: float, step: float, decimals: int) -> ValueAxis:
    values = [low + at * step for at in range(round((high - low) / step) + 1)]
    return ValueAxis(low, high, tuple((value, f"{value:,.{decimals}f}") for value in values))


def _grid(axis: ValueAxis, y: Scale, right_px: float) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT_PX:.0f}" x2="{_number(right_px)}" y1="{_number(y.at(value))}"'
        f' y2="{_number(y.at(value))}"/><text class="tick" x="{_LEFT_PX - 6:.0f}" y="{_number(y.at(value) + 3.5)}"'
        f' text-anchor="end">{escape(text)}</text>'
        for value, text in axis.ticks
    )


def _round_ticks(x: Scale, count: int) -> str:
    step = max(1, int(_nice_step(count / 8)))
    numbers = [1, *range(step, count + 1, step)] if step > 1 else range(1, count + 1)
    return "".join(
        f'<text class="tick" x="{_number(x.at(number))}" y="{_BOTTOM_PX + 18:.0f}" text-anchor="middle">{number}</text>'
        for number in numbers
    )


def _band(line: Line, x: Scale, y: Scale) -> str:
    pairs = list(enumerate(zip(line.values, line.errors, strict=True), start=1))
    upper = [f"{_number(x.at(at))} {_number(y.at(min(value + error, y.high)))}" for at, (value, error) in pairs]
    lower = [f"{_number(x.at(at))} {_number(y.at(max(value - error, y.low)))}" for at, (value, error) in pairs]
    if len(pairs) == 1:  # a band of one round has no width: draw its height
        return f'<path class="line {escape(line.style)}" d="M{upper[0]}L{lower[0]}"/>'
    return f'<path class="band {escape(line.style)}" d="M{"L".join([*upper, *reversed(lower)])}z"/>'


def _line(line: Line, x: Scale, y: Scale, marked: int) -> str:
    points = [(x.at(at), y.at(value)) for at, value in enumerate(line.values, start=1)]
    way = "L".join(f"{_number(left)} {_number(top)}" for left, top in points)
    style = escape(line.style)
    if line.is_dashed:
        return f'<path class="line dashed {style}" d="M{way}"><title>{escape(line.label.both())}</title></path>'
    dots = "".join(
        f'<circle class="dot {style}" cx="{_number(left)}" cy="{_number(top)}" r="{4.5 if at == marked else 2.5}">'
        f"<title>{escape(line.label.both())} {at}: {line.values[at - 1]:.6g}</title></circle>"
        for at, (left, top) in enumerate(points, start=1)
    )
    return f'<path class="line {style}" d="M{way}"/>{dots}'


def _end_labels(lines: Sequence[Line], x: Scale, y: Scale) -> str:
    """Return the lines' names at their ends, moved apart where they would cover each other."""
    named = sorted((line for line in lines if line.style != "muted"), key=lambda line: y.at(line.values[-1]))
    tops: list[float] = []
    for line in named:
        wanted = y.at(line.values[-1]) + 4
        tops.append(max(wanted, tops[-1] + _LABEL_GAP_PX) if tops else wanted)
    excess = max(0.0, tops[-1] - _BOTTOM_PX) if tops else 0.0
    return "".join(
        f'<text class="name {escape(line.style)}" x="{_number(x.end_px + 9)}" y="{_number(top - excess)}">'
        f"{line.label.tspans()}</text>"
        for line, top in zip(named, tops, strict=True)
    )


def _cell(corner: tuple[float, float], side_px: float, value: tuple[float, int], title: str, is_right: bool) -> str:
    left, top = corner
    share, count = value
    style = "right" if is_right else "wrong"
    strength = 0.0 if count == 0 else 0.12 + 0.88 * (share if is_right else min(1.0, 4 * share))
    square = (
        f'<rect class="cell {style}" x="{_number(left + 1)}" y="{_number(top + 1)}" width="{_number(side_px - 2)}"'
        f' height="{_number(side_px - 2)}" fill-opacity="{strength:.3f}"><title>{escape(title)}</title></rect>'
        f'<rect class="frame" x="{_number(left + 1)}" y="{_number(top + 1)}" width="{_number(side_px - 2)}"'
        f' height="{_number(side_px - 2)}"/>'
    )
    if count == 0 or side_px < 440.0 / _NUMBERED_CLASSES:
        return square
    tone = "strong" if strength > 0.6 else "weak"
    return square + (
        f'<text class="count {tone}" x="{_number(left + side_px / 2)}" y="{_number(top + side_px / 2 + 4)}"'
        f' text-anchor="middle">{count}</text>'
    )


def _rug(rug: Rug, x: Scale, top_px: float, rows: int) -> str:
    marks = "".join(
        f'<path class="mark {style}" d="{_ticks(values, x, top_px)}"/>'
        for style, values in (("below", rug.below), ("above", rug.above))
        if len(values)
    )
    if rows > 12 and rug.number % 5:
        return marks
    return f'<text class="tick" x="26" y="{_number(top_px + 8)}" text-anchor="end">{rug.number}</text>{marks}'


def _ticks(values: Sequence[float], x: Scale, top_px: float) -> str:
    return "".join(f"M{_number(x.at(value))} {_number(top_px)}v9" for value in values)


def _name_room_px(names: Sequence[Phrase]) -> float:
    return min(150.0, max(_text_px(name) for name in names))


def _text_px(name: Phrase) -> float:
    """Return about how wide a name is drawn: 6.6 px a Latin letter, 12 px a Chinese one."""
    return max(sum(12.0 if ord(letter) > 0x2E80 else 6.6 for letter in text) for text in (name.en, name.zh_cn))


def _short(name: Phrase, room_px: float) -> Phrase:
    def cut(text: str) -> str:
        kept = ""
        for letter in text:
            if _text_px(Phrase(kept + letter, "")) > room_px:
                return kept[:-1] + "…"
            kept += letter
        return text

    return Phrase(cut(name.en), cut(name.zh_cn))
