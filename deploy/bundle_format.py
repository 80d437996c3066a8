"""The layout of a `.sbun` bundle as pure rules: header, metadata, where each payload lies, what a name may be.

No files are touched here; docs/bundle-format.md describes every byte. A bundle has no compression, no links, no modes
and no folders of its own, so that what could be hidden in an archive cannot be expressed.

>>> files = place_files([("model.onnx", 5000, "0" * 64), ("card.json", 300, "1" * 64)])
>>> [(file.path, file.offset_b) for file in files]
[('card.json', 0), ('model.onnx', 4096)]
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from deploy.errors import BundleError

__all__ = [
    "ALIGNMENT_B",
    "DIGEST_B",
    "FORMAT_VERSION",
    "HEADER_B",
    "MAX_BUNDLE_B",
    "MAX_METADATA_B",
    "MIN_RUNTIME",
    "BundleFile",
    "BundleMetadata",
    "Header",
    "Release",
    "check_files",
    "check_layout",
    "check_path",
    "decode_metadata",
    "encode_metadata",
    "pack_header",
    "payload_start_b",
    "place_files",
    "total_length_b",
    "unpack_header",
]

FORMAT_VERSION: Final = 1
HEADER_B: Final = 64
DIGEST_B: Final = 32
ALIGNMENT_B: Final = 4096  # a page: a payload can be mapped into memory where it lies
MAX_METADATA_B: Final = 4 << 20
MAX_BUNDLE_B: Final = (4 << 30) - 1  # the largest file of FAT32, which most sticks carry
MIN_RUNTIME: Final = "0.1.0"  # the first release that reads format 1 and card schema 1

# 0x89 and the line ends show at once that a transfer changed 8-bit bytes or line ends.
_MAGIC: Final = b"\x89SBUN\r\n\x1a"
_HEADER: Final = struct.Struct("<8sIIQ8s32s")  # magic, format, metadata length, file length, zeros, metadata digest
_RESERVED: Final = bytes(8)
_PART: Final = re.compile(r"[a-z0-9._-]{1,64}")
_MAX_PARTS: Final = 3

Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_BUNDLE_B)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Notes = Annotated[str, msgspec.Meta(max_length=1000)]


class Header(NamedTuple):
    """The first 64 bytes: how long metadata and file are, and the metadata's sha256."""

    metadata_b: int
    file_b: int
    metadata_digest: bytes


class BundleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One payload: its path on the machine, its length, and where it begins behind the start of the payloads.

    Offsets do not count from the start of the file, so that signatures can join the metadata without moving them.
    """

    path: str
    length_b: Length
    offset_b: Length
    sha256: Digest


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is shipped, in the words of whoever built it.

    Attributes:
        number: counts up with every release of a product; 0 for one outside any series.
        notes: for people.
        kind: the only kind so far.
    """

    number: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    notes: Notes = ""
    kind: Literal["model"] = "model"


class BundleMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a bundle says about itself.

    Attributes:
        model_id: sha256 of model.onnx, as in its card.
        release: what is shipped.
        min_runtime: oldest sortloop that can use it; ort_min: oldest onnxruntime.
        files: ascending by path.
        signatures: "none": this format proves that nothing was changed by accident, not who made it.
    """

    model_id: Digest
    release: Release
    min_runtime: str
    ort_min: str
    files: tuple[BundleFile, ...]
    signatures: Literal["none"] = "none"
    schema_version: Literal[1] = 1


def check_path(path: str) -> None:
    """Prove that a payload's path is harmless on every file system.

    Raises:
        BundleError: more than 3 parts, a part that is not [a-z0-9._-]{1,64}, or one that begins or ends with a dot.
    """
    parts = path.split("/")
    has_bad_part = any(not _PART.fullmatch(part) or part[0] == "." or part[-1] == "." for part in parts)
    if len(parts) > _MAX_PARTS or has_bad_part:
        raise BundleError(
            f"path {path!r}: at most {_MAX_PARTS} parts of [a-z0-9._-]{{1,64}} that neither begin nor end with a dot"
        )


def place_files(files: Iterable[tuple[str, int, str]]) -> tuple[BundleFile, ...]:
    """Return where each payload lies: ascending by path, each at the next multiple of 4096.

    Args:
        files: path, length in bytes and sha256 of each.
    """
    placed: list[BundleFile] = []
    end_b = 0
    for path, length_b, digest in sorted(files):
        placed.append(BundleFile(path=path, length_b=length_b, offset_b=_align(end_b), sha256=digest))
        end_b = _align(end_b) + length_b
    return tuple(placed)


def payload_start_b(metadata_b: int) -> int:
    """Return where the payloads begin in the file, behind a metadata block of this length."""
    return _align(HEADER_B + metadata_b)


def total_length_b(files: Sequence[BundleFile], metadata_b: int) -> int:
    """Return the length of a bundle with these payloads, at least one: to the end of the last, plus its own digest."""
    return payload_start_b(metadata_b) + files[-1].offset_b + files[-1].length_b + DIGEST_B


def encode_metadata(metadata: BundleMetadata) -> bytes:
    """Return the one JSON text of `metadata`: keys sorted, no blanks, UTF-8."""
    return msgspec.json.encode(metadata, order="sorted")


def decode_metadata(data: bytes) -> BundleMetadata:
    """Return the metadata of a block; `encode_metadata` of it gives the same bytes again.

    Raises:
        BundleError: not JSON, an unknown or missing key, a value out of range, or not written canonically.
    """
    try:
        metadata = msgspec.json.decode(data, type=BundleMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"metadata cannot be read: {error}") from error
    if encode_metadata(metadata) != data:
        raise BundleError("metadata is not canonical: the same content written another way is refused")
    return metadata


def pack_header(metadata: bytes, file_b: int) -> bytes:
    """Return the 64 bytes in front of `metadata` in a bundle of `file_b` bytes.

    Raises:
        BundleError: a length that `unpack_header` would refuse.
    """
    _check_lengths(len(metadata), file_b)
    digest = hashlib.sha256(metadata).digest()
    return _HEADER.pack(_MAGIC, FORMAT_VERSION, len(metadata), file_b, _RESERVED, digest)


def unpack_header(data: bytes) -> Header:
    """Return what the first 64 bytes say.

    Raises:
        BundleError: too short, another magic or format version, bytes that must be 0 are not, or a length out of range.
    """
    if len(data) != HEADER_B:
        raise BundleError(f"header has {len(data)} bytes, {HEADER_B} are expected: the file is cut off or no bundle")
    magic, version, metadata_b, file_b, reserved, digest = _HEADER.unpack(data)
    if magic != _MAGIC:
        raise BundleError(f"header begins with {magic!r}: this is no .sbun bundle, or a transfer changed its bytes")
    if version != FORMAT_VERSION:
        raise BundleError(f"header has format version {version}, this program reads {FORMAT_VERSION}")
    if reserved != _RESERVED:
        raise BundleError(f"header has {reserved.hex()} where 8 zero bytes are expected")
    _check_lengths(metadata_b, file_b)
    return Header(metadata_b, file_b, digest)


def check_files(metadata: BundleMetadata) -> None:
    """Prove that the payloads lie where the rule puts them, so that one list of files has one bundle.

    Raises:
        BundleError: no file, a bad or repeated path, a path inside another file, an offset that differs, or
            a model.onnx that is not the model of the metadata.
    """
    paths = [file.path for file in metadata.files]
    for path in paths:
        check_path(path)
    if not paths or len(set(paths)) != len(paths):
        raise BundleError(f"metadata lists {len(paths)} files, {len(set(paths))} different: at least 1, none twice")
    for path in paths:
        parents = {path.rsplit("/", maxsplit=count)[0] for count in range(1, _MAX_PARTS)} - {path}
        if parents.intersection(paths):
            raise BundleError(f"path {path!r} lies inside another file of the bundle")
    if metadata.files != place_files((file.path, file.length_b, file.sha256) for file in metadata.files):
        raise BundleError("metadata lists files in another order or at other offsets than the format's rule")
    for file in metadata.files:
        if file.path == "model.onnx" and file.sha256 != metadata.model_id:
            raise BundleError(f"model.onnx has sha256 {file.sha256[:12]}, the bundle is for {metadata.model_id[:12]}")


def check_layout(metadata: BundleMetadata, header: Header) -> None:
    """Prove that `check_files` holds and that the header's length is the one these files need.

    Raises:
        BundleError: as `check_files`, or another length.
    """
    check_files(metadata)
    needed_b = total_length_b(metadata.files, header.metadata_b)
    if needed_b != header.file_b:
        raise BundleError(f"header says {header.file_b} B, the listed files need {needed_b} B")


def _check_lengths(metadata_b: int, file_b: int) -> None:
    if metadata_b > MAX_METADATA_B:
        raise BundleError(f"metadata has {metadata_b} B, at most {MAX_METADATA_B} B are allowed")
    if file_b > MAX_BUNDLE_B:
        raise BundleError(f"bundle has {file_b} B, a file on a FAT32 stick at most {MAX_BUNDLE_B} B")


def _align(position_b: int) -> int:
    return -(-position_b // ALIGNMENT_B) * ALIGNMENT_B
