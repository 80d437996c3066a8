"""Fits side by side: in order, counted together, ended together, and byte for byte what they are alone."""

import os
from collections.abc import Callable
from threading import Event, Timer

import numpy as np
import pytest

from trainer.demo.synthetic import synthetic_crop
from trainer.errors import TrainingError
from trainer.train.fit import FitHooks, FitSettings, TrainingSet, fit_network, use_threads
from trainer.train.fits import map_fits

STEPS = 7


def training_set(seed: int) -> TrainingSet:
    rng = np.random.default_rng(seed)
    ids = np.arange(24, dtype=np.int64) % 3
    return TrainingSet(np.stack([synthetic_crop(int(k), 16, rng)[0] for k in ids]), ids, 3)


def fit(data: TrainingSet, on_step: Callable[[int], None]) -> bytes:
    seed, hooks = data.pixels.size % 7, FitHooks(on_step=on_step)
    network = fit_network(data, FitSettings(batch=8), steps=STEPS, seed=seed, hooks=hooks)
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


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="fits run one after the other on one core")
@pytest.mark.parametrize("parts", [["bad", "long"], ["long", "bad"]], ids=" ".join)
def test_an_error_of_one_fit_ends_the_others_at_their_next_step(parts: list[str]) -> None:
    """Nobody waits minutes for results that are not wanted any more, whichever fit it is."""
    is_begun, is_over = Event(), Event()
    ended: list[BaseException] = []

    def fit_or_fail(part: str, on_step: Callable[[int], None]) -> None:
        if part == "bad":
            assert is_begun.wait(timeout=60)
            raise TrainingError("the loss is nan")
        on_step(1)
        is_begun.set()
        try:
            while not is_over.wait(timeout=0.001):
                on_step(2)
        except BaseException as error:
            ended.append(error)
            raise

    watch = Timer(60, is_over.set)  # without a stop the long fit would go on until then
    watch.start()
    with pytest.raises(TrainingError, match="nan"):
        map_fits(fit_or_fail, parts, 1, lambda _: None)
    watch.cancel()
    assert [str(error) for error in ended] == ["stopped at step 2"]


def test_parts_that_never_began_are_dropped_after_an_error() -> None:
    """One at a time: while those that wait are dropped, one of them may still begin, and ends at its first step."""
    begun: list[int] = []

    def fit_or_fail(part: int, on_step: Callable[[int], None]) -> None:
        begun.append(part)
        if part == 0:
            raise TrainingError(f"part {part}")
        for _ in range(1000):
            on_step(1)
            sleepless.wait(timeout=0.01)

    sleepless = Event()
    with pytest.raises(TrainingError, match="part 0"):
        map_fits(fit_or_fail, list(range(200)), 10**6, lambda _: None)
    assert begun[0] == 0
    assert len(begun) < 10


def test_what_the_watcher_raises_ends_the_fits() -> None:
    def refuse(done: int) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        map_fits(fit, [training_set(seed) for seed in range(3)], 1, refuse)
