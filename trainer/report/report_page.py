"""Templates to one self-contained page, and the small things every page needs: figures as text, crops as pictures.

Knows templates and formats; nothing of runs or machines. A page needs no script and no other file.

>>> share_text(0.0478), count_text(8500), ratio_text(0.98123)
('4.8%', '8,500', '0.9812')
"""

import base64
from typing import Final

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from trainer.report.texts import Language, Say

__all__ = ["count_text", "crop_uri", "ratio_text", "render_page", "share_text"]

_PNG_LEVEL: Final = 9


def render_page(template: str, page: object, language: Language) -> bytes:
    """Return a page as UTF-8 HTML; the same page gives the same bytes.

    Args:
        template: file name in trainer/report/templates.
        page: what the template shows, as `page`.
        language: shown first; the page holds both.
    """
    environment = Environment(
        loader=PackageLoader("trainer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"share": share_text, "count": count_text, "ratio": ratio_text}
    return environment.get_template(template).render(page=page, say=Say, language=language).encode()


def share_text(value: float) -> str:
    """Return a share in 0..1 as per cent with one decimal."""
    return f"{value:.1%}"


def count_text(value: int) -> str:
    """Return a count with a comma between thousands."""
    return f"{value:,}"


def ratio_text(value: float) -> str:
    """Return a figure in 0..1 with four decimals."""
    return f"{value:.4f}"


def crop_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a crop as a data URI of a PNG.

    Args:
        pixels: (S, S, C) uint8; BGR for C = 3, else the first channel as grey, or the first three of more.
    """
    channels = pixels.shape[2]
    shown = pixels[:, :, :3] if channels >= 3 else pixels[:, :, :1]
    _, data = cv2.imencode(".png", np.ascontiguousarray(shown), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode("ascii")
