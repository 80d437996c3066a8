"""Records of a spool are shown with their crops, and given up when it is meant."""

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from test_edge_runtime_spool import a_record

from edge_runtime.errors import StorageError
from edge_runtime.residual import ResidualRecord, make_record
from edge_runtime.residual_files import Showing, purge, show
from edge_runtime.residual_view import Wanted
from edge_runtime.spool import Spool
from firmware_bridge.clock import ManualClock


def scored_record(line: int, score: float, **changes: object) -> ResidualRecord:
    changed = msgspec.structs.replace(a_record(1).header, line=line, scores=(score, 1 - score), **changes)
    return make_record(changed, np.full((8, 8, 1), line, np.uint8), np.ones((8, 8), np.bool_))


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    with Spool.open(path, clock=ManualClock()) as spool:
        for line, score in ((1, 0.6), (2, 0.9), (3, 0.7), (4, 0.8)):
            spool.append(scored_record(line, score))
        spool.append(scored_record(5, 0.99, failure="candidate"))
    return path


def test_the_most_contradicted_are_shown_first_with_their_crops(spool_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "look"
    with Spool.open(spool_path, clock=ManualClock()) as spool:
        report = show(spool, Showing(Wanted(failure="misclassified"), most=2, folder=out))
    assert (report.found, [one.header.line for one in report.records]) == (4, [2, 4])
    assert [Path(name).name for name in report.files] == [
        *(f"{one.id[:16]}.png" for one in report.records),
        "sheet.png",
    ]
    first = cv2.imread(report.files[0])
    assert first is not None
    assert (first == 2).all()
    sheet = cv2.imread(report.files[-1])
    assert sheet is not None
    assert sheet.shape == (9, 18, 3)


def test_any_number_of_records_is_sifted_with_few_in_memory(spool_path: Path) -> None:
    with Spool.open(spool_path, clock=ManualClock()) as spool:
        report = show(spool, Showing(Wanted(), most=1))
        assert (report.found, report.records[0].header.line, report.files) == (5, 5, ())
        one = report.records[0].id
        assert [found.id for found in show(spool, Showing(Wanted(), id_prefix=one[:9])).records] == [one]
        assert show(spool, Showing(Wanted(), id_prefix="xyz", folder=spool_path / "no")).files == ()


def test_crops_cannot_go_where_a_file_lies(spool_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Spool.open(spool_path, clock=ManualClock()) as spool, pytest.raises(StorageError, match="cannot make"):
        show(spool, Showing(Wanted(), folder=tmp_path / "file" / "look"))


def test_purge_counts_first_and_acts_when_it_is_meant(spool_path: Path) -> None:
    with Spool.open(spool_path, clock=ManualClock()) as spool:
        asked = purge(spool, Wanted(failure="misclassified"), is_meant=False)
        assert (asked.found, asked.purged, asked.counts.present) == (4, 0, 5)
        done = purge(spool, Wanted(failure="misclassified"), is_meant=True)
        assert (done.found, done.purged, done.counts.present, done.counts.evicted) == (4, 4, 1, {"purged": 4})
        assert purge(spool, Wanted(failure="misclassified"), is_meant=True).found == 0
