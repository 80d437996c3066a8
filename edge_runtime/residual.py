"""One residual record: a crop, what the machine decided about it, and the truth somebody told.

It knows what a record is and whether it may teach; nothing of files, spools or where a truth comes from.

>>> Truth(source="T0", label="stone", strength=0.99, who="technician").source
'T0'
"""

import hashlib
import zlib
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import pack_crop
from edge_runtime.errors import StorageError
from edge_runtime.norm import Q16_ONE, ClassNorms, norm_q16
from edge_runtime.schemas import ResidualPolicy

__all__ = [
    "CONFIRMING_SOURCES",
    "NORM_SOURCES",
    "Acknowledged",
    "Failure",
    "Origin",
    "ResidualHeader",
    "ResidualRecord",
    "Truth",
    "TruthSource",
    "check_record",
    "counted_class",
    "decode_record",
    "encode_record",
    "is_training_sample",
    "make_record",
    "residual_id",
]

TruthSource = Literal[
    "T0", "T1", "T2", "T3", "T5", "T6", "T7", "T8"
]  # T4 tells rates of bags, never one object's class
Acknowledged = Literal["none", "acked", "late", "lost"]
Failure = Literal["misclassified", "late", "not_deflected", "audit", "candidate"]

CONFIRMING_SOURCES: Final = frozenset({"T0", "T1", "T2", "T3"})
NORM_SOURCES: Final = frozenset(
    {"T0", "T1", "T2"}
)  # they see right and wrong objects alike, a reviewer only doubtful ones

_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody or something says an object is.

    Attributes:
        source: T0 teach lot, T1 tracer, T2 downstream inspection, T3 review by a person, T5 views disagree, T6 shadow
            model disagrees, T7 low margin or far norm, T8 audit slice.
        label: class name; "" while nobody has named it (T5-T8).
        strength: how sure the source is, 0..1: purity of the teach lot, agreement of the reviewers, probability that a
            verdict belongs to this piece and is right.
        who: person or device.
    """

    source: TruthSource
    label: _Name = ""
    strength: _Ratio = 0.0
    who: _Name = ""


class ResidualHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a recorded object but its pixels.

    Attributes:
        machine, lot, camera: names.
        line, column: the object's place: absolute line of its last row, column where that row begins.
        utc: when it was recorded, ISO 8601 with zone.
        encoder: tick of the belt at its last row.
        side_px, channels: shape of the crop, (side_px, side_px, channels).
        predicted_class: class name the model gave.
        scores: one a class, in the model's order.
        action: what the machine did.
        acknowledged: what the controller said about the pulse; none where no pulse was asked for.
        norm_q16, norm_numerator, norm_denominator: the norm and the two integers it comes from.
        model_id, recipe_digest: sha256 of the model and of the recipe that decided.
        truth: see `Truth`.
        failure: misclassified; late or not_deflected (the class was right, the ejection was not); audit (a random
            sample, held out); candidate (doubtful, waits for a person).
        audit_rate: probability with which this object joined the audit slice; 0 where it did not.
    """

    machine: _Name
    lot: _Name
    camera: _Name
    line: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    column: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
    utc: Annotated[str, msgspec.Meta(max_length=40)]
    encoder: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    side_px: Annotated[int, msgspec.Meta(ge=1, le=512)]
    channels: Annotated[int, msgspec.Meta(ge=1, le=32)]
    predicted_class: _Name
    scores: Annotated[tuple[float, ...], msgspec.Meta(max_length=4096)]
    action: Literal["accept", "eject"]
    acknowledged: Acknowledged
    norm_q16: Annotated[int, msgspec.Meta(ge=0, le=Q16_ONE)]
    norm_numerator: Annotated[int, msgspec.Meta(ge=0, lt=2**47)]  # 65536 times it still fits 64 bits
    norm_denominator: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    model_id: _Digest
    recipe_digest: _Digest
    truth: Truth
    failure: Failure
    audit_rate: _Ratio = 0.0
    schema_version: Literal[1] = 1


class ResidualRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A header, its crop and the id that ties both together.

    Attributes:
        id: `residual_id` of header and crop, 64 hexadecimal digits.
        header: see `ResidualHeader`.
        blob: `edge_runtime.crop.pack_crop` of pixels and mask.
    """

    id: _Digest
    header: ResidualHeader
    blob: bytes


class Origin(msgspec.Struct, frozen=True):
    """What all records of a run have in common.

    Attributes:
        machine, lot: names; a new lot is a new recorder.
        model_id, recipe_digest: sha256 of what decides.
        class_names: in the order of the scores.
        policy: what is recorded, from the recipe.
        sample_counts: samples of each class on which the scores were calibrated, from the card; empty for equal ones.
        class_norms: norm sums of the training samples by class, from the card; without them no norm is far.
    """

    machine: str
    lot: str
    model_id: str
    recipe_digest: str
    class_names: tuple[str, ...]
    policy: ResidualPolicy = ResidualPolicy()
    sample_counts: tuple[int, ...] = ()
    class_norms: dict[str, ClassNorms] = {}


def residual_id(header: ResidualHeader, crop: bytes) -> str:
    """Return the sha256, 64 hexadecimal digits, of what a record says about which object.

    Args:
        header: its label part counts: truth, model, machine, lot, camera, line and column, in this order as one
            MessagePack array (the truth as an array of source, label, strength, who).
        crop: the unpacked crop: pixel bytes, then mask bits; so the id does not depend on how it was compressed.
    """
    truth = header.truth
    label_part = (
        (truth.source, truth.label, truth.strength, truth.who),
        header.model_id,
        header.machine,
        header.lot,
        header.camera,
        header.line,
        header.column,
    )
    return hashlib.sha256(msgspec.msgpack.encode(label_part) + crop).hexdigest()


def make_record(header: ResidualHeader, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> ResidualRecord:
    """Return the record of one object.

    Args:
        header: checked against its ranges here.
        pixels: (side_px, side_px, channels) uint8, 0 outside the mask.
        mask: (side_px, side_px) bool.

    Raises:
        StorageError: a value of the header is out of range, the crop has another shape than the header says, or the
            norm does not follow from its two parts.
    """
    shape = (header.side_px, header.side_px, header.channels)
    if pixels.shape != shape or mask.shape != shape[:2] or pixels.dtype != np.uint8 or mask.dtype != np.bool_:
        raise StorageError(
            f"crop {pixels.dtype}{pixels.shape} with mask {mask.dtype}{mask.shape} does not fit the header: "
            f"uint8{shape} and bool{shape[:2]} are expected"
        )
    try:  # the round trip checks ranges and turns 1 into 1.0, so that the id is that of the record when read again
        checked = msgspec.msgpack.decode(msgspec.msgpack.encode(header), type=ResidualHeader)
    except (msgspec.MsgspecError, TypeError, OverflowError) as error:
        raise StorageError(f"residual header of line {header.line} cannot be stored: {error}") from error
    _check_norm(checked)
    return ResidualRecord(
        residual_id(checked, pixels.tobytes() + np.packbits(mask).tobytes()), checked, pack_crop(pixels, mask)
    )


def check_record(record: ResidualRecord) -> None:
    """Prove that a record is what its id says.

    Raises:
        StorageError: the crop is damaged or larger than the header allows, the id does not belong to this header and
            crop, or the norm does not follow from its parts.
    """
    crop = _unpacked(record)
    found = residual_id(record.header, crop)
    if found != record.id:
        raise StorageError(f"residual {record.id[:12]} is not what its id says (found {found[:12]}): it was changed")
    _check_norm(record.header)


def encode_record(record: ResidualRecord) -> bytes:
    """Return a record as MessagePack: the array [id, header as a map, blob]."""
    return msgspec.msgpack.encode(record)


def decode_record(data: bytes | memoryview) -> ResidualRecord:
    """Return the record of `encode_record`'s bytes; its id is not recomputed, see `check_record`.

    Raises:
        StorageError: the bytes are no record, of a later schema version, or a value is out of range.
    """
    try:
        return msgspec.msgpack.decode(data, type=ResidualRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StorageError(f"{len(data)} bytes are no residual record: {error}") from error


def counted_class(header: ResidualHeader) -> str:
    """Return the class that a record's quota is counted by: the true one, the decided one while nobody named it."""
    return header.truth.label or header.predicted_class


def is_training_sample(header: ResidualHeader) -> bool:
    """Return whether this object may be trained on.

    Only mistakes of the class whose truth is confirmed (T0-T3) may: a late or missed ejection is no mistake of the
    model, a candidate waits for a person, and the audit slice is held out so that it can measure.
    """
    truth = header.truth
    is_confirmed = truth.source in CONFIRMING_SOURCES and truth.label != ""
    return header.failure == "misclassified" and is_confirmed and truth.label != header.predicted_class


def _unpacked(record: ResidualRecord) -> bytes:
    """Return the crop's raw bytes, never more than the header allows: a stick may carry a decompression bomb."""
    header = record.header
    size = header.side_px * header.side_px * header.channels + (header.side_px * header.side_px + 7) // 8
    inflater = zlib.decompressobj()
    try:
        crop = inflater.decompress(record.blob, size + 1)
    except zlib.error as error:
        raise StorageError(f"residual {record.id[:12]}: its crop is damaged: {error}") from error
    if len(crop) != size or not inflater.eof or inflater.unused_data:
        raise StorageError(
            f"residual {record.id[:12]}: its crop does not have the {size} bytes of side {header.side_px} px "
            f"and {header.channels} channels"
        )
    return crop


def _check_norm(header: ResidualHeader) -> None:
    parts = np.array([[header.norm_numerator], [header.norm_denominator]], np.int64)
    if int(norm_q16(parts[0], parts[1])[0]) != header.norm_q16:
        raise StorageError(
            f"norm {header.norm_q16} does not follow from {header.norm_numerator} / {header.norm_denominator}: "
            "take all three from edge_runtime.norm"
        )
