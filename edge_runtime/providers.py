"""Which runtimes this board has, and a session by any of them.

>>> runtime_version("onnxruntime") is None
False
"""

import onnxruntime as ort

from edge_runtime.model import ModelFolder, make_classifier, model_bytes
from edge_runtime.openvino_scorer import OpenvinoClassifier
from edge_runtime.scorer import ModelForm, Provider, Scorer

__all__ = ["open_scorer", "runtime_version"]


def runtime_version(provider: Provider) -> str | None:
    """Return the version of a runtime, None where it is not installed."""
    if provider == "onnxruntime":
        return str(ort.__version__)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a sorter opens without it

    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def open_scorer(folder: ModelFolder, form: ModelForm) -> Scorer:
    """Return a session on a model folder's model.

    Raises:
        ModelFolderError: the runtime cannot load it, its input or output is not what the card says, or the folder has
            no INT8 model and that is asked for.
        ConfigError: the runtime is not installed.
    """
    if form.provider == "onnxruntime":
        return make_classifier(folder, form.variant)
    return OpenvinoClassifier(model_bytes(folder, form.variant), folder.card.crop, len(folder.card.classes))
