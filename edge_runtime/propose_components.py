"""What the components of a few frames are: single objects, clumps of several, dust. Pure.

Knows outlines and areas, nothing of channels and recipes.

>>> from edge_runtime.segment import SegmentSettings, segment
>>> frame = np.zeros((40, 60, 3), np.uint8); frame[5:15, 5:15] = frame[20:30, 30:40] = 200
>>> components = measure_components([segment(frame, SegmentSettings(blur_px=1))])
>>> components.areas_px.tolist(), components.solidities.tolist(), typical_area_px(components)
([100.0, 100.0], [1.0, 1.0], 100.0)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.segment import Objects
from edge_runtime.shapes import measure_shapes
from edge_runtime.triage import solidities

__all__ = ["Components", "dust_limit_px", "measure_components", "typical_area_px", "weighted_median"]

_CONVEX: Final = 0.94  # from this share of its convex hull on a component is a single object; two discs have 0.93
_CLUMP_AREA: Final = 1.5  # times the typical single object: from here on a component that is not convex is a clump
_DUST: Final = (1 / 30, 1 / 2)  # of the typical area: where the limit to dust may lie
_GAP: Final = 1.5  # from one area to the next: as wide a gap parts dust from objects
_PLAIN: Final = 0.25  # of the typical area: the limit where no gap shows


@dataclass(frozen=True, slots=True)
class Components:
    """Measures of N outlines, filled, of one frame after the other.

    Attributes:
        areas_px: (N,) float64, pixels.
        solidities: (N,) float64, area by that of the convex hull, 0..1.
        widths_px: (N,) float64, across the longer axis.
        extents_px: (N,) int64, longer side of the upright box.
    """

    areas_px: NDArray[np.float64]
    solidities: NDArray[np.float64]
    widths_px: NDArray[np.float64]
    extents_px: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.areas_px.size)

    def select(self, keep: NDArray[np.bool_]) -> "Components":
        """Return those where `keep`, (N,) bool, is true."""
        return Components(self.areas_px[keep], self.solidities[keep], self.widths_px[keep], self.extents_px[keep])

    @property
    def is_convex(self) -> NDArray[np.bool_]:
        """(N,) bool, which look like single objects."""
        return np.asarray(self.solidities >= _CONVEX, np.bool_)

    def are_clumps(self, typical_px: float) -> NDArray[np.bool_]:
        """Return, (N,) bool, which are likely several objects that touch: not convex and larger than a typical one."""
        return np.asarray(~self.is_convex & (self.areas_px > _CLUMP_AREA * typical_px), np.bool_)


def measure_components(found: Sequence[Objects]) -> Components:
    """Return the measures of everything found in some frames."""
    return Components(
        np.concatenate([np.zeros(0), *(objects.areas_px for objects in found)]),
        np.concatenate([np.zeros(0), *(solidities(objects) for objects in found)]),
        np.concatenate([np.zeros(0), *(measure_shapes(objects).widths_px for objects in found)]),
        np.concatenate([np.zeros(0, np.int64), *(objects.boxes_px[:, 2:].max(axis=1, initial=0) for objects in found)]),
    )


def typical_area_px(components: Components) -> float:
    """Return the area of the object to which the middle pixel of all single objects belongs.

    Counted by pixels, not by objects, so that a thousand grains of dust weigh as little as they cover; where nothing is
    convex all count; 0 where there is nothing.
    """
    single = components.select(components.is_convex) if components.is_convex.any() else components
    return weighted_median(single.areas_px, single.areas_px)


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value at which half of the weight is reached, in ascending order; 0 for none."""
    if values.size == 0:
        return 0.0
    return float(np.quantile(values, 0.5, weights=weights, method="inverted_cdf"))


def dust_limit_px(areas_px: NDArray[np.float64], typical_px: float) -> tuple[int, bool]:
    """Return the least area of an object, and whether a gap between dust and objects shows it.

    Args:
        areas_px: (N,) areas of everything found, dust included.
        typical_px: area of a typical object.

    Returns:
        The middle, by ratio, of the widest gap between 1/30 and 1/2 of the typical area where that is wide enough; else
        a quarter of the typical area.
    """
    low, high = (typical_px * share for share in _DUST)
    inside = np.sort(areas_px[(areas_px > low) & (areas_px < high)])
    edges = np.concatenate(([low], inside, [high]))
    ratios = edges[1:] / np.maximum(edges[:-1], 1.0)
    widest = int(ratios.argmax())
    if ratios[widest] < _GAP:
        return max(1, round(typical_px * _PLAIN)), False
    return max(1, round(float(np.sqrt(edges[widest] * edges[widest + 1])))), True
