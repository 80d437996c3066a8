"""How much of a training step is training: the bare optimiser step over one with its feed (gather, float, augment)."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainer.train.augment import AugmentSettings, augment, mix
from trainer.train.network import NetworkSize, make_network

__all__ = ["rows"]

RUNS = 7
STEPS = 6
SAMPLES = 4096
BATCH = 32
CLASSES = 6
SIDES_PX: tuple[tuple[NetworkSize, int], ...] = (("small", 48), ("middle", 64))
STRENGTHS = (
    ("default", AugmentSettings(), 0.90),
    ("free", AugmentSettings(rotation_deg=180, scale=0.25, shift=0.08, offset=0.05, contrast=0.15), None),
    ("all", AugmentSettings(180, 0.25, 0.08, 0.1, 0.05, 0.05, 0.15, 0.3, 0.5, 0.3), None),
)


def rows() -> list[dict[str, Any]]:
    """Return one row a network and strength of augmentation."""
    torch.set_num_threads(1)
    return [row for size, side_px in SIDES_PX for row in _rows_of(size, side_px)]


def _rows_of(size: NetworkSize, side_px: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(0, 256, (SAMPLES, side_px, side_px, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (SAMPLES,), generator=generator)
    network = make_network(size, 3, CLASSES, seed=0)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step(pixels: Tensor, targets: Tensor) -> None:
        loss = functional.cross_entropy(network(pixels.contiguous(memory_format=torch.channels_last)), targets)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    def fed(settings: AugmentSettings) -> None:
        chosen = torch.randint(0, SAMPLES, (BATCH,), generator=generator)
        pixels = augment(samples[chosen].permute(0, 3, 1, 2).float().div_(255), settings, generator)
        targets = labels[chosen]
        if settings.mixup:
            pixels, targets = mix(pixels, functional.one_hot(targets, CLASSES).float(), settings, generator)
        step(pixels, targets)

    still = samples[:BATCH].permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=torch.channels_last)
    step(still, labels[:BATCH])
    bare: list[float] = []
    times: dict[str, list[float]] = {name: [] for name, _, _ in STRENGTHS}
    for _ in range(RUNS):  # interleaved: a busy neighbour slows all alike
        started = time.process_time()
        for _ in range(STEPS):
            step(still, labels[:BATCH])
        bare.append(time.process_time() - started)
        for name, settings, _ in STRENGTHS:
            started = time.process_time()
            for _ in range(STEPS):
                fed(settings)
            times[name].append(time.process_time() - started)
    alone = statistics.median(bare)
    return [_row(f"{size}_{name}", alone / statistics.median(times[name]), target) for name, _, target in STRENGTHS]


def _row(name: str, value: float, target: float | None) -> dict[str, Any]:
    holds = None if target is None else value >= target
    return {"name": f"training.feed_{name}", "value": value, "unit": "ratio", "target": target, "holds": holds}
