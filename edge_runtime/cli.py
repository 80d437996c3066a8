"""sortloop-edge: the machine's command line. It parses, calls, prints; it knows no rule of its own."""

import sys
from pathlib import Path

import click

from edge_runtime.cli_doctor import doctor
from edge_runtime.cli_live import arm, disarm, run, status, swap
from edge_runtime.cli_options import (
    EXISTING,
    NEW,
    camera_option,
    machine_option,
    model_option,
    overrides_option,
    recipe_option,
)
from edge_runtime.cli_residual import residual
from edge_runtime.cli_vision import recipe, replay
from edge_runtime.cli_world import world
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import (
    common_options,
    configure_logs,
    print_result,
    product_version,
    require,
    run_command_line,
)

__all__ = ["main"]


@click.group(epilog="Example: sortloop-edge replay recording/ --model runs/rice-1/model")
@click.version_option(product_version(), prog_name="sortloop-edge")
def cli() -> None:
    """Sort: camera to valve, and a record of every mistake whose truth is known.

    Exit codes: 0 ok, 1 the answer is no, 2 usage, 3 configuration, 4 link, 5 data or storage, 7 overload, 70 a bug.
    """


for command in (run, arm, disarm, swap, status, doctor, replay, recipe, residual, world):
    cli.add_command(command)


@cli.command(epilog="Example: sortloop-edge teach lot/ --class stone --model runs/rice-1/model --spool spool/")
@click.argument("source", type=EXISTING)
@click.option("--class", "label", required=True, help="Class of every piece of the lot.")
@click.option("--purity", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share truly of it.")
@click.option("--lot", default="teach", show_default=True, help="Name of the lot in the records.")
@click.option("--spool", "spool_path", type=NEW, required=True, help="Spool folder; made if it does not exist.")
@model_option
@recipe_option
@machine_option
@camera_option
@overrides_option
@common_options
def teach(
    source: Path,
    label: str,
    purity: float,
    lot: str,
    spool_path: Path,
    model_path: Path,
    recipe: Path | None,
    machine_path: Path | None,
    camera: str | None,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Sort a recording of a pure lot and record what the model gets wrong (truth source T0)."""
    from edge_runtime.recorder import Recorder  # noqa: PLC0415
    from edge_runtime.reports_text import teach_text  # noqa: PLC0415
    from edge_runtime.residual import Truth  # noqa: PLC0415
    from edge_runtime.setup import open_sorter, origin_of  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415
    from edge_runtime.teach import teach as teach_lot  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    clock = SystemClock()
    setup = open_sorter(model_path, recipe, machine=machine_path, overrides=overrides, camera=camera)
    with Spool.open(spool_path, clock=clock) as spool:
        recorder = Recorder(spool, origin_of(setup, lot), clock)
        truth = Truth("T0", label, strength=purity, who="teach")
        report = teach_lot(source, setup.sorter, setup.machine, recorder, truth=truth)
    print_result(report, teach_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-edge simulate --model demo-out/runs/first/model --pieces 2000")
@model_option
@click.option("--pieces", type=click.IntRange(1), default=2000, show_default=True, help="Pieces on the belt.")
@click.option("--rate", type=click.FloatRange(1), default=500.0, show_default=True, help="Pieces a second.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of everything random.")
@click.option("--teach", "teach_class", default="", help="Run a pure lot of this class with the valves off.")
@click.option("--grains", type=EXISTING, default=None, help="Class folders of real crops; else rendered grains.")
@click.option("--spool", "spool_path", type=NEW, default=None, help="Record mistakes into this spool folder.")
@common_options
def simulate(
    model_path: Path,
    pieces: int,
    rate: float,
    seed: int,
    teach_class: str,
    grains: Path | None,
    spool_path: Path | None,
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Run the virtual sorting machine: belt, camera, model, link, valves and inspection."""
    from edge_runtime.reports_text import virtual_text  # noqa: PLC0415
    from edge_runtime.simulate import Simulation, even_mix, simulate_machine  # noqa: PLC0415
    from edge_runtime.virtual_run import VirtualRun  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    run = VirtualRun(even_mix(model_path), pieces=pieces, rate_hz=rate, seed=seed, teach_class=teach_class)
    simulation = Simulation(model_path, run, grains=grains, spool=spool_path)
    report = simulate_machine(simulation, SystemClock())
    print_result(report, virtual_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-edge check --model runs/rice-1/model --machine /etc/sortloop/machine.toml")
@click.option("--model", "model_path", type=EXISTING, default=None, help="Model folder: files, digests, golden crops.")
@click.option("--recipe", type=EXISTING, default=None, help="Recipe file.")
@click.option("--machine", "machine_path", type=EXISTING, default=None, help="Machine file.")
@common_options
def check(
    model_path: Path | None,
    recipe: Path | None,
    machine_path: Path | None,
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Prove that settings and model are what they should be; nothing is changed.

    A model is tried in a process of its own, with limits of memory and time: whatever it does, this command ends.
    """
    from edge_runtime.check import check_files  # noqa: PLC0415
    from edge_runtime.reports import CheckReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(any((model_path, recipe, machine_path)), "give at least one of --model, --recipe and --machine")
    report = CheckReport(check_files(model_path, recipe, machine_path))
    print_result(report, "\n".join(f"{name}: {found}" for name, found in report.files.items()), as_json=as_json)


@cli.command(epilog="Example: sortloop-edge tune --model runs/rice-1/model")
@model_option
@common_options
def tune(model_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Measure in which form a model runs best on this board, and write that beside its folder.

    FP32 and INT8, by onnxruntime and by OpenVINO where it is installed; each must pass the gate of `check` first.
    """
    from edge_runtime.tune import tune as choose  # noqa: PLC0415
    from edge_runtime.tune import tune_text  # noqa: PLC0415
    from firmware_bridge.clock import CpuClock  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    record = choose(model_path, CpuClock())
    print_result(record, tune_text(record, model_path), as_json=as_json)


@cli.command(epilog="Example: sortloop-edge calibrate --dark dark/ --white white/ --out /etc/sortloop/calibration")
@click.option("--dark", type=EXISTING, required=True, help="Recording with the lamps off.")
@click.option("--white", type=EXISTING, required=True, help="Recording of a white surface that fills the view.")
@click.option("--out", type=NEW, required=True, help="Folder `calibration` beside the machine file.")
@click.option("--camera", default="top", show_default=True, help="Name of the view, as in the machine file.")
@click.option("--area", is_flag=True, help="Each pixel by itself; else each column, as for a line camera.")
@click.option(
    "--target", type=click.IntRange(1, 255), default=230, show_default=True, help="Level of white afterwards."
)
@common_options
def calibrate(
    dark: Path,
    white: Path,
    out: Path,
    camera: str,
    target: int,
    *,
    area: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Measure how uneven light and camera are, and write what evens them out.

    Exit code 1: the recordings are too bright, too dark or too uneven; what lay in OUT stays.
    """
    from edge_runtime.calibrate import Calibration, calibrate_text  # noqa: PLC0415
    from edge_runtime.calibrate import calibrate as measure  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    report = measure(Calibration(camera, dark, white, out, is_area=area, target=target))
    print_result(report, calibrate_text(report), as_json=as_json)
    if report.verdict != "good":
        sys.exit(1)


def main() -> None:
    """Run sortloop-edge and leave with its exit code.

    Raises:
        SystemExit: always.
    """
    run_command_line(cli)
