"""`sortloop-link doctor`: looks at port, line and controller, and says what is wrong and what to do."""

import shutil
from typing import Final, Literal

import click

from firmware_bridge.cli_shared import Line, lang_option, open_line, port_options_optional, show_progress
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

__all__ = ["doctor"]

_MAX_COLUMNS: Final = 100  # longer lines are hard to read


@click.command(short_help="Find out what is wrong and what to do.")
@port_options_optional
@click.option("--for-s", default=3.0, show_default=True, type=click.FloatRange(0, 3600), help="How long to watch.")
@click.option(
    "--pings", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Round trips to measure."
)
@click.option(
    "--explain", "name", metavar="NAME", help="Explain a state, fault or reason from a log, and look at nothing."
)
@lang_option
@click.pass_context
@common_options
def doctor(
    context: click.Context,
    line: Line,
    for_s: float,
    pings: int,
    name: str | None,
    lang: Literal["en", "zh-CN"],
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Examine port, line and controller; say of everything that is wrong what it is, why, and what to do.

    It moves nothing, but it opens a session, which sets the watchdog to 250 ms and clears faults (told before):
    not while the machine is sorting.

    Exit code 1: something is wrong; 4: the controller cannot be reached.

    Example: sortloop-link doctor --port /dev/ttyACM0
    """
    configure_logs(verbose=verbose, quiet=quiet)
    require(name is not None or bool(line.port), "missing option '--port' (or --explain NAME)")
    columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS)
    if name is not None:
        _explain(name, lang, columns, as_json=as_json)
        return
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415 - not for --help
    from firmware_bridge.doctor import DoctorLimits, Severity, diagnose  # noqa: PLC0415
    from firmware_bridge.doctor_examine import examine  # noqa: PLC0415
    from firmware_bridge.doctor_probe import ProbeSettings  # noqa: PLC0415
    from firmware_bridge.reports_doctor import doctor_report, doctor_text  # noqa: PLC0415

    clock, settings = SystemClock(), ProbeSettings(pings=pings, watch_s=for_s)
    facts = examine(
        line.port, line.baud, lambda: open_line(line, clock), clock, settings=settings, on_progress=show_progress
    )
    findings = diagnose(facts, DoctorLimits())
    report = doctor_report(facts, findings, lang)
    print_result(report, doctor_text(facts, findings, lang, columns), as_json=as_json)
    if not report.is_answering:
        context.exit(4)
    context.exit(1 if findings[0].severity is Severity.ERROR else 0)


def _explain(name: str, lang: Literal["en", "zh-CN"], columns: int, *, as_json: bool) -> None:
    from firmware_bridge.explanations import explain, names  # noqa: PLC0415 - not for --help
    from firmware_bridge.reports_doctor import explain_report, explanation_text  # noqa: PLC0415

    require(name.upper() in names(), f"no code {name}; there are: {', '.join(names())}")
    said = explain(name)
    print_result(
        explain_report(name.upper(), said, lang), explanation_text(name.upper(), said, lang, columns), as_json=as_json
    )
