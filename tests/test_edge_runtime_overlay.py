"""What is painted stands where it belongs, in its own colour, and the frame itself stays as it was."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.decisions import CLUSTER, CUT_OFF, OVERSIZE
from edge_runtime.overlay import (
    DISAGREEMENT,
    PERSON,
    Drawn,
    Outline,
    class_colour,
    draw_overlay,
    web_colour,
)

GRAY = np.full((80, 120, 3), 60, np.uint8)


def disc(x: int = 60, y: int = 40, radius: int = 20) -> NDArray[np.int32]:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)
    return np.asarray(np.rint(points), np.int32)[:, None]


def count(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    """Return how many pixels are as good as of this colour: edges of lines are blended."""
    return int(is_near(picture, colour).sum())


def is_near(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(picture.astype(int) - np.array(colour)) < 20).all(axis=2), np.bool_)


@pytest.mark.parametrize("class_id", [0, 3, 7, OVERSIZE, CLUSTER, CUT_OFF])
def test_outline_has_the_colour_of_its_class_and_the_inside_stays(class_id: int) -> None:
    picture = draw_overlay(GRAY, [Outline(disc(), class_id, is_eject=False)])
    assert count(picture, class_colour(class_id)) > 20
    assert (picture[36:45, 56:65] == 60).all()
    assert (picture[:15] == 60).all()


def test_ejected_is_heavier_than_accepted_and_has_a_cross() -> None:
    colour = class_colour(1)
    accepted = draw_overlay(GRAY, [Outline(disc(), 1, is_eject=False)])
    ejected = draw_overlay(GRAY, [Outline(disc(), 1, is_eject=True)])
    assert count(ejected, colour) > 1.5 * count(accepted, colour)
    assert count(ejected[36:45, 56:65], colour) > 0


def test_only_what_people_contradict_is_in_the_colour_of_disagreement() -> None:
    polygon = disc()[:, 0].astype(np.float32)
    agreed = draw_overlay(GRAY, [Outline(disc(), 0, is_eject=False)], [Drawn(polygon, is_missed=False)])
    missed = draw_overlay(GRAY, [], [Drawn(polygon, is_missed=True)])
    false = draw_overlay(GRAY, [Outline(disc(), 0, is_eject=False, is_false=True)])
    assert [count(picture, DISAGREEMENT) > 0 for picture in (agreed, missed, false)] == [False, True, True]
    assert (missed[40, 60] != 60).any()  # tinted
    assert count(draw_overlay(GRAY, [], [Drawn(polygon, is_missed=False)]), PERSON) > 0


def test_colours_differ_from_each_other() -> None:
    colours = [*(class_colour(class_id) for class_id in range(CUT_OFF, 8)), PERSON, DISAGREEMENT]
    apart = [np.abs(np.subtract(a, b)).max() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) >= 40
    assert class_colour(8) == class_colour(0)
    assert web_colour((0x12, 0x34, 0xAB)) == "#ab3412"


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(0, 90),
    st.lists(st.tuples(st.integers(-9, 70), st.integers(-9, 70), st.integers(0, 30), st.booleans()), max_size=4),
)
def test_any_frame_gives_a_colour_picture_of_at_most_the_size_and_is_not_changed(
    height: int, width: int, bands: int, longest_px: int, things: list[tuple[int, int, int, bool]]
) -> None:
    frame = np.full((height, width, bands), 9, np.uint8)
    outlines = [Outline(disc(x, y, radius), radius, is_eject=flag, is_false=flag) for x, y, radius, flag in things]
    drawn = [Drawn(disc(y, x, radius)[:, 0].astype(np.float32), flag) for x, y, radius, flag in things]
    picture = draw_overlay(frame, outlines, drawn, longest_px=longest_px)
    assert (frame == 9).all()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    if longest_px == 0:
        assert picture.shape[:2] == (height, width)
    else:
        assert max(picture.shape[:2]) <= max(1, longest_px)


def test_smaller_picture_shows_the_same_place() -> None:
    frame = np.zeros((400, 600, 3), np.uint8)
    small = draw_overlay(frame, [Outline(disc(300, 200, 100), 0, is_eject=False)], longest_px=150)
    painted = cv2.boundingRect(is_near(small, class_colour(0)).astype(np.uint8))
    assert small.shape == (100, 150, 3)
    assert np.abs(np.subtract(painted, (50, 25, 51, 51))).max() <= 2


@given(st.lists(st.tuples(st.integers(-60, 180), st.integers(-60, 140)), min_size=1, max_size=6), st.booleans())
def test_polygon_beyond_the_border_is_dashed_as_if_the_picture_went_on(
    corners: list[tuple[int, int]], is_missed: bool
) -> None:
    polygon = np.array(corners, np.float32)
    wide = np.full((280, 320, 3), 60, np.uint8)
    whole = draw_overlay(wide, [], [Drawn(polygon + 100, is_missed)])[100:180, 100:220]
    part = draw_overlay(GRAY, [], [Drawn(polygon, is_missed)])
    assert (np.abs(whole.astype(int) - part) > 60).mean() < 0.01  # a line that a border cuts is rounded anew there


def test_polygon_that_reaches_a_thousand_times_round_the_picture_is_drawn() -> None:
    far = np.array([(40, 1e6), (40, -1e6), (1e6, 0)], np.float32)
    picture = draw_overlay(GRAY, [], [Drawn(np.tile(far, (1000, 1)), is_missed=False)])
    assert count(picture, PERSON) > 20
