"""The command that compares the loop with what a user would pick instead: bench."""

from pathlib import Path
from typing import Literal

import click

from edge_runtime.config import load_settings
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["bench"]

_SUITES = ("core", "longtail", "noise", "selectors", "baselines", "final", "int8")
_existing = click.Path(exists=True, path_type=Path)
_new = click.Path(path_type=Path)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


@click.command(epilog="Example: sortloop-train bench DATA --out bench-out --sets rice_varieties --seeds 0-9 --jobs 2")
@click.argument("data", type=_existing)
@click.option("--out", type=_new, required=True, help="Folder of pools and rows; finished rows are never run again.")
@click.option("--suite", type=click.Choice(_SUITES), default="core", show_default=True, help="Which comparison.")
@click.option("--sets", default="", help="Folders in DATA, with commas; all if left out.")
@click.option("--arms", default="", help="Contenders, with commas; those of the suite if left out.")
@click.option("--seeds", default="0-9", show_default=True, help="Numbers and ranges, with commas.")
@click.option("--jobs", type=click.IntRange(0, 256), default=1, show_default=True, help="Processes; 0 uses this one.")
@click.option("--only-tables", is_flag=True, help="Run nothing: show what the finished rows say.")
@click.option("--write-docs", type=_existing, default=None, help="Page to put the tables into, between its marks.")
@click.option("--config", type=_existing, default=None, help="TOML file of settings; see docs/config-reference.md.")
@click.option("--set", "overrides", multiple=True, help="One setting for all arms, as key=value; may be repeated.")
@common_options
@click.pass_context
def bench(
    context: click.Context,
    data: Path,
    out: Path,
    suite: Literal["core", "longtail", "noise", "selectors", "baselines", "final", "int8"],
    sets: str,
    arms: str,
    seeds: str,
    jobs: int,
    only_tables: bool,
    write_docs: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Compare the loop with other ways to train on the sets of DATA, row by row; an interrupted call goes on.

    Exit code 1: a row failed; the others stand.
    """
    from trainer.bench.bench import BenchPlan, choose_arms, find_sets, read_bench, run_bench  # noqa: PLC0415
    from trainer.bench.docs_page import suite_tables, write_page  # noqa: PLC0415
    from trainer.bench.tables import markdown  # noqa: PLC0415
    from trainer.bench.work_plan import parse_seeds  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415
    from trainer.settings import RunSettings  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    settings = load_settings(config, RunSettings, overrides)
    named_arms = _names(arms)
    chosen, left_out = choose_arms(suite, named_arms, settings)
    found = find_sets(data, out, _names(sets))
    plan = BenchPlan(data, out, suite, found, chosen, parse_seeds(seeds), settings, jobs, named_arms, config, overrides)
    with TerminalProgress(quiet=quiet) as progress:
        report = read_bench(plan, left_out) if only_tables else run_bench(plan, left_out, SystemClock(), progress)
    tables = suite_tables(plan, report.rows, report.failed, left_out)
    if write_docs is not None:
        write_page(write_docs, tables)
    print_result(report, markdown(tables), as_json=as_json)
    if report.failed:
        context.exit(1)
