"""A trainer's receipt: which records are safe in its pool, so that the machine may forget them."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.storage import read_bytes, write_atomic

__all__ = ["Receipt", "read_receipt", "write_receipt"]


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ids of residual records, 64 hexadecimal digits each, and the pool that has them."""

    pool: str
    ids: tuple[Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")], ...]
    schema_version: Literal[1] = 1


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Write a receipt, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(receipt)))


def read_receipt(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        StorageError: the file cannot be read or is no receipt.
    """
    try:
        return msgspec.json.decode(read_bytes(path), type=Receipt)
    except msgspec.DecodeError as error:
        raise StorageError(f"{path} is no receipt of a trainer: {error}") from error
