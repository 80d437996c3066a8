"""Requests and answers, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.http_text import LARGEST_REQUEST_B, Answer, Asked, answer_bytes, asked, refusal

WHOLE = b"GET /metrics?name=x HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"


def test_request_is_asked_once_it_is_whole() -> None:
    for length in range(len(WHOLE)):
        assert asked(WHOLE[:length]) is None
    assert asked(WHOLE) == asked(WHOLE + b"more") == Asked("GET", "/metrics")


@given(data=st.binary(max_size=200), rest=st.binary(max_size=20))
def test_any_bytes_are_a_request_or_refused(data: bytes, rest: bytes) -> None:
    request = asked(data + b"\r\n\r\n" + rest)
    assert request is not None
    assert (request.method == "") == (request.path == "") or refusal(request) is not None


def test_request_without_end_is_refused() -> None:
    assert asked(b"x" * LARGEST_REQUEST_B) is None
    assert asked(b"x" * (LARGEST_REQUEST_B + 1)) == Asked("", "")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"hello", 400),
        (b"GET /", 400),
        (b"GET / SMTP/1.1", 400),
        (b"GET / HTTP/1.1 more", 400),
        (b"POST /status HTTP/1.1", 405),
    ],
)
def test_what_is_no_question_is_told_so(request_line: bytes, status: int) -> None:
    request = asked(request_line + b"\r\n\r\n")
    assert request is not None
    answer = refusal(request)
    assert answer is not None
    assert answer.status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_questions_are_not_refused(method: str) -> None:
    assert refusal(Asked(method, "/")) is None


@given(text=st.text(max_size=100), status=st.sampled_from([200, 404, 405, 503]))
def test_length_of_an_answer_is_that_of_its_body(text: str, status: int) -> None:
    head, _, body = answer_bytes(Answer(status, text), with_body=True).partition(b"\r\n\r\n")
    assert body == text.encode()
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Allow: GET, HEAD" in head) == (status == 405)
    assert answer_bytes(Answer(status, text), with_body=False) == head + b"\r\n\r\n"
