"""What people read of a run: whether it fires, and what to look at."""

import msgspec
import pytest
from live_reports import report_of

from edge_runtime.live.run_report import ProcessReport
from edge_runtime.live.run_text import run_text


@pytest.mark.parametrize(
    ("is_armed", "wants_armed", "words"),
    [(True, True, " s, armed,"), (False, True, " s, not armed yet,"), (False, False, " s, not armed,")],
)
def test_the_first_line_says_whether_it_fires(is_armed: bool, wants_armed: bool, words: str) -> None:
    report = msgspec.structs.replace(report_of(), is_armed=is_armed, wants_armed=wants_armed)
    assert words in run_text(report).splitlines()[0]


def test_a_run_without_processes_has_ended() -> None:
    report = msgspec.structs.replace(
        report_of(), wants_armed=True, processes=(ProcessReport("bridge", 0, "absent", 0),)
    )
    assert " s, ended," in run_text(report).splitlines()[0]


def test_trouble_stands_last_and_cannot_be_overlooked() -> None:
    assert run_text(report_of(trouble="controller is gone")).splitlines()[-1] == "LOOK AT THIS: controller is gone"
    assert "LOOK" not in run_text(report_of())
