"""A model folder is whole and what it says, or a ModelFolderError names the file; scores depend on the crop alone."""

import io
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_model import TINY_CROP, TINY_RECIPE, make_onnx

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, ModelFolderError
from edge_runtime.model import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    NORMS_FILE,
    RECIPE_FILE,
    Classifier,
    check_golden,
    load_model_folder,
    make_classifier,
    read_golden,
)
from edge_runtime.norm import NormSpec
from edge_runtime.schemas import ModelCard
from edge_runtime.scorer import BATCH
from edge_runtime.storage import sha256_hex

FILES = (MODEL_FILE, CARD_FILE, RECIPE_FILE, GOLDEN_FILE, NORMS_FILE)


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def classifier(tiny_model_folder: Path) -> Classifier:
    return make_classifier(load_model_folder(tiny_model_folder))


def load_and_check(folder: Path) -> int:
    loaded = load_model_folder(folder)
    return check_golden(loaded, make_classifier(loaded))


def change_card(folder: Path, **changes: object) -> None:
    card = msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=ModelCard)
    (folder / CARD_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, **changes)))


def write_golden(folder: Path, **arrays: NDArray[np.generic]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    (folder / GOLDEN_FILE).write_bytes(buffer.getvalue())


def random_crops(count: int, seed: int = 5) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_whole_folder_is_loaded_and_its_golden_crops_agree(folder: Path) -> None:
    loaded = load_model_folder(folder)
    assert loaded.recipe == TINY_RECIPE
    assert loaded.card.model_id == sha256_hex(loaded.model)
    assert load_and_check(folder) == 11


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        load_and_check(folder)


@pytest.mark.parametrize("name", [MODEL_FILE, CARD_FILE, GOLDEN_FILE, NORMS_FILE])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_file_that_ends_early_is_named(folder: Path, name: str, share: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFolderError, match=name):
        load_and_check(folder)


@pytest.mark.parametrize("name", [CARD_FILE, NORMS_FILE])
def test_any_damaged_byte_of_a_record_is_an_error_or_another_valid_record(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    outcomes = set()
    for at in range(0, len(data), 7):
        (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
        try:
            outcomes.add(load_model_folder(folder).card.classes)
        except ModelFolderError as error:
            outcomes.add(("refused",))
            assert name in str(error) or "model" in str(error)
    assert ("refused",) in outcomes


def test_any_damaged_byte_of_the_golden_crops_is_an_error_or_changes_nothing_that_matters(folder: Path) -> None:
    loaded = load_model_folder(folder)
    classifier = make_classifier(loaded)
    data = (folder / GOLDEN_FILE).read_bytes()
    refused = 0
    places = [*range(300), *range(300, len(data) - 700, 997), *range(len(data) - 700, len(data))]
    for at, bits in [(at, bits) for at in places for bits in (0x20, 0xFF)]:
        (folder / GOLDEN_FILE).write_bytes(data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :])
        try:
            assert check_golden(loaded, classifier) == 11
        except ModelFolderError as error:
            refused += 1
            assert GOLDEN_FILE in str(error)
    assert refused > 500


def test_wrong_key_of_the_recipe_is_the_recipes_fault(folder: Path) -> None:
    with (folder / RECIPE_FILE).open("a") as file:
        file.write("qqq = 1\n")
    with pytest.raises(ConfigError, match=r"unknown key residual\.qqq"):
        load_model_folder(folder)


def test_model_of_another_card_is_refused(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(make_onnx(seed=9))
    with pytest.raises(ModelFolderError, match=r"model\.onnx has sha256"):
        load_model_folder(folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"classes": ("good", "husk", "stone")}, r"recipe\.toml and card\.json name other classes"),
        ({"crop": CropSpec(side_px=64)}, r"recipe\.toml and card\.json name other classes or another crop"),
        ({"norm": NormSpec(channel_weights=(1, 2))}, r"card\.json: norm\.channel_weights has 2 entries"),
        ({"norm": NormSpec(channel_weights=(0, 0, 0))}, r"card\.json: norm\.channel_weights are all 0"),
    ],
)
def test_card_that_does_not_fit_is_refused(folder: Path, changes: dict[str, object], why: str) -> None:
    change_card(folder, **changes)
    with pytest.raises(ModelFolderError, match=why):
        load_model_folder(folder)


def test_norms_of_other_classes_are_refused(folder: Path) -> None:
    (folder / NORMS_FILE).write_text('{"bins":1,"histograms":{"rice":[1]}}')
    with pytest.raises(ModelFolderError, match=r"norms\.json and card\.json name other classes"):
        load_model_folder(folder)


@pytest.mark.parametrize(
    ("bins", "rows"), [(2, ((1, 2), (3,))), (3, ((1, 2), (3, 4))), (0, ((), ())), (2, ((1, 2), (3, -4)))]
)
def test_norms_that_are_no_table_are_refused(folder: Path, bins: int, rows: tuple[tuple[int, ...], ...]) -> None:
    names = load_model_folder(folder).card.classes
    histograms = {name: rows[min(number, 1)] for number, name in enumerate(names)}
    (folder / NORMS_FILE).write_bytes(msgspec.json.encode({"bins": bins, "histograms": histograms}))
    with pytest.raises(ModelFolderError, match=r"norms\.json"):
        load_model_folder(folder)


def test_model_that_is_no_onnx_is_refused(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"no model")
    change_card(folder, model_id=sha256_hex(b"no model"))
    with pytest.raises(ModelFolderError, match="onnxruntime cannot load the model of 8 bytes"):
        load_and_check(folder)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (make_onnx(input_name="images"), "one uint8 tensor called crops is expected"),
        (make_onnx(classes=2), "3 classes"),
    ],
)
def test_model_with_other_inputs_or_outputs_is_refused(model: bytes, why: str) -> None:
    with pytest.raises(ModelFolderError, match=why):
        Classifier(model, TINY_CROP, 3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda crops, scores: (crops, scores[:, ::-1].copy()), "golden crops get another class here"),
        (lambda crops, scores: (crops, scores * np.float32(0.99)), "differ by 9.29e-03, the limit is 1e-04"),
        (lambda crops, scores: (crops, scores[:-1]), "has scores of shape"),
        (lambda crops, scores: (crops.astype(np.int64), scores), "has int64 crops and float32 scores"),
        (lambda crops, scores: (crops[:, :16], scores), "the model takes"),
    ],
    ids=["class", "score", "rows", "type", "side"],
)  # fmt: skip
def test_golden_crops_that_get_other_scores_are_refused(
    folder: Path,
    change: Callable[[NDArray[np.uint8], NDArray[np.float32]], tuple[NDArray[np.generic], NDArray[np.generic]]],
    why: str,
) -> None:
    with np.load(folder / GOLDEN_FILE) as golden:
        crops, scores = change(golden["crops"], golden["scores"])
    write_golden(folder, crops=crops, scores=scores)
    with pytest.raises(ModelFolderError, match=why):
        load_and_check(folder)


@pytest.mark.parametrize(
    ("most", "rows"), [(1, [0]), (3, [0, 3, 7]), (11, range(11)), (12, range(11)), (None, range(11))]
)
def test_at_most_so_many_golden_crops_are_run_evenly_spread(
    folder: Path, most: int | None, rows: Iterable[int]
) -> None:
    loaded = load_model_folder(folder)
    crops = read_golden(loaded).crops
    seen: list[NDArray[np.uint8]] = []

    class Watched(Classifier):
        def scores(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
            seen.append(crops)
            return super().scores(crops)

    watched = Watched(loaded.model, loaded.card.crop, len(loaded.card.classes))
    assert check_golden(loaded, watched, most=most) == len(list(rows))
    assert np.array_equal(seen[0], crops[list(rows)])


def test_a_wrong_golden_score_among_those_run_is_found(folder: Path) -> None:
    golden = read_golden(load_model_folder(folder))
    scores = golden.scores.copy()
    scores[7] = scores[7][::-1]
    write_golden(folder, crops=golden.crops, scores=scores)
    loaded = load_model_folder(folder)
    assert check_golden(loaded, make_classifier(loaded), most=1) == 1
    with pytest.raises(ModelFolderError, match="golden"):
        check_golden(loaded, make_classifier(loaded), most=3)


def test_scores_do_not_depend_on_the_neighbours_in_the_batch(classifier: Classifier) -> None:
    """Bit for bit, wherever a crop stands and however many there are."""
    crops = random_crops(3 * BATCH + 1)
    alone = np.concatenate([classifier.scores(crops[i : i + 1]) for i in range(len(crops))])
    order = np.random.default_rng(1).permutation(len(crops))
    assert np.array_equal(classifier.scores(crops), alone)
    assert np.array_equal(classifier.scores(crops[order]), alone[order])
    for count in range(2 * BATCH + 2):
        assert np.array_equal(classifier.scores(crops[:count]), alone[:count])


def test_scores_are_probabilities(classifier: Classifier) -> None:
    scores = classifier.scores(random_crops(20))
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-5)


def test_no_crops_get_no_scores(classifier: Classifier) -> None:
    assert classifier.scores(random_crops(0)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(1, 31, 32, 3), (1, 32, 32, 1), (32, 32, 3)])
def test_crops_of_another_shape_are_refused(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFolderError, match=r"the model takes \(32, 32, 3\)"):
        classifier.scores(np.zeros(shape, np.uint8))
