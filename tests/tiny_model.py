"""A model folder made in milliseconds: a convolution network that tells green, red and blue things apart."""

import io
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.config import to_toml
from edge_runtime.crop import CropSpec
from edge_runtime.model import CARD_FILE, GOLDEN_FILE, MODEL_FILE, NORMS_FILE, RECIPE_FILE, Classifier
from edge_runtime.norm import ClassNorms, NormSpec
from edge_runtime.schemas import ClassMetrics, ClassRule, DisplayName, Lineage, ModelCard, NormTable, Recipe
from edge_runtime.segment import SegmentSettings
from edge_runtime.storage import sha256_hex

__all__ = [
    "COLOURS",
    "TINY_CROP",
    "TINY_RECIPE",
    "draw_pieces",
    "make_onnx",
    "make_stubborn_onnx",
    "write_model_folder",
    "write_recording",
]

COLOURS: Final = {"good": (60, 200, 80), "stone": (60, 80, 200), "husk": (220, 80, 60)}  # BGR
TINY_CROP: Final = CropSpec(side_px=32)
TINY_RECIPE: Final = Recipe(
    (ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject", 0.6)),
    name="colours",
    segment=SegmentSettings(threshold=60),
    crop=TINY_CROP,
)


def make_onnx(*, side_px: int = 32, classes: int = 3, seed: int = 1, input_name: str = "crops") -> bytes:
    """Return a model: mean colours decide the class, a convolution adds a little to every score."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.generic]] = {
        "kernel": rng.normal(size=(16, 3, 3, 3)).astype(np.float32) / 255,
        "mix": (rng.normal(size=(16, classes)) * 0.01).astype(np.float32),
        "colours": np.array([[0, 0, 0.5], [0.5, 0, 0], [0, 0.5, 0]], np.float32)[:, [*range(min(classes, 3))]],
        "middle": np.array([1, 2], np.int64),
        "plane": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("Cast", [input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "middle"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "colours"], ["by_colour"]),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["edges"], strides=[2, 2]),
        helper.make_node("Relu", ["edges"], ["bent"]),
        helper.make_node("ReduceMean", ["bent", "plane"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "mix"], ["by_shape"]),
        helper.make_node("Add", ["by_colour", "by_shape"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.UINT8, ["n", side_px, side_px, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def make_stubborn_onnx(class_id: int) -> bytes:
    """Return a model that gives every crop of 32 px the same class of three."""
    bias = np.full(3, -20.0, np.float32)
    bias[class_id] = 20.0
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "middle"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    weights: dict[str, NDArray[np.generic]] = {
        "middle": np.array([1, 2], np.int64),
        "nothing": np.zeros(3, np.float32),
        "bias": bias,
    }
    graph = helper.make_graph(
        nodes,
        "stubborn",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def draw_pieces(names: list[str], *, width_px: int = 320, seed: int = 1) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3) with one piece of each class named, in rows, no two alike."""
    rng = np.random.default_rng(seed)
    per_row = width_px // 40
    frame = np.zeros((40 * -(-len(names) // per_row), width_px, 3), np.uint8)
    for i, name in enumerate(names):
        y, x = 40 * (i // per_row) + 5, 40 * (i % per_row) + 5
        height, width = rng.integers(12, 29, 2).tolist()
        noise = rng.integers(-20, 21, (height, width, 3))
        frame[y : y + height, x : x + width] = np.clip(np.array(COLOURS[name]) + noise, 0, 255)
    return frame


def write_recording(folder: Path, frames: int) -> Path:
    """Write pictures of twelve pieces each, 0.png and so on, sorted by name, into a new folder, and return it."""
    folder.mkdir()
    digits = len(str(frames - 1))
    for number in range(frames):
        cv2.imwrite(str(folder / f"{number:0{digits}d}.png"), draw_pieces(["good", "stone", "husk"] * 4, seed=number))
    return folder


def write_model_folder(folder: Path, recipe: Recipe = TINY_RECIPE, model: bytes | None = None) -> ModelCard:
    """Write a whole model folder with golden crops, and return its card; without a model of its own the tiny one."""
    folder.mkdir(parents=True, exist_ok=True)
    names = recipe.class_names
    side_px = recipe.crop.side_px
    model = make_onnx(side_px=side_px, classes=len(names)) if model is None else model
    crops = np.random.default_rng(2).integers(0, 256, (11, side_px, side_px, 3), dtype=np.uint8)
    golden = io.BytesIO()
    np.savez(golden, allow_pickle=False, crops=crops, scores=Classifier(model, recipe.crop, len(names)).scores(crops))
    card = ModelCard(
        model_id=sha256_hex(model),
        classes=names,
        display_names={name: DisplayName(name, name) for name in names},
        crop=recipe.crop,
        norm=NormSpec(),
        class_norms={name: ClassNorms() for name in names},
        temperature=1.0,
        metrics={name: ClassMetrics(10, 1.0, 1.0, 1.0) for name in names},
        macro_f1=1.0,
        worst_class_recall=1.0,
        lineage=Lineage("ab" * 32, "cd" * 32, 1, 1, 30, 30, seed=1, m=10, a=5, b=5, versions={}),
        opset=20,
        ort_min="1.22.0",
    )
    norms = NormTable(4, dict.fromkeys(names, (0, 0, 0, 0)))
    (folder / MODEL_FILE).write_bytes(model)
    (folder / GOLDEN_FILE).write_bytes(golden.getvalue())
    (folder / NORMS_FILE).write_bytes(msgspec.json.encode(norms))
    (folder / RECIPE_FILE).write_text(to_toml(recipe), encoding="utf-8")
    (folder / CARD_FILE).write_bytes(msgspec.json.encode(card))
    return card
