"""One training run: the same seed gives the same weights, and nothing outside it is touched."""

import hashlib

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from trainer.demo.synthetic import synthetic_crop
from trainer.errors import TrainingError
from trainer.train.fit import FitHooks, FitSettings, TrainingSet, fit_network, use_threads
from trainer.train.network import CropNetwork

SETTINGS = FitSettings(network="small", batch=8)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    use_threads(1)


def training_set(count: int = 24, classes: int = 2) -> TrainingSet:
    rng = np.random.default_rng(0)
    class_ids = np.arange(count) % 2
    pixels = np.stack([synthetic_crop(int(k), 16, rng)[0] for k in class_ids])
    return TrainingSet(pixels, class_ids.astype(np.int64), classes)


def digest(network: nn.Module) -> str:
    state = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        state.update(name.encode() + value.numpy().tobytes())
    return state.hexdigest()


def test_same_seed_gives_the_same_weights_whatever_torch_drew_before() -> None:
    first = digest(fit_network(training_set(), SETTINGS, steps=6, seed=3))
    torch.manual_seed(99)
    torch.rand(17)
    assert digest(fit_network(training_set(), SETTINGS, steps=6, seed=3)) == first


def test_another_seed_gives_other_weights() -> None:
    first, second = (digest(fit_network(training_set(), SETTINGS, steps=6, seed=seed)) for seed in (3, 4))
    assert first != second


def test_random_state_of_the_process_and_the_data_stay_as_they_were() -> None:
    torch.manual_seed(7)
    before, data = torch.random.get_rng_state(), training_set()
    copies = data.pixels.copy(), data.class_ids.copy()
    fit_network(data, SETTINGS, steps=3, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(data.pixels, copies[0])
    assert np.array_equal(data.class_ids, copies[1])


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    wild = msgspec.structs.replace(SETTINGS, learning_rate=1e38, weight_decay=0.0)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step 50"):
        fit_network(training_set(), wild, steps=60, seed=0)


def test_an_empty_training_set_is_refused() -> None:
    nothing = TrainingSet(np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.int64), 2)
    with pytest.raises(TrainingError, match="0 samples"):
        fit_network(nothing, SETTINGS, steps=3, seed=0)


def test_one_step_and_a_batch_larger_than_the_set_are_enough() -> None:
    network = fit_network(training_set(2), msgspec.structs.replace(SETTINGS, batch=16), steps=1, seed=0)
    assert not network.training
    assert isinstance(network, CropNetwork)
    assert network.head.out_features == 2


def test_classes_without_a_training_sample_keep_their_place() -> None:
    network = fit_network(training_set(classes=4), SETTINGS, steps=2, seed=0)
    assert isinstance(network, CropNetwork)
    assert network.head.out_features == 4


@pytest.mark.parametrize("steps", range(1, 12))
def test_every_step_is_told_once_whatever_their_number(steps: int) -> None:
    told: list[int] = []
    fit_network(training_set(), SETTINGS, steps=steps, seed=0, hooks=FitHooks(on_step=told.append))
    assert told == list(range(1, steps + 1))


def test_training_learns_two_colours() -> None:
    data = training_set(48)
    network = fit_network(data, SETTINGS, steps=60, seed=0)
    pixels = torch.from_numpy(data.pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        right = network(pixels).argmax(dim=1).numpy() == data.class_ids
    assert right.mean() > 0.9
