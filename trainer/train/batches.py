"""Which samples each optimiser step sees. All chance comes from the generator that is passed in.

>>> balanced_rows(torch.tensor([0, 0, 1]), 4, 1, torch.Generator().manual_seed(0)).shape
torch.Size([1, 4])
"""

import torch
from torch import Tensor

__all__ = ["balanced_rows", "shuffled_rows"]


def balanced_rows(class_ids: Tensor, batch: int, steps: int, generator: torch.Generator) -> Tensor:
    """Return (steps, batch) row numbers: all classes in turn, of each one random order of its rows after another.

    So every class is seen equally often, however few samples it has: residuals come in whatever mix a model gets wrong.

    Args:
        class_ids: (N,) int64.
        batch: rows of a step.
        steps: how many.
        generator: source of all randomness.
    """
    needed = steps * batch
    rows = torch.empty(needed, dtype=torch.int64)
    present = torch.unique(class_ids)
    for at, class_id in enumerate(present):
        own = torch.nonzero(class_ids == class_id).flatten()
        slots = torch.arange(at, max(at, needed), len(present))
        rows[slots] = own[_orders(len(own), len(slots), generator)]
    return rows.reshape(steps, batch)


def shuffled_rows(count: int, batch: int, steps: int, generator: torch.Generator) -> Tensor:
    """Return (steps, batch) row numbers in 0..count-1: one random order of all rows after another."""
    return _orders(count, steps * batch, generator).reshape(steps, batch)


def _orders(count: int, needed: int, generator: torch.Generator) -> Tensor:
    """Return `needed` numbers in 0..count-1: each of them once before any comes again."""
    orders = [torch.randperm(count, generator=generator) for _ in range(-(-needed // count))]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *orders])[:needed]
