"""A proposal finds what was drawn, whatever the order, the polarity and the light, and says where it is not sure."""

from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.annotations import match_objects, read_annotations
from edge_runtime.config import decode_settings
from edge_runtime.crop import CropSpec, crop_for
from edge_runtime.errors import FrameError
from edge_runtime.grain_textures import belt_texture
from edge_runtime.grains import FLOOR, render_grain
from edge_runtime.propose import Proposal, propose
from edge_runtime.propose_components import dust_limit_px, measure_components, typical_area_px
from edge_runtime.propose_levels import level_choices, pick_level
from edge_runtime.propose_texts import Why
from edge_runtime.segment import SegmentSettings, segment
from edge_runtime.split import find_objects
from firmware_bridge.phrase import Phrase

DATA: Final = Path(__file__).parents[2] / "shared" / "data"
Frame = NDArray[np.uint8]
Disc = tuple[int, int, int]


def belt_with_grains(seed: int, *, per_side: int = 5) -> tuple[Frame, int]:
    """Return a frame of a dark belt with rendered grains that do not touch, and how many."""
    rng = np.random.default_rng(seed)
    frame = belt_texture(rng, (per_side * 64, per_side * 64))
    for place in range(per_side**2):
        kind = ("sound", "chalky", "discoloured")[place % 3]
        grain = render_grain(kind, FLOOR, rng)
        height, width = grain.mask.shape
        y, x = 64 * (place // per_side) + 8, 64 * (place % per_side) + 8
        spot = frame[y : y + height, x : x + width]
        np.maximum(spot, grain.pixels, out=spot)
    return frame, per_side**2


def discs(
    places: list[Disc], *, ground: tuple[int, int, int] = (30, 30, 30), colour: tuple[int, int, int] = (190, 190, 190)
) -> Frame:
    """Return a frame with discs (x, y, radius), noise and soft edges."""
    frame = np.full((240, 320, 3), ground, np.uint8)
    for x, y, radius in places:
        cv2.circle(frame, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA)
    noise = np.random.default_rng(len(places)).integers(-3, 4, (240, 320, 1))
    blurred = cv2.GaussianBlur(frame, (5, 5), 1.0).astype(np.int16)
    return np.asarray(np.clip(blurred + noise, 0, 255), np.uint8)


ROWS: Final[list[Disc]] = [(30 + 65 * column, 30 + 60 * row, 13 + row) for row in range(4) for column in range(4)]


def count(proposal: Proposal, frame: Frame) -> int:
    return len(find_objects(frame, proposal.settings))


def is_said(warnings: tuple[Phrase, ...], phrase: Phrase) -> bool:
    return any(warning.en[:30] == phrase.en[:30] for warning in warnings)


@pytest.mark.parametrize("seed", range(4))
def test_grains_on_a_belt_are_all_found_in_frames_that_were_not_looked_at(seed: int) -> None:
    proposal = propose([belt_with_grains(10 * seed + i)[0] for i in range(3)])
    for other in range(3, 6):
        frame, drawn = belt_with_grains(10 * seed + other)
        assert count(proposal, frame) == drawn
    assert proposal.settings.polarity == "bright"
    assert (proposal.figures.objects, proposal.figures.at_border, proposal.figures.oversize) == (75, 0, 0)
    assert proposal.settings.split_neck == 0.0


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)))
def test_order_of_frames_does_not_matter(order: list[int]) -> None:
    frames = [discs(ROWS[: 4 + 3 * i]) for i in range(4)]
    assert propose([frames[i] for i in order]) == propose(frames)


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 110), st.integers(130, 245), st.integers(4, 16))
def test_negative_gives_the_mirrored_proposal(ground: int, level: int, number: int) -> None:
    frame = discs(ROWS[:number], ground=(ground,) * 3, colour=(level,) * 3)
    bright, dark = propose([frame]), propose([255 - frame])
    assert (bright.settings.polarity, dark.settings.polarity) == ("bright", "dark")
    assert dark.settings.threshold == 254 - bright.settings.threshold
    assert dark.settings.min_area_px == bright.settings.min_area_px
    assert dark.settings.min_width_px == bright.settings.min_width_px
    assert (dark.crop, dark.figures) == (bright.crop, bright.figures)
    assert bright.figures.objects == number


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(ROWS), min_size=3, unique=True), st.integers(20, 90), st.integers(60, 150))
def test_threshold_lies_between_ground_and_objects(places: list[Disc], ground: int, contrast: int) -> None:
    frame = discs(places, ground=(ground,) * 3, colour=(ground + contrast,) * 3)
    proposal = propose([frame])
    assert ground + 3 < proposal.settings.threshold < ground + contrast - 3
    assert proposal.figures.objects == len(places)
    assert abs(proposal.level.contrast - contrast) <= 4


def test_colour_that_grey_cannot_see_is_found_by_chroma_in_uneven_light() -> None:
    light = np.linspace(0.5, 1.0, 320)[None, :, None]
    frame = discs(ROWS, ground=(120, 120, 120), colour=(60, 120, 150))  # grey level of the discs: 122
    uneven = np.clip(frame * light, 0, 255).astype(np.uint8)
    proposal = propose([uneven])
    assert proposal.settings.channel == "chroma"
    assert proposal.settings.polarity == "bright"
    assert proposal.figures.objects == len(ROWS)
    grey = next(level for level in proposal.levels if level.channel == "gray")
    assert grey.clearness < proposal.level.clearness


def test_grey_frames_keep_the_grey_level_and_say_so() -> None:
    proposal = propose([discs(ROWS)])
    assert proposal.settings.channel == "gray"
    assert set(proposal.reasons) == {
        *(f"segment.{key}" for key in ("channel", "polarity", "threshold", "blur_px", "min_area_px", "min_width_px")),
        *("segment.min_solidity", "segment.split_neck", "segment.split_hole_px", "crop.side_px", "crop.reduction"),
    }


def test_one_band_has_one_candidate() -> None:
    frame = np.ascontiguousarray(discs(ROWS)[:, :, :1])
    assert [level.channel for level in level_choices([frame])] == ["gray"]
    assert propose([frame]).crop.channels == 1


def test_objects_that_touch_are_parted_and_others_are_left_alone() -> None:
    pairs = [*ROWS[:8], *((x + 2 * radius - 1, y, radius) for x, y, radius in ROWS[:4])]
    proposal = propose([discs(pairs)])
    assert proposal.settings.split_neck == 0.9
    assert proposal.figures.objects == 12
    assert propose([discs(ROWS)]).settings.split_neck == 0.0


def test_heap_that_no_neck_parts_is_told() -> None:
    heap = [(150 + 3 * i * (way == 0), 130 + 3 * i * (way == 1), 9) for i in range(30) for way in (0, 1)]
    proposal = propose([discs([*ROWS[:4], *heap])])
    assert (proposal.settings.split_neck, proposal.settings.min_solidity) == (0.0, 0.92)
    assert is_said(proposal.warnings, Why.unparted)


def test_thing_longer_than_any_window_is_oversize_and_told() -> None:
    frame = np.full((60, 4400, 3), 30, np.uint8)
    frame[20:40, 100:4250] = 200
    proposal = propose([frame])
    assert msgspec.convert(msgspec.to_builtins(proposal.crop), CropSpec).window_px == 4096
    assert proposal.figures.oversize == 1
    assert is_said(proposal.warnings, Phrase("Objects of up to 4150 px were found", ""))
    assert proposal.reasons["crop.side_px"].en.startswith("the largest window there is")
    frame[20:40, 4196:4250] = 30
    assert not is_said(propose([frame]).warnings, Why.too_long)


def test_dust_is_dropped_and_broken_pieces_stay() -> None:
    halves = [(30 + 65 * column, 220, 9) for column in range(4)]
    dust = [(62 + 65 * column, 58 + 60 * row, 1) for row in range(3) for column in range(4)]
    proposal = propose([discs([*ROWS[:12], *halves, *dust])])
    assert proposal.figures.objects == 16
    assert proposal.settings.min_area_px < np.pi * 8**2


def test_doubts_are_told_where_there_is_reason() -> None:
    sure = propose([discs(ROWS)])
    assert sure.warnings == ()
    assert is_said(propose([discs(ROWS[:3])]).warnings, Why.few.filled(objects=3, limit=10))
    brighter = discs(ROWS, ground=(90, 90, 90), colour=(250, 250, 250))
    drifting = propose([discs(ROWS), brighter]).warnings
    assert is_said(drifting, Phrase("The ground differs by 60 levels between", ""))
    cut = [(x, 2, 13) for x in range(30, 300, 60)]
    assert is_said(propose([discs([*ROWS[4:8], *cut])]).warnings, Phrase("5 of 9 objects touch the border of", ""))
    faint = discs(ROWS, colour=(38, 38, 38))
    assert is_said(propose([faint]).warnings, Phrase("Objects hardly stand out: outlines", ""))


def test_bright_stranger_among_dull_coloured_objects_is_told() -> None:
    frame = discs(ROWS[1:], ground=(40, 40, 40), colour=(24, 46, 60))
    cv2.circle(frame, ROWS[0][:2], 16, (240, 240, 240), cv2.FILLED, cv2.LINE_AA)
    proposal = propose([frame])
    assert proposal.figures.objects == 1
    assert is_said(proposal.warnings, Phrase("Channel chroma shows 15 objects o", ""))
    assert propose([frame], ("chroma",)).figures.objects == 15


def test_frames_that_show_nothing_are_refused() -> None:
    with pytest.raises(FrameError, match="no frame to look at"):
        propose([])
    with pytest.raises(FrameError, match="every frame is of one colour"):
        propose([np.full((50, 60, 3), 90, np.uint8)])
    with pytest.raises(FrameError, match=r"frames have \[1, 3\] bands"):
        propose([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 1), np.uint8)])
    speck = np.zeros((100, 100, 3), np.uint8)
    speck[50:52, 50:54] = 200
    with pytest.raises(FrameError, match="larger than a speck"):
        propose([speck])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]))
def test_any_frame_gives_a_proposal_or_a_reason(seed: int, height: int, width: int, bands: int) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (height, width, bands), np.uint8)
    frame[: height // 2] = 7
    try:
        proposal = propose([frame])
    except FrameError:
        return
    assert 0 <= proposal.settings.threshold <= 255
    assert proposal.figures.frames == 1


@given(st.lists(st.floats(1, 1e4), max_size=30), st.floats(40, 5000))
def test_limit_to_dust_lies_well_below_an_object(areas: list[float], typical: float) -> None:
    limit, _ = dust_limit_px(np.array(areas), typical)
    assert 1 <= limit <= typical / 2 + 1
    assert limit >= int(typical / 30)


def test_typical_object_is_not_moved_by_dust_or_heaps() -> None:
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[4:280:8, 4:290:8] = 200  # dust
    frame[100:, :] = 0
    for place in range(10):
        frame[110:131, 5 + 29 * place : 26 + 29 * place] = 200
    star = [[100, 150], [150, 190], [200, 150], [160, 200], [200, 250], [150, 210], [100, 250], [140, 200]]
    cv2.fillPoly(frame, [np.array(star, np.int32)], (200, 200, 200))
    components = measure_components([segment(frame, SegmentSettings(min_area_px=1, blur_px=1))])
    assert len(components) > 400
    assert typical_area_px(components) == 21**2
    assert components.are_clumps(21**2).sum() == 1
    assert typical_area_px(measure_components([])) == 0.0


@given(st.integers(1, 20_000), st.sampled_from([32, 48, 64]))
def test_window_holds_the_extent_with_few_pixels_or_is_the_largest_that_a_recipe_takes(
    extent_px: int, most_side_px: int
) -> None:
    crop = crop_for(extent_px, 3, most_side_px=most_side_px)
    assert decode_settings(msgspec.to_builtins(crop), CropSpec, "recipe.toml") == crop
    assert crop.window_px >= min(extent_px, 64 * most_side_px)
    assert crop.side_px % 16 == 0
    assert crop.side_px < most_side_px + 16


def test_nothing_to_pick_from_is_an_error() -> None:
    with pytest.raises(FrameError, match="nothing stands out"):
        pick_level([])


@pytest.mark.parametrize(
    ("folder", "pattern", "recall", "precision"),
    [("frames_sorghum", "*.jpg", 0.98, 0.98), ("frames_beans_coffee", "bean_*.jpg", 0.99, 0.99)],
)
def test_proposal_from_three_real_frames_finds_the_objects_of_the_others(
    folder: str, pattern: str, recall: float, precision: float
) -> None:
    source = DATA / folder
    if not source.is_dir():
        pytest.skip(f"no recording at {source}")
    truth = {Path(name).name: polygons for name, polygons in read_annotations(source / "annotations.json").items()}
    paths = sorted(path for path in source.rglob(pattern) if path.name in truth)
    looked_at = paths[:: len(paths) // 3][:3]
    proposal = propose([np.asarray(cv2.imread(str(path)), np.uint8) for path in looked_at])
    matches = []
    for path in set(paths) - set(looked_at):
        frame = np.asarray(cv2.imread(str(path)), np.uint8)
        contours = find_objects(frame, proposal.settings).contours
        matches.append(match_objects(contours, truth[path.name], frame.shape[:2]))
    matched = sum(len(match.ious) for match in matches)
    assert matched / sum(match.expected for match in matches) >= recall
    assert matched / sum(match.found for match in matches) >= precision
