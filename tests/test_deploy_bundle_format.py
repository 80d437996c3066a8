"""The layout of a bundle has one spelling, and nothing harmful can be written in it."""

import json
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.bundle_format import (
    ALIGNMENT_B,
    HEADER_B,
    MAX_BUNDLE_B,
    MAX_METADATA_B,
    BundleFile,
    BundleMetadata,
    Header,
    Release,
    check_files,
    check_layout,
    check_path,
    decode_metadata,
    encode_metadata,
    pack_header,
    payload_start_b,
    place_files,
    total_length_b,
    unpack_header,
)
from deploy.errors import BundleError

DIGEST: Final = "ab" * 32
OTHER: Final = "cd" * 32

PARTS = st.text("az09_-", min_size=1, max_size=8)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.integers(0, 20_000), min_size=1, max_size=6)


def metadata_of(*files: BundleFile) -> BundleMetadata:
    return BundleMetadata(DIGEST, Release(3, "ünïcode"), "0.1.0", "1.22.0", files)


def placed(*paths: str) -> tuple[BundleFile, ...]:
    return place_files((path, 10, OTHER) for path in paths)


@given(FILES)
def test_payloads_are_aligned_in_order_and_never_overlap(lengths: dict[str, int]) -> None:
    files = place_files((path, length_b, DIGEST) for path, length_b in lengths.items())
    assert [file.path for file in files] == sorted(lengths)
    assert all(file.offset_b % ALIGNMENT_B == 0 for file in files)
    ends = [file.offset_b + file.length_b for file in files]
    gaps = [after.offset_b - end for after, end in zip(files[1:], ends, strict=False)]
    assert all(0 <= gap < ALIGNMENT_B for gap in gaps)


@given(FILES)
def test_metadata_survives_its_encoding(lengths: dict[str, int]) -> None:
    metadata = metadata_of(*place_files((path, length_b, OTHER) for path, length_b in lengths.items()))
    assert decode_metadata(encode_metadata(metadata)) == metadata


@given(st.binary(max_size=80))
def test_any_header_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        unpack_header(data)


@given(st.binary(max_size=200))
def test_any_metadata_bytes_are_refused_not_crashed_on(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_metadata(data)


@given(st.binary(max_size=100), st.integers(0, MAX_BUNDLE_B))
def test_header_gives_back_what_was_packed(metadata: bytes, file_b: int) -> None:
    header = unpack_header(pack_header(metadata, file_b))
    assert (header.metadata_b, header.file_b) == (len(metadata), file_b)


@pytest.mark.parametrize("position", range(HEADER_B))
def test_every_header_byte_matters(position: int) -> None:
    data = bytearray(pack_header(b"{}", 9000))
    whole = unpack_header(bytes(data))
    data[position] ^= 0x01
    try:
        assert unpack_header(bytes(data)) != whole
    except BundleError:
        assert position < 32  # the digest is only compared, every other field has a range


@pytest.mark.parametrize(("metadata_b", "file_b"), [(MAX_METADATA_B + 1, 9000), (2, MAX_BUNDLE_B + 1)])
def test_lengths_that_a_stick_cannot_hold_are_refused(metadata_b: int, file_b: int) -> None:
    with pytest.raises(BundleError, match="at most"):
        pack_header(bytes(metadata_b), file_b)


def test_a_later_format_version_is_refused_by_number() -> None:
    data = bytearray(pack_header(b"{}", 9000))
    data[8] = 2
    with pytest.raises(BundleError, match="format version 2, this program reads 1"):
        unpack_header(bytes(data))


@pytest.mark.parametrize(
    "path",
    ["", "/", "a/", "/a", "a//b", "..", "../a", "a/..", ".", ".hidden", "a.", "A", "a b", "a\\b", "c:", "é",
     "a\0", "a\n", "x" * 65, "a/b/c/d"],
)  # fmt: skip
def test_paths_that_could_leave_the_folder_or_collide_are_refused(path: str) -> None:
    with pytest.raises(BundleError):
        check_path(path)


@pytest.mark.parametrize("path", ["model.onnx", "a/b/c", "x" * 64, "_", "0-1.2"])
def test_plain_paths_are_allowed(path: str) -> None:
    check_path(path)
    assert metadata_of(*placed(path)).files[0].path == path


@given(st.text(max_size=40))
def test_an_allowed_path_stays_inside_and_has_one_spelling(path: str) -> None:
    try:
        check_path(path)
    except BundleError:
        return
    assert not path.startswith("/")
    assert path == path.lower()
    assert all(part.strip(".") == part and part for part in path.split("/"))


def test_the_same_content_spelled_otherwise_is_refused() -> None:
    canonical = encode_metadata(metadata_of(*placed("a")))
    loose = json.dumps(json.loads(canonical)).encode()
    with pytest.raises(BundleError, match="not canonical"):
        decode_metadata(loose)
    with pytest.raises(BundleError, match="not canonical"):
        decode_metadata(canonical.replace(b'{"files"', b'{"schema_version":1,"files"', 1))


def test_an_unknown_key_is_refused() -> None:
    text = encode_metadata(metadata_of(*placed("a"))).replace(b'"notes"', b'"nodes"')
    with pytest.raises(BundleError, match="nodes"):
        decode_metadata(text)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "0 files"),
        (placed("a") * 2, "2 files, 1 different"),
        (placed("a", "a/b"), "inside another file"),
        (placed("a", "a/b/c"), "inside another file"),
        (placed("a", "b")[::-1], "another order"),
        ((msgspec.structs.replace(placed("a")[0], offset_b=ALIGNMENT_B),), "other offsets"),
        ((msgspec.structs.replace(placed("a")[0], path="../a"),), "parts"),
        (placed("model.onnx"), "the bundle is for"),
    ],
)
def test_lists_of_files_outside_the_rule_are_refused(files: tuple[BundleFile, ...], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_files(metadata_of(*files))


def test_a_length_that_the_files_do_not_need_is_refused() -> None:
    metadata = metadata_of(*placed("a", "b"))
    needed_b = total_length_b(metadata.files, 300)
    assert needed_b == payload_start_b(300) + ALIGNMENT_B + 10 + 32
    check_layout(metadata, Header(300, needed_b, b""))
    with pytest.raises(BundleError, match="the listed files need"):
        check_layout(metadata, Header(300, needed_b + 1, b""))
