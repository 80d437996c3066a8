"""`sortloop-deploy`: only whole model folders become bundles, and only whole bundles are called intact."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from deploy.bundle import extract_bundle
from deploy.cli import cli
from edge_runtime.config import to_toml
from edge_runtime.crop import CropSpec
from edge_runtime.model import load_model_folder, make_classifier
from edge_runtime.norm import NormSpec
from edge_runtime.schemas import ClassRule, Lineage, ModelCard, NormTable, Recipe
from edge_runtime.storage import sha256_hex
from firmware_bridge.command_line import run_command_line

CLASSES = ("bad", "good")
CROP = CropSpec(side_px=8)


def make_model() -> bytes:
    """Return a model that calls dark crops bad: scores = softmax([0, mean / 64 - 2])."""
    weights = [
        helper.make_tensor("slope", TensorProto.FLOAT, [1, 2], [0.0, 1 / 64]),
        helper.make_tensor("shift", TensorProto.FLOAT, [2], [0.0, -2.0]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"]),
        helper.make_node("Reshape", ["means", "shape"], ["column"]),
        helper.make_node("MatMul", ["column", "slope"], ["sloped"]),
        helper.make_node("Add", ["sloped", "shift"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 8, 8, 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "brightness", [crops], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    data: bytes = onnx.ModelProto.SerializeToString(model, deterministic=True)
    return data


def make_card(model: bytes) -> ModelCard:
    lineage = Lineage("0" * 64, "0" * 64, 1, 1, 2, 2, 0, 2, 1, 1, {})
    return ModelCard(
        sha256_hex(model), CLASSES, {}, CROP, NormSpec(), {}, 1.0, {}, 1.0, 1.0, lineage, opset=20, ort_min="1.22.0"
    )


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    model = make_model()
    (folder / "model.onnx").write_bytes(model)
    (folder / "card.json").write_bytes(msgspec.json.encode(make_card(model)))
    (folder / "norms.json").write_bytes(msgspec.json.encode(NormTable(2, {"bad": (1, 0), "good": (0, 1)})))
    recipe = Recipe(classes=(ClassRule("bad", "eject"), ClassRule("good")), crop=CROP)
    (folder / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    write_golden(folder, shift=0.0)
    return folder


def write_golden(folder: Path, *, shift: float) -> None:
    crops = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (20, 220)])
    scores = make_classifier(load_model_folder(folder)).scores(crops)
    np.savez(folder / "golden.npz", crops=crops, scores=scores + np.array([shift, -shift], np.float32))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line as the shell would: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        run_command_line(cli, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


@pytest.mark.parametrize("verb", ["build", "verify", "inspect"])
def test_every_verb_has_help_with_an_example_and_json(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: sortloop-deploy {verb}" in result.output
    assert "--json" in result.output


def test_a_model_folder_travels_and_arrives_whole(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model_folder / "report.html").write_text("for people")
    bundle = tmp_path / "rice.sbun"
    code, out, _ = run(capsys, "build", model_folder, "--out", bundle, "--release", "7")
    assert code == 0
    assert "left out: report.html" in out
    code, out, _ = run(capsys, "verify", bundle)
    assert (code, "intact" in out, "not who made the bundle" in out) == (0, True, True)
    extract_bundle(bundle, tmp_path / "slot")
    assert load_model_folder(tmp_path / "slot").card.model_id == sha256_hex(make_model())
    assert sorted(path.name for path in (tmp_path / "slot").iterdir()) == [
        "card.json", "golden.npz", "model.onnx", "norms.json", "recipe.toml",
    ]  # fmt: skip


def test_an_int8_model_travels_too(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model_folder / "model.int8.onnx").write_bytes(b"int8")
    _, out, _ = run(capsys, "build", model_folder, "--out", tmp_path / "a.sbun", "--json")
    assert "model.int8.onnx" in [file["path"] for file in json.loads(out)["files"]]


def test_json_results_are_versioned(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "rice.sbun"
    _, built, _ = run(capsys, "build", model_folder, "--out", bundle, "--notes", "autumn", "--json")
    _, verified, _ = run(capsys, "verify", bundle, "--json")
    _, inspected, _ = run(capsys, "inspect", bundle, "--json")
    assert [json.loads(text)["schema_version"] for text in (built, verified, inspected)] == [1, 1, 1]
    assert json.loads(built)["length_b"] == bundle.stat().st_size
    assert (json.loads(verified)["is_intact"], json.loads(verified)["is_origin_proven"]) == (True, False)
    assert (json.loads(inspected)["notes"], json.loads(inspected)["signatures"]) == ("autumn", "none")


def damaged_golden(folder: Path) -> None:
    (folder / "golden.npz").write_bytes(b"PK")


def other_scores(folder: Path) -> None:
    write_golden(folder, shift=0.01)


def other_model(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")


def unknown_recipe_key(folder: Path) -> None:
    path = folder / "recipe.toml"
    path.write_text("speed = 3\n" + path.read_text(encoding="utf-8"), encoding="utf-8")


def unreadable_card(folder: Path) -> None:
    (folder / "card.json").write_bytes(b'{"schema_version": 1}')


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (damaged_golden, "golden.npz"),
        (other_scores, "golden.npz"),
        (other_model, "model.onnx"),
        (unknown_recipe_key, "recipe.toml"),
        (unreadable_card, "card"),
    ],
)
def test_a_folder_that_does_not_belong_together_is_refused_by_name(
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    named: str,
) -> None:
    spoil(model_folder)
    code, out, err = run(capsys, "build", model_folder, "--out", tmp_path / "a.sbun")
    assert (code, out) == (5, "")
    assert named in err
    assert not (tmp_path / "a.sbun").exists()


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "recipe.toml", "golden.npz", "norms.json"])
def test_a_missing_file_is_named(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (model_folder / name).unlink()
    code, _, err = run(capsys, "build", model_folder, "--out", tmp_path / "a.sbun")
    assert (code, name in err) == (5, True)


def test_a_damaged_bundle_ends_with_6_and_a_missing_one_with_5(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "rice.sbun"
    run(capsys, "build", model_folder, "--out", bundle)
    bundle.write_bytes(bundle.read_bytes().replace(b"brightness", b"Brightness"))
    code, out, err = run(capsys, "verify", bundle)
    assert (code, out, "model.onnx has sha256" in err) == (6, "", True)
    assert run(capsys, "verify", tmp_path / "gone.sbun")[0] == 5
    assert run(capsys, "inspect", model_folder / "model.onnx")[0] == 6


def test_notes_that_are_too_long_are_a_usage_error(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "build", model_folder, "--out", tmp_path / "a.sbun", "--notes", "x" * 1001)
    assert (code, "at most 1000" in err) == (2, True)
