"""How well found sets agree with the true classes of real data; prints the table of docs/classify.md."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from firmware_bridge.clock import ManualClock
from trainer.acquire.clusters import ClusterMethod, ClusterSettings, cluster, standardise
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.acquire.look_features import family_columns, least_spreads, look_features
from trainer.pool.pool import Pool

DATA = Path(__file__).parents[2] / "shared" / "data"
WAYS: tuple[tuple[ClusterMethod, int], ...] = (
    *(("gmm", times) for times in (0, 1, 3)),
    *(("kmeans", times) for times in (0, 1, 3)),
    ("hdbscan", 0),
)

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("name", "least_purity"), [("rice_varieties", 0.98), ("trashnet", 0.45), ("coffee_defects17", 0.25)]
)
def test_default_sets_agree_with_the_classes(name: str, least_purity: float, tmp_path: Path) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not here")
    with Pool.open(tmp_path / "p.pool", create=True) as pool:
        for tar in ("train.tar", "test.tar"):
            import_samples(DATA / name / tar, pool, ImportOptions(), ManualClock())
        table = pool.load(("train", "validation", "test"))
    channels = table.pixels.shape[3]
    started = time.process_time()
    features = look_features(table.pixels)
    spent_ms = (time.process_time() - started) / len(table) * 1000
    sys.stdout.write(f"{name}: {spent_ms:.2f} ms a crop of {table.pixels.shape[1]} px\n")
    values = standardise(features, family_columns(channels), least_spreads(channels))
    purities = []
    for method, times in WAYS:
        found = cluster(values, ClusterSettings(method, times * len(table.classes)))
        sets = range(int(found.ids.max()) + 1)
        right = sum(int(np.bincount(table.class_ids[found.ids == number]).max()) for number in sets)
        purities.append(right / len(table))
        ari = adjusted_rand_score(table.class_ids, found.ids)
        how = "chosen" if not times else f"{times} x {len(table.classes)}"
        rest = float((found.ids < 0).mean())
        sys.stdout.write(
            f"| {name} | `{method}` | {how} | {len(sets)} | {purities[-1]:.3f} | {ari:.3f} | {rest:.0%} |\n"
        )
    assert purities[0] >= least_purity
