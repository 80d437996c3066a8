"""Progress for people: one line an event where there is no terminal, nothing when quiet."""

import pytest

from trainer.pool.round_record import RoundRecord
from trainer.progress import TerminalProgress

RECORD = RoundRecord(3, 8, 24, 5, 60, 0.9, 0.8125, 0.75, 0.01, 40, "a" * 64, {})


def test_a_round_is_one_line_on_stderr_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress(quiet=False) as progress:
        progress.step("fit", 1, 2)
        progress("import", 1, 2)
        progress.round_done(RECORD, 1.25)
        progress.say("a path in brackets, [runs/1], stays as it is; a line longer than 80 columns stays one")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("round  3:     24 samples in training,      5 still wrong, validation macro-F1 0.8125")
    assert first.endswith("worst recall 0.750, 1.2 s")
    assert second == "a path in brackets, [runs/1], stays as it is; a line longer than 80 columns stays one"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress(quiet=True) as progress:
        progress.step("fit", 1, 2)
        progress.round_done(RECORD, 1.0)
        progress.say("text")
    assert capsys.readouterr() == ("", "")
