"""Commands about what a pool holds: show, relabel, withdraw, review, name. They parse, call, print."""

from pathlib import Path

import click

from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["pool"]

_existing = click.Path(exists=True, path_type=Path)


@click.group(epilog="Example: sortloop-train pool show rice.pool")
def pool() -> None:
    """Look at a pool, and decide about its samples."""


@pool.command(epilog="Example: sortloop-train pool show rice.pool")
@click.argument("pool_path", metavar="POOL", type=_existing)
@common_options
def show(pool_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show what a pool holds."""
    from trainer.command_text import pool_text  # noqa: PLC0415 - heavy imports wait for their command
    from trainer.pool.pool import Pool  # noqa: PLC0415
    from trainer.pool.samples import PoolReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as opened:
        counts = opened.counts()
        report = PoolReport(counts.active, counts.conflict, counts.withdrawn, opened.digest())
    print_result(report, pool_text(report), as_json=as_json)


@pool.command(epilog="Example: sortloop-train pool relabel rice.pool 315f93 --class stone --who ann --why looked")
@click.argument("pool_path", metavar="POOL", type=_existing)
@click.argument("sample")
@click.option("--class", "class_name", required=True, help="The label that it gets.")
@click.option("--who", required=True, help="Who decided.")
@click.option("--why", required=True, help="On what ground.")
@click.option("--new-class", is_flag=True, help="The label may be a class that the pool does not have yet.")
@common_options
def relabel(
    pool_path: Path,
    sample: str,
    class_name: str,
    who: str,
    why: str,
    *,
    new_class: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Put a label on SAMPLE (first 6 digits of its id or more); a withdrawn or conflicting one is used again."""
    configure_logs(verbose=verbose, quiet=quiet)
    _decide(pool_path, sample, f"relabel:{class_name}", (who, why, new_class), as_json=as_json)


@pool.command(epilog="Example: sortloop-train pool withdraw rice.pool 315f93 --who ann --why 'half a grain'")
@click.argument("pool_path", metavar="POOL", type=_existing)
@click.argument("sample")
@click.option("--who", required=True, help="Who decided.")
@click.option("--why", required=True, help="On what ground.")
@common_options
def withdraw(pool_path: Path, sample: str, who: str, why: str, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Take SAMPLE (first 6 digits of its id or more) out of all use; relabel brings it back."""
    configure_logs(verbose=verbose, quiet=quiet)
    _decide(pool_path, sample, "withdraw", (who, why, False), as_json=as_json)


@pool.command(epilog="Example: sortloop-train pool review rice.pool runs/rice-1/quarantine.csv --who ann")
@click.argument("pool_path", metavar="POOL", type=_existing)
@click.argument("review_list", metavar="REVIEW.csv", type=_existing)
@click.option("--who", required=True, help="Who decided.")
@click.option("--new-class", is_flag=True, help="Labels may be of classes that the pool does not have yet.")
@common_options
def review(
    pool_path: Path, review_list: Path, who: str, *, new_class: bool, as_json: bool, verbose: int, quiet: bool
) -> None:
    """Do what a filled-in review list says: keep, relabel:CLASS or withdraw in its decision column; all or nothing."""
    from trainer.command_text import review_text  # noqa: PLC0415
    from trainer.pool.decisions import Stamp, apply_review  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    stamp = Stamp(who, f"review list {review_list.name}", SystemClock().utc_now().isoformat(), new_class)
    with Pool.open(pool_path) as opened:
        report = apply_review(opened, review_list, stamp)
    print_result(report, review_text(report), as_json=as_json)


@pool.command(epilog="Example: sortloop-train pool name beans.pool beans-sets/clusters.csv --who ann")
@click.argument("pool_path", metavar="POOL", type=_existing)
@click.argument("clusters", metavar="CLUSTERS.csv", type=_existing)
@click.option("--who", required=True, help="Who named them.")
@common_options
def name(pool_path: Path, clusters: Path, who: str, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Give the sets that classify found their classes, as a filled-in list says; all of it or nothing."""
    from trainer.command_text import naming_text  # noqa: PLC0415
    from trainer.pool.decisions import Stamp  # noqa: PLC0415
    from trainer.pool.naming import name_clusters  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    stamp = Stamp(who, f"list of sets {clusters.name}", SystemClock().utc_now().isoformat())
    with Pool.open(pool_path) as opened:
        report = name_clusters(opened, clusters, stamp)
    print_result(report, naming_text(report), as_json=as_json)


def _decide(pool_path: Path, sample: str, decision: str, words: tuple[str, str, bool], *, as_json: bool) -> None:
    """Carry one decision out and print what the pool then says."""
    from trainer.command_text import review_text  # noqa: PLC0415
    from trainer.pool.decisions import ReviewReport, Stamp, decide, decision_of, find_sample  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415

    who, why, is_new_class_allowed = words
    stamp = Stamp(who, why, SystemClock().utc_now().isoformat(), is_new_class_allowed)
    with Pool.open(pool_path) as opened:
        decided = decision_of(decision, "the command line")
        decide(opened, find_sample(opened, sample), decided, stamp)
        is_relabel = decided.kind == "relabel"
        report = ReviewReport(0, int(is_relabel), int(not is_relabel), 0, opened.digest())
    print_result(report, review_text(report), as_json=as_json)
