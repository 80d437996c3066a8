"""Pages that need no network, no script and no other file: the shell around their parts, and the parts themselves.

Every text that comes from outside passes through `escape` or a `Phrase`. Knows no recipes and no frames.

>>> tile("main", Phrase("width", "width"), Phrase("<b>", "<b>"))
'<div class="tile main"><div class="what">width</div><b>&lt;b&gt;</b></div>'
"""

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.images import as_bgr
from firmware_bridge.phrase import Language, Phrase

__all__ = [
    "frame_figure",
    "frame_grid",
    "jpeg_uri",
    "legend_card",
    "line_sample",
    "page_html",
    "png_uri",
    "table",
    "tile",
]

_PNG_LEVEL: Final = 9
_JPEG_QUALITY: Final = 82


def page_html(title: Phrase, body: Iterable[str], foot: str, language: Language) -> bytes:
    """Return a whole page as UTF-8 HTML that shows one of two languages; a button changes over.

    Args:
        title: also the heading.
        body: parts, HTML.
        foot: HTML.
        language: shown first; the page holds both.
    """
    switch = (
        f'<input class="language" type="radio" name="language" id="language-{key}"{" checked" * (full == language)} '
        f'aria-label="{label}">'
        for key, full, label in (("en", "en", "English"), ("zh", "zh-CN", "中文"))
    )
    return "\n".join(
        (
            f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title.text(language))}</title>\n<style>\n{_style()}</style>\n</head>\n<body>",
            *switch,
            f"<header>\n<h1>{title.__html__()}</h1>",
            '<div class="switch"><label for="language-en">English</label><label for="language-zh">中文</label></div>',
            "</header>\n<main>",
            *body,
            f"</main>\n<footer>{foot}</footer>\n</body>\n</html>\n",
        )
    ).encode("utf-8", "backslashreplace")  # a text that is no UTF-8 must not cost the whole page


def tile(kind: str, what: Phrase, value: Phrase, why: Phrase | None = None) -> str:
    """Return one headline figure as HTML; `kind` is a class of the style sheet: main, bad or empty."""
    note = "" if why is None else f'<div class="why">{why.__html__()}</div>'
    return f'<div class="tile {kind}"><div class="what">{what.__html__()}</div><b>{value.__html__()}</b>{note}</div>'


def frame_figure(uri: str, name: str, told: str) -> str:
    """Return a picture that a click makes larger, as HTML.

    Args:
        uri: of the picture.
        name: inside the recording.
        told: what stands beside the name, HTML.
    """
    return (
        f'<figure><label><input type="checkbox" class="zoom"><img src="{uri}" alt=""></label>'
        f"<figcaption><b>{escape(name)}</b> {told}</figcaption></figure>\n"
    )


def frame_grid(figures: Sequence[str]) -> str:
    """Return figures of frames side by side, as HTML; one or two are shown larger."""
    few = " few" if len(figures) <= 2 else ""
    return f'<div class="frames{few}">{"".join(figures)}</div>'


def legend_card(keys: Iterable[tuple[str, Phrase]]) -> str:
    """Return a legend as HTML: samples, as SVG, and what they mean."""
    items = "".join(f'<span class="key">{sample}{name.__html__()}</span>' for sample, name in keys)
    return f'<div class="card legend">{items}</div>'


def line_sample(colour: str, width: float, kind: str = "") -> str:
    """Return a sample of an outline, as SVG, on the dark ground that frames often have.

    Args:
        colour: as pages write it.
        width: of the line.
        kind: "" for an outline, "cross", "dashed", "missed" or "box".
    """
    dash = ' stroke-dasharray="4 3"' if kind in {"dashed", "missed"} else ""
    fill = f'fill="{colour}" fill-opacity=".35"' if kind == "missed" else 'fill="none"'
    stroke = f'stroke="{colour}" stroke-width="{width}"'
    shape = f'<ellipse cx="17" cy="11" rx="10" ry="6.5" {fill} {stroke}{dash}/>'
    if kind == "box":
        shape = f'<rect x="4" y="3" width="26" height="16" fill="none" {stroke}/>'
    if kind == "cross":
        shape += f'<path d="M13.5 7.5l7 7m0-7l-7 7" stroke="{colour}" stroke-width="2"/>'
    return f'<svg width="34" height="22" aria-hidden="true"><rect width="34" height="22" fill="#23282d"/>{shape}</svg>'


def table(heads: Sequence[Phrase], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML; the cells of `rows` are HTML too."""
    top = "".join(f"<th>{head.__html__()}</th>" for head in heads)
    lines = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="card scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels (H, W, C) uint8 as a data URI of a PNG."""
    _, data = cv2.imencode(".png", as_bgr(pixels), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    return _data_uri("image/png", data.tobytes())


def jpeg_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels (H, W, C) uint8 as a data URI of a JPEG, colours as sharp as light so that thin lines stay."""
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return _data_uri("image/jpeg", cv2.imencode(".jpg", as_bgr(pixels), options)[1].tobytes())


@lru_cache(maxsize=1)
def _style() -> str:
    return files("edge_runtime").joinpath("page.css").read_text(encoding="utf-8")


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
