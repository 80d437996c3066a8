"""A network by name or import path: built the same for the same seed, trained, exported, restarted."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from own_network import Pooled

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.errors import ExportRefusedError, SettingsError
from trainer.export.onnx_export import OnnxTemplate, check_parity, folded_scores, ship_network
from trainer.train.fit import FitHooks, FitSettings, TrainingSet, fit_network
from trainer.train.network import CropNetwork
from trainer.train.network_choice import build_network, is_of_the_family, network_features
from trainer.train.restart import copy_weights, shrink_and_stir

OWN = "own_network:Pooled"
CROPS = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
IDS = (CROPS[:, :8].mean(axis=(1, 2, 3)) > CROPS.mean()).astype(np.int64)
DATA = TrainingSet(CROPS, IDS, 2)


def test_the_same_seed_gives_the_same_weights_also_side_by_side() -> None:
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as workers:
        made = list(workers.map(lambda seed: build_network(OWN, 3, 2, seed=seed), [1, 2] * 8))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [network.state_dict()["head.weight"] for network in made]
    assert all(torch.equal(weights[at], weights[at % 2]) for at in range(16))
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", "no network 'smal': did you mean small"),
        ("own_network:Missing", "cannot be imported"),
        ("no_such_module:Pooled", "cannot be imported"),
        ("own_network:number", "returned int, not a torch module"),
        ("builtins:abs", "cannot be called with 3 channels and 2 classes"),
        (":Pooled", "cannot be imported"),
        (".:Pooled", "cannot be imported"),
    ],
)
def test_what_is_no_network_is_named(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_network(name, 3, 2, seed=0)
    assert not is_of_the_family(name)


def test_a_network_that_makes_other_columns_than_classes_is_refused() -> None:
    """Cross entropy would take them, and the shipped model would answer with a class that is none."""
    with pytest.raises(SettingsError, match=r"'own_network:crooked' made \(8, 3\) of a batch, not logits \(8, 2\)"):
        fit_network(DATA, FitSettings(network="own_network:crooked", batch=8), steps=1, seed=0)


@pytest.mark.parametrize("name", ["small", OWN])
def test_a_network_is_trained_exported_and_decides_alike(name: str) -> None:
    network = fit_network(DATA, FitSettings(network=name, batch=8), steps=12, seed=0)
    shipped = ship_network(network, 1.5, 2)
    model = OnnxTemplate(name, CropSpec(side_px=16), 2).fill(shipped)
    scores = Classifier(model, CropSpec(side_px=16), 2).scores(CROPS)
    assert check_parity(folded_scores(shipped, CROPS), scores) < 1e-5
    assert OnnxTemplate(name, CropSpec(side_px=16), 2).fill(shipped) == model


def test_a_network_with_operators_that_no_machine_runs_is_refused_at_its_first_export() -> None:
    shipped = ship_network(build_network("own_network:Looking", 3, 2, seed=0).eval(), 1.0, 2)
    with pytest.raises(ExportRefusedError, match="the exported network uses Resize: not on the list of operators"):
        OnnxTemplate("own_network:Looking", CropSpec(side_px=16), 2).fill(shipped)


def test_features_are_what_the_head_sees() -> None:
    network = build_network("small", 3, 2, seed=0).eval()
    assert isinstance(network, CropNetwork)
    features = network_features(network, CROPS)
    assert features.shape == (40, network.head.in_features)
    with torch.inference_mode():
        logits = network(torch.from_numpy(CROPS).permute(0, 3, 1, 2).float() / 255)
        assert torch.allclose(network.head(torch.from_numpy(features)), logits, atol=1e-5)
    own = build_network(OWN, 3, 2, seed=0).eval()
    assert isinstance(own, Pooled)
    assert network_features(own, CROPS).shape == (40, 8)
    assert len(network_features(own, CROPS[:0])) == 0


def test_a_warm_start_goes_on_where_the_last_fit_ended() -> None:
    first = fit_network(DATA, FitSettings(batch=8), steps=5, seed=0)
    seen: list[torch.Tensor] = []

    def begin(fresh: torch.nn.Module) -> None:
        copy_weights(first, fresh)
        seen.append(fresh.state_dict()["head.weight"].clone())

    again = fit_network(DATA, FitSettings(batch=8), steps=5, seed=0, hooks=FitHooks(begin=begin))
    assert torch.equal(seen[0], first.state_dict()["head.weight"])
    assert not torch.equal(again.state_dict()["head.weight"], seen[0])


def test_shrinking_keeps_batch_norms_scales_and_leaves_the_old_network_alone() -> None:
    old, fresh = build_network("small", 3, 2, seed=1), build_network("small", 3, 2, seed=2)
    before = {name: value.clone() for name, value in old.state_dict().items()}
    drawn = {name: value.clone() for name, value in fresh.state_dict().items()}
    shrink_and_stir(old, fresh)
    assert all(torch.equal(value, before[name]) for name, value in old.state_dict().items())
    told = fresh.state_dict()
    assert torch.allclose(told["head.weight"], 0.6 * before["head.weight"] + 0.1 * drawn["head.weight"])
    assert torch.equal(told["stages.0.norm.weight"], before["stages.0.norm.weight"])


def test_scales_are_known_by_their_layer_not_by_its_name() -> None:
    old, fresh = (build_network("own_network:Unnamed", 3, 2, seed=seed) for seed in (1, 2))
    before, drawn = old.state_dict()["0.weight"].clone(), fresh.state_dict()["0.weight"].clone()
    with torch.no_grad():
        old.state_dict()["1.weight"].fill_(1.5)
    shrink_and_stir(old, fresh)
    assert torch.equal(fresh.state_dict()["1.weight"], torch.full((8,), 1.5))
    assert torch.allclose(fresh.state_dict()["0.weight"], 0.6 * before + 0.1 * drawn)
