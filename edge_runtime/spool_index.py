"""The spool's index: which record lies where, what was handed over, and the totals; one SQLite file.

Every change is one transaction, durable when it returns. The index can always be built again from the segments; it
knows no files but its own and no record's contents beyond id, lot and label.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.truth import NormStatistics

__all__ = ["Place", "SegmentState", "SpoolIndex", "Totals"]

_SCHEMA_VERSION: Final = 2
# Ids are random: each of a group's 25 touches a page of its own. Bytes written for each byte stored, records of 12.7 kB
# (3.3 kB), 25 a group: pages of 4096 B 1.58 (3.89), 1024 B 1.32 (2.45), 512 B 1.25 (2.06).
_PAGE_B: Final = 512
_CHECKPOINT_PAGES: Final = 8000
_SCHEMA: Final = """
CREATE TABLE records (id BLOB PRIMARY KEY, segment INTEGER NOT NULL, offset_b INTEGER NOT NULL,
  length_b INTEGER NOT NULL, lot TEXT NOT NULL, label TEXT NOT NULL, delivered INTEGER NOT NULL,
  source TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE INDEX by_place ON records (segment, offset_b);
CREATE INDEX by_lot ON records (lot, label);
CREATE TABLE segments (number INTEGER PRIMARY KEY, stream TEXT NOT NULL, indexed_b INTEGER NOT NULL,
  norms BLOB NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_PRESENT, _DELIVERED, _PURGED = 0, 1, 2  # values of `delivered`
_STATES: Final = {"present": _PRESENT, "delivered": _DELIVERED, "purged": _PURGED}


class Totals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What no longer lies in any segment, and what was counted on the way: the spool's memory beside its segments.

    Attributes:
        spool_id: names this spool for ever; norm sums of one spool only grow.
        sequence: raised with every change of what has left.
        delivered: records handed over and removed.
        evicted: records removed unseen, by reason.
        norms: norm sums of removed segments.
        norms_sequence: of the last norm sums written when a segment was last removed; numbering goes on behind it.
        retired: segments that have left; their files may still be there.
    """

    spool_id: str
    sequence: int = 0
    delivered: int = 0
    evicted: dict[str, int] = {}
    norms: NormStatistics = NormStatistics()
    norms_sequence: int = 0
    retired: tuple[int, ...] = ()
    schema_version: int = 1

    @property
    def gone(self) -> int:
        """Records that have left, for whatever reason."""
        return self.delivered + sum(self.evicted.values())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies.

    Attributes:
        id: of the record, hexadecimal.
        segment: number of the segment.
        offset_b, length_b: of its frame.
        lot, label, source: for quotas: the lot, the class it counts for and the truth's source; the source is "" for
            records of builds that did not note it.
    """

    id: str
    segment: int
    offset_b: int
    length_b: int
    lot: str = ""
    label: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class SegmentState:
    """What the index knows of a segment.

    Attributes:
        number: ascending over all streams.
        stream: what kind of records it holds.
        indexed_b: bytes from its begin that are indexed.
        norms: norm sums in it.
    """

    number: int
    stream: str
    indexed_b: int
    norms: NormStatistics


class SpoolIndex:
    """The index, open. Every method raises StorageError when the file cannot be read or written."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @staticmethod
    def open(path: Path) -> "SpoolIndex | None":
        """Return the index at `path`, or None when there is none or it is damaged.

        Raises:
            StorageError: the file cannot be opened at all.
        """
        if not path.exists():
            return None
        connection = _connect(path)
        try:
            version = _upgraded(connection)
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
            index = SpoolIndex(path, connection)
            index.segments()
            if index.stored() != index.totals().gone + index.count():
                verdict = None  # a total changed behind our back
            if int(index._get("is_complete")) == 0:
                verdict = None  # its building was cut short
        except (sqlite3.Error, StorageError, ValueError, TypeError):
            verdict = version = None
        if verdict == "ok" and version == _SCHEMA_VERSION:
            return index
        connection.close()
        return None

    @staticmethod
    def create(path: Path, totals: Totals) -> "SpoolIndex":
        """Put an empty index at `path`, whatever was there; call `complete` when every segment is in.

        Raises:
            StorageError: the folder cannot be written.
        """
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        index = SpoolIndex(path, _connect(path))
        with index._transaction() as cursor:
            for statement in _SCHEMA.split(";"):
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            sequence = totals.norms_sequence
            index._put(cursor, totals=totals, stored=totals.gone, norms_sequence=sequence, is_complete=0)
        return index

    def complete(self) -> None:
        """Note that every segment is in: until then, opening finds the index damaged.

        Raises:
            StorageError: nothing was changed.
        """
        with self._transaction() as cursor:
            self._put(cursor, is_complete=1)

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def totals(self) -> Totals:
        """Return what has left."""
        with self._translated():
            return msgspec.json.decode(self._get("totals"), type=Totals)

    def stored(self) -> int:
        """Return how many records were ever accepted."""
        return int(self._get("stored"))

    def norms_sequence(self) -> int:
        """Return the sequence of the last norm sums that were counted."""
        return int(self._get("norms_sequence"))

    def segments(self) -> list[SegmentState]:
        """Return every segment, ascending."""
        with self._translated():
            rows = self._connection.execute("SELECT number, stream, indexed_b, norms FROM segments ORDER BY number")
            return [SegmentState(n, s, b, msgspec.json.decode(norms, type=NormStatistics)) for n, s, b, norms in rows]

    def places(self) -> list[Place]:
        """Return where each record lies that is present, in the order in which they were stored."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT hex(id), segment, offset_b, length_b, lot, label, source FROM records WHERE delivered = 0 "
                "ORDER BY segment, offset_b"
            )
            return [Place(str(row[0]).lower(), *row[1:]) for row in rows]

    def find(self, record_id: str) -> Place | None:
        """Return where a record lies, delivered or not; None when it is not there."""
        with self._translated():
            query = "SELECT segment, offset_b, length_b, lot, label, source FROM records WHERE id = ?"
            row = self._connection.execute(query, (_key(record_id),)).fetchone()
            return None if row is None else Place(record_id, *row)

    def count(self, state: Literal["any", "present", "delivered", "purged"] = "any") -> int:
        """Return the number of records that lie in segments and are in this state."""
        if state == "any":
            return self._number("SELECT count(*) FROM records", ())
        return self._number("SELECT count(*) FROM records WHERE delivered = ?", (_STATES[state],))

    def count_kept(self, stream: str, lot: str, *, label: str, source: str) -> int:
        """Return the number of records of this kind that lie in segments and were not purged."""
        query = (
            "SELECT count(*) FROM records JOIN segments ON number = segment "
            "WHERE stream = ? AND lot = ? AND label = ? AND source = ? AND delivered < ?"
        )
        return self._number(query, (stream, lot, label, source, _PURGED))

    def finished_segments(self) -> list[int]:
        """Return the segments all of whose records were delivered or purged, at least one."""
        with self._translated():
            rows = self._connection.execute("SELECT segment FROM records GROUP BY segment HAVING min(delivered) > 0")
            return [int(row[0]) for row in rows]

    def add(self, states: Iterable[SegmentState], places: Iterable[Place], norms_sequence: int) -> None:
        """Take in what was appended to segments; a record that is already known keeps its place.

        Args:
            states: each segment that grew, with its norm sums up to `indexed_b`.
            places: its new records.
            norms_sequence: of the last norm sums in them.

        Raises:
            StorageError: nothing was changed.
        """
        with self._transaction() as cursor:
            new = self._insert(cursor, places)
            for state in states:
                self._set_state(cursor, state)
            self._put(cursor, stored=int(self._get("stored")) + new, norms_sequence=norms_sequence)

    def replace(self, state: SegmentState, places: Sequence[Place]) -> int:
        """Take in a segment read again from its begin, and return how many of its records were lost to damage.

        Raises:
            StorageError: nothing was changed.
        """
        with self._transaction() as cursor:
            rows = cursor.execute("SELECT id, delivered FROM records WHERE segment = ?", (state.number,)).fetchall()
            known = {bytes(row[0]): int(row[1]) for row in rows}
            cursor.execute("DELETE FROM records WHERE segment = ?", (state.number,))
            inserted = self._insert(cursor, places)
            found = {bytes.fromhex(place.id) for place in places}
            finished = [(flag, key) for key, flag in known.items() if flag and key in found]
            cursor.executemany("UPDATE records SET delivered = ? WHERE id = ?", finished)
            self._set_state(cursor, state)
            gone = [flag for key, flag in known.items() if key not in found]
            lost = gone.count(_PRESENT)
            new = inserted - len(found & known.keys())
            self._put(
                cursor,
                totals=self._left(
                    delivered=gone.count(_DELIVERED), evicted={"damaged": lost, "purged": gone.count(_PURGED)}
                ),
                stored=int(self._get("stored")) + new,
            )
        return lost

    def mark_delivered(self, ids: Iterable[str]) -> int:
        """Note that records were handed over and return how many of them were present and not noted before."""
        return self._mark(_DELIVERED, ids)

    def mark_purged(self, ids: Iterable[str]) -> int:
        """Note that records are not wanted any more and return how many of them were present."""
        return self._mark(_PURGED, ids)

    def retire(self, reasons: Mapping[int, str]) -> Totals:
        """Forget whole segments and return the new totals.

        Args:
            reasons: why, by segment number; delivered records of it count as delivered, purged ones as evicted for that
                reason, the others as evicted for this one.
        """
        with self._transaction() as cursor:
            states = {state.number: state for state in self.segments()}
            delivered, evicted, norms = 0, dict[str, int](), NormStatistics()
            for number, reason in reasons.items():
                rows = cursor.execute(
                    "SELECT delivered, count(*) FROM records WHERE segment = ? GROUP BY delivered", (number,)
                ).fetchall()
                counts = {int(flag): int(count) for flag, count in rows}
                delivered += counts.get(_DELIVERED, 0)
                for why, flag in ((reason, _PRESENT), ("purged", _PURGED)):
                    evicted[why] = evicted.get(why, 0) + counts.get(flag, 0)
                norms = norms.plus(states[number].norms)
                cursor.execute("DELETE FROM records WHERE segment = ?", (number,))
                cursor.execute("DELETE FROM segments WHERE number = ?", (number,))
            totals = self._left(delivered=delivered, evicted=evicted)
            totals = msgspec.structs.replace(
                totals,
                norms=totals.norms.plus(norms),
                norms_sequence=int(self._get("norms_sequence")),
                retired=tuple(sorted(reasons)),
            )
            self._put(cursor, totals=totals)
        return totals

    def _left(self, *, delivered: int, evicted: Mapping[str, int]) -> Totals:
        totals = self.totals()
        sums = dict(totals.evicted)
        for reason, count in evicted.items():
            if count:
                sums[reason] = sums.get(reason, 0) + count
        return msgspec.structs.replace(
            totals,
            sequence=totals.sequence + 1,
            delivered=totals.delivered + delivered,
            evicted=dict(sorted(sums.items())),
        )

    def _insert(self, cursor: sqlite3.Cursor, places: Iterable[Place]) -> int:
        rows = [(bytes.fromhex(p.id), p.segment, p.offset_b, p.length_b, p.lot, p.label, p.source) for p in places]
        cursor.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, 0, ?)", rows)
        return max(0, cursor.rowcount)  # -1 after no row at all

    def _mark(self, value: int, ids: Iterable[str]) -> int:
        with self._transaction() as cursor:
            rows = [(value, _key(record_id)) for record_id in ids]
            cursor.executemany("UPDATE records SET delivered = ? WHERE id = ? AND delivered = 0", rows)
            return max(0, cursor.rowcount)  # -1 after no row at all

    def _set_state(self, cursor: sqlite3.Cursor, state: SegmentState) -> None:
        row = (state.number, state.stream, state.indexed_b, msgspec.json.encode(state.norms))
        cursor.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)", row)

    def _put(self, cursor: sqlite3.Cursor, **values: Totals | int) -> None:
        rows = [(name, msgspec.json.encode(value)) for name, value in values.items()]
        cursor.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", rows)

    def _get(self, name: str) -> bytes:
        with self._translated():
            row = self._connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise StorageError(f"spool index {self._path} has no {name}: it is damaged")
        return bytes(row[0])

    def _number(self, query: str, values: tuple[str | int, ...]) -> int:
        with self._translated():
            return int(self._connection.execute(query, values).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:  # commits, or rolls back after any error
                yield self._connection.cursor()
                if not self._connection.in_transaction:
                    raise StorageError(f"spool index {self._path}: the disk failed and everything was taken back")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StorageError(f"spool index {self._path}: {error}") from error


def _upgraded(connection: sqlite3.Connection) -> int:
    """Return the file's schema version, once the column that version 1 lacks is there."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version != 1:
        return version
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ALTER TABLE records ADD COLUMN source TEXT NOT NULL DEFAULT ''")
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return _SCHEMA_VERSION


def _key(record_id: str) -> bytes:
    try:
        return bytes.fromhex(record_id)
    except ValueError as error:
        raise StorageError(f"{record_id!r} is no record id: 64 hexadecimal digits are expected") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        with suppress(sqlite3.DatabaseError):  # a damaged file says so at the check that follows
            connection.execute(f"PRAGMA page_size = {_PAGE_B}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        raise StorageError(f"cannot open spool index {path}: {error}") from error
    return connection
