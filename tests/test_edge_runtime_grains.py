import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.grains import CLASS_NAMES, DISPLAY_NAMES, FLOOR, LAB, Grain, Look, render_grain, write_class_folders
from edge_runtime.segment import SegmentSettings, segment

NEW_SEASON = Look("new season", new_season_share=1.0)


def render_many(kind: str, look: Look, count: int, seed: int = 3) -> list[Grain]:
    rng = np.random.default_rng(seed)
    return [render_grain(kind, look, rng) for _ in range(count)]


def mean_colours(grains: list[Grain]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([grain.pixels[grain.mask].mean(axis=0) for grain in grains])  # (N, 3) BGR


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(CLASS_NAMES), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_every_grain_fits_a_48_px_window_with_its_mask_margin(kind: str, seed: int, share: float) -> None:
    grain = render_grain(kind, Look("any", new_season_share=share), np.random.default_rng(seed))

    height, width = grain.mask.shape
    assert grain.pixels.shape == (height, width, 3)
    assert grain.pixels.dtype == np.uint8
    assert max(height, width) <= 46
    assert grain.mask[0].any() and grain.mask[-1].any() and grain.mask[:, 0].any() and grain.mask[:, -1].any()
    assert not grain.pixels[~grain.mask].any()


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(CLASS_NAMES), seed=st.integers(0, 2**32))
def test_same_seed_gives_the_same_bytes(kind: str, seed: int) -> None:
    first = render_grain(kind, FLOOR, np.random.default_rng(seed))
    second = render_grain(kind, FLOOR, np.random.default_rng(seed))

    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.mask.tobytes() == second.mask.tobytes()


@pytest.mark.parametrize("kind", CLASS_NAMES)
def test_segmentation_finds_one_object_where_one_grain_lies(kind: str) -> None:
    found = []
    for grain in render_many(kind, FLOOR, 120):
        frame = np.zeros((64, 64, 3), np.uint8)
        frame[8 : 8 + grain.mask.shape[0], 8 : 8 + grain.mask.shape[1]] = grain.pixels
        found.append(len(segment(frame, SegmentSettings(threshold=45))))

    assert found.count(1) >= 118  # a thread between two halves of a stone may be lost


def test_no_mean_colour_tells_all_classes_apart() -> None:
    """The product must need a network: the nearest mean colour is wrong on a third or more."""
    train = [mean_colours(render_many(kind, LAB, 120, seed=1)).mean(axis=0) for kind in CLASS_NAMES]
    right = 0
    for class_id, kind in enumerate(CLASS_NAMES):
        colours = mean_colours(render_many(kind, LAB, 60, seed=2))
        distances = np.linalg.norm(colours[:, None] - np.array(train), axis=2)
        right += int((distances.argmin(axis=1) == class_id).sum())

    assert 1 / 6 < right / (60 * len(CLASS_NAMES)) < 0.67


def test_broken_kernels_are_shorter_than_sound_ones_but_overlap() -> None:
    sound = np.array([grain.mask.sum() for grain in render_many("sound", LAB, 100)])
    broken = np.array([grain.mask.sum() for grain in render_many("broken", LAB, 100)])

    assert np.median(broken) < 0.8 * np.median(sound)
    assert broken.max() > sound.min()


def test_new_season_sound_kernels_are_darker_and_redder_than_any_the_laboratory_knows() -> None:
    lab = mean_colours(render_many("sound", LAB, 60))
    new = mean_colours(render_many("sound", NEW_SEASON, 60))

    assert new.mean() < 0.85 * lab.mean()
    assert (new[:, 2] / new[:, 0]).mean() > 1.2 * (lab[:, 2] / lab[:, 0]).mean()


def test_dusty_stones_come_nearer_to_the_grains_colour() -> None:
    sound = mean_colours(render_many("sound", LAB, 60)).mean(axis=0)
    clean = mean_colours(render_many("stone", LAB, 60)).mean(axis=0)
    dusty = mean_colours(render_many("stone", NEW_SEASON, 60)).mean(axis=0)

    assert np.linalg.norm(dusty - sound) < np.linalg.norm(clean - sound)


def test_every_class_has_a_name_in_both_languages() -> None:
    assert set(CLASS_NAMES) == set(DISPLAY_NAMES)
    assert all(name.en and name.zh_cn for name in DISPLAY_NAMES.values())


def test_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'husk' is no class .* sound, broken"):
        render_grain("husk", LAB, np.random.default_rng(0))


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"outside 0\.\.1"):
        Look("x", new_season_share=share)


def test_sample_set_has_the_counts_asked_for_and_a_row_for_every_picture(tmp_path: Path) -> None:
    manifest = write_class_folders(tmp_path, {"sound": 40, "stone": 3}, LAB, seed=5)

    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["sound"] * 40 + ["stone"] * 3
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert len({row["group"] for row in rows}) == 43
    pictures = [cv2.imread(str(tmp_path / row["file"])) for row in rows]
    assert all(picture is not None and picture.shape == (48, 48, 3) for picture in pictures)


def test_sample_set_is_the_same_byte_for_byte_with_the_same_seed(tmp_path: Path) -> None:
    sets = []
    for name in ("a", "b"):
        write_class_folders(tmp_path / name, {"broken": 5, "insect": 4}, FLOOR, seed=9)
        sets.append({path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")})

    assert len(sets[0]) == 10
    assert sets[0] == sets[1]


def test_unknown_class_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="husk"):
        write_class_folders(tmp_path, {"husk": 2}, LAB, seed=1)

    assert list(tmp_path.iterdir()) == []


def test_sample_set_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(StorageError, match="taken"):
        write_class_folders(tmp_path / "taken", {"sound": 1}, LAB, seed=1)
