"""The networks: their family, their shapes and their seeds."""

from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
import torch

from trainer.train.network import NetworkSize, make_network

SIZES: tuple[NetworkSize, ...] = get_args(NetworkSize)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("side_px", "channels", "classes"), [(16, 3, 2), (48, 1, 7)])
def test_logits_have_one_row_a_crop_and_one_column_a_class(
    size: NetworkSize, side_px: int, channels: int, classes: int
) -> None:
    network = make_network(size, channels, classes, seed=0).eval()
    with torch.inference_mode():
        assert network(torch.zeros(3, channels, side_px, side_px)).shape == (3, classes)


@pytest.mark.parametrize("size", SIZES)
def test_same_seed_same_weights_and_the_process_draws_on_undisturbed(size: NetworkSize) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (make_network(size, 3, 2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_weights_do_not_depend_on_what_other_threads_draw() -> None:
    """Fits run side by side: with torch's own generator, a layer made in another thread changed them now and then."""
    alone = [make_network("small", 3, 2, seed=seed).state_dict() for seed in range(4)]

    def make(number: int) -> bool:
        torch.nn.Linear(50, 50)  # draws from the process's generator
        made = make_network("small", 3, 2, seed=number % 4).state_dict()
        return all(torch.equal(value, alone[number % 4][name]) for name, value in made.items())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(make, range(400)))


def test_family_grows_and_its_channels_are_multiples_of_16() -> None:
    networks = [make_network(size, 3, 2, seed=0) for size in SIZES]
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == sorted(counts)
    widths = [m.out_channels for n in networks for m in n.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(width % 16 == 0 for width in widths)
    assert all(m.groups == 1 for n in networks for m in n.modules() if isinstance(m, torch.nn.Conv2d))
