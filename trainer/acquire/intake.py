"""Mistakes recorded by machines into the pool, each exactly once, and the receipt that lets the machine forget them.

Class mistakes of confirmed truth become training samples, the labelled audit slice becomes held-out samples, everything
else is kept for a person. Knows exports and the pool, nothing of rounds.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from edge_runtime.crop import unpack_crop
from edge_runtime.norm import ClassNorms, norm_drift, norm_sums
from edge_runtime.receipt import Receipt
from edge_runtime.residual import ResidualHeader, ResidualRecord, is_training_sample
from edge_runtime.residual_export import Export
from edge_runtime.truth import NormStatistics
from firmware_bridge.clock import Clock
from trainer.errors import PoolError
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.samples import NewSample, sample_id

__all__ = ["Fate", "IntakeReport", "fate_of", "receipt_path", "take_in"]

Fate = Literal["residual", "audit", "kept", "refused"]

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS residual_records (
      record_id TEXT PRIMARY KEY, fate TEXT NOT NULL, reason TEXT NOT NULL, sample_id TEXT, utc TEXT NOT NULL,
      header BLOB NOT NULL, blob BLOB
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS machine_norms (spool_id TEXT PRIMARY KEY, norms TEXT NOT NULL) WITHOUT ROWID",
)


class IntakeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of an export.

    Attributes:
        records: in the file; the sum of known and fates.
        known: taken in before, unchanged.
        fates: new records by fate: residual (now training samples), audit (held out), kept (for a person), refused.
        reasons: of those kept and refused, with their number. A crop that the pool holds under another label is kept:
            neither label is used until a person decides.
        sources: new training samples by truth source.
        labels: new training samples by class.
        norm_drift: by class, how far the norms of all objects of known truth that the machine saw lie from those of the
            training samples, in their standard deviations; classes with fewer than 20 objects are left out.
        samples: new samples of the pool; fewer than residual + audit when a crop was known under its label.
        pool_digest: of the pool afterwards.
    """

    records: int
    known: int
    fates: dict[str, int]
    reasons: dict[str, int]
    sources: dict[str, int]
    labels: dict[str, int]
    samples: int
    pool_digest: str
    norm_drift: dict[str, float] = {}
    schema_version: Literal[1] = 1


def fate_of(record: ResidualRecord) -> tuple[Fate, str]:
    """Return what a record is good for, and why where it is kept for a person. Pure."""
    header = record.header
    if is_training_sample(header):
        return "residual", ""
    if header.failure == "audit":
        return ("audit", "") if header.truth.label else ("kept", "audit sample without a label")
    if header.failure in {"late", "not_deflected"}:
        return "kept", "fault of an ejection, not of a class"
    return "kept", "candidate without confirmed truth"


def take_in(
    export: Export,
    pool: Pool,
    clock: Clock,
    fate: Callable[[ResidualRecord], tuple[Fate, str]] = fate_of,
) -> tuple[IntakeReport, Receipt]:
    """Take an export into the pool, all of it or nothing.

    Args:
        export: from `edge_runtime.residual_export.read_export`.
        pool: open; holds the data set that the machine's model was trained on.
        clock: for the time in the records.
        fate: what each record is good for; the default is the product's rule.

    Returns:
        The report, and a receipt naming every record of the export: all of them are now in the pool's file.

    Raises:
        PoolError: the pool is empty or cannot be written.
        StorageError: the export changed while it was read.
    """
    data_set = pool.data_set()
    if data_set is None:
        raise PoolError(f"pool {pool.path} is empty: import the samples that the machine's model was trained on first")
    intake = _Intake(pool, data_set, clock.utc_now().isoformat(), fate)
    ids = []
    with pool.transaction():
        for statement in _TABLES:
            pool.connection.execute(statement)
        for record in export.records:
            intake.take(record)
            ids.append(record.id)
        _keep_norms(pool, export)
        report = intake.report(len(ids), pool.digest(), _drift(pool, export.norm_statistics.by_label()))
    return report, Receipt(pool.path.name, tuple(ids))


def _drift(pool: Pool, live: Mapping[str, ClassNorms]) -> dict[str, float]:
    rows = pool.connection.execute(
        "SELECT class_name, count(*), sum(norm_q16), sum(norm_q16 * norm_q16) FROM samples"
        " WHERE state = 'active' AND split = 'train' AND origin = 'import' GROUP BY class_name"
    )
    trained = {name: ClassNorms(*sums) for name, *sums in rows}
    found = {name: norm_drift(own, trained.get(name, ClassNorms())) for name, own in sorted(live.items())}
    return {name: drift for name, drift in found.items() if drift is not None}


def _keep_norms(pool: Pool, export: Export) -> None:
    """Keep a spool's norm sums: they only ever grow, so the export with the larger count is the later one."""
    query = "SELECT norms FROM machine_norms WHERE spool_id = ?"
    known = pool.connection.execute(query, (export.spool_id,)).fetchone()
    if known and msgspec.json.decode(known[0], type=NormStatistics).count >= export.norm_statistics.count:
        return
    norms = msgspec.json.encode(export.norm_statistics).decode()
    pool.connection.execute("INSERT OR REPLACE INTO machine_norms VALUES (?, ?)", (export.spool_id, norms))


class _Intake:
    def __init__(
        self, pool: Pool, data_set: DataSet, utc: str, fate: Callable[[ResidualRecord], tuple[Fate, str]]
    ) -> None:
        self._pool = pool
        self._data_set = data_set
        self._utc = utc
        self._fate = fate
        self._classes = set(pool.class_names())
        self._known = 0
        self._samples = 0
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in ("fate", "reason", "source", "label")}

    def take(self, record: ResidualRecord) -> None:
        """Take in one record unless it is known."""
        query = "SELECT 1 FROM residual_records WHERE record_id = ?"
        if self._pool.connection.execute(query, (record.id,)).fetchone():
            self._known += 1
            return
        header = record.header
        fate, reason = self._fate(record)
        obstacle = self._obstacle(record) if fate in {"residual", "audit"} else ""
        if obstacle:
            fate, reason = "refused", obstacle
        sample = self._sample(record, fate) if fate in {"residual", "audit"} else None
        if sample is not None:
            outcome = self._pool.add_sample(sample).outcome
            self._samples += outcome == "added"
            if outcome == "conflict":
                fate, reason = "kept", "its crop is in the pool under another label"
        self._count(header, fate, reason)
        kept = None if sample is not None else record.blob
        self._pool.connection.execute(
            "INSERT INTO residual_records VALUES (?, ?, ?, ?, ?, ?, ?)",
            (record.id, fate, reason, sample and sample.sample_id, self._utc, msgspec.json.encode(header), kept),
        )

    def report(self, records: int, digest: str, drift: dict[str, float]) -> IntakeReport:
        """Return the report."""
        counts = {name: dict(sorted(counter.items())) for name, counter in self._counts.items()}
        return IntakeReport(
            records=records,
            known=self._known,
            fates=counts["fate"],
            reasons=counts["reason"],
            sources=counts["source"],
            labels=counts["label"],
            samples=self._samples,
            pool_digest=digest,
            norm_drift=drift,
        )

    def _count(self, header: ResidualHeader, fate: Fate, reason: str) -> None:
        self._counts["fate"][fate] += 1
        if reason:
            self._counts["reason"][reason] += 1
        if fate == "residual":
            self._counts["source"][header.truth.source] += 1
            self._counts["label"][header.truth.label] += 1

    def _obstacle(self, record: ResidualRecord) -> str:
        """Return why a record cannot become a sample of this pool, "" if it can."""
        header, crop = record.header, self._data_set.crop
        if (header.side_px, header.channels) != (crop.side_px, crop.channels):
            shape, wanted = f"{header.side_px} px x {header.channels}", f"{crop.side_px} px x {crop.channels}"
            return f"crop of {shape} channels, the pool's are {wanted}"
        if header.truth.label not in self._classes:
            return f"class {header.truth.label} is not in the pool"
        pixels, mask = unpack_crop(record.blob, crop.side_px, crop.channels)
        sums = norm_sums(pixels[None], mask[None], self._data_set.norm)
        if [int(part[0]) for part in sums] != [header.norm_numerator, header.norm_denominator]:
            return "its norm is not the one the machine logged: machine and pool weigh pixels differently"
        return ""

    def _sample(self, record: ResidualRecord, fate: Fate) -> NewSample:
        header = record.header
        pixels, mask = unpack_crop(record.blob, header.side_px, header.channels)
        place = f"{header.machine}/{header.lot}/{header.camera}/{header.line}/{header.column}"
        identity = sample_id(pixels, np.asarray(mask, np.bool_))
        return NewSample(
            sample_id=identity,
            class_name=header.truth.label,
            group=f"machine/{identity}",  # a place repeats when a lot is run again, and would lie on both sides then
            split="train" if fate == "residual" else "test",
            origin=fate,
            truth=header.truth.source,
            norm_numerator=header.norm_numerator,
            norm_denominator=header.norm_denominator,
            source=place,
            blob=record.blob,
            who=header.truth.who or header.truth.source,
            why=f"{header.failure}, predicted {header.predicted_class}",
            utc=header.utc,
        )


def receipt_path(export: Path) -> Path:
    """Return where the receipt of an export file lies: beside it, with the ending .receipt.json."""
    return export.with_suffix(".receipt.json")
