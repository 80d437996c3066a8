"""Datumaro data sets as sources: labels from annotation files, sides from their names, nothing else is a sample."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.acquire.datumaro import annotation_files, read_annotations
from trainer.acquire.sources import RefusedFile, SourceImage, open_source
from trainer.errors import ImportFailedError

PICTURE = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()


def annotations(items: list[dict[str, object]], labels: tuple[str, ...] = ("good", "stone")) -> str:
    names = [{"name": name, "parent": "", "attributes": []} for name in labels]
    categories = {"label": {"labels": names, "attributes": []}}
    return json.dumps({"dm_format_version": "1.0", "infos": {}, "categories": categories, "items": items})


def item(name: str, *labels: int, kind: str = "label") -> dict[str, object]:
    marks = [{"id": at, "type": kind, "attributes": {}, "group": 0, "label_id": one} for at, one in enumerate(labels)]
    return {"id": name, "annotations": marks, "attr": {}, "image": {"path": f"{name}.png", "size": [8, 8]}}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Two subsets: one with its pictures in a folder of its name, one directly in images/."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "annotations" / "train.json").write_text(
        annotations([item("a", 0), item("b", 1), item("two", 0, 1), item("none"), item("gone", 1)])
    )
    (tmp_path / "annotations" / "val.json").write_text(annotations([item("c", 1, kind="bbox")]))
    for name in ("train/a", "train/b", "train/two", "train/none", "c"):
        (tmp_path / "images" / f"{name}.png").write_bytes(PICTURE)
    return tmp_path


def test_labels_and_sides_come_from_the_annotations(data_set: Path) -> None:
    with open_source(data_set) as source:
        files = list(source)
        notices = [(notice.source, notice.notice) for notice in source.notices]
    images = {file.source: (file.class_name, file.split) for file in files if isinstance(file, SourceImage)}
    assert images == {
        "images/c.png": ("stone", "validation"),
        "images/train/a.png": ("good", "train"),
        "images/train/b.png": ("stone", "train"),
    }
    refused = {file.source: file.outcome for file in files if isinstance(file, RefusedFile)}
    assert refused == {"images/train/none.png": "unlisted", "images/train/two.png": "unlisted"}
    assert notices == [("images/train/gone.png", "missing")]


def test_other_json_files_make_no_data_set() -> None:
    assert annotation_files(["good/1.png", "notes.json", "annotations/x.json"]) == []
    assert annotation_files(["images/1.png", "annotations/x.json", "annotations/x.txt"]) == ["annotations/x.json"]
    assert annotation_files(["set/images/1.png", "set/annotations/x.json"]) == ["set/annotations/x.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (annotations([item("a", 7)]), "train.json: item a has label_id 7, but there are 2 labels"),
        (annotations([item("../../a", 0)]), "item ../../a has image.path '../../a.png', which leads outside"),
        ("{", "train.json is no Datumaro annotation file"),
        (
            '{"items": 3, "categories": {}}',
            "is no Datumaro annotation file: Expected `array`, got `int` - at `\\$.items`",
        ),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(data_set: Path, text: str, message: str) -> None:
    (data_set / "annotations" / "train.json").write_text(text)
    with pytest.raises(ImportFailedError, match=message), open_source(data_set):
        pass


def test_two_files_that_contradict_each_other_are_refused(data_set: Path) -> None:
    (data_set / "annotations" / "extra.json").write_text(annotations([item("c", 0)]))
    message = r"images/c.png is good and stone in annotations/extra.json, "
    with pytest.raises(ImportFailedError, match=message), open_source(data_set):
        pass


@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_an_error(data: bytes) -> None:
    try:
        assert isinstance(list(read_annotations(data, "annotations/x.json", set())), list)
    except ImportFailedError as error:
        assert "x.json" in str(error)
