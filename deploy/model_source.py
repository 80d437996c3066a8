"""Which files of a model folder a bundle carries, and the proof that they belong together before they travel.

It knows model folders; nothing of the bundle's layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.errors import BundleSourceError
from edge_runtime.errors import ConfigError, ModelFolderError

__all__ = ["ModelSource", "check_model_source"]

_INT8_MODEL_FILE: Final = "model.int8.onnx"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model folder that may travel.

    Attributes:
        model_id: sha256 of model.onnx.
        ort_min: oldest onnxruntime that loads it.
        files: path inside the bundle -> file on disk.
        left_out: names of entries in the folder that no machine needs; ascending.
    """

    model_id: str
    ort_min: str
    files: Mapping[str, Path]
    left_out: tuple[str, ...]


def check_model_source(folder: Path) -> ModelSource:
    """Prove that a folder is a whole model folder which gives its golden scores here.

    Raises:
        BundleSourceError: a file is missing or damaged, the files do not belong together, or a golden crop gets another
            score; the message names the file.

    Note:
        Loads the model once and runs all its golden crops: the same proof that a machine asks for before it switches.
    """
    from edge_runtime import model  # noqa: PLC0415 - loads onnxruntime, which `verify` and `inspect` never need

    try:
        loaded = model.load_model_folder(folder)
        model.check_golden(loaded, model.make_classifier(loaded))
        present = {entry.name for entry in folder.iterdir()}
    except (ModelFolderError, ConfigError, OSError) as error:
        raise BundleSourceError(f"{folder} cannot become a bundle: {error}") from error
    names = {model.MODEL_FILE, model.CARD_FILE, model.RECIPE_FILE, model.GOLDEN_FILE, model.NORMS_FILE}
    carried = names | ({_INT8_MODEL_FILE} & present)
    files = {name: folder / name for name in sorted(carried)}
    return ModelSource(loaded.card.model_id, loaded.card.ort_min, files, tuple(sorted(present - carried)))
