"""Where a virtual belt takes its pieces from: rendered grains, a pool of them, or a folder of real crops.

Knows no belt. Every source draws with the generator passed in.

>>> source = RenderedGrains(Look("lab"))
>>> source.class_names[0], source.draw("stone", np.random.default_rng(0)).mask.ndim
('sound', 2)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np

from edge_runtime.errors import ConfigError, CropError, StorageError
from edge_runtime.grains import CLASS_NAMES, Grain, Look, render_grain
from edge_runtime.images import IMAGE_SUFFIXES, decode_picture
from edge_runtime.segment import SegmentSettings, segment
from edge_runtime.storage import read_bytes

__all__ = ["ClassFolderGrains", "GrainPool", "GrainSource", "RenderedGrains"]

_Piece = TypeVar("_Piece")


class GrainSource(Protocol):
    """Pieces of known class."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes that `draw` knows."""
        ...

    def draw(self, kind: str, rng: np.random.Generator) -> Grain:
        """Return one piece of class `kind`.

        Raises:
            ConfigError: `kind` is no class of this source.
            EdgeError: a stored picture cannot be read or holds no object.
        """
        ...


class RenderedGrains:
    """Every piece is rendered anew."""

    def __init__(self, look: Look) -> None:
        self._look = look

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the six rendered classes."""
        return CLASS_NAMES

    def draw(self, kind: str, rng: np.random.Generator) -> Grain:
        """Return one piece of class `kind`.

        Raises:
            ConfigError: `kind` is no class of this source.
        """
        return render_grain(kind, self._look, rng)


class GrainPool:
    """A fixed number of pieces of each class, drawn again and again: for speed, where repeats do no harm.

    Args:
        source: where the pool is filled from.
        per_class: pieces of each class, >= 1.
        seed: of the pool's own pieces.
    """

    def __init__(self, source: GrainSource, per_class: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._pieces = {kind: [source.draw(kind, rng) for _ in range(per_class)] for kind in source.class_names}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes of the source that filled the pool."""
        return tuple(self._pieces)

    def draw(self, kind: str, rng: np.random.Generator) -> Grain:
        """Return one piece of class `kind`.

        Raises:
            ConfigError: `kind` is no class of this source.
        """
        pieces = _of_class(self._pieces, kind)
        return pieces[int(rng.integers(len(pieces)))]


class ClassFolderGrains:
    """Real crops: any folder of class folders, one picture a piece, background masked by the segmentation.

    Args:
        folder: with one sub-folder a class.
        settings: finds the piece in its picture; the largest object counts. With mask "full" the whole picture does.

    Note:
        A picture is read when it is drawn, and only its path is kept: memory does not grow with the folder.

    Raises:
        StorageError: the folder cannot be listed.
        ConfigError: no class folder with a picture.
    """

    def __init__(self, folder: Path, settings: SegmentSettings) -> None:
        try:
            classes = sorted(path for path in folder.iterdir() if path.is_dir())
            found = {
                path.name: sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES) for path in classes
            }
        except OSError as error:
            raise StorageError(f"cannot list {folder}: {error.strerror or error}") from error
        self._paths = {name: paths for name, paths in found.items() if paths}
        self._settings = settings
        if not self._paths:
            raise ConfigError(f"{folder} has no class folder with a picture: expected {folder}/CLASS/NAME.png")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the class folders that hold pictures, sorted."""
        return tuple(self._paths)

    def draw(self, kind: str, rng: np.random.Generator) -> Grain:
        """Return one piece of class `kind`.

        Raises:
            ConfigError: `kind` is no class of this source.
            StorageError: its picture cannot be read.
            FrameError: its picture cannot be decoded.
            CropError: the segmentation finds nothing in its picture.
        """
        paths = _of_class(self._paths, kind)
        return _cut_out(paths[int(rng.integers(len(paths)))], self._settings)


def _of_class(by_class: Mapping[str, Sequence[_Piece]], kind: str) -> Sequence[_Piece]:
    if kind not in by_class:
        raise ConfigError(f"{kind!r} is no class of this source: it has {', '.join(by_class)}")
    return by_class[kind]


def _cut_out(path: Path, settings: SegmentSettings) -> Grain:
    """Return the largest object of a picture, cut to the box of its mask."""
    pixels = decode_picture(read_bytes(path)).pixels
    objects = segment(pixels, settings)
    if len(objects) == 0:
        raise CropError(f"{path}: the segmentation finds no object of at least {settings.min_area_px} px")
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.drawContours(mask, [objects.contours[int(objects.areas_px.argmax())]], -1, 1, cv2.FILLED)
    if settings.mask_margin_px:
        side = 2 * settings.mask_margin_px + 1
        mask = np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    box = np.s_[y : y + height, x : x + width]
    inside = mask[box].astype(np.bool_)
    return Grain(pixels[box] * inside[:, :, None], inside)
