"""How often a class is taken for one with two looks: python tests/bench/looks_table.py (about 10 s).

Shapes with one look should never be split; two heaps should, the more the further they lie apart.
"""

import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.strata import looks_of

__all__ = ["shares", "table"]

CLASSES: Final = 2000
COUNTS: Final = (100, 300, 1000)
Maker = Callable[[np.random.Generator, int], NDArray[np.float64]]


def heaps(distance: float, share: float) -> Maker:
    """Return two normal heaps, `distance` of their standard deviations apart, `share` of the samples in the lower."""

    def make(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return np.where(rng.random(count) < share, 0.0, 1000.0 * distance) + rng.normal(30000, 1000, count)

    return make


SHAPES: Final[dict[str, Maker]] = {
    "normal": lambda rng, count: rng.normal(30000, 3000, count),
    "even": lambda rng, count: rng.uniform(0, 65536, count),
    "triangle": lambda rng, count: rng.triangular(0, 0, 65000, count),
    "log-normal": lambda rng, count: np.exp(rng.normal(9, 0.5, count)),
    "exponential": lambda rng, count: rng.exponential(6000, count),
    "two heaps, 3 sd apart": heaps(3, 0.5),
    "two heaps, 4 sd apart": heaps(4, 0.5),
    "two heaps, 5 sd apart": heaps(5, 0.5),
    "two heaps, 6 sd apart": heaps(6, 0.5),
    "two heaps 85:15, 6 sd apart": heaps(6, 0.85),
}


def shares(make: Maker, count: int) -> float:
    """Return the share, 0..1, of CLASSES classes of `count` samples that are split."""
    rng = np.random.default_rng(count)
    return float(
        np.mean([looks_of(np.clip(make(rng, count), 0, 65536).astype(np.int64)).any() for _ in range(CLASSES)])
    )


def table() -> str:
    """Return the table of docs/selectors.md, per cent of the classes."""
    lines = ["| shape | " + " | ".join(f"{count}" for count in COUNTS) + " |", "|---" * (len(COUNTS) + 1) + "|"]
    for name, make in SHAPES.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * shares(make, count):.1f}" for count in COUNTS) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
