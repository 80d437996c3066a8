"""Made-up samples without a picture file: a pool within a second, to try the commands and to test them.

Classes differ in colour and overlap a little, so that a short training gets some wrong and the loop has work to do.

>>> pixels, mask = synthetic_crop(1, 16, np.random.default_rng(0))
>>> pixels.shape, int(mask.sum())
((16, 16, 3), 120)
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, pack_crop
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.segment import SegmentSettings
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.samples import NewSample, sample_id

__all__ = ["SyntheticSamples", "make_synthetic_pool", "synthetic_crop", "synthetic_sample"]

_COLOURS = np.array([[60, 150, 190], [150, 110, 70], [70, 70, 140], [180, 180, 180]], np.float64)  # BGR by class
_COLOUR_SPREAD = 22.0  # from object to object: neighbouring classes overlap by a few per cent
_PIXEL_SPREAD = 12.0
_UTC = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class SyntheticSamples:
    """What a synthetic pool holds.

    Attributes:
        classes: names, at most 4.
        counts: samples of each class, by side of the split.
        side_px: of the crops.
        seed: of all pixels.
    """

    classes: tuple[str, ...] = ("good", "stone")
    counts: dict[str, int] = field(default_factory=lambda: {"train": 40, "validation": 20, "test": 10})
    side_px: int = 16
    seed: int = 0


def make_synthetic_pool(path: Path, samples: SyntheticSamples) -> None:
    """Make a pool file of synthetic samples, each in a group of its own; the same samples give the same pool.

    Raises:
        PoolError: the file cannot be written.
    """
    rng = np.random.default_rng(samples.seed)
    with Pool.open(path, create=True) as pool:
        pool.set_data_set(DataSet(SegmentSettings(), CropSpec(side_px=samples.side_px), NormSpec()))
        pool.add_samples(
            synthetic_sample(class_id, name, f"{name}/{split}-{number}", (split, samples.side_px), rng)
            for class_id, name in enumerate(samples.classes)
            for split, count in samples.counts.items()
            for number in range(count)
        )


def synthetic_crop(
    class_id: int, side_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return pixels (S, S, 3) uint8, 0 outside the object, and mask (S, S) bool of one object of a class 0..3."""
    mask = np.zeros((side_px, side_px), np.bool_)
    mask[side_px // 8 : side_px - side_px // 8, side_px // 5 : side_px - side_px // 5] = True
    colour = _COLOURS[class_id] + rng.normal(0.0, _COLOUR_SPREAD)
    noisy = colour + rng.normal(0.0, _PIXEL_SPREAD, (side_px, side_px, 3))
    return noisy.clip(1, 255).astype(np.uint8) * mask[:, :, None], mask


def synthetic_sample(
    class_id: int, class_name: str, source: str, place: tuple[str, int], rng: np.random.Generator
) -> NewSample:
    """Return one sample as an import would make it.

    Args:
        class_id: which colours, 0..3.
        class_name: its label.
        source: its name and its group.
        place: side of the split, and side of the crop in pixels.
        rng: of its pixels.
    """
    split, side_px = place
    pixels, mask = synthetic_crop(class_id, side_px, rng)
    numerators, denominators = norm_sums(pixels[None], mask[None], NormSpec())
    return NewSample(
        sample_id=sample_id(pixels, mask),
        class_name=class_name,
        group=source,
        split=split,
        origin="import",
        truth="folder",
        norm_numerator=int(numerators[0]),
        norm_denominator=int(denominators[0]),
        source=source,
        blob=pack_crop(pixels, mask),
        who="synthetic",
        why="made up",
        utc=_UTC,
    )
