"""The correction is exact integer arithmetic, whatever the picture, and bad references are refused."""

from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_runtime.canvas import Canvas
from edge_runtime.errors import ConfigError, FrameError, StorageError
from edge_runtime.flat_field import (
    FlatField,
    correct,
    flat_field_of,
    judge_references,
    load_flat_field,
    save_flat_field,
)

BYTES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=20))


def field_for(shape: tuple[int, ...], seed: int) -> FlatField:
    rng = np.random.default_rng(seed)
    gain = rng.integers(0, 4 * 256 + 1, shape) / 256
    return FlatField(rng.integers(0, 256, shape, dtype=np.uint8), gain.astype(np.float32))


def corrected(raw: NDArray[np.uint8], field: FlatField | None) -> NDArray[np.uint8]:
    canvas = Canvas.blank(*raw.shape, pad_px=3)
    correct(raw, field, canvas.pixels)
    return canvas.pixels


@settings(deadline=None)
@given(BYTES, st.integers(0, 2**32 - 1), st.booleans())
def test_each_value_is_the_rounded_product_of_whole_numbers(
    raw: NDArray[np.uint8],
    seed: int,
    is_area: bool,
) -> None:
    field = field_for(raw.shape if is_area else (1, *raw.shape[1:]), seed)
    found = corrected(raw, field)
    dark, gain = (np.broadcast_to(values, raw.shape).ravel().tolist() for values in (field.dark, field.gain))
    expected = [
        min(255, round(max(0, level - floor) * Fraction(factor)))
        for level, floor, factor in zip(raw.ravel().tolist(), dark, gain, strict=True)
    ]
    assert found.ravel().tolist() == expected


@given(BYTES)
def test_without_references_the_picture_is_copied(raw: NDArray[np.uint8]) -> None:
    assert np.array_equal(corrected(raw, None), raw)


@settings(deadline=None)
@given(st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_the_white_reference_comes_out_as_one_level(target: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dark = rng.uniform(0, 20, (1, 30, 3))
    white = dark + rng.uniform(max(80, target / 4 + 1), 230, dark.shape)
    field = flat_field_of(dark, white, target=target)
    found = corrected(np.rint(white).astype(np.uint8), field).astype(int)
    assert (
        np.abs(found - target).max() <= 3
    )  # half a level of dark and of white, times at most four, and the gain's step


@pytest.mark.parametrize(
    ("light", "clipped", "verdict"),
    [
        ([100.0, 200.0], 0.0, "good"),
        ([100.0, 200.0], 0.001, "good"),
        ([100.0, 200.0], 0.0011, "too_bright"),
        ([60.0, 60.0], 0.0, "good"),
        ([59.0, 60.0], 0.0, "too_dark"),
        ([49.9, 200.0], 0.0, "uneven"),
        ([50.0, 200.0], 0.0, "good"),
    ],
)
def test_references_are_judged(light: list[float], clipped: float, verdict: str) -> None:
    dark = np.full((1, 2, 1), 10.0)
    white = dark + np.array(light).reshape(dark.shape)
    assert judge_references(dark, white, clipped, target=200) == verdict


@pytest.mark.parametrize("shape", [(5, 8, 3), (4, 9, 3), (4, 8, 1)])
def test_a_picture_of_another_shape_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(FrameError, match=r"was calibrated for \(4, 8, 3\)"):
        corrected(np.zeros(shape, np.uint8), field_for((4, 8, 3), 0))


def test_references_of_a_line_fit_any_number_of_lines() -> None:
    field = field_for((1, 8, 3), 0)
    for height in (1, 15, 16, 17, 40):
        assert corrected(np.zeros((height, 8, 3), np.uint8), field).shape == (height, 8, 3)


def test_references_survive_the_disk(tmp_path: Path) -> None:
    field = msgspec.structs.replace(field_for((1, 8, 3), 0), target=77)
    save_flat_field(tmp_path / "top.npz", field)
    read = load_flat_field(tmp_path / "top.npz")
    assert read.target == 77
    assert np.array_equal(read.dark, field.dark)
    assert np.array_equal(read.gain, field.gain)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 4.5, 1.001])
def test_gains_that_cannot_be_are_refused(tmp_path: Path, value: float) -> None:
    field = field_for((1, 8, 3), 0)
    field.gain[0, 3, 1] = value
    save_flat_field(tmp_path / "top.npz", field)
    with pytest.raises(ConfigError, match=r"top\.npz: a gain is"):
        load_flat_field(tmp_path / "top.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"dark": np.zeros((1, 2, 3), np.uint8)},
        {"dark": np.zeros((1, 2, 3), np.uint8), "gain": np.ones((1, 2, 3), np.float32)},
        {"dark": np.zeros((1, 2, 3), np.uint8), "gain": np.ones((1, 2, 1), np.float32), "target": np.uint8(230)},
        {"dark": np.zeros((2, 3), np.uint8), "gain": np.ones((2, 3), np.float32), "target": np.uint8(230)},
        {"dark": np.zeros((1, 2, 3), np.int64), "gain": np.ones((1, 2, 3), np.float32), "target": np.uint8(230)},
        {"dark": np.zeros((0, 2, 3), np.uint8), "gain": np.ones((0, 2, 3), np.float32), "target": np.uint8(230)},
    ],
)
def test_files_that_are_no_references_are_refused(tmp_path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    np.savez(tmp_path / "top.npz", allow_pickle=True, **arrays)
    with pytest.raises(ConfigError, match=r"top\.npz"):
        load_flat_field(tmp_path / "top.npz")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_flat_field(tmp_path / "top.npz", field_for((1, 8, 3), 0))
    data = (tmp_path / "top.npz").read_bytes()
    for damaged in (b"", b"junk", data[: len(data) // 2], data[:200] + b"\xff" * 20 + data[220:]):
        (tmp_path / "top.npz").write_bytes(damaged)
        with pytest.raises(ConfigError, match="is no flat field"):
            load_flat_field(tmp_path / "top.npz")
    with pytest.raises(StorageError):
        load_flat_field(tmp_path / "missing.npz")


@pytest.mark.parametrize("target", [0, 256])
def test_a_target_that_is_no_grey_level_is_refused(tmp_path: Path, target: int) -> None:
    field = field_for((1, 8, 3), 0)
    np.savez(tmp_path / "top.npz", dark=field.dark, gain=field.gain, target=np.int64(target))
    with pytest.raises(ConfigError, match=f"target {target} is outside 1..255"):
        load_flat_field(tmp_path / "top.npz")
