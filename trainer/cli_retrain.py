"""The technician's command: retrain. It parses, calls, prints."""

from pathlib import Path

import click

from edge_runtime.config import override_settings
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["retrain"]

_existing = click.Path(exists=True, path_type=Path)


@click.command(epilog="Example: sortloop-train retrain --pool rice.pool --base runs/rice-1 --out runs/rice-2")
@click.option("--pool", "pool_path", type=_existing, required=True, help="Pool that took the machine's mistakes in.")
@click.option("--base", type=_existing, required=True, help="Folder of the run whose model is in the machine.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for everything it makes.")
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Recall that a class may lose against the base; one sample may always be lost.",
)
@click.option("--set", "overrides", multiple=True, help="One setting, as key=value; may be repeated.")
@common_options
def retrain(
    pool_path: Path,
    base: Path,
    out: Path,
    max_loss: float,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Learn what a machine got wrong, and refuse a model that is worse at anything: OUT/model, OUT/retrain.html.

    Exit code 1: a class lost more recall than allowed, or nothing new was there to learn.
    """
    from trainer.command_text import retrain_text  # noqa: PLC0415 - heavy imports wait for their command
    from trainer.loop.results import load_result  # noqa: PLC0415
    from trainer.loop.retrain import RUN_FOLDER, RetrainPlan, continue_settings, require_accepted  # noqa: PLC0415
    from trainer.loop.retrain import retrain as continue_run  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.report.retrain_page import write_retrain_page  # noqa: PLC0415
    from trainer.report.run_report import write_report  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as pool, TerminalProgress(quiet=quiet or as_json) as progress:
        settings = override_settings(continue_settings(pool, base), overrides)
        plan = RetrainPlan(out, base, settings, max_loss)
        report = continue_run(pool, plan, SystemClock(), progress)
        write_report(pool, load_result(out / RUN_FOLDER), out / RUN_FOLDER)
        write_retrain_page(pool, plan, report)
    print_result(report, retrain_text(report), as_json=as_json)
    require_accepted(report)
