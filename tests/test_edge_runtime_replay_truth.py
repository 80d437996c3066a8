"""An entry of the truth file belongs to one picture: that of its name, else the one whose path has the same end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import FrameError
from edge_runtime.replay_truth import Polygons, Truth

PATHS = st.sets(st.sampled_from(["0.png", "a/0.png", "b/0.png", "b/a/0.png", "1.png", "a/1.png"])).map(sorted)


@given(PATHS, PATHS)
def test_no_entry_serves_two_pictures_and_exact_names_win(names: list[str], entries: list[str]) -> None:
    polygons = {entry: [np.full((3, 2), i, np.float32)] for i, entry in enumerate(entries)}
    truth = Truth(polygons, names)
    served: list[int] = []
    for name in names:
        try:
            drawn = truth.polygons_of(name)
        except FrameError:
            assert name not in polygons
            continue
        if name in polygons:
            assert drawn is polygons[name]
        if drawn is not None:
            served.append(int(drawn[0][0, 0]))
    assert len(served) == len(set(served))


def test_end_of_a_path_is_enough_where_it_is_clear() -> None:
    polygons: Polygons = {"elsewhere/0.png": [], "x/1.png": [], "y/1.png": []}
    truth = Truth(polygons, ())
    assert truth.polygons_of("run/0.png") == []
    assert truth.polygons_of("run/1.png") is None
    assert truth.polygons_of("run/2.png") is None


def test_second_picture_that_claims_an_entry_is_an_error_that_names_both() -> None:
    truth = Truth({"x/0.png": []}, ["a/0.png", "b/0.png"])
    truth.polygons_of("a/0.png")
    with pytest.raises(FrameError, match=r"a/0\.png and b/0\.png both claim what the truth file has for x/0\.png"):
        truth.polygons_of("b/0.png")
