"""Commands that train and judge: run, evaluate, explain, report. They parse, call, print."""

from pathlib import Path
from typing import Literal

import click

from edge_runtime.config import load_settings
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["evaluate", "explain", "report", "run"]

_existing = click.Path(exists=True, path_type=Path)
_new = click.Path(path_type=Path)


@click.command(epilog="Example: sortloop-train run --pool rice.pool --out runs/rice-1")
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
    from trainer.command_text import run_text  # noqa: PLC0415
    from trainer.loop.results import MODEL_FOLDER  # noqa: PLC0415
    from trainer.loop.run import RunPlan  # noqa: PLC0415
    from trainer.loop.run import run as run_loop  # noqa: PLC0415
    from trainer.loop.run_record import run_report  # noqa: PLC0415
    from trainer.loop.timing import load_timing  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.report.run_report import write_report  # noqa: PLC0415
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


@click.command(epilog="Example: sortloop-train evaluate runs/rice-1/model --data samples/test.tar")
@click.argument("model", type=_existing)
@click.option("--data", type=_existing, required=True, help="Class folders, tar or manifest, never trained on.")
@common_options
def evaluate(model: Path, data: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Judge a model on labelled pictures that it has never seen."""
    from edge_runtime.model import load_model_folder  # noqa: PLC0415
    from trainer.command_text import evaluate_text  # noqa: PLC0415
    from trainer.judge.evaluate import evaluate_folder  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with TerminalProgress(quiet=quiet or as_json) as progress:
        report = evaluate_folder(load_model_folder(model), data, progress)
    print_result(report, evaluate_text(report), as_json=as_json)


@click.command(epilog="Example: sortloop-train explain 315f9377 --pool rice.pool --run runs/rice-1")
@click.argument("sample")
@click.option("--pool", "pool_path", type=_existing, required=True, help="The run's pool.")
@click.option("--run", "run_folder", type=_existing, required=True, help="Folder of a finished run.")
@common_options
def explain(sample: str, pool_path: Path, run_folder: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Tell the story of a SAMPLE (first digits of its id): who named it, when it was drawn, what each round said."""
    from trainer.command_text import explain_text  # noqa: PLC0415
    from trainer.loop.explain import explain_sample  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as pool:
        report = explain_sample(pool, run_folder, sample)
    print_result(report, explain_text(report), as_json=as_json)


@click.command(epilog="Example: sortloop-train report runs/rice-1 runs/rice-2 --out compared.html")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=_existing)
@click.option("--out", type=_new, required=True, help="HTML page to write.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Shown first.")
@common_options
def report(
    runs: tuple[Path, ...], out: Path, language: Literal["en", "zh-CN"], *, as_json: bool, verbose: int, quiet: bool
) -> None:
    """Put finished runs side by side on one page; the first is what the others are compared with.

    Each run has a page of its own already: report.html in its folder.
    """
    from trainer.command_text import comparison_text  # noqa: PLC0415
    from trainer.report.comparison_page import compare_runs, write_comparison  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    compared = compare_runs(runs)
    write_comparison(compared, out, language)
    print_result(compared, comparison_text(compared), as_json=as_json)
