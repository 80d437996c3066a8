"""Objects found on real frames, beside polygons that people drew: one table.

`python tests/bench/frames_table.py DATA` with the folder that holds `frames_sorghum` and `frames_beans_coffee`. One
recipe a product and light, none fitted to a single frame. Size errors are those of the longer side and of the side
across it, of matched pairs on frames whose scale a coin gives; the coin counts as an object and not as a size. The last
column counts objects that a least solidity of 0.92 would call clusters.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tables import table

from edge_runtime.annotations import match_objects
from edge_runtime.segment import Objects, SegmentSettings, measure, segment
from edge_runtime.shapes import measure_shapes
from edge_runtime.split import find_objects
from edge_runtime.triage import solidities

CLUSTER: Final = 0.92  # solidity below which an object is taken for several
FOUND_HEAD: Final = (
    "product",
    "frames",
    "polygons",
    "recall",
    "precision",
    "mean IoU",
    "length, width error, median mm",
    "clusters",
)
CLUSTER_HEAD: Final = (
    "not parted: product",
    "objects that are several",
    "of them called cluster",
    "that are one",
    "of them",
)
BEANS: Final = SegmentSettings(
    threshold=100, blur_px=5, min_area_px=2000, min_width_px=30, split_neck=0.9, split_hole_px=200
)


@dataclass(frozen=True, slots=True)
class Product:
    """Frames of one product under one light, and its recipe."""

    name: str
    folder: str
    prefix: str
    settings: SegmentSettings


PRODUCTS: Final = (
    Product(
        "sorghum, scanner",
        "frames_sorghum",
        "images/",
        SegmentSettings(threshold=60, min_area_px=450, min_width_px=16, split_neck=0.9),
    ),
    Product("white beans on black", "frames_beans_coffee", "train/bean_", BEANS),
    Product(
        "roasted coffee on paper, daylight",
        "frames_beans_coffee",
        "train/coffee_20230504_11",
        SegmentSettings(
            polarity="dark",
            threshold=80,
            blur_px=5,
            min_area_px=2000,
            min_width_px=30,
            split_neck=0.8,
            split_hole_px=200,
        ),
    ),
    Product(
        "roasted coffee on paper, flash",
        "frames_beans_coffee",
        "train/coffee_20230504_21",
        SegmentSettings(
            channel="chroma",
            threshold=12,
            blur_px=5,
            min_area_px=2000,
            min_width_px=30,
            split_neck=0.8,
            split_hole_px=2000,
        ),
    ),
    Product(
        "roasted coffee on black",
        "frames_beans_coffee",
        "train/coffee_20230923",
        SegmentSettings(
            channel="chroma",
            threshold=5,
            blur_px=5,
            min_area_px=400,
            min_width_px=15,
            split_neck=0.8,
            split_hole_px=200,
        ),
    ),
)


@dataclass(slots=True)
class Tally:
    """What a product's frames gave, summed."""

    frames: int = 0
    found: int = 0
    drawn: int = 0
    ious: tuple[float, ...] = ()
    length_errors_mm: tuple[float, ...] = ()
    width_errors_mm: tuple[float, ...] = ()
    clusters: int = 0


def main() -> None:
    """Print both tables."""
    data = Path(sys.argv[1])
    found = [row(product, tally(data, product)) for product in PRODUCTS]
    clusters = [cluster_row(data, product) for product in PRODUCTS]
    sys.stdout.write(table(FOUND_HEAD, found, markdown=True) + "\n" + table(CLUSTER_HEAD, clusters, markdown=True))


def tally(data: Path, product: Product) -> Tally:
    """Find objects on all frames of a product and compare them with the polygons."""
    total = Tally()
    for image in _images(data / product.folder, product.prefix):
        frame = np.asarray(cv2.imread(str(data / product.folder / image["file"])), np.uint8)
        found = find_objects(frame, product.settings)
        polygons = [np.array(one["polygon"], np.float32) for one in image["objects"]]
        match = match_objects(found.contours, polygons, frame.shape[:2])
        total.frames += 1
        total.found += match.found
        total.drawn += match.expected
        total.ious += match.ious
        total.clusters += int((solidities(found) < CLUSTER).sum())
        if image.get("mm_per_px"):
            beans = [(f, p) for f, p in match.pairs if "coin" not in image["objects"][p]["label"]]
            _add_errors(total, found, [(f, polygons[p]) for f, p in beans], image["mm_per_px"])
    return total


def row(product: Product, total: Tally) -> list[str]:
    """Return one line of the table."""
    sizes = (
        f"{np.median(total.length_errors_mm):.2f}, {np.median(total.width_errors_mm):.2f} "
        f"({len(total.length_errors_mm)} objects)"
        if total.length_errors_mm
        else "-"
    )
    return [
        product.name,
        f"{total.frames}",
        f"{total.drawn}",
        f"{len(total.ious) / total.drawn:.3f}",
        f"{len(total.ious) / max(1, total.found):.3f}",
        f"{np.mean(total.ious):.3f}",
        sizes,
        f"{total.clusters}",
    ]


def cluster_row(data: Path, product: Product) -> list[str]:
    """Return what the least solidity says of components that are not parted, beside how many polygons they hold."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for image in _images(data / product.folder, product.prefix):
        frame = np.asarray(cv2.imread(str(data / product.folder / image["file"])), np.uint8)
        found = segment(frame, product.settings)
        middles = [np.array(one["polygon"], np.float32).mean(axis=0).tolist() for one in image["objects"]]
        for contour, solidity in zip(found.contours, solidities(found).tolist(), strict=True):
            held = sum(cv2.pointPolygonTest(contour, middle, measureDist=False) >= 0 for middle in middles)
            counts[held > 1, solidity < CLUSTER] += 1
    several, ones = (counts[True, True], counts[True, False]), (counts[False, True], counts[False, False])
    return [product.name, *(f"{count}" for count in (sum(several), several[0], sum(ones), ones[0]))]


def _images(folder: Path, prefix: str) -> Iterator[dict[str, Any]]:
    images = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))["images"]
    return (image for image in images if image["file"].startswith(prefix))


def _add_errors(total: Tally, found: Objects, pairs: list[tuple[int, NDArray[np.float32]]], mm_per_px: float) -> None:
    ours = measure_shapes(found)
    for f, polygon in pairs:
        outline = np.round(polygon).astype(np.int32)[:, None]
        theirs = measure_shapes(measure([outline], found.foreground, SegmentSettings(min_area_px=1)))
        total.length_errors_mm += (abs(ours.lengths_px[f] - theirs.lengths_px[0]) * mm_per_px,)
        total.width_errors_mm += (abs(ours.widths_px[f] - theirs.widths_px[0]) * mm_per_px,)


if __name__ == "__main__":
    main()
