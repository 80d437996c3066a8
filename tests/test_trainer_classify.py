"""Pictures without labels: found sets, a person's names, and nothing trained before every set has one."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.clock import ManualClock
from trainer.acquire.classify import classify
from trainer.acquire.clusters import ClusterMethod, ClusterSettings, cluster, standardise
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.acquire.look_features import family_columns, least_spreads, look_features
from trainer.cli import cli
from trainer.errors import ImportFailedError, SettingsError, UnnamedClassesError
from trainer.loop.run import load_samples
from trainer.pool.class_names import UNNAMED, check_named, is_class_name, is_provisional, provisional_name
from trainer.pool.decisions import Stamp
from trainer.pool.naming import clusters_csv, name_clusters
from trainer.pool.pool import Pool
from trainer.report.contact_sheet import write_contact_sheet

STAMP = Stamp("ann", "looked at the sheet", "2026-01-01T00:00:00+00:00")
UTC = "2026-01-02T00:00:00+00:00"
COLOURS = {"red": (30, 30, 220), "green": (40, 200, 40), "blue": (220, 60, 30)}


def draw_pictures(folder: Path, each: int = 24) -> None:
    """Ellipses of three colours, turned at random, on black; the folder tells nothing."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    for name, colour in COLOURS.items():
        for number in range(each):
            picture = np.zeros((64, 64, 3), np.uint8)
            shade = np.clip(np.array(colour) + rng.integers(-15, 16, 3), 0, 255)
            cv2.ellipse(picture, (32, 32), (13, 18), float(rng.integers(180)), 0, 360, shade.tolist(), -1)
            cv2.imwrite(str(folder / f"{name}_{number}.png"), picture)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classify")
    draw_pictures(folder / "pictures")
    with Pool.open(folder / "p.pool", create=True) as pool:
        import_samples(folder / "pictures", pool, ImportOptions(is_unlabelled=True), ManualClock())
    return folder


@pytest.fixture
def pool(unlabelled: Path, tmp_path: Path) -> Iterator[Pool]:
    shutil.copy(unlabelled / "p.pool", tmp_path / "p.pool")
    with Pool.open(tmp_path / "p.pool") as opened:
        yield opened


def fill_in(path: Path, answers: dict[str, str]) -> Path:
    lines = [f"{name},1,{answer}" for name, answer in answers.items()]
    path.write_text("\n".join(["cluster,samples,class", *lines]) + "\n", encoding="utf-8-sig")
    return path


def true_colours(pool: Pool) -> dict[str, set[str]]:
    """The colours in the file names of each class's samples."""
    found: dict[str, set[str]] = {}
    for name, source in pool.connection.execute("SELECT class_name, source FROM samples WHERE state = 'active'"):
        found.setdefault(name, set()).add(source.split("_")[0])
    return found


def test_pictures_without_folders_are_imported_unnamed(pool: Pool) -> None:
    assert pool.class_names() == (UNNAMED,)
    assert sum(pool.counts().active[UNNAMED].values()) == 72


def test_an_import_says_what_unnamed_samples_wait_for(pool: Pool, unlabelled: Path) -> None:
    report = import_samples(unlabelled / "pictures", pool, ImportOptions(is_unlabelled=True), ManualClock())
    assert report.notices == {"no_class_yet": 1}
    assert len(report.entries) == 73
    assert all("had no class and still has none" in entry.reason for entry in report.entries[1:])
    assert report.outcomes == {"duplicate": 72}


def test_without_the_option_such_pictures_are_no_samples(unlabelled: Path, tmp_path: Path) -> None:
    with Pool.open(tmp_path / "q.pool", create=True) as other, pytest.raises(ImportFailedError, match="no_class 72"):
        import_samples(unlabelled / "pictures", other, ImportOptions(), ManualClock())


@pytest.mark.parametrize("method", ["kmeans", "gmm", "hdbscan"])
def test_sets_that_look_alike_are_found(pool: Pool, method: ClusterMethod) -> None:
    found = classify(pool, ClusterSettings(method, 0 if method == "hdbscan" else 3), UTC)
    sets = {name: colours for name, colours in true_colours(pool).items() if name != UNNAMED}
    assert [len(colours) for colours in sets.values()] == [1] * len(sets)
    assert set.union(*sets.values()) == set(COLOURS)
    assert sum(found.report.sets.values()) == 72


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_the_number_of_sets_is_chosen_where_none_is_given(pool: Pool, method: ClusterMethod) -> None:
    sets = classify(pool, ClusterSettings(method), UTC).report.sets
    assert 3 <= len(sets) <= 20
    assert list(sets.values()) == sorted(sets.values(), reverse=True)


def test_same_pool_and_seed_same_sets(pool: Pool) -> None:
    first = classify(pool, ClusterSettings("gmm", 4, seed=3), UTC).report
    assert classify(pool, ClusterSettings("gmm", 4, seed=3), UTC).report == first


def test_a_person_names_joins_and_takes_out_sets(pool: Pool, tmp_path: Path) -> None:
    classify(pool, ClusterSettings("gmm", 3), UTC)
    colour = {next(iter(colours)): name for name, colours in true_colours(pool).items()}
    listed = fill_in(tmp_path / "c.csv", {colour["red"]: "warm", colour["blue"]: "cold", colour["green"]: "-"})
    report = name_clusters(pool, listed, STAMP)
    assert (report.named, report.withdrawn, report.later) == ({"cold": 24, "warm": 24}, 24, 0)
    assert pool.class_names() == ("cold", "warm")
    assert load_samples(pool).table.classes == ("cold", "warm")


def test_nothing_is_trained_before_every_set_has_a_name(pool: Pool, tmp_path: Path) -> None:
    classify(pool, ClusterSettings("gmm", 3), UTC)
    report = name_clusters(pool, fill_in(tmp_path / "c.csv", {"unnamed-01": "one", "unnamed-02": ""}), STAMP)
    assert report.later == 48
    with pytest.raises(UnnamedClassesError, match=r"without a class: unnamed-02, unnamed-03"):
        load_samples(pool)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"unnamed-01": "one", "unnamed-09": "two"}, "no set 'unnamed-09' waits.*unnamed-01, unnamed-02, unnamed-03"),
        ({"unnamed-01": "one", "unnamed-02": "a/b"}, "line 3: class 'a/b'"),
        ({"unnamed-01": "one", "unnamed-02": "unnamed-7"}, "line 3: class 'unnamed-7'"),
    ],
)
def test_a_wrong_line_leaves_the_pool_as_it_was(
    pool: Pool, tmp_path: Path, answers: dict[str, str], message: str
) -> None:
    classify(pool, ClusterSettings("gmm", 3), UTC)
    before = pool.digest()
    with pytest.raises(SettingsError, match=message):
        name_clusters(pool, fill_in(tmp_path / "c.csv", answers), STAMP)
    assert pool.digest() == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cluster,samples\nunnamed,3\n", "no column class"),
        (b"cluster,class\nunnamed,a\nunnamed,b\n", "twice"),
        ("cluster,class\nunnamed,糙\n".encode("gb18030"), "no UTF-8"),
    ],
)
def test_a_damaged_list_is_named(pool: Pool, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "c.csv").write_bytes(data)
    with pytest.raises(SettingsError, match=message):
        name_clusters(pool, tmp_path / "c.csv", STAMP)


def test_a_label_that_arrives_later_names_the_sample_and_an_unlabelled_copy_changes_none(
    pool: Pool, unlabelled: Path, tmp_path: Path
) -> None:
    (tmp_path / "more" / "good").mkdir(parents=True)
    shutil.copy(unlabelled / "pictures" / "red_0.png", tmp_path / "more" / "good")
    report = import_samples(tmp_path / "more", pool, ImportOptions(), ManualClock())
    assert pool.class_names() == ("good", UNNAMED)
    assert pool.counts().conflict == 0
    assert report.outcomes["duplicate"] == 1
    import_samples(unlabelled / "pictures", pool, ImportOptions(is_unlabelled=True), ManualClock())
    assert (sum(pool.counts().active["good"].values()), pool.counts().conflict) == (1, 0)


def test_named_samples_are_left_alone_and_a_pool_without_others_is_refused(pool: Pool, tmp_path: Path) -> None:
    classify(pool, ClusterSettings("gmm", 3), UTC)
    name_clusters(pool, fill_in(tmp_path / "c.csv", {"unnamed-01": "one"}), STAMP)
    found = classify(pool, ClusterSettings("gmm", 2), UTC)
    assert len(found.table) == 48
    assert sum(pool.counts().active["one"].values()) == 24
    name_clusters(pool, fill_in(tmp_path / "d.csv", {"unnamed-01": "two", "unnamed-02": "three"}), STAMP)
    with pytest.raises(SettingsError, match=r"every sample of pool .* has a class"):
        classify(pool, ClusterSettings(), UTC)


def test_more_sets_than_samples_carry_are_refused() -> None:
    with pytest.raises(SettingsError, match="9 samples without a class: 5 sets need at least 10"):
        cluster(np.zeros((9, 3)), ClusterSettings("kmeans", 5))
    with pytest.raises(SettingsError, match="2 different looks"):
        cluster(np.arange(20.0)[:, None] % 2, ClusterSettings("gmm", 3))
    with pytest.raises(SettingsError, match="hdbscan finds the number"):
        cluster(np.zeros((9, 3)), ClusterSettings("hdbscan", 3))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["kmeans", "gmm", "hdbscan"])
@given(st.integers(10, 24), st.integers(1, 3), st.data())
def test_few_and_equal_samples_are_sorted_too(
    method: ClusterMethod, count: int, looks: int, data: st.DataObject
) -> None:
    which = np.array(data.draw(st.lists(st.integers(0, looks - 1), min_size=count, max_size=count)))
    found = cluster(np.eye(3)[which], ClusterSettings(method))
    assert found.ids.shape == found.distances.shape == (count,)
    if method != "hdbscan":  # it leaves the copies beyond a set's kernel outside, as noise
        together = found.ids[:, None] == found.ids[None, :]
        alike = which[:, None] == which[None, :]
        assert together[alike].all()


@given(st.integers(1, 5), st.integers(0, 255))
def test_looks_are_finite_whatever_the_crop(channels: int, value: int) -> None:
    crops: NDArray[np.uint8] = np.full((2, 12, 12, channels), value, np.uint8)
    crops[1, 3:5, 6] = 255 - value
    features = look_features(crops)
    assert features.shape == (2, 5 * channels + 17)
    assert np.isfinite(features).all()
    assert sum(columns.stop - columns.start for columns in family_columns(channels)) == features.shape[1]
    assert len(least_spreads(channels)) == features.shape[1]


def test_a_turned_crop_looks_alike() -> None:
    crop = np.zeros((32, 32, 3), np.uint8)
    cv2.ellipse(crop, (16, 16), (6, 11), 0, 0, 360, (40, 90, 160), -1)
    both = look_features(np.stack((crop, np.rot90(crop))))
    assert np.abs(both[0] - both[1]).max() < 0.02


def test_a_family_counts_the_same_however_many_columns_it_has() -> None:
    features = np.random.default_rng(1).normal(size=(4000, 6))
    values = standardise(features, (slice(0, 5), slice(5, 6)), np.full(6, 0.01))
    assert (values[:, :5] ** 2).sum(axis=1).mean() == pytest.approx((values[:, 5] ** 2).mean(), rel=0.1)
    assert not standardise(np.ones((5, 2)), (slice(0, 2),), np.ones(2)).any()


def test_differences_that_nobody_sees_are_not_made_large() -> None:
    faint = np.random.default_rng(1).normal(size=(4000, 1)) * 0.001
    assert np.abs(standardise(faint, (slice(0, 1),), np.array([0.1]))).max() < 0.1


def test_provisional_names_are_class_names_and_no_other_name_is_provisional() -> None:
    assert all(is_class_name(provisional_name(n)) and is_provisional(provisional_name(n)) for n in range(1, 200))
    check_named(["unnamed_bean", "broken"])
    with pytest.raises(UnnamedClassesError):
        check_named(["broken", UNNAMED])
    assert clusters_csv({"unnamed-02": 1, "unnamed-01": 2}).splitlines()[1:] == ["unnamed-01,2,", "unnamed-02,1,"]


def test_the_sheet_shows_every_set_in_both_languages_and_leaves_the_list_beside_it(pool: Pool, tmp_path: Path) -> None:
    found = classify(pool, ClusterSettings("gmm", 3), UTC)
    page = write_contact_sheet(found, pool.path, tmp_path / "sheet", "zh-CN").read_text("utf-8")
    assert all(name in page for name in found.report.sets)
    assert page.count("data:image/png") == 3 * 24
    assert "典型" in page and ">typical<" in page and "http" not in page
    assert (tmp_path / "sheet" / "clusters.csv").read_text("utf-8") == clusters_csv(found.report.sets)


def test_the_commands_lead_from_pictures_to_named_classes(unlabelled: Path, tmp_path: Path) -> None:
    runner, pool = CliRunner(), str(tmp_path / "p.pool")

    def call(*arguments: str) -> dict[str, object]:
        result = runner.invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0
        return dict(json.loads(result.stdout))

    call("import", str(unlabelled / "pictures"), "--pool", pool, "--unlabelled")
    sets = call("classify", pool, "--out", str(tmp_path / "sets"), "--classes", "3")["sets"]
    assert sets == {"unnamed-01": 24, "unnamed-02": 24, "unnamed-03": 24}
    listed = fill_in(tmp_path / "sets" / "clusters.csv", {"unnamed-01": "a", "unnamed-02": "b", "unnamed-03": "a"})
    assert call("pool", "name", pool, str(listed), "--who", "ann")["named"] == {"a": 48, "b": 24}
