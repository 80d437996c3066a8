"""A folder, tar or manifest to labelled picture files, one by one in sorted order.

A source is a folder of class folders, a tar of one, a Datumaro data set, or a manifest; `manifest.csv` inside or beside
a folder or tar gives class, split, group and hash of its files. Files that cannot be samples come out too, with the
reason. Knows names and bytes; whether the bytes are a picture is the business of `trainer.acquire.sample_pictures`.

>>> layout_of(["train/good/1.png", "train/stone/2.png"], strip_wrapper=True)("train/good/1.png")
Place(class_name='good', split='train')
"""

import hashlib
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from edge_runtime.images import IMAGE_SUFFIXES
from trainer.acquire.containers import Container, Member, listed_files, open_container
from trainer.acquire.datumaro import annotation_files, read_annotations
from trainer.acquire.import_report import Notice, Outcome
from trainer.acquire.manifest import MANIFEST_NAME, SPLIT_NAMES, ManifestRow, decode_manifest, groups_on_both_sides
from trainer.errors import ImportFailedError
from trainer.pool.class_names import UNNAMED, is_class_name

__all__ = ["Place", "RefusedFile", "Source", "SourceImage", "SourceNotice", "layout_of", "open_source"]

_OTHER_PICTURES: Final = frozenset(
    {".tif", ".tiff", ".webp", ".gif", ".heic", ".heif", ".avif", ".jp2", ".dng", ".raw", ".ppm", ".pgm", ".pbm"}
)
_OBSTACLES: Final[Mapping[str, str]] = {
    "link": "links and devices are never followed: put the file itself there",
    "unsafe_path": "the name leads outside of the source",
    "too_large": "more than 256 MiB",
}


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A file that should be a sample.

    Attributes:
        source: its name inside the source.
        class_name: from the manifest, else the folder.
        split: "train", "validation" or "test" from the manifest, else from the top folder; None if neither says.
        group: from the manifest; None if it does not say.
        data: the file's bytes.
    """

    source: str
    class_name: str
    split: str | None
    group: str | None
    data: bytes


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that cannot be a sample, with its outcome, the reason in words, and its class if it is known."""

    source: str
    outcome: Outcome
    reason: str
    class_name: str | None = None


@dataclass(frozen=True, slots=True)
class SourceNotice:
    """Something to know that is about no single file; `source` names the row or folder."""

    source: str
    notice: Notice
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """What a path says: the class folder ("" for none) and the side of the split."""

    class_name: str
    split: str | None


class Source:
    """An open source; iterating gives every file once, in sorted order, and may be repeated.

    Args:
        container: the files.
        manifest: what is stated about them, None for none.
        strip_wrapper: see `layout_of`.
        is_unlabelled: no folder and no manifest names a class: everything is `unnamed`.

    Attributes:
        validated_classes: classes with validation samples in the manifest, also those of other tars, or the folders.
        leaking_groups: groups whose manifest rows, also those of other tars, lie both in test and outside it.
        notices: manifest rows without their file, and class folders without a picture.
    """

    def __init__(
        self, container: Container, manifest: "_Manifest | None", *, strip_wrapper: bool, is_unlabelled: bool = False
    ) -> None:
        self._container = container
        self._is_unlabelled = is_unlabelled
        self._manifest = manifest
        own = frozenset[str]() if manifest is None else manifest.files
        self._members = [member for member in container.members if member.name not in own]
        images = [member.name for member in self._members if _suffix(member.name) in IMAGE_SUFFIXES]
        self._place = layout_of(images, strip_wrapper=strip_wrapper)
        self.leaking_groups: frozenset[str] = (
            frozenset() if manifest is None else groups_on_both_sides(manifest.rows.values())
        )
        self.validated_classes: frozenset[str] = frozenset(self._validated())
        self.notices: tuple[SourceNotice, ...] = (*self._missing_rows(), *self._empty_classes(images))

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[SourceImage | RefusedFile]:
        """Give every file; the bytes of one at a time are in memory.

        Raises:
            ImportFailedError: a file that was there when the source was opened cannot be read.
        """
        for member in self._members:
            yield self._examine(member)

    def _examine(self, member: Member) -> SourceImage | RefusedFile:
        name = member.name
        class_name, split, row = self._stated(member)
        if member.obstacle:
            return RefusedFile(name, member.obstacle, _OBSTACLES[member.obstacle])
        refusal = self._name_refusal(name, class_name, row)
        if refusal is not None:
            return refusal
        data = self._container.read(member)
        if row is not None and row.sha256 is not None and hashlib.sha256(data).hexdigest() != row.sha256:
            return RefusedFile(name, "hash_mismatch", "the bytes are not those that the manifest names", class_name)
        return SourceImage(name, class_name, split, None if row is None else row.group, data)

    def _name_refusal(self, name: str, class_name: str, row: ManifestRow | None) -> RefusedFile | None:
        suffix = _suffix(name)
        if row is None and suffix not in IMAGE_SUFFIXES:
            if suffix in _OTHER_PICTURES:
                return RefusedFile(name, "unsupported", f"{suffix} pictures are not read: save it as PNG, JPEG or BMP")
            return RefusedFile(name, "not_an_image", f"its name does not end in {', '.join(sorted(IMAGE_SUFFIXES))}")
        if row is None and self._manifest is not None:
            return RefusedFile(name, "unlisted", f"{self._manifest.name} does not list it: add a row, or take it away")
        if not class_name:
            return RefusedFile(name, "no_class", "it lies in no class folder")
        if not is_class_name(class_name):
            return RefusedFile(
                name,
                "bad_class_name",
                f"class {class_name!r}: use 1 to 64 letters, digits and _ . - without a leading dot or dash",
            )
        return None

    def _stated(self, member: Member) -> tuple[str, str | None, ManifestRow | None]:
        """Return class name ("" for none), split and row of a member."""
        row = None if self._manifest is None else self._manifest.row_of(member.name)
        place = self._place(member.name)
        stated = place.class_name if row is None else _normal(row.class_name)
        return UNNAMED if self._is_unlabelled else stated, place.split if row is None else row.split, row

    def _validated(self) -> Iterator[str]:
        if self._manifest is not None:
            rows = (row for row in self._manifest.rows.values() if row.split == "validation")
            yield from (UNNAMED if self._is_unlabelled else _normal(row.class_name) for row in rows)
        for member in self._members:
            class_name, split, _ = self._stated(member)
            if split == "validation":
                yield class_name

    def _missing_rows(self) -> Iterator[SourceNotice]:
        if self._manifest is None:
            return
        found = {row.file for row in map(self._manifest.row_of, (m.name for m in self._members)) if row is not None}
        splits = {self._manifest.rows[file].split for file in found}
        for file, row in sorted(self._manifest.rows.items()):
            if file not in found and (self._manifest.is_whole or row.split in splits):
                yield SourceNotice(file, "missing", f"{self._manifest.name} lists it, but there is no such file")

    def _empty_classes(self, images: Sequence[str]) -> Iterator[SourceNotice]:
        if self._manifest is not None or self._is_unlabelled:
            return
        filled = {self._place(name).class_name for name in images}
        for folder in self._container.folders:
            class_name = self._place(f"{folder}/any").class_name
            is_class_folder = (
                class_name == _normal(PurePosixPath(folder).name) and class_name.lower() not in SPLIT_NAMES
            )
            if is_class_folder and class_name not in filled:
                yield SourceNotice(folder, "empty_class", f"class folder {class_name} holds no picture")


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The rows that speak about a container: a member's name loses `cut` or gains `prefix` to become a row's file.

    `is_whole`: the source is the manifest itself, so that every row must have its file. `files`: members that it is.
    """

    name: str
    rows: Mapping[str, ManifestRow]
    cut: str = ""
    prefix: str = ""
    is_whole: bool = False
    files: frozenset[str] = frozenset()

    def row_of(self, member: str) -> ManifestRow | None:
        return self.rows.get(self.prefix + member[len(self.cut) :]) if member.startswith(self.cut) else None


@contextmanager
def open_source(path: Path, *, is_unlabelled: bool = False) -> Iterator[Source]:
    """Open a source; a context manager.

    Args:
        path: a folder of class folders (or of split folders of class folders), a tar of one, or a manifest (`.csv`).
        is_unlabelled: class folders and the manifest's classes say nothing: all samples are `unnamed`.

    Raises:
        ImportFailedError: the path does not exist, is none of these or is damaged; a manifest is wrong, or names no
            file of the folder or tar it stands beside.
    """
    if path.suffix.lower() == ".csv":
        rows = decode_manifest(_read(path), str(path))
        manifest = _Manifest(path.name, rows, is_whole=True, files=frozenset({path.name}))
        yield Source(listed_files(path.parent, rows), manifest, strip_wrapper=False, is_unlabelled=is_unlabelled)
        return
    with open_container(path) as container:
        found = _find_manifest(path, container)
        yield Source(container, found, strip_wrapper=not path.is_dir(), is_unlabelled=is_unlabelled)


def layout_of(images: Collection[str], *, strip_wrapper: bool) -> Callable[[str], Place]:
    """Return what tells class and split from a path.

    Args:
        images: the paths of all pictures.
        strip_wrapper: folders that hold everything and have class folders below them say nothing: a tar of a folder
            usually has one.

    Returns:
        A function of a path: `class/...` or `split/class/...`; a path without a class folder gives class "".
    """
    depth = 0
    parts = [PurePosixPath(name).parts for name in images]
    while strip_wrapper and parts and all(len(p) > depth + 2 for p in parts):
        first = {p[depth] for p in parts}
        if len(first) != 1 or first & SPLIT_NAMES.keys():
            break
        depth += 1

    def place(name: str) -> Place:
        inner = PurePosixPath(name).parts[depth:]
        split = SPLIT_NAMES.get(inner[0].lower()) if len(inner) > 2 else None
        folders = inner[:-1] if split is None else inner[1:-1]
        return Place(_normal(folders[0]) if folders else "", split)

    return place


def _find_manifest(path: Path, container: Container) -> _Manifest | None:
    """Return the manifest inside, nearest to the top, else the one beside a folder or tar."""
    inside = [m for m in container.members if PurePosixPath(m.name).name == MANIFEST_NAME and not m.obstacle]
    if inside:
        member = min(inside, key=lambda m: (m.name.count("/"), m.name))
        rows = decode_manifest(container.read(member), f"{path}: {member.name}")
        return _Manifest(member.name, rows, cut=member.name[: -len(MANIFEST_NAME)], files=frozenset({member.name}))
    annotated = _find_annotations(path, container)
    if annotated is not None:
        return annotated
    path = path.absolute()
    beside = path.parent / MANIFEST_NAME
    if not beside.is_file():
        return None
    rows = decode_manifest(_read(beside), str(beside))
    stem = path.name.split(".")[0] if path.is_file() else path.name
    for prefix in ("", f"{stem}/"):
        if any(prefix + member.name in rows for member in container.members):
            return _Manifest(MANIFEST_NAME, rows, prefix=prefix)
    raise ImportFailedError(f"{beside} lists no file of {path.name}: correct its column file, or move it away")


def _find_annotations(path: Path, container: Container) -> _Manifest | None:
    """Return what the annotation files of a Datumaro data set say, None if there is none."""
    members = {member.name: member for member in container.members if not member.obstacle}
    found = annotation_files(members)
    rows: dict[str, ManifestRow] = {}
    for name in found:
        for row in read_annotations(container.read(members[name]), name, members):
            if rows.setdefault(row.file, row).class_name != row.class_name:
                first = rows[row.file].class_name
                raise ImportFailedError(f"{path}: {row.file} is {first} and {row.class_name} in {', '.join(found)}")
    return _Manifest(", ".join(found), rows, files=frozenset(found)) if found else None


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # some systems store letters and their marks apart


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImportFailedError(f"cannot read {path}: {error.strerror or error}") from error
