"""Found objects and drawn polygons match once each, the best overlap first."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.annotations import IOU_LIMIT, Match, match_objects, read_annotations
from edge_runtime.errors import FrameError

SHAPE = (40, 60)
Box = tuple[int, int, int, int]
BOXES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 25), st.integers(2, 18), st.integers(2, 14)), max_size=6)


def corners(box: Box) -> NDArray[np.int32]:
    x, y, width, height = box
    right, bottom = x + width - 1, y + height - 1
    return np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.int32)


def match(found: list[Box], expected: list[Box]) -> Match:
    return match_objects([corners(b)[:, None] for b in found], [corners(b).astype(np.float32) for b in expected], SHAPE)


@given(BOXES, BOXES)
def test_each_matches_at_most_once_and_no_pair_is_below_the_limit(found: list[Box], expected: list[Box]) -> None:
    result = match(found, expected)
    assert (result.found, result.expected) == (len(found), len(expected))
    assert len(result.ious) <= min(len(found), len(expected))
    assert all(IOU_LIMIT <= iou <= 1 for iou in result.ious)
    assert list(result.ious) == sorted(result.ious, reverse=True)


@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 1))))
def test_same_boxes_apart_match_completely(cells: set[tuple[int, int]]) -> None:
    boxes = [(20 * column + 1, 20 * row + 1, 15, 12) for column, row in sorted(cells)]
    assert match(boxes, boxes[::-1]).ious == (1.0,) * len(boxes)


def test_overlap_is_intersection_over_union() -> None:
    assert match([(0, 0, 10, 10)], [(0, 0, 10, 8)]).ious == (0.8,)
    assert match([(0, 0, 10, 10)], [(5, 0, 10, 10)]).ious == ()  # 50 / 150
    assert match([(0, 0, 10, 10)], [(0, 0, 10, 5)]).ious == (0.5,)


def test_better_of_two_objects_takes_the_polygon() -> None:
    assert match([(0, 0, 10, 6), (0, 6, 10, 14)], [(0, 4, 10, 16)]).ious == (14 / 16,)


def test_nothing_matches_nothing() -> None:
    assert match([], []) == Match(0, 0, ())


def write(folder: Path, content: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def test_polygons_are_read_by_file_and_lines_are_left_out(tmp_path: Path) -> None:
    polygon = [[1, 2], [3.5, 2], [3, 9]]
    objects = [{"polygon": polygon, "label": "bean", "by": "Li"}, {"polygon": [[0, 0], [1, 1]]}]
    path = write(tmp_path, {"images": [{"file": "a.jpg", "objects": objects, "width": 9}], "made": "2026"})
    polygons = read_annotations(path)
    assert [array.tolist() for array in polygons["a.jpg"]] == [polygon]


@pytest.mark.parametrize(
    "content",
    [[], {}, {"images": [{"file": "a"}]}, {"images": [{"file": "a", "objects": [{"polygon": [[1]]}]}]}, "text"],
)
def test_file_of_another_shape_is_an_error_that_names_it(tmp_path: Path, content: object) -> None:
    with pytest.raises(FrameError, match=r"annotations\.json is no annotations file"):
        read_annotations(write(tmp_path, content))


@pytest.mark.parametrize("far", [1e300, -1e300, 1e39, 1e8, -1_000_001])
def test_corner_beyond_any_picture_is_an_error_that_names_file_and_picture(tmp_path: Path, far: float) -> None:
    for corner in ([far, 0], [0, far]):
        content = {"images": [{"file": "a.jpg", "objects": [{"polygon": [[0, 0], [9, 0], corner]}]}]}
        with pytest.raises(FrameError, match=r"annotations\.json: a polygon of a\.jpg has a corner at"):
            read_annotations(write(tmp_path, content))


def test_corner_outside_the_picture_is_taken(tmp_path: Path) -> None:
    polygon = [[-1_000_000, 0], [9, 0], [9, 1_000_000]]
    content = {"images": [{"file": "a.jpg", "objects": [{"polygon": polygon}]}]}
    polygons = read_annotations(write(tmp_path, content))
    assert polygons["a.jpg"][0].tolist() == polygon
    assert match_objects([], polygons["a.jpg"], SHAPE) == Match(0, 1, ())


def test_missing_and_broken_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_bytes(b'{"images": [\xff')
    for name in ("missing.json", "broken.json"):
        with pytest.raises(FrameError, match=f"{name} is no annotations file"):
            read_annotations(tmp_path / name)
