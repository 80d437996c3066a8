"""`sortloop-link`: look at, test and imitate the ejector controller from a shell.

Exit codes: 0 ok, 1 the event did not fire, 2 usage, 3 configuration refused, 4 device or link, 130 interrupted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
import msgspec

from firmware_bridge import reports
from firmware_bridge.clock import NS_PER_S, Clock, SystemClock
from firmware_bridge.command_line import (
    common_options,
    configure_logs,
    print_result,
    product_version,
    require,
    run_command_line,
)
from firmware_bridge.errors import LinkDownError
from firmware_bridge.link import Link
from firmware_bridge.link_events import EjectEvent, EjectOutcome, LinkDown, LinkEvent
from firmware_bridge.transport import Transport

__all__ = ["board", "cli", "fire", "identify", "main", "monitor", "ping", "ports"]

_CONNECT_S: Final = 2.0
_FIRE_AHEAD_US: Final = 50_000
_POLL_S: Final = 0.002
_VIRTUAL: Final = "virtual"  # as a port: a virtual board inside this process

_Command = TypeVar("_Command", bound=Callable[..., Any])


def main() -> None:
    """Run `sortloop-link` with the process's arguments.

    Raises:
        SystemExit: always, with the documented code.
    """
    run_command_line(cli)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(product_version(), prog_name="sortloop-link")
def cli() -> None:
    """Look at, test and imitate the ejector controller.

    Example: sortloop-link identify --port /dev/ttyACM0
    """


def _port_options(command: _Command) -> _Command:
    port_help = "Device of the controller, or 'virtual' for a virtual board inside this process."
    command = click.option("--baud", default=921_600, show_default=True, help="Line rate; ignored by USB devices.")(
        command
    )
    return click.option("--port", required=True, help=port_help)(command)


@cli.command()
@common_options
def ports(as_json: bool, verbose: int, quiet: bool) -> None:
    """List the serial ports of this computer.

    Example: sortloop-link ports --json
    """
    from serial.tools import list_ports  # noqa: PLC0415 - only this command needs it

    configure_logs(verbose=verbose, quiet=quiet)
    found = tuple(
        reports.PortReport(port.device, port.description, port.hwid) for port in sorted(list_ports.comports())
    )
    text = "\n".join(f"{port.path}\t{port.description}" for port in found) or "no serial ports"
    print_result(reports.PortsReport(ports=found), text, as_json=as_json)


@cli.command()
@_port_options
@common_options
def identify(port: str, baud: int, as_json: bool, verbose: int, quiet: bool) -> None:
    """Ask the controller who it is and what it can do; ends a session another program may have had.

    Example: sortloop-link identify --port /dev/ttyACM0
    """
    configure_logs(verbose=verbose, quiet=quiet)
    with _open_link(port, baud, SystemClock()) as link:
        report = reports.ident_report(port, link.connect(_CONNECT_S))
    print_result(report, _as_lines(report), as_json=as_json)


@cli.command()
@_port_options
@click.option("--count", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Requests to send.")
@common_options
def ping(port: str, baud: int, count: int, as_json: bool, verbose: int, quiet: bool) -> None:
    """Measure the round trip of one small request.

    Example: sortloop-link ping --port /dev/ttyACM0 --count 1000
    """
    configure_logs(verbose=verbose, quiet=quiet)
    with _open_link(port, baud, SystemClock()) as link:
        link.connect(_CONNECT_S)
        times_ms = sorted(link.ping(1.0) * 1000 for _ in range(count))
    report = reports.PingReport(
        port=port,
        count=count,
        min_ms=times_ms[0],
        median_ms=times_ms[count // 2],
        p99_ms=times_ms[min(count - 1, count * 99 // 100)],
        max_ms=times_ms[-1],
    )
    print_result(report, _as_lines(report), as_json=as_json)


@cli.command()
@_port_options
@click.option("--for-s", default=None, type=float, help="Stop after this many seconds; without it, on Ctrl-C.")
@common_options
def monitor(port: str, baud: int, for_s: float | None, as_json: bool, verbose: int, quiet: bool) -> None:
    """Print what the controller reports, one line an event (with --json one object a line).

    Example: sortloop-link monitor --port /dev/ttyACM0 --for-s 10
    """
    configure_logs(verbose=verbose, quiet=quiet)
    clock = SystemClock()
    with _open_link(port, baud, clock) as link:
        link.connect(_CONNECT_S)
        for event in _events_until(link, clock, for_s):
            report = reports.EventReport(
                time_utc=clock.utc_now().isoformat(), kind=type(event).__name__, text=_event_text(event)
            )
            print_result(report, f"{report.time_utc} {report.kind} {report.text}", as_json=as_json)
            _check_up(event)


@cli.command()
@_port_options
@click.option("--valve", required=True, type=click.IntRange(0, 4095), help="First valve.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 16), help="Adjacent valves.")
@click.option(
    "--pulse-us", default=1000, show_default=True, type=click.IntRange(1, 65_535), help="Length of the pulse."
)
@click.option("--armed", is_flag=True, help="Really move hardware; without it nothing is sent.")
@click.pass_context
@common_options
def fire(
    context: click.Context,
    port: str,
    baud: int,
    valve: int,
    count: int,
    pulse_us: int,
    armed: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Open valves once. Compressed air: keep hands and eyes away from the nozzles.

    Example: sortloop-link fire --port /dev/ttyACM0 --valve 17 --count 3 --pulse-us 1500 --armed
    """
    configure_logs(verbose=verbose, quiet=quiet)
    require(armed, "this moves hardware: add --armed when the ejector is safe to fire")
    clock = SystemClock()
    with _open_link(port, baud, clock) as link:
        link.connect(_CONNECT_S)
        link.configure({})
        link.arm(_CONNECT_S)
        tick = (link.tick_now() + _FIRE_AHEAD_US) & 0xFFFFFFFF
        evid = link.eject([EjectEvent(tick, valve, count, pulse_us)])[0]
        outcomes = [event for event in _events_until_settled(link, clock) if isinstance(event, EjectOutcome)]
        link.disarm()
    outcome = outcomes[0]
    report = reports.FireReport(
        port=port,
        evid=evid,
        has_fired=outcome.has_fired,
        outcome=outcome.kind.value,
        reason=outcome.reason.name if outcome.reason else None,
        lateness_us=outcome.lateness_us,
    )
    print_result(report, _as_lines(report), as_json=as_json)
    context.exit(0 if outcome.has_fired else 1)


@cli.command()
@click.option("--valves", default=256, show_default=True, type=click.IntRange(1, 4096), help="Valves of the board.")
@click.option("--for-s", default=None, type=float, help="Stop after this many seconds; without it, on Ctrl-C.")
@common_options
def board(valves: int, for_s: float | None, as_json: bool, verbose: int, quiet: bool) -> None:
    """Run a virtual controller on a pseudo-terminal and print its path.

    Example: sortloop-link board --valves 64
    """
    from firmware_bridge.board_shell import BoardShell, open_pty  # noqa: PLC0415 - POSIX terminals, only here
    from firmware_bridge.virtual_board import BoardSettings, VirtualBoard  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    clock = SystemClock()
    line = open_pty()
    try:
        print_result(reports.BoardReport(path=line.path, n_valves=valves), line.path, as_json=as_json)
        end_ns = None if for_s is None else clock.monotonic_ns() + round(for_s * NS_PER_S)
        shell = BoardShell(VirtualBoard(BoardSettings(n_valves=valves)), line.transport, clock)
        shell.run(lambda: end_ns is not None and clock.monotonic_ns() >= end_ns)
    finally:
        line.close()


@contextmanager
def _open_link(port: str, baud: int, clock: Clock) -> Iterator[Link]:
    link = Link(_open_transport(port, baud, clock), clock)
    try:
        yield link
    finally:
        link.close()


def _open_transport(port: str, baud: int, clock: Clock) -> Transport:
    if port == _VIRTUAL:
        from firmware_bridge.transport_board import BoardTransport  # noqa: PLC0415 - not needed for a real port
        from firmware_bridge.virtual_board import VirtualBoard  # noqa: PLC0415

        return BoardTransport(VirtualBoard(), clock)
    from firmware_bridge.transport_serial import open_serial  # noqa: PLC0415 - needs pyserial

    return open_serial(port, baud=baud)


def _check_up(event: LinkEvent) -> None:
    if isinstance(event, LinkDown):
        raise LinkDownError(f"session ended: {event.detail}")


def _events_until(link: Link, clock: Clock, for_s: float | None) -> Iterator[LinkEvent]:
    end_ns = None if for_s is None else clock.monotonic_ns() + round(for_s * NS_PER_S)
    while end_ns is None or clock.monotonic_ns() < end_ns:
        yield from link.poll()
        if not link.is_up:
            return
        clock.sleep_s(_POLL_S)


def _events_until_settled(link: Link, clock: Clock) -> Iterator[LinkEvent]:
    while link.open_events:
        yield from link.poll()
        clock.sleep_s(_POLL_S)
    yield from link.poll()


def _as_lines(report: msgspec.Struct) -> str:
    rows = msgspec.structs.asdict(report)
    return "\n".join(f"{name:<14}{value}" for name, value in rows.items() if name != "schema_version")


def _event_text(event: LinkEvent) -> str:
    values = msgspec.to_builtins(event)
    return " ".join(f"{name}={value}" for name, value in values.items())
