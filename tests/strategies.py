"""Scenes, crops and settings that several test modules draw from."""

from collections.abc import Sequence

import cv2
import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from edge_runtime.decisions import Decisions
from edge_runtime.segment import SegmentSettings
from edge_runtime.truth import ExpectedObjects, Verdicts

__all__ = [
    "colour_score",
    "decided_boxes",
    "draw_shape",
    "objects_at",
    "scenes",
    "segment_settings",
    "stub_scores",
    "verdicts_at",
]

Shape = tuple[str, int, int, int, int, int]


def draw_shape(scene: NDArray[np.uint8], shape: Shape) -> None:
    """Draw (kind, x, y, width, height, level) into a scene (H, W, C), in place; what reaches outside is cut off."""
    kind, x, y, width, height, level = shape
    colour = np.array([level, max(1, level - 40), max(1, level // 2)] * scene.shape[2], np.uint8)[: scene.shape[2]]
    stencil = np.zeros(scene.shape[:2], np.uint8)
    centre, axes = (x + width // 2, y + height // 2), (width // 2, height // 2)
    match kind:
        case "box":
            cv2.rectangle(stencil, (x, y), (x + width - 1, y + height - 1), 1, cv2.FILLED)
        case "ellipse":
            cv2.ellipse(stencil, centre, axes, 0, 0, 360, 1, cv2.FILLED)
        case "ring":
            cv2.ellipse(stencil, centre, axes, 0, 0, 360, 1, 2)
        case _:
            cv2.line(stencil, (x, y), (x + width - 1, y + height - 1), 1, 1)
    scene[stencil > 0] = colour


@st.composite
def scenes(
    draw: st.DrawFn,
    *,
    heights: st.SearchStrategy[int],
    width: int = 40,
    channels: int = 3,
    kinds: tuple[str, ...] = ("box", "ellipse", "ring", "line"),
    longest: int = 90,
) -> NDArray[np.uint8]:
    """Draw a dark scene (H, W, C) with bright things in it: near, touching, nested, cut off by the borders, noisy."""
    height = draw(heights)
    scene = np.zeros((height, width, channels), np.uint8)
    shapes = st.tuples(
        st.sampled_from(kinds),
        st.integers(-5, width - 1),
        st.integers(-5, height - 1),
        st.integers(1, width),
        st.one_of(st.integers(1, 24), st.integers(1, longest)),
        st.integers(90, 255),
    )
    for shape in draw(st.lists(shapes, max_size=12)):
        draw_shape(scene, shape)
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        scene[rng.random((height, width)) < 0.01] = 200
    return scene


def segment_settings(polarity: str = "bright") -> st.SearchStrategy[SegmentSettings]:
    """Draw settings that find bright objects, of any blur and margin."""
    return st.builds(
        SegmentSettings,
        channel=st.sampled_from(["gray", "red", "chroma"]),
        polarity=st.just(polarity),
        blur_px=st.sampled_from([1, 3, 5]),
        min_area_px=st.sampled_from([1, 9, 40]),
        min_width_px=st.sampled_from([1, 4]),
        split_neck=st.sampled_from([0.0, 0.9]),
        min_solidity=st.sampled_from([0.0, 0.9]),
        mask_margin_px=st.integers(0, 3),
    )


def decided_boxes(boxes: Sequence[Sequence[int]], is_eject: Sequence[bool] | None = None) -> Decisions:
    """Return decisions of class 1 about boxes (x, line, width, height), all ejected unless told otherwise."""
    count = len(boxes)
    table = np.array(boxes, np.int64).reshape(-1, 4)
    return Decisions(
        camera="top",
        lines=table[:, 1] + table[:, 3] - 1,
        columns=table[:, 0].astype(np.int32),
        boxes_px=table,
        centres_mm=np.zeros((count, 2)),
        lengths_mm=np.zeros(count),
        widths_mm=np.zeros(count),
        angles_deg=np.zeros(count),
        class_ids=np.ones(count, np.int64),
        scores=np.zeros((count, 2), np.float32),
        is_eject=np.array(is_eject or [True] * count, np.bool_),
        norm_numerators=np.zeros(count, np.int64),
        norm_denominators=np.ones(count, np.int64),
        pixels=np.zeros((count, 8, 8, 3), np.uint8),
        masks=np.zeros((count, 8, 8), np.bool_),
    )


def objects_at(points: ArrayLike) -> ExpectedObjects:
    """Return objects of class 0, let pass, expected at points (tick, lane)."""
    ticks, lanes = np.array(points, np.int64).reshape(-1, 2).T
    return ExpectedObjects(ticks, lanes, np.zeros(ticks.size, np.int64), np.zeros(ticks.size, np.bool_))


def verdicts_at(points: ArrayLike) -> Verdicts:
    """Return verdicts of class 0, seen on the accept side, at points (tick, lane)."""
    ticks, lanes = np.array(points, np.int64).reshape(-1, 2).T
    return Verdicts(ticks, lanes, np.zeros(ticks.size, np.int64), np.zeros(ticks.size, np.bool_))


def colour_score(crops: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a number for each crop (N, S, S, C) that any changed pixel changes, but for rare collisions."""
    flat = crops.reshape(len(crops), int(np.prod(crops.shape[1:]))).astype(np.int64)
    places = np.arange(1, flat.shape[1] + 1, dtype=np.int64) % 9973
    return np.asarray((flat * places).sum(axis=1), np.int64)


def stub_scores(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return scores (N, 3) of crops (N, S, S, C): any function of the pixels will do, as long as it is one."""
    first = (colour_score(crops) % 101 / 101).astype(np.float32)
    return np.stack([first, 1 - first, np.full(len(crops), 0.5, np.float32)], axis=1)
