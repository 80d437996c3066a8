"""A run's last books are on disk whatever happens to the machine, and a damaged file is told and never believed."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import StorageError
from edge_runtime.live.run_journal import LOST, RunJournal, RunRecord, close_lost, list_runs
from edge_runtime.storage import sha256_hex
from firmware_bridge.clock import ManualClock

FACTS = {"machine": "desk", "model": "ab12"}
FIRST = "run-00000001.json"


def begin(folder: Path, clock: ManualClock | None = None, **most: int) -> RunJournal:
    return RunJournal.begin(folder, FACTS, clock=clock or ManualClock(), **most)


def books(count: int) -> dict[str, dict[str, int]]:
    return {"frames": {"in": count, "processed": count}}


def told(record: RunRecord) -> object:
    return msgspec.json.decode(bytes(record.books))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_written_from_its_begin_to_its_end(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = begin(tmp_path / "a" / "runs", clock)
    clock.sleep_s(1)
    journal.snapshot(books(5))
    clock.sleep_s(1)
    journal.close("stopped")
    (run,) = list_runs(tmp_path / "a" / "runs").runs
    assert run == journal.record
    assert (run.number, run.facts, run.snapshots, told(run), run.end) == (1, FACTS, 1, books(5), "stopped")
    assert [text[17:23] for text in (run.begun_utc, run.seen_utc, run.ended_utc or "")] == [
        "00.000",
        "01.000",
        "02.000",
    ]
    assert close_lost(tmp_path / "a" / "runs", clock).runs == ()


def test_a_lost_run_is_closed_once_with_its_last_books(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.snapshot(books(1))
    journal.snapshot(books(2))
    later = ManualClock()
    later.sleep_s(60)
    (run,) = close_lost(tmp_path, later).runs
    assert (run.number, run.end, told(run), run.snapshots) == (1, LOST, books(2), 2)
    assert run.seen_utc < (run.ended_utc or "")
    assert close_lost(tmp_path, later).runs == ()
    assert list_runs(tmp_path).runs == (run,)


def test_a_run_lost_before_its_first_books_has_none(tmp_path: Path) -> None:
    begin(tmp_path)
    (run,) = close_lost(tmp_path, ManualClock()).runs
    assert (told(run), run.snapshots) == (None, 0)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert close_lost(nowhere, ManualClock()).runs == list_runs(nowhere).runs == ()
    assert not nowhere.exists()


class Books(msgspec.Struct, frozen=True):
    fired: int


def test_books_may_be_a_struct(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.snapshot(Books(7))
    assert msgspec.json.decode(bytes(list_runs(tmp_path).runs[0].books), type=Books) == Books(7)


def test_runs_are_listed_newest_first_and_the_oldest_forgotten(tmp_path: Path) -> None:
    for _ in range(7):
        begin(tmp_path, most_runs=3).close("stopped")
    assert [run.number for run in list_runs(tmp_path).runs] == [7, 6, 5]
    assert [run.number for run in list_runs(tmp_path, most=2).runs] == [7, 6]
    assert names(tmp_path) == ["run-00000005.json", "run-00000006.json", "run-00000007.json"]


def test_numbers_beyond_eight_digits_go_on(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.close("stopped")
    record = msgspec.structs.replace(journal.record, number=99_999_999)
    (tmp_path / "run-99999999.json").write_bytes(sealed(record))
    assert begin(tmp_path).record.number == 100_000_000
    assert [run.number for run in list_runs(tmp_path).runs] == [100_000_000, 99_999_999, 1]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "run-1.json", "run-00000000.json", "run-000000001.json", "run-xxxxxxxx.json"):
        (tmp_path / name).write_text("mine")
    before = names(tmp_path)
    found = close_lost(tmp_path, ManualClock())
    assert (found.runs, found.damaged, names(tmp_path)) == ((), {}, before)


def sealed(record: RunRecord) -> bytes:
    data = msgspec.json.encode(record)
    return b'{"sha256":"' + sha256_hex(data).encode() + b'","record":' + data + b"}"


def kill_states(old: bytes, new: bytes) -> dict[str, dict[str, bytes]]:
    """Return what may be on disk when a write is cut: the temporary file at some length, before or after the rename."""
    part = f".{FIRST}.77.part"
    cuts = {f"cut at {length}": {FIRST: old, part: new[:length]} for length in {*range(0, len(new), 9), len(new)}}
    return {**cuts, "not begun": {FIRST: old}, "renamed": {FIRST: new}}


def test_after_a_kill_anywhere_in_a_write_the_books_are_the_old_or_the_new(tmp_path: Path) -> None:
    journal = begin(tmp_path / "real")
    journal.snapshot(books(1))
    old = (tmp_path / "real" / FIRST).read_bytes()
    journal.snapshot(books(2))
    new = (tmp_path / "real" / FIRST).read_bytes()
    for name, files in kill_states(old, new).items():
        folder = tmp_path / name
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        found = close_lost(folder, ManualClock())
        assert [told(run) for run in found.runs] == [books(2) if name == "renamed" else books(1)]
        assert (found.damaged, names(folder)) == ({}, [FIRST])


def test_a_kill_in_the_very_first_write_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / f".{FIRST}.77.part").write_bytes(b'{"sha')
    assert close_lost(tmp_path, ManualClock()).runs == ()
    assert names(tmp_path) == []
    assert begin(tmp_path).record.number == 1


def test_a_torn_file_is_told_and_set_aside_at_any_length(tmp_path: Path) -> None:
    """A disk that lies about fsync may leave any part of a file."""
    begin(tmp_path).snapshot(books(1))
    whole = (tmp_path / FIRST).read_bytes()
    for length in {*range(0, len(whole), 9), len(whole) - 1}:
        (tmp_path / FIRST).write_bytes(whole[:length])
        found = close_lost(tmp_path, ManualClock())
        assert (found.runs, list(found.damaged)) == ((), [FIRST])
        assert names(tmp_path) == [f"{FIRST}.damaged"]
    assert begin(tmp_path).record.number == 2, "a number is never given twice"


def test_a_changed_byte_is_never_believed(tmp_path: Path) -> None:
    begin(tmp_path).snapshot(books(1))
    whole = (tmp_path / FIRST).read_bytes()
    for at in range(len(whole)):
        for flip in (1, 0x20):
            (tmp_path / FIRST).write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            found = list_runs(tmp_path)
            assert (found.runs, list(found.damaged)) == ((), [FIRST])


@settings(deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=99).map(str.encode))
def test_any_bytes_are_told_and_never_a_crash(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("runs")
    (folder / FIRST).write_bytes(data)
    assert list(close_lost(folder, ManualClock()).damaged) == [FIRST]


def test_one_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    for _ in range(3):
        begin(tmp_path)
    (tmp_path / "run-00000002.json").write_bytes(b"")
    found = close_lost(tmp_path, ManualClock())
    assert ([run.number for run in found.runs], list(found.damaged)) == ([3, 1], ["run-00000002.json"])


def replaced(**changes: object) -> Callable[[RunRecord], bytes]:
    return lambda record: sealed(msgspec.structs.replace(record, **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(number=2), "it holds run 2"),
        (replaced(schema_version=2), "another version"),
        (replaced(number=0), "another version"),
        (lambda record: sealed(record).replace(b'"desk"', b'"disk"'), "its checksum is another"),
        (lambda record: b" " * (2**20 + 1), "the limit is 1048576"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: Callable[[RunRecord], bytes], message: str) -> None:
    (tmp_path / FIRST).write_bytes(change(begin(tmp_path).record))
    assert message in list_runs(tmp_path).damaged[FIRST]


def test_files_set_aside_are_bounded_too(tmp_path: Path) -> None:
    for _ in range(5):
        number = begin(tmp_path, most_runs=2).record.number
        (tmp_path / f"run-{number:08d}.json").write_bytes(b"torn")
        close_lost(tmp_path, ManualClock())
    begin(tmp_path, most_runs=2)
    assert names(tmp_path) == ["run-00000004.json.damaged", "run-00000005.json.damaged", "run-00000006.json"]


def test_a_closed_run_takes_no_more(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.close("stopped")
    with pytest.raises(StorageError, match=r"run 1 is closed \(stopped\)"):
        journal.snapshot(books(1))
    with pytest.raises(StorageError, match=r"run 1 is closed \(stopped\)"):
        journal.close("again")


@pytest.mark.parametrize(
    ("wrong", "message"), [({"x": object()}, "cannot be written down as JSON"), ({"x": "y" * 2**20}, "the limit is")]
)
def test_books_that_cannot_be_written_leave_the_ones_before(
    tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    journal = begin(tmp_path)
    journal.snapshot(books(1))
    with pytest.raises(StorageError, match=message):
        journal.snapshot(wrong)
    assert told(list_runs(tmp_path).runs[0]) == told(journal.record) == books(1)


def test_names_that_are_no_text_are_written_all_the_same(tmp_path: Path) -> None:
    RunJournal.begin(tmp_path, {"model": "folder\udcb2"}, clock=ManualClock()).close("end\udcff")
    (run,) = list_runs(tmp_path).runs
    assert (run.facts, run.end) == ({"model": "folder\\xb2"}, "end\\xff")


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")
    for call in (begin, list_runs, lambda path: close_lost(path, ManualClock())):
        with pytest.raises(StorageError, match="Not a directory"):
            call(tmp_path / "runs")
    with pytest.raises(StorageError, match="cannot make"):
        begin(tmp_path / "runs" / "below")
