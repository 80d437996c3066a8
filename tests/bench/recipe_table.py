"""What `sortloop-edge recipe` proposes from three frames, measured on the others, beside settings made by hand.

`python tests/bench/recipe_table.py DATA` prints the table, for the products and with the settings by hand of
frames_table.py. Each is asked three times, with other frames.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from frames_table import PRODUCTS
from numpy.typing import NDArray

from edge_runtime.annotations import match_objects, read_annotations
from edge_runtime.propose import propose
from edge_runtime.segment import SegmentSettings
from edge_runtime.split import find_objects

TAKES: Final = 3
LOOKED_AT: Final = 3
HEADS: Final = ("product", "looked at", "proposed", "recall", "precision", "mean IoU", "by hand")
Seen = tuple[NDArray[np.uint8], list[NDArray[np.float32]]]  # a frame and its polygons


def main(data: Path) -> None:
    """Print the table as Markdown."""
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for product in PRODUCTS:
        seen = _load(data / product.folder, product.prefix)
        step = max(1, len(seen) // LOOKED_AT)
        for take in range(TAKES):
            chosen = list(range(take, len(seen), step))[:LOOKED_AT]
            others = [one for i, one in enumerate(seen) if i not in chosen]
            settings = propose([seen[i][0] for i in chosen]).settings
            words = f"{settings.channel} {settings.polarity} {settings.threshold}, neck {settings.split_neck:g}"
            by_hand = ", ".join(_figures(others, product.settings))
            cells = [product.name, f"{len(chosen)} of {len(seen)}", words, *_figures(others, settings), by_hand]
            lines.append(f"| {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _load(folder: Path, prefix: str) -> list[Seen]:
    truth = read_annotations(folder / "annotations.json")
    paths = {name: next(folder.rglob(Path(name).name)) for name in sorted(truth)}
    chosen = [name for name, path in paths.items() if path.relative_to(folder).as_posix().startswith(prefix)]
    return [(np.asarray(cv2.imread(str(paths[name])), np.uint8), truth[name]) for name in chosen]


def _figures(seen: Sequence[Seen], settings: SegmentSettings) -> list[str]:
    matches = [match_objects(find_objects(frame, settings).contours, drawn, frame.shape[:2]) for frame, drawn in seen]
    ious = [iou for match in matches for iou in match.ious]
    found, expected = sum(match.found for match in matches), sum(match.expected for match in matches)
    shares = (len(ious) / max(1, expected), len(ious) / max(1, found), float(np.mean(ious)) if ious else 0.0)
    return [f"{share:.3f}" for share in shares]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
