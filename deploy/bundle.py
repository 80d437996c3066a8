"""Bundles on disk: build one from a model folder, verify one, take one apart.

Every byte is read once, in blocks, whatever the size. What a bundle may look like is bundle_format's business.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write_bundle({"note.txt": Path(__file__)}, Path(folder) / "a.sbun", "0" * 64, ort_min="1.22.0").model_id[:4]
'0000'
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from deploy.bundle_format import (
    DIGEST_B,
    HEADER_B,
    MIN_RUNTIME,
    BundleFile,
    BundleMetadata,
    Header,
    Release,
    check_files,
    check_layout,
    decode_metadata,
    encode_metadata,
    pack_header,
    payload_start_b,
    place_files,
    total_length_b,
    unpack_header,
)
from deploy.errors import BundleError, BundleSourceError
from edge_runtime.errors import StorageError
from edge_runtime.storage import fsync_folder

__all__ = ["extract_bundle", "read_metadata", "verify_bundle", "write_bundle"]

_BLOCK_B: Final = 1 << 20

_Sink = Callable[[bytes], object]
_OpenSink = Callable[[BundleFile], AbstractContextManager[_Sink]]


def write_bundle(
    sources: Mapping[str, Path], out: Path, model_id: str, *, ort_min: str, release: Release | None = None
) -> BundleMetadata:
    """Write a bundle of files; the same files and release give the same bytes.

    Args:
        sources: path inside the bundle -> file on disk; at least one.
        out: the bundle; whatever was there is replaced at once when all is written and flushed.
        model_id: sha256 of the model.
        ort_min: oldest onnxruntime that loads it.
        release: what to say about it.

    Raises:
        BundleSourceError: no file, a path that is not allowed, another model.onnx than `model_id` says, 4 GiB or more,
            or a file that changed while it was read.
        StorageError: a file cannot be read, or `out` cannot be written.
    """
    files = place_files((path, *_measure(source)) for path, source in sources.items())
    metadata = BundleMetadata(
        model_id=model_id, release=release or Release(), min_runtime=MIN_RUNTIME, ort_min=ort_min, files=files
    )
    block = encode_metadata(metadata)
    try:
        check_files(metadata)
        header = pack_header(block, total_length_b(files, len(block)))
    except BundleError as error:
        raise BundleSourceError(f"cannot build {out}: {error}") from error
    with _replacing(out) as file:
        writer = _HashedWriter(file)
        writer.write(header + block)
        start_b = payload_start_b(len(block))
        for entry in files:
            writer.pad_to(start_b + entry.offset_b)
            if _copy(sources[entry.path], writer.write) != (entry.length_b, entry.sha256):
                raise BundleSourceError(f"{sources[entry.path]} changed while the bundle was built: build it again")
        file.write(writer.digest())
    return metadata


def read_metadata(path: Path) -> BundleMetadata:
    """Return what a bundle says about itself; its payloads are NOT looked at.

    Raises:
        BundleError: header or metadata is damaged, or the file has another length than its header says.
        StorageError: the file cannot be read.
    """
    with _opened(path) as file:
        return _read_front(_HashedReader(file), path)[1]


def verify_bundle(path: Path) -> BundleMetadata:
    """Read a whole bundle and return its metadata if every byte is as it was built.

    Raises:
        BundleError: anything differs; the message names the part or the payload.
        StorageError: the file cannot be read.

    Note:
        This proves integrity, not origin: whoever alters a bundle on purpose can make all digests fit again.
    """
    with _opened(path) as file:
        return _read_whole(file, path, lambda _entry: nullcontext(_ignore))


def extract_bundle(path: Path, folder: Path) -> BundleMetadata:
    """Verify a bundle and put its payloads into `folder`, which appears only when all is there and flushed.

    Args:
        path: the bundle; it is read once, what is written is what was verified.
        folder: must not exist, its parent must.

    Raises:
        BundleError: anything differs; nothing is left behind.
        StorageError: the bundle cannot be read, or the folder exists or cannot be written.
    """
    if folder.exists():
        raise StorageError(f"{folder} exists: a bundle is only extracted into a new folder")
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        staging.mkdir()
        with _opened(path) as file:
            metadata = _read_whole(file, path, lambda entry: _durable(staging / entry.path))
        for inner in sorted({(staging / entry.path).parent for entry in metadata.files} | {staging}):
            fsync_folder(inner)
        staging.replace(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"cannot extract {path} to {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return metadata


class _HashedWriter:
    """Writes and hashes; knows where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._position_b = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._position_b += len(data)

    def pad_to(self, position_b: int) -> None:
        self.write(bytes(position_b - self._position_b))

    def digest(self) -> bytes:
        return self._hash.digest()


class _HashedReader:
    """Reads and hashes; knows where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.position_b = 0

    def size_b(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def read(self, length_b: int) -> bytes:
        data = self._file.read(length_b)
        self._hash.update(data)
        self.position_b += len(data)
        return data

    def blocks(self, length_b: int) -> Iterator[bytes]:
        end_b = self.position_b + length_b
        while self.position_b < end_b and (data := self.read(min(_BLOCK_B, end_b - self.position_b))):
            yield data

    def digest(self) -> bytes:
        return self._hash.digest()


def _read_front(reader: _HashedReader, path: Path) -> tuple[Header, BundleMetadata]:
    """Read and judge header and metadata; every later length comes from them."""
    try:
        header = unpack_header(reader.read(HEADER_B))
        size_b = reader.size_b()
        if size_b != header.file_b:
            raise BundleError(f"file has {size_b} B, its header says {header.file_b} B: the copy is not complete")
        block = reader.read(header.metadata_b)
        if hashlib.sha256(block).digest() != header.metadata_digest:
            raise BundleError("metadata has another sha256 than the header says")
        metadata = decode_metadata(block)
        check_layout(metadata, header)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    return header, metadata


def _read_whole(file: BinaryIO, path: Path, open_sink: _OpenSink) -> BundleMetadata:
    """Judge every byte and hand each payload's bytes to its sink; a sink sees them before they are judged."""
    reader = _HashedReader(file)
    header, metadata = _read_front(reader, path)
    start_b = payload_start_b(header.metadata_b)
    for entry in metadata.files:
        if any(reader.read(start_b + entry.offset_b - reader.position_b)):
            raise BundleError(f"{path}: the padding before {entry.path} is not zero")
        digest = hashlib.sha256()
        with open_sink(entry) as sink:
            for data in reader.blocks(entry.length_b):
                digest.update(data)
                sink(data)
        if digest.hexdigest() != entry.sha256:
            raise BundleError(f"{path}: {entry.path} has sha256 {digest.hexdigest()}, {entry.sha256} was built")
    if file.read(DIGEST_B + 1) != reader.digest():
        raise BundleError(f"{path}: the digest at the end does not fit the file")
    return metadata


def _ignore(_data: bytes) -> None:
    """Take bytes that only the hash is wanted of."""


def _measure(source: Path) -> tuple[int, str]:
    """Return length and sha256 of a file."""
    return _copy(source, _ignore)


def _copy(source: Path, sink: _Sink) -> tuple[int, str]:
    """Hand a file's bytes to `sink` in blocks; return their number and sha256."""
    digest, length_b = hashlib.sha256(), 0
    with _opened(source) as file:
        while data := file.read(_BLOCK_B):
            digest.update(data)
            length_b += len(data)
            sink(data)
    return length_b, digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open for reading; an OSError inside is a failed read."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when all went well: edge_runtime.storage.write_atomic for streams."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _durable(path: Path) -> Iterator[_Sink]:
    """Create a file with its folders and flush it at the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
