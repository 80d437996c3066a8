"""Command `doctor` of the live machine. It parses, calls, prints."""

import sys
from pathlib import Path
from typing import Literal

import click

from edge_runtime.cli_options import EXISTING
from firmware_bridge.cli_shared import lang_option, show_progress
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["doctor"]


@click.command(epilog="Example: sortloop-edge doctor --config /etc/sortloop/machine.toml")
@click.option("--config", "machine_path", type=EXISTING, required=True, help="Machine file.")
@lang_option
@common_options
def doctor(machine_path: Path, lang: Literal["en", "zh-CN"], *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Look at everything that a live run needs, and say of each what to do.

    It moves nothing. Without a run it opens a session with the controller, which clears the faults it holds.

    Exit code 1: something is wrong, the machine would not sort.
    """
    from edge_runtime.live.doctor import Verdict, checks_of  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.live.doctor_probe import look_at  # noqa: PLC0415
    from edge_runtime.live.doctor_report import live_doctor_report, live_doctor_text  # noqa: PLC0415
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet or not verbose)  # what a warning says is among the checks
    checks = checks_of(look_at(machine_path, SystemClock(), show_progress))
    report = live_doctor_report(str(machine_path), checks, lang)
    print_result(report, live_doctor_text(checks, lang), as_json=as_json)
    if report.worst == Verdict.WRONG.name.lower():
        sys.exit(1)
