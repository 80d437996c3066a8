"""Macro-F1 against sample visits on a log axis, one panel a set, as an SVG file that stands alone. Pure.

Loops are lines over their rounds and end in the shipped model; arms that train once are points.

>>> log_ticks(2_000, 70_000)
[2000, 5000, 10000, 20000, 50000]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from typing import Final

import numpy as np

from trainer.bench.analysis import SeedResult
from trainer.bench.arms import ARMS, NORM
from trainer.report.svg import Scale, ValueAxis, ratio_axis

__all__ = ["Trace", "log_ticks", "plot_svg", "traces_of"]

_WIDTH_PX, _PANEL_PX, _LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 720.0, 300.0, 60.0, 520.0, 34.0, 256.0
_LABEL_GAP_PX: Final = 13.0
_COLOURS: Final = ("#1f6f8b", "#b5523b", "#6a8f3c", "#8a5fa8", "#b58a1f", "#4a6fb5", "#a84f7d", "#5f7f7a")
_NORM_COLOUR: Final = "#c2185b"
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#ccc;stroke-width:.6}.line{fill:none;stroke-width:1.8}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#555}}"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """One arm on one set: sample visits and macro-F1 of each point, means over the seeds; the last is what shipped."""

    arm: str
    visits: tuple[float, ...]
    macro_f1: tuple[float, ...]


def traces_of(results: Sequence[SeedResult]) -> list[Trace]:
    """Return the traces of one set's results, in the order of the arms.

    Args:
        results: of one set. A round is drawn while at least half of the seeds went so far.
    """
    traces: list[Trace] = []
    for arm in (name for name in ARMS if any(result.arm == name for result in results)):
        own = [result for result in results if result.arm == arm]
        points: list[tuple[float, float]] = []
        if len(own[0].rows) == 1:  # over folds the rounds' models judge different images
            longest = max(len(result.rows[0].points) for result in own)
            for at in range(longest):
                there = [result.rows[0].points[at] for result in own if len(result.rows[0].points) > at]
                if 2 * len(there) >= len(own):
                    points.append(
                        (float(np.mean([p.visits for p in there])), float(np.mean([p.test_macro_f1 for p in there])))
                    )
        visits = float(np.mean([result.total(lambda row: row.visits) for result in own]))
        points.append((visits, float(np.mean([result.macro_f1 for result in own]))))
        traces.append(Trace(arm, tuple(p[0] for p in points), tuple(p[1] for p in points)))
    return traces


def log_ticks(low: float, high: float) -> list[int]:
    """Return the values 1, 2, 5 times a power of ten within two ends > 0."""
    powers = range(int(log10(low)) - 1, int(log10(high)) + 1)
    return [f * 10**p for p in powers if p >= 0 for f in (1, 2, 5) if low <= f * 10**p <= high]


def plot_svg(panels: Sequence[tuple[str, Sequence[Trace]]]) -> str:
    """Return the chart.

    Args:
        panels: name of a set, and at least one trace of it.
    """
    height = _PANEL_PX * len(panels)
    parts = [_panel(name, traces, _PANEL_PX * at) for at, (name, traces) in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_PX:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {_WIDTH_PX:.0f} {height:.0f}" role="img" aria-label="macro-F1 against sample visits">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _panel(name: str, traces: Sequence[Trace], down_px: float) -> str:
    visits = [value for trace in traces for value in trace.visits]
    x = Scale(log10(min(visits) * 0.9), log10(max(visits) * 1.1), _LEFT_PX, _RIGHT_PX)
    axis = ratio_axis([value for trace in traces for value in trace.macro_f1])
    y = Scale(axis.low, axis.high, _BOTTOM_PX, _TOP_PX)
    parts = [f'<text x="{_LEFT_PX:.0f}" y="20" font-weight="bold">{escape(name)}: macro-F1 on the test side</text>']
    parts += [_axes(axis, x, y)]
    parts += [_trace(trace, at, x, y) for at, trace in enumerate(traces)]
    parts.append(_names(traces, y))
    return f'<g transform="translate(0 {down_px:.0f})">{"".join(parts)}</g>'


def _axes(axis: ValueAxis, x: Scale, y: Scale) -> str:
    rows = "".join(
        f'<path class="grid" d="M{_LEFT_PX:.0f} {y.at(value):.1f}H{_RIGHT_PX:.0f}"/>'
        f'<text x="{_LEFT_PX - 6:.0f}" y="{y.at(value) + 4:.1f}" text-anchor="end">{text}</text>'
        for value, text in axis.ticks
    )
    columns = "".join(
        f'<path class="grid" d="M{x.at(log10(tick)):.1f} {_TOP_PX:.0f}V{_BOTTOM_PX:.0f}"/>'
        f'<text x="{x.at(log10(tick)):.1f}" y="{_BOTTOM_PX + 16:.0f}" text-anchor="middle">{tick:,}</text>'
        for tick in log_ticks(10**x.low, 10**x.high)
    )
    middle = (_LEFT_PX + _RIGHT_PX) / 2
    title = f'<text x="{middle:.0f}" y="{_BOTTOM_PX + 34:.0f}" text-anchor="middle">sample visits, all fits</text>'
    return rows + columns + title


def _trace(trace: Trace, at: int, x: Scale, y: Scale) -> str:
    points = [(x.at(log10(v)), y.at(f)) for v, f in zip(trace.visits, trace.macro_f1, strict=True)]
    colour = _colour(trace, at)
    way = "L".join(f"{left:.1f} {top:.1f}" for left, top in points)
    line = f'<path class="line" stroke="{colour}" d="M{way}"/>' if len(points) > 1 else ""
    dots = "".join(
        f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{4.5 if last else 2.5}" fill="{colour}">'
        f"<title>{escape(trace.arm)}: {visits:,.0f} visits, {figure:.4f}</title></circle>"
        for (left, top), visits, figure, last in zip(
            points, trace.visits, trace.macro_f1, [False] * (len(points) - 1) + [True], strict=True
        )
    )
    return line + dots


def _names(traces: Sequence[Trace], y: Scale) -> str:
    """Return the arms' names at the right, in the order of what they reached, apart from each other."""
    ordered = sorted(enumerate(traces), key=lambda pair: -pair[1].macro_f1[-1])
    tops: list[float] = []
    for _, trace in ordered:
        wanted = y.at(trace.macro_f1[-1]) + 4
        tops.append(max(wanted, tops[-1] + _LABEL_GAP_PX) if tops else wanted)
    excess = max(0.0, tops[-1] - _BOTTOM_PX)
    return "".join(
        f'<text x="{_RIGHT_PX + 12:.0f}" y="{top - excess:.1f}"><tspan fill="{_colour(trace, at)}">● </tspan>'
        f"{escape(trace.arm)} {trace.macro_f1[-1]:.4f}</text>"
        for (at, trace), top in zip(ordered, tops, strict=True)
    )


def _colour(trace: Trace, at: int) -> str:
    return _NORM_COLOUR if trace.arm == NORM else _COLOURS[at % len(_COLOURS)]
