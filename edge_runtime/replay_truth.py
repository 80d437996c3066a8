"""Which polygons belong to which picture of a recording, by name. Pure.

>>> truth = Truth({"train/0.png": [], "1.png": []}, ["0.png", "1.png", "2.png"])
>>> [truth.polygons_of(name) is not None for name in ("0.png", "1.png", "2.png")]
[True, True, False]
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError

__all__ = ["Polygons", "Truth"]

Polygons = Mapping[str, Sequence[NDArray[np.float32]]]


class Truth:
    """Gives each picture what people drew on it.

    An entry belongs to the picture of its own name; else to the one picture whose path has the same end, since folders
    often differ. Where two entries end alike, neither is taken by the end.

    Args:
        polygons: by the picture's name in the truth file.
        names: of the pictures of the recording, as far as they are known before it is read.
    """

    def __init__(self, polygons: Polygons, names: Iterable[str]) -> None:
        self._polygons = polygons
        ends = Counter(PurePath(entry).name for entry in polygons)
        exact = polygons.keys() & set(names)
        loose = (entry for entry in polygons if entry not in exact and ends[PurePath(entry).name] == 1)
        self._by_end = {PurePath(entry).name: entry for entry in loose}
        self._takers: dict[str, str] = {}

    def polygons_of(self, name: str) -> Sequence[NDArray[np.float32]] | None:
        """Return the polygons of a picture, (P, 2) float32 each; None where the truth file does not name it.

        Raises:
            FrameError: another picture took the same entry before.
        """
        entry = name if name in self._polygons else self._by_end.get(PurePath(name).name)
        if entry is None:
            return None
        if entry in self._takers:
            raise FrameError(
                f"{self._takers[entry]} and {name} both claim what the truth file has for {entry}: name each picture "
                "in it by its path inside the recording"
            )
        self._takers[entry] = name
        return self._polygons[entry]
