"""A bundle is read whole or refused: every byte counts, and nothing half-done is left behind."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from deploy.bundle import extract_bundle, read_metadata, verify_bundle, write_bundle
from deploy.bundle_format import HEADER_B, BundleMetadata, Release, pack_header
from deploy.errors import BundleError, BundleSourceError
from edge_runtime.errors import StorageError
from edge_runtime.storage import sha256_hex

GOLDEN: Final = Path(__file__).parent / "golden" / "bundle_v1.sbun"
PAYLOADS: Final = {"model.onnx": b"weights" * 40, "card.json": b"{}", "extra/empty": b""}
MODEL_ID: Final = sha256_hex(PAYLOADS["model.onnx"])


def sources_in(folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    sources = {path: folder / path.replace("/", "-") for path in PAYLOADS}
    for path, source in sources.items():
        source.write_bytes(PAYLOADS[path])
    return sources


def build(folder: Path, name: str = "a.sbun") -> Path:
    write_bundle(sources_in(folder / "in"), folder / name, MODEL_ID, ort_min="1.22.0", release=Release(4, "hello"))
    return folder / name


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reseal(data: bytearray) -> bytes:
    """Make the digest at the end fit again, as whoever alters a bundle on purpose would."""
    return bytes(data[:-32]) + hashlib.sha256(data[:-32]).digest()


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    metadata = extract_bundle(build(tmp_path), tmp_path / "out")
    assert contents(tmp_path / "out") == PAYLOADS
    assert (metadata.model_id, metadata.release, metadata.signatures) == (MODEL_ID, Release(4, "hello"), "none")
    assert verify_bundle(tmp_path / "a.sbun") == metadata == read_metadata(tmp_path / "a.sbun")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = build(tmp_path / "one"), build(tmp_path / "two", "b.sbun")
    assert first.read_bytes() == second.read_bytes()


def test_golden_bundle_is_read_and_built_again_byte_for_byte(tmp_path: Path) -> None:
    metadata = extract_bundle(GOLDEN, tmp_path / "out")
    assert contents(tmp_path / "out") == {"model.onnx": b"not a model", "card.json": b"{}", "extra/notes.txt": b""}
    sources = {file.path: tmp_path / "out" / file.path for file in metadata.files}
    write_bundle(sources, tmp_path / "b.sbun", metadata.model_id, ort_min=metadata.ort_min, release=metadata.release)
    assert (tmp_path / "b.sbun").read_bytes() == GOLDEN.read_bytes()


def test_every_altered_byte_is_found(tmp_path: Path) -> None:
    path = build(tmp_path)
    missed = []
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(path.read_bytes()):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << position % 8]), position)
            try:
                verify_bundle(path)
            except BundleError as error:
                assert str(path) in str(error)
            else:
                missed.append(position)
            os.pwrite(file.fileno(), bytes([byte]), position)
    assert missed == []


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 65, 4095, 4096, 8191, -33, -32, -1])
def test_a_bundle_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = build(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BundleError):
        verify_bundle(path)


def test_a_byte_too_many_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleError, match="the copy is not complete"):
        verify_bundle(path)


def test_the_message_names_the_altered_payload(tmp_path: Path) -> None:
    path = build(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"weights")] ^= 1
    path.write_bytes(reseal(data))
    with pytest.raises(BundleError, match=r"model\.onnx has sha256"):
        verify_bundle(path)


def test_nothing_can_be_hidden_in_the_padding(tmp_path: Path) -> None:
    path = build(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"weights") - 1] = 1
    path.write_bytes(reseal(data))
    with pytest.raises(BundleError, match=r"padding before extra/empty is not zero"):
        verify_bundle(path)


def test_metadata_spelled_otherwise_is_refused_even_when_all_digests_fit(tmp_path: Path) -> None:
    path = build(tmp_path)
    data = path.read_bytes()
    length_b = int.from_bytes(data[12:16], "little")
    loose = data[HEADER_B : HEADER_B + length_b].replace(b'"files":', b'"files": ', 1)
    rest = data[HEADER_B + length_b + 1 :]  # one byte of padding makes room for the blank
    path.write_bytes(reseal(bytearray(pack_header(loose, len(data)) + loose + rest)))
    with pytest.raises(BundleError, match="not canonical"):
        verify_bundle(path)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data.replace(b"weights", b"Weights", 1)])
def test_a_refused_bundle_leaves_nothing_behind(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = build(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError):
        extract_bundle(path, tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.sbun", "in"]


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="only extracted into a new folder"):
        extract_bundle(build(tmp_path), tmp_path / "out")
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("folder", ["missing/out", "in-the-way/out"])
def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path, folder: str) -> None:
    (tmp_path / "in-the-way").write_text("a file")
    with pytest.raises(StorageError):
        extract_bundle(build(tmp_path), tmp_path / folder)


@pytest.mark.parametrize("read", [verify_bundle, read_metadata])
def test_a_missing_bundle_is_a_storage_error(tmp_path: Path, read: Callable[[Path], BundleMetadata]) -> None:
    with pytest.raises(StorageError, match=r"gone\.sbun: No such file"):
        read(tmp_path / "gone.sbun")


def test_a_failed_build_leaves_the_old_bundle(tmp_path: Path) -> None:
    path = build(tmp_path)
    before = path.read_bytes()
    sources = sources_in(tmp_path / "in")
    sources["model.onnx"].write_bytes(b"another model")
    with pytest.raises(BundleSourceError, match="the bundle is for"):
        write_bundle(sources, path, MODEL_ID, ort_min="1.22.0")
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.sbun", "in"]


@pytest.mark.parametrize("path", ["../evil", "Model.onnx", ""])
def test_a_path_that_no_bundle_may_hold_is_refused_at_build(tmp_path: Path, path: str) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"x")
    with pytest.raises(BundleSourceError, match="parts of"):
        write_bundle({path: source}, tmp_path / "a.sbun", MODEL_ID, ort_min="1.22.0")


def test_an_unwritable_target_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        write_bundle(sources_in(tmp_path / "in"), tmp_path / "no" / "a.sbun", MODEL_ID, ort_min="1.22.0")
