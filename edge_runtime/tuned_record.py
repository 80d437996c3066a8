"""What `sortloop-edge tune` decided for a model on this board: a record beside the model folder, and who may read it.

The record belongs to one model, kind of processor and runtime version. A record that belongs to another, is damaged
or chooses what is not there is not an error: the model then runs as FP32 by onnxruntime, as where nothing was tuned.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.model import ModelFolder
from edge_runtime.processor import processor_kind
from edge_runtime.providers import runtime_version
from edge_runtime.schemas import Digest
from edge_runtime.scorer import ModelForm
from edge_runtime.storage import read_bytes, write_atomic

__all__ = ["ChosenForm", "TunedFor", "TunedRecord", "chosen_form", "facts_here", "tuned_path", "write_tuned"]

_SUFFIX: Final = ".tuned.json"
_MOST_B: Final = 2**20


class TunedFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a choice holds for.

    Attributes:
        model_id, int8_sha256: of the model's files; null where there is no INT8 file.
        processor: kind of processor.
        onnxruntime, openvino: versions; null where it is not installed.
    """

    model_id: Digest
    int8_sha256: Digest | None
    processor: str
    onnxruntime: str | None
    openvino: str | None


class TunedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model runs best on a board, by measurement.

    Attributes:
        made_for: what the choice holds for.
        form: the choice.
        reason: why, for people.
        medians_us: median processor time a golden crop, by form.
        refused: why a form was not timed, by form.
    """

    made_for: TunedFor
    form: ModelForm
    reason: str
    medians_us: dict[str, float]
    refused: dict[str, str]
    schema_version: Literal[1] = 1


class ChosenForm(msgspec.Struct, frozen=True):
    """How a model runs, and why so."""

    form: ModelForm
    why: str


def tuned_path(folder: Path) -> Path:
    """Return where the record of a model folder lies: beside it, since the folder is somebody else's and signed."""
    whole = folder.resolve()
    return whole.with_name(whole.name + _SUFFIX)


def facts_here(folder: ModelFolder) -> TunedFor:
    """Return what a choice made here and now holds for."""
    return TunedFor(
        model_id=folder.card.model_id,
        int8_sha256=None if folder.card.int8 is None else folder.card.int8.sha256,
        processor=processor_kind(),
        onnxruntime=runtime_version("onnxruntime"),
        openvino=runtime_version("openvino"),
    )


def write_tuned(folder: Path, record: TunedRecord) -> Path:
    """Write a record beside its model folder, whole or not at all; return where.

    Raises:
        StorageError: it cannot be written.
    """
    path = tuned_path(folder)
    write_atomic(path, msgspec.json.format(msgspec.json.encode(record)))
    return path


def chosen_form(folder: ModelFolder) -> ChosenForm:
    """Return how a model runs on this board: as tuned, where the record belongs to it, else FP32 by onnxruntime."""
    path = tuned_path(folder.path)
    try:
        record = msgspec.json.decode(read_bytes(path, most_b=_MOST_B), type=TunedRecord)
    except StorageError:
        if not path.exists():
            return ChosenForm(ModelForm(), "not tuned on this board")
        return _ignored(path, "it cannot be read")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _ignored(path, "it is damaged")
    if record.form.variant == "int8" and folder.int8 is None:
        return _ignored(path, f"it chooses {record.form}, and the folder has no INT8 file")
    strange = _differences(record.made_for, folder, record.form)
    if strange:
        return _ignored(path, f"it was made for another {', '.join(strange)}")
    return ChosenForm(record.form, f"tuned: {record.reason}")


def _differences(made_for: TunedFor, folder: ModelFolder, form: ModelForm) -> list[str]:
    """Return what differs here; a runtime that is not used may have any version, and is not asked for it."""
    int8 = folder.card.int8
    version = made_for.onnxruntime if form.provider == "onnxruntime" else made_for.openvino
    is_same = {
        "model_id": made_for.model_id == folder.card.model_id,
        "int8_sha256": made_for.int8_sha256 == (None if int8 is None else int8.sha256),
        "processor": made_for.processor == processor_kind(),
        form.provider: version is not None and version == runtime_version(form.provider),
    }
    return [name for name, same in is_same.items() if not same]


def _ignored(path: Path, why: str) -> ChosenForm:
    import structlog  # noqa: PLC0415 - heavy, and a sorter opens without it

    structlog.get_logger(__name__).warning(
        "tuned.ignored", path=str(path), reason=why, remedy="sortloop-edge tune --model FOLDER"
    )
    return ChosenForm(ModelForm(), f"not as tuned: {path.name} is ignored: {why}")
