"""Rows of crops on a page, one a class. Values only; templates/strips.html.j2 shows them."""

from dataclasses import dataclass

from trainer.report.texts import Phrase

__all__ = ["Crop", "Strip"]


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture, its line below, and its tooltip; `side` is "above", "below", "plain" (no arrow) or ""."""

    uri: str
    caption: Phrase
    tooltip: str
    side: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Some crops of one class, how many more there are, and the anchor that links lead to, "" for none."""

    name: Phrase
    crops: tuple[Crop, ...]
    more: int
    anchor: str = ""
