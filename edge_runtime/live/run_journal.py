"""The journal of each live run on disk: when it began, the last books, how it ended.

One file a run, written anew whole at each snapshot, with its own checksum. A run whose file says "open" at the next
start had no end that anybody wrote: `close_lost` closes it as `unknown(supervisor_lost)` with its last books. Knows no
processes and not what is in the books. The caller sees to it that only one supervisor uses a folder at a time.

>>> import tempfile
>>> from firmware_bridge.clock import ManualClock
>>> with tempfile.TemporaryDirectory() as name:
...     journal = RunJournal.begin(Path(name), {"machine": "desk"}, clock=ManualClock())
...     journal.snapshot({"frames": {"in": 3, "processed": 3}})
...     lost = close_lost(Path(name), ManualClock())
...     [(run.number, run.end, bytes(run.books)) for run in lost.runs]
[(1, 'unknown(supervisor_lost)', b'{"frames":{"in":3,"processed":3}}')]
"""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from edge_runtime.errors import StorageError
from edge_runtime.storage import fsync_folder, read_bytes, sha256_hex, write_atomic
from firmware_bridge.clock import Clock
from firmware_bridge.printable import printable

__all__ = ["LOST", "MOST_RUNS", "FoundRuns", "RunJournal", "RunRecord", "close_lost", "list_runs"]

LOST: Final = "unknown(supervisor_lost)"
MOST_RUNS: Final = 500  # about three months of a few runs a day; 500 files of some kB
_MOST_B: Final = 2**20
_RUN_FILE: Final = re.compile(r"run-(\d{8,18})\.json")
_SET_ASIDE: Final = ".damaged"


class RunRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run, as far as the journal knows it.

    Attributes:
        number: of the run, ascending for ever in one folder.
        facts: what ran: machine, model, recipe, by name.
        begun_utc: ISO 8601.
        seen_utc: of the last snapshot; what came after it nobody wrote down.
        snapshots: how many were written.
        books: the last books, JSON; null before the first snapshot.
        end: why the run ended; None while it is open.
        ended_utc: ISO 8601; of a lost run, when that was found.
    """

    number: Annotated[int, msgspec.Meta(ge=1)]
    facts: dict[str, str]
    begun_utc: str
    seen_utc: str
    snapshots: int = 0
    books: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    end: str | None = None
    ended_utc: str | None = None
    schema_version: Literal[1] = 1


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds: the record's bytes and their SHA-256."""

    sha256: str
    record: msgspec.Raw


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """What a folder holds.

    Attributes:
        runs: records, newest first.
        damaged: names of files that are no record, each with the reason.
    """

    runs: tuple[RunRecord, ...]
    damaged: dict[str, str]


class RunJournal:
    """The journal of one run, open. One thread."""

    def __init__(self, folder: Path, record: RunRecord, clock: Clock) -> None:
        self._folder = folder
        self._record = record
        self._clock = clock

    @staticmethod
    def begin(folder: Path, facts: Mapping[str, str], *, clock: Clock, most_runs: int = MOST_RUNS) -> "RunJournal":
        """Write down that a run begins, and forget the oldest runs beyond `most_runs`.

        Args:
            folder: made if it is not there.
            facts: what runs, by name.
            clock: for the records' UTC.
            most_runs: files kept, 1 or more, this run's included; as many that were set aside are kept besides.

        Raises:
            StorageError: the folder cannot be made or written.
        """
        _make_folder(folder)
        now = _utc(clock)
        told = {printable(name): printable(text) for name, text in facts.items()}
        record = RunRecord(_last_number(folder) + 1, told, now, now)
        _write(folder, record)
        _forget_oldest(folder, most_runs)
        return RunJournal(folder, record, clock)

    @property
    def record(self) -> RunRecord:
        """Return what is on disk."""
        return self._record

    def snapshot(self, books: msgspec.Struct | Mapping[str, object]) -> None:
        """Replace the books on disk; durable when it returns.

        Args:
            books: what JSON can say, less than 1 MiB of it.

        Raises:
            StorageError: the disk is full or failed, the books are too large or no JSON, or the run is closed; the
                snapshot before is unchanged.
        """
        self._need_open()
        kept = msgspec.structs.replace(
            self._record, books=_encoded(books), seen_utc=_utc(self._clock), snapshots=self._record.snapshots + 1
        )
        _write(self._folder, kept)
        self._record = kept

    def close(self, end: str) -> None:
        """Write down how the run ended.

        Args:
            end: "stopped", "safe_state(overload)": for people and for counting.

        Raises:
            StorageError: the disk is full or failed, or the run is closed already.
        """
        self._need_open()
        closed = msgspec.structs.replace(self._record, end=printable(end), ended_utc=_utc(self._clock))
        _write(self._folder, closed)
        self._record = closed

    def _need_open(self) -> None:
        if self._record.end is not None:
            raise StorageError(f"run {self._record.number} is closed ({self._record.end}): begin another")


def close_lost(folder: Path, clock: Clock) -> FoundRuns:
    """Close every open run as lost, with its last books; call it before a run begins, with no other one under way.

    Returns:
        The runs closed now, and the damaged files, which were renamed to end in ".damaged". A folder that is not there
        holds none.

    Raises:
        StorageError: the folder cannot be read or written; call it again when that is mended, nothing is lost.
    """
    if not folder.exists():
        return FoundRuns((), {})
    _remove_parts(folder)
    found = list_runs(folder, most=sys.maxsize - 1)
    for name in found.damaged:
        _set_aside(folder / name)
    closed = tuple(
        msgspec.structs.replace(run, end=LOST, ended_utc=_utc(clock)) for run in found.runs if run.end is None
    )
    for run in closed:
        _write(folder, run)
    return FoundRuns(closed, found.damaged)


def list_runs(folder: Path, *, most: int = MOST_RUNS) -> FoundRuns:
    """Return the newest runs of a folder, newest first, and the files that are damaged; nothing is changed.

    Args:
        folder: one that is not there holds none.
        most: so many files are looked at.

    Raises:
        StorageError: the folder is there and cannot be read.
    """
    runs: list[RunRecord] = []
    damaged: dict[str, str] = {}
    for number in _numbers_in(folder)[: -most - 1 : -1]:
        path = _path_of(folder, number)
        try:
            runs.append(_read(path, number))
        except StorageError as error:
            if path.exists():  # else it has been forgotten meanwhile
                damaged[path.name] = str(error)
    return FoundRuns(tuple(runs), damaged)


# ----- one file


def _path_of(folder: Path, number: int) -> Path:
    return folder / f"run-{number:08d}.json"


def _write(folder: Path, record: RunRecord) -> None:
    data = msgspec.json.encode(record)
    sealed = msgspec.json.encode(_Sealed(sha256_hex(data), msgspec.Raw(data)))
    if len(sealed) > _MOST_B:
        raise StorageError(f"run {record.number} would take {len(sealed)} bytes of journal, the limit is {_MOST_B}")
    write_atomic(_path_of(folder, record.number), sealed)


def _read(path: Path, number: int) -> RunRecord:
    """Return the record in a file; StorageError when it is not what was written there."""
    data = read_bytes(path, most_b=_MOST_B)
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        if sealed.sha256 != sha256_hex(bytes(sealed.record)):
            raise StorageError(f"{path} is damaged: its checksum is another")
        record = msgspec.json.decode(bytes(sealed.record), type=RunRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} is damaged or of another version: {error}") from error
    if record.number != number:
        raise StorageError(f"{path} is damaged: it holds run {record.number}")
    # A copy: Raw is a view into what was read.
    return msgspec.structs.replace(record, books=msgspec.Raw(bytes(record.books)))


def _encoded(books: msgspec.Struct | Mapping[str, object]) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(books))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StorageError(f"the books cannot be written down as JSON: {error}") from error


def _utc(clock: Clock) -> str:
    return clock.utc_now().isoformat(timespec="milliseconds")


# ----- the folder


def _make_folder(folder: Path) -> None:
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            fsync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}") from error


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror or error}") from error


def _numbers_in(folder: Path) -> list[int]:
    """Return the numbers of the runs, ascending; names that we did not give are somebody else's."""
    names = set(_names_in(folder))
    numbers = {int(match[1]) for name in names if (match := _RUN_FILE.fullmatch(name))}
    return sorted(number for number in numbers if number > 0 and _path_of(folder, number).name in names)


def _last_number(folder: Path) -> int:
    """Return the highest number ever given, to what was set aside too; 0 in an empty folder."""
    names = (name.removesuffix(_SET_ASIDE) for name in _names_in(folder))
    return max((int(match[1]) for name in names if (match := _RUN_FILE.fullmatch(name))), default=0)


def _remove_parts(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for name in _names_in(folder):
        if name.startswith(".run-") and name.endswith(".part"):
            with suppress(OSError):
                (folder / name).unlink()


def _set_aside(path: Path) -> None:
    try:
        path.rename(path.with_name(path.name + _SET_ASIDE))
    except OSError as error:
        raise StorageError(f"cannot set {path} aside: {error.strerror or error}") from error
    fsync_folder(path.parent)


def _forget_oldest(folder: Path, most: int) -> None:
    """Keep the newest `most` files of runs, and as many that were set aside; one that cannot go stays."""
    aside = sorted(name for name in _names_in(folder) if name.endswith(_SET_ASIDE))
    old = [_path_of(folder, number).name for number in _numbers_in(folder)[:-most]]
    for name in old + aside[:-most]:
        with suppress(OSError):
            (folder / name).unlink()
