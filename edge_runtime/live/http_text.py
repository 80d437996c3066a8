r"""As much of HTTP/1.1 as a page of figures needs: one request of a client, one answer, end. Pure.

>>> asked(b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
Asked(method='GET', path='/metrics')
>>> asked(b"GET /metr") is None
True
>>> answer_bytes(Answer(200, "ok\n"), with_body=True).splitlines()[0]
b'HTTP/1.1 200 OK'
"""

from http import HTTPStatus
from typing import Final, NamedTuple

__all__ = ["LARGEST_REQUEST_B", "Answer", "Asked", "answer_bytes", "asked", "refusal"]

LARGEST_REQUEST_B: Final = 8192
_END: Final = b"\r\n\r\n"


class Asked(NamedTuple):
    """What a client wants; "" for both where it does not speak HTTP."""

    method: str
    path: str


class Answer(NamedTuple):
    """What it gets."""

    status: int
    text: str
    media_type: str = "text/plain; charset=utf-8"


def asked(data: bytes) -> Asked | None:
    """Return the request that these bytes begin with; None while it is not whole."""
    head, end, _ = data.partition(_END)
    if not end:
        return None if len(data) <= LARGEST_REQUEST_B else Asked("", "")
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return Asked("", "")
    return Asked(words[0], words[1].partition("?")[0])


def refusal(request: Asked) -> Answer | None:
    """Return the answer to what is no proper question; None where it is one."""
    if not request.method:
        return Answer(400, "this is no HTTP request\n")
    if request.method not in {"GET", "HEAD"}:
        return Answer(405, "only GET and HEAD\n")
    return None


def answer_bytes(answer: Answer, *, with_body: bool) -> bytes:
    """Return an answer as it goes over the line; the connection ends with it."""
    body = answer.text.encode()
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if answer.status == 405:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join(lines).encode() + _END + (body if with_body else b"")
