"""sortloop-train: the technician's command line. It parses, calls, prints; it knows no rule of its own."""

from pathlib import Path
from typing import Literal

import click
import msgspec

from edge_runtime.config import load_settings
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import (
    common_options,
    configure_logs,
    print_result,
    product_version,
    run_command_line,
)

__all__ = ["main"]

_existing = click.Path(exists=True, path_type=Path)
_new = click.Path(path_type=Path)


@click.group(epilog="Example: sortloop-train import samples/ --pool rice.pool")
@click.version_option(product_version(), prog_name="sortloop-train")
def cli() -> None:
    """Teach an optical sorter: samples to a model, and its mistakes to a better one.

    Exit codes: 0 ok, 1 refused by quality, 2 usage, 3 settings, 5 data or storage, 70 a bug, 130 interrupted.
    """


@cli.command(epilog="Example: sortloop-train demo --out demo-out")
@click.option("--out", type=_new, default=Path("demo-out"), show_default=True, help="Folder for everything it makes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of grains, belts and training.")
@click.option(
    "--new-season-share",
    type=click.FloatRange(0, 1),
    default=None,
    help="Share of the machine's pieces that look as the laboratory never saw them; about one in sixteen if left out.",
)
@click.option("--lang", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Of the result.")
@common_options
def demo(
    out: Path,
    seed: int,
    new_season_share: float | None,
    lang: Literal["en", "zh-CN"],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Run the whole loop on the virtual sorting machine: train, sort, learn from the mistakes, sort better."""
    from trainer.demo_report import write_demo_report  # noqa: PLC0415 - heavy imports wait for their command
    from trainer.demo_text import demo_text  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.trial import TrialSettings, run_trial  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with TerminalProgress(quiet=quiet or as_json) as progress:
        settings = TrialSettings(seed=seed)
        if new_season_share is not None:
            settings = msgspec.structs.replace(settings, new_season_share=new_season_share)
        result = run_trial(out, settings, SystemClock(), progress)
    page = write_demo_report(result, out)
    print_result(result, f"{demo_text(result, lang)}\n{page}", as_json=as_json)


@cli.command("import", epilog="Example: sortloop-train import samples/train.tar --pool rice.pool")
@click.argument("source", type=_existing)
@click.option("--pool", "pool_path", type=_new, required=True, help="Pool file; made if it does not exist.")
@click.option(
    "--mask",
    type=click.Choice(["auto", "object", "full"]),
    default="auto",
    show_default=True,
    help="Cut objects out, or take whole pictures; decided once for a pool.",
)
@common_options
def import_command(
    source: Path,
    pool_path: Path,
    mask: Literal["auto", "object", "full"],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Import class folders, a tar of them, or a CSV manifest into a pool."""
    from trainer.import_text import import_text  # noqa: PLC0415
    from trainer.importer import ImportOptions, import_samples  # noqa: PLC0415
    from trainer.pool import Pool  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path, create=True) as pool, TerminalProgress(quiet=quiet or as_json) as progress:
        report = import_samples(source, pool, ImportOptions(mask=mask), SystemClock(), progress)
    print_result(report, import_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-train run --pool rice.pool --out runs/rice-1")
@click.option("--pool", "pool_path", type=_existing, required=True, help="Pool file with at least two classes.")
@click.option("--out", type=_new, required=True, help="Folder of the run; an interrupted run goes on there.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=None, help="Of weights, order, augmentation.")
@click.option("--base", type=_existing, default=None, help="Folder of a finished run on this pool to continue.")
@click.option("--eject", multiple=True, metavar="CLASS", help="Class that the new recipe throws out; may be repeated.")
@click.option("--config", type=_existing, default=None, help="TOML file of settings; see docs/config-reference.md.")
@click.option("--set", "overrides", multiple=True, help="One setting, as key=value; may be repeated.")
@common_options
def run(
    pool_path: Path,
    out: Path,
    seed: int | None,
    base: Path | None,
    eject: tuple[str, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Run the norm-balanced loop and leave a model folder in OUT/model."""
    from trainer.pool import Pool  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.report import write_report  # noqa: PLC0415
    from trainer.reports import run_report  # noqa: PLC0415
    from trainer.run import MODEL_FOLDER, RunPlan, load_timing  # noqa: PLC0415
    from trainer.run import run as run_loop  # noqa: PLC0415
    from trainer.run_text import run_text  # noqa: PLC0415
    from trainer.settings import RunSettings  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    texts = overrides if seed is None else (*overrides, f"seed={seed}")
    settings = load_settings(config, RunSettings, texts)
    with Pool.open(pool_path) as pool, TerminalProgress(quiet=quiet or as_json) as progress:
        result = run_loop(
            pool, RunPlan(out, settings, base, actions=dict.fromkeys(eject, "eject")), SystemClock(), progress
        )
        write_report(pool, result, out)
    report = run_report(result, load_timing(out), str(out / MODEL_FOLDER))
    print_result(report, run_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-train evaluate runs/rice-1/model --data samples/test.tar")
@click.argument("model", type=_existing)
@click.option("--data", type=_existing, required=True, help="Class folders, tar or manifest, never trained on.")
@common_options
def evaluate(model: Path, data: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Judge a model on labelled pictures that it has never seen."""
    from edge_runtime.model import load_model_folder  # noqa: PLC0415
    from trainer.evaluate import evaluate_folder  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.run_text import evaluate_text  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with TerminalProgress(quiet=quiet or as_json) as progress:
        report = evaluate_folder(load_model_folder(model), data, progress)
    print_result(report, evaluate_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-train pool rice.pool")
@click.argument("pool_path", metavar="POOL", type=_existing)
@common_options
def pool(pool_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show what a pool holds."""
    from trainer.pool import Pool  # noqa: PLC0415
    from trainer.reports import PoolReport  # noqa: PLC0415
    from trainer.run_text import pool_text  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as opened:
        counts = opened.counts()
        report = PoolReport(counts.active, counts.conflict, counts.withdrawn, opened.digest())
    print_result(report, pool_text(report), as_json=as_json)


@cli.command(epilog="Example: sortloop-train intake stick/residuals.slrx --pool rice.pool")
@click.argument("export", type=_existing)
@click.option("--pool", "pool_path", type=_existing, required=True, help="Pool that the machine's model came from.")
@common_options
def intake(export: Path, pool_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Take mistakes recorded by a machine into the pool, each exactly once; writes a receipt beside EXPORT."""
    from edge_runtime.receipt import write_receipt  # noqa: PLC0415
    from edge_runtime.residual_export import read_export  # noqa: PLC0415
    from trainer.intake import receipt_path, take_in  # noqa: PLC0415
    from trainer.pool import Pool  # noqa: PLC0415
    from trainer.run_text import intake_text  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as opened:
        report, receipt = take_in(read_export(export), opened, SystemClock())
    write_receipt(receipt_path(export), receipt)
    print_result(report, intake_text(report), as_json=as_json)


def main() -> None:
    """Run sortloop-train and leave with its exit code.

    Raises:
        SystemExit: always.
    """
    run_command_line(cli)
