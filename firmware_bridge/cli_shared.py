"""What the commands of `sortloop-link` share: the options of a port, an open link, events, and how text looks.

Everything heavy is imported where it is used: `--help` must not wait for it.
"""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from firmware_bridge.clock import Clock
    from firmware_bridge.link import Link
    from firmware_bridge.link_events import LinkEvent
    from firmware_bridge.transport import Transport
    from firmware_bridge.transport_recording import RecordingTransport

__all__ = [
    "CONNECT_S",
    "POLL_S",
    "Line",
    "check_up",
    "events_until",
    "lang_option",
    "open_line",
    "open_link",
    "open_medium",
    "pairs_text",
    "port_options",
    "port_options_optional",
    "show_progress",
    "table_text",
]

CONNECT_S: Final = 2.0
POLL_S: Final = 0.002
_DEFAULT_BAUD: Final = 921_600  # that of transport_open, which is not imported for --help

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Line(NamedTuple):
    """The port that a person chose."""

    port: str
    baud: int
    record: Path | None


def port_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --port, --baud and --record to a command; it receives them as `line`."""
    return _with_line(command, is_required=True)


def port_options_optional(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same to a command that can do without; it receives a `line` whose port may be ""."""
    return _with_line(command, is_required=False)


def lang_option(command: _Command) -> _Command:
    """Add --lang to a command; it receives `lang`."""
    return click.option(
        "--lang", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Language of the texts."
    )(command)


def _with_line(command: Callable[..., Any], *, is_required: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_line(*args: Any, port: str | None, baud: int, record: Path | None, **kwargs: Any) -> Any:
        return command(*args, line=Line(port or "", baud, record), **kwargs)

    port_help = "Controller: /dev/serial/by-id/..., tcp://host:port, or 'virtual' for a board inside this process."
    for option in (
        click.option("--record", type=click.Path(path_type=Path), help="Write the raw traffic here, for `replay`."),
        click.option("--baud", default=_DEFAULT_BAUD, show_default=True, help="Line rate; ignored by USB devices."),
        click.option("--port", required=is_required, help=port_help),
    ):
        with_line = option(with_line)
    return with_line


@contextmanager
def open_link(line: Line, clock: "Clock") -> "Iterator[Link]":
    """Open the line and close it behind the caller; the session is the caller's to connect.

    Raises:
        TransportError: the port cannot be opened.
        TrafficFileError: the recording cannot be begun.
    """
    from firmware_bridge.link import Link  # noqa: PLC0415 - not for --help

    with open_line(line, clock) as transport:
        link = Link(transport, clock)
        try:
            yield link
        finally:
            link.close()


@contextmanager
def open_line(line: Line, clock: "Clock") -> "Iterator[Transport]":
    """Open the medium, recorded where that is wished; a recording that broke off is told on stderr.

    Raises:
        TransportError: the port cannot be opened.
        TrafficFileError: the recording cannot be begun.
    """
    with ExitStack() as stack:
        transport = open_medium(line, clock)
        stack.callback(transport.close)
        if line.record is None:
            yield transport
            return
        from firmware_bridge.traffic_file import create_traffic  # noqa: PLC0415 - not for --help
        from firmware_bridge.transport_recording import RecordingTransport  # noqa: PLC0415

        recording = RecordingTransport(transport, clock, create_traffic(line.record, clock), marks_quiet=False)
        stack.callback(_close_recording, recording, line.record)
        yield recording


def open_medium(line: Line, clock: "Clock") -> "Transport":
    """Open what the port's name stands for.

    Raises:
        TransportError: it cannot be opened.
    """
    from firmware_bridge.transport_open import open_transport  # noqa: PLC0415 - not for --help

    return open_transport(line.port, clock=clock, baud=line.baud)


def events_until(link: "Link", clock: "Clock", for_s: float | None, *, poll_s: float = POLL_S) -> "Iterator[LinkEvent]":
    """Yield events until the time is over or the session is."""
    end_ns = None if for_s is None else clock.monotonic_ns() + round(for_s * 1e9)
    while end_ns is None or clock.monotonic_ns() < end_ns:
        yield from link.poll()
        if not link.is_up:
            return
        clock.sleep_s(poll_s)


def check_up(event: "LinkEvent") -> None:
    """Make the end of the session the end of the command.

    Raises:
        LinkDownError: `event` says so.
    """
    from firmware_bridge.errors import LinkDownError  # noqa: PLC0415 - not for --help
    from firmware_bridge.explanations import DOWN_REASONS  # noqa: PLC0415
    from firmware_bridge.link_events import LinkDown  # noqa: PLC0415

    if isinstance(event, LinkDown):
        raise LinkDownError(f"session ended: {event.detail}. {DOWN_REASONS[event.reason].why.en}")


def pairs_text(pairs: Iterable[tuple[str, object]]) -> str:
    """Return one line a pair, values below each other."""
    rows = [(name, str(value)) for name, value in pairs]
    width = max((len(name) for name, _ in rows), default=0) + 2
    return "\n".join(f"{name:<{width}}{value}".rstrip() for name, value in rows)


def table_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return columns below each other; the first and the last are left-aligned, numbers between them right."""
    cells = [list(head), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    last = len(head) - 1
    lines = []
    for row in cells:
        aligned = [
            value.ljust(width) if column in {0, last} else value.rjust(width)
            for column, (value, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def show_progress(text: str) -> None:
    """Write a line over the last one where stderr is a terminal; "" erases it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _close_recording(recording: "RecordingTransport", path: Path) -> None:
    recording.close()
    if recording.failure is not None:
        click.echo(f"{path}: {recording.failure}", err=True)
