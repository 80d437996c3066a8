"""Every way out of a command has its exit code, results go to stdout and everything else to stderr."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

import click
import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.command_line import (
    EXIT_INTERRUPTED,
    common_options,
    configure_logs,
    print_result,
    product_version,
    run_command_line,
)
from firmware_bridge.printable import printable
from firmware_bridge.product_error import EXIT_BUG, ProductError


class FullError(ProductError):
    """The bin is full."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Empty the bin."


class Answer(msgspec.Struct):
    """A result."""

    count: int
    schema_version: int = 1


def interrupt() -> None:
    raise KeyboardInterrupt


def fail() -> None:
    raise FullError("bin 3 holds 12 kg: the limit is 10 kg")


def break_down() -> None:
    raise ZeroDivisionError("a fault of ours")


def abort() -> None:
    raise click.Abort


def exit_code_of(act: Callable[[], object], *arguments: str) -> int | str | None:
    @click.command()
    @click.option("--count", type=int, default=0)
    def command(count: int) -> object:
        return act()

    with pytest.raises(SystemExit) as leaving:
        run_command_line(command, arguments)
    return leaving.value.code


@pytest.mark.parametrize(
    ("act", "arguments", "code", "told"),
    [
        (lambda: None, (), 0, ""),
        (lambda: 1, (), 1, ""),
        (lambda: None, ("--count", "many"), 2, "'many' is not a valid integer"),
        (lambda: None, ("--colour", "red"), 2, "No such option"),
        (lambda: None, ("left over",), 2, "unexpected extra argument"),
        (fail, (), 5, "bin 3 holds 12 kg: the limit is 10 kg\nEmpty the bin.\n"),
        (interrupt, (), EXIT_INTERRUPTED, "interrupted"),
        (abort, (), EXIT_INTERRUPTED, "interrupted"),
        (break_down, (), EXIT_BUG, "ZeroDivisionError: a fault of ours"),
        (break_down, (), EXIT_BUG, ProductError.remedy),
    ],
)
def test_every_way_out_has_its_exit_code_and_its_words(
    act: Callable[[], object], arguments: tuple[str, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(act, *arguments) == code
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_error_of_a_person_shows_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(fail)
    assert "Traceback" not in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(fail, "--help") == 0
    assert "--count" in capsys.readouterr().out


def test_result_is_text_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(Answer(3), "three pieces", as_json=False)
    print_result(Answer(3), "three pieces", as_json=True)
    assert capsys.readouterr().out == 'three pieces\n{"count":3,"schema_version":1}\n'


class Names(msgspec.Struct):
    """A result with names in every place."""

    path: str
    by_path: dict[str, list[str]]
    count: int | None = None


@given(st.text(st.characters()) | st.binary().map(os.fsdecode))
def test_names_of_any_bytes_are_printable(name: str) -> None:
    told = printable(name)
    assert told.encode().decode() == told
    assert printable(told) == told


@given(st.text())
def test_what_is_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_results_and_errors_with_names_of_any_bytes_are_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    name = os.fsdecode(b"\xb2\xe2")
    print_result(Names(name, {name: [name, "粮"]}), f"checked {name} and 粮", as_json=False)
    print_result(Names(name, {name: [name, "粮"]}), "", as_json=True)

    def refuse() -> None:
        raise FullError(f"{name} is full")

    assert exit_code_of(refuse) == 5
    text, json_line = capfdbinary.readouterr().out.splitlines()
    assert text.decode() == r"checked \xb2\xe2 and 粮"
    told = r"\xb2\xe2"
    assert json.loads(json_line) == {"path": told, "by_path": {told: [told, "粮"]}, "count": None}


@pytest.mark.parametrize(
    ("verbose", "quiet", "events"),
    [
        (0, False, ["warning", "error"]),
        (1, False, ["info", "warning", "error"]),
        (2, False, ["debug", "info", "warning", "error"]),
        (9, False, ["debug", "info", "warning", "error"]),
        (2, True, ["error"]),
    ],
)
def test_logs_are_json_lines_in_utc_on_stderr(
    verbose: int, quiet: bool, events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(verbose=verbose, quiet=quiet)
    log = structlog.get_logger("test")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)(f"thing.{level}", size_b=3)
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.err.splitlines()]
    assert captured.out == ""
    assert [line["level"] for line in lines] == events
    for line in lines:
        assert line["event"] == f"thing.{line['level']}"
        assert line["size_b"] == 3
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_common_options_reach_the_command() -> None:
    seen: list[tuple[bool, int, bool]] = []

    @click.command()
    @common_options
    def command(*, as_json: bool, verbose: int, quiet: bool) -> None:
        seen.append((as_json, verbose, quiet))

    for arguments in ([], ["--json", "-vv"], ["-q"]):
        with pytest.raises(SystemExit):
            run_command_line(command, arguments)
    assert seen == [(False, 0, False), (True, 2, False), (False, 0, True)]


def test_version_is_known() -> None:
    assert product_version()[0].isdigit()
