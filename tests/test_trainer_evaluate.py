"""A model against pictures: cut as on the machine; what cannot be cut out counts as wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from trainer_runs import FEW, go

from edge_runtime.model import ModelFolder, load_model_folder, make_classifier
from trainer.acquire.sample_cutting import CutSample, cut_sample
from trainer.demo.synthetic import make_synthetic_pool
from trainer.errors import ImportFailedError, SettingsError
from trainer.judge.evaluate import evaluate_folder
from trainer.pool.data_set import DataSet
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

CLASSES = ("good", "stone")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("evaluate")
    make_synthetic_pool(folder / "p.pool", FEW)
    go(folder, RunSettings(fit=FitSettings("small", 30, 30, 16), stop=StopSettings(rounds=1)))
    return load_model_folder(folder / "run" / "model")


def picture(number: int, size_px: int = 10) -> NDArray[np.uint8]:
    """A bright square of its own colour on black."""
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[8 : 8 + size_px, 8 : 8 + size_px] = np.random.default_rng(number).integers(90, 250, 3)
    return pixels


def put(path: Path, pixels: NDArray[np.uint8] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"torn" if pixels is None else bytes(cv2.imencode(".png", pixels)[1]))


def oracle(model: ModelFolder, pictures: list[NDArray[np.uint8]]) -> list[int]:
    data_set = DataSet(model.recipe.segment, model.recipe.crop, model.card.norm)
    cut = [cut_sample(pixels, data_set) for pixels in pictures]
    crops = np.stack([sample.pixels for sample in cut if isinstance(sample, CutSample)])
    assert len(crops) == len(pictures)
    found: list[int] = make_classifier(model).scores(crops).argmax(axis=1).tolist()
    return found


def test_figures_are_those_of_the_model_on_the_cut_pictures(model: ModelFolder, tmp_path: Path) -> None:
    pictures = [picture(at) for at in range(24)]
    for at, pixels in enumerate(pictures):
        put(tmp_path / CLASSES[at % 2] / f"{at:02}.png", pixels)
    predicted = oracle(model, pictures)
    report = evaluate_folder(model, tmp_path)
    expected = np.zeros((3, 3), np.int64)
    np.add.at(expected, (np.arange(24) % 2, np.array(predicted)), 1)
    right = [bool(told == at % 2) for at, told in enumerate(predicted)]
    assert report.confusion == expected.tolist()
    assert (report.samples, report.uncut, report.unreadable) == (24, 0, 0)
    assert report.accuracy == pytest.approx(np.mean(right))
    assert report.per_class_recall == pytest.approx({"good": np.mean(right[::2]), "stone": np.mean(right[1::2])})
    assert report.worst_class_recall == min(report.per_class_recall.values())
    assert (report.model_id, report.mask) == (model.card.model_id, "object")


def test_an_object_that_cannot_be_cut_out_counts_as_wrong(model: ModelFolder, tmp_path: Path) -> None:
    """None found, or too large: the machine could not have judged it either."""
    put(tmp_path / "good" / "black.png", np.zeros((48, 48, 3), np.uint8))
    put(tmp_path / "good" / "huge.png", picture(1, size_px=40))
    put(tmp_path / "stone" / "fine.png", picture(2))
    report = evaluate_folder(model, tmp_path)
    assert (report.samples, report.uncut) == (3, 2)
    assert report.per_class_recall["good"] == 0.0
    assert [row[-1] for row in report.confusion] == [2, 0, 0]
    assert report.accuracy <= 1 / 3


def test_only_uncut_objects_are_still_figures(model: ModelFolder, tmp_path: Path) -> None:
    put(tmp_path / "good" / "black.png", np.zeros((48, 48, 3), np.uint8))
    report = evaluate_folder(model, tmp_path)
    assert (report.samples, report.macro_f1, report.per_class_recall) == (1, 0.0, {"good": 0.0})


def test_what_cannot_be_read_is_counted_and_counts_nowhere(model: ModelFolder, tmp_path: Path) -> None:
    put(tmp_path / "good" / "torn.png", None)
    put(tmp_path / "good" / "fine.png", picture(1))
    put(tmp_path / "good" / "raw.tiff", None)
    report = evaluate_folder(model, tmp_path)
    assert (report.samples, report.unreadable, report.uncut) == (1, 2, 0)


def test_a_class_that_the_model_does_not_know_is_refused_by_name(model: ModelFolder, tmp_path: Path) -> None:
    put(tmp_path / "pebble" / "1.png", picture(1))
    with pytest.raises(SettingsError, match=r"of class pebble, the model knows good, stone"):
        evaluate_folder(model, tmp_path)


def test_where_a_source_has_several_sides_only_the_test_counts(model: ModelFolder, tmp_path: Path) -> None:
    for split, count in (("train", 5), ("test", 3), ("validation", 4)):
        for at in range(count):
            put(tmp_path / split / CLASSES[at % 2] / f"{split}{at}.png", picture(at))
    put(tmp_path / "train" / "pebble" / "1.png", picture(1))  # not even looked at
    assert evaluate_folder(model, tmp_path).samples == 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_source_of_one_side_counts_whole(model: ModelFolder, tmp_path: Path, split: str) -> None:
    for at in range(4):
        put(tmp_path / split / CLASSES[at % 2] / f"{at}.png", picture(at))
    assert evaluate_folder(model, tmp_path).samples == 4


def test_a_source_without_a_usable_picture_is_an_error(model: ModelFolder, tmp_path: Path) -> None:
    put(tmp_path / "good" / "torn.png", None)
    with pytest.raises(ImportFailedError, match="no usable picture"):
        evaluate_folder(model, tmp_path)


def test_more_pictures_than_one_chunk_are_all_judged_and_told(model: ModelFolder, tmp_path: Path) -> None:
    for at in range(530):
        put(tmp_path / CLASSES[at % 2] / f"{at:03}.png", picture(at % 7))
    told: list[tuple[str, int, int]] = []
    report = evaluate_folder(model, tmp_path, lambda *what: told.append(what))
    assert report.samples == sum(map(sum, report.confusion)) == 530
    assert told == [("evaluate", at, 530) for at in range(1, 531)]
