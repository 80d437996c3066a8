"""Every record that reaches a disk and is shared up or down: recipe, machine, card, norms.

Frozen structs with a schema version; no I/O. A recipe travels with the model, a machine file stays on the machine.

>>> recipe = Recipe(classes=(ClassRule("good", "accept"), ClassRule("stone", "eject")))
>>> recipe.class_names
('good', 'stone')
"""

from typing import Annotated, Final, Literal

import msgspec

from edge_runtime.crop import CropSpec
from edge_runtime.live_settings import LiveSettings
from edge_runtime.norm import ClassNorms, NormSpec
from edge_runtime.segment import SegmentSettings

__all__ = [
    "CARD_SCHEMA_VERSION",
    "Action",
    "Camera",
    "ClassMetrics",
    "ClassRule",
    "Digest",
    "DisplayName",
    "FileName",
    "Int8Card",
    "Int8Recall",
    "Lane",
    "Lineage",
    "Machine",
    "ModelCard",
    "NormTable",
    "Recipe",
    "ResidualPolicy",
]

CARD_SCHEMA_VERSION: Final = 1

Action = Literal["accept", "eject"]
Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Cost = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
FileName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]  # its references are a file
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class ClassRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the machine does with one class.

    Attributes:
        name: class name, as in the model card.
        action: accept lets it pass, eject fires the valve.
        min_score: an eject class fires only when its score, 0..1, reaches this; lower is more sensitive.
        sensitivity: weight of the class's score when the action is chosen; above 1 the class wins sooner.
        accept_cost: what it costs to let one object of this class pass, in any unit. Costs are given for every class or
            for none; where they are, the action that is expected to cost less is taken, and min_score has no place.
        eject_cost: what it costs to eject one.
    """

    name: Name
    action: Action = "accept"
    min_score: Ratio = 0.0
    sensitivity: Annotated[float, msgspec.Meta(ge=0.001, le=1000.0)] = 1.0
    accept_cost: Cost | None = None
    eject_cost: Cost | None = None

    def __post_init__(self) -> None:
        """Check what no single key can tell.

        Raises:
            ValueError: one of two costs is missing, a cost stands beside min_score, or costs speak against the action.
        """
        if (self.accept_cost is None) != (self.eject_cost is None):
            raise ValueError(f"class {self.name}: give accept_cost and eject_cost, or neither")
        if self.accept_cost is None or self.eject_cost is None:
            return
        if self.min_score:
            raise ValueError(f"class {self.name}: min_score beside costs: leave out one of them")
        if (self.accept_cost > self.eject_cost) != (self.action == "eject"):
            raise ValueError(
                f"class {self.name}: accepting costs {self.accept_cost}, ejecting {self.eject_cost}: that is no class "
                f"to {self.action}"
            )


class ResidualPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is recorded.

    Attributes:
        audit_rate: probability 0..1 that an object joins the audit slice, whatever its scores.
        max_per_class: most confirmed residuals kept of one truth source, true class and lot.
        max_candidates: most candidates kept of one truth source, class and lot.
        candidate_share: most candidates by score or norm (T7), as a share 0..1 of the objects seen.
        candidate_margin: an object whose two best scores lie closer together is a candidate; 0 for none.
        candidate_sigmas: so is an object whose norm lies so many standard deviations from the mean of the class that it
            was given; 0 for none.
        min_match: verdicts that belong to their object less probably than this teach nothing, 0..1.
        min_trust: a mistake whose label is right less probably than this, 0..1, becomes a candidate: a person looks at
            it before it teaches. 0 confirms them all.
        inspection_reliability: share 0..1 of the inspection's sure verdicts that name the right class.
        novel_share: share 0..1 of pieces that look as the model never saw its classes, so that its scores say nothing.
    """

    audit_rate: Ratio = 0.01
    max_per_class: Annotated[int, msgspec.Meta(ge=1)] = 2000
    max_candidates: Annotated[int, msgspec.Meta(ge=0)] = 500
    candidate_share: Ratio = 0.01
    candidate_margin: Ratio = 0.1
    candidate_sigmas: NotNegative = 4.0
    min_match: Ratio = 0.95
    min_trust: Ratio = 0.99
    inspection_reliability: Ratio = 1.0
    novel_share: Ratio = 0.05


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"classes": "class"}):
    """The product: how to find objects, cut them out, and what to do with each class; travels with the model.

    Attributes:
        classes: one rule a class, in the order of the model's scores.
        name: product name.
        segment: how objects are found.
        crop: window and reduction.
        oversize: what happens to objects larger than the window or longer than max_length_mm or the camera's
            max_object_lines; like the next two they are never classified.
        cluster: what happens to several objects that could not be parted, see segment.min_solidity.
        cut_off: what happens to objects that reach out of the view at its left or right, of a frame at any side;
            "classify" takes them like others.
        min_length_mm: shorter objects are dust; 0 for no limit.
        max_length_mm: longer ones are oversize; 0 for no limit.
        residual: what is recorded.
    """

    classes: tuple[ClassRule, ...]
    name: Name = "product"
    oversize: Action = "eject"
    cluster: Action = "eject"
    cut_off: Literal["classify", "accept", "eject"] = "classify"
    min_length_mm: NotNegative = 0.0
    max_length_mm: NotNegative = 0.0
    segment: SegmentSettings = SegmentSettings()
    crop: CropSpec = CropSpec()
    residual: ResidualPolicy = ResidualPolicy()
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Check what no single key can tell.

        Raises:
            ValueError: there is no class or two of one name, costs are given for some classes alone, no length lies
                between the limits, or the segmentation's channel does not go with the bands of the crops.
        """
        if not self.classes or len(set(self.class_names)) < len(self.classes):
            raise ValueError(
                f"classes {', '.join(self.class_names) or 'none'}: give at least one, each a name of its own"
            )
        if self.segment.channel == "chroma" and self.crop.channels == 1:
            raise ValueError('segment.channel = "chroma" needs colour, the crops have 1 band')
        without = [rule.name for rule in self.classes if rule.accept_cost is None]
        if without and len(without) < len(self.classes):
            raise ValueError(f"classes {', '.join(without)} have no costs, others have: give them to all or to none")
        if self.max_length_mm and self.max_length_mm <= self.min_length_mm:
            raise ValueError(f"max_length_mm = {self.max_length_mm} leaves nothing above {self.min_length_mm}")
        if self.segment.background and len(self.segment.background) != self.crop.channels:
            raise ValueError(
                f"segment.background has {len(self.segment.background)} bands, the crops have {self.crop.channels}"
            )

    @property
    def has_costs(self) -> bool:
        """Whether actions are chosen by cost."""
        return self.classes[0].accept_cost is not None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the model's scores."""
        return tuple(rule.name for rule in self.classes)


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One valve and the strip of the belt that it clears.

    Attributes:
        valve: number at the controller, 0..4095.
        from_mm: left edge of the strip, from the left edge of the view.
        to_mm: right edge.
        delay_us: measured time from command to full jet of this valve.
    """

    valve: Annotated[int, msgspec.Meta(ge=0, le=4095)]
    from_mm: float
    to_mm: float
    delay_us: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One view.

    Attributes:
        name: unique on the machine: letters, digits and _ . -
        width_px: pixels of a line.
        pixel_mm: size of a pixel on the belt, both ways.
        to_valves_mm: way of an object from the camera's line to the valves.
        max_object_lines: longest object that can be classified, in lines.
        source: what the pictures come from: v4l2:/dev/video0, genicam:ID, replay:PATH, virtual:/path; empty where
            nothing is connected.
        kind: a line camera's frames are blocks of an endless scene, an area camera's are pictures by themselves.
        frame_lines: lines of a frame, or of a block.
    """

    name: FileName = "top"
    width_px: Annotated[int, msgspec.Meta(ge=16, le=16384)] = 1024
    pixel_mm: Positive = 0.1
    to_valves_mm: Positive = 300.0
    max_object_lines: Annotated[int, msgspec.Meta(ge=8, le=4096)] = 96
    source: str = ""
    kind: Literal["line", "area"] = "line"
    frame_lines: Annotated[int, msgspec.Meta(ge=1, le=16384)] = 128


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"cameras": "camera", "lanes": "lane"}):
    """What stays on the machine whatever model it runs: views, valves, belt, link.

    Attributes:
        name: the machine's name in every record.
        cameras: at least one view.
        lanes: valve map, neighbours in order.
        belt_mm_s: belt speed.
        pulse_margin_mm: how much longer than the object the jet lasts, before and after.
        timing_spread_us: how much earlier or later than the belt's speed says single objects arrive; the jet lasts
            longer by that on both sides.
        min_pause_us: a valve cannot close and open again faster; pulses nearer to each other become one.
        max_pulse_us: the controller closes a valve after that, so no pulse is longer.
        min_lead_ms: a command that leaves the host later than this before its time is late: never fired, counted.
        port: of the ejector controller: a serial port, tcp://host:port, or "virtual"; empty for none.
        baud: line rate of a serial port.
        keeps_order: objects reach the inspection in the order and lane of the camera, so that it can be matched (T2).
        to_inspection_mm: way from the camera's line to the inspection's line; 0 where there is none.
        live: how the processes of `sortloop-edge run` share the computer.
    """

    name: Name
    cameras: tuple[Camera, ...]
    lanes: tuple[Lane, ...]
    belt_mm_s: Positive = 2000.0
    pulse_margin_mm: NotNegative = 0.5
    timing_spread_us: NotNegative = 0.0
    min_pause_us: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 500
    max_pulse_us: Annotated[int, msgspec.Meta(ge=50, le=65_535)] = 20_000
    min_lead_ms: NotNegative = 8.0
    port: str = ""
    baud: Literal[115200, 230400, 460800, 921600, 1500000, 3000000] = 921600
    keeps_order: bool = True
    to_inspection_mm: NotNegative = 0.0
    live: LiveSettings = LiveSettings()
    schema_version: Literal[1] = 1

    @property
    def has_inspection(self) -> bool:
        """Whether pieces are looked at again behind the valves, in an order that can be followed."""
        return self.to_inspection_mm > 0 and self.keeps_order


class DisplayName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"zh_cn": "zh-CN"}):
    """What people call a class."""

    en: str
    zh_cn: str


class ClassMetrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Validation figures of one class: precision, recall and f1 in 0..1 over `samples` samples."""

    samples: int
    precision: float
    recall: float
    f1: float


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from, enough to make it again.

    Attributes:
        pool_digest: sha256 over the pool's samples, labels, groups and splits.
        run_key: sha256 over everything that decides the model's bytes.
        rounds: rounds run; best_round: the one that shipped, counted from 1.
        training_samples: size of the training set of that round; pool_samples: of the training split.
        seed, m, a, b: of the draw; m = a + b samples a class and round.
        versions: of python and the libraries that decide the bytes.
    """

    pool_digest: Digest
    run_key: Digest
    rounds: int
    best_round: int
    training_samples: int
    pool_samples: int
    seed: int
    m: int
    a: int
    b: int
    versions: dict[str, str]


class Int8Recall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What INT8 does to one class: recall in 0..1 over `samples` samples, by the FP32 and by the INT8 file."""

    samples: int
    fp32: Ratio
    int8: Ratio


class Int8Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a card says of model.int8.onnx, or of why there is none.

    Attributes:
        sha256: of model.int8.onnx; null where none ships.
        refused: why none ships: what each attempt lost on the validation samples; empty where one does.
        mended_by: what made it pass: nothing, convolutions left in floating point, or fine-tuning.
        excluded: convolutions left in floating point.
        calibration_crops: training crops that gave the ranges of the activations.
        samples: validation samples compared; changed_decisions: of these, those that get another class in INT8.
        macro_f1_fp32, macro_f1: over them, by both files; recalls: of each class.
        processor: kind of processor on which this was measured.
    """

    sha256: Digest | None
    refused: str
    mended_by: Literal["nothing", "exclusion", "fine_tuning"]
    excluded: tuple[str, ...]
    calibration_crops: int
    samples: int
    changed_decisions: int
    macro_f1_fp32: Ratio
    macro_f1: Ratio
    recalls: dict[str, Int8Recall]
    processor: str


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """card.json: what a model is, knows and promises.

    Attributes:
        model_id: sha256 of model.onnx.
        classes: in the order of the scores.
        display_names: one entry a class.
        crop: shape of the input crops: uint8 (N, side_px, side_px, channels).
        norm: how norms are computed.
        class_norms: norm sums of each class over the whole training split.
        temperature: by which the logits were divided to calibrate the scores.
        metrics: validation figures by class; macro_f1 and worst_class_recall over them.
        opset, ort_min: what a runtime must support.
        latency_budget_us: longest median time an object may take on the board; 0 means no budget.
        int8: the INT8 file beside it, or why there is none; null where none was asked for, and in cards of builds
            before INT8.
    """

    model_id: Digest
    classes: tuple[Name, ...]
    display_names: dict[str, DisplayName]
    crop: CropSpec
    norm: NormSpec
    class_norms: dict[str, ClassNorms]
    temperature: Positive
    metrics: dict[str, ClassMetrics]
    macro_f1: Ratio
    worst_class_recall: Ratio
    lineage: Lineage
    opset: int
    ort_min: str
    latency_budget_us: int = 0
    int8: Int8Card | None = None
    schema_version: Literal[1] = CARD_SCHEMA_VERSION


class NormTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """norms.json: how the norms of each class are spread, to see drift on the machine.

    Attributes:
        bins: number of equal bins over 0..65536.
        histograms: counts by class, each of length `bins`.
    """

    bins: int
    histograms: dict[str, tuple[int, ...]]
    schema_version: Literal[1] = 1
