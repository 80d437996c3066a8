"""What decides the bytes of a model: the key under which a run may be resumed or repeated.

Same inputs, settings, library versions, threads and processor features give the same bytes; anything else another key.
"""

import platform
from importlib.metadata import version
from typing import Final

import msgspec
import torch

from edge_runtime.storage import sha256_hex
from trainer.settings import RunSettings

__all__ = ["RunInputs", "library_versions", "run_key"]

_DECIDING: Final = ("lightning-fabric", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")


class RunInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides a run.

    Attributes:
        settings: of the run, threads included.
        pool_digest: sha256 over the pool's samples.
        classes: the model's classes in order.
        base_key: run key of the run that is continued, "" for none.
        versions: of the libraries that compute.
        processor: architecture and the vector features that torch uses.
    """

    settings: RunSettings
    pool_digest: str
    classes: tuple[str, ...]
    base_key: str
    versions: dict[str, str]
    processor: str

    @staticmethod
    def here(settings: RunSettings, pool_digest: str, classes: tuple[str, ...], base_key: str = "") -> "RunInputs":
        """Return the inputs of a run on this computer."""
        processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        return RunInputs(settings, pool_digest, classes, base_key, library_versions(), processor)


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide a model's bytes."""
    return {"python": platform.python_version()} | {name: version(name) for name in _DECIDING}


def run_key(inputs: RunInputs) -> str:
    """Return the sha256 over the inputs, as 64 hexadecimal digits."""
    return sha256_hex(msgspec.json.encode(inputs, order="sorted"))
