"""`sortloop-link` commands that only look: ports, identify, ping, monitor, replay."""

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from firmware_bridge.cli_shared import (
    CONNECT_S,
    Line,
    check_up,
    events_until,
    open_link,
    pairs_text,
    port_options,
    table_text,
)
from firmware_bridge.command_line import common_options, configure_logs, print_result

if TYPE_CHECKING:
    from firmware_bridge.clock import Clock
    from firmware_bridge.link import Link
    from firmware_bridge.link_events import LinkEvent
    from firmware_bridge.monitor_table import HostFigures
    from firmware_bridge.traffic import TrafficLine
    from firmware_bridge.traffic_file import TrafficReader

__all__ = ["identify", "monitor", "ping", "ports", "replay"]

_REDRAW_NS: Final = 200_000_000
_LIVE_POLL_S: Final = 0.0005  # it is part of the round trip that the table shows
_DRIFT_POINTS: Final = 20  # fewer make any slope
_PING_TIMEOUT_S: Final = 1.0


@click.command(short_help="List the serial ports and their lasting names.")
@common_options
def ports(as_json: bool, verbose: int, quiet: bool) -> None:
    """List the serial ports of this computer, with the names that stay the same after a replug.

    Example: sortloop-link ports --json
    """
    from serial.tools import list_ports  # noqa: PLC0415 - only this command needs it

    from firmware_bridge.port_facts import stable_name  # noqa: PLC0415
    from firmware_bridge.reports import PortReport, PortsReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    found = tuple(
        PortReport(
            path=port.device, by_id=stable_name(port.device), description=port.description, hardware_id=port.hwid
        )
        for port in sorted(list_ports.comports())
    )
    rows = [(port.by_id or port.path, port.path, port.description) for port in found]
    text = table_text(("use this name", "now at", "what it is"), rows) if rows else "no serial ports"
    print_result(PortsReport(ports=found), text, as_json=as_json)


@click.command(short_help="Ask the controller who it is and what it can do.")
@port_options
@common_options
def identify(line: Line, as_json: bool, verbose: int, quiet: bool) -> None:
    """Ask the controller who it is and what it can do; ends a session another program may have had.

    Example: sortloop-link identify --port /dev/ttyACM0
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415
    from firmware_bridge.reports import ident_report  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with open_link(line, SystemClock()) as link:
        report = ident_report(line.port, link.connect(CONNECT_S))
    values = {
        **{name: getattr(report, name) for name in report.__struct_fields__ if name != "schema_version"},
        "caps": ", ".join(report.caps) or "none",
        "dict_crc": f"0x{report.dict_crc:08x}",
        "cfg_crc": f"0x{report.cfg_crc:08x}",
    }
    print_result(report, pairs_text(values.items()), as_json=as_json)


@click.command(short_help="Measure round trips.")
@port_options
@click.option("--count", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Requests to send.")
@common_options
def ping(line: Line, count: int, as_json: bool, verbose: int, quiet: bool) -> None:
    """Measure the round trip of one small request.

    Example: sortloop-link ping --port /dev/ttyACM0 --count 1000
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415
    from firmware_bridge.clock_watch import rtt_figures  # noqa: PLC0415
    from firmware_bridge.reports import PingReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with open_link(line, SystemClock()) as link:
        link.connect(CONNECT_S)
        figures = rtt_figures([round(link.ping(_PING_TIMEOUT_S) * 1e9) for _ in range(count)])
    report = PingReport(
        port=line.port,
        count=count,
        min_ms=figures.min_us / 1000,
        median_ms=figures.median_us / 1000,
        p99_ms=figures.p99_us / 1000,
        max_ms=figures.max_us / 1000,
    )
    text = (
        f"{count} round trips: median {report.median_ms:.3f} ms, 99 % within {report.p99_ms:.3f} ms "
        f"(shortest {report.min_ms:.3f}, longest {report.max_ms:.3f})"
    )
    print_result(report, text, as_json=as_json)


@click.command(short_help="Show live what the controller reports.")
@port_options
@click.option("--for-s", default=None, type=float, help="Stop after this many seconds; without it, on Ctrl-C.")
@common_options
def monitor(line: Line, for_s: float | None, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show what the controller reports: a live table on a terminal, else (or with --json) one line an event.

    It opens a session of its own: do not use it on a machine that is sorting.

    Example: sortloop-link monitor --port /dev/ttyACM0 --for-s 10
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415
    from firmware_bridge.event_text import event_text  # noqa: PLC0415
    from firmware_bridge.reports import EventReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    clock = SystemClock()
    with open_link(line, clock) as link:
        link.connect(CONNECT_S)
        if sys.stdout.isatty() and not as_json:
            _show_table(link, line.port, clock, for_s)
            return
        for event in events_until(link, clock, for_s):
            report = EventReport(
                time_utc=clock.utc_now().isoformat(), kind=type(event).__name__, text=event_text(event)
            )
            print_result(report, f"{report.time_utc} {report.kind} {report.text}", as_json=as_json)
            check_up(event)


def _show_table(link: "Link", port: str, clock: "Clock", for_s: float | None) -> None:
    from firmware_bridge.monitor_table import MonitorTable  # noqa: PLC0415 - only on a terminal
    from firmware_bridge.terminal_screen import TerminalScreen  # noqa: PLC0415

    ident = link.ident
    table = MonitorTable(port, ident.uid.hex() if ident else "")
    drawn_ns = 0
    last: LinkEvent | None = None
    with TerminalScreen(sys.stdout, shutil.get_terminal_size) as screen:
        for last in events_until(link, clock, for_s, poll_s=_LIVE_POLL_S):
            table.take(last, clock.utc_now())
            now_ns = clock.monotonic_ns()
            if now_ns - drawn_ns >= _REDRAW_NS or not link.is_up:
                drawn_ns = now_ns
                screen.draw(table.lines(_host_figures(link, clock), now_ns))
    if last is not None:
        check_up(last)


def _host_figures(link: "Link", clock: "Clock") -> "HostFigures":
    from firmware_bridge.monitor_table import HostFigures  # noqa: PLC0415 - only on a terminal

    frames, fit = link.frame_counters, link.clock_fit
    return HostFigures(
        damaged=frames.cobs_err + frames.crc_err + frames.len_err + frames.overflow,
        gaps=link.message_counters.telemetry_gaps,
        rtt=link.rtt,
        drift_ppm=fit.drift_ppm if fit.points >= _DRIFT_POINTS else None,
        bound_us=fit.read(clock.monotonic_ns()).error_bound_us if fit.is_ready else None,
    )


@click.command(short_help="List recorded traffic, decoded.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="Only this message, e.g. FAULT; may be given again.")
@click.option("--hide", multiple=True, metavar="NAME", help="All but this message, e.g. HEARTBEAT; may be given again.")
@common_options
def replay(file: Path, only: tuple[str, ...], hide: tuple[str, ...], as_json: bool, verbose: int, quiet: bool) -> None:
    """List the recorded traffic of FILE: time, direction and every message in words; damaged frames in their places.

    `>` goes to the controller, `<` comes from it.

    Example: sortloop-link replay run.sel1 --hide HEARTBEAT --hide STATUS
    """
    from firmware_bridge.reports import traffic_report  # noqa: PLC0415
    from firmware_bridge.traffic import describe_traffic  # noqa: PLC0415
    from firmware_bridge.traffic_file import read_traffic  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    reader = read_traffic(file)
    wanted, unwanted = {name.upper() for name in only}, {name.upper() for name in hide}
    count = damaged = unknown = 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for frame in describe_traffic(reader):
        count += 1
        damaged += frame.epoch8 is None
        unknown += frame.epoch8 is not None and frame.message is None
        if (not wanted or frame.name in wanted) and frame.name not in unwanted:
            report = traffic_report(frame, reader.utc_of(frame.t_ns))
            print_result(report, _frame_text(frame, reader, width), as_json=as_json)
    torn = f", {reader.torn_b} B at the end torn or damaged" if reader.torn_b else ""
    click.echo(f"{count} frames, {damaged} damaged, {unknown} not understood{torn}", err=True)


def _frame_text(frame: "TrafficLine", reader: "TrafficReader", width: int | None) -> str:
    """Return one frame; on a terminal long ones go on below, indented."""
    from firmware_bridge.traffic_file import TrafficKind  # noqa: PLC0415

    arrow = ">" if frame.kind is TrafficKind.TO_BOARD else "<"
    seq = "" if frame.seq is None else str(frame.seq)
    at_s = (frame.t_ns - reader.start_ns) / 1e9
    text = f"{at_s:12.6f} {arrow} {frame.name:<13} {seq:>5}  {frame.text}".rstrip()
    if width is None:
        return text
    return textwrap.fill(text, width - 1, subsequent_indent=" " * 36, break_long_words=False, break_on_hyphens=False)
