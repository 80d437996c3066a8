"""Files that survive a power cut: written whole or not at all.

Knows paths and bytes only. A write is a temporary file beside the target, fsync, rename, fsync of the folder.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write_atomic(Path(folder) / "card.json", b"{}")
...     (Path(folder) / "card.json").read_bytes()
b'{}'
"""

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from edge_runtime.errors import StorageError

__all__ = ["fsync_folder", "read_bytes", "sha256_hex", "write_atomic"]


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that after a power cut either the old or the new file is there, whole.

    Raises:
        StorageError: the folder does not exist, is not writable or the disk is full; the old file is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def fsync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable.

    Raises:
        StorageError: the folder cannot be opened or flushed.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"cannot flush folder {folder}: {error.strerror or error}") from error


def read_bytes(path: Path, *, most_b: int | None = None) -> bytes:
    """Return the bytes of a file.

    Args:
        path: the file.
        most_b: largest file that is read; given, anything but a plain file is refused too, since a pipe never ends.

    Raises:
        StorageError: the file is missing, unreadable, or larger than `most_b`.
    """
    try:
        if most_b is not None:
            _check_size(path, most_b)
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits.

    >>> sha256_hex(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def _check_size(path: Path, most_b: int) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(f"cannot read {path}: it is no plain file")
    if found.st_size > most_b:
        raise StorageError(f"cannot read {path}: it has {found.st_size} bytes, the limit is {most_b}")
