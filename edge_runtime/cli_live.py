"""Commands of the live machine: run, status. They parse, call, print."""

from pathlib import Path

import click

from edge_runtime.cli_options import EXISTING, NEW
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["run"]


@click.command(epilog="Example: sortloop-edge run --config /etc/sortloop/machine.toml --armed")
@click.option("--config", "machine_path", type=EXISTING, required=True, help="Machine file.")
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

    Exit code 7: a process ended too often, or deadlines cannot be kept; the machine is in its safe state.
    """
    from edge_runtime.live.run import LiveRun, RunWish  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.live.run_text import run_text  # noqa: PLC0415
    from edge_runtime.live.stop_signals import StopSignals  # noqa: PLC0415
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415

    configure_logs(verbose=max(verbose, 1), quiet=quiet)
    live = LiveRun(RunWish(machine_path, model_path, armed, lot, teach_class, purity, record, for_s), SystemClock())
    with StopSignals() as signals:
        report = live.run(signals.has_come)
    print_result(report, run_text(report), as_json=as_json)
