"""FP32 to an INT8 file that may ship: quantise, judge, mend, or say why not.

In this order, and the first that passes the gate ships: everything quantised; the convolutions that cost the scores
most left in floating point, one after another; the network fine-tuned under simulated quantisation. If nothing passes,
FP32 ships alone and the card says what each attempt lost. Knows no rounds and no folders.

>>> Int8Settings().most_excluded
2
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import Classifier
from edge_runtime.processor import processor_kind
from edge_runtime.schemas import Int8Card, Int8Recall
from edge_runtime.storage import sha256_hex
from trainer.errors import ExportRefusedError
from trainer.export.calibration_rows import calibration_rows
from trainer.export.fake_quant import TuningSettings, tune_for_int8
from trainer.export.int8_gate import Int8Verdict, judge_int8
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate, ShippedNetwork
from trainer.export.quantise import Quantiser
from trainer.pool.sample_table import SampleTable

__all__ = ["Int8Export", "Int8Inputs", "Int8Settings", "MendedBy", "export_int8", "rank_convolutions"]

MendedBy = Literal["nothing", "exclusion", "fine_tuning"]
_ATTEMPT: Final[dict[MendedBy, str]] = {
    "nothing": "whole",
    "exclusion": "with {} in floating point",
    "fine_tuning": "fine-tuned",
}


class Int8Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How INT8 is made.

    Attributes:
        mode: "auto" makes an INT8 file and ships it if the gate holds; "off" makes none.
        calibration_crops: training crops that give the ranges of the activations.
        most_excluded: most convolutions that may stay in floating point; at least one is always quantised.
        tuning: fine-tuning under simulated quantisation, the last resort.
    """

    mode: Literal["auto", "off"] = "auto"
    calibration_crops: Annotated[int, msgspec.Meta(ge=1)] = 320
    most_excluded: Annotated[int, msgspec.Meta(ge=0)] = 2
    tuning: TuningSettings = TuningSettings()


@dataclass(frozen=True, slots=True)
class Int8Inputs:
    """A finished FP32 model and the samples around it.

    Attributes:
        model: ONNX bytes, calibrated: what ships as model.onnx.
        network: the same in torch; only one of our own family is fine-tuned.
        template: that makes ONNX bytes of such networks.
        crop: shape of the crops.
        table: samples.
        training: (T,) int64 rows that the network was trained on.
        judged: (M,) int64 rows that the gate compares; rows that are in both do not calibrate, unless all are.
    """

    model: bytes
    network: ShippedNetwork
    template: OnnxTemplate
    crop: CropSpec
    table: SampleTable
    training: NDArray[np.int64]
    judged: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Int8Export:
    """What came out.

    Attributes:
        model: INT8 ONNX bytes; None where nothing passed the gate.
        card: what the model's card says of it.
        verdict: of the file that ships, or of the last attempt; None where the graph cannot be quantised at all.
    """

    model: bytes | None
    card: Int8Card
    verdict: Int8Verdict | None


@dataclass(frozen=True, slots=True)
class _Attempt:
    model: bytes
    mended_by: MendedBy
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _ATTEMPT[self.mended_by].format(", ".join(self.excluded))


def export_int8(
    inputs: Int8Inputs,
    settings: Int8Settings,
    *,
    seed: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> Int8Export:
    """Quantise a model, mend it if the gate fails, and return the first that passes.

    Args:
        inputs: model and samples; the gate needs at least one judged sample.
        settings: how.
        seed: of the fine-tuning.
        on_step: told of the steps of the fine-tuning, where it comes to that.

    Raises:
        ModelFolderError: onnxruntime cannot load an INT8 model.
        TrainingError: fine-tuning failed.

    Note:
        About a second where nothing is to be mended; fine-tuning costs about 600 steps of training. Equal inputs give
        equal bytes.
    """
    blind = np.setdiff1d(inputs.training, inputs.judged)
    table = inputs.table
    chosen = calibration_rows(
        table.class_ids, table.norms_q16, blind if len(blind) else inputs.training, count=settings.calibration_crops
    )
    try:
        quantiser = Quantiser(inputs.model, table.pixels[chosen])
    except ExportRefusedError as error:  # a network of one's own: FP32 ships all the same
        return Int8Export(None, _refused_card(str(error)), None)
    before = _decide(inputs, inputs.model)
    told = []
    for attempt in _attempts(quantiser, inputs, settings=settings, crops=table.pixels[chosen], tuning=(seed, on_step)):
        after = _decide(inputs, attempt.model)
        verdict = judge_int8(table.class_ids[inputs.judged], before, after, table.classes)
        if verdict.passed:
            return Int8Export(attempt.model, _card(attempt, verdict, len(chosen)), verdict)
        told.append(f"{attempt}: {verdict.text}")
    card = _card(attempt, verdict, len(chosen), refused=" | ".join(told))
    return Int8Export(None, card, verdict)


def rank_convolutions(
    quantiser: Quantiser, model: bytes, *, crops: NDArray[np.uint8], classifier: Callable[[bytes], Classifier]
) -> tuple[str, ...]:
    """Return the convolutions, first the one that alone, all others in floating point, changes the scores most.

    Args:
        quantiser: of the model.
        model: FP32 ONNX bytes.
        crops: (N, S, S, C) uint8 to compare scores on; not those that the gate judges.
        classifier: makes a session of ONNX bytes.

    Note:
        Signal-to-noise of each activation (qdq_loss_debug) is not asked: where one loud channel leaves all others no
        levels, the tensor as a whole looks fine, and the loss shows up one layer too late. A few tenths of a second.
    """
    expected = classifier(model).scores(crops)
    names = quantiser.convolutions
    losses = []
    for name in names:
        alone = quantiser.quantise([other for other in names if other != name])
        losses.append(float(np.abs(classifier(alone).scores(crops) - expected).mean()))
    return tuple(names[at] for at in np.argsort(-np.array(losses), kind="stable"))


def _attempts(
    quantiser: Quantiser,
    inputs: Int8Inputs,
    *,
    settings: Int8Settings,
    crops: NDArray[np.uint8],
    tuning: tuple[int, Callable[[int], None]],
) -> Iterator[_Attempt]:
    """Give one file after another, each made only when it is asked for."""
    yield _Attempt(quantiser.quantise(), "nothing")
    most = min(settings.most_excluded, len(quantiser.convolutions) - 1)
    if most > 0:
        worst = rank_convolutions(
            quantiser, inputs.model, crops=crops, classifier=lambda model: _session(inputs, model)
        )
        for count in range(1, most + 1):
            yield _Attempt(quantiser.quantise(worst[:count]), "exclusion", worst[:count])
    if settings.tuning.steps and isinstance(inputs.network, FoldedNetwork):
        seed, on_step = tuning
        pixels = np.concatenate((crops, inputs.table.pixels[inputs.training]))
        tuned = tune_for_int8(inputs.network, pixels, settings.tuning, seed=seed, on_step=on_step)
        yield _Attempt(Quantiser(inputs.template.fill(tuned), crops).quantise(), "fine_tuning")


def _session(inputs: Int8Inputs, model: bytes) -> Classifier:
    return Classifier(model, inputs.crop, len(inputs.table.classes))


def _decide(inputs: Int8Inputs, model: bytes) -> NDArray[np.int64]:
    scores = _session(inputs, model).scores(inputs.table.pixels[inputs.judged])
    decisions: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
    return decisions


def _card(attempt: _Attempt, verdict: Int8Verdict, crops: int, *, refused: str = "") -> Int8Card:
    return Int8Card(
        sha256=None if refused else sha256_hex(attempt.model),
        refused=refused,
        mended_by=attempt.mended_by,
        excluded=attempt.excluded,
        calibration_crops=crops,
        samples=verdict.samples,
        changed_decisions=verdict.changed_decisions,
        macro_f1_fp32=verdict.macro_f1_before,
        macro_f1=verdict.macro_f1_after,
        recalls={c.name: Int8Recall(c.samples, c.recall_before, c.recall_after) for c in verdict.classes},
        processor=processor_kind(),
    )


def _refused_card(why: str) -> Int8Card:
    """Return the card of a model that was never quantised."""
    return Int8Card(None, why, "nothing", (), 0, 0, 0, 0.0, 0.0, {}, processor_kind())
