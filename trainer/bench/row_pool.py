"""The pools of the benchmark: one import a set, and of it a copy a row, changed as the variant says.

Knows files and SQL; which sample goes where is decided in `trainer.bench.variants`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from firmware_bridge.clock import Clock
from trainer.acquire.import_batch import Progress
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.bench.variants import BenchSample
from trainer.errors import ImportFailedError, PoolError
from trainer.pool.pool import Pool

__all__ = ["import_set", "read_samples", "withdraw_others", "write_row_pool"]

_TARS = ("train.tar", "test.tar")


def import_set(folder: Path, path: Path, clock: Clock, progress: Progress) -> bool:
    """Import a set's train.tar and test.tar into one pool, as a user would; a whole pool is left as it is.

    Args:
        folder: of the set; a manifest beside the tars is read by the import.
        path: of the pool; another file beside it is used until both tars are in.
        clock: for the records.
        progress: told after every file.

    Returns:
        Whether anything had to be imported.

    Raises:
        ImportFailedError: a tar is missing or holds no usable picture.
        PoolError: the pool cannot be written.
        SettingsError: the tars contradict each other.
    """
    if path.is_file():
        return False
    missing = [name for name in _TARS if not (folder / name).is_file()]
    if missing:
        raise ImportFailedError(f"{folder} has no {' and no '.join(missing)}: a set is a train.tar and a test.tar")
    part = path.with_suffix(".part")
    for rest in path.parent.glob(f"{part.name}*"):
        rest.unlink()
    with Pool.open(part, create=True) as pool:
        for name in _TARS:
            import_samples(folder / name, pool, ImportOptions(), clock, progress)
        pool.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    part.replace(path)
    return True


def read_samples(pool: Pool) -> list[BenchSample]:
    """Return every sample that a run may use, in order of sample ids.

    Raises:
        PoolError: the file cannot be read.
    """
    with pool.transaction():
        rows = pool.connection.execute(
            "SELECT sample_id, class_name, group_name, split FROM samples WHERE state = 'active' ORDER BY sample_id"
        ).fetchall()
    return [BenchSample(*row) for row in rows]


def write_row_pool(source: Pool, samples: Sequence[BenchSample], path: Path) -> None:
    """Make a pool of its own from some samples of another, with the labels and sides given.

    Args:
        source: holds every sample.
        samples: what the new pool is to hold.
        path: of the new pool; must not exist.

    Raises:
        PoolError: the source lacks a sample, or the file cannot be written.
    """
    data_set = source.data_set()
    if data_set is None:
        raise PoolError(f"pool {source.path} is empty: import samples first")
    with Pool.open(path, create=True) as pool:
        pool.set_data_set(data_set)
        pool.connection.execute("ATTACH DATABASE ? AS source", (str(source.path),))
        with pool.transaction():
            pool.connection.execute("CREATE TEMP TABLE plan (sample_id TEXT PRIMARY KEY, name TEXT, side TEXT)")
            pool.connection.executemany(
                "INSERT INTO plan VALUES (?, ?, ?)", [(s.sample_id, s.class_name, s.split) for s in samples]
            )
            copied = pool.connection.execute(
                "INSERT INTO main.samples SELECT s.sample_id, p.name, group_name, p.side, origin, state, truth,"
                " norm_numerator, norm_denominator, norm_q16, source, blob"
                " FROM source.samples AS s JOIN plan AS p ON p.sample_id = s.sample_id ORDER BY s.sample_id"
            ).rowcount
            if copied != len(samples):
                raise PoolError(f"pool {source.path} holds {copied} of {len(samples)} samples: import the set again")
            pool.connection.execute(
                "INSERT INTO label_events (sample_id, event, class_name, who, why, utc)"
                " SELECT sample_id, 'import', class_name, 'bench', 'copied for the benchmark', '' FROM main.samples"
            )


def withdraw_others(pool: Pool, kept: Collection[str]) -> None:
    """Take every training sample that is not in `kept` out of use; the other sides stay as they are.

    Raises:
        PoolError: the file cannot be written.
    """
    names = set(kept)
    with pool.transaction():
        rows = pool.connection.execute(
            "SELECT sample_id FROM samples WHERE split = 'train' AND state = 'active'"
        ).fetchall()
        pool.connection.executemany(
            "UPDATE samples SET state = 'withdrawn' WHERE sample_id = ?", [row for row in rows if row[0] not in names]
        )
