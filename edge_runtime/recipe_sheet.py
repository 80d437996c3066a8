"""A proposed recipe as one page to look at: what it finds, what it would cut out, and why each value was chosen."""

from html import escape

import numpy as np

from edge_runtime.crop import canvas_of, cut_crops, is_oversize
from edge_runtime.decisions import CUT_OFF, OVERSIZE
from edge_runtime.gallery import SHOWN_PX
from edge_runtime.overlay import Outline, class_colour, draw_overlay, web_colour
from edge_runtime.page import (
    frame_figure,
    frame_grid,
    jpeg_uri,
    legend_card,
    line_sample,
    page_html,
    png_uri,
    table,
    tile,
)
from edge_runtime.propose_levels import LevelChoice
from edge_runtime.recipe_wizard import Wizard, recipe_toml
from edge_runtime.segment import Objects
from edge_runtime.sheet_texts import Say, same
from edge_runtime.split import find_objects
from edge_runtime.triage import is_cut_off
from firmware_bridge.phrase import Language

__all__ = ["recipe_sheet"]

_FOUND = 0  # in the colour of the first class
_CROPS = 36
_CHART_HEIGHT = 90


def recipe_sheet(wizard: Wizard, language: Language = "en") -> bytes:
    """Return the page as UTF-8 HTML, in both languages; the same frames give the same bytes.

    Args:
        wizard: from `look_at_frames`.
        language: shown first; comments of the recipe are in this one.
    """
    found = [find_objects(frame, wizard.proposal.settings) for frame in wizard.frames]
    warnings = "".join(f"<li>{warning.__html__()}</li>" for warning in wizard.proposal.warnings)
    body = [
        f'<div class="lead"><p>{Say.recipe_lead.__html__()}</p></div>',
        f'<div class="tiles">{"".join(_tiles(wizard))}</div>',
        f'<ul class="warnings">{warnings}</ul>' if warnings else "",
        f"<h2>{Say.frames.__html__()}</h2>",
        f'<p class="soft">{Say.recipe_frames_note.__html__()}</p>',
        _legend(),
        _frames(wizard, found),
        f"<h2>{Say.recipe_crops.__html__()}</h2>",
        f'<p class="soft">{Say.recipe_crops_note.filled(window=wizard.proposal.crop.window_px).__html__()}</p>',
        f'<div class="crops">{_crops(wizard, found)}</div>',
        f"<h2>{Say.levels.__html__()}</h2>",
        f'<p class="soft">{Say.levels_note.__html__()}</p>',
        f'<figure class="levels">{_histogram(wizard.proposal.level)}</figure>',
        _levels(wizard),
        f"<h2>{Say.reasons.__html__()}</h2>",
        _reasons(wizard),
        f"<h2>{Say.recipe_file.__html__()}</h2>",
        f'<pre class="card">{escape(recipe_toml(wizard, language))}</pre>',
    ]
    return page_html(Say.recipe_title, body, "", language)


def _tiles(wizard: Wizard) -> list[str]:
    figures, level = wizard.proposal.figures, wizard.proposal.level
    share = f"{figures.at_border / max(1, figures.objects):.1%}"
    each = f"{figures.objects / figures.frames:.1f}"
    frames = Say.recipe_objects_note.filled(frames=figures.frames, each=each)
    tiles = [
        tile("main", Say.objects, same(f"{figures.objects:,}"), frames),
        tile("", Say.median_area, same(f"{figures.median_area_px:,} px")),
        tile("", Say.largest, same(f"{figures.largest_px:,} px"), Say.largest_note),
        tile("", Say.at_border, same(share), Say.at_border_note),
        tile("bad" if figures.oversize else "", Say.oversize, same(f"{figures.oversize:,}"), Say.recipe_oversize_note),
        tile("", Say.clearness, same(f"{level.clearness:.1f}"), Say.clearness_note),
    ]
    if wizard.missing:
        tiles.append(tile("bad", Say.missing, same(str(wizard.missing))))
    return tiles


def _legend() -> str:
    keys = (
        (_FOUND, Say.key_found),
        (CUT_OFF, Say.key_at_border),
        (OVERSIZE, Say.oversize),
    )
    return legend_card((line_sample(web_colour(class_colour(kind)), 2), name) for kind, name in keys)


def _frames(wizard: Wizard, found: list[Objects]) -> str:
    figures = []
    for name, frame, objects in zip(wizard.names, wizard.frames, found, strict=True):
        large, at_border = is_oversize(objects, wizard.proposal.crop), is_cut_off(objects, is_frame=True)
        kinds = np.where(large, OVERSIZE, np.where(at_border, CUT_OFF, _FOUND)).tolist()
        outlines = [
            Outline(contour, kind, is_eject=False) for contour, kind in zip(objects.contours, kinds, strict=True)
        ]
        uri = jpeg_uri(draw_overlay(frame, outlines, longest_px=SHOWN_PX))
        figures.append(frame_figure(uri, name, Say.count_objects.filled(count=len(objects)).__html__()))
    return frame_grid(figures)


def _crops(wizard: Wizard, found: list[Objects]) -> str:
    """Return crops from the smallest object to the largest, at even ranks."""
    crop, settings = wizard.proposal.crop, wizard.proposal.settings
    fits = [objects.select(~is_oversize(objects, crop)) for objects in found]
    sizes = [(area, i, row) for i, objects in enumerate(fits) for row, area in enumerate(objects.areas_px.tolist())]
    ranks = np.unique(np.linspace(0, max(0, len(sizes) - 1), min(_CROPS, len(sizes))).round().astype(int))
    chosen = [sorted(sizes)[rank] for rank in ranks.tolist()]
    shown: list[tuple[int, str]] = []
    for i, frame in enumerate(wizard.frames):
        rows = np.array([row for _, owner, row in chosen if owner == i], np.int64)
        own = fits[i].take(rows)
        crops = cut_crops(canvas_of(frame, crop), own, crop, settings)
        shown += zip(own.areas_px.tolist(), map(png_uri, crops.pixels), strict=True)
    return "".join(
        f'<div class="crop"><img src="{uri}" alt="">{area:,} px</div>'
        for area, uri in sorted(shown, key=lambda s: s[0])
    )


def _histogram(level: LevelChoice) -> str:
    """Return the pooled histogram, logarithmic, with the threshold, as SVG."""
    heights = np.log1p(np.array(level.histogram, np.float64))
    heights *= _CHART_HEIGHT / max(1e-9, float(heights.max()))
    steps = "".join(f"H{x}V{_CHART_HEIGHT - height:.1f}" for x, height in enumerate(heights.tolist()))
    cut = level.threshold + 1  # between the last level on one side and the first on the other
    ticks = "".join(
        f'<text x="{at}" y="{_CHART_HEIGHT + 12}" text-anchor="middle">{at}</text>' for at in (0, 64, 128, 192)
    )
    return (
        f'<svg viewBox="-8 -12 276 {_CHART_HEIGHT + 28}" class="chart" role="img">'
        f'<path d="M0 {_CHART_HEIGHT}{steps}H256V{_CHART_HEIGHT}Z" class="area"/>'
        f'<path d="M{cut} -4V{_CHART_HEIGHT}" class="cut"/>'
        f'<text x="{cut}" y="-5" text-anchor="middle" class="cut">{level.threshold}</text>{ticks}</svg>'
    )


def _levels(wizard: Wizard) -> str:
    chosen = wizard.proposal.level.channel
    sides = {"bright": Say.side_bright, "dark": Say.side_dark}
    rows = (
        (
            f"<b>{one.channel}</b>" if one.channel == chosen else one.channel,
            sides[one.polarity].__html__(),
            str(one.threshold),
            str(one.contrast),
            f"{one.clearness:.1f}",
        )
        for one in wizard.proposal.levels
    )
    return table((Say.level_head, Say.side_head, Say.threshold_head, Say.contrast_head, Say.clearness), rows)


def _reasons(wizard: Wizard) -> str:
    tables = {"segment": wizard.proposal.settings, "crop": wizard.proposal.crop}
    rows = []
    for key, reason in wizard.proposal.reasons.items():
        name, _, field = key.partition(".")
        value = getattr(tables[name], field)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(
            (f"<code>{key}</code>", f"<b>{escape(shown)}</b>", f'<span class="words">{reason.__html__()}</span>')
        )
    return table((Say.key_head, Say.value_head, Say.why_head), rows)
