"""The model folder: card, recipe, golden crops and norms that belong together, written whole."""

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_runtime.errors import ModelFolderError, StorageError
from edge_runtime.model import CARD_FILE, INT8_FILE, check_golden, load_model_folder, make_classifier, read_golden
from edge_runtime.processor import processor_kind
from edge_runtime.schemas import DisplayName, Int8Card, Lineage
from edge_runtime.storage import sha256_hex
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.export.int8_gate import judge_int8
from trainer.export.mend import Int8Export
from trainer.export.model_folder import (
    GOLDEN_PER_CLASS,
    ModelClass,
    ShippedModel,
    golden_rows,
    make_card,
    make_recipe,
    write_model_folder,
)
from trainer.export.onnx_export import ORT_MIN, FoldedNetwork, OnnxTemplate, opset_of
from trainer.export.quantise import Quantiser
from trainer.metrics import score_classes
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.train.network import make_network

LINEAGE = Lineage("a" * 64, "b" * 64, 3, 2, 30, 60, 0, 8, 4, 4, {"torch": "1"})


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[SampleTable, DataSet]:
    path = tmp_path_factory.mktemp("folder") / "p.pool"
    make_synthetic_pool(path, SyntheticSamples(counts={"train": 30, "validation": 20}))
    with Pool.open(path) as pool:
        data_set = pool.data_set()
        assert data_set is not None
        return pool.load(("train", "validation")), data_set


@pytest.fixture(scope="module")
def shipped(samples: tuple[SampleTable, DataSet]) -> ShippedModel:
    template = OnnxTemplate("small", samples[1].crop, 2)
    figures = score_classes(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2)
    model = template.fill(FoldedNetwork(make_network("small", 3, 2, seed=0).eval(), 2.0))
    stone = ModelClass(DisplayName("Stone", "石子"), "eject")
    classes = {"good": ModelClass(DisplayName("good", "good"), "accept"), "stone": stone}
    return ShippedModel(model, 2.0, figures, LINEAGE, opset_of(model), ORT_MIN, classes)


@pytest.fixture(scope="module")
def with_int8(shipped: ShippedModel, samples: tuple[SampleTable, DataSet]) -> ShippedModel:
    """The model with an INT8 file of its own; what a gate says of it does not matter here."""
    int8 = Quantiser(shipped.model, samples[0].pixels[:40]).quantise()
    card = Int8Card(sha256_hex(int8), "", "nothing", (), 40, 2, 0, 1.0, 1.0, {}, processor_kind())
    ids = np.array([0, 1])
    return replace(shipped, int8=Int8Export(int8, card, judge_int8(ids, ids, ids, ("good", "stone"))))


def write(folder: Path, shipped: ShippedModel, samples: tuple[SampleTable, DataSet]) -> None:
    golden = golden_rows(np.arange(len(samples[0])), samples[0].class_ids)
    card = write_model_folder(folder, shipped, *samples, golden=golden)
    assert card.model_id == sha256_hex(shipped.model)


def test_folder_is_read_back_and_its_golden_crops_hold(
    tmp_path: Path, shipped: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    write(tmp_path / "model", shipped, samples)
    folder = load_model_folder(tmp_path / "model")
    assert folder.card == make_card(shipped, *samples)
    assert folder.recipe == make_recipe(shipped, *samples)
    assert check_golden(folder, make_classifier(folder)) == 100
    assert {name: sum(counts) for name, counts in folder.norms.histograms.items()} == {"good": 50, "stone": 50}


def test_writing_twice_gives_the_same_bytes(
    tmp_path: Path, shipped: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    write(tmp_path / "one", shipped, samples)
    write(tmp_path / "two", shipped, samples)
    write(tmp_path / "two", shipped, samples)
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert len(files[0]) == 5


def test_a_folder_that_could_not_be_finished_has_no_card(
    tmp_path: Path, shipped: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    """The old model's card goes first: no reader ever pairs it with new files."""
    write(tmp_path, shipped, samples)
    (tmp_path / "golden.npz").unlink()
    (tmp_path / "golden.npz").mkdir()
    with pytest.raises(StorageError):
        write(tmp_path, shipped, samples)
    assert not (tmp_path / CARD_FILE).exists()
    with pytest.raises(ModelFolderError):
        load_model_folder(tmp_path)
    shutil.rmtree(tmp_path / "golden.npz")
    write(tmp_path, shipped, samples)
    assert load_model_folder(tmp_path).card.model_id == sha256_hex(shipped.model)


def test_a_file_in_the_place_of_the_folder_is_told(
    tmp_path: Path, shipped: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(StorageError, match="cannot write model folder"):
        write(tmp_path / "model", shipped, samples)


def test_card_tells_figures_names_and_norms(shipped: ShippedModel, samples: tuple[SampleTable, DataSet]) -> None:
    card = make_card(shipped, *samples)
    table = samples[0]
    assert card.display_names == {"good": DisplayName("good", "good"), "stone": DisplayName("Stone", "石子")}
    assert card.metrics["good"].recall == 0.5
    assert card.metrics["stone"].precision == pytest.approx(2 / 3)
    stones = table.norms_q16[table.class_ids == 1]
    assert (card.class_norms["stone"].count, card.class_norms["stone"].sum_q16) == (50, int(stones.sum()))
    assert (card.lineage, card.temperature, card.opset, card.ort_min) == (LINEAGE, 2.0, 20, ORT_MIN)
    assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)) == card


def test_a_class_without_an_action_is_accepted(shipped: ShippedModel, samples: tuple[SampleTable, DataSet]) -> None:
    recipe = make_recipe(shipped, *samples)
    assert [(rule.name, rule.action) for rule in recipe.classes] == [("good", "accept"), ("stone", "eject")]
    assert (recipe.segment, recipe.crop) == (samples[1].segment, samples[1].crop)


def test_golden_rows_are_the_first_64_of_each_class() -> None:
    class_ids = np.array([1] * 100 + [0] * 10 + [2] * 3)
    rows = np.arange(5, 112)
    picked = golden_rows(rows, class_ids)
    assert picked.tolist() == [*range(5, 5 + GOLDEN_PER_CLASS), *range(100, 112)]
    assert golden_rows(rows[:0], class_ids).size == 0


def test_int8_file_lies_beside_with_golden_scores_of_this_processor(
    tmp_path: Path, with_int8: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    write(tmp_path, with_int8, samples)
    folder = load_model_folder(tmp_path)
    assert with_int8.int8 is not None
    assert (folder.int8, folder.card.int8) == (with_int8.int8.model, with_int8.int8.card)
    assert {*read_golden(folder).int8} == {processor_kind()}
    assert check_golden(folder, make_classifier(folder, "int8"), "int8") == 100
    assert check_golden(folder, make_classifier(folder)) == 100


def test_a_folder_holds_no_other_files_than_those_that_travel(
    tmp_path: Path, with_int8: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    """Weights in a second file would be left behind by a bundle."""
    write(tmp_path, with_int8, samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "card.json",
        "golden.npz",
        "model.int8.onnx",
        "model.onnx",
        "norms.json",
        "recipe.toml",
    ]


def test_where_int8_was_refused_an_older_int8_file_goes(
    tmp_path: Path, with_int8: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    write(tmp_path, with_int8, samples)
    assert with_int8.int8 is not None
    card = msgspec.structs.replace(with_int8.int8.card, sha256=None, refused="whole: failed")
    write(tmp_path, replace(with_int8, int8=replace(with_int8.int8, model=None, card=card)), samples)
    assert not (tmp_path / INT8_FILE).exists()
    folder = load_model_folder(tmp_path)
    assert (folder.int8, folder.card.int8) == (None, card)
    assert read_golden(folder).int8 == {}


def test_writing_int8_twice_gives_the_same_bytes(
    tmp_path: Path, with_int8: ShippedModel, samples: tuple[SampleTable, DataSet]
) -> None:
    write(tmp_path / "one", with_int8, samples)
    write(tmp_path / "two", with_int8, samples)
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
