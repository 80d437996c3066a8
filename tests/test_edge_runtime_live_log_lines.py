"""Lines of several processes in one stream: whole, signed, and not too many."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.log_lines import configure_live_logs, fitted, log_crashes
from firmware_bridge.clock import ManualClock

ROOT: Final = Path(__file__).parents[1]
WRITER: Final = """
import structlog
from edge_runtime.live.log_lines import configure_live_logs
from firmware_bridge.clock import SystemClock
import sys
configure_live_logs(sys.argv[1], SystemClock())
for number in range(400):
    structlog.get_logger().error(f"event {number}", text="x" * (number * 37 % 6000))
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("buffering", ["", "1"])  # the unit sets PYTHONUNBUFFERED
def test_lines_of_processes_that_write_at_once_are_never_mixed(buffering: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": buffering}
    read_fd, write_fd = os.pipe()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"vision-{number}"], stderr=write_fd, cwd=ROOT, env=environ)
        for number in range(3)
    ]
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stream:
        lines = [json.loads(line) for line in stream]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert Counter(line["process"] for line in lines) == {f"vision-{number}": 400 for number in range(3)}
    assert {line["process_id"] for line in lines} == {writer.pid for writer in writers}


def test_repeated_lines_are_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    configure_live_logs("bridge", clock)
    log = structlog.get_logger()
    for number in range(100):
        log.error("bridge.odd", number=number)
    log.error("bridge.other")
    clock.sleep_s(60)
    log.error("bridge.odd", number=100)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("number") for line in lines] == [0, 1, 2, 3, 4, None, 100]
    assert lines[-1]["left_out"] == 95
    assert "left_out" not in lines[0]


@given(fields=st.dictionaries(st.text(max_size=12), VALUES, max_size=6), more=st.text(max_size=9000))
def test_fields_fit_and_short_ones_stay_as_they_are(fields: dict[str, object], more: str) -> None:
    fields["event"] = "run.ended"
    text = json.dumps(fields)
    assert len(json.dumps(fitted(dict(fields), most_b=len(text)))) == len(text)
    found = fitted({**fields, "long": more}, most_b=2000)
    assert len(json.dumps(found)) <= 2000
    assert set(found) == {*fields, "long"}
    assert found["event"] in {"run.ended", "run...ed"} or len(str(found["event"])) <= 9


def test_long_text_keeps_its_beginning_and_more_of_its_end() -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(9000))
    found = str(fitted({"exception": text}, most_b=1000)["exception"])
    head, _, tail = found.partition("...")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(tail) > len(head) > 100


def test_crash_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_live_logs("vision-0", ManualClock())
    before = sys.excepthook
    try:
        log_crashes()
        try:
            raise RuntimeError("no such thing")
        except RuntimeError as error:
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.excepthook = before
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["process"]) == ("process.crashed", "vision-0")
    assert line["exception"].endswith("RuntimeError: no such thing")
