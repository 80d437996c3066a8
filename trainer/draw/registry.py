"""Selectors by name: ours, and those that an installed package adds by an entry point of group sortloop.selectors.

>>> type(selector_named("norm_nearest")).__name__
'NormNearest'
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from trainer.draw.by_features import ClosestToCentre, Herding, KCentre
from trainer.draw.by_model import Entropy, ErrorLength, Forgetting, Margin, Random
from trainer.draw.by_norm import NormFarthest, NormNearest, NormStratified, RandomScalar
from trainer.draw.selector import EVERYTHING, Selector
from trainer.errors import SettingsError

__all__ = ["ENTRY_POINTS", "SELECTORS", "selector_named"]

ENTRY_POINTS: Final = "sortloop.selectors"
SELECTORS: Final[Mapping[str, Callable[[], Selector]]] = {
    "norm_nearest": NormNearest,
    "norm_stratified": NormStratified,
    "norm_farthest": NormFarthest,
    "random": Random,
    "random_scalar": RandomScalar,
    "closest_to_centre": ClosestToCentre,
    "herding": Herding,
    "k_centre": KCentre,
    "margin": Margin,
    "entropy": Entropy,
    "el2n": ErrorLength,
    "forgetting": Forgetting,
}


def selector_named(name: str, extensions: Iterable[EntryPoint] | None = None) -> Selector:
    """Return a selector.

    Args:
        name: one of ours, or of an extension; ours come first.
        extensions: entry points to look in; None takes those of all installed packages.

    Raises:
        SettingsError: nobody knows it, or the extension cannot be loaded or is no selector.
    """
    if name in SELECTORS:
        return SELECTORS[name]()
    points = {point.name: point for point in (entry_points(group=ENTRY_POINTS) if extensions is None else extensions)}
    known = [*SELECTORS, *sorted(points)]
    if name not in points:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SettingsError(f"no selector {name!r}: {hint}Known are {', '.join(known)}")
    try:
        made = points[name].load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"selector {name!r} of {points[name].value} cannot be loaded: {error}") from error
    needs = getattr(made, "needs", None)
    if not callable(getattr(made, "draw", None)) or not isinstance(needs, frozenset) or not needs <= EVERYTHING:
        raise SettingsError(f"{points[name].value} is no selector: it needs draw() and needs, see docs/selectors.md")
    selector: Selector = made
    return selector
