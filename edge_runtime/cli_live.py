"""Commands of the live machine: run, status. They parse, call, print."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.cli_options import EXISTING, NEW
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

if TYPE_CHECKING:
    from edge_runtime.live.commands import Command

__all__ = ["arm", "disarm", "run", "status", "swap"]

_config_option = click.option("--config", "machine_path", type=EXISTING, required=True, help="Machine file.")


@click.command(epilog="Example: sortloop-edge run --config /etc/sortloop/machine.toml --armed")
@_config_option
@click.option("--model", "model_path", type=EXISTING, default=None, help="Model folder; else that of [live].")
@click.option("--armed", is_flag=True, help="Let the valves fire and the feeder run; else it only looks and decides.")
@click.option("--for-s", type=click.FloatRange(0.1), default=None, help="End after so many seconds; else on Ctrl-C.")
@click.option("--lot", default="live", show_default=True, help="Name of the lot in the records.")
@click.option("--teach", "teach_class", default="", help="A pure lot of this class: valves shut, mistakes recorded.")
@click.option("--purity", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share truly of it.")
@click.option("--record", type=NEW, default=None, help="Write every frame and the digest of the decisions here.")
@common_options
def run(
    machine_path: Path,
    model_path: Path | None,
    for_s: float | None,
    lot: str,
    teach_class: str,
    purity: float,
    record: Path | None,
    *,
    armed: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Sort with real cameras and a real controller, until told to stop.

    Exit code 7: a process ended too often, or deadlines could not be kept; the machine was left in its safe state.
    """
    from edge_runtime.errors import OverloadError  # noqa: PLC0415
    from edge_runtime.live.log_lines import configure_live_logs  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.live.run import LiveRun, RunWish  # noqa: PLC0415
    from edge_runtime.live.run_text import run_text  # noqa: PLC0415
    from edge_runtime.live.stop_signals import StopSignals  # noqa: PLC0415
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415

    clock = SystemClock()
    configure_live_logs("supervisor", clock, verbose=max(verbose, 1), quiet=quiet)
    live = LiveRun(RunWish(machine_path, model_path, armed, lot, teach_class, purity, record, for_s), clock)
    with StopSignals() as signals:
        report = live.run(signals.has_come)
    print_result(report, run_text(report), as_json=as_json)
    if report.trouble and not report.wants_armed:
        sys.exit(OverloadError.exit_code)


@click.command(epilog="Example: sortloop-edge status --config /etc/sortloop/machine.toml")
@_config_option
@common_options
def status(machine_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show how the run on this computer is: its books, its processes, what to look at.

    Exit code 4: no run answers.
    """
    from edge_runtime.live.run_text import run_text  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.live.status_client import ask_status  # noqa: PLC0415
    from edge_runtime.machine_file import load_machine  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    report = ask_status(load_machine(machine_path).live.metrics_port)
    print_result(report, run_text(report), as_json=as_json)


@click.command(epilog="Example: sortloop-edge arm --config /etc/sortloop/machine.toml --armed")
@_config_option
@click.option("--armed", is_flag=True, help="Said on purpose: valves and feeder will move.")
@click.option("--feeder", type=click.IntRange(0, 1000), default=1000, show_default=True, help="Its rate in permille.")
@common_options
def arm(machine_path: Path, feeder: int, *, armed: bool, as_json: bool, verbose: int, quiet: bool) -> None:
    """Let the valves of a run that goes on fire (again) and its feeder run."""
    from edge_runtime.live.commands import Arm  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(armed, "valves and feeder will move: say --armed")
    _ask(machine_path, Arm(feeder), as_json=as_json)


@click.command(epilog="Example: sortloop-edge disarm --config /etc/sortloop/machine.toml")
@_config_option
@common_options
def disarm(machine_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Shut the valves of a run that goes on and stop its feeder."""
    from edge_runtime.live.commands import Disarm  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    _ask(machine_path, Disarm(), as_json=as_json)


@click.command(epilog="Example: sortloop-edge swap --config /etc/sortloop/machine.toml models/rice-2")
@_config_option
@click.argument("model", type=EXISTING, required=False)
@click.option("--back", is_flag=True, help="Return to the model before; it is still warm.")
@common_options
def swap(machine_path: Path, model: Path | None, *, back: bool, as_json: bool, verbose: int, quiet: bool) -> None:
    """Change the model of a run that goes on, between two frames; a bad one is refused while sorting goes on.

    Exit code 1: refused.
    """
    from edge_runtime.live.commands import Back, Swap  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require((model is None) == back, "name a model folder, or --back")
    _ask(machine_path, Back() if model is None else Swap(str(model.resolve())), as_json=as_json)


def _ask(machine_path: Path, command: "Command", *, as_json: bool) -> None:
    from edge_runtime.live.commands import ask  # noqa: PLC0415
    from edge_runtime.live.run import command_socket  # noqa: PLC0415
    from edge_runtime.machine_file import load_machine  # noqa: PLC0415

    reply = ask(command_socket(machine_path, load_machine(machine_path)), command)
    print_result(reply, reply.text, as_json=as_json)
    if reply.outcome == "refused":
        sys.exit(1)
