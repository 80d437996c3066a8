"""Second half of an import: which group and which side of the split every new content belongs to.

Knows the pool and the source's statements; writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.acquire.grouping import GroupMember, group_samples, look_alikes_across_sides
from trainer.acquire.import_batch import Batch, CutFile
from trainer.acquire.import_report import ImportTally
from trainer.acquire.near_duplicates import near_duplicate_clusters, thumbnails
from trainer.acquire.sources import Source
from trainer.acquire.split import Candidate, assign_splits, find_leaks
from trainer.pool.pool import Pool
from trainer.pool.samples import StoredSample

__all__ = ["ImportPlan", "plan_import"]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What is to become of every content of an import.

    Attributes:
        groups: group of every new content, and of what the pool holds.
        sides: side of the split of every new content that is not left out.
        leaks: the reason, for every new content that is left out.
        stored: what the pool already holds of the others.
    """

    groups: Mapping[str, str]
    sides: Mapping[str, str]
    leaks: Mapping[str, str]
    stored: Mapping[str, StoredSample]


def plan_import(batch: Batch, pool: Pool, files: Source, tally: ImportTally) -> ImportPlan:
    """Give every new content its group and side.

    Args:
        batch: the crops.
        pool: for the groups, sides and look-alikes it holds.
        files: for the groups and classes that the manifest splits in other sources.
        tally: hears of look-alikes that stated groups put on two sides.

    Raises:
        PoolError: the pool cannot be read.
    """
    contents = batch.contents()
    stored = {content: known for content in contents if (known := pool.find(content)) is not None}
    new = [content for content in contents if content not in stored]
    members, clusters = _clustered(batch, new, pool)
    names = group_samples(members, clusters)
    candidates = [_candidate(batch.files(content)[0], group) for content, group in zip(new, names, strict=False)]
    pool_splits = pool.group_splits()
    leaks = find_leaks(candidates, pool_splits, files.leaking_groups)
    sides = assign_splits(
        [candidate for candidate in candidates if candidate.sample_id not in leaks],
        pool_splits,
        files.validated_classes,
    )
    kept = [at for at, member in enumerate(members) if member.sample_id not in leaks]
    placed = [replace(members[at], side=sides.get(members[at].sample_id, members[at].side)) for at in kept]
    for one, other in look_alikes_across_sides(placed, clusters[kept], sides):
        reason = f"in {one.side}, looks like {_source(batch, pool, other.sample_id)} in {other.side}, but their stated "
        tally.notice(
            _source(batch, pool, one.sample_id), "look_alikes", f"{reason}groups differ: scores may be too good"
        )
    groups = {member.sample_id: name for member, name in zip(members, names, strict=True)}
    unstated = [content for content in leaks if batch.files(content)[0].group is None]
    for content, twin in _twins_elsewhere(unstated, members, groups).items():
        leaks[content] = f"looks like {_source(batch, pool, twin.sample_id)}, which is in {twin.side}"
    return ImportPlan(groups, sides, leaks, stored)


def _clustered(batch: Batch, new: Sequence[str], pool: Pool) -> tuple[list[GroupMember], NDArray[np.int64]]:
    """Return the new contents, then all samples of the pool, and which of them look alike."""
    members = [GroupMember(content, batch.files(content)[0].group, batch.files(content)[0].split) for content in new]
    thumbs = [batch.thumbs(new)]
    for content, group, split, pixels in pool.crops() if new else ():
        members.append(GroupMember(content, group, split))
        thumbs.append(thumbnails(pixels[None]))
    return members, near_duplicate_clusters(np.concatenate(thumbs))


def _twins_elsewhere(
    contents: Sequence[str], members: Sequence[GroupMember], groups: Mapping[str, str]
) -> dict[str, GroupMember]:
    """Return, where there is one, a member of each content's group across the border of the test: a person knows it."""
    first: dict[tuple[str, bool], GroupMember] = {}
    sides: dict[str, bool] = {}
    for member in members:
        sides[member.sample_id] = member.side == "test"
        first.setdefault((groups[member.sample_id], member.side == "test"), member)
    across = {content: first.get((groups[content], not sides[content])) for content in contents}
    return {content: twin for content, twin in across.items() if twin is not None}


def _candidate(file: CutFile, group: str) -> Candidate:
    return Candidate(file.sample_id, file.class_name, group, file.split, "import")


def _source(batch: Batch, pool: Pool, content: str) -> str:
    known = pool.find(content)
    return batch.files(content)[0].source if known is None else known.source
