"""One file of residuals: the same bytes for the same spool, and no byte of it may change unseen."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_runtime.errors import StorageError
from edge_runtime.norm import ClassNorms
from edge_runtime.residual import ResidualHeader, ResidualRecord, Truth, make_record
from edge_runtime.residual_export import decode_export, encode_export, export_spool, read_export
from edge_runtime.spool import Spool
from edge_runtime.truth import LabelNorms, NormStatistics
from firmware_bridge.clock import ManualClock

GOLDEN = Path(__file__).parent / "golden" / "residual_export_v1.slrx"
NORMS = NormStatistics((LabelNorms("a" * 64, "b" * 64, "stone", ClassNorms(3, 2**40, 2**70)),))


def a_record(line: int) -> ResidualRecord:
    pixels = (np.arange(8 * 8 * 3, dtype=np.int64) * (line + 1) % 256).astype(np.uint8).reshape(8, 8, 3)
    header = ResidualHeader(
        machine="mill-1",
        lot="lot-7",
        camera="top",
        line=line,
        column=12,
        utc="2026-01-01T00:00:00.000+00:00",
        encoder=4000 + line,
        side_px=8,
        channels=3,
        predicted_class="rice",
        scores=(0.75, 0.25),
        action="accept",
        acknowledged="none",
        norm_q16=32768,
        norm_numerator=255,
        norm_denominator=2,
        model_id="a" * 64,
        recipe_digest="b" * 64,
        truth=Truth("T0", "stone", 0.99, "technician"),
        failure="misclassified",
    )
    return make_record(header, pixels, np.ones((8, 8), np.bool_))


def fill(folder: Path, count: int) -> Spool:
    spool = Spool.open(folder, clock=ManualClock())
    for line in range(count):
        spool.append(a_record(line))
    spool.add_norms(NORMS)
    spool.commit()
    return spool


def test_export_holds_every_record_once_and_the_norm_sums(tmp_path: Path) -> None:
    path = tmp_path / "out.slrx"
    with fill(tmp_path / "spool", 40) as spool:
        report = export_spool(spool, path)
        export = read_export(path)
        assert list(export.records) == [a_record(line) for line in range(40)]
        assert list(export.records) == list(export.records)
        assert report.ids == tuple(record.id for record in export.records)
        assert (len(export.records), report.count, report.refused) == (40, 40, 0)
        assert export.norm_statistics == NORMS
        assert export.spool_id == spool.spool_id
        assert (report.size_b, report.sha256) == (path.stat().st_size, export.sha256)


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    with fill(tmp_path / "spool", 10) as spool:
        export_spool(spool, tmp_path / "one.slrx")
        export_spool(spool, tmp_path / "two.slrx")
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as spool:
        export_spool(spool, tmp_path / "three.slrx")
    data = {(tmp_path / f"{name}.slrx").read_bytes() for name in ("one", "two", "three")}
    assert len(data) == 1


def test_delivered_records_are_not_exported_again_but_norm_sums_are(tmp_path: Path) -> None:
    with fill(tmp_path / "spool", 10) as spool:
        report = export_spool(spool, tmp_path / "one.slrx")
        assert spool.mark_delivered(report.ids[:6]) == 6
        assert export_spool(spool, tmp_path / "two.slrx").ids == report.ids[6:]
        spool.mark_delivered(report.ids)
        assert export_spool(spool, tmp_path / "three.slrx").count == 0
    assert read_export(tmp_path / "three.slrx").norm_statistics == NORMS


def test_damaged_record_is_left_out_of_the_export(tmp_path: Path) -> None:
    fill(tmp_path / "spool", 5).close()
    (segment,) = (tmp_path / "spool").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(bytes(data))
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as spool:
        assert export_spool(spool, tmp_path / "out.slrx").count == 4
        assert spool.counts().evicted == {"damaged": 1}
    assert len(read_export(tmp_path / "out.slrx").records) == 4


def test_record_that_is_not_what_its_id_says_is_refused_and_stays(tmp_path: Path) -> None:
    forged = msgspec.structs.replace(a_record(1), id=a_record(2).id)
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as spool:
        spool.append(forged)
        spool.append(a_record(3))
        spool.commit()
        report = export_spool(spool, tmp_path / "out.slrx")
        assert (report.refused, report.ids) == (1, (a_record(3).id,))
        assert spool.counts().present == 2


def test_golden_file_reads_and_writes_as_ever() -> None:
    """Format version 1 is a promise: sticks written today are read by every later version."""
    data = GOLDEN.read_bytes()
    export = decode_export(data)
    assert export.spool_id == "golden"
    assert export.norm_statistics == NORMS
    assert [record.id for record in export.records] == [a_record(line).id for line in range(3)]
    assert [record.header for record in export.records] == [a_record(line).header for line in range(3)]
    assert encode_export("golden", export.records, NORMS) == data


def test_every_changed_byte_is_found_and_the_file_named(tmp_path: Path) -> None:
    data = encode_export("golden", [a_record(0)], NORMS)
    path = tmp_path / "stick.slrx"
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0x20]) + data[offset + 1 :])
        with pytest.raises(StorageError, match=r"stick\.slrx"):
            read_export(path)


def test_every_cut_and_every_addition_is_found() -> None:
    data = encode_export("golden", [a_record(0)], NORMS)
    for end_b in range(len(data)):
        with pytest.raises(StorageError):
            decode_export(data[:end_b])
    with pytest.raises(StorageError):
        decode_export(data + b"\0")


def test_file_with_right_checksum_but_wrong_contents_is_refused() -> None:
    """A checksum tells of damage, not of sense: everything else is proven too."""
    record = a_record(0)
    for records in ([msgspec.structs.replace(record, id="0" * 64)], [msgspec.structs.replace(record, blob=b"x")]):
        with pytest.raises(StorageError):
            decode_export(encode_export("golden", records, NORMS))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.slrx"):
        read_export(tmp_path / "nowhere.slrx")


def test_file_changed_after_it_was_proven_is_found(tmp_path: Path) -> None:
    path = tmp_path / "stick.slrx"
    data = bytearray(encode_export("golden", [a_record(0), a_record(1)], NORMS))
    path.write_bytes(bytes(data))
    export = read_export(path)
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StorageError):
        list(export.records)


def test_export_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    with fill(tmp_path / "spool", 3) as spool:
        with pytest.raises(StorageError, match="missing"):
            export_spool(spool, tmp_path / "missing" / "out.slrx")
        (tmp_path / "folder.slrx").mkdir()
        with pytest.raises(StorageError):
            export_spool(spool, tmp_path / "folder.slrx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.slrx", "spool"]
