"""Second half of an import: which group and which side of the split every new content belongs to.

Knows the pool and the source's statements; writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.grouping import GroupMember, group_samples, look_alikes_across_sides
from trainer.import_batch import Batch, CutFile
from trainer.import_report import ImportTally
from trainer.near_duplicates import near_duplicate_clusters, thumbnails
from trainer.pool import Pool
from trainer.samples import StoredSample
from trainer.sources import Source
from trainer.split import Candidate, assign_splits, find_leaks

__all__ = ["ImportPlan", "plan_import"]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What is to become of every content of an import.

    Attributes:
        groups, sides: group and side of the split of every new content that is not left out.
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
    placed = [replace(member, side=sides.get(member.sample_id, member.side)) for member in members]
    for one, other in look_alikes_across_sides(placed, clusters, sides):
        tally.notice(
            batch.files(one.sample_id)[0].source,
            "look_alikes",
            f"in {one.side}, looks like {_source(batch, pool, other.sample_id)} in {other.side}, but their stated "
            "groups differ: scores may be too good",
        )
    return ImportPlan(dict(zip(new, names, strict=False)), sides, leaks, stored)


def _clustered(batch: Batch, new: Sequence[str], pool: Pool) -> tuple[list[GroupMember], NDArray[np.int64]]:
    """Return the new contents, then all samples of the pool, and which of them look alike."""
    members = [GroupMember(content, batch.files(content)[0].group, batch.files(content)[0].split) for content in new]
    thumbs = [batch.thumbs(new)]
    for content, group, split, pixels in pool.crops() if new else ():
        members.append(GroupMember(content, group, split))
        thumbs.append(thumbnails(pixels[None]))
    return members, near_duplicate_clusters(np.concatenate(thumbs))


def _candidate(file: CutFile, group: str) -> Candidate:
    return Candidate(file.sample_id, file.class_name, group, file.split, "import")


def _source(batch: Batch, pool: Pool, content: str) -> str:
    known = pool.find(content)
    return batch.files(content)[0].source if known is None else known.source
