from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError, CropError, StorageError
from edge_runtime.grain_sources import ClassFolderGrains, GrainPool, GrainSource, RenderedGrains
from edge_runtime.grains import CLASS_NAMES, FLOOR, LAB, write_class_folders
from edge_runtime.segment import SegmentSettings, segment
from edge_runtime.virtual_belt import BeltSettings, VirtualBelt

MIX = {"sound": 6.0, "broken": 2.0, "stone": 1.0}
SEGMENT = SegmentSettings(threshold=45)


@pytest.fixture(scope="module")
def pool() -> GrainPool:
    return GrainPool(RenderedGrains(FLOOR), per_class=20, seed=4)


def scene_of(belt: VirtualBelt, block_lines: int) -> NDArray[np.uint8]:
    return np.concatenate([block.pixels for block in belt.blocks(block_lines)])


@settings(max_examples=30, deadline=None)
@given(
    block_lines=st.integers(1, 700),
    seed=st.integers(0, 1000),
    gap_mm=st.sampled_from([0.0, 0.8]),
    pieces=st.integers(0, 25),
)
def test_any_cut_gives_the_uncut_scene(
    pool: GrainPool, block_lines: int, seed: int, gap_mm: float, pieces: int
) -> None:
    belt = VirtualBelt(BeltSettings(MIX, pieces=pieces, width_px=200, seed=seed, min_gap_mm=gap_mm), pool)
    blocks = list(belt.blocks(block_lines))
    objects = belt.objects

    whole = list(belt.blocks(1_000_000))
    assert objects == belt.objects
    assert [block.first_line for block in blocks] == list(range(0, sum(len(b.pixels) for b in blocks), block_lines))
    assert len(whole) == (1 if pieces else 0)
    if pieces:
        assert np.array_equal(whole[0].pixels, np.concatenate([block.pixels for block in blocks]))


def test_truth_says_where_each_piece_lies(pool: GrainPool) -> None:
    belt = VirtualBelt(BeltSettings(MIX, pieces=120, width_px=400, rate_hz=300), pool)

    found = segment(scene_of(belt, 128), SEGMENT)

    assert len(belt.objects) == 120
    seen = {(x + w / 2, y + h / 2) for x, y, w, h in found.boxes_px.tolist()}
    near = [any(abs(x - p.centre_px) < 3 and abs(y - p.centre_line) < 3 for x, y in seen) for p in belt.objects]
    assert sum(near) >= 118


def test_pieces_with_a_gap_never_come_nearer_than_it(pool: GrainPool) -> None:
    belt = VirtualBelt(BeltSettings(MIX, pieces=300, width_px=200, rate_hz=5000, min_gap_mm=0.8, pixel_mm=0.13), pool)
    scene_of(belt, 256)

    for first in belt.objects:
        for second in belt.objects[first.number + 1 :]:
            across = max(first.x_px, second.x_px) - min(first.x_px + first.width_px, second.x_px + second.width_px)
            along = second.first_line - first.last_line - 1
            assert max(across, along) >= 6


def test_pieces_arrive_at_the_rate_asked_for(pool: GrainPool) -> None:
    asked = BeltSettings(MIX, pieces=2000, width_px=1024, rate_hz=800)
    belt = VirtualBelt(asked, pool)
    for _ in belt.blocks(512):
        pass

    seconds = belt.objects[-1].first_line * asked.pixel_mm / asked.belt_mm_s
    assert 2000 / seconds == pytest.approx(800, rel=0.06)


def test_mix_is_kept_in_the_mean(pool: GrainPool) -> None:
    belt = VirtualBelt(BeltSettings(MIX, pieces=1800, rate_hz=2000), pool)
    for _ in belt.blocks(512):
        pass

    kinds = [piece.kind for piece in belt.objects]
    assert [kinds.count(kind) / 200 for kind in MIX] == pytest.approx([6.0, 2.0, 1.0], rel=0.2)


def test_background_stays_darker_than_12_levels() -> None:
    belt = VirtualBelt(
        BeltSettings({"sound": 1.0}, pieces=1, width_px=64, rate_hz=1, noise_levels=12), RenderedGrains(LAB)
    )
    first = next(iter(belt.blocks(64)))

    assert first.pixels.shape == (64, 64, 3)
    assert 0 < int(first.pixels.max()) <= 12


def test_frames_hold_every_piece_whole(pool: GrainPool) -> None:
    height = 90
    belt = VirtualBelt(BeltSettings(MIX, pieces=150, width_px=300, rate_hz=2000), pool)

    frames = list(belt.frames(height))

    assert all(frame.shape == (height, 300, 3) for frame in frames)
    assert all(piece.first_line // height == piece.last_line // height for piece in belt.objects)
    assert sum(len(segment(frame, SEGMENT)) for frame in frames) >= 147


def test_frame_too_low_for_a_piece_is_refused(pool: GrainPool) -> None:
    with pytest.raises(ConfigError, match="does not fit a frame of 20 px"):
        list(VirtualBelt(BeltSettings({"sound": 1.0}, pieces=20), pool).frames(20))


@pytest.mark.parametrize("mix", [{}, {"sound": 0.0}, {"sound": 1.0, "stone": -1.0}])
def test_mix_without_positive_shares_is_refused(pool: GrainPool, mix: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="share above 0"):
        VirtualBelt(BeltSettings(mix), pool)


def test_mix_with_an_unknown_class_is_refused(pool: GrainPool) -> None:
    with pytest.raises(ConfigError, match="'husk'"):
        VirtualBelt(BeltSettings({"husk": 1.0}), pool)


def test_piece_wider_than_the_belt_is_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"stone": 1}, LAB, seed=1)
    whole_pictures = ClassFolderGrains(tmp_path, SegmentSettings(mask="full"))

    belt = VirtualBelt(BeltSettings({"stone": 1.0}, pieces=1, width_px=64, noise_levels=0), whole_pictures)
    assert next(iter(belt.blocks(64))).pixels.shape[1] == 64  # 48 px and two edges fit

    _double_size(tmp_path / "stone" / "00001.png")
    with pytest.raises(ConfigError, match="96 px does not fit a belt of 64 px"):
        list(belt.blocks(64))


def _double_size(path: Path) -> None:
    picture = cv2.imread(str(path))
    assert picture is not None
    cv2.imwrite(str(path), cv2.resize(picture, (96, 96)))


@pytest.fixture(params=["rendered", "pool", "folder"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> GrainSource:
    if request.param == "rendered":
        return RenderedGrains(FLOOR)
    if request.param == "pool":
        return GrainPool(RenderedGrains(LAB), per_class=3, seed=1)
    write_class_folders(tmp_path, dict.fromkeys(CLASS_NAMES, 3), LAB, seed=1)
    return ClassFolderGrains(tmp_path, SEGMENT)


class TestGrainSourceContract:
    def test_draws_a_masked_piece_of_every_class(self, source: GrainSource) -> None:
        for kind in source.class_names:
            grain = source.draw(kind, np.random.default_rng(1))
            assert grain.pixels.shape == (*grain.mask.shape, 3)
            assert grain.mask.any()
            assert not grain.pixels[~grain.mask].any()

    def test_same_generator_gives_the_same_piece(self, source: GrainSource) -> None:
        pieces = [source.draw("broken", np.random.default_rng(5)).pixels for _ in range(2)]
        assert np.array_equal(pieces[0], pieces[1])

    def test_refuses_a_class_it_does_not_have(self, source: GrainSource) -> None:
        with pytest.raises(ConfigError, match="husk"):
            source.draw("husk", np.random.default_rng(1))


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    with pytest.raises(ConfigError, match="no class folder with a picture"):
        ClassFolderGrains(tmp_path, SEGMENT)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot list"):
        ClassFolderGrains(tmp_path / "gone", SEGMENT)


def test_picture_without_an_object_is_named(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"sound": 1}, LAB, seed=1)
    strict = ClassFolderGrains(tmp_path, SegmentSettings(threshold=254))
    with pytest.raises(CropError, match=r"00001\.png"):
        strict.draw("sound", np.random.default_rng(0))
