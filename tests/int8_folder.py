"""A model folder with an INT8 file beside it; of the tiny one the same graph, so that its scores are known."""

import io
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.model import CARD_FILE, GOLDEN_FILE, INT8_FILE, MODEL_FILE, Classifier, int8_golden_key
from edge_runtime.processor import processor_kind
from edge_runtime.schemas import Int8Card, Int8Recall, ModelCard
from edge_runtime.storage import sha256_hex

__all__ = ["add_int8", "rewrite_golden"]


def add_int8(folder: Path, *, refused: str = "", file: bytes | None = None) -> None:
    """Put an INT8 file into a model folder, with golden scores and card; or only why there is none.

    Args:
        folder: to change.
        refused: why no INT8 was made.
        file: the INT8 file; None takes a copy of the FP32 one.
    """
    model = (folder / MODEL_FILE).read_bytes() if file is None else file
    card = msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=ModelCard)
    int8 = Int8Card(
        sha256=None if refused else sha256_hex(model),
        refused=refused,
        mended_by="nothing",
        excluded=(),
        calibration_crops=30,
        samples=30,
        changed_decisions=0,
        macro_f1_fp32=1.0,
        macro_f1=1.0,
        recalls={name: Int8Recall(10, 1.0, 1.0) for name in card.classes},
        processor=processor_kind(),
    )
    (folder / CARD_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, int8=int8)))
    if refused:
        return
    (folder / INT8_FILE).write_bytes(model)
    with np.load(folder / GOLDEN_FILE) as golden:
        scores = Classifier(model, card.crop, len(card.classes)).scores(golden["crops"])
    rewrite_golden(folder, **{int8_golden_key(processor_kind()): scores})


def rewrite_golden(folder: Path, **int8: NDArray[np.generic]) -> None:
    """Write golden.npz anew with these INT8 scores in place of all others."""
    with np.load(folder / GOLDEN_FILE) as golden:
        crops, scores = golden["crops"], golden["scores"]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, crops=crops, scores=scores, **int8)
    (folder / GOLDEN_FILE).write_bytes(buffer.getvalue())
