"""`sortloop-link bench`: how fast this computer codes, or how fast a line is."""

import click

from firmware_bridge.cli_shared import Line, open_line, port_options_optional, show_progress, table_text
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["bench"]


@click.command(short_help="Measure the speed of codec or line.")
@port_options_optional
@click.option(
    "--for-s", default=1.0, show_default=True, type=click.FloatRange(0.001, 60), help="How long to measure each figure."
)
@click.option(
    "--pings", default=500, show_default=True, type=click.IntRange(1, 100_000), help="Round trips to measure."
)
@common_options
def bench(line: Line, for_s: float, pings: int, as_json: bool, verbose: int, quiet: bool) -> None:
    """Measure speed: without --port of this computer's codec, with it of the line and the controller.

    It never fires: the controller stays in IDLE. It opens a session: not while the machine is sorting.

    Example: sortloop-link bench --port /dev/ttyACM0
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415 - not for --help
    from firmware_bridge.histogram import histogram_rows  # noqa: PLC0415
    from firmware_bridge.link_bench import LineBench, codec_figures  # noqa: PLC0415
    from firmware_bridge.native_build import is_native_available  # noqa: PLC0415
    from firmware_bridge.reports_bench import BenchReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    clock = SystemClock()
    has_native = is_native_available()
    try:
        if line.port:
            with open_line(line, clock) as transport:
                figures = LineBench(transport, clock, show_progress).run(pings=pings, flood_s=for_s)
            report = BenchReport(
                port=line.port,
                has_native=has_native,
                rows=figures.rows,
                histogram=figures.histogram,
                lost=figures.lost,
            )
        else:
            rows = []
            for figure in codec_figures(clock, for_s=for_s):
                rows.append(figure)
                show_progress(figure.name)
            report = BenchReport(port=None, has_native=has_native, rows=tuple(rows))
    finally:
        show_progress("")
    cells = [
        (row.name, f"{row.value:,.3f}" if row.value < 100 else f"{row.value:,.0f}", row.unit) for row in report.rows
    ]
    text = [table_text(("what", "how fast", "unit"), cells)]
    if report.histogram:
        text += ["", "round trips", *histogram_rows(report.histogram)]
    if report.lost:
        text.append(f"{report.lost} were never answered")
    if not has_native and not line.port:
        text.append("no C compiler here: the C codec was not measured")
    print_result(report, "\n".join(text), as_json=as_json)
