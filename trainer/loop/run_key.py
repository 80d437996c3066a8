"""What decides the bytes of a model: the key under which a run may be resumed or repeated.

Same inputs, settings, library versions, threads and processor features give the same bytes; anything else another key.
"""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import torch

from edge_runtime.storage import read_bytes, sha256_hex
from firmware_bridge.command_line import product_version
from trainer.errors import ResumeError
from trainer.export.model_folder import ModelClass
from trainer.pool.data_set import DataSet
from trainer.settings import RunSettings

__all__ = ["INPUTS_FILE", "RunInputs", "differences", "library_versions", "load_inputs", "run_key"]

INPUTS_FILE: Final = "run.json"
_DECIDING: Final = ("lightning-fabric", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")


class RunInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides a run.

    Attributes:
        settings: of the run, threads included.
        pool_digest: sha256 over the pool's samples.
        classes: the model's classes, their names and actions: the card and the recipe hold them.
        data_set: how its samples were found, cut out and weighed.
        base_key: run key of the run that is continued, "" for none.
        versions: of this software and of the libraries that compute.
        processor: architecture, the vector features that torch uses, and the accelerator if there is one.
    """

    settings: RunSettings
    pool_digest: str
    classes: dict[str, ModelClass]
    data_set: DataSet
    base_key: str
    versions: dict[str, str]
    processor: str

    @staticmethod
    def here(
        settings: RunSettings,
        pool_digest: str,
        *,
        classes: dict[str, ModelClass],
        data_set: DataSet,
        base_key: str = "",
    ) -> "RunInputs":
        """Return the inputs of a run on this computer."""
        return RunInputs(settings, pool_digest, classes, data_set, base_key, library_versions(), _processor())


def load_inputs(folder: Path) -> RunInputs:
    """Return what decided the run in a folder.

    Raises:
        ResumeError: the record is damaged, or another version wrote it.
        StorageError: there is none, or it cannot be read.
    """
    path = folder / INPUTS_FILE
    try:
        return msgspec.json.decode(read_bytes(path), type=RunInputs)
    except msgspec.DecodeError as error:
        raise ResumeError(f"{path} is damaged, or another version wrote it: {error}") from error


def library_versions() -> dict[str, str]:
    """Return the versions of this software, of Python and of the libraries that decide a model's bytes."""
    own = {"sortloop": product_version(), "python": platform.python_version()}
    return own | {name: version(name) for name in _DECIDING}


def run_key(inputs: RunInputs) -> str:
    """Return the sha256 over the inputs, as 64 hexadecimal digits."""
    return sha256_hex(msgspec.json.encode(inputs, order="sorted"))


def differences(before: RunInputs, now: RunInputs) -> tuple[str, ...]:
    """Return what differs between two runs, each as "settings.fit.steps is 400, was 200", sorted by name."""
    old, new = dict(_leaves(msgspec.to_builtins(before))), dict(_leaves(msgspec.to_builtins(now)))
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return tuple(f"{name} is {_short(new.get(name))}, was {_short(old.get(name))}" for name in names)


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _processor() -> str:
    features = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or not torch.accelerator.is_available():
        return features
    name = torch.cuda.get_device_name() if accelerator.type == "cuda" else accelerator.type
    return f"{features} {name}"
