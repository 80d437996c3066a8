"""From a few frames to a recipe: what to set, and why, in words. Pure rules; a person looks at the outcome and decides.

The steps are those of a person: find the level that shows the objects best, see how large a single one is, drop what is
much smaller, part what hangs together, and make the window large enough for nearly all. Everything comes from sums,
medians and extremes over all frames, so their order does not matter.

>>> frame = np.full((80, 80, 3), 10, np.uint8)
>>> frame[28:53, 28:53] = 200
>>> proposal = propose([frame])
>>> proposal.settings.polarity, proposal.figures.objects, proposal.crop.window_px
('bright', 1, 32)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, common_extent_px, crop_for, is_oversize
from edge_runtime.errors import FrameError
from edge_runtime.propose_components import (
    Components,
    dust_limit_px,
    measure_components,
    typical_area_px,
    weighted_median,
)
from edge_runtime.propose_levels import CHANNELS, Channel, LevelChoice, level_choices, pick_level
from edge_runtime.propose_parting import Parting, choose_parting
from edge_runtime.propose_texts import Why
from edge_runtime.segment import Objects, SegmentSettings, segment
from edge_runtime.split import find_objects
from edge_runtime.triage import is_cut_off
from firmware_bridge.phrase import Phrase

__all__ = ["Figures", "Proposal", "propose"]

_MOST_SIDE_PX: Final = 64  # of a crop, as `sortloop-train import` has it by default
_LEAST_PX: Final = 9  # smaller specks are not even measured
_WIDTH: Final = 0.4  # of the typical width: narrower is a thread, a scratch or an edge
_THIN_PX, _STOUT_PX = 8, 24  # typical widths from which on a median of 3, and of 5 pixels leaves objects alone
_CLEAR: Final = 5.0  # below it what stands out hardly stands out
_VISIBLE: Final = 2.5  # from this clearness on another level is worth a comparison
_MORE: Final = 1.5  # times the objects: so many more are told
_DRIFT: Final = 0.15  # of the contrast, between frames
_UNEVEN: Final = 0.4  # of the contrast, within frames
_AT_BORDER: Final = 0.2  # of the objects
_FEW: Final = 10  # objects of which hardly anything can be told


@dataclass(frozen=True, slots=True)
class Figures:
    """What the proposed settings find in the frames that they were taken from.

    Attributes:
        frames, objects: counts.
        median_area_px: of an object; largest_px: longest side of any box.
        at_border: objects that touch the border of their frame.
        oversize: objects larger than the proposed window.
    """

    frames: int
    objects: int
    median_area_px: int
    largest_px: int
    at_border: int
    oversize: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to set, and why.

    Attributes:
        settings: how objects are found; crop: how they are cut out.
        reasons: by key of the recipe, such as "segment.threshold".
        warnings: what a person should look at first; none where nothing is doubtful.
        level: how objects were told from the ground.
        levels: what could be made of each channel.
        figures: what is found.
    """

    settings: SegmentSettings
    crop: CropSpec
    reasons: dict[str, Phrase]
    warnings: tuple[Phrase, ...]
    level: LevelChoice
    levels: tuple[LevelChoice, ...]
    figures: Figures


def propose(frames: Sequence[NDArray[np.uint8]], channels: Sequence[Channel] = CHANNELS) -> Proposal:
    """Propose segmentation and crop.

    Args:
        frames: (H, W, C) uint8 each, of one number of bands; a handful, all with objects on them.
        channels: those to choose from, the preferred one first.

    Returns:
        A proposal that does not depend on the order of the frames.

    Raises:
        FrameError: there is no frame, they differ in bands, or nothing stands out in any of them.
    """
    levels = level_choices(frames, channels)
    level = pick_level(levels)
    rough = msgspec.structs.replace(level.settings, min_area_px=_LEAST_PX)
    components = _inner([segment(frame, rough) for frame in frames])
    typical_px = typical_area_px(components)
    if typical_px == 0:
        raise FrameError("nothing in these frames is larger than a speck: take frames with objects on them")
    single = components.select(components.is_convex) if components.is_convex.any() else components
    width_px = weighted_median(single.widths_px, single.areas_px)
    least_px, has_gap = dust_limit_px(components.areas_px, typical_px)
    blur_px = 1 if width_px < _THIN_PX else 3 if width_px < _STOUT_PX else 5
    least_width_px = max(1, int(width_px * _WIDTH))
    sized = msgspec.structs.replace(rough, blur_px=blur_px, min_area_px=least_px, min_width_px=least_width_px)
    unparted = [segment(frame, sized) for frame in frames]
    parting = choose_parting(unparted, sized, typical_px)
    found = [find_objects(frame, parting.settings) for frame in frames]
    crop, extent_px = _crop(found, frames[0].shape[2], typical_px)
    figures = _figures(found, crop)
    reasons = _level_reasons(level, levels) | {
        "segment.blur_px": Why.blur.filled(width=round(width_px)),
        "segment.min_area_px": (Why.area_gap if has_gap else Why.area_share).filled(typical=round(typical_px)),
        "segment.min_width_px": Why.width.filled(width=round(width_px)),
        "segment.split_neck": parting.reason,
        "segment.split_hole_px": Why.hole if parting.settings.split_neck else Why.hole_off,
        "segment.min_solidity": parting.why_solidity,
        "crop.side_px": _why_side(crop, extent_px),
        "crop.reduction": Why.reduction if crop.reduction > 1 else Why.no_reduction,
    }
    others = _seen_otherwise(frames, sized, levels, sum(map(len, unparted)))
    long = [Why.too_long.filled(extent=extent_px, window=crop.window_px)] if extent_px > crop.window_px else []
    warnings = (*_level_warnings(level), *others, *long, *_shape_warnings(figures, parting, has_gap=has_gap))
    return Proposal(parting.settings, crop, reasons, warnings, level, tuple(levels), figures)


def _inner(found: Sequence[Objects]) -> Components:
    """Return the measures of what does not touch a border; of everything where all does."""
    inner = [objects.select(~is_cut_off(objects, is_frame=True)) for objects in found]
    chosen = inner if any(len(objects) for objects in inner) else found
    return measure_components(chosen)


def _crop(found: Sequence[Objects], channels: int, typical_px: float) -> tuple[CropSpec, int]:
    """Return the crop for single objects, and their extent: neither heaps nor what a border cuts are measured."""
    components = _inner(found)
    single = components.select(~components.are_clumps(typical_px))
    extents = (single if len(single) else components).extents_px.tolist()
    extent_px = common_extent_px(extents or [round(typical_px**0.5)])
    return crop_for(extent_px, channels, most_side_px=_MOST_SIDE_PX), extent_px


def _why_side(crop: CropSpec, extent_px: int) -> Phrase:
    why = Why.side if extent_px <= crop.window_px else Why.side_most
    return why.filled(window=crop.window_px, extent=extent_px)


def _figures(found: Sequence[Objects], crop: CropSpec) -> Figures:
    areas = np.concatenate([objects.areas_px for objects in found])
    longest = np.concatenate([objects.boxes_px[:, 2:].max(axis=1, initial=0) for objects in found])
    return Figures(
        frames=len(found),
        objects=int(areas.size),
        median_area_px=int(np.median(areas)) if areas.size else 0,
        largest_px=int(longest.max(initial=0)),
        at_border=sum(int(is_cut_off(objects, is_frame=True).sum()) for objects in found),
        oversize=sum(int(is_oversize(objects, crop).sum()) for objects in found),
    )


def _level_reasons(level: LevelChoice, levels: Sequence[LevelChoice]) -> dict[str, Phrase]:
    others = [other for other in levels if other.channel != level.channel]
    clearest = max(others, key=lambda other: other.clearness, default=None)
    if clearest is None:
        channel = Why.channel_only.filled(clear=f"{level.clearness:.1f}")
    else:
        known = Why.channel_first if level.channel == levels[0].channel else Why.channel_better
        channel = known.filled(clear=f"{level.clearness:.1f}", other=clearest.channel, less=f"{clearest.clearness:.1f}")
    sides = {"bright": Why.bright, "dark": Why.dark}
    values = {"ground": level.ground, "contrast": level.contrast}
    reasons = {
        "segment.channel": channel,
        "segment.polarity": sides[level.polarity].filled(**values),
        "segment.threshold": Why.threshold.filled(**values),
    }
    return reasons | ({"segment.background": Why.background} if level.background else {})


def _level_warnings(level: LevelChoice) -> list[Phrase]:
    warnings = []
    if level.clearness < _CLEAR:
        warnings.append(Why.unclear.filled(clear=f"{level.clearness:.1f}", limit=f"{_CLEAR:g}"))
    if level.drift > _DRIFT * level.contrast:
        warnings.append(Why.drifts.filled(drift=level.drift, contrast=level.contrast))
    if level.unevenness > _UNEVEN * level.contrast:
        warnings.append(Why.uneven.filled(uneven=level.unevenness, contrast=level.contrast))
    return warnings


def _seen_otherwise(
    frames: Sequence[NDArray[np.uint8]], settings: SegmentSettings, levels: Sequence[LevelChoice], count: int
) -> list[Phrase]:
    """Return a warning for each level that is not chosen and shows far more objects than the chosen one, `count`."""
    warnings = []
    for level in levels:
        if level.channel == settings.channel or level.clearness < _VISIBLE:
            continue
        by = level.settings
        other = msgspec.structs.replace(
            settings, channel=by.channel, background=by.background, polarity=by.polarity, threshold=by.threshold
        )
        more = sum(len(segment(frame, other)) for frame in frames)
        if more > _MORE * count:
            warnings.append(Why.other_level.filled(channel=level.channel, more=more, count=count))
    return warnings


def _shape_warnings(figures: Figures, parting: Parting, *, has_gap: bool) -> list[Phrase]:
    warnings = [] if parting.is_sure else [Why.unparted]
    if not has_gap:
        warnings.append(Why.no_gap)
    if figures.objects < _FEW:
        warnings.append(Why.few.filled(objects=figures.objects, limit=_FEW))
    if figures.at_border > _AT_BORDER * figures.objects:
        warnings.append(Why.at_border.filled(at_border=figures.at_border, objects=figures.objects))
    return warnings
