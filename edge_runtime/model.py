"""A model folder on disk to scores on crops: verified, loaded from bytes, one thread, one batch shape.

Knows nothing of frames, recipes' actions or valves. Normalisation is inside the graph: pixels go in as they are.
"""

import io
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_runtime.config import load_settings
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, ModelFolderError, StorageError
from edge_runtime.norm import check_norm_spec
from edge_runtime.schemas import ModelCard, NormTable, Recipe
from edge_runtime.storage import read_bytes, sha256_hex

__all__ = [
    "BATCH",
    "CARD_FILE",
    "FP32_TOLERANCE",
    "GOLDEN_FILE",
    "MODEL_FILE",
    "NORMS_FILE",
    "RECIPE_FILE",
    "Classifier",
    "ModelFolder",
    "check_golden",
    "load_model_folder",
    "make_classifier",
]

MODEL_FILE: Final = "model.onnx"
CARD_FILE: Final = "card.json"
RECIPE_FILE: Final = "recipe.toml"
GOLDEN_FILE: Final = "golden.npz"
NORMS_FILE: Final = "norms.json"

# One shape keeps memory constant and makes a score independent of the crop's neighbours in the batch, bit for bit;
# larger batches gain little on a network this small (machine.classifier_of_bare_ort in make bench).
BATCH: Final = 8
FP32_TOLERANCE: Final = 1e-4
# What numpy and zipfile raise on damaged bytes; found by damaging each.
_NPZ_ERRORS: Final = (
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_Record = TypeVar("_Record", ModelCard, NormTable)
_ORT_ERRORS: Final = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What a model folder holds, checked to belong together.

    Attributes:
        path: where it lies.
        card: what the model is.
        recipe: what the machine does with its classes.
        norms: how norms were spread in training.
        model: the ONNX file's bytes.
    """

    path: Path
    card: ModelCard
    recipe: Recipe
    norms: NormTable
    model: bytes


class Classifier:
    """One inference session: crops to scores.

    Args:
        model: ONNX bytes.
        crop: shape of the crops it takes.
        class_count: K, columns of its scores.

    Raises:
        ModelFolderError: onnxruntime cannot load it, or its input or output is not what it should be.

    Note:
        One thread, no spinning: the best use of two cores is one session on each. Not to be shared between threads.
    """

    def __init__(self, model: bytes, crop: CropSpec, class_count: int) -> None:
        self._crop = crop
        self._class_count = class_count
        try:
            self._session = ort.InferenceSession(model, _session_options(), providers=["CPUExecutionProvider"])
        except _ORT_ERRORS as error:
            raise ModelFolderError(f"onnxruntime cannot load the model of {len(model)} bytes: {error}") from error
        self._check_signature()

    def scores(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return calibrated probabilities.

        Args:
            crops: (N, S, S, C) uint8 as the crop says; N may be 0.

        Returns:
            (N, K) float32, rows sum to 1, columns in the order of the model's classes.

        Raises:
            ModelFolderError: the crops have another shape than the model takes.
        """
        side, channels = self._crop.side_px, self._crop.channels
        if crops.shape[1:] != (side, side, channels):
            raise ModelFolderError(f"crops of shape {crops.shape[1:]}: the model takes ({side}, {side}, {channels})")
        scores = np.empty((len(crops), self._class_count), np.float32)
        batch = np.zeros((BATCH, side, side, channels), np.uint8)
        for start in range(0, len(crops), BATCH):
            part = crops[start : start + BATCH]
            batch[: len(part)] = part
            result = self._session.run(["scores"], {"crops": batch})[0]
            scores[start : start + BATCH] = result[: len(part)]
        return scores

    def _check_signature(self) -> None:
        inputs = [(value.name, value.type) for value in self._session.get_inputs()]
        outputs = [(value.name, value.type, value.shape[-1]) for value in self._session.get_outputs()]
        if inputs != [("crops", "tensor(uint8)")]:
            raise ModelFolderError(f"model takes {inputs}: one uint8 tensor called crops is expected")
        if outputs != [("scores", "tensor(float)", self._class_count)]:
            raise ModelFolderError(f"model gives {outputs}: float scores of {self._class_count} classes expected")


def load_model_folder(path: Path) -> ModelFolder:
    """Read a model folder and check that its files belong together.

    Raises:
        ModelFolderError: a file is missing or damaged, model.onnx is not the one of the card, the files name other
            classes or crops, or a norm could leave 32 bits.
        ConfigError: recipe.toml has a wrong key or value.
    """
    card = _decode(path / CARD_FILE, ModelCard)
    norms = _decode(path / NORMS_FILE, NormTable)
    model = _read(path / MODEL_FILE)
    if sha256_hex(model) != card.model_id:
        raise ModelFolderError(
            f"{path / MODEL_FILE} has sha256 {sha256_hex(model)[:12]}, its card {card.model_id[:12]}"
        )
    _read(path / RECIPE_FILE)
    recipe = load_settings(path / RECIPE_FILE, Recipe)
    if recipe.class_names != card.classes or recipe.crop != card.crop:
        raise ModelFolderError(f"{path}: {RECIPE_FILE} and {CARD_FILE} name other classes or another crop shape")
    if set(norms.histograms) != set(card.classes):
        raise ModelFolderError(f"{path}: {NORMS_FILE} and {CARD_FILE} name other classes")
    try:
        check_norm_spec(card.norm, card.crop.side_px, card.crop.channels)
    except ConfigError as error:
        raise ModelFolderError(f"{path / CARD_FILE}: {error}") from error
    return ModelFolder(path, card, recipe, norms, model)


def make_classifier(folder: ModelFolder) -> Classifier:
    """Return a session on a model folder's model.

    Raises:
        ModelFolderError: onnxruntime cannot load it, or its input or output is not what the card says.
    """
    return Classifier(folder.model, folder.card.crop, len(folder.card.classes))


def check_golden(folder: ModelFolder, classifier: Classifier) -> int:
    """Run the folder's golden crops and compare; return how many there were.

    Raises:
        ModelFolderError: golden.npz is missing or damaged, a class differs, or a score differs by more than 1e-4.
    """
    path = folder.path / GOLDEN_FILE
    crops, expected = _golden(path)
    try:
        scores = classifier.scores(crops)
    except ModelFolderError as error:
        raise ModelFolderError(f"{path}: {error}") from error
    if expected.shape != scores.shape:
        raise ModelFolderError(f"{path} has scores of shape {expected.shape} for crops that get {scores.shape}")
    wrong = scores.argmax(axis=1) != expected.argmax(axis=1)
    if wrong.any():
        raise ModelFolderError(f"{path}: {int(wrong.sum())} of {len(crops)} golden crops get another class here")
    worst = float(np.abs(scores - expected).max(initial=0.0))
    if worst > FP32_TOLERANCE:
        raise ModelFolderError(f"{path}: golden scores differ by {worst:.2e}, the limit is {FP32_TOLERANCE:.0e}")
    return len(crops)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except StorageError as error:
        raise ModelFolderError(f"{path.parent} is not a whole model folder: {error}") from error


def _decode(path: Path, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error


def _golden(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    try:
        with np.load(io.BytesIO(_read(path)), allow_pickle=False) as golden:
            crops, scores = golden["crops"], golden["scores"]
    except _NPZ_ERRORS as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error
    if crops.dtype != np.uint8 or scores.dtype != np.float32:
        raise ModelFolderError(f"{path} has {crops.dtype} crops and {scores.dtype} scores: uint8 and float32 expected")
    return crops, scores


def _session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
