"""Commands on recorded mistakes: list, show, export, delivered, purge. They parse, call, print."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edge_runtime.cli_options import EXISTING, NEW
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

if TYPE_CHECKING:
    from edge_runtime.residual_view import Wanted

__all__ = ["FAILURES", "SOURCES", "residual"]

FAILURES: Final = ("misclassified", "late", "not_deflected", "audit", "candidate")
SOURCES: Final = ("T0", "T1", "T2", "T3", "T5", "T6", "T7", "T8")
_failure_option = click.option("--failure", type=click.Choice(FAILURES), default=None, help="Only of this kind.")
_source_option = click.option("--source", type=click.Choice(SOURCES), default=None, help="Only from this truth source.")
_lot_option = click.option("--lot", default=None, help="Only of this lot.")
_label_option = click.option("--class", "label", default=None, help="Only of this class.")


@click.group(epilog="Example: sortloop-edge residual export spool/ --out stick/residuals.slrx")
def residual() -> None:
    """Look at, export, release and give up recorded mistakes."""


@residual.command("list", epilog="Example: sortloop-edge residual list spool/")
@click.argument("spool_path", metavar="SPOOL", type=EXISTING)
@common_options
def residual_list(spool_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show what a spool holds, by what quotas count, and the error rate that its audit slice tells."""
    from edge_runtime.audit_estimate import audit_estimate  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.reports import SpoolReport  # noqa: PLC0415
    from edge_runtime.reports_text import spool_text  # noqa: PLC0415
    from edge_runtime.residual_view import kept_counts  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Spool.open(spool_path, clock=SystemClock()) as spool:
        headers = [record.header for record in spool.records()]
        counts = spool.counts()
    report = SpoolReport(
        counts,
        dict(sorted(Counter(header.truth.source for header in headers).items())),
        dict(sorted(Counter(header.truth.label for header in headers).items())),
        dict(sorted(Counter(header.failure for header in headers).items())),
        kept_counts(headers),
        audit_estimate(headers),
    )
    print_result(report, spool_text(report), as_json=as_json)


@residual.command("show", epilog="Example: sortloop-edge residual show spool/ --failure candidate --out look/")
@click.argument("spool_path", metavar="SPOOL", type=EXISTING)
@click.argument("record_id", metavar="[ID]", default="")
@_failure_option
@_source_option
@_lot_option
@_label_option
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, help="Records to show.")
@click.option("--out", type=NEW, default=None, help="Folder for their crops: a PNG each, and sheet.png of all.")
@common_options
def residual_show(
    spool_path: Path,
    record_id: str,
    failure: str | None,
    source: str | None,
    lot: str | None,
    label: str | None,
    most: int,
    out: Path | None,
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Show records and their crops; those first in which the model most surely contradicts the label.

    ID may be cut short. Exit code 1: there is no such record.
    """
    from edge_runtime.reports_text import show_text  # noqa: PLC0415
    from edge_runtime.residual_files import Showing, show  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    wanted = _wanted(failure, source, lot, label)
    with Spool.open(spool_path, clock=SystemClock()) as spool:
        report = show(spool, Showing(wanted, id_prefix=record_id.lower(), most=most, folder=out))
    print_result(report, show_text(report), as_json=as_json)
    if record_id and not report.records:
        raise click.exceptions.Exit(1)


@residual.command("purge", epilog="Example: sortloop-edge residual purge spool/ --lot teach --source T0 --yes")
@click.argument("spool_path", metavar="SPOOL", type=EXISTING)
@_failure_option
@_source_option
@_lot_option
@_label_option
@click.option("--older", type=click.IntRange(0, 36_500), default=None, help="Only recorded more than so many days ago.")
@click.option("--yes", is_flag=True, help="Do it; else only say how many there are.")
@common_options
def residual_purge(
    spool_path: Path,
    failure: str | None,
    source: str | None,
    lot: str | None,
    label: str | None,
    older: int | None,
    *,
    yes: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Give up records for good, such as those of a lot whose class was stated wrongly.

    They are counted as evicted, reason `purged`. At least one option must say which.
    """
    from edge_runtime.reports_text import purge_text  # noqa: PLC0415
    from edge_runtime.residual_files import purge  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    wanted = _wanted(failure, source, lot, label, older_days=older)
    require(not wanted.is_everything, "say which: --failure, --source, --lot, --class or --older")
    with Spool.open(spool_path, clock=SystemClock()) as spool:
        report = purge(spool, wanted, is_meant=yes)
    print_result(report, purge_text(report), as_json=as_json)


@residual.command("export", epilog="Example: sortloop-edge residual export spool/ --out stick/residuals.slrx")
@click.argument("spool_path", metavar="SPOOL", type=EXISTING)
@click.option("--out", type=NEW, required=True, help="File to write; the trainer's intake reads it.")
@common_options
def residual_export(spool_path: Path, out: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Write all records of a spool to one file; the spool keeps them until the trainer's receipt."""
    from edge_runtime.residual_export import export_spool  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Spool.open(spool_path, clock=SystemClock()) as spool:
        report = export_spool(spool, out)
    text = f"{report.count} records, {report.size_b} bytes in {report.path}; left out as damaged: {report.refused}"
    print_result(report, text, as_json=as_json)


@residual.command("delivered", epilog="Example: sortloop-edge residual delivered spool/ stick/residuals.receipt.json")
@click.argument("spool_path", metavar="SPOOL", type=EXISTING)
@click.argument("receipt", type=EXISTING)
@common_options
def residual_delivered(spool_path: Path, receipt: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Release the records that a trainer's receipt names: they are safe in its pool."""
    from edge_runtime.receipt import read_receipt  # noqa: PLC0415
    from edge_runtime.reports import DeliveredReport  # noqa: PLC0415
    from edge_runtime.spool import Spool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    ids = read_receipt(receipt).ids
    with Spool.open(spool_path, clock=SystemClock()) as spool:
        report = DeliveredReport(len(ids), spool.mark_delivered(ids))
    print_result(report, f"{report.delivered} of {report.named} records released", as_json=as_json)


def _wanted(
    failure: str | None, source: str | None, lot: str | None, label: str | None, *, older_days: int | None = None
) -> "Wanted":
    """Return which records the options mean."""
    from datetime import timedelta  # noqa: PLC0415

    from edge_runtime.residual_view import Wanted  # noqa: PLC0415

    before = None if older_days is None else SystemClock().utc_now() - timedelta(days=older_days)
    return Wanted(failure, source, lot, label, before)
