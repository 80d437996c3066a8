"""A sample on its way into the pool, and what the pool says of it.

Values only; `trainer.pool.pool` writes and reads them.

>>> sample_id(np.zeros((2, 2, 1), np.uint8), np.ones((2, 2), np.bool_))[:8]
'315f9377'
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["AddCounts", "Added", "NewSample", "PoolCounts", "PoolReport", "StoredSample", "sample_id"]


@dataclass(frozen=True, slots=True)
class NewSample:
    """A sample on its way into the pool.

    Attributes:
        sample_id: from `sample_id` on its crop.
        class_name: the label it arrives with.
        group: what must stay on one side of the split together with it.
        split: "train", "validation" or "test".
        origin: "import", "residual" (came back from a machine) or "audit" (random slice of a machine, held out).
        truth: where the label comes from: "manifest", "folder", or the record's truth source.
        norm_numerator, norm_denominator: from `edge_runtime.norm.norm_sums`.
        source: file or record, for people.
        blob: from `edge_runtime.crop.pack_crop`.
        who, why, utc: who gave the label, on what ground, and when (ISO 8601).
    """

    sample_id: str
    class_name: str
    group: str
    split: str
    origin: str
    truth: str
    norm_numerator: int
    norm_denominator: int
    source: str
    blob: bytes
    who: str
    why: str
    utc: str


@dataclass(frozen=True, slots=True)
class StoredSample:
    """What the pool knows of a sample, without its pixels; see `NewSample`. State: active, conflict or withdrawn."""

    class_name: str
    group: str
    split: str
    state: str
    source: str


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a sample: its outcome, and what the pool held before under the same content."""

    outcome: Literal["added", "duplicate", "conflict"]
    stored: StoredSample | None


@dataclass(frozen=True, slots=True)
class AddCounts:
    """How many samples were new, known under the same label, or known under another label."""

    added: int
    duplicate: int
    conflict: int


class PoolCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pool holds.

    Attributes:
        active: by class, then by split, the samples that a run may use.
        conflict: samples with two labels, used for nothing until a person decides.
        withdrawn: samples taken out by a person.
    """

    active: dict[str, dict[str, int]]
    conflict: int
    withdrawn: int
    schema_version: Literal[1] = 1


class PoolReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train pool show` found: active samples by class and split, others by state, and the digest."""

    classes: dict[str, dict[str, int]]
    conflicts: int
    withdrawn: int
    digest: str
    schema_version: Literal[1] = 1


def sample_id(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> str:
    """Return the id of a crop: sha256 over side, channels, pixels (S, S, C) uint8 and mask (S, S) bool."""
    side_px, _, channels = pixels.shape
    header = side_px.to_bytes(2, "big") + channels.to_bytes(2, "big")
    return hashlib.sha256(header + pixels.tobytes() + np.packbits(mask).tobytes()).hexdigest()
