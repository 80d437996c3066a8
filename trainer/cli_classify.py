"""The command classify. It parses, calls, prints."""

from pathlib import Path
from typing import Literal

import click

from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["classify"]


@click.command(epilog="Example: sortloop-train classify beans.pool --out beans-sets --method kmeans --classes 8")
@click.argument("pool_path", metavar="POOL", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the contact sheet and the list.")
@click.option(
    "--method",
    type=click.Choice(["gmm", "kmeans", "hdbscan"]),
    default="gmm",
    show_default=True,
    help="Gaussian mixture, k-means, or dense regions.",
)
@click.option(
    "--classes", type=click.IntRange(0, 200), default=0, show_default=True, help="Sets to find; 0 chooses the number."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of the starts.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Shown first.")
@common_options
def classify(
    pool_path: Path,
    out: Path,
    method: Literal["gmm", "kmeans", "hdbscan"],
    classes: int,
    seed: int,
    language: Literal["en", "zh-CN"],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Sort the unlabelled samples of POOL into sets that look alike, and write a sheet to name them from.

    Nothing is trained before every set has a name: fill in clusters.csv, then call pool name. Several sets may get the
    same class: rather too many sets than too few.
    """
    from trainer.acquire.classify import classify as find_sets  # noqa: PLC0415 - heavy imports wait for their command
    from trainer.acquire.clusters import ClusterSettings  # noqa: PLC0415
    from trainer.command_text import classify_text  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415
    from trainer.report.contact_sheet import write_contact_sheet  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    settings = ClusterSettings(method, classes, seed)
    with Pool.open(pool_path) as pool:
        found = find_sets(pool, settings, SystemClock().utc_now().isoformat())
    page = write_contact_sheet(found, pool_path, out, language)
    print_result(found.report, classify_text(found.report, page), as_json=as_json)
