"""Near-duplicates: exactly the pairs within the limit are joined, however many samples there are."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.acquire.grouping import GroupMember, group_samples, look_alikes_across_sides
from trainer.acquire.near_duplicates import MAX_DIFFERENCE, near_duplicate_clusters, thumbnails


def clusters_by_hand(thumbs: NDArray[np.uint8], limit: int) -> list[int]:
    """All pairs compared, components by repeated relabelling."""
    wide = thumbs.astype(np.int64)
    near = (np.abs(wide[:, None] - wide[None]) <= limit).all(axis=2)
    labels = np.arange(len(thumbs))
    while True:
        smallest = np.array([labels[row].min() for row in near], np.int64)
        if np.array_equal(smallest, labels):
            return [int(label) for label in labels]
        labels = smallest


def grains(count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Crops of (N, 48, 48, 3) with bright ellipses of many sizes on 0."""
    crops = np.zeros((count, 48, 48, 3), np.uint8)
    for crop in crops:
        axes = (int(rng.integers(8, 22)), int(rng.integers(5, 12)))
        colour = [int(c) for c in rng.integers(120, 250, 3)]
        cv2.ellipse(crop, (24, 24), axes, float(rng.integers(0, 180)), 0, 360, colour, cv2.FILLED)
        crop[:] = cv2.GaussianBlur(crop, (5, 5), 1.0)  # as optics do
    return crops


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.integers(0, 40))
def test_clusters_are_those_of_comparing_all_pairs(seed: int, count: int, pixels: int, limit: int) -> None:
    thumbs = np.random.default_rng(seed).integers(0, 256, (count, pixels), dtype=np.uint8)
    assert near_duplicate_clusters(thumbs, limit).tolist() == clusters_by_hand(thumbs, limit)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_cutting_a_large_set_loses_no_pair(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 256, (120, 12), dtype=np.uint8)  # 700 noisy copies of 120 kinds: many pairs, several cuts
    noisy = kinds[rng.integers(0, 120, 700)].astype(np.int64) + rng.integers(-4, 5, (700, 12))
    thumbs = np.clip(noisy, 0, 255).astype(np.uint8)
    assert near_duplicate_clusters(thumbs, limit).tolist() == clusters_by_hand(thumbs, limit)


def test_a_large_set_that_no_cut_divides_is_joined_whole() -> None:
    thumbs = np.random.default_rng(1).integers(100, 104, (3000, 256), dtype=np.uint8)
    assert set(near_duplicate_clusters(thumbs).tolist()) == {0}


def test_thousands_of_identical_thumbnails_are_one_cluster() -> None:
    thumbs = np.zeros((20_000, 256), np.uint8)
    assert not near_duplicate_clusters(thumbs).any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_clusters_do_not_depend_on_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thumbs = rng.integers(0, 30, (80, 3), dtype=np.uint8)
    order = rng.permutation(80)
    straight, mixed = near_duplicate_clusters(thumbs), near_duplicate_clusters(thumbs[order])
    together = straight[:, None] == straight[None]
    assert np.array_equal(together[np.ix_(order, order)], mixed[:, None] == mixed[None])


def test_the_limit_is_six_grey_levels_of_the_worst_pixel() -> None:
    thumbs = np.full((3, 256), 100, np.uint8)
    thumbs[1, 7] += MAX_DIFFERENCE
    thumbs[2, 9] += MAX_DIFFERENCE + 1
    assert near_duplicate_clusters(thumbs).tolist() == [0, 0, 2]


def test_no_sample_gives_no_cluster() -> None:
    assert near_duplicate_clusters(np.zeros((0, 256), np.uint8)).shape == (0,)


def test_a_picture_saved_again_is_found() -> None:
    crops = grains(6, np.random.default_rng(5))
    again = []
    for crop in crops:
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])
        again.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8))
    clusters = near_duplicate_clusters(thumbnails(np.concatenate([crops, np.stack(again)])))
    assert clusters.tolist() == [*range(6), *range(6)]


def test_look_alike_grains_do_not_chain() -> None:
    """Different grains of one kind stay apart, or a whole class would fall on one side of the split."""
    clusters = near_duplicate_clusters(thumbnails(grains(1500, np.random.default_rng(11))))
    assert np.bincount(clusters).max() <= 6


@pytest.mark.parametrize(("side_px", "channels"), [(16, 1), (48, 3), (64, 5), (40, 3)])
def test_thumbnails_are_16_by_16_whatever_the_crop(side_px: int, channels: int) -> None:
    crops = np.full((2, side_px, side_px, channels), 77, np.uint8)
    assert np.array_equal(thumbnails(crops), np.full((2, 256), 77, np.uint8))


def test_samples_without_a_group_join_the_stated_group_nearest_to_the_test() -> None:
    members = [
        GroupMember("a", None, None),
        GroupMember("b", "g1", "train"),
        GroupMember("c", "g2", "test"),
        GroupMember("d", None, None),
        GroupMember("e", None, None),
    ]
    assert group_samples(members, np.array([0, 0, 0, 3, 3])) == ("g2", "g1", "g2", "d", "d")


def test_look_alikes_on_two_sides_are_named_once_and_only_for_new_samples() -> None:
    members = [
        GroupMember("a", "g1", "train"),
        GroupMember("b", "g2", "test"),
        GroupMember("c", "g3", "train"),
        GroupMember("d", "g4", "test"),
        GroupMember("e", "g5", "train"),
    ]
    pairs = look_alikes_across_sides(members, np.array([0, 0, 2, 2, 4]), {"b", "e"})
    assert [(one.sample_id, other.sample_id) for one, other in pairs] == [("b", "a")]
