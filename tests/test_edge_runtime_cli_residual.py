"""Commands on recorded mistakes, run as a person runs them."""

from pathlib import Path
from typing import get_args

import pytest
from test_edge_runtime_cli import Program, decode, program, recording

from edge_runtime import cli_residual
from edge_runtime.reports import PurgeReport, ShowReport, SpoolReport, TeachReport
from edge_runtime.residual import Failure, TruthSource

__all__ = ["program", "recording"]  # fixtures


def test_records_are_shown_counted_and_purged(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    spool, out = tmp_path / "spool", tmp_path / "look"
    lot = ("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", spool, "--json")
    decode(program(*lot, "--set", "residual.audit_rate=0.0"), TeachReport)
    listed = decode(program("residual", "list", spool, "--json"), SpoolReport)
    assert [(one.lot, one.source, one.label, one.count) for one in listed.kept] == [("teach", "T0", "stone", 18)]
    assert listed.audit.error_rate is None

    shown = decode(program("residual", "show", spool, "--most", 3, "--out", out, "--json"), ShowReport)
    assert (shown.found, len(shown.records), len(list(out.iterdir()))) == (18, 3, 4)
    one = decode(program("residual", "show", spool, shown.records[2].id[:12].upper(), "--json"), ShowReport)
    assert one.records == shown.records[2:]
    assert program("residual", "show", spool, "ffffffffffffffff")[0] == 1

    which = ("residual", "purge", spool, "--lot", "teach", "--source", "T0", "--class", "stone")
    assert decode(program(*which, "--json"), PurgeReport).purged == 0
    assert decode(program(*which, "--older", 1, "--yes", "--json"), PurgeReport).purged == 0
    assert decode(program(*which, "--yes", "--json"), PurgeReport).purged == 18
    assert decode(program("residual", "list", spool, "--json"), SpoolReport).counts.evicted == {"purged": 18}


def test_the_audit_slice_tells_the_error_rate(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    lot = ("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", spool)
    assert program(*lot, "--set", "residual.audit_rate=1.0")[0] == 0
    audit = decode(program("residual", "list", spool, "--json"), SpoolReport).audit
    assert (audit.labelled, audit.wrong, audit.error_rate) == (24, 18, 0.75)
    assert (
        "audit: 18 of 24 labelled wrong: 75.00%, 95 % interval 53.29% to 90.23%"
        in program("residual", "list", spool)[1]
    )


def test_an_impure_lot_confirms_less_than_a_pure_one(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    lot = ("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--set", "residual.audit_rate=0.0")
    impure = decode(program(*lot, "--purity", 0.9, "--spool", tmp_path / "spool", "--json"), TeachReport)
    assert impure.recorded.taken == {"candidate": 18}


def test_options_of_records_are_those_that_headers_know() -> None:
    assert get_args(Failure) == cli_residual.FAILURES
    assert get_args(TruthSource) == cli_residual.SOURCES


@pytest.mark.parametrize("days", ["36501", "1000000", "inf", "nan", "-1"])
def test_an_age_that_no_calendar_holds_is_a_wrong_option(program: Program, tmp_path: Path, days: str) -> None:
    assert program("residual", "purge", tmp_path, "--older", days)[0] == 2


def test_people_get_records_as_text(program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    assert program("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", spool)[0] == 0
    many, one = program("residual", "show", spool)[1], program("residual", "show", spool, "--most", 1)[1]
    assert "teach misclassified: T0 stone, decided good" in many
    assert "more; see --most" not in many
    assert "  predicted_class: " in one
    assert "truth: T0 stone, 1.0000, teach" in one
    assert program("residual", "show", spool, "--lot", "none")[1] == "no record\n"
    assert "more; see --most" in program("residual", "show", spool, "--most", 2)[1]
    assert "records would be given up; --yes does it" in program("residual", "purge", spool, "--lot", "teach")[1]
    assert "0 of 0 records given up" in program("residual", "purge", spool, "--lot", "no", "--yes")[1]
