"""Every way to an INT8 file, and the way without one, is reached by a network that needs it."""

from dataclasses import replace

import msgspec
import numpy as np
import onnx
import pytest
import torch
from int8_networks import CROP, TRAINING, int8_inputs, int8_table

from edge_runtime.model import Classifier
from edge_runtime.processor import processor_kind
from edge_runtime.storage import sha256_hex
from trainer.export.fake_quant import TuningSettings
from trainer.export.mend import Int8Export, Int8Inputs, Int8Settings, export_int8, rank_convolutions
from trainer.export.onnx_export import OnnxTemplate, WholeNetwork
from trainer.export.quantise import Quantiser

SETTINGS = Int8Settings(calibration_crops=60, tuning=TuningSettings(steps=150, batch=16))
NO_EXCLUSION = Int8Settings(calibration_crops=60, most_excluded=0, tuning=SETTINGS.tuning)


def check_ships(found: Int8Export) -> bytes:
    """A file that ships passed the gate and is the one that its card names."""
    assert found.model is not None
    assert found.verdict is not None
    assert found.verdict.passed
    assert (found.card.sha256, found.card.refused) == (sha256_hex(found.model), "")
    assert (found.card.samples, found.card.processor) == (120, processor_kind())
    assert found.card.changed_decisions == found.verdict.changed_decisions
    return found.model


def test_a_good_network_needs_no_mending() -> None:
    found = export_int8(int8_inputs(), SETTINGS, seed=0)
    check_ships(found)
    assert (found.card.mended_by, found.card.excluded, found.card.calibration_crops) == ("nothing", (), 60)
    assert {name: (r.samples, r.fp32) for name, r in found.card.recalls.items()} == dict.fromkeys(
        ("red", "blue", "speck"), (40, 1.0)
    )


def test_a_loud_channel_is_mended_by_leaving_its_two_layers_in_floating_point() -> None:
    found = export_int8(int8_inputs(1e4), SETTINGS, seed=0)
    model = onnx.ModelProto.FromString(check_ships(found))
    assert found.card.mended_by == "exclusion"
    assert set(found.card.excluded) == {"node_conv2d_1", "node_conv2d_2"}
    makers = {output for node in model.graph.node for output in node.output}
    floats = {node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] not in makers}
    assert floats == set(found.card.excluded)


def test_where_nothing_may_be_left_out_the_network_is_tuned() -> None:
    steps: list[int] = []
    found = export_int8(int8_inputs(250.0), NO_EXCLUSION, seed=0, on_step=steps.append)
    check_ships(found)
    assert (found.card.mended_by, found.card.excluded) == ("fine_tuning", ())
    assert steps == [*range(1, 151)]


def test_where_nothing_helps_fp32_ships_alone_and_every_attempt_is_told() -> None:
    settings = Int8Settings(calibration_crops=60, most_excluded=1, tuning=TuningSettings(steps=2, batch=4))
    found = export_int8(int8_inputs(1e6), settings, seed=0)
    assert found.model is None
    assert found.card.sha256 is None
    attempts = found.card.refused.split(" | ")
    assert [text.partition(": ")[0] for text in attempts] == [
        "whole",
        f"with {found_first(attempts[1])} in floating point",
        "fine-tuned",
    ]
    assert all(": failed: macro-F1 falls by" in text for text in attempts)


def found_first(text: str) -> str:
    return text.removeprefix("with ").partition(" in ")[0]


def test_at_least_one_convolution_is_quantised() -> None:
    settings = Int8Settings(calibration_crops=60, most_excluded=99, tuning=TuningSettings(steps=0))
    found = export_int8(int8_inputs(1e4), settings, seed=0)
    assert 0 < len(found.card.excluded) < 4


def test_export_repeats_byte_for_byte() -> None:
    for inputs in (int8_inputs(), int8_inputs(1e4)):
        one, two = (export_int8(inputs, SETTINGS, seed=0) for _ in range(2))
        assert (one.model, one.card) == (two.model, two.card)


def test_no_judged_sample_calibrates() -> None:
    """Ranges from the samples of the gate would make it pass more easily."""
    inputs = int8_inputs()
    overlapping = replace(inputs, training=np.arange(len(inputs.table)))
    assert export_int8(overlapping, SETTINGS, seed=0).model == export_int8(inputs, SETTINGS, seed=0).model


def test_where_all_training_samples_are_judged_they_calibrate() -> None:
    """Out of fold every sample is judged, and the shipped model has learnt from them all."""
    inputs = replace(int8_inputs(), judged=np.arange(240))
    assert export_int8(inputs, SETTINGS, seed=0).card.calibration_crops == 60


def test_ranking_puts_the_layers_around_a_loud_channel_first() -> None:
    inputs = int8_inputs(1e4)
    crops = int8_table().pixels[TRAINING]
    quantiser = Quantiser(inputs.model, crops)
    ranked = rank_convolutions(
        quantiser, inputs.model, crops=crops, classifier=lambda model: Classifier(model, CROP, 3)
    )
    assert set(ranked[:2]) == {"node_conv2d_1", "node_conv2d_2"}
    assert sorted(ranked) == sorted(quantiser.convolutions)


class OwnNetwork(torch.nn.Module):
    """A network of one's own: colours and a convolution that nothing but the exporter knows."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = torch.nn.Conv2d(3, 16, 3, padding=1, stride=2)
        self.head = torch.nn.Linear(16 + 3, 3)
        with torch.no_grad():
            colours = torch.tensor([[-9.0, 0, 9], [9, 0, -9], [0, 0, 0]])
            self.head.weight.copy_(torch.cat((torch.full((3, 16), 0.01), colours), dim=1) * 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        edges = torch.relu(self.edges(pixels)).mean(dim=(2, 3))
        logits: torch.Tensor = self.head(torch.cat((edges, pixels.mean(dim=(2, 3))), dim=1))
        return logits


def own_inputs(network: WholeNetwork) -> Int8Inputs:
    template = OnnxTemplate("somewhere:factory", CROP, 3)
    return replace(int8_inputs(), network=network, template=template, model=template.fill(network))


def test_a_network_of_ones_own_is_quantised_where_its_graph_allows_it() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = WholeNetwork(OwnNetwork(), 1.0, 3)
    found = export_int8(own_inputs(network), SETTINGS, seed=0)
    check_ships(found)
    assert found.card.mended_by == "nothing"


def test_a_network_that_cannot_be_quantised_ships_as_fp32_and_says_why() -> None:
    inputs = replace(int8_inputs(), model=b"")
    found = export_int8(inputs, SETTINGS, seed=0)
    assert (found.model, found.verdict, found.card.sha256) == (None, None, None)
    assert "Transpose and Cast of crops are expected" in found.card.refused


@pytest.mark.parametrize("field", ["calibration_crops", "most_excluded"])
def test_settings_have_ranges(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: -1}, Int8Settings)
