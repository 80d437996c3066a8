"""What became of every file of an import: nothing is dropped without a word.

Values that reach the disk as JSON. Every file has exactly one outcome, so that the outcomes add up to the files seen;
notes and notices say more.

>>> msgspec.json.encode(ImportEntry("a/1.jpg", "corrupt", "it ends early"))
b'{"source":"a/1.jpg","outcome":"corrupt","reason":"it ends early"}'
"""

from collections import Counter
from typing import Final, Literal, get_args

import msgspec

from trainer.acquire.data_set_choice import DataSetEvidence
from trainer.pool.data_set import DataSet

__all__ = ["OUTCOMES", "USABLE_OUTCOMES", "ImportEntry", "ImportReport", "ImportTally", "Note", "Notice", "Outcome"]

Outcome = Literal[
    "added",
    "duplicate",
    "conflict",
    "leak",
    "oversize",
    "no_object",
    "corrupt",
    "empty_file",
    "unsupported",
    "too_large",
    "hash_mismatch",
    "unlisted",
    "no_class",
    "bad_class_name",
    "not_an_image",
    "link",
    "unsafe_path",
]
Note = Literal["converted", "several_objects"]
Notice = Literal["missing", "empty_class", "one_class", "no_class_yet", "look_alikes"]

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
USABLE_OUTCOMES: Final[frozenset[Outcome]] = frozenset({"added", "duplicate", "conflict"})


class ImportEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to know.

    Attributes:
        source: the file, or the class or group that the entry is about.
        outcome: what became of the file, or the kind of note or notice.
        reason: in words, with what to do where something can be done.
    """

    source: str
    outcome: Outcome | Note | Notice
    reason: str


class ImportReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an import did.

    Attributes:
        source: the folder, tar or manifest.
        utc: when, ISO 8601.
        files: files seen; the sum of `outcomes`.
        outcomes: number of files by outcome.
        notes: number of samples that were imported, but not as they were: converted, or the largest of several objects.
        notices: number of things to know that are about no single file.
        classes: by class, number of files by outcome; files without a class are in `outcomes` only.
        splits: by class, number of added samples by side of the split.
        data_set: how objects were found, cut out and weighed.
        evidence: what `data_set` was taken from; None when the pool had it before.
        pool_digest: of the pool after this import.
        entries: all files but those plainly added, all notes and all notices: first what was left out, then notices,
            notes and duplicates, each sorted by source.
    """

    source: str
    utc: str
    files: int
    outcomes: dict[str, int]
    notes: dict[str, int]
    notices: dict[str, int]
    classes: dict[str, dict[str, int]]
    splits: dict[str, dict[str, int]]
    data_set: DataSet
    evidence: DataSetEvidence | None
    pool_digest: str
    entries: tuple[ImportEntry, ...]
    schema_version: Literal[1] = 1


class ImportTally:
    """Collects what became of each of `files` files of `source` while the import of time `utc` runs."""

    def __init__(self, source: str, utc: str, files: int) -> None:
        self._source, self._utc, self._files = source, utc, files
        self.outcomes: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.classes: dict[str, Counter[str]] = {}
        self.splits: dict[str, Counter[str]] = {}
        self._entries: list[ImportEntry] = []

    def outcome(self, source: str, outcome: Outcome, reason: str, class_name: str | None) -> None:
        """Count a file; exactly once each. Plainly added files leave no entry."""
        self.outcomes[outcome] += 1
        if class_name is not None:
            self.classes.setdefault(class_name, Counter())[outcome] += 1
        if outcome != "added":
            self._entries.append(ImportEntry(source, outcome, reason))

    def added(self, class_name: str, split: str) -> None:
        """Count the side of an added sample."""
        self.splits.setdefault(class_name, Counter())[split] += 1

    def note(self, source: str, note: Note, reason: str) -> None:
        """Count a sample that is not as its file was."""
        self.notes[note] += 1
        self._entries.append(ImportEntry(source, note, reason))

    def notice(self, source: str, notice: Notice, reason: str) -> None:
        """Count something to know that is about no single file."""
        self.notices[notice] += 1
        self._entries.append(ImportEntry(source, notice, reason))

    def summary(self) -> str:
        """Return the outcomes in words, most frequent first."""
        return ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common()) or "no file"

    def report(self, data_set: DataSet, evidence: DataSetEvidence | None, pool_digest: str) -> ImportReport:
        """Return the report; see `ImportReport` for the arguments."""
        return ImportReport(
            source=self._source,
            utc=self._utc,
            files=self._files,
            outcomes=_sorted(self.outcomes),
            notes=_sorted(self.notes),
            notices=_sorted(self.notices),
            classes={name: _sorted(self.classes[name]) for name in sorted(self.classes)},
            splits={name: _sorted(self.splits[name]) for name in sorted(self.splits)},
            data_set=data_set,
            evidence=evidence,
            pool_digest=pool_digest,
            entries=tuple(sorted(self._entries, key=_entry_order)),
        )


def _entry_order(entry: ImportEntry) -> tuple[int, str, str, str]:
    kinds = (get_args(Notice), get_args(Note), ("duplicate",))  # after what was left out
    rank = next((at for at, names in enumerate(kinds, start=1) if entry.outcome in names), 0)
    return rank, entry.source, entry.outcome, entry.reason


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
