"""The memory of the loop, in the pool's file: runs, rounds, who was drawn, what each round's model said of each sample.

Exactly what is needed to resume a run and to tell a sample's story. A round stands in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from trainer.errors import ResumeError
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord

__all__ = ["Ledger", "RoundResult", "drawn_ids"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS runs (run_key TEXT PRIMARY KEY, inputs TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (run_key, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS draws (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, sample_id TEXT NOT NULL,
  PRIMARY KEY (run_key, number, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS predictions (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, class_ids BLOB NOT NULL, PRIMARY KEY (run_key, number)
) WITHOUT ROWID;
"""
_ROUND_TABLES: Final = ("rounds", "predictions", "draws")


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round leaves behind.

    Attributes:
        record: its figures.
        drawn: row numbers of the table that joined the training set, in the order drawn.
        predicted_ids: (N,) int16 class that the round's model gives each row of the table.
    """

    record: RoundRecord
    drawn: NDArray[np.int64]
    predicted_ids: NDArray[np.int16]


class Ledger:
    """The rounds of one run.

    Args:
        pool: open; its file gets the ledger's tables.
        run_key: of this run.
        inputs: what the key stands for, as JSON, for people.
        sample_ids: of the run's table, in its order; row numbers refer to it.
    """

    def __init__(self, pool: Pool, run_key: str, inputs: str, sample_ids: Sequence[str]) -> None:
        self._pool = pool
        self._key = run_key
        self._ids = tuple(sample_ids)
        with pool.transaction():
            _make_tables(pool)
            pool.connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (run_key, inputs))

    def rounds(self) -> list[RoundResult]:
        """Return the finished rounds, in order.

        Raises:
            ResumeError: the ledger names a sample that the pool no longer has.
        """
        rows = self._pool.connection.execute(
            "SELECT record, class_ids, number FROM rounds NATURAL JOIN predictions WHERE run_key = ? ORDER BY number",
            (self._key,),
        ).fetchall()
        return [
            RoundResult(msgspec.json.decode(record, type=RoundRecord), self._drawn(number), np.frombuffer(ids, "<i2"))
            for record, ids, number in rows
        ]

    def start_from(self, training: NDArray[np.int64]) -> None:
        """Record the training set that a continued run starts with, as the draw of round 0.

        Raises:
            PoolError: the pool's file cannot be written.
        """
        with self._pool.transaction():
            self._drop(0)
            self._insert_draws(0, training)

    def add(self, result: RoundResult) -> None:
        """Record a finished round, whole or not at all; a round recorded before is replaced by the same.

        Raises:
            PoolError: the pool's file cannot be written.
        """
        number = result.record.number
        ids = result.predicted_ids.astype("<i2").tobytes()
        with self._pool.transaction():
            self._drop(number)
            self._pool.connection.execute(
                "INSERT INTO rounds VALUES (?, ?, ?)",
                (self._key, number, msgspec.json.encode(result.record).decode()),
            )
            self._pool.connection.execute("INSERT INTO predictions VALUES (?, ?, ?)", (self._key, number, ids))
            self._insert_draws(number, result.drawn)

    def drop_from(self, number: int) -> None:
        """Forget round `number` and all later ones, whose files are gone.

        Raises:
            PoolError: the pool's file cannot be written.
        """
        with self._pool.transaction():
            self._drop(number, "number >= ?")

    def _insert_draws(self, number: int, rows: NDArray[np.int64]) -> None:
        self._pool.connection.executemany(
            "INSERT INTO draws VALUES (?, ?, ?, ?)",
            ((self._key, number, at, self._ids[row]) for at, row in enumerate(rows.tolist())),
        )

    def _drop(self, number: int, which: Literal["number = ?", "number >= ?"] = "number = ?") -> None:
        for table in _ROUND_TABLES:  # no text from outside joins the statement
            self._pool.connection.execute(f"DELETE FROM {table} WHERE run_key = ? AND {which}", (self._key, number))  # noqa: S608

    def _drawn(self, number: int) -> NDArray[np.int64]:
        position = {name: at for at, name in enumerate(self._ids)}
        rows = self._pool.connection.execute(
            "SELECT sample_id FROM draws WHERE run_key = ? AND number = ? ORDER BY position", (self._key, number)
        ).fetchall()
        try:
            return np.array([position[row[0]] for row in rows], np.int64)
        except KeyError as error:
            raise ResumeError(
                f"round {number} drew sample {error.args[0][:12]}, which the pool no longer has"
            ) from error


def drawn_ids(pool: Pool, run_key: str, last_round: int) -> tuple[str, ...]:
    """Return the sample ids that a run had drawn up to a round, sorted: its training set.

    Args:
        pool: that holds the run's ledger.
        run_key: of the run.
        last_round: number of the last round that counts.

    Raises:
        PoolError: the pool's file cannot be written.
    """
    with pool.transaction():
        _make_tables(pool)
    rows = pool.connection.execute(
        "SELECT sample_id FROM draws WHERE run_key = ? AND number <= ?", (run_key, last_round)
    ).fetchall()
    return tuple(sorted(row[0] for row in rows))


def _make_tables(pool: Pool) -> None:
    for statement in _TABLES.split(";"):
        pool.connection.execute(statement)
