"""Nothing accepted is lost, nothing is kept twice, and the books add up, whatever happens to the folder."""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.norm import ClassNorms
from edge_runtime.residual import ResidualHeader, ResidualRecord, Truth, encode_record, make_record
from edge_runtime.residual_export import export_spool, read_export
from edge_runtime.spool import GROUP_RECORDS, MIN_QUOTA_B, Spool, SpoolCounts
from edge_runtime.spool_segment import SEGMENT_MAGIC, FrameKind, encode_frame, scan_frames
from edge_runtime.truth import LabelNorms, NormStatistics
from firmware_bridge.clock import NS_PER_S, ManualClock

# Reads "first quota_b" lines; forks a child for each, which appends until it is killed and tells what was accepted.
NURSERY = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_edge_runtime_spool import a_record, some_norms
from edge_runtime.spool import Spool
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import configure_logs
configure_logs(verbose=0, quiet=True)
for order in sys.stdin:
    first, quota_b = (int(word) for word in order.split())
    pid = os.fork()
    if pid == 0:
        print(os.getpid(), flush=True)
        with Spool.open(Path({folder!r}), quota_b=quota_b, clock=SystemClock()) as spool:
            for line in range(first, first + 100_000):
                spool.append(a_record(line))
                spool.add_norms(some_norms())
                if line % 7 == 0:
                    for record_id in spool.commit():
                        print(record_id, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


def a_record(line: int, *, source: str = "T0", failure: str = "misclassified", side_px: int = 8) -> ResidualRecord:
    pixels = (np.arange(side_px * side_px, dtype=np.int64) * (line + 1) % 256).astype(np.uint8)
    header = ResidualHeader(
        machine="mill-1",
        lot="lot-7",
        camera="top",
        line=line,
        column=12,
        utc="2026-01-01T00:00:00.000+00:00",
        encoder=line,
        side_px=side_px,
        channels=1,
        predicted_class="rice",
        scores=(0.75, 0.25),
        action="accept",
        acknowledged="none",
        norm_q16=0,
        norm_numerator=0,
        norm_denominator=1,
        model_id="a" * 64,
        recipe_digest="b" * 64,
        truth=Truth(source, "stone", 0.99, "technician"),  # type: ignore[arg-type]  # the test names any source
        failure=failure,  # type: ignore[arg-type]  # and any failure
    )
    return make_record(header, pixels.reshape(side_px, side_px, 1), np.ones((side_px, side_px), np.bool_))


def some_norms(count: int = 1) -> NormStatistics:
    return NormStatistics((LabelNorms("a" * 64, "b" * 64, "stone", ClassNorms(count, 3 * count, 9 * count)),))


def open_spool(folder: Path, *, quota_b: int = 1 << 24, segment_b: int = 8 << 20) -> Spool:
    return Spool.open(folder, quota_b=quota_b, clock=ManualClock(), segment_b=segment_b)


def ids_of(spool: Spool) -> list[str]:
    return [record.id for record in spool.records()]


def assert_books_add_up(counts: SpoolCounts) -> None:
    assert counts.stored == counts.present + counts.delivered + sum(counts.evicted.values())
    assert counts.used_b <= counts.quota_b


def fill(folder: Path, count: int, **options: int) -> list[str]:
    with open_spool(folder, **options) as spool:
        for line in range(count):
            spool.append(a_record(line))
        return spool.commit()


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.seg"))


def forget_index(folder: Path) -> None:
    for path in folder.glob("index.sqlite*"):
        path.unlink()


@pytest.fixture(params=["index kept", "index lost"])
def is_index_lost(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "index lost")


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: these tests flush thousands of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def test_committed_records_are_there_again_after_opening(memory_path: Path) -> None:
    records = [a_record(line) for line in range(30)]
    with open_spool(memory_path) as spool:
        assert all(spool.append(record) for record in records)
        assert spool.commit() == [record.id for record in records]
        assert spool.commit() == []
    with open_spool(memory_path) as spool:
        assert list(spool.records()) == records
        assert spool.counts().stored == 30
        assert_books_add_up(spool.counts())


def test_same_record_is_kept_once_pending_or_stored(memory_path: Path) -> None:
    with open_spool(memory_path) as spool:
        assert spool.append(a_record(1))
        assert not spool.append(a_record(1))
        spool.commit()
        assert not spool.append(a_record(1))
        assert (spool.counts().stored, spool.counts().repeated) == (1, 2)


def test_group_commits_itself_when_full(memory_path: Path) -> None:
    with open_spool(memory_path) as spool:
        for line in range(GROUP_RECORDS - 1):
            spool.append(a_record(line))
        assert (spool.counts().stored, spool.counts().pending) == (0, GROUP_RECORDS - 1)
        spool.append(a_record(GROUP_RECORDS))
        assert (spool.counts().stored, spool.counts().pending) == (GROUP_RECORDS, 0)
        assert len(spool.commit()) == GROUP_RECORDS


def test_group_commits_itself_when_old(memory_path: Path) -> None:
    clock = ManualClock()
    with Spool.open(memory_path, clock=clock) as spool:
        spool.append(a_record(1))
        clock.advance_ns(NS_PER_S)
        spool.append(a_record(2))
        assert (spool.counts().stored, spool.counts().pending) == (1, 1)


def test_leaving_with_an_error_commits_nothing(memory_path: Path) -> None:
    with pytest.raises(KeyError), open_spool(memory_path) as spool:
        spool.append(a_record(1))
        raise KeyError
    with open_spool(memory_path) as spool:
        assert spool.counts().stored == 0


def test_second_process_is_refused(memory_path: Path) -> None:
    with open_spool(memory_path), pytest.raises(StorageError, match="in use"):
        open_spool(memory_path)
    open_spool(memory_path).close()


def test_streams_go_to_their_own_segments(memory_path: Path) -> None:
    with open_spool(memory_path) as spool:
        spool.append(a_record(1))
        spool.append(a_record(2, source="T8", failure="audit"))
        spool.append(a_record(3, failure="late"))
        spool.append(a_record(4, source="T7", failure="candidate"))
        assert len(spool.commit()) == 4
        assert len(ids_of(spool)) == 4
    assert {path.name.split(".")[1] for path in segments(memory_path)} == {"confirmed", "audit", "fault", "candidate"}


def test_segments_roll_over_and_grow_again_after_opening(memory_path: Path) -> None:
    with open_spool(memory_path, segment_b=4096) as spool:
        for line in range(50):
            spool.append(a_record(line))
            spool.commit()
    sizes = [path.stat().st_size for path in segments(memory_path)]
    assert len(sizes) > 3
    assert max(sizes) <= 4096
    with open_spool(memory_path, segment_b=8192) as spool:
        spool.append(a_record(50))
        assert spool.commit()
    assert len(segments(memory_path)) == len(sizes)


def test_too_small_a_quota_is_refused(memory_path: Path) -> None:
    with pytest.raises(ConfigError, match="65536"):
        open_spool(memory_path, quota_b=MIN_QUOTA_B - 1)


def test_record_larger_than_a_segment_is_refused(memory_path: Path) -> None:
    rng = np.random.default_rng(0)
    header = msgspec.structs.replace(a_record(1).header, side_px=128)
    noise = rng.integers(0, 256, (128, 128, 1)).astype(np.uint8)
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        with pytest.raises(StorageError, match="exceeds a segment of 4096"):
            spool.append(make_record(header, noise, np.ones((128, 128), np.bool_)))
        assert spool.append(a_record(2))


def test_full_spool_gives_up_audit_first_then_the_oldest(memory_path: Path) -> None:
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        for line in range(20):
            spool.append(a_record(line, source="T8", failure="audit"))
        spool.commit()
        confirmed: list[str] = []
        while "quota_confirmed" not in spool.counts().evicted:
            record = a_record(1000 + len(confirmed))
            spool.append(record)
            spool.commit()
            confirmed.append(record.id)
            assert_books_add_up(spool.counts())
        assert spool.counts().evicted["quota_audit"] == 20
        lost = spool.counts().evicted["quota_confirmed"]
        assert ids_of(spool) == confirmed[lost:]
        assert spool.counts().stored == 20 + len(confirmed)


def test_quota_is_never_passed_by_a_byte(memory_path: Path) -> None:
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        for line in range(400):
            spool.append(a_record(line, failure=("misclassified", "late", "audit")[line % 3]))
            if line % 5 == 0:
                spool.commit()
                assert sum(path.stat().st_size for path in segments(memory_path)) == spool.counts().used_b
                assert_books_add_up(spool.counts())
        assert spool.counts().stored + spool.counts().pending == 400


def test_delivered_records_leave_and_are_counted(memory_path: Path) -> None:
    ids = fill(memory_path, 60, segment_b=4096)
    with open_spool(memory_path, segment_b=4096) as spool:
        before = len(segments(memory_path))
        assert spool.mark_delivered(ids[:40]) == 40
        assert spool.mark_delivered([*ids[:40], "f" * 64]) == 0
        assert ids_of(spool) == ids[40:]
        assert 0 < len(segments(memory_path)) < before
        assert_books_add_up(spool.counts())
    with open_spool(memory_path, segment_b=4096) as spool:
        counts = spool.counts()
        assert (counts.stored, counts.present, counts.delivered) == (60, 20, 40)
        spool.mark_delivered(ids)
        assert (spool.counts().delivered, spool.counts().used_b) == (60, 0)
        assert spool.append(a_record(100))
    with open_spool(memory_path) as spool:
        assert (spool.counts().stored, spool.counts().present) == (61, 1)


def test_receipt_with_something_else_than_ids_is_refused(memory_path: Path) -> None:
    with open_spool(memory_path) as spool, pytest.raises(StorageError, match="no record id"):
        spool.mark_delivered(["nonsense"])


def test_norm_sums_survive_opening_retirement_and_a_lost_index(memory_path: Path) -> None:
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        for line in range(300):
            spool.append(a_record(line))
            spool.add_norms(some_norms(10))
        spool.commit()
        assert spool.counts().evicted["quota_confirmed"] > 0
        assert spool.norm_statistics() == some_norms(3000)
    forget_index(memory_path)
    for _ in range(2):
        with open_spool(memory_path) as spool:
            assert spool.norm_statistics() == some_norms(3000)


def test_norm_sums_may_outgrow_64_bits(memory_path: Path) -> None:
    sums = NormStatistics((LabelNorms("a" * 64, "b" * 64, "stone", ClassNorms(2**40, 2**56, 2**72)),))
    with open_spool(memory_path) as spool:
        spool.add_norms(sums)
    with open_spool(memory_path) as spool:
        assert spool.norm_statistics() == sums


def test_kept_records_are_counted_by_lot_and_class(memory_path: Path) -> None:
    with open_spool(memory_path) as spool:
        spool.append(a_record(1))
        spool.commit()
        spool.append(a_record(2))
        spool.append(a_record(3, failure="late"))
        assert spool.count_kept("confirmed", "lot-7", label="stone", source="T0") == 2
        assert spool.count_kept("confirmed", "lot-7", label="rice", source="T0") == 0
        spool.commit()
        assert spool.count_kept("confirmed", "lot-7", label="stone", source="T0") == 2


@pytest.mark.parametrize("victim", ["index.sqlite", "totals.json"])
@pytest.mark.parametrize("damage", ["lost", "empty", "rubbish", "flipped"])
def test_lost_or_damaged_books_are_built_again(memory_path: Path, victim: str, damage: str) -> None:
    ids = fill(memory_path, 300, quota_b=MIN_QUOTA_B)
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        before, spool_id, kept = spool.counts(), spool.spool_id, ids_of(spool)
    path = memory_path / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes({"lost": b"", "empty": b"", "rubbish": b"rubbish" * 999, "flipped": bytes(data)}[damage])
    if damage == "lost":
        path.unlink()
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        assert ids_of(spool) == kept
        assert kept == ids[-len(kept) :]
        assert spool.counts() == before
        assert spool.spool_id == spool_id
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        assert not spool.health.is_index_rebuilt


def test_all_books_lost_starts_counting_with_what_is_there(memory_path: Path) -> None:
    fill(memory_path, 300, quota_b=MIN_QUOTA_B)
    forget_index(memory_path)
    (memory_path / "totals.json").unlink()
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        counts = spool.counts()
        assert spool.health.is_totals_lost
        assert counts.stored == counts.present == len(ids_of(spool)) > 0


def test_stale_index_is_not_believed(memory_path: Path) -> None:
    """An index from before an eviction lists segments that have left."""
    fill(memory_path, 50, quota_b=MIN_QUOTA_B)
    old = (memory_path / "index.sqlite").read_bytes()
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        for line in range(50, 400):
            spool.append(a_record(line))
        spool.commit()
        before, kept = spool.counts(), ids_of(spool)
    forget_index(memory_path)
    (memory_path / "index.sqlite").write_bytes(old)
    with open_spool(memory_path, quota_b=MIN_QUOTA_B) as spool:
        assert spool.health.is_index_rebuilt
        assert spool.counts() == before
        assert ids_of(spool) == kept


def test_index_that_lags_behind_takes_in_what_the_segments_hold(memory_path: Path) -> None:
    fill(memory_path, 10)
    old = (memory_path / "index.sqlite").read_bytes()
    with open_spool(memory_path) as spool:
        for line in range(10, 20):
            spool.append(a_record(line))
        spool.add_norms(some_norms())
    forget_index(memory_path)
    (memory_path / "index.sqlite").write_bytes(old)
    with open_spool(memory_path) as spool:
        assert not spool.health.is_index_rebuilt
        assert ids_of(spool) == [a_record(line).id for line in range(20)]
        assert spool.norm_statistics() == some_norms()
        assert_books_add_up(spool.counts())


def test_torn_tail_is_cut_at_every_byte_of_the_last_record(memory_path: Path, is_index_lost: bool) -> None:
    ids = fill(memory_path, 3)
    (segment,) = segments(memory_path)
    whole = segment.read_bytes()
    books = {path: path.read_bytes() for path in memory_path.iterdir() if path != segment}
    last_b = frame_b(2)
    for end_b in range(len(whole) - last_b, len(whole)):
        restore(books, is_index_lost)
        segment.write_bytes(whole[:end_b])
        with open_spool(memory_path) as spool:
            assert ids_of(spool) == ids[:2]
            assert spool.health.torn_b == end_b - (len(whole) - last_b)
            assert_books_add_up(spool.counts())
            assert spool.counts().evicted == ({} if is_index_lost else {"damaged": 1})
            assert spool.append(a_record(2))
            assert spool.commit() == ids[2:]
            assert ids_of(spool) == ids


def test_every_flipped_byte_costs_at_most_its_own_record(memory_path: Path, is_index_lost: bool) -> None:
    ids = fill(memory_path, 2)
    (segment,) = segments(memory_path)
    whole = segment.read_bytes()
    books = {path: path.read_bytes() for path in memory_path.iterdir() if path != segment}
    owners: list[int | None] = [None] * len(SEGMENT_MAGIC)
    owners += [line for line in range(2) for _ in range(frame_b(line))]
    for offset, owner in enumerate(owners):
        restore(books, is_index_lost)
        segment.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x55]) + whole[offset + 1 :])
        with open_spool(memory_path) as spool:
            assert ids_of(spool) == [record_id for line, record_id in enumerate(ids) if line != owner]
            assert_books_add_up(spool.counts())
            if owner is not None and not is_index_lost:
                assert spool.counts().evicted == {"damaged": 1}
                assert spool.counts().stored == 2


def frame_b(line: int) -> int:
    """Return how many bytes a record takes in a segment."""
    return len(encode_frame(FrameKind.RECORD, encode_record(a_record(line))))


def restore(books: dict[Path, bytes], is_index_lost: bool) -> None:
    for path, data in books.items():
        path.write_bytes(data)
        if is_index_lost and path.name.startswith("index"):
            path.unlink()


def test_missing_segment_is_counted_as_damage(memory_path: Path) -> None:
    ids = fill(memory_path, 60, segment_b=4096)
    segments(memory_path)[1].unlink()
    for _ in range(2):
        with open_spool(memory_path, segment_b=4096) as spool:
            counts = spool.counts()
            assert counts.stored == 60
            assert counts.evicted["damaged"] == 60 - counts.present > 0
            assert set(ids_of(spool)) < set(ids)


def test_file_that_is_no_segment_is_left_alone(memory_path: Path) -> None:
    ids = fill(memory_path, 3)
    (memory_path / "00000009.confirmed.seg").write_bytes(b"no segment at all")
    (memory_path / "notes.txt").write_text("keep me")
    with open_spool(memory_path) as spool:
        assert ids_of(spool) == ids
        assert spool.append(a_record(10))
        assert len(spool.commit()) == 1
    assert (memory_path / "notes.txt").read_text() == "keep me"


@given(st.binary(max_size=200))
def test_scan_accepts_any_bytes(data: bytes) -> None:
    scan = scan_frames(data)
    assert scan.end_b <= max(len(data), len(SEGMENT_MAGIC))
    assert scan.damaged <= len(scan.frames)


PAYLOADS = st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=40)), max_size=6)


@given(PAYLOADS, st.lists(st.binary(max_size=20), min_size=7, max_size=7))
def test_scan_finds_every_frame_between_any_rubbish(
    frames: list[tuple[FrameKind, bytes]], rubbish: list[bytes]
) -> None:
    data = rubbish[-1] + b"".join(encode_frame(*frame) + gap for frame, gap in zip(frames, rubbish, strict=False))
    found = [(frame.kind, frame.payload) for frame in scan_frames(data).frames]
    assert found == frames


@given(PAYLOADS)
def test_scan_of_whole_frames_finds_no_damage(frames: list[tuple[FrameKind, bytes]]) -> None:
    data = SEGMENT_MAGIC + b"".join(encode_frame(*frame) for frame in frames)
    scan = scan_frames(data)
    assert (len(scan.frames), scan.damaged, scan.end_b) == (len(frames), 0, len(data))


@contextmanager
def nursery(folder: Path) -> Iterator[Callable[[int, int, int], list[str]]]:
    """Give a function that lets a child append from a line on and kills it after so many ids: what it told."""
    script = NURSERY.format(tests=str(Path(__file__).parent), folder=str(folder))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment) as process:
        source, told = process.stdout, process.stdin
        assert source is not None
        assert told is not None

        def kill_after(count: int, first: int, quota_b: int) -> list[str]:
            told.write(f"{first} {quota_b}\n")
            pid = int(source.readline())
            ids = [source.readline().strip() for _ in range(count)]
            os.kill(pid, signal.SIGKILL)
            while (line := source.readline().strip()) != "dead":
                ids.append(line)
            return ids

        yield kill_after


def test_killed_at_any_moment_every_accepted_record_is_there_once(tmp_path: Path) -> None:
    check_random_kills(tmp_path, kills=20, seed=1)


@pytest.mark.long
def test_killed_very_often_every_accepted_record_is_there_once(tmp_path: Path) -> None:
    check_random_kills(tmp_path, kills=200, seed=2)


def check_random_kills(folder: Path, *, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    with nursery(folder / "spool") as kill_after:
        accepted = [
            record_id
            for round_ in range(kills)
            for record_id in kill_after(rng.randrange(60), 100_000 * round_, 1 << 28)
        ]
    with open_spool(folder / "spool") as spool:
        present = ids_of(spool)
        assert len(accepted) == len(set(accepted)) > kills
        assert len(present) == len(set(present))
        assert set(accepted) <= set(present)
        assert_books_add_up(spool.counts())
        report = export_spool(spool, folder / "out.slrx")
        assert sorted(record.id for record in read_export(folder / "out.slrx").records) == sorted(present)
        assert report.count == spool.counts().present == len(present)
        assert spool.norm_statistics().count >= len(accepted)


def test_killed_while_segments_leave_the_books_add_up(memory_path: Path) -> None:
    check_kills_of_a_small_spool(memory_path, kills=6, seed=3)


@pytest.mark.long
def test_killed_very_often_while_segments_leave_the_books_add_up(memory_path: Path) -> None:
    check_kills_of_a_small_spool(memory_path, kills=100, seed=4)


def check_kills_of_a_small_spool(folder: Path, *, kills: int, seed: int) -> None:
    """Kill over a spool so small that segments leave all the time, and that loses its index now and then."""
    rng = random.Random(seed)
    accepted = 0
    with nursery(folder) as kill_after:
        for round_ in range(kills):
            accepted += len(kill_after(100 + rng.randrange(100), 100_000 * round_, MIN_QUOTA_B))
            if rng.random() < 0.3:
                forget_index(folder)
            with open_spool(folder, quota_b=MIN_QUOTA_B) as spool:
                assert_books_add_up(spool.counts())
                assert not spool.health.is_totals_lost
                assert len(ids_of(spool)) == spool.counts().present
                assert spool.counts().evicted.keys() == {"quota_confirmed"} or accepted < 200
                assert spool.counts().stored >= accepted
                assert spool.norm_statistics().count >= accepted


def test_full_disk_is_an_error_and_costs_nothing_accepted(memory_path: Path) -> None:
    """A limit on the size of files stands for a full disk: writes fail in the middle of a group."""
    fill(memory_path, 5)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    accepted: list[str] = []
    with open_spool(memory_path) as spool:
        before = ids_of(spool)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (segments(memory_path)[0].stat().st_size + 3000, limits[1]))
            with pytest.raises(StorageError):
                for line in range(10, 1000):
                    spool.append(a_record(line))
            with pytest.raises(StorageError):
                spool.commit()
            waiting = spool.counts().pending
            assert waiting < GROUP_RECORDS
            assert ids_of(spool) == before + spool_accepted(spool)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        accepted = spool.commit()
        assert spool.counts().pending == 0
        assert ids_of(spool) == before + accepted
        assert len(accepted) >= waiting
        assert_books_add_up(spool.counts())
    with open_spool(memory_path) as spool:
        assert ids_of(spool) == before + accepted
        assert spool.health.damaged == spool.health.torn_b == 0


def test_group_that_fails_half_way_goes_whole_to_a_new_segment(memory_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 64, 64, 1)).astype(np.uint8)
    header = msgspec.structs.replace(a_record(1).header, side_px=64)
    records = [make_record(header, pixels, np.ones((64, 64), np.bool_)) for pixels in noise]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_spool(memory_path, quota_b=1 << 28) as spool:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))  # the second group ends at 225 000
            for record in records:
                spool.append(record)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert spool.commit() == [record.id for record in records]
        assert len(segments(memory_path)) == 2
        assert list(spool.records()) == records
        assert_books_add_up(spool.counts())
    with open_spool(memory_path) as spool:
        assert spool.health.damaged == spool.health.torn_b == 0


def spool_accepted(spool: Spool) -> list[str]:
    """Return what was accepted beyond the first five records."""
    return ids_of(spool)[5:]
