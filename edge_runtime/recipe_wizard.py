"""A few frames to a commented recipe and its figures: what `sortloop-edge recipe` does."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.config import decode_settings, to_toml
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, FrameError
from edge_runtime.frames import Frame, MissingFrame, read_frames
from edge_runtime.gallery import EvenChoice
from edge_runtime.propose import Proposal, propose
from edge_runtime.propose_levels import CHANNELS, Channel
from edge_runtime.propose_texts import Why
from edge_runtime.schemas import Recipe
from edge_runtime.segment import SegmentSettings
from firmware_bridge.phrase import Language

__all__ = ["RecipeReport", "Wizard", "look_at_frames", "recipe_report", "recipe_toml"]

_MOST_FRAMES: Final = 12  # a handful shows what a hundred would, and all are held at once
_COMMENT_WIDTH: Final = 100
_COMMENT_WIDTH_ZH: Final = 50  # a Chinese letter is two columns wide


class RecipeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge recipe` proposes.

    Attributes:
        frames: looked at; missing: pictures that could not be used.
        objects, median_area_px, largest_px, at_border, oversize: what the proposal finds in these frames: objects,
            their median area, the longest side of any box, those that touch a border, those larger than the window.
        clearness: how much steeper outlines are than the ground; below 5 objects hardly stand out.
        segment, crop: the proposed settings.
        reasons: why, by key of the recipe.
        warnings: what a person should look at first.
        recipe: the commented TOML.
    """

    frames: int
    missing: int
    objects: int
    median_area_px: int
    largest_px: int
    at_border: int
    oversize: int
    clearness: float
    segment: SegmentSettings
    crop: CropSpec
    reasons: dict[str, str]
    warnings: list[str]
    recipe: str
    schema_version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Wizard:
    """A finished look at some frames.

    Attributes:
        names: of the frames looked at; frames: (H, W, C) uint8 each.
        missing: pictures that could not be used.
        proposal: what to set.
        recipe: the whole recipe.
    """

    names: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    missing: int
    proposal: Proposal
    recipe: Recipe


def look_at_frames(
    source: Path, class_names: Sequence[str], name: str = "product", channels: Sequence[Channel] = CHANNELS
) -> Wizard:
    """Look at up to 12 frames of a recording, at even distances, and propose a recipe.

    Args:
        source: picture, folder, tar or video, see `read_frames`.
        class_names: at least one; all are accepted until a person says what is ejected.
        name: of the product.
        channels: those to choose from, the preferred one first.

    Raises:
        FrameError: the source cannot be read, none of its pictures can be used, or nothing stands out in them.
        ConfigError: a class has no name or one that is too long, two have the same, or so has the product.
    """
    twice = sorted(class_name for class_name, count in Counter(class_names).items() if count > 1)
    if twice:
        raise ConfigError(
            f"class {twice[0]} is named more than once: each class once, in the order of the model's scores"
        )
    even, kept, reasons = EvenChoice(_MOST_FRAMES), dict[int, Frame](), list[str]()
    number = 0
    for picture in read_frames(source):
        match picture:
            case MissingFrame(reason=reason):
                reasons.append(reason)
            case Frame():
                if even.takes(number):
                    kept = {place: frame for place, frame in kept.items() if even.keeps(place)} | {number: picture}
                number += 1
    if not kept:
        raise FrameError(f"{source}: none of its {len(reasons)} pictures can be used; the first: {reasons[0]}")
    frames = tuple(frame.pixels for frame in kept.values())
    proposal = propose(frames, channels)
    tables = {
        "name": name,
        "class": [{"name": class_name} for class_name in class_names],
        "segment": msgspec.to_builtins(proposal.settings),
        "crop": msgspec.to_builtins(proposal.crop),
    }
    recipe = decode_settings(tables, Recipe, "--classes and --name")
    return Wizard(tuple(frame.name for frame in kept.values()), frames, len(reasons), proposal, recipe)


def recipe_toml(wizard: Wizard, language: Language = "en") -> str:
    """Return the recipe as TOML that `sortloop-edge check --recipe` accepts; comments say what was found and why."""
    reasons = {key: reason.text(language) for key, reason in wizard.proposal.reasons.items()}
    lines = _comment(_found(wizard, language), language)
    for warning in wizard.proposal.warnings:
        lines += _comment(f"! {warning.text(language)}", language)
    lines.append("")
    table = ""
    for line in to_toml(wizard.recipe).splitlines():
        key = line.partition(" = ")[0]
        if line.startswith("["):
            table = line.strip("[]") + "."
        if line == "[[class]]" and "[[class]]" not in lines:
            lines += _comment(Why.actions.text(language), language)
        if table + key in reasons:
            lines += _comment(reasons[table + key], language)
        lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def recipe_report(wizard: Wizard, language: Language = "en") -> RecipeReport:
    """Return the figures, the settings and the TOML of a proposal, see `RecipeReport`."""
    proposal, figures = wizard.proposal, wizard.proposal.figures
    return RecipeReport(
        frames=figures.frames,
        missing=wizard.missing,
        objects=figures.objects,
        median_area_px=figures.median_area_px,
        largest_px=figures.largest_px,
        at_border=figures.at_border,
        oversize=figures.oversize,
        clearness=proposal.level.clearness,
        segment=proposal.settings,
        crop=proposal.crop,
        reasons={key: reason.text(language) for key, reason in proposal.reasons.items()},
        warnings=[warning.text(language) for warning in proposal.warnings],
        recipe=recipe_toml(wizard, language),
    )


def _found(wizard: Wizard, language: Language) -> str:
    figures = wizard.proposal.figures
    return (
        Why.found.filled(
            frames=figures.frames,
            objects=figures.objects,
            each=f"{figures.objects / figures.frames:.1f}",
            area=figures.median_area_px,
            largest=figures.largest_px,
            border=f"{figures.at_border / max(1, figures.objects):.1%}",
            lines=wizard.proposal.crop.window_px,
        )
    ).text(language)


def _comment(text: str, language: Language) -> list[str]:
    width = _COMMENT_WIDTH if language == "en" else _COMMENT_WIDTH_ZH
    return [f"# {line}" for line in textwrap.wrap(text, width)]
