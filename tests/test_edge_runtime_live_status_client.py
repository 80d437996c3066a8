"""Whom `sortloop-edge status` finds behind a port."""

import socket

import msgspec
import pytest
from live_reports import answering, report_of

from edge_runtime.errors import NoRunError
from edge_runtime.live.http_text import Answer
from edge_runtime.live.status_client import ask_status


def test_report_is_read() -> None:
    with answering(Answer(200, msgspec.json.encode(report_of()).decode())) as port:
        assert ask_status(port) == report_of()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(503, "the run has not reported yet\n"), "a run answers at port .*: the run has not reported yet$"),
        (Answer(200, "<html>"), "it is no run of this build"),
        (Answer(200, '{"machine":"desk"}'), "it is no run of this build"),
        (Answer(404, "no"), "it is no run of this build"),
    ],
)
def test_what_is_no_report_is_told(answer: Answer, told: str) -> None:
    with answering(answer) as port, pytest.raises(NoRunError, match=told):
        ask_status(port)


def test_silence_is_told_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NoRunError, match=r"nothing answers within 0\.1 s"):
            ask_status(silent.getsockname()[1], timeout_s=0.1)


def test_closed_port_and_none_are_told() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(NoRunError, match="no run answers at port"):
            ask_status(one.getsockname()[1])
    with pytest.raises(NoRunError, match="metrics_port is 0"):
        ask_status(0)
