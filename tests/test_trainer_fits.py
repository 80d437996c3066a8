"""Fits side by side: in order, counted together, ended together, and byte for byte what they are alone."""

from collections.abc import Callable
from threading import Barrier

import numpy as np
import pytest

from trainer.errors import TrainingError
from trainer.fit import FitSettings, TrainingSet, fit_network, use_threads
from trainer.fits import map_fits
from trainer.synthetic import synthetic_crop

STEPS = 7


def training_set(seed: int) -> TrainingSet:
    rng = np.random.default_rng(seed)
    ids = np.arange(24, dtype=np.int64) % 3
    return TrainingSet(np.stack([synthetic_crop(int(k), 16, rng)[0] for k in ids]), ids, 3)


def fit(data: TrainingSet, on_step: Callable[[int], None]) -> bytes:
    network = fit_network(data, FitSettings(batch=8), steps=STEPS, seed=data.pixels.size % 7, on_step=on_step)
    return b"".join(value.numpy().tobytes() for value in network.state_dict().values())


def test_fits_side_by_side_give_the_bytes_they_give_alone() -> None:
    use_threads(1)
    parts = [training_set(seed) for seed in range(6)]
    alone = [fit(part, lambda _: None) for part in parts]
    assert map_fits(fit, parts, 1, lambda _: None) == alone
    assert len(set(alone)) == len(alone)


@pytest.mark.parametrize("count", [1, 3])
def test_steps_of_all_fits_are_counted_together(count: int) -> None:
    done: list[int] = []
    map_fits(fit, [training_set(seed) for seed in range(count)], 1, done.append)
    assert done == list(range(1, count * STEPS + 1))


def test_an_error_of_one_fit_ends_all() -> None:
    """The other fits end at their next step: nobody waits minutes for a result that is not wanted any more."""
    meeting = Barrier(2)
    steps_of_the_endless = []

    def end(part: str, on_step: Callable[[int], None]) -> None:
        meeting.wait(timeout=30)
        if part == "bad":
            raise TrainingError("the loss is nan")
        for step in range(10**9):
            on_step(step)
            steps_of_the_endless.append(step)

    with pytest.raises(TrainingError, match="nan"):
        map_fits(end, ["bad", "endless"], 1, lambda _: None)
    assert len(steps_of_the_endless) < 10**9


def test_parts_that_never_began_are_dropped_after_an_error() -> None:
    begun: list[int] = []

    def end(part: int, on_step: Callable[[int], None]) -> None:
        begun.append(part)
        raise TrainingError(f"part {part}")

    with pytest.raises(TrainingError, match="part 0"):
        map_fits(end, list(range(200)), 10**6, lambda _: None)
    assert begun == sorted(begun)
    assert begun[0] == 0
