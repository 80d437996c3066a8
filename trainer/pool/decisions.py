"""What a person decides about samples: keep the label, give another, take the sample out. All of a list, or nothing.

>>> decision_of("relabel:stone", "list.csv, line 2")
Decision(kind='relabel', class_name='stone')
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import msgspec

from trainer.errors import PoolError, SettingsError
from trainer.pool.filled_list import read_filled_list
from trainer.pool.pool import Pool
from trainer.pool.review_list import COLUMNS

__all__ = ["Decision", "ReviewReport", "Stamp", "apply_review", "decide", "decision_of", "find_sample"]

_LEAST_DIGITS = 6  # of a sample's id: fewer are typed by accident


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a sample; `class_name` only where it is given another label."""

    kind: Literal["keep", "relabel", "withdraw"]
    class_name: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who decided, on what ground, and when (UTC, ISO 8601); `is_new_class_allowed` lets a label be a new class's."""

    who: str
    why: str
    utc: str
    is_new_class_allowed: bool = False


class ReviewReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train pool review` did: samples kept, given another label, taken out, and left for later.

    Attributes:
        kept: their labels were confirmed, in their history too.
        relabelled, withdrawn: the pool has changed.
        later: lines without a decision.
        digest: of the pool afterwards.
    """

    kept: int
    relabelled: int
    withdrawn: int
    later: int
    digest: str
    schema_version: Literal[1] = 1


def find_sample(pool: Pool, prefix: str) -> str:
    """Return the id of the one sample that begins so.

    Args:
        pool: open.
        prefix: at least 6 hexadecimal digits, as pages and lists show them.

    Raises:
        PoolError: the prefix is too short, or no sample, or several, begin so.
    """
    if len(prefix) < _LEAST_DIGITS:
        raise PoolError(f"{prefix!r} has {len(prefix)} digits of a sample's id: give at least {_LEAST_DIGITS}")
    rows = pool.connection.execute(
        "SELECT sample_id FROM samples WHERE substr(sample_id, 1, ?) = ? LIMIT 2", (len(prefix), prefix)
    ).fetchall()
    if len(rows) != 1:
        many = "no sample begins" if not rows else "several samples begin"
        raise PoolError(f"{many} with {prefix} in pool {pool.path}")
    return str(rows[0][0])


def decide(pool: Pool, sample_id: str, decision: Decision, stamp: Stamp) -> None:
    """Do what a person decided about a sample; its history keeps who and why.

    Raises:
        SettingsError: the label is of no class of the pool, and a new one is not allowed.
        PoolError: there is no such sample, or the file cannot be written.
    """
    stored = pool.find(sample_id)
    if stored is None:
        raise PoolError(f"pool {pool.path} holds no sample {sample_id[:12]}")
    words = {"who": stamp.who, "why": stamp.why, "utc": stamp.utc}
    match decision.kind:
        case "withdraw":
            pool.withdraw(sample_id, **words)
        case "keep":
            pool.relabel(sample_id, stored.class_name, **words)
        case "relabel":
            _check_class(pool, decision.class_name, stamp)
            pool.relabel(sample_id, decision.class_name, **words)


def apply_review(pool: Pool, path: Path, stamp: Stamp) -> ReviewReport:
    """Do what a filled-in review list says, in one step; a line without a decision waits.

    Args:
        pool: open.
        path: CSV with the columns of `trainer.pool.review_list`; `decision` is keep, relabel:CLASS, withdraw or empty.
        stamp: who, why, when.

    Raises:
        SettingsError: the list has other columns, or a line a decision that is none, or an unknown class.
        PoolError: a line names no sample, or the file cannot be written; nothing of the list was done.
        StorageError: the list cannot be read.
    """
    lines = read_filled_list(path, ("sample", "decision"), whole=COLUMNS)
    counts = {"keep": 0, "relabel": 0, "withdraw": 0, "": 0}
    with pool.transaction():
        for line in lines:
            sample, text = line.values
            if not text:
                counts[""] += 1
                continue
            decision = decision_of(text, line.place)
            decide(pool, find_sample(pool, sample), decision, stamp)
            counts[decision.kind] += 1
    return ReviewReport(counts["keep"], counts["relabel"], counts["withdraw"], counts[""], pool.digest())


def decision_of(text: str, place: str) -> Decision:
    """Return the decision of a text such as "keep", "relabel:stone" or "withdraw".

    Args:
        text: of the person.
        place: for the message.

    Raises:
        SettingsError: it is none of these.
    """
    kind, _, name = text.strip().partition(":")
    if kind == "relabel" and name.strip():
        return Decision("relabel", name.strip())
    if kind in {"keep", "withdraw"} and not name:
        return Decision("keep" if kind == "keep" else "withdraw")
    raise SettingsError(f"{place}: decision {text!r} is none of keep, relabel:CLASS, withdraw")


def _check_class(pool: Pool, name: str, stamp: Stamp) -> None:
    known: Sequence[str] = pool.class_names()
    if name in known or stamp.is_new_class_allowed:
        return
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise SettingsError(f"no class {name!r} in the pool: {hint}It has {', '.join(known)}; a new one needs --new-class")
