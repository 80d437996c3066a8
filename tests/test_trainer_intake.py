"""Mistakes of machines into the pool: each exactly once, all of an export or nothing, and every one in the receipt."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.crop import unpack_crop
from edge_runtime.norm import NormSpec, class_norms, norm_q16, norm_sums
from edge_runtime.residual import ResidualHeader, ResidualRecord, Truth, make_record
from edge_runtime.residual_export import Export, decode_export, encode_export
from edge_runtime.truth import LabelNorms, NormStatistics
from firmware_bridge.clock import ManualClock
from trainer.acquire.intake import Fate, IntakeReport, fate_of, receipt_path, take_in
from trainer.acquire.split import check_no_leak
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool, synthetic_crop
from trainer.errors import PoolError
from trainer.pool.pool import Pool
from trainer.pool.samples import sample_id

TEACH = Truth("T0", "stone", 0.99, "technician")
HEADER = ResidualHeader(
    machine="mill-1", lot="lot-7", camera="top", line=0, column=12, utc="2026-01-01T00:00:00.000+00:00", encoder=4000,
    side_px=16, channels=3, predicted_class="good", scores=(0.75, 0.25), action="accept", acknowledged="none",
    norm_q16=0, norm_numerator=0, norm_denominator=1, model_id="a" * 64, recipe_digest="b" * 64, truth=TEACH,
    failure="misclassified",
)  # fmt: skip


def crop(number: int, side_px: int = 16) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    return synthetic_crop(1, side_px, np.random.default_rng(number))


def record(number: int, **changes: object) -> ResidualRecord:
    """A mistake of its own place and pixels, with the norm that a machine of the pool's settings logs."""
    return machine_record(number, NormSpec(), 16, **changes)


def machine_record(number: int, spec: NormSpec, side_px: int, **changes: object) -> ResidualRecord:
    pixels, mask = crop(number, side_px)
    numerators, denominators = norm_sums(pixels[None], mask[None], spec)
    header = msgspec.structs.replace(
        HEADER,
        line=number,
        side_px=side_px,
        norm_q16=int(norm_q16(numerators, denominators)[0]),
        norm_numerator=int(numerators[0]),
        norm_denominator=int(denominators[0]),
    )
    return make_record(msgspec.structs.replace(header, **changes), pixels, mask)


def export(*records: ResidualRecord, spool_id: str = "mill-1", norms: NormStatistics | None = None) -> Export:
    return decode_export(encode_export(spool_id, list(records), norms or NormStatistics()))


def audit(number: int, label: str = "stone") -> ResidualRecord:
    return record(number, failure="audit", truth=Truth("T8", label, 1.0, "ann"), audit_rate=0.01)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(counts={"train": 3, "test": 2}))
    with Pool.open(tmp_path / "p.pool") as opened:
        yield opened


def take(pool: Pool, *records: ResidualRecord) -> IntakeReport:
    return take_in(export(*records), pool, ManualClock())[0]


def counted(pool: Pool) -> dict[str, dict[str, int]]:
    return pool.counts().active


@pytest.mark.parametrize(
    ("changes", "fate", "reason"),
    [
        ({}, "residual", ""),
        ({"truth": Truth("T2", "stone", 0.9, "camera 2")}, "residual", ""),
        ({"truth": Truth("T3", "stone", 1.0, "ann")}, "residual", ""),
        ({"failure": "audit", "truth": Truth("T8", "good", 1.0, "ann")}, "audit", ""),
        ({"failure": "audit", "truth": Truth("T8")}, "kept", "audit sample without a label"),
        ({"failure": "late"}, "kept", "fault of an ejection, not of a class"),
        ({"failure": "not_deflected"}, "kept", "fault of an ejection, not of a class"),
        ({"failure": "candidate", "truth": Truth("T7")}, "kept", "candidate without confirmed truth"),
        ({"truth": Truth("T7", "stone", 0.5)}, "kept", "candidate without confirmed truth"),
        ({"predicted_class": "stone"}, "kept", "candidate without confirmed truth"),
    ],
)
def test_every_kind_of_record_has_its_fate(changes: dict[str, object], fate: Fate, reason: str) -> None:
    assert fate_of(record(1, **changes)) == (fate, reason)


def test_a_confirmed_mistake_becomes_a_training_sample(pool: Pool) -> None:
    made = record(1)
    report = take(pool, made)
    assert (report.records, report.known, report.samples) == (1, 0, 1)
    assert (report.fates, report.sources, report.labels) == ({"residual": 1}, {"T0": 1}, {"stone": 1})
    table = pool.load(["train"], origins=["residual"])
    pixels, mask = crop(1)
    assert table.ids == (sample_id(pixels, mask),)
    assert np.array_equal(table.pixels[0], pixels)
    assert table.norms_q16.tolist() == [made.header.norm_q16]
    assert report.pool_digest == pool.digest()


def test_the_audit_slice_becomes_held_out_samples(pool: Pool) -> None:
    report = take(pool, audit(1), audit(2, "good"), audit(3, ""))
    assert report.fates == {"audit": 2, "kept": 1}
    assert (report.sources, report.labels) == ({}, {})
    table = pool.load(["train", "validation", "test"], origins=["audit"])
    assert table.splits == ("test", "test")
    assert sorted(table.classes[k] for k in table.class_ids) == ["good", "stone"]


def test_the_same_file_twice_changes_nothing(pool: Pool) -> None:
    records = [record(1), audit(2), record(3, failure="late")]
    first, receipt = take_in(export(*records), pool, ManualClock())
    digest, counts = pool.digest(), counted(pool)
    again, second_receipt = take_in(export(*records), pool, ManualClock())
    assert (first.known, first.samples) == (0, 2)
    assert (again.known, again.samples, again.fates) == (3, 0, {})
    assert (pool.digest(), counted(pool)) == (digest, counts)
    assert second_receipt == receipt


def test_of_overlapping_files_each_record_is_taken_once(pool: Pool) -> None:
    take(pool, *(record(at) for at in range(6)))
    report = take(pool, *(record(at) for at in range(3, 10)))
    assert (report.records, report.known, report.samples) == (7, 3, 4)
    assert sum(report.fates.values()) + report.known == report.records
    assert len(pool.load(["train"], origins=["residual"])) == 10


def test_one_crop_told_by_two_sources_is_one_sample(pool: Pool) -> None:
    report = take(pool, record(1), record(1, truth=Truth("T2", "stone", 0.9, "camera 2")))
    assert (report.fates, report.samples) == ({"residual": 2}, 1)


def test_a_crop_with_two_labels_is_in_conflict_and_said_to_be(pool: Pool) -> None:
    report = take(pool, record(1), record(1, predicted_class="stone", truth=Truth("T3", "good", 1.0, "ann")))
    assert report.fates == {"kept": 1, "residual": 1}
    assert report.reasons == {"its crop is in the pool under another label": 1}
    assert report.labels == {"stone": 1}
    assert (pool.counts().conflict, len(pool.load(["train"], origins=["residual"]))) == (1, 0)


def test_places_that_repeat_when_a_lot_is_run_again_do_not_leak(pool: Pool) -> None:
    """Two objects, one place: the first trains, the second is audited; no later run may refuse the pool for it."""
    other = record(2, line=1, failure="audit", truth=Truth("T8", "stone", 1.0, "ann"), audit_rate=0.01)
    take(pool, record(1), other)
    table = pool.load(["train", "validation", "test"])
    check_no_leak(table)
    assert sorted(set(table.origins)) == ["audit", "import", "residual"]


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (machine_record(1, NormSpec(channel_weights=(1, 5, 1)), 16), "its norm is not the one the machine logged"),
        (record(1, truth=Truth("T0", "pebble", 0.9, "ann")), "class pebble is not in the pool"),
        (machine_record(1, NormSpec(), 32), "crop of 32 px x 3 channels, the pool's are 16 px x 3"),
    ],
)
def test_what_does_not_fit_the_pool_is_refused_with_its_reason(
    pool: Pool, refused: ResidualRecord, reason: str
) -> None:
    digest = pool.digest()
    report, receipt = take_in(export(refused), pool, ManualClock())
    assert report.fates == {"refused": 1}
    assert [text for text in report.reasons if text.startswith(reason)]
    assert (pool.digest(), report.samples) == (digest, 0)
    assert receipt.ids == (refused.id,)


def test_what_is_kept_or_refused_lies_in_the_pool_with_its_pixels(pool: Pool) -> None:
    take(pool, record(1, failure="late"), record(2, truth=Truth("T0", "pebble", 0.9, "ann")), record(3))
    rows = pool.connection.execute("SELECT fate, header, blob FROM residual_records ORDER BY fate").fetchall()
    assert [row[0] for row in rows] == ["kept", "refused", "residual"]
    header = msgspec.json.decode(rows[0][1], type=ResidualHeader)
    assert header.failure == "late"
    assert np.array_equal(unpack_crop(rows[0][2], 16, 3)[0], crop(1)[0])
    assert rows[2][2] is None  # the sample itself holds them


def test_the_receipt_names_every_record_in_the_order_of_the_file(pool: Pool) -> None:
    records = [record(2), record(1, failure="late"), record(0, truth=Truth("T7"))]
    receipt = take_in(export(*records), pool, ManualClock())[1]
    assert receipt.ids == tuple(made.id for made in records)
    assert receipt.pool == "p.pool"


def test_a_failure_in_the_middle_leaves_nothing(pool: Pool) -> None:
    digest = pool.digest()
    wanted = [record(at) for at in range(4)]

    def stumble(made: ResidualRecord) -> tuple[Fate, str]:
        if made.id == wanted[2].id:
            raise KeyError("power cut")
        return fate_of(made)

    with pytest.raises(KeyError, match="power cut"):
        take_in(export(*wanted), pool, ManualClock(), stumble)
    assert pool.digest() == digest
    tables = pool.connection.execute("SELECT name FROM sqlite_master WHERE name = 'residual_records'").fetchall()
    assert tables == []
    assert take(pool, *wanted).samples == 4


def test_norm_sums_of_a_spool_replace_older_ones_and_spools_stand_side_by_side(pool: Pool) -> None:
    for spool_id in ("mill-1", "mill-2", "mill-1"):
        take_in(export(record(1), spool_id=spool_id), pool, ManualClock())
    rows = pool.connection.execute("SELECT spool_id FROM machine_norms ORDER BY 1").fetchall()
    assert rows == [("mill-1",), ("mill-2",)]


def test_a_rule_of_ones_own_decides_what_records_are_good_for(pool: Pool) -> None:
    report = take_in(export(record(1), record(2)), pool, ManualClock(), lambda _: ("kept", "not today"))[0]
    assert (report.fates, report.reasons, report.samples) == ({"kept": 2}, {"not today": 2}, 0)


def test_an_empty_pool_cannot_take_anything_in(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "empty.pool", create=True) as empty, pytest.raises(PoolError, match="is empty"):
        take_in(export(record(1)), empty, ManualClock())


def test_an_export_without_records_is_taken_in(pool: Pool) -> None:
    report, receipt = take_in(export(), pool, ManualClock())
    assert (report.records, report.fates, receipt.ids) == (0, {}, ())


def test_receipt_lies_beside_the_export() -> None:
    assert receipt_path(Path("stick/residuals.slrx")) == Path("stick/residuals.receipt.json")


def test_an_intake_tells_how_far_the_norms_of_each_class_have_moved(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "many.pool", SyntheticSamples(counts={"train": 30, "test": 2}))
    with Pool.open(tmp_path / "many.pool") as pool:
        trained = pool.load(("train",))
        good = trained.norms_q16[trained.class_ids == 0]
        stats = NormStatistics(
            (
                LabelNorms("a" * 64, "b" * 64, "good", class_norms(good + 2 * int(good.std()))),
                LabelNorms("a" * 64, "b" * 64, "stone", class_norms(good[:19])),
            )
        )
        report, _ = take_in(export(norms=stats), pool, ManualClock())
    assert report.norm_drift == {"good": pytest.approx(2.0, abs=0.02)}
