"""What is worth showing of a long replay, chosen while it runs, in bounded memory.

Frames are taken at even distances whatever their number will be; of each class the crops that a person should look at
first: ejects before accepted ones, and of these the least certain.

>>> even = EvenChoice(most=4)
>>> kept = [number for number in range(11) if even.takes(number)]
>>> [number for number in kept if even.keeps(number)]
[0, 4, 8]
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.overlay import Drawn, Outline, draw_overlay
from edge_runtime.page import jpeg_uri, png_uri
from edge_runtime.replay import Seen

__all__ = ["SHOWN_PX", "EvenChoice", "Example", "Gallery", "ShownFrame", "drawn_of", "outlines_of"]

SHOWN_PX: Final = 1200  # of a frame on the page
_THUMB_PX: Final = 96  # of an object without a crop on the page


class EvenChoice:
    """Chooses from a sequence of unknown length: at most `most`, at even distances, the first among them.

    Note:
        Once there would be too many, every second one is dropped and the distance doubles; so between half of `most`
        and `most` remain.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._step = 1

    def takes(self, number: int) -> bool:
        """Tell whether number, in ascending order of calls, is chosen for now."""
        while number // self._step >= self._most:
            self._step *= 2
        return self.keeps(number)

    def keeps(self, number: int) -> bool:
        """Tell whether a number that was chosen before still is."""
        return number % self._step == 0


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame with its overlay, as it stands on a page.

    Attributes:
        number: of the picture in the recording, from 0.
        name: inside the recording.
        uri: JPEG as a data URI.
        objects, ejected, unclassified: counts.
        missed, false: polygons without an object, objects without a polygon; None where nobody drew.
    """

    number: int
    name: str
    uri: str
    objects: int
    ejected: int
    unclassified: int
    missed: int | None
    false: int | None


@dataclass(frozen=True, slots=True)
class Example:
    """A crop on a page; the order of `rank` is the order in which they should be looked at.

    Attributes:
        rank: is it accepted, margin, number of the picture, row in its decisions; ascending.
        uri: PNG as a data URI; everything that is not the object is black.
        score: of its class, 0..1; 0 for one without a class.
        margin: by how much its class leads the next one, 0..1.
        is_eject: the action.
        place: name of the picture, line and column in it.
    """

    rank: tuple[bool, float, int, int]
    uri: str
    score: float
    margin: float
    is_eject: bool
    place: str


class Gallery:
    """Collects what a page shows of a replay; pass `look` to it as a viewer.

    Args:
        frames: most frames.
        crops: most crops a class.
    """

    def __init__(self, *, frames: int = 12, crops: int = 24) -> None:
        self._even = EvenChoice(frames)
        self._most = crops
        self._frames: list[ShownFrame] = []
        self._examples: dict[int, list[Example]] = {}
        self._counts: Counter[int] = Counter()

    @property
    def frames(self) -> tuple[ShownFrame, ...]:
        """The chosen frames, in the order of the recording."""
        return tuple(self._frames)

    def examples(self, class_id: int) -> tuple[Example, ...]:
        """Return the chosen crops of a class or a kind below 0, those to be looked at first first."""
        return tuple(self._examples.get(class_id, ()))

    def count(self, class_id: int) -> int:
        """Return how many objects of a class or a kind below 0 were seen, chosen or not."""
        return self._counts[class_id]

    def look(self, seen: Seen) -> None:
        """Take from a picture what is worth showing."""
        if self._even.takes(seen.number):
            self._frames = [frame for frame in self._frames if self._even.keeps(frame.number)]
            self._frames.append(_shown(seen))
        ids = seen.decisions.class_ids
        for class_id in np.unique(ids).tolist():
            rows = np.flatnonzero(ids == class_id)
            self._counts[class_id] += len(rows)
            self._examples[class_id] = self._best(seen, rows, self._examples.get(class_id, []))

    def _best(self, seen: Seen, rows: NDArray[np.int64], kept: list[Example]) -> list[Example]:
        """Return the crops to keep of a class; those that would not be kept are never encoded."""
        margins = _margins(seen.decisions.scores[rows]).tolist()
        is_accept = (~seen.decisions.is_eject[rows]).tolist()
        ranks = sorted(
            (accept, margin, seen.number, row)
            for accept, margin, row in zip(is_accept, margins, rows.tolist(), strict=True)
        )
        if len(kept) == self._most:
            ranks = [rank for rank in ranks if rank < kept[-1].rank]
        fresh = [_example(seen, rank) for rank in ranks[: self._most]]
        return sorted([*kept, *fresh], key=lambda example: example.rank)[: self._most]


def outlines_of(seen: Seen) -> list[Outline]:
    """Return the objects of a picture to be drawn; without people's polygons none is false."""
    matched = set(range(len(seen.contours))) if seen.match is None else {found for found, _ in seen.match.pairs}
    decisions = seen.decisions
    return [
        Outline(contour, class_id, is_eject, is_false=i not in matched)
        for i, (contour, class_id, is_eject) in enumerate(
            zip(seen.contours, decisions.class_ids.tolist(), decisions.is_eject.tolist(), strict=True)
        )
    ]


def drawn_of(seen: Seen) -> list[Drawn]:
    """Return the polygons of a picture to be drawn; none where nobody drew."""
    matched = set() if seen.match is None else {drawn for _, drawn in seen.match.pairs}
    return [Drawn(polygon, is_missed=i not in matched) for i, polygon in enumerate(seen.polygons or ())]


def _shown(seen: Seen) -> ShownFrame:
    picture = draw_overlay(seen.pixels, outlines_of(seen), drawn_of(seen), longest_px=SHOWN_PX)
    match = seen.match
    return ShownFrame(
        number=seen.number,
        name=seen.name,
        uri=jpeg_uri(picture),
        objects=len(seen.decisions),
        ejected=int(seen.decisions.is_eject.sum()),
        unclassified=int((seen.decisions.class_ids < 0).sum()),
        missed=None if match is None else match.expected - len(match.pairs),
        false=None if match is None else match.found - len(match.pairs),
    )


def _margins(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N,) by how much the best of scores (N, K) leads the second; the best itself where K is 1."""
    if scores.shape[1] == 1:
        return scores[:, 0]
    ordered = np.sort(scores, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2], np.float32)


def _example(seen: Seen, rank: tuple[bool, float, int, int]) -> Example:
    decisions, row = seen.decisions, rank[3]
    class_id = int(decisions.class_ids[row])
    x, y, width, height = decisions.boxes_px[row].tolist()
    if class_id < 0:
        window = seen.pixels[max(0, y) : y + height, max(0, x) : x + width]
        pixels = draw_overlay(window, [], longest_px=_THUMB_PX)
    else:
        pixels = decisions.pixels[row]
    return Example(
        rank=rank,
        uri=png_uri(pixels),
        score=0.0 if class_id < 0 else float(decisions.scores[row, class_id]),
        margin=rank[1],
        is_eject=not rank[0],
        place=f"{seen.name}, {x + width // 2}, {y + height // 2}",
    )
