"""A piece lying still is known again; another piece is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.near_duplicate import Glance, RecentCrops, is_near
from edge_runtime.norm import NormSpec, norm_q16, norm_sums


def a_piece(seed: int, side_px: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """A textured ellipse."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side_px, :side_px] - side_px / 2
    turn = rng.uniform(0, np.pi)
    along, across = rows * np.cos(turn) + columns * np.sin(turn), columns * np.cos(turn) - rows * np.sin(turn)
    mask = (along / rng.uniform(15, 20)) ** 2 + (across / rng.uniform(7, 10)) ** 2 < 1
    shade = rng.uniform(90, 200, 3) + rng.normal(0, 8, (side_px, side_px, 1))
    return np.where(mask[:, :, None], np.clip(shade, 1, 255), 0).astype(np.uint8), mask


def glance(piece: tuple[np.ndarray, np.ndarray], line: int, column: int = 100) -> Glance:
    pixels, mask = piece
    norm = int(norm_q16(*norm_sums(pixels[None], mask[None], NormSpec()))[0])
    return Glance.of(pixels, place=(line, column), norm_q16=norm)


def seen_again(piece: tuple[np.ndarray, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same piece with camera noise of two levels and lamps half a per cent brighter."""
    pixels, mask = piece
    noise = np.random.default_rng(seed).normal(0, 2, pixels.shape)
    return np.where(mask[:, :, None], np.clip(pixels * 1.005 + noise, 1, 255), 0).astype(np.uint8), mask


@given(st.integers(0, 10_000), st.integers(-2, 2))
def test_a_piece_lying_still_is_known_again(seed: int, shake: int) -> None:
    piece = a_piece(seed)
    first, second = glance(piece, 500), glance(seen_again(piece, seed), 756, 100 + shake)
    assert is_near(first, second)
    assert is_near(second, first)


@given(st.integers(0, 10_000), st.integers(10_001, 20_000))
def test_another_piece_in_the_same_place_is_another_piece(seed: int, other: int) -> None:
    assert not is_near(glance(a_piece(seed), 500), glance(a_piece(other), 756))


def test_the_same_look_elsewhere_across_the_belt_is_another_piece() -> None:
    piece = a_piece(1)
    assert not is_near(glance(piece, 500), glance(piece, 756, 103))


def test_an_object_shown_twice_is_not_its_own_duplicate() -> None:
    assert not is_near(glance(a_piece(1), 500), glance(a_piece(1), 500))


def test_a_brighter_piece_of_the_same_outline_is_another_piece() -> None:
    pixels, mask = a_piece(1)
    brighter = np.where(mask[:, :, None], np.minimum(pixels + 4, 255), 0).astype(np.uint8)
    assert not is_near(glance((pixels, mask), 500), glance((brighter, mask), 756))


def test_crops_of_other_bands_are_other_pieces() -> None:
    pixels, _ = a_piece(1)
    grey = pixels[:, :, :1]
    assert not is_near(Glance.of(pixels, place=(1, 1), norm_q16=5), Glance.of(grey, place=(2, 1), norm_q16=5))


@pytest.mark.parametrize(("between", "expected"), [(63, True), (64, False)])
def test_the_last_64_crops_are_remembered(between: int, expected: bool) -> None:
    memory = RecentCrops()
    memory.add(glance(a_piece(0), 0))
    for seed in range(1, between + 1):
        memory.add(glance(a_piece(seed), seed))
    assert memory.has_near(glance(a_piece(0), 9999)) is expected
