"""Annotation files of a Datumaro data set to the rows of a manifest: which picture is of which class and side.

Knows JSON text and names; the files themselves are the business of `trainer.acquire.sources`.

>>> text = b'{"categories": {"label": {"labels": [{"name": "stone"}]}}, "items": [{"id": "1", "image": '
>>> text += b'{"path": "1.png"}, "annotations": [{"type": "label", "label_id": 0}]}]}'
>>> [row] = read_annotations(text, "annotations/val.json", {"images/val/1.png"})
>>> row.file, row.class_name, row.split
('images/val/1.png', 'stone', 'validation')
"""

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Final

import msgspec

from trainer.acquire.containers import safe_name
from trainer.acquire.manifest import SPLIT_NAMES, ManifestRow
from trainer.errors import ImportFailedError

__all__ = ["annotation_files", "read_annotations"]

_FOLDER: Final = "annotations"
_IMAGES: Final = "images"


class _Label(msgspec.Struct):
    name: str


class _LabelCategories(msgspec.Struct):
    labels: list[_Label] = []


class _Categories(msgspec.Struct):
    label: _LabelCategories = msgspec.field(default_factory=_LabelCategories)


class _Annotation(msgspec.Struct):
    type: str
    label_id: int | None = None


class _Image(msgspec.Struct):
    path: str = ""


class _Item(msgspec.Struct):
    id: str
    annotations: list[_Annotation] = []
    image: _Image | None = None


class _File(msgspec.Struct):
    categories: _Categories
    items: list[_Item]


def annotation_files(names: Collection[str]) -> list[str]:
    """Return the annotation files among the names of a data set's files, sorted: JSON in a folder annotations/.

    Args:
        names: of all files; a data set has pictures in a folder images/ beside annotations/.
    """
    tops = {name.split(f"{_IMAGES}/")[0] for name in names if f"/{_IMAGES}/" in f"/{name}"}
    found = (PurePosixPath(name) for name in names)
    return sorted(
        str(path)
        for path in found
        if path.suffix.lower() == ".json" and path.parent.name == _FOLDER and str(path).split(f"{_FOLDER}/")[0] in tops
    )


def read_annotations(data: bytes, name: str, files: Collection[str]) -> Iterator[ManifestRow]:
    """Give a row for every item that has exactly one class; others have none, so that their picture is not listed.

    Args:
        data: the annotation file.
        name: of it; its stem is the subset, and gives the side of the split where it is one of train, val or test.
        files: names of the data set's files: pictures lie in images/SUBSET/ or in images/.

    Raises:
        ImportFailedError: it is no such JSON, or an item has a label that the categories do not have, or a path that
            leads outside.
    """
    try:
        content = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ImportFailedError(f"{name} is no Datumaro annotation file: {error}") from error
    labels = [label.name for label in content.categories.label.labels]
    subset, top = PurePosixPath(name).stem, name.split(f"{_FOLDER}/", maxsplit=1)[0]
    for item in content.items:
        given = {one.label_id for one in item.annotations if one.label_id is not None}
        strange = sorted(label for label in given if not 0 <= label < len(labels))
        if strange:
            raise ImportFailedError(
                f"{name}: item {item.id} has label_id {strange[0]}, but there are {len(labels)} labels"
            )
        if len(given) != 1 or item.image is None or not item.image.path:
            continue
        path = safe_name(item.image.path)
        if path is None:
            raise ImportFailedError(f"{name}: item {item.id} has image.path {item.image.path!r}, which leads outside")
        places = (f"{top}{_IMAGES}/{subset}/{path}", f"{top}{_IMAGES}/{path}")
        file = next((place for place in places if place in files), places[0])
        yield ManifestRow(file, labels[given.pop()], SPLIT_NAMES.get(subset.lower()), None, None)
