"""Samples without a class to named sets, provisional until a person names them; the pool is the only thing changed.

>>> ClusterSettings().method
'gmm'
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from trainer.acquire.clusters import ClusterMethod, Clusters, ClusterSettings, cluster, standardise
from trainer.acquire.look_features import family_columns, least_spreads, look_features
from trainer.errors import SettingsError
from trainer.pool.class_names import UNNAMED, is_provisional, provisional_name
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable

__all__ = ["Classified", "ClassifyReport", "classify"]


class ClassifyReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-train classify` found.

    Attributes:
        method: that found the sets.
        sets: samples of every set, by its provisional name.
        digest: of the pool afterwards.
    """

    method: ClusterMethod
    sets: dict[str, int]
    digest: str
    schema_version: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Classified:
    """The report, the samples (their classes as before), and the set of each."""

    report: ClassifyReport
    table: SampleTable
    clusters: Clusters


def classify(pool: Pool, settings: ClusterSettings, utc: str) -> Classified:
    """Find sets that look alike among all samples that no person has named; earlier found sets are found anew.

    Args:
        pool: open; in one step, its unnamed samples become `unnamed-01` (the largest set) and so on; those of no set
            become `unnamed`.
        settings: method, number of sets, seed.
        utc: for the history, ISO 8601.

    Raises:
        SettingsError: no sample waits for a class, or too few for so many sets.
        PoolError: the pool is empty, or cannot be read or written; it is as it was before.

    Note:
        All sides of the split take part: whoever names a set names its held-out samples too, from the same sheet.
        Memory: the crops as `Pool.load` keeps them, and a few copies of the features.
    """
    table = pool.load(("train", "validation", "test"), classes=[*filter(is_provisional, pool.class_names())])
    if not len(table):
        raise SettingsError(f"every sample of pool {pool.path} has a class: import pictures with --unlabelled first")
    channels = table.pixels.shape[3]
    values = standardise(look_features(table.pixels), family_columns(channels), least_spreads(channels))
    clusters = cluster(values, settings)
    names = [UNNAMED if number < 0 else provisional_name(number + 1) for number in clusters.ids.tolist()]
    with pool.transaction():
        for sample_id, name in zip(table.ids, names, strict=True):
            pool.relabel(sample_id, name, who="classify", why=f"{settings.method}, looks alike", utc=utc)
    sizes = {name: names.count(name) for name in sorted(set(names))}
    return Classified(ClassifyReport(settings.method, sizes, pool.digest()), table, clusters)
