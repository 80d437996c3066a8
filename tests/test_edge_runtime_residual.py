"""What a residual record is, and what may teach."""

import zlib
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.crop import pack_crop, unpack_crop
from edge_runtime.errors import StorageError
from edge_runtime.norm import NormSpec, norm_q16, norm_sums
from edge_runtime.residual import (
    Failure,
    ResidualHeader,
    ResidualRecord,
    Truth,
    TruthSource,
    check_record,
    decode_record,
    encode_record,
    is_training_sample,
    make_record,
)

SIDE = 8


def a_crop(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    values = np.arange(SIDE * SIDE * 3, dtype=np.int64) * (2 * seed + 7) + 31 * seed
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[1:6, 2:7] = True
    return (values % 256).astype(np.uint8).reshape(SIDE, SIDE, 3) * mask[..., None], mask


def a_header(seed: int = 0, /, **changes: object) -> ResidualHeader:
    pixels, mask = a_crop(seed)
    numerators, denominators = norm_sums(pixels[None], mask[None], NormSpec())
    header = ResidualHeader(
        machine="mill-1",
        lot="lot-7",
        camera="top",
        line=1000 + seed,
        column=12,
        utc="2026-01-01T00:00:00.000+00:00",
        encoder=4000,
        side_px=SIDE,
        channels=3,
        predicted_class="rice",
        scores=(0.75, 0.25),
        action="accept",
        acknowledged="none",
        norm_q16=int(norm_q16(numerators, denominators)[0]),
        norm_numerator=int(numerators[0]),
        norm_denominator=int(denominators[0]),
        model_id="a" * 64,
        recipe_digest="b" * 64,
        truth=Truth("T0", "stone", 0.99, "technician"),
        failure="misclassified",
    )
    return msgspec.structs.replace(header, **changes)


def a_record(seed: int = 0, /, **changes: object) -> ResidualRecord:
    return make_record(a_header(seed, **changes), *a_crop(seed))


def test_record_survives_its_bytes() -> None:
    record = a_record()
    again = decode_record(encode_record(record))
    check_record(again)
    assert again == record
    pixels, mask = unpack_crop(again.blob, SIDE, 3)
    np.testing.assert_array_equal(pixels, a_crop()[0])
    np.testing.assert_array_equal(mask, a_crop()[1])


def test_id_does_not_depend_on_compression() -> None:
    record = a_record()
    stored = zlib.compress(zlib.decompress(record.blob), 9)
    assert stored != record.blob
    check_record(msgspec.structs.replace(record, blob=stored))


def test_id_is_pinned() -> None:
    """Pools know records by their id for ever."""
    assert a_record().id == "a6e2a05c54ee9184b1c30fc4cb9331e1f364d761a3ec6213181a3e9e23a30b0e"


LABEL_PART = {
    "machine": "mill-2",
    "lot": "lot-8",
    "camera": "side",
    "line": 5,
    "column": 6,
    "model_id": "c" * 64,
    "truth": Truth("T3", "stone", 0.99, "technician"),
}


@pytest.mark.parametrize("field", LABEL_PART)
def test_id_changes_with_every_field_of_the_label_part(field: str) -> None:
    changed = a_record(**{field: LABEL_PART[field]})
    assert changed.id != a_record().id
    with pytest.raises(StorageError, match="was changed"):
        check_record(msgspec.structs.replace(changed, id=a_record().id))


def test_id_changes_with_every_field_of_the_truth() -> None:
    truths = [
        Truth("T0", "stone", 0.99, "a"),
        Truth("T1", "stone", 0.99, "a"),
        Truth("T0", "husk", 0.99, "a"),
        Truth("T0", "stone", 0.5, "a"),
        Truth("T0", "stone", 0.99, "b"),
    ]
    assert len({a_record(truth=truth).id for truth in truths}) == len(truths)


def test_id_ignores_what_says_nothing_about_object_or_label() -> None:
    assert a_record(utc="2027-01-01T00:00:00+00:00", encoder=1, scores=(0.5, 0.5)).id == a_record().id


def test_whole_number_strength_gives_the_same_id_as_its_float() -> None:
    record = a_record(truth=Truth("T0", "stone", 1, "a"))
    check_record(decode_record(encode_record(record)))
    assert record.id == a_record(truth=Truth("T0", "stone", 1.0, "a")).id


@given(st.integers(0, SIDE * SIDE * 3 + SIDE - 1), st.integers(1, 255))
def test_any_changed_crop_byte_is_found(offset: int, flip: int) -> None:
    record = a_record()
    raw = bytearray(zlib.decompress(record.blob))
    raw[offset] ^= flip
    with pytest.raises(StorageError, match="was changed"):
        check_record(msgspec.structs.replace(record, blob=zlib.compress(bytes(raw))))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        decode_record(data)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"rubbish",
        zlib.compress(b"short"),
        zlib.compress(bytes(1 << 20)),
        pack_crop(*a_crop()) + b"x",
        pack_crop(*a_crop())[:-1],
    ],
)
def test_crop_of_another_size_is_refused(blob: bytes) -> None:
    with pytest.raises(StorageError, match="its crop"):
        check_record(msgspec.structs.replace(a_record(), blob=blob))


def test_deeply_nested_bytes_are_refused() -> None:
    with pytest.raises(StorageError):
        decode_record(b"\x91" * 100_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_q16": 1},
        {"norm_q16": 70_000},
        {"side_px": 9},
        {"channels": 4},
        {"truth": Truth("T0", "stone", 1.5, "x")},
        {"model_id": "short"},
        {"machine": "m" * 65},
        {"encoder": np.int64(3)},
        {"encoder": 2**64},
        {"failure": "unknown"},
        {"audit_rate": -0.1},
    ],
)
def test_header_out_of_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StorageError):
        a_record(**changes)


def test_only_confirmed_class_mistakes_are_training_samples() -> None:
    teaching = {
        (source, failure)
        for source in get_args(TruthSource)
        for failure in get_args(Failure)
        if is_training_sample(a_header(truth=Truth(source, "stone", 1.0, ""), failure=failure))
    }
    assert teaching == {(source, "misclassified") for source in ("T0", "T1", "T2", "T3")}


def test_unnamed_or_right_objects_are_no_training_samples() -> None:
    assert not is_training_sample(a_header(truth=Truth("T3", "", 1.0, "")))
    assert not is_training_sample(a_header(truth=Truth("T3", "rice", 1.0, "")))


def test_unknown_field_is_refused() -> None:
    data = msgspec.msgpack.decode(encode_record(a_record()))
    data[1]["surprise"] = 1
    with pytest.raises(StorageError, match="surprise"):
        decode_record(msgspec.msgpack.encode(data))
