"""A folder that one process at a time works in. Knows nothing of what is in it.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as name:
...     handle = lock_folder(Path(name), busy="somebody is here")
...     lock_folder(Path(name), busy="somebody is here")
Traceback (most recent call last):
    ...
edge_runtime.errors.StorageError: somebody is here
>>> os.close(handle)
"""

import fcntl
import os
from pathlib import Path

from edge_runtime.errors import StorageError

__all__ = ["lock_folder"]


def lock_folder(folder: Path, *, busy: str) -> int:
    """Return an open handle that holds a folder until it is closed, however the process ends.

    Args:
        folder: made if missing; gets a file `lock`.
        busy: what to say where another process holds it.

    Raises:
        StorageError: another process holds it, or it cannot be made, written or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"cannot use {folder}: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        is_held = isinstance(error, BlockingIOError)
        raise StorageError(busy if is_held else f"cannot lock {folder}: {error.strerror or error}") from error
    return handle
