"""Command `world`: the virtual sorting machine in real time. It parses, calls, prints."""

from pathlib import Path

import click

from edge_runtime.cli_options import EXISTING, NEW, model_option
from firmware_bridge.clock import CpuClock, SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["world"]


@click.command(
    epilog="Example: sortloop-edge world --model runs/rice-1/model --machine machine.toml --folder /tmp/world"
)
@model_option
@click.option("--machine", "machine_path", type=EXISTING, required=True, help="Machine file: cameras, lanes, belt.")
@click.option("--folder", type=NEW, required=True, help="Where controller, cameras and outcome are; made if missing.")
@click.option("--pieces", type=click.IntRange(1), default=10_000, show_default=True, help="Pieces on the belt.")
@click.option("--rate", type=click.FloatRange(1), default=500.0, show_default=True, help="Pieces a second.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of everything random.")
@click.option("--grains", type=EXISTING, default=None, help="Class folders of real crops; else rendered grains.")
@click.option("--gap-mm", type=click.FloatRange(0), default=0.8, show_default=True, help="Room between pieces.")
@click.option("--start-s", type=click.FloatRange(0), default=None, help="Start the feeder then, whoever is there.")
@click.option("--settle-s", type=click.FloatRange(0), default=1.0, show_default=True, help="Go on after the last one.")
@click.option("--inspect", type=click.FloatRange(0, 1), default=0.0, help="Share of pieces that an inspection sees.")
@click.option("--drift-ppm", type=click.IntRange(-1000, 1000), default=0, help="Of the controller's clock.")
@click.option("--judge", is_flag=True, help="Then sort the scene again in peace; writes judgement.json.")
@click.option("--priority", type=click.IntRange(0, 99), default=0, help="Run before ordinary processes.")
@common_options
def world(
    model_path: Path,
    machine_path: Path,
    folder: Path,
    pieces: int,
    rate: float,
    seed: int,
    grains: Path | None,
    gap_mm: float,
    start_s: float | None,
    settle_s: float,
    inspect: float,
    drift_ppm: int,
    priority: int,
    *,
    judge: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Stand in for belt, cameras, controller, valves and inspection, in real time.

    The belt runs at once; the pieces come when every camera has a client and the controller is armed. SIGTERM ends it,
    SIGUSR1 cuts the controller's power, FOLDER/world.ctl takes other faults. At the end FOLDER/outcome.json is written.
    """
    from edge_runtime.realtime import RealtimeSettings  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.virtual_inspection import InspectionTraits  # noqa: PLC0415
    from edge_runtime.virtual_world import WorldSettings  # noqa: PLC0415
    from edge_runtime.virtual_world_run import WorldWish, run_world, world_text  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    settings = WorldSettings(
        seed=seed, start_s=start_s, settle_s=settle_s, drift_ppm=drift_ppm, inspection=InspectionTraits(share=inspect)
    )
    wish = WorldWish(
        model_path,
        machine_path,
        folder,
        settings,
        pieces=pieces,
        rate_hz=rate,
        min_gap_mm=gap_mm,
        grains=grains,
        realtime=RealtimeSettings(priority=priority, is_memory_locked=priority > 0),
        is_judged=judge,
    )
    report = run_world(wish, SystemClock(), CpuClock())
    print_result(report, world_text(report), as_json=as_json)
