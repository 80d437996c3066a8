"""A model folder on disk to scores on crops: verified, loaded from bytes, one thread, one batch shape.

Knows nothing of frames, recipes' actions or valves. Normalisation is inside the graph: pixels go in as they are.
"""

import io
import struct
import tokenize
import zipfile
import zlib
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
from edge_runtime.graph_rules import check_graph
from edge_runtime.norm import check_norm_spec
from edge_runtime.processor import processor_kind, sums_may_overflow
from edge_runtime.schemas import ModelCard, NormTable, Recipe
from edge_runtime.scorer import Scorer, Variant, scores_in_batches, spread_rows
from edge_runtime.storage import read_bytes, sha256_hex

__all__ = [
    "CARD_FILE",
    "FP32_TOLERANCE",
    "GOLDEN_FILE",
    "INT8_FILE",
    "INT8_TOLERANCE",
    "MODEL_FILE",
    "NORMS_FILE",
    "RECIPE_FILE",
    "Classifier",
    "Golden",
    "ModelFolder",
    "check_golden",
    "check_graphs",
    "check_scores",
    "int8_golden_key",
    "load_model_folder",
    "make_classifier",
    "model_bytes",
    "read_golden",
]

MODEL_FILE: Final = "model.onnx"
INT8_FILE: Final = "model.int8.onnx"
CARD_FILE: Final = "card.json"
RECIPE_FILE: Final = "recipe.toml"
GOLDEN_FILE: Final = "golden.npz"
NORMS_FILE: Final = "norms.json"

FP32_TOLERANCE: Final = 1e-4
# Sums of integers are exact; a rounding to the next level that falls the other way moves a score by less than this.
INT8_TOLERANCE: Final = 1e-3
_SUM_TOLERANCE: Final = 1e-3  # of a row of scores, from 1
_MOST_GOLDEN_B: Final = 2**30  # 64 crops of 160 px of each of 200 classes
_MOST_FILE_B: Final = 2**28  # any other file; fifty times the largest network of the trainer
# Golden crops that may get another class on a kind of processor never measured; among few, one says too much.
_FOREIGN_SHARE: Final = 0.005
_LEAST_FOREIGN: Final = 64
_INT8_KEY: Final = "int8_scores."
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


class ModelFolder(msgspec.Struct, frozen=True):
    """What a model folder holds, checked to belong together.

    Attributes:
        path: where it lies.
        card: what the model is.
        recipe: what the machine does with its classes.
        norms: how norms were spread in training.
        model: the ONNX file's bytes.
        int8: bytes of the INT8 file; None where the card names none.
    """

    path: Path
    card: ModelCard
    recipe: Recipe
    norms: NormTable
    model: bytes
    int8: bytes | None = None


class Golden(msgspec.Struct, frozen=True):
    """Golden crops and the scores that they must give.

    Attributes:
        crops: (G, S, S, C) uint8.
        scores: (G, K) float32 by the FP32 file.
        int8: (G, K) float32 by the INT8 file, by kind of processor; empty where the folder has none.
    """

    crops: NDArray[np.uint8]
    scores: NDArray[np.float32]
    int8: dict[str, NDArray[np.float32]]


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
            ModelFolderError: the crops have another shape than the model takes, or onnxruntime cannot run it.
        """
        return scores_in_batches(self._run, crops, self._crop, self._class_count)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            scores: NDArray[np.float32] = self._session.run(["scores"], {"crops": batch})[0]
        except _ORT_ERRORS as error:
            raise ModelFolderError(f"onnxruntime cannot run the model: {error}") from error
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
        ModelFolderError: a file is missing or damaged, model.onnx or model.int8.onnx is not the one of the card, the
            files name other classes or crops, or a norm could leave 32 bits.
        ConfigError: recipe.toml has a wrong key or value.

    Note:
        A model.int8.onnx that the card does not name is not read.
    """
    card = _decode(path / CARD_FILE, ModelCard)
    norms = _decode(path / NORMS_FILE, NormTable)
    model = _read_model(path / MODEL_FILE, card.model_id)
    int8_id = None if card.int8 is None else card.int8.sha256
    int8 = None if int8_id is None else _read_model(path / INT8_FILE, int8_id)
    _read(path / RECIPE_FILE)
    recipe = load_settings(path / RECIPE_FILE, Recipe)
    if recipe.class_names != card.classes or recipe.crop != card.crop:
        raise ModelFolderError(f"{path}: {RECIPE_FILE} and {CARD_FILE} name other classes or another crop shape")
    if set(norms.histograms) != set(card.classes):
        raise ModelFolderError(f"{path}: {NORMS_FILE} and {CARD_FILE} name other classes")
    if norms.bins < 1 or any(len(row) != norms.bins or min(row) < 0 for row in norms.histograms.values()):
        raise ModelFolderError(f"{path}: {NORMS_FILE} has not {norms.bins} counts, 0 or more, for each class")
    try:
        check_norm_spec(card.norm, card.crop.side_px, card.crop.channels)
    except ConfigError as error:
        raise ModelFolderError(f"{path / CARD_FILE}: {error}") from error
    return ModelFolder(path, card, recipe, norms, model, int8)


def make_classifier(folder: ModelFolder, variant: Variant = "fp32") -> Classifier:
    """Return a session on a model folder's model.

    Raises:
        ModelFolderError: onnxruntime cannot load it, its input or output is not what the card says, or the folder has
            no INT8 model and that is asked for.
    """
    return Classifier(model_bytes(folder, variant), folder.card.crop, len(folder.card.classes))


def model_bytes(folder: ModelFolder, variant: Variant) -> bytes:
    """Return the ONNX bytes of a variant.

    Raises:
        ModelFolderError: the folder has no INT8 model and that is asked for.
    """
    model = folder.model if variant == "fp32" else folder.int8
    if model is None:
        raise ModelFolderError(f"{folder.path} has no {INT8_FILE}: only fp32 can run")
    return model


def check_golden(folder: ModelFolder, scorer: Scorer, variant: Variant = "fp32", *, most: int | None = None) -> int:
    """Run the folder's golden crops and compare; return how many were run.

    Args:
        folder: with the scores to be given.
        scorer: of the variant, by any runtime.
        variant: "int8" is compared with the scores measured on this kind of processor; on a kind that was never
            measured a class may differ for one crop of 64 and more, or one in 200.
        most: as many at most, evenly spread over the file; None for all.

    Raises:
        ModelFolderError: golden.npz is missing or damaged or has no scores of the variant, scores are no
            probabilities, a class differs, or a score differs by more than 1e-4, in INT8 1e-3.
    """
    path = folder.path / GOLDEN_FILE
    golden = read_golden(folder)
    if variant == "int8" and not golden.int8:
        raise ModelFolderError(f"{path} has no INT8 scores: {INT8_FILE} cannot be checked")
    kind = processor_kind()
    is_known = variant == "fp32" or kind in golden.int8
    expected = golden.scores if variant == "fp32" else golden.int8.get(kind, next(iter(golden.int8.values())))
    most = len(golden.crops) if most is None else most
    try:
        scores = scorer.scores(spread_rows(golden.crops, most))
        check_scores(scores)
    except ModelFolderError as error:
        raise ModelFolderError(f"{path}: {error}") from error
    if expected.shape != (len(golden.crops), scores.shape[1]):
        raise ModelFolderError(f"{path} has scores of shape {expected.shape} for crops that get {scores.shape}")
    expected = spread_rows(expected, most)
    wrong = int((scores.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if wrong > (0 if is_known else _most_foreign(len(scores))):
        raise ModelFolderError(f"{path}: {wrong} of {len(scores)} golden crops get another class here in {variant}")
    worst = float(np.abs(scores - expected).max(initial=0.0))
    tolerance = FP32_TOLERANCE if variant == "fp32" else INT8_TOLERANCE
    if is_known and not worst <= tolerance:  # also where golden scores are not numbers
        raise ModelFolderError(f"{path}: golden {variant} scores differ by {worst:.2e}, the limit is {tolerance:.0e}")
    return len(scores)


def check_graphs(folder: ModelFolder) -> None:
    """Prove that the graphs of all files of a folder are ones that the machine may run; nothing is executed.

    Raises:
        ModelFolderError: one is not; the message names the file and what is wrong.
    """
    card = folder.card
    check_graph(folder.model, card.crop, len(card.classes), name=str(folder.path / MODEL_FILE))
    if folder.int8 is not None:
        check_graph(folder.int8, card.crop, len(card.classes), name=str(folder.path / INT8_FILE))


def check_scores(scores: NDArray[np.float32]) -> None:
    """Prove that scores (N, K) are probabilities.

    Raises:
        ModelFolderError: one is not a number or outside of 0..1, or a row does not sum to 1.
    """
    if not np.isfinite(scores).all():
        raise ModelFolderError(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not numbers")
    sums = scores.sum(axis=1)
    if scores.size and (scores.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE):
        found = f"least {scores.min():.3g}, rows that sum to {sums.min():.3g}..{sums.max():.3g}"
        raise ModelFolderError(f"scores are no probabilities: {found}")


def read_golden(folder: ModelFolder) -> Golden:
    """Return the golden crops of a folder and their scores.

    Raises:
        ModelFolderError: golden.npz is missing, damaged or larger than a gigabyte.
    """
    path = folder.path / GOLDEN_FILE
    try:
        with np.load(io.BytesIO(_read(path)), allow_pickle=False) as arrays:
            _check_unpacked(arrays.zip)
            crops, scores = arrays["crops"], arrays["scores"]
            names = [name for name in arrays.files if name.startswith(_INT8_KEY)]
            int8 = {name.removeprefix(_INT8_KEY): arrays[name] for name in names}
    except _NPZ_ERRORS as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error
    if crops.dtype != np.uint8 or any(found.dtype != np.float32 for found in (scores, *int8.values())):
        raise ModelFolderError(f"{path} has {crops.dtype} crops and {scores.dtype} scores: uint8 and float32 expected")
    return Golden(crops, scores, int8)


def int8_golden_key(kind: str) -> str:
    """Return under which name golden.npz holds the INT8 scores of a kind of processor."""
    return f"{_INT8_KEY}{kind}"


def _most_foreign(count: int) -> float:
    """Return how many of some golden crops may get another class on a kind of processor never measured."""
    return 0 if count < _LEAST_FOREIGN else max(1, _FOREIGN_SHARE * count)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, most_b=_MOST_GOLDEN_B if path.name == GOLDEN_FILE else _MOST_FILE_B)
    except StorageError as error:
        raise ModelFolderError(f"{path.parent} is not a whole model folder: {error}") from error


def _check_unpacked(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that unpacks to much more than it is.

    Raises:
        ValueError: it would unpack to more than a gigabyte.
    """
    size_b = sum(info.file_size for info in archive.infolist())
    if size_b > _MOST_GOLDEN_B:
        raise ValueError(f"it unpacks to {size_b} bytes, the limit is {_MOST_GOLDEN_B}")


def _read_model(path: Path, sha256: str) -> bytes:
    model = _read(path)
    if sha256_hex(model) != sha256:
        raise ModelFolderError(f"{path} has sha256 {sha256_hex(model)[:12]}, its card {sha256[:12]}")
    return model


def _decode(path: Path, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error


def _session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if sums_may_overflow(processor_kind()):  # else INT8 decides wrongly there; on any other kind it halves its speed
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    return options
