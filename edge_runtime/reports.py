"""What the machine's commands print with --json: versioned records, documented in docs/json-schemas.md."""

from typing import Literal

import msgspec

from edge_runtime.audit_estimate import AuditEstimate
from edge_runtime.recorder import RecorderCounts
from edge_runtime.residual import ResidualHeader
from edge_runtime.residual_view import Kept
from edge_runtime.scorer import Provider, Variant
from edge_runtime.spool import SpoolCounts
from edge_runtime.stage_times import StageTime

__all__ = [
    "CheckReport",
    "DecisionRow",
    "DeliveredReport",
    "PurgeReport",
    "ReplayReport",
    "ShowReport",
    "ShownRecord",
    "SpoolReport",
    "TeachReport",
]


class ReplayReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge replay` found.

    Attributes:
        frames: frames sorted.
        missing: pictures that could not be used, by reason; frames + missing are all pictures of the recording.
        objects: found; of them oversize, clusters and cut_off were never classified, and ejected were to be thrown out.
        classes: objects by class.
        decisions_sha256: digest of all decisions and pulses; equal for equal recording, model and recipe.
        model_id: of the model.
        recall, precision, mean_iou: objects found against polygons drawn by people, at intersection over union of 0.5;
            mean_iou is over the matched pairs. null without --truth.
        polygons: drawn by people; matched: of them found. null without --truth.
        seconds: wall time.
        stages: what each stage took of the processor's time, in the order of the data's way.
        variant, provider: which file of the model ran, and by which runtime.
    """

    frames: int
    missing: dict[str, int]
    objects: int
    oversize: int
    clusters: int
    cut_off: int
    ejected: int
    classes: dict[str, int]
    decisions_sha256: str
    model_id: str
    recall: float | None
    precision: float | None
    mean_iou: float | None
    polygons: int | None
    matched: int | None
    seconds: float
    stages: tuple[StageTime, ...] = ()
    variant: Variant = "fp32"
    provider: Provider = "onnxruntime"
    schema_version: Literal[1] = 1


class DecisionRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a decision log.

    Attributes:
        camera, line, column: the object's id.
        kind: "object", or of those without a class "oversize", "cluster" or "cut_off".
        class_name: "" where it has no class.
        score: of that class, 0..1.
        action: accept or eject.
        norm_q16: its norm.
        centre_mm: from the left edge of the view, and from line 0.
        length_mm, width_mm: longer side, and across it.
        angle_deg: 0..180, from across the belt to the longer side.
        pulses: of each: first valve, number of valves, microseconds from line 0 of the stream, length in microseconds.
    """

    camera: str
    line: int
    column: int
    kind: str
    class_name: str
    score: float
    action: Literal["accept", "eject"]
    norm_q16: int
    centre_mm: tuple[float, float]
    length_mm: float
    width_mm: float
    angle_deg: float
    pulses: list[tuple[int, int, int, int]]


class TeachReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge teach` recorded.

    Attributes:
        label: class of the lot.
        objects: of the lot.
        wrong: of them decided as another class.
        accepted: records now safe in the spool.
        recorded: the recorder's books.
    """

    label: str
    objects: int
    wrong: int
    accepted: int
    recorded: RecorderCounts
    schema_version: Literal[1] = 1


class SpoolReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a spool holds.

    Attributes:
        counts: the books.
        sources, labels, failures: records by truth source, by label and by failure.
        kept: records by lot, source, class and failure, as quotas count them.
        audit: the error rate that the labelled audit slice tells.
    """

    counts: SpoolCounts
    sources: dict[str, int]
    labels: dict[str, int]
    failures: dict[str, int]
    kept: tuple[Kept, ...]
    audit: AuditEstimate
    schema_version: Literal[2] = 2


class ShownRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record: its id and everything but the pixels."""

    id: str
    header: ResidualHeader


class ShowReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge residual show` found.

    Attributes:
        found: records that were asked for.
        records: the first of them, those in which the model most surely contradicts the label in front.
        files: pictures written.
    """

    found: int
    records: tuple[ShownRecord, ...]
    files: tuple[str, ...]
    schema_version: Literal[1] = 1


class PurgeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge residual purge` did: records asked for, records given up, and the books after it."""

    found: int
    purged: int
    counts: SpoolCounts
    schema_version: Literal[1] = 1


class DeliveredReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a trainer's receipt freed: records it names, and records of this spool now marked delivered."""

    named: int
    delivered: int
    schema_version: Literal[1] = 1


class CheckReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge check` proved: each file with what was found about it."""

    files: dict[str, str]
    schema_version: Literal[1] = 1
