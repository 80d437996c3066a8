"""The memory of the loop, in the pool's file: runs, rounds, who was drawn, what each round's model said of each sample.

Exactly what is needed to resume a run and to tell a sample's story. A round stands in one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from trainer.errors import ResumeError
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord

__all__ = ["HeldBack", "Ledger", "RoundFindings", "RoundResult", "training_ids"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS runs (run_key TEXT PRIMARY KEY, inputs TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (run_key, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS draws (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, sample_id TEXT NOT NULL,
  PRIMARY KEY (run_key, number, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judgements (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, class_ids BLOB NOT NULL, scores BLOB NOT NULL,
  PRIMARY KEY (run_key, number)
);
CREATE TABLE IF NOT EXISTS held_back (
  run_key TEXT NOT NULL, number INTEGER NOT NULL, sample_id TEXT NOT NULL, suggested TEXT NOT NULL,
  confidence REAL NOT NULL, PRIMARY KEY (run_key, number, sample_id)
) WITHOUT ROWID;
"""
_ROUND_TABLES: Final = ("rounds", "judgements", "draws", "held_back")


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Rows whose labels the rounds' models contradict: neither trained on nor drawn until a person decides.

    Attributes:
        rows: (H,) int64 row numbers, ascending.
        suggested_ids: (H,) int64 the class that the models see instead.
        confidences: (H,) float64 in 0..1.
    """

    rows: NDArray[np.int64]
    suggested_ids: NDArray[np.int64]
    confidences: NDArray[np.float64]

    @staticmethod
    def nothing() -> "HeldBack":
        """Return the empty set."""
        return HeldBack(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))


@dataclass(frozen=True, slots=True)
class RoundFindings:
    """What a round did and found, sample by sample.

    Attributes:
        drawn: row numbers of the table that joined the training set, in the order drawn.
        predicted_ids: (N,) int16 class that the round's model gives each row of the table.
        scores: (N, K) float16 scores of each row; by a model that never saw the row, where the round had one.
        held_back: rows in quarantine after the round.
    """

    drawn: NDArray[np.int64]
    predicted_ids: NDArray[np.int16]
    scores: NDArray[np.float16]
    held_back: HeldBack


@dataclass(frozen=True, slots=True)
class RoundResult:
    """A finished round: its figures, and what they were counted from."""

    record: RoundRecord
    findings: RoundFindings


class Ledger:
    """The rounds of one run.

    Args:
        pool: open; its file gets the ledger's tables.
        run_key: of this run.
        inputs: what the key stands for, as JSON, for people.
        sample_ids: of the run's table, in its order; row numbers refer to it.
        classes: names of the table's classes, in their order.
    """

    def __init__(
        self, pool: Pool, run_key: str, inputs: str, *, sample_ids: Sequence[str], classes: Sequence[str]
    ) -> None:
        self._pool = pool
        self._key = run_key
        self._ids = tuple(sample_ids)
        self._classes = tuple(classes)
        with pool.transaction():
            _make_tables(pool)
            pool.connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (run_key, inputs))

    def rounds(self) -> list[RoundResult]:
        """Return the finished rounds, in order.

        Raises:
            ResumeError: the ledger names a sample that the pool no longer has.
        """
        rows = self._pool.connection.execute(
            "SELECT record, class_ids, scores, number FROM rounds NATURAL JOIN judgements WHERE run_key = ? "
            "ORDER BY number",
            (self._key,),
        ).fetchall()
        position = {name: at for at, name in enumerate(self._ids)}
        count = len(self._classes)
        return [
            RoundResult(
                msgspec.json.decode(record, type=RoundRecord),
                RoundFindings(
                    self._drawn(number, position),
                    np.frombuffer(ids, "<i2"),
                    np.frombuffer(scores, "<f2").reshape(-1, count),
                    self._held_back(number, position),
                ),
            )
            for record, ids, scores, number in rows
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
        found = result.findings
        ids, scores = found.predicted_ids.astype("<i2").tobytes(), found.scores.astype("<f2").tobytes()
        with self._pool.transaction():
            self._drop(number)
            self._pool.connection.execute(
                "INSERT INTO rounds VALUES (?, ?, ?)",
                (self._key, number, msgspec.json.encode(result.record).decode()),
            )
            judgement = (self._key, number, ids, scores)
            self._pool.connection.execute("INSERT INTO judgements VALUES (?, ?, ?, ?)", judgement)
            self._insert_draws(number, found.drawn)
            self._insert_held_back(number, found.held_back)

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

    def _insert_held_back(self, number: int, held_back: HeldBack) -> None:
        columns = (held_back.rows.tolist(), held_back.suggested_ids.tolist(), held_back.confidences.tolist())
        self._pool.connection.executemany(
            "INSERT INTO held_back VALUES (?, ?, ?, ?, ?)",
            (
                (self._key, number, self._ids[row], self._classes[suggested], confidence)
                for row, suggested, confidence in zip(*columns, strict=True)
            ),
        )

    def _drawn(self, number: int, position: Mapping[str, int]) -> NDArray[np.int64]:
        rows = self._pool.connection.execute(
            "SELECT sample_id FROM draws WHERE run_key = ? AND number = ? ORDER BY position", (self._key, number)
        ).fetchall()
        try:
            return np.array([position[row[0]] for row in rows], np.int64)
        except KeyError as error:
            raise ResumeError(
                f"round {number} drew sample {error.args[0][:12]}, which the pool no longer has"
            ) from error

    def _held_back(self, number: int, position: Mapping[str, int]) -> HeldBack:
        rows = self._pool.connection.execute(
            "SELECT sample_id, suggested, confidence FROM held_back WHERE run_key = ? AND number = ? ORDER BY 1",
            (self._key, number),
        ).fetchall()
        if not rows:
            return HeldBack.nothing()
        names, suggested, confidences = zip(*rows, strict=True)
        return HeldBack(
            np.array([position[name] for name in names], np.int64),
            np.array([self._classes.index(name) for name in suggested], np.int64),
            np.array(confidences, np.float64),
        )


def training_ids(pool: Pool, run_key: str, last_round: int, *, judged_after: int = -1) -> tuple[str, ...]:
    """Return the sample ids of a run's training set after a round, sorted: drawn, and not held back since.

    Args:
        pool: that holds the run's ledger.
        run_key: of the run.
        last_round: number of the last round that counts.
        judged_after: what is held back after this round is left out, too: the last round knows most about labels.

    Raises:
        PoolError: the pool's file cannot be written.
    """
    with pool.transaction():
        _make_tables(pool)
    rows = pool.connection.execute(
        "SELECT sample_id FROM draws AS d WHERE run_key = ?1 AND number <= ?2 AND NOT EXISTS (SELECT 1 FROM held_back "
        "WHERE run_key = ?1 AND sample_id = d.sample_id AND (number BETWEEN d.number AND ?2 OR number = ?3))",
        (run_key, last_round, judged_after),
    ).fetchall()
    return tuple(sorted({row[0] for row in rows}))


def _make_tables(pool: Pool) -> None:
    for statement in _TABLES.split(";"):
        pool.connection.execute(statement)
