"""Groups for samples whose source states none: look-alikes belong together, also with those already in the pool.

Knows names, sides and clusters; nothing of files or pixels.

>>> members = [GroupMember("b", None, None), GroupMember("a", None, None), GroupMember("c", None, None)]
>>> group_samples(members, np.array([0, 0, 2]))
('a', 'a', 'c')
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroupMember", "group_samples", "look_alikes_across_sides"]

# A sample that looks like one of the test goes to the test, so that nothing of it is trained on.
_SIDE_ORDER: Final = ("test", "validation", "train", None)


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A sample with its stated group and side; None where nothing is stated."""

    sample_id: str
    group: str | None
    side: str | None


def group_samples(members: Sequence[GroupMember], clusters: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the group of every member.

    Args:
        members: N samples, of the import and of the pool.
        clusters: (N,) int64, from `near_duplicate_clusters`.

    Returns:
        N names: a stated group stays; a member without one joins the group that its cluster states, of several the one
        nearest to the test; a cluster that states none is named by its smallest sample id.
    """
    names = {cluster: _cluster_group(inside) for cluster, inside in _by_cluster(members, clusters).items()}
    return tuple(member.group or names[int(at)] for member, at in zip(members, clusters, strict=True))


def look_alikes_across_sides(
    members: Sequence[GroupMember], clusters: NDArray[np.int64], new: Collection[str]
) -> list[tuple[GroupMember, GroupMember]]:
    """Return pairs that look alike but lie on different sides, because stated groups put them there.

    Args:
        members: N samples with their final sides.
        clusters: (N,) int64, from `near_duplicate_clusters`.
        new: ids of the samples to ask about.

    Returns:
        For each cluster with two sides its smallest new sample and the smallest on another side, in order of ids.
    """
    pairs = []
    for inside in _by_cluster(members, clusters).values():
        first = min((m for m in inside if m.sample_id in new), key=lambda m: m.sample_id, default=None)
        others = [] if first is None else [member for member in inside if member.side != first.side]
        if first is not None and others:
            pairs.append((first, min(others, key=lambda member: member.sample_id)))
    return sorted(pairs, key=lambda pair: pair[0].sample_id)


def _by_cluster(members: Sequence[GroupMember], clusters: NDArray[np.int64]) -> dict[int, list[GroupMember]]:
    inside: dict[int, list[GroupMember]] = defaultdict(list)
    for member, cluster in zip(members, clusters, strict=True):
        inside[int(cluster)].append(member)
    return inside


def _cluster_group(inside: Sequence[GroupMember]) -> str:
    stated = [(_SIDE_ORDER.index(member.side), member.group) for member in inside if member.group is not None]
    return min(stated)[1] if stated else min(member.sample_id for member in inside)
