"""What a data set's samples have in common is taken from all pictures together, in any order."""

import tarfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.images import decode_picture
from edge_runtime.norm import NormSpec
from edge_runtime.segment import SegmentSettings, segment
from trainer.acquire.data_set_choice import DataSetEvidence, MaskChoice, decide_data_set, largest_object
from trainer.errors import ImportFailedError, SettingsError
from trainer.pool.data_set import DataSet

DATA = Path(__file__).parents[2] / "shared" / "data"
Pictures = list[tuple[str, NDArray[np.uint8]]]


def picture(
    side_px: int = 60, box: tuple[int, int] = (20, 10), *, level: int = 200, ground: int = 10
) -> NDArray[np.uint8]:
    """A filled rectangle of (width, height) in the middle of a square picture."""
    pixels = np.full((side_px, side_px, 3), ground, np.uint8)
    width_px, height_px = box
    top, left = (side_px - height_px) // 2, (side_px - width_px) // 2
    pixels[top : top + height_px, left : left + width_px] = level
    return pixels


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def decide(pictures: Pictures, mask: MaskChoice = "auto") -> tuple[DataSet, DataSetEvidence]:
    return decide_data_set(lambda: pictures, mask)


def test_one_bright_object_a_picture_gives_object_mode_and_bright_polarity() -> None:
    data_set, evidence = decide([("a", picture()), ("b", picture(level=150))])
    assert data_set.segment.mask == "object"
    assert data_set.segment.polarity == "bright"
    assert evidence.single_object_share == {"a": 1.0, "b": 1.0}
    assert 10 <= data_set.segment.threshold < 150


def test_dark_objects_on_a_bright_ground_give_dark_polarity() -> None:
    data_set, evidence = decide([("a", picture(level=30, ground=220))])
    assert (data_set.segment.mask, data_set.segment.polarity) == ("object", "dark")
    assert evidence.border_level == 220


@pytest.mark.parametrize(("singles", "mask"), [(19, "object"), (18, "full")])
def test_object_mode_needs_95_percent_of_every_class(singles: int, mask: str) -> None:
    two = picture()
    two[2:8, 2:8] = 200
    pictures = [("a", picture())] * 100 + [("b", picture())] * singles + [("b", two)] * (20 - singles)
    data_set, evidence = decide(pictures)
    assert data_set.segment.mask == mask
    assert evidence.single_object_share["b"] == singles / 20
    assert "class b" in evidence.reason


@pytest.mark.parametrize("box", [(4, 4), (58, 58)])
def test_objects_that_cover_too_little_or_too_much_give_full_mode(box: tuple[int, int]) -> None:
    assert decide([("a", picture(box=box))])[0].segment.mask == "full"


def test_specks_are_no_objects() -> None:
    dusty = picture(side_px=100, box=(40, 20))
    dusty[3:7, 3:7] = 200  # 16 px: less than 0.2 % of the picture's 10,000
    data_set, _ = decide([("a", dusty)])
    assert data_set.segment.min_area_px == 20
    assert data_set.segment.mask == "object"


@pytest.mark.parametrize("mask", ["object", "full"])
def test_the_mask_that_was_asked_for_holds(mask: MaskChoice) -> None:
    data_set, evidence = decide([("a", picture())], mask)
    assert data_set.segment.mask == mask
    assert evidence.mask_asked == mask


def test_object_mode_without_any_object_is_refused() -> None:
    with pytest.raises(SettingsError, match="no picture holds an object"):
        decide([("a", np.zeros((30, 30, 3), np.uint8))], "object")


def test_no_picture_is_an_error() -> None:
    with pytest.raises(ImportFailedError, match="no picture"):
        decide([])


def test_a_norm_that_does_not_fit_the_channels_is_refused() -> None:
    with pytest.raises(SettingsError, match="2 entries for 3 channels"):
        decide_data_set(lambda: [("a", picture())], "auto", norm=NormSpec(channel_weights=(1, 2)))


def test_the_decision_does_not_depend_on_the_order_of_pictures() -> None:
    rng = np.random.default_rng(3)
    pictures = [(f"c{i % 3}", picture(box=(8 + i, 20), level=100 + 3 * i)) for i in range(30)]
    shuffled = [pictures[i] for i in rng.permutation(30)]
    assert decide(pictures) == decide(shuffled)


@pytest.mark.parametrize(
    ("extent_px", "side_px", "reduction"),
    [(10, 16, 1), (16, 16, 1), (17, 32, 1), (64, 64, 1), (65, 48, 2), (87, 48, 2), (128, 64, 2), (250, 64, 4)],
)
def test_the_crop_holds_the_objects_within_64_px(extent_px: int, side_px: int, reduction: int) -> None:
    data_set, _ = decide([("a", picture(extent_px, (1, 1)))], "full")
    assert (data_set.crop.side_px, data_set.crop.reduction) == (side_px, reduction)


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_every_extent_fits_a_crop_of_at_most_64_px(extent_px: int) -> None:
    data_set, _ = decide([("a", np.zeros((1, extent_px, 3), np.uint8))], "full")
    assert data_set.crop.window_px >= extent_px
    assert data_set.crop.side_px <= 64
    assert data_set.crop.side_px % 16 == 0


def test_a_rare_giant_does_not_shrink_all_others() -> None:
    pictures = [("a", picture(box=(30, 10)))] * 999 + [("a", picture(200, (150, 40)))]
    data_set, evidence = decide(pictures)
    assert evidence.extent_px == 30
    assert data_set.crop.window_px == 32


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=16, max_size=16))
def test_the_threshold_separates_the_levels_best(levels: list[int]) -> None:
    pixels = np.repeat(np.array(levels, np.uint8).reshape(4, 4, 1), 3, axis=2)
    gray = [int(level) for level in cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).ravel()]

    def between(threshold: int) -> Fraction:
        low, high = [g for g in gray if g <= threshold], [g for g in gray if g > threshold]
        if not low or not high:
            return Fraction(-1)
        return len(low) * len(high) * (Fraction(sum(low), len(low)) - Fraction(sum(high), len(high))) ** 2

    data_set, evidence = decide([("a", pixels)])
    assert evidence.threshold == max(range(255), key=lambda threshold: (between(threshold), -threshold))
    assert data_set.segment.threshold == evidence.threshold


def test_the_largest_object_is_taken_and_none_stays_none() -> None:
    frame = picture(box=(20, 20))
    frame[2:6, 2:6] = 200
    settings = SegmentSettings(min_area_px=1)
    objects = segment(frame, settings)
    assert len(objects) == 2
    assert largest_object(objects).boxes_px[0, 2:].tolist() == [20, 20]
    assert len(largest_object(segment(np.zeros_like(frame), settings))) == 0


@pytest.mark.parametrize(
    ("name", "mask", "side_px", "reduction"),
    [
        ("rice_varieties", "object", 48, 2),
        ("coffee_defects17", "full", 64, 4),
        ("trashnet", "full", 64, 2),
        ("deeppcb_crops", "full", 64, 1),
    ],
)
def test_real_data_sets_are_decided_as_a_person_would(name: str, mask: str, side_px: int, reduction: int) -> None:
    path = DATA / name / "train.tar"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isreg()][::10]
        files = [(m.name.split("/")[1], read_member(archive, m)) for m in members]
    data_set, _ = decide([(class_name, decode_picture(data).pixels) for class_name, data in files])
    assert (data_set.segment.mask, data_set.crop.side_px, data_set.crop.reduction) == (mask, side_px, reduction)


def test_a_larger_limit_keeps_more_pixels_of_a_side() -> None:
    """A picture of 256 px: reduced by 4 to 64 px by default, by 3 to 86 px, padded to 96, with a limit of 96."""
    pictures = [("good", np.full((256, 256, 3), level, np.uint8)) for level in (10, 200)]
    sides = {
        limit: decide_data_set(lambda: pictures, "full", most_side_px=limit)[0].crop for limit in (64, 96, 128, 256)
    }
    assert {limit: (crop.side_px, crop.reduction) for limit, crop in sides.items()} == {
        64: (64, 4),
        96: (96, 3),
        128: (128, 2),
        256: (256, 1),
    }
