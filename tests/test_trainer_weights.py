"""Weights as bytes: what comes back is what went in, and damage is told."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from trainer.errors import ResumeError
from trainer.train.weights import load_weights, pack_weights


def networks(first_value: float) -> list[nn.Module]:
    made: list[nn.Module] = [nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2)) for _ in range(2)]
    values = (value for network in made for value in network.state_dict().values())
    for at, value in enumerate(values):  # statistics too, which are no parameters
        value.fill_(first_value + at)
    return made


PACKED = pack_weights(networks(0))
ONE = pack_weights(networks(0)[:1])


def test_weights_and_statistics_come_back_and_equal_ones_give_equal_bytes() -> None:
    others = networks(50)
    assert pack_weights(others) != PACKED
    load_weights(PACKED, others)
    assert pack_weights(others) == PACKED == pack_weights(networks(0))


@pytest.mark.parametrize("others", [[nn.Linear(2, 2)], [*networks(0), nn.Linear(1, 1)], [nn.Conv2d(1, 3, 1)]])
def test_weights_of_another_network_are_refused(others: list[nn.Module]) -> None:
    with pytest.raises(ResumeError, match="do not fit the network"):
        load_weights(PACKED, others)


def damaged() -> Iterator[bytes]:
    for at in range(len(ONE)):
        yield ONE[:at]
        for change in (0x01, 0xFF):
            yield ONE[:at] + bytes([ONE[at] ^ change]) + ONE[at + 1 :]


def test_torn_files_and_damaged_bytes_are_refused_or_harmless() -> None:
    """Arrays have checksums; a byte without one may change nothing of what is loaded."""
    others, whole, refused = networks(50)[:1], state(networks(0)[:1]), 0
    for data in damaged():
        try:
            load_weights(data, others)
        except ResumeError:
            refused += 1
        else:
            assert all(torch.equal(one, other) for one, other in zip(state(others), whole, strict=True))
    assert refused > 2 * len(ONE)


def state(made: list[nn.Module]) -> list[torch.Tensor]:
    return [value for network in made for value in network.state_dict().values()]
