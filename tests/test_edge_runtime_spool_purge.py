"""What a person gives up is counted, quotas tell sources apart, and an index of an earlier build is taken over."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
from test_edge_runtime_spool import (
    a_record,
    assert_books_add_up,
    fill,
    forget_index,
    ids_of,
    memory_path,
    open_spool,
    segments,
)

from edge_runtime.spool import MIN_QUOTA_B

__all__ = ["memory_path"]  # the fixture


def test_kept_records_are_counted_by_source_and_stream_too(memory_path: Path) -> None:
    with open_spool(memory_path) as spool:
        for line, (source, failure) in enumerate(
            [("T0", "misclassified"), ("T2", "misclassified"), ("T2", "misclassified"), ("T2", "candidate")]
        ):
            spool.append(a_record(line, source=source, failure=failure))
        for _ in range(2):
            counted = [
                spool.count_kept(stream, "lot-7", label="stone", source=source)  # type: ignore[arg-type]  # names
                for stream, source in (("confirmed", "T0"), ("confirmed", "T2"), ("candidate", "T2"), ("fault", "T0"))
            ]
            assert counted == [1, 2, 1, 0]
            spool.commit()


def test_purged_records_are_gone_and_counted(memory_path: Path) -> None:
    ids = fill(memory_path, 40)
    with open_spool(memory_path) as spool:
        spool.mark_delivered(ids[:5])
        assert spool.purge(ids[3:10]) == 5  # two of them were delivered
        assert spool.purge(ids[3:10]) == 0
        assert spool.purge(["ab" * 32]) == 0
        assert ids_of(spool) == ids[10:]
        assert spool.count_kept("confirmed", "lot-7", label="stone", source="T0") == 35
        assert not spool.append(a_record(7))  # its bytes are still here
        counts = spool.counts()
        assert (counts.stored, counts.present, counts.delivered, counts.evicted) == (40, 30, 5, {"purged": 5})
    with open_spool(memory_path) as spool:
        assert not spool.health.is_index_rebuilt
        assert (ids_of(spool), msgspec.structs.replace(spool.counts(), repeated=1)) == (ids[10:], counts)


def test_a_segment_of_which_nothing_is_wanted_leaves(memory_path: Path) -> None:
    ids = fill(memory_path, 40)
    with open_spool(memory_path) as spool:
        spool.mark_delivered(ids[:15])
        assert spool.purge(ids[15:]) == 25
        assert segments(memory_path) == []
        counts = spool.counts()
        assert (counts.stored, counts.delivered, counts.evicted, counts.used_b) == (40, 15, {"purged": 25}, 0)
        assert spool.append(a_record(7))
    forget_index(memory_path)
    with open_spool(memory_path) as spool:
        assert_books_add_up(spool.counts())
        assert spool.counts().evicted == {"purged": 25}


def test_a_full_spool_counts_purged_records_as_purged(memory_path: Path) -> None:
    ids = fill(memory_path, 100, quota_b=MIN_QUOTA_B)
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        purged = spool.purge(ids[:10])
        for line in range(1000, 1400):
            spool.append(a_record(line))
            if line % 50 == 0:
                assert_books_add_up(spool.counts())
        spool.commit()
        counts = spool.counts()
        assert counts.evicted["purged"] == purged > 0
        assert counts.evicted["quota_confirmed"] > 0
        assert_books_add_up(counts)


def test_damage_among_purged_and_delivered_records_keeps_the_books(memory_path: Path) -> None:
    ids = fill(memory_path, 30)
    with open_spool(memory_path) as spool:
        spool.mark_delivered(ids[:5])
        spool.purge(ids[5:10])
    path = segments(memory_path)[0]
    data = bytearray(path.read_bytes())
    for at in (0.05, 0.25, 0.6):  # one delivered, one purged, one present
        data[int(len(data) * at)] ^= 0xFF
    path.write_bytes(data)
    with open_spool(memory_path) as spool:
        left = ids_of(spool)
        counts = spool.counts()
        assert_books_add_up(counts)
        assert set(left) <= set(ids[10:])
        assert (counts.stored, counts.delivered, counts.evicted) == (30, 5, {"damaged": 20 - len(left), "purged": 5})


def test_index_of_an_earlier_build_is_taken_over(memory_path: Path) -> None:
    """Version 1 noted no source: what was delivered stays delivered, and old records count for no quota by source."""
    ids = fill(memory_path, 10)
    with open_spool(memory_path) as spool:
        spool.mark_delivered(ids[:4])
    with closing(sqlite3.connect(memory_path / "index.sqlite")) as connection, connection:
        connection.execute("ALTER TABLE records DROP COLUMN source")
        connection.execute("PRAGMA user_version = 1")
    with open_spool(memory_path) as spool:
        assert not spool.health.is_index_rebuilt
        assert ids_of(spool) == ids[4:]
        assert spool.counts().delivered == 4
        assert spool.count_kept("confirmed", "lot-7", label="stone", source="T0") == 0
        spool.append(a_record(99))
        spool.commit()
        assert spool.count_kept("confirmed", "lot-7", label="stone", source="T0") == 1
