"""Wall times of a run, apart from everything that is compared."""

from pathlib import Path
from typing import Final

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.storage import read_bytes, write_atomic
from trainer.errors import ResumeError
from trainer.loop.results import RunTiming

__all__ = ["load_seconds", "load_timing", "save_seconds", "save_timing"]

_TIMING_FILE: Final = "timing.json"
_NOT_YET: Final = 0.0  # seconds in all, while the run is not finished


def load_timing(folder: Path) -> RunTiming:
    """Return the wall times of a finished run.

    Raises:
        ResumeError: the folder holds none, or they are damaged.
    """
    try:
        return msgspec.json.decode(read_bytes(folder / _TIMING_FILE), type=RunTiming)
    except (StorageError, msgspec.DecodeError) as error:
        raise ResumeError(f"{folder} holds no times of a finished run: {error}") from error


def load_seconds(folder: Path, rounds: int) -> list[float]:
    """Return the wall times of the first `rounds` rounds of a run that goes on; 0 for those that left none."""
    try:
        known = load_timing(folder).rounds
    except ResumeError:
        known = []
    return [*known, *([0.0] * rounds)][:rounds]


def save_seconds(folder: Path, rounds: list[float]) -> None:
    """Keep the wall times of the rounds so far.

    Raises:
        StorageError: the file cannot be written.
    """
    save_timing(folder, RunTiming(_NOT_YET, rounds))


def save_timing(folder: Path, timing: RunTiming) -> None:
    """Keep the wall times of a run.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomic(folder / _TIMING_FILE, msgspec.json.encode(timing))
