"""The finished run that another one continues: what it had learnt from, and what its model makes of the pool now."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.model import MODEL_FILE, Classifier
from edge_runtime.storage import read_bytes, sha256_hex
from trainer.errors import ResumeError
from trainer.loop.results import MODEL_FOLDER, RunResult, load_result
from trainer.pool.ledger import training_ids
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable

__all__ = ["BaseRun", "load_base"]


@dataclass(frozen=True, slots=True)
class BaseRun:
    """A finished run.

    Attributes:
        result: what it came to.
        training_ids: of the samples that its model was trained on.
        model: the ONNX bytes that it shipped.
    """

    result: RunResult
    training_ids: frozenset[str]
    model: bytes

    def scores(self, table: SampleTable, crop: CropSpec) -> NDArray[np.float32]:
        """Return the base model's scores (N, K) in the order of the table's classes; 0 for a class it does not know.

        Raises:
            ModelFolderError: onnxruntime cannot load the model.
        """
        known = Classifier(self.model, crop, len(self.result.classes)).scores(table.pixels)
        scores = np.zeros((len(table), len(table.classes)), np.float32)
        scores[:, [table.classes.index(name) for name in self.result.classes]] = known
        return scores

    def training_rows(self, table: SampleTable, *, take_new: bool) -> NDArray[np.bool_]:
        """Return, (N,) bool, what a continued run starts with; what a person withdrew since is not in the table.

        Args:
            table: of the run that continues.
            take_new: every sample that came back from a machine joins at once.
        """
        rows = zip(table.ids, table.origins, strict=True)
        return np.array([name in self.training_ids or (take_new and origin == "residual") for name, origin in rows])


def load_base(folder: Path, pool: Pool, classes: tuple[str, ...]) -> BaseRun:
    """Return a finished run that another one on the same pool continues.

    Args:
        folder: of the finished run.
        pool: that holds its ledger.
        classes: of the pool now; new ones may have come, none may be missing.

    Raises:
        ResumeError: no finished run lies there, its class has no usable sample any more, the pool does not hold it, or
            its model was changed.
        StorageError: the model cannot be read.
    """
    result = load_result(folder)
    gone = sorted(set(result.classes) - set(classes))
    if gone:
        raise ResumeError(
            f"the run in {folder} knows {', '.join(gone)}, of which the pool has no usable sample any more; it holds "
            f"{', '.join(classes)}: bring samples back (sortloop-train pool relabel), or start without a base"
        )
    began_with = frozenset(training_ids(pool, result.run_key, result.best_round, judged_after=len(result.rounds)))
    if not began_with:
        raise ResumeError(f"pool {pool.path} holds no round of the run in {folder}: it was made with another pool")
    path = folder / MODEL_FOLDER / MODEL_FILE
    model = read_bytes(path)
    if sha256_hex(model) != result.model_id:
        raise ResumeError(f"{path} is not the model that the run in {folder} shipped: it was changed")
    return BaseRun(result, began_with, model)
