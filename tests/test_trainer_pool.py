"""The pool: exactly once, all or nothing, labels as history, the same digest for every order."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, pack_crop
from edge_runtime.norm import NormSpec, norm_q16, norm_sums
from edge_runtime.segment import SegmentSettings
from trainer.errors import PoolError, SettingsError
from trainer.pool.data_set import DataSet
from trainer.pool.pool import AddCounts, NewSample, Pool
from trainer.pool.sample_table import CropRoom, read_table
from trainer.pool.samples import sample_id

DATA_SET = DataSet(SegmentSettings(), CropSpec(side_px=16), NormSpec())
EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def crop(number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    rng = np.random.default_rng(number)
    mask = np.zeros((16, 16), np.bool_)
    mask[4:12, 3:13] = True
    return rng.integers(1, 256, (16, 16, 3), dtype=np.uint8) * mask[:, :, None], mask


def sample(number: int, class_name: str = "good", **changes: str) -> NewSample:
    pixels, mask = crop(number)
    numerators, denominators = norm_sums(pixels[None], mask[None], NormSpec())
    new = NewSample(
        sample_id=sample_id(pixels, mask),
        class_name=class_name,
        group=f"group {number}",
        split="train",
        origin="import",
        truth="source",
        norm_numerator=int(numerators[0]),
        norm_denominator=int(denominators[0]),
        source=f"{class_name}/{number}.png",
        blob=pack_crop(pixels, mask),
        who="ann",
        why="import of set",
        utc="2026-01-01T00:00:00+00:00",
    )
    return replace(new, **changes)  # type: ignore[arg-type]  # only text fields are changed


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.open(tmp_path / "rice.pool", create=True) as made:
        made.set_data_set(DATA_SET)
        yield made


def test_what_goes_in_comes_out_sorted_by_id(pool: Pool) -> None:
    samples = [sample(at, "ab"[at % 2]) for at in range(20)]
    pool.add_samples(samples)
    table = pool.load(["train"])
    expected = sorted(samples, key=lambda s: s.sample_id)
    assert table.ids == tuple(s.sample_id for s in expected)
    assert table.classes == ("a", "b")
    assert [table.classes[at] for at in table.class_ids] == [s.class_name for s in expected]
    assert table.groups == tuple(s.group for s in expected)
    assert table.sources == tuple(s.source for s in expected)
    numerators = np.array([s.norm_numerator for s in expected])
    assert np.array_equal(table.norms_q16, norm_q16(numerators, np.array([s.norm_denominator for s in expected])))
    by_id = {s.sample_id: at for at, s in enumerate(samples)}
    assert np.array_equal(table.pixels, np.stack([crop(by_id[name])[0] for name in table.ids]))


def test_a_pool_keeps_its_samples_when_closed(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "p", create=True) as pool:
        pool.set_data_set(DATA_SET)
        pool.add_samples([sample(1)])
        digest = pool.digest()
    with Pool.open(tmp_path / "p") as pool:
        assert pool.digest() == digest != EMPTY_DIGEST
        assert pool.data_set() == DATA_SET


def test_only_the_sides_and_origins_asked_for_are_loaded(pool: Pool) -> None:
    pool.add_samples(
        [sample(1), sample(2, split="validation"), sample(3, split="test"), sample(4, split="test", origin="audit")]
    )
    assert len(pool.load(["train", "validation"])) == 2
    assert pool.load(["test"], origins=["import"]).sources == ("good/3.png",)
    assert set(pool.load(["test"]).origins) == {"import", "audit"}


def test_a_side_without_samples_is_an_empty_table_with_all_classes(pool: Pool) -> None:
    pool.add_samples([sample(1, "a"), sample(2, "b")])
    table = pool.load(["test"])
    assert (len(table), table.classes, table.pixels.shape) == (0, ("a", "b"), (0, 16, 16, 3))


def test_rows_of_a_table_can_be_taken(pool: Pool) -> None:
    pool.add_samples([sample(at) for at in range(6)])
    table = pool.load(["train"])
    part = table.take(np.array([1, 4]))
    assert part.ids == (table.ids[1], table.ids[4])
    assert np.array_equal(part.pixels, table.pixels[[1, 4]])
    assert (part.groups, part.sources) == ((table.groups[1], table.groups[4]), (table.sources[1], table.sources[4]))


def test_the_same_content_is_stored_once(pool: Pool) -> None:
    assert pool.add_samples([sample(1), sample(1), sample(2)]) == AddCounts(added=2, duplicate=1, conflict=0)
    before = pool.digest()
    assert pool.add_samples([sample(2), sample(1, group="other")]) == AddCounts(0, 2, 0)
    assert pool.digest() == before


def test_one_content_under_two_labels_is_kept_but_not_used(pool: Pool) -> None:
    pool.add_samples([sample(2)])
    assert pool.add_samples([sample(1, "stone"), sample(1, "good")]) == AddCounts(1, 0, 1)
    stored = pool.find(sample(1).sample_id)
    assert stored is not None
    assert (stored.state, stored.class_name, stored.source) == ("conflict", "good", "stone/1.png")
    assert pool.labels(sample(1).sample_id) == ("stone", "good")
    assert pool.load(["train"]).ids == (sample(2).sample_id,)
    assert pool.class_names() == ("good",)
    assert pool.counts().conflict == 1


def test_a_conflict_stays_one_when_its_files_come_again(pool: Pool) -> None:
    pool.add_samples([sample(1, "a"), sample(1, "b")])
    before = pool.digest()
    assert pool.add_samples([sample(1, "a"), sample(1, "b")]) == AddCounts(0, 0, 2)
    assert pool.digest() == before
    assert pool.labels(sample(1).sample_id) == ("a", "b")


def test_a_person_settles_a_conflict_and_a_later_import_does_not_reopen_it(pool: Pool) -> None:
    name = sample(1).sample_id
    pool.add_samples([sample(1, "a"), sample(1, "b")])
    pool.relabel(name, "b", who="ann", why="looked at it", utc="2026-01-02T00:00:00+00:00")
    assert pool.add_samples([sample(1, "a")]) == AddCounts(0, 1, 0)
    stored = pool.find(name)
    assert stored is not None
    assert (stored.state, stored.class_name) == ("active", "b")
    assert pool.labels(name) == ("a", "b", "b")


def test_a_withdrawn_sample_is_used_for_nothing_until_it_is_relabelled(pool: Pool) -> None:
    name = sample(1).sample_id
    pool.add_samples([sample(1), sample(2)])
    pool.withdraw(name, who="ann", why="dust on the lens", utc="2026-01-02T00:00:00+00:00")
    pool.add_samples([sample(1), sample(1, "stone")])
    assert pool.load(["train"]).ids == (sample(2).sample_id,)
    assert pool.counts().withdrawn == 1
    pool.relabel(name, "stone", who="ann", why="it was a stone", utc="2026-01-03T00:00:00+00:00")
    assert pool.counts().active == {"good": {"train": 1}, "stone": {"train": 1}}


def test_settling_an_unknown_sample_is_an_error(pool: Pool) -> None:
    with pytest.raises(PoolError, match="holds no sample"):
        pool.withdraw("0" * 64, who="ann", why="", utc="")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=12), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order(arrivals: list[tuple[int, str]], mix: object) -> None:
    digests = set()
    for _ in range(2):
        with Pool.open(Path(":memory:"), create=True) as pool:
            pool.add_samples(sample(number, class_name) for number, class_name in arrivals)
            digests.add(pool.digest())
        mix.shuffle(arrivals)  # type: ignore[attr-defined]  # random.Random, which hypothesis does not type
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change", [{"class_name": "other"}, {"group": "other"}, {"split": "test"}, {"class_name": "x", "split": "test"}]
)
def test_the_digest_sees_every_change_of_label_group_and_side(tmp_path: Path, change: dict[str, str]) -> None:
    digests = []
    for name, new in (("one", sample(1)), ("two", replace(sample(1), **change))):  # type: ignore[arg-type]
        with Pool.open(tmp_path / name, create=True) as pool:
            pool.add_samples([new])
            digests.append(pool.digest())
    assert digests[0] != digests[1]


def test_the_digest_of_an_empty_pool_is_that_of_nothing(pool: Pool) -> None:
    assert pool.digest() == EMPTY_DIGEST


def test_an_error_inside_a_transaction_leaves_nothing(pool: Pool) -> None:
    before = pool.digest()
    with pytest.raises(KeyboardInterrupt), pool.transaction():
        pool.add_samples([sample(1)])
        pool.record_import("set", "2026-01-01", "{}")
        raise KeyboardInterrupt
    assert (pool.digest(), pool.imports()) == (before, ())


@pytest.mark.parametrize(
    "change", [{"split": "holdout"}, {"origin": "guess"}, {"sample_id": "short"}, {"norm_denominator": 0}]
)
def test_a_value_out_of_range_is_refused_and_nothing_of_the_call_stays(pool: Pool, change: dict[str, str]) -> None:
    with pytest.raises(PoolError, match="CHECK constraint"):
        pool.add_samples([sample(1), replace(sample(2), **change)])  # type: ignore[arg-type]
    assert pool.digest() == EMPTY_DIGEST


def test_transactions_do_not_nest(pool: Pool) -> None:
    with pool.transaction(), pytest.raises(PoolError, match="already open"), pool.transaction():
        pass
    assert not pool.connection.in_transaction


def test_a_reader_sees_the_state_before_an_open_transaction(pool: Pool) -> None:
    with pool.transaction():
        pool.add_samples([sample(1)])
        with Pool.open(pool.path) as reader:
            assert len(reader.load(["train"])) == 0
    assert len(pool.load(["train"])) == 1


@pytest.mark.parametrize("statement", ["UPDATE label_events SET who = 'eve'", "DELETE FROM label_events"])
def test_label_events_can_only_be_added(pool: Pool, statement: str) -> None:
    pool.add_samples([sample(1)])
    with pytest.raises(PoolError, match="append-only"), pool.transaction():
        pool.connection.execute(statement)
    assert pool.labels(sample(1).sample_id) == ("good",)


def test_imports_are_listed_in_order(pool: Pool) -> None:
    pool.record_import("one", "2026-01-01", "{}")
    pool.record_import("two", "2026-01-02", "{}")
    assert pool.imports() == ((1, "one", "2026-01-01", "{}"), (2, "two", "2026-01-02", "{}"))


def test_the_data_set_is_fixed_by_the_first_import(pool: Pool) -> None:
    pool.set_data_set(DATA_SET)
    with pytest.raises(SettingsError, match="needs a pool of its own"):
        pool.set_data_set(DataSet(SegmentSettings(), CropSpec(side_px=32), NormSpec()))
    assert pool.data_set() == DATA_SET


def test_a_damaged_data_set_is_an_error(pool: Pool) -> None:
    pool.connection.execute("UPDATE meta SET value = '{}'")
    with pytest.raises(PoolError, match="settings of the data set are damaged"):
        pool.data_set()


def test_a_damaged_crop_is_an_error(pool: Pool) -> None:
    pool.add_samples([sample(1, blob=b"torn")])  # type: ignore[arg-type]
    with pytest.raises(PoolError, match="damaged"):
        pool.load(["train"])
    assert not pool.connection.in_transaction


def test_loading_before_the_first_import_says_what_to_do(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "p", create=True) as pool, pytest.raises(PoolError, match="import samples first"):
        pool.load(["train"])


def test_a_missing_pool_is_not_made_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="no pool at"):
        Pool.open(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_pool_in_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="unable to open"):
        Pool.open(tmp_path / "none" / "p", create=True)


def test_a_file_of_another_kind_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but long enough to be one" * 100)
    with pytest.raises(PoolError, match="not a database"):
        Pool.open(path, create=True)
    assert path.read_bytes().startswith(b"not a database")


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    with pytest.raises(PoolError, match="database of another program"):
        Pool.open(tmp_path / "other.db", create=True)


def test_a_pool_of_a_newer_version_is_refused(pool: Pool) -> None:
    pool.connection.execute("PRAGMA user_version = 2")
    with pytest.raises(PoolError, match="schema 2, this software knows 1: update"):
        Pool.open(pool.path)


def test_the_file_survives_power_cuts_by_its_settings(pool: Pool) -> None:
    def ask(name: str) -> object:
        return pool.connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert (ask("journal_mode"), ask("synchronous"), ask("page_size")) == ("wal", 2, 16384)


def test_the_sample_id_depends_on_pixels_mask_and_shape() -> None:
    pixels, mask = crop(1)
    other_pixels, other_mask = pixels.copy(), mask.copy()
    other_pixels[5, 5, 0] ^= 1
    other_mask[0, 0] = True
    flat = pixels.reshape(16, 16, 3)[:, :, :1]
    ids = {sample_id(pixels, mask), sample_id(other_pixels, mask), sample_id(pixels, other_mask), sample_id(flat, mask)}
    assert len(ids) == 4


def test_groups_and_crops_of_all_states_can_be_read(pool: Pool) -> None:
    pool.add_samples([sample(1, "a", split="test"), sample(1, "b"), sample(2)])
    assert pool.group_splits() == {"group 1": "test", "group 2": "train"}
    found = {name: (group, split) for name, group, split, _ in pool.crops()}
    assert found == {sample(1).sample_id: ("group 1", "test"), sample(2).sample_id: ("group 2", "train")}


def test_crops_beyond_the_memory_limit_lie_in_a_file_and_read_the_same(tmp_path: Path) -> None:
    rows = [
        (f"{at:064x}", "good", f"g{at}", "train", "import", at, f"{at}.png", pack_crop(*crop(at))) for at in range(9)
    ]
    spec = CropSpec(side_px=16)
    inside = read_table(rows, 9, ("good",), CropRoom(spec, tmp_path))
    outside = read_table(rows, 9, ("good",), CropRoom(spec, tmp_path, 100))
    assert isinstance(outside.pixels, np.memmap)
    assert not isinstance(inside.pixels, np.memmap)
    assert np.array_equal(inside.pixels, outside.pixels)
    assert list(tmp_path.iterdir()) == []
