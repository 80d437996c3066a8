"""The log of a live run: JSON lines of several processes in one stream, each with who wrote it, none torn.

A line says the process's name and pid, is short enough to be written at once, and lines of one kind that come too often
are left out and counted. Knows no process.

>>> fields = fitted({"event": "vision.failed", "error": "x" * 9000}, most_b=100)
>>> len(json.dumps(fields)) <= 100, fields["event"]
(True, 'vision.failed')
"""

import json
import os
import select
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from edge_runtime.live.log_limit import LogLimiter
from firmware_bridge.clock import Clock
from firmware_bridge.command_line import configure_logs

__all__ = ["configure_live_logs", "fitted", "log_crashes"]

_MOST_B: Final = select.PIPE_BUF - 2  # with its line break a line fits into what the system writes at once
_SHORTEST: Final = 8  # characters that a field keeps at least
_log = structlog.get_logger(__name__)


def configure_live_logs(process: str, clock: Clock, *, verbose: int = 1, quiet: bool = False) -> None:
    """Send this process's log to stderr, for a stream that other processes write to as well.

    Args:
        process: name of its place in the run: "vision-0".
        clock: monotonic, for the rate of lines.
        verbose: see `configure_logs`.
        quiet: the same.
    """
    limiter, pid = LogLimiter(), os.getpid()

    def limited(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
        left_out = limiter.left_out(f"{fields.get('level')} {fields.get('event')}", now_ns=clock.monotonic_ns())
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            fields["left_out"] = left_out
        return fields

    def signed(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
        fields["process"], fields["process_id"] = process, pid
        return fitted(fields, most_b=_MOST_B)

    configure_logs(verbose=verbose, quiet=quiet, more=(limited, signed))


def log_crashes() -> None:
    """Let an error that nobody catches be a line of the log as well, not a page between the lines of others."""
    sys.excepthook = _log_crash


def fitted(fields: EventDict, *, most_b: int) -> EventDict:
    """Return fields whose JSON text is short enough, with long texts cut in their middle.

    Args:
        fields: of a line.
        most_b: bytes of the text; with very many fields it may be longer still.
    """
    most = most_b
    while _size_b(fields) > most_b and most > _SHORTEST:
        most //= 2
        fields = {name: _cut(value, most) for name, value in fields.items()}
    return fields


def _size_b(fields: Mapping[str, object]) -> int:
    return len(json.dumps(fields, default=repr))


def _cut(value: object, most: int) -> object:
    """Return a value whose text has at most `most` characters: its beginning and, twice as long, its end."""
    if isinstance(value, int | float | None):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    if len(text) <= most:
        return value
    head = max(1, (most - 3) // 3)
    return f"{text[:head]}...{text[len(text) - (most - 3 - head) :]}"


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.error("process.crashed", exc_info=(kind, error, trace))
