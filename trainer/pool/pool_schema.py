"""The tables of a pool file, and how a file is known to be one.

Knows SQL only. A change of a table raises SCHEMA_VERSION and comes with a step that brings older files up to it.

>>> connection = sqlite3.connect(":memory:", isolation_level=None)
>>> create_tables(connection)
>>> connection.execute("PRAGMA user_version").fetchone()
(1,)
"""

import sqlite3
from pathlib import Path
from typing import Final

from trainer.errors import PoolError

__all__ = ["APPLICATION_ID", "PAGE_SIZE_B", "SCHEMA_VERSION", "create_tables", "prepare"]

APPLICATION_ID: Final = 0x534C504F  # "SLPO", in the header of every pool file
SCHEMA_VERSION: Final = 1
PAGE_SIZE_B: Final = 16384  # crops of 1 to 10 kB stay on one or two pages

_TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE samples (
      sample_id TEXT PRIMARY KEY CHECK (length(sample_id) = 64),
      class_name TEXT NOT NULL,
      group_name TEXT NOT NULL,
      split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
      origin TEXT NOT NULL CHECK (origin IN ('import', 'residual', 'audit')),
      state TEXT NOT NULL CHECK (state IN ('active', 'conflict', 'withdrawn')),
      truth TEXT NOT NULL,
      norm_numerator INTEGER NOT NULL CHECK (norm_numerator >= 0),
      norm_denominator INTEGER NOT NULL CHECK (norm_denominator > 0),
      norm_q16 INTEGER NOT NULL CHECK (norm_q16 BETWEEN 0 AND 65536),
      source TEXT NOT NULL,
      blob BLOB NOT NULL
    )
    """,
    "CREATE INDEX samples_by_group ON samples (group_name)",
    """
    CREATE TABLE label_events (
      event_no INTEGER PRIMARY KEY AUTOINCREMENT,
      sample_id TEXT NOT NULL REFERENCES samples,
      event TEXT NOT NULL,
      class_name TEXT NOT NULL,
      who TEXT NOT NULL,
      why TEXT NOT NULL,
      utc TEXT NOT NULL
    )
    """,
    "CREATE INDEX label_events_by_sample ON label_events (sample_id)",
    """
    CREATE TABLE imports (
      import_no INTEGER PRIMARY KEY AUTOINCREMENT,
      source TEXT NOT NULL,
      utc TEXT NOT NULL,
      report TEXT NOT NULL
    )
    """,
    # Labels are history: what was once said about a sample is never changed or taken away.
    """
    CREATE TRIGGER label_events_keep BEFORE UPDATE ON label_events
    BEGIN SELECT RAISE(ABORT, 'label events are append-only'); END
    """,
    """
    CREATE TRIGGER label_events_stay BEFORE DELETE ON label_events
    BEGIN SELECT RAISE(ABORT, 'label events are append-only'); END
    """,
)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty file and mark it as a pool, in one transaction.

    Raises:
        sqlite3.Error: the file is not empty, not writable or the disk is full; nothing was made.
    """
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # commits, or rolls back after any error
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Set what holds for a connection, and make the tables of an empty file or check those of a pool.

    Args:
        connection: just opened, in autocommit mode.
        path: its file, for messages.

    Raises:
        PoolError: the file belongs to another program, or to a newer version of this one.
        sqlite3.Error: the file is no database, locked or not writable.
    """
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE_B}")  # only an empty file takes it
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application_id != APPLICATION_ID and not (is_empty and application_id == 0):
        raise PoolError(f"{path} is a database of another program (id {application_id:#x}): give another path")
    if version > SCHEMA_VERSION:
        raise PoolError(f"pool {path} has schema {version}, this software knows {SCHEMA_VERSION}: update the software")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledged import survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    if is_empty:
        create_tables(connection)
