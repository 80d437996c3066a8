"""Bytes set aside until it is known what becomes of them: in memory while few, then in a temporary file.

Knows neither samples nor the pool.

>>> with BlobSpool() as spool:
...     place = spool.put(b"crop")
...     spool.get(place)
b'crop'
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from trainer.errors import ImportFailedError

__all__ = ["BlobPlace", "BlobSpool"]

_MEMORY_B: Final = 1 << 28  # 256 MiB, about 100,000 crops


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """Where a spool holds some bytes: offset and size in bytes."""

    offset_b: int
    size_b: int


class BlobSpool:
    """A heap of bytes that is gone when it is closed; use it in a `with` statement."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_B)  # noqa: SIM115 - closed by this class
        self._end_b = 0

    def put(self, data: bytes) -> BlobPlace:
        """Keep `data` and return where.

        Raises:
            ImportFailedError: the disk of the temporary folder is full.
        """
        place = BlobPlace(self._end_b, len(data))
        with _translated():
            self._file.seek(place.offset_b)
            self._file.write(data)
        self._end_b += len(data)
        return place

    def get(self, place: BlobPlace) -> bytes:
        """Return the bytes kept at `place`.

        Raises:
            ImportFailedError: the temporary file cannot be read.
        """
        with _translated():
            self._file.seek(place.offset_b)
            return self._file.read(place.size_b)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImportFailedError(
            f"temporary file in {tempfile.gettempdir()}: {error.strerror or error}: free some space there"
        ) from error
