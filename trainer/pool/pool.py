"""The sample pool: one SQLite file that holds every crop, its label history, group and side of the split.

Exactly once: the primary key is the hash of the content. Whatever is written stands in one transaction, so that a
killed import leaves nothing behind. Knows samples, not where they come from nor what a round does with them.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Pool.open(Path(folder) / "rice.pool", create=True) as pool:
...     pool.class_names()
()
"""

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import unpack_crop
from edge_runtime.errors import CropError
from edge_runtime.norm import norm_q16
from trainer.errors import PoolError, SettingsError
from trainer.pool.class_names import is_provisional
from trainer.pool.data_set import DataSet
from trainer.pool.pool_schema import prepare
from trainer.pool.sample_table import CropRoom, SampleTable, read_table
from trainer.pool.samples import AddCounts, Added, NewSample, PoolCounts, StoredSample

__all__ = ["AddCounts", "Added", "NewSample", "Pool", "PoolCounts", "SampleTable", "StoredSample"]

_LOCK_TIMEOUT_S: Final = 5.0
_ORIGINS: Final = ("import", "residual", "audit")
_DATA_SET_KEY: Final = "data_set"
_ADD_EVENT: Final = "INSERT INTO label_events (sample_id, event, class_name, who, why, utc) VALUES (?, ?, ?, ?, ?, ?)"
_USABLE: Final = (
    "FROM samples WHERE state = 'active'"
    " AND split IN (SELECT value FROM json_each(?)) AND origin IN (SELECT value FROM json_each(?))"
    " AND class_name IN (SELECT value FROM json_each(?))"
)


class Pool:
    """An open pool file; use it in a `with` statement, from one thread.

    Every method raises `PoolError` when the file cannot be read or written; then nothing of the open transaction stays.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> "Pool":
        """Open a pool file.

        Args:
            path: the file; SQLite keeps a `-wal` and a `-shm` file beside it while it is open.
            create: make the file if it does not exist.

        Raises:
            PoolError: missing, not a pool, damaged, locked, or written by a newer version of the software.
        """
        if not create and not path.is_file():
            raise PoolError(f"no pool at {path}: import samples first, or correct the path")
        with _translated(path):
            connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        try:
            with _translated(path):
                prepare(connection, path)
        except PoolError:
            connection.close()
            raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for modules that keep their own tables in the same file; write inside `transaction`."""
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written inside one step: all of it stays, or after any error nothing.

        Raises:
            PoolError: a transaction is already open, another program keeps the file locked, or the disk is full.
        """
        if self._connection.in_transaction:
            raise PoolError(f"pool {self.path}: a transaction is already open")
        with _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:  # commits, or rolls back after any error
                yield
                if not self._connection.in_transaction:
                    raise PoolError(f"pool {self.path}: the disk failed and everything was taken back: try again")

    def data_set(self) -> DataSet | None:
        """Return what all samples were made with, None before the first import.

        Raises:
            PoolError: the stored settings are damaged.
        """
        with _translated(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (_DATA_SET_KEY,)).fetchone()
        if row is None:
            return None
        try:
            return msgspec.json.decode(row[0], type=DataSet)
        except msgspec.DecodeError as error:
            raise PoolError(f"pool {self.path}: settings of the data set are damaged: {error}") from error

    def set_data_set(self, data_set: DataSet) -> None:
        """Fix what all samples are made with; the same settings again change nothing.

        Raises:
            SettingsError: the pool was made with other settings.
            PoolError: the file cannot be written.
        """
        stored = self.data_set()
        if stored == data_set:
            return
        if stored is not None:
            raise SettingsError(f"pool {self.path} was made with {stored}: {data_set} needs a pool of its own")
        with self._writing():
            text = msgspec.json.encode(data_set).decode()
            self._connection.execute("INSERT INTO meta VALUES (?, ?)", (_DATA_SET_KEY, text))

    def add_samples(self, samples: Iterable[NewSample]) -> AddCounts:
        """Add samples in one transaction (the open one, if there is one); see `add_sample`.

        Raises:
            PoolError: a value is out of its range, or the file cannot be written; no sample of this call stays.
        """
        counts = {"added": 0, "duplicate": 0, "conflict": 0}
        with self._writing():
            for sample in samples:
                counts[self.add_sample(sample).outcome] += 1
        return AddCounts(**counts)

    def add_sample(self, sample: NewSample) -> Added:
        """Add one sample, unless its content is known.

        Returns:
            "added"; "duplicate" when the content is known under this label, when the sample comes without a label, or
            when the stored one has none yet and takes this one; "conflict" when it is known under another
            one: then the stored sample keeps both labels in its history, is named by the first of them in the
            alphabet, and is no longer used for training. A withdrawn sample stays withdrawn.

        Raises:
            PoolError: a value is out of its range, or the file cannot be written.
        """
        with self._writing():
            stored = self.find(sample.sample_id)
            if stored is None:
                self._insert(sample)
                self._note(sample, "import" if sample.origin == "import" else "intake")
                return Added("added", None)
            if is_provisional(sample.class_name):
                return Added("duplicate", stored)
            if is_provisional(stored.class_name) and stored.state == "active":
                self.relabel(sample.sample_id, sample.class_name, who=sample.who, why=sample.why, utc=sample.utc)
                return Added("duplicate", stored)
            if sample.class_name in self.labels(sample.sample_id):
                return Added("conflict" if stored.state == "conflict" else "duplicate", stored)
            self._note(sample, "conflict")
            self._connection.execute(
                "UPDATE samples SET state = CASE state WHEN 'withdrawn' THEN state ELSE 'conflict' END,"
                " class_name = min(class_name, ?) WHERE sample_id = ?",
                (sample.class_name, sample.sample_id),
            )
            return Added("conflict", stored)

    def relabel(self, sample_id: str, class_name: str, *, who: str, why: str, utc: str) -> None:
        """Put a person's label on a sample, whatever its state was; it is used again, in the group and side it has.

        Raises:
            PoolError: no such sample, or the file cannot be written.
        """
        self._decide(sample_id, "relabel", class_name, (who, why, utc))

    def withdraw(self, sample_id: str, *, who: str, why: str, utc: str) -> None:
        """Take a sample out of all use; it stays in the file, and `relabel` brings it back.

        Raises:
            PoolError: no such sample, or the file cannot be written.
        """
        self._decide(sample_id, "withdraw", None, (who, why, utc))

    def find(self, sample_id: str) -> StoredSample | None:
        """Return what is known of a sample, None if it is not in the pool.

        Raises:
            PoolError: the file cannot be read.
        """
        with _translated(self.path):
            row = self._connection.execute(
                "SELECT class_name, group_name, split, state, source FROM samples WHERE sample_id = ?", (sample_id,)
            ).fetchone()
        return None if row is None else StoredSample(*row)

    def labels(self, sample_id: str) -> tuple[str, ...]:
        """Return every label a sample was ever given, oldest first.

        Raises:
            PoolError: the file cannot be read.
        """
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT class_name FROM label_events WHERE sample_id = ? ORDER BY event_no", (sample_id,)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def load(
        self,
        splits: Collection[str],
        *,
        origins: Collection[str] | None = None,
        classes: Collection[str] | None = None,
    ) -> SampleTable:
        """Return the active samples of some sides of the split.

        Args:
            splits: of "train", "validation", "test".
            origins: of "import", "residual", "audit"; None takes all.
            classes: whose samples; None takes all. The table's class names are those of the whole pool in any case.

        Raises:
            PoolError: nothing was imported yet, or the file cannot be read or is damaged.

        Note:
            Memory: side * side * channels bytes a sample; about 0.6 s for 10,000 crops of 48 x 48 x 3.
        """
        with self._reading():
            data_set = self.data_set()
            if data_set is None:
                raise PoolError(f"pool {self.path} is empty: import samples first")
            names = self.class_names()
            wanted = tuple(
                _json(chosen)
                for chosen in (splits, _ORIGINS if origins is None else origins, names if classes is None else classes)
            )
            count = self._connection.execute(f"SELECT count(*) {_USABLE}", wanted).fetchone()[0]
            rows = self._connection.execute(
                f"SELECT sample_id, class_name, group_name, split, origin, norm_q16, source, blob {_USABLE} "
                "ORDER BY sample_id",
                wanted,
            )
            return read_table(rows, count, names, CropRoom(data_set.crop, self.path.parent))

    def crops(self) -> Iterator[tuple[str, str, str, NDArray[np.uint8]]]:
        """Give sample id, group, split and pixels (S, S, C) uint8 of every sample whatever its state, in order of ids.

        Raises:
            PoolError: the file cannot be read or is damaged.
        """
        data_set = self.data_set()
        if data_set is None:
            return
        with _translated(self.path):
            for name, group, split, blob in self._connection.execute(
                "SELECT sample_id, group_name, split, blob FROM samples ORDER BY sample_id"
            ):
                pixels, _ = unpack_crop(blob, data_set.crop.side_px, data_set.crop.channels)
                yield name, group, split, pixels

    def class_names(self) -> tuple[str, ...]:
        """Return the classes that have at least one active sample, sorted.

        Raises:
            PoolError: the file cannot be read.
        """
        with _translated(self.path):
            rows = self._connection.execute("SELECT DISTINCT class_name FROM samples WHERE state = 'active'").fetchall()
        return tuple(sorted(row[0] for row in rows))

    def group_splits(self) -> dict[str, str]:
        """Return the side of the split of every group.

        Raises:
            PoolError: the file cannot be read.
        """
        with _translated(self.path):
            return dict(self._connection.execute("SELECT DISTINCT group_name, split FROM samples ORDER BY 1, 2"))

    def digest(self) -> str:
        """Return the sha256 over id, class, group, side and state of all samples; the order of imports has no part.

        Raises:
            PoolError: the file cannot be read.
        """
        state = hashlib.sha256()
        with _translated(self.path):
            for row in self._connection.execute(
                "SELECT sample_id, class_name, group_name, split, state FROM samples ORDER BY sample_id"
            ):
                state.update(_json(row).encode() + b"\n")
        return state.hexdigest()

    def counts(self) -> PoolCounts:
        """Return how many samples there are, by class, side and state.

        Raises:
            PoolError: the file cannot be read.
        """
        active: dict[str, dict[str, int]] = {}
        states = {"active": 0, "conflict": 0, "withdrawn": 0}
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT state, class_name, split, count(*) FROM samples GROUP BY 1, 2, 3 ORDER BY 2, 3"
            ).fetchall()
        for state, class_name, split, count in rows:
            states[state] += count
            if state == "active":
                active.setdefault(class_name, {})[split] = count
        return PoolCounts(active, states["conflict"], states["withdrawn"])

    def record_import(self, source: str, utc: str, report: str) -> None:
        """Append to the list of imports; `report` is the whole report as JSON.

        Raises:
            PoolError: the file cannot be written.
        """
        with self._writing():
            self._connection.execute(
                "INSERT INTO imports (source, utc, report) VALUES (?, ?, ?)", (source, utc, report)
            )

    def imports(self) -> tuple[tuple[int, str, str, str], ...]:
        """Return number, source, time and report (JSON) of every import, oldest first.

        Raises:
            PoolError: the file cannot be read.
        """
        with _translated(self.path):
            return tuple(
                self._connection.execute("SELECT import_no, source, utc, report FROM imports ORDER BY import_no")
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Use the open transaction, or one of its own."""
        if self._connection.in_transaction:
            with _translated(self.path):
                yield
        else:
            with self.transaction():
                yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Show one state of the file to several statements, whatever other programs write meanwhile."""
        with _translated(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def _insert(self, sample: NewSample) -> None:
        norm = norm_q16(
            np.array([sample.norm_numerator], np.int64), np.array([max(1, sample.norm_denominator)], np.int64)
        )
        self._connection.execute(
            "INSERT INTO samples VALUES (?, ?, ?, ?, ?, 'active', ?, ?, ?, ?, ?, ?)",
            (
                *(sample.sample_id, sample.class_name, sample.group, sample.split, sample.origin, sample.truth),
                *(sample.norm_numerator, sample.norm_denominator, int(norm[0]), sample.source, sample.blob),
            ),
        )

    def _decide(self, sample_id: str, event: str, class_name: str | None, stamp: tuple[str, str, str]) -> None:
        with self._writing():
            stored = self.find(sample_id)
            if stored is None:
                raise PoolError(f"pool {self.path} holds no sample {sample_id}")
            name = stored.class_name if class_name is None else class_name
            self._connection.execute(
                "UPDATE samples SET state = ?, class_name = ? WHERE sample_id = ?",
                ("withdrawn" if class_name is None else "active", name, sample_id),
            )
            self._connection.execute(_ADD_EVENT, (sample_id, event, name, *stamp))

    def _note(self, sample: NewSample, event: str) -> None:
        values = (sample.sample_id, event, sample.class_name, sample.who, sample.why, sample.utc)
        self._connection.execute(_ADD_EVENT, values)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, CropError, OSError) as error:
        raise PoolError(f"pool {path}: {error}") from error


def _json(values: Iterable[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
