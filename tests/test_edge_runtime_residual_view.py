"""What is asked for is shown, the loudest contradiction first."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from test_edge_runtime_spool import a_record

from edge_runtime.residual import ResidualHeader, Truth
from edge_runtime.residual_view import Kept, Wanted, contact_sheet, kept_counts, suspicion

HEADER = a_record(1).header
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def header(**changes: object) -> ResidualHeader:
    return msgspec.structs.replace(HEADER, **changes)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), True),
        (Wanted(failure="misclassified", source="T0", lot="lot-7", label="stone"), True),
        (Wanted(failure="audit"), False),
        (Wanted(source="T2"), False),
        (Wanted(lot="lot-8"), False),
        (Wanted(label="rice"), False),
        (Wanted(before=NEW_YEAR), False),
        (Wanted(before=NEW_YEAR.replace(microsecond=1)), True),
    ],
)
def test_a_record_is_wanted_when_all_that_is_asked_for_fits(wanted: Wanted, expected: bool) -> None:
    assert wanted.has(HEADER) is expected
    assert wanted.is_everything is (wanted == Wanted())


def test_records_without_a_label_go_by_the_class_decided() -> None:
    assert Wanted(label="rice").has(header(truth=Truth("T7"), failure="candidate"))


@pytest.mark.parametrize("utc", ["", "yesterday", "2020-01-01T00:00:00"])
def test_records_whose_time_is_unknown_are_never_older(utc: str) -> None:
    assert not Wanted(before=NEW_YEAR).has(header(utc=utc))


def test_kept_counts_are_what_quotas_count() -> None:
    unnamed = header(truth=Truth("T7"), failure="candidate")
    assert kept_counts([HEADER, unnamed, HEADER, header(lot="lot-6")]) == (
        Kept("lot-6", "T0", "stone", "misclassified", 1),
        Kept("lot-7", "T0", "stone", "misclassified", 2),
        Kept("lot-7", "T7", "rice", "candidate", 1),
    )


def test_suspicion_is_the_best_score() -> None:
    assert suspicion(header(scores=(0.2, 0.7, 0.1))) == 0.7
    assert suspicion(header(scores=())) == 0.0


def test_contact_sheet_holds_every_crop_in_its_cell() -> None:
    crops = [np.full((side, side, bands), 50 + 10 * side, np.uint8) for side, bands in ((4, 1), (6, 3), (5, 4))]
    sheet = contact_sheet(crops, columns=2)
    assert sheet.shape == (14, 14, 3)
    assert sheet[:4, :4].tolist() == np.full((4, 4, 3), 90).tolist()
    assert sheet[:6, 7:13].tolist() == np.full((6, 6, 3), 110).tolist()
    assert sheet[7:12, :5].tolist() == np.full((5, 5, 3), 100).tolist()
    assert int((sheet > 0).all(axis=2).sum()) == 16 + 36 + 25
