"""Network to model.onnx: filling is exporting, folding changes nothing, files tell nothing of their maker."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from trainer.errors import ExportRefusedError
from trainer.export.onnx_export import (
    ORT_MIN,
    FoldedNetwork,
    OnnxTemplate,
    check_parity,
    export_graph,
    folded_scores,
    opset_of,
)
from trainer.train.network import CropNetwork, NetworkSize, make_network

CROP = CropSpec(side_px=16)
SIZES: tuple[NetworkSize, ...] = get_args(NetworkSize)
CROPS = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
PRINT_DIGEST = """
import hashlib
from edge_runtime.crop import CropSpec
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.train.network import make_network
network = FoldedNetwork(make_network("small", 3, 2, seed=4).eval(), 1.5)
print(hashlib.sha256(OnnxTemplate("small", CropSpec(side_px=16), 2).fill(network)).hexdigest())
"""


def trained(size: NetworkSize, classes: int, seed: int = 4) -> CropNetwork:
    """A network whose batch norms have seen something, as after a training."""
    network = make_network(size, 3, classes, seed=seed)
    network.train()
    with torch.no_grad():
        for start in range(3):
            network(torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(start)))
        for name, value in network.named_parameters():
            if name.startswith("body") and value.ndim == 1:
                value.add_(torch.linspace(-0.2, 0.2, len(value)))
    return network.eval()


def unfolded_scores(network: CropNetwork, temperature: float) -> NDArray[np.float32]:
    pixels = torch.from_numpy(CROPS).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        scores: NDArray[np.float32] = torch.softmax(network(pixels) / temperature, dim=1).numpy()
    return scores


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [2, 7])
def test_folded_and_exported_scores_are_those_of_the_trained_network(size: NetworkSize, classes: int) -> None:
    network = trained(size, classes)
    folded = FoldedNetwork(network, 1.3)
    model = OnnxTemplate(size, CROP, classes).fill(folded)
    told = unfolded_scores(network, 1.3)
    assert np.abs(folded_scores(folded, CROPS) - told).max() <= 1e-5
    scores = Classifier(model, CROP, classes).scores(CROPS)
    assert np.abs(scores - told).max() <= 1e-5
    assert check_parity(folded_scores(folded, CROPS), scores) <= 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_filling_gives_the_bytes_of_an_export_of_its_own(size: NetworkSize) -> None:
    """The template was made with other weights and filled with others in between."""
    template = OnnxTemplate(size, CROP, 2)
    folded = FoldedNetwork(trained(size, 2), 1.0)
    first = template.fill(folded)
    assert template.fill(FoldedNetwork(trained(size, 2, seed=9), 2.0)) != first
    assert template.fill(folded) == first
    assert export_graph(folded, CROP).SerializeToString(deterministic=True) == first


def test_another_process_gives_the_same_bytes() -> None:
    network = FoldedNetwork(make_network("small", 3, 2, seed=4).eval(), 1.5)
    here = hashlib.sha256(OnnxTemplate("small", CROP, 2).fill(network)).hexdigest()
    done = subprocess.run([sys.executable, "-c", PRINT_DIGEST], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == here


def test_file_tells_nothing_of_its_maker_and_is_in_one_piece() -> None:
    model = OnnxTemplate("small", CROP, 2).fill(FoldedNetwork(trained("small", 2), 1.0))
    assert not any(text in model for text in (b"/home", b"site-packages", b".py", b"/tmp", b"torch/"))
    parsed = onnx.ModelProto.FromString(model)
    assert not any(tensor.external_data for tensor in parsed.graph.initializer)
    assert len(parsed.metadata_props) == 0
    onnx.checker.check_model(parsed, full_check=True)


def test_graph_takes_pixels_as_they_are_and_is_made_of_few_kinds_of_operators() -> None:
    template = OnnxTemplate("small", CROP, 2)
    model = template.fill(FoldedNetwork(trained("small", 2), 1.0))
    parsed = onnx.ModelProto.FromString(model)
    kinds = {node.op_type for node in parsed.graph.node}
    assert not kinds & {"BatchNormalization", "Dropout", "Div", "Sub"}
    assert parsed.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert opset_of(model) == parsed.opset_import[0].version == 20
    assert [len(parsed.opset_import), ORT_MIN] == [1, "1.22.0"]


def test_folding_leaves_the_trained_network_as_it_was() -> None:
    network = trained("small", 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FoldedNetwork(network, 0.5)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_of_another_shape_does_not_fit_the_template() -> None:
    with pytest.raises(ExportRefusedError, match="misses the weights"):
        OnnxTemplate("small", CROP, 2).fill(FoldedNetwork(trained("middle", 2), 1.0))


def test_one_different_decision_refuses_the_model() -> None:
    told = np.array([[0.6, 0.4], [0.3, 0.7]], np.float32)
    with pytest.raises(ExportRefusedError, match="1 of 2 decisions differ"):
        check_parity(told, np.array([[0.6, 0.4], [0.51, 0.49]], np.float32))


def test_parity_is_the_largest_difference_and_0_without_crops() -> None:
    told = np.array([[0.75, 0.25], [0.25, 0.75]], np.float32)
    assert check_parity(told, told + np.float32(0.125)) == 0.125
    assert check_parity(told[:0], told[:0]) == 0.0
    assert folded_scores(FoldedNetwork(trained("small", 2), 1.0), CROPS[:0]).shape == (0, 2)


def test_batches_of_any_length_are_taken() -> None:
    scores = [
        Classifier(OnnxTemplate("small", CROP, 2).fill(FoldedNetwork(trained("small", 2), 1.0)), CROP, 2).scores(
            CROPS[:count]
        )
        for count in (0, 1, 9)
    ]
    assert [len(part) for part in scores] == [0, 1, 9]
    assert np.array_equal(scores[2][:1], scores[1])


def test_a_template_filled_by_several_threads_at_once_mixes_no_weights() -> None:
    """Found by fits side by side that disagreed with their own files."""
    template = OnnxTemplate("small", CropSpec(side_px=16), 2)
    networks = [FoldedNetwork(make_network("small", 3, 2, seed=seed).eval(), 1.0) for seed in range(8)]
    alone = [template.fill(network) for network in networks]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(template.fill, networks * 20)) == alone * 20
