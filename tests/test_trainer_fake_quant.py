"""Fine-tuning under simulated quantisation: repeatable, harmless to its input, and it simulates what runs."""

import numpy as np
import pytest
import torch
from int8_networks import CROP, TRAINING, int8_inputs, int8_table, loud_network

from edge_runtime.model import Classifier
from trainer.errors import TrainingError
from trainer.export.fake_quant import TuningSettings, tune_for_int8
from trainer.export.onnx_export import FoldedNetwork, folded_scores
from trainer.export.quantise import Quantiser

PIXELS = int8_table().pixels[TRAINING]


def weights_of(network: FoldedNetwork) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def test_tuning_changes_a_copy_and_keeps_its_shape() -> None:
    network = loud_network(1.0)
    before = weights_of(network)
    steps: list[int] = []
    tuned = tune_for_int8(network, PIXELS, TuningSettings(steps=3, batch=8), seed=0, on_step=steps.append)
    after = weights_of(tuned)
    assert all(torch.equal(before[name], value) for name, value in weights_of(network).items())
    assert {name: value.shape for name, value in after.items()} == {name: value.shape for name, value in before.items()}
    assert not any(torch.equal(after[name], value) for name, value in before.items())
    assert steps == [1, 2, 3]
    assert not tuned.training


def test_no_steps_change_nothing() -> None:
    network = loud_network(1.0)
    tuned = weights_of(tune_for_int8(network, PIXELS, TuningSettings(steps=0), seed=0))
    assert all(torch.equal(tuned[name], value) for name, value in weights_of(network).items())


def test_tuning_repeats_bit_for_bit_and_another_seed_differs() -> None:
    settings = TuningSettings(steps=4, batch=8)
    one, two, other = (weights_of(tune_for_int8(loud_network(9.0), PIXELS, settings, seed=s)) for s in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_tuning_brings_int8_nearer_to_fp32() -> None:
    inputs, network = int8_inputs(250.0), loud_network(250.0)
    expected = folded_scores(network, PIXELS)
    tuned = tune_for_int8(network, PIXELS, TuningSettings(steps=100, batch=16), seed=0)
    losses = [
        np.abs(Classifier(Quantiser(model, PIXELS).quantise(), CROP, 3).scores(PIXELS) - expected).mean()
        for model in (inputs.model, inputs.template.fill(tuned))
    ]
    assert losses[1] < losses[0] / 4


def test_a_network_that_says_no_number_is_refused() -> None:
    network = loud_network(1.0)
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="step 1 of fine-tuning"):
        tune_for_int8(network, PIXELS, TuningSettings(steps=2, batch=8), seed=0)
