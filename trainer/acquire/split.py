"""Which samples train, which judge the rounds, and which are kept for the one test at the end.

Whole groups only, stratified by class, by a hash of the group's name: never by the order of files. Pure: knows names,
nothing of pixels or the pool.

>>> samples = [Candidate(str(i), "good", f"piece {i}", None, "import") for i in range(100)]
>>> Counter(assign_splits(samples).values()) == {"train": 70, "validation": 15, "test": 15}
True
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from trainer.errors import LeakError
from trainer.pool.sample_table import SampleTable

__all__ = ["HELD_OUT_SHARE", "Candidate", "assign_splits", "check_no_leak", "find_leaks"]

HELD_OUT_SHARE: Final = Fraction(15, 100)  # of each class, for validation, and again for the test
_TEST_ORIGINS: Final = frozenset({"audit"})  # an unbiased slice of the machine's stream, never trained on


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample that wants a side.

    Attributes:
        sample_id: unique among the candidates.
        class_name: its label.
        group: what must stay on one side together with it.
        stated: "train", "validation" or "test" as the source says; None if it does not.
        origin: "import", "residual" or "audit".
    """

    sample_id: str
    class_name: str
    group: str
    stated: str | None
    origin: str

    @property
    def wish(self) -> str | None:
        """The side that the sample must have if its group allows it; None leaves it to the shares."""
        if self.origin in _TEST_ORIGINS:
            return "test"
        return "train" if self.origin == "residual" else self.stated


def find_leaks(
    candidates: Iterable[Candidate],
    pool_splits: Mapping[str, str] | None = None,
    leaking_groups: Collection[str] = (),
) -> dict[str, str]:
    """Return which candidates must be left out, because their group lies in the test and outside it.

    Args:
        candidates: samples of one import, each id once.
        pool_splits: side of every group that the pool holds.
        leaking_groups: groups known to lie on both sides elsewhere, for example in another tar of the same manifest.

    Returns:
        The reason by sample id. A test sample is left out only if the pool already trains with its group.
    """
    pool_splits = pool_splits or {}
    candidates = list(candidates)
    tested = {c.group for c in candidates if c.wish == "test" and pool_splits.get(c.group, "test") == "test"}
    leaks = {}
    for candidate in candidates:
        group, known = candidate.group, pool_splits.get(candidate.group)
        if candidate.wish == "test":
            if known not in {None, "test"}:
                leaks[candidate.sample_id] = f"group {group} is stated as test, but the pool holds it in {known}"
        elif candidate.wish is not None and (group in tested or group in leaking_groups or known == "test"):
            leaks[candidate.sample_id] = (
                f"group {group} is in the test set and in {candidate.wish}: only the test keeps it"
            )
    return leaks


def assign_splits(
    candidates: Iterable[Candidate],
    pool_splits: Mapping[str, str] | None = None,
    validated_classes: Collection[str] = (),
) -> dict[str, str]:
    """Return the side of every candidate by sample id.

    Args:
        candidates: samples of one import without the leaks of `find_leaks`, each id once.
        pool_splits: side of every group that the pool holds: new members follow their group.
        validated_classes: classes whose validation samples are stated elsewhere, for example in another tar.

    Returns:
        "train", "validation" or "test". Stated sides hold, but of a class without stated validation samples 15 % of
        the training samples become them; samples without a stated side go 70/15/15. Residual samples train, audit
        samples test. Of each class at least one sample stays in train if any may.

    Note:
        The same for every order of the candidates. Shares hold to within one group; a group whose members wish
        different sides goes as a whole to the first of test, validation, train.
    """
    pool_splits = pool_splits or {}
    members: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        members[candidate.group].append(candidate)
    sides = {group: side for group in members if (side := _fixed_side(members[group], pool_splits.get(group)))}
    free = sorted((group for group in members if group not in sides), key=_hash_order)
    unstated = [group for group in free if all(c.wish is None for c in members[group])]
    sides |= dict.fromkeys(_draw(unstated, members, _targets(members, unstated)), "test")
    validated = {*validated_classes, *(c.class_name for g in members for c in members[g] if c.wish == "validation")}
    sharing = [group for group in free if all(c.origin != "residual" for c in members[group])]
    targets = {name: 0 if name in validated else count for name, count in _targets(members, sharing).items()}
    movable = [group for group in sharing if group not in sides]
    sides |= dict.fromkeys(_draw(movable, members, targets), "validation")
    return {c.sample_id: sides.get(group, "train") for group in members for c in members[group]}


def check_no_leak(*tables: SampleTable) -> None:
    """Prove that no group lies on two sides of the split, within a table or between several.

    Raises:
        LeakError: one does; the message names the first of them.
    """
    seen: dict[str, str] = {}
    for table in tables:
        for group, side, name in zip(table.groups, table.splits, table.ids, strict=True):
            if seen.setdefault(group, side) != side:
                where = f"in {seen[group]} and in {side} (sample {name[:12]})"
                raise LeakError(f"group {group} lies {where}: scores would lie")


def _fixed_side(group: Sequence[Candidate], known: str | None) -> str | None:
    """Return the side of a group that no share decides: the pool's, or a stated one other than train."""
    if known is not None:
        return known
    wishes = {candidate.wish for candidate in group}
    return next((side for side in ("test", "validation") if side in wishes), None)


def _hash_order(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()


def _class_counts(members: Mapping[str, Sequence[Candidate]], groups: Iterable[str]) -> Counter[str]:
    return Counter(candidate.class_name for group in groups for candidate in members[group])


def _targets(members: Mapping[str, Sequence[Candidate]], groups: Iterable[str]) -> dict[str, int]:
    """Return the share of each class's samples in `groups`, rounded half up in exact arithmetic."""
    counts = _class_counts(members, groups)
    return {name: int(HELD_OUT_SHARE * count + Fraction(1, 2)) for name, count in counts.items()}


def _draw(groups: Sequence[str], members: Mapping[str, Sequence[Candidate]], wanted: Mapping[str, int]) -> list[str]:
    """Return groups, in their order, that bring the classes nearer to what is wanted and leave a sample of each.

    First those that give no class too much, then those that bring more classes nearer than away.
    """
    missing = Counter(wanted)
    left = _class_counts(members, groups)
    drawn: list[str] = []
    for may_exceed in (False, True):
        taken = set(drawn)
        for group in groups:
            if group in taken:
                continue
            counts = _class_counts(members, [group])
            fits = all(missing[name] >= count for name, count in counts.items())
            is_better = may_exceed and _gain(counts, missing, wanted) > 0
            if (fits or is_better) and all(left[name] > count for name, count in counts.items()):
                drawn.append(group)
                missing.subtract(counts)
                left.subtract(counts)
    return drawn


def _gain(counts: Mapping[str, int], missing: Mapping[str, int], wanted: Mapping[str, int]) -> Fraction:
    """Return by how much a group lessens what the classes miss; rare classes weigh as much as frequent ones."""
    return sum(
        (
            Fraction(abs(missing[name]) - abs(missing[name] - count), max(1, wanted.get(name, 0)))
            for name, count in counts.items()
        ),
        Fraction(0),
    )
