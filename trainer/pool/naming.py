"""The list in which a person names the sets that `classify` found, and what a filled-in list does to the pool.

>>> print(clusters_csv({"unnamed-01": 40, "unnamed-02": 7}), end="")
cluster,samples,class
unnamed-01,40,
unnamed-02,7,
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from trainer.errors import SettingsError
from trainer.pool.class_names import is_class_name, is_provisional
from trainer.pool.decisions import Stamp
from trainer.pool.filled_list import FilledRow, read_filled_list
from trainer.pool.pool import Pool

__all__ = ["CLUSTER_COLUMNS", "TAKE_OUT", "NamingReport", "clusters_csv", "name_clusters"]

CLUSTER_COLUMNS: Final = ("cluster", "samples", "class")
TAKE_OUT: Final = "-"  # no class may begin with a dash


class NamingReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train pool name` did.

    Attributes:
        named: samples that got each class.
        withdrawn: samples of sets that were taken out.
        later: samples that still have no class.
        digest: of the pool afterwards.
    """

    named: dict[str, int]
    withdrawn: int
    later: int
    digest: str
    schema_version: Literal[1] = 1


def clusters_csv(sizes: Mapping[str, int]) -> str:
    """Return the list to fill in: one line a set, in the order of names, the column `class` empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CLUSTER_COLUMNS)
    rows.writerows((name, size, "") for name, size in sorted(sizes.items()))
    return text.getvalue()


def name_clusters(pool: Pool, path: Path, stamp: Stamp) -> NamingReport:
    """Give the samples of every named set their class, in one step; a line without a class waits.

    Args:
        pool: open.
        path: CSV with the columns cluster and class; the same class for several sets joins them, `-` takes a set out.
        stamp: who, why, when.

    Raises:
        SettingsError: the list has other columns, names a set twice or one that the pool does not have, or a class
            that cannot be one; nothing of the list was done.
        PoolError: the file cannot be read or written; nothing of the list was done.
        StorageError: the list cannot be read.
    """
    lines = read_filled_list(path, ("cluster", "class"), whole=CLUSTER_COLUMNS)
    named: dict[str, int] = {}
    withdrawn = 0
    words = {"who": stamp.who, "why": stamp.why, "utc": stamp.utc}
    with pool.transaction():
        members = _members(pool)
        for cluster, answer in _answers(lines, members):
            for sample_id in members[cluster]:
                if answer == TAKE_OUT:
                    pool.withdraw(sample_id, **words)
                    withdrawn += 1
                else:
                    pool.relabel(sample_id, answer, **words)
                    named[answer] = named.get(answer, 0) + 1
        later = sum(map(len, _members(pool).values()))
    return NamingReport(dict(sorted(named.items())), withdrawn, later, pool.digest())


def _members(pool: Pool) -> dict[str, list[str]]:
    """Return the ids of the active samples of every provisional set."""
    members: dict[str, list[str]] = {}
    for sample_id, name in pool.connection.execute(
        "SELECT sample_id, class_name FROM samples WHERE state = 'active' ORDER BY sample_id"
    ):
        if is_provisional(name):
            members.setdefault(name, []).append(sample_id)
    return members


def _answers(lines: list[FilledRow], members: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Return (set, answer) of the lines with an answer; raise before anything is done if a line is wrong."""
    answers: dict[str, str] = {}
    for line in lines:
        cluster, answer = line.values
        if cluster in answers:
            raise SettingsError(f"{line.place}: {cluster} stands in the list twice")
        answers[cluster] = answer
        if cluster not in members:
            known = ", ".join(sorted(members)) or "none"
            raise SettingsError(f"{line.place}: no set {cluster!r} waits for a name; those that do: {known}")
        is_fit = is_class_name(answer) and not is_provisional(answer)
        if answer and answer != TAKE_OUT and not is_fit:
            raise SettingsError(
                f"{line.place}: class {answer!r}: use 1 to 64 letters, digits and _ . - without a leading dot or "
                f"dash, not beginning with unnamed; {TAKE_OUT} takes the set out"
            )
    return [(cluster, answer) for cluster, answer in answers.items() if answer]
