"""Commands that bring samples in: import, intake. They parse, call, print."""

from pathlib import Path
from typing import Literal

import click

from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

__all__ = ["import_command", "intake"]

_existing = click.Path(exists=True, path_type=Path)
_new = click.Path(path_type=Path)


@click.command("import", epilog="Example: sortloop-train import samples/train.tar --pool rice.pool")
@click.argument("source", type=_existing)
@click.option("--pool", "pool_path", type=_new, required=True, help="Pool file; made if it does not exist.")
@click.option(
    "--mask",
    type=click.Choice(["auto", "object", "full"]),
    default="auto",
    show_default=True,
    help="Cut objects out, or take whole pictures; decided once for a pool.",
)
@click.option(
    "--side",
    type=click.IntRange(16, 256),
    default=64,
    show_default=True,
    help="Most pixels of a crop's side; decided once for a pool. Fine defects need more, at the price of its square.",
)
@click.option(
    "--norm",
    type=click.Choice(["weighted_mean", "l1", "l2", "linf"]),
    default=None,
    help="What the draw goes by; decided once for a pool (docs/norms.md).  [default: weighted_mean]",
)
@click.option("--norm-weights", default="", help="Weight of each channel, 0 to 127, with commas; all 1 if left out.")
@click.option(
    "--unlabelled", is_flag=True, help="Folders name no classes: the samples wait for classify and a person's names."
)
@click.option("--norm-centre", type=click.IntRange(0, 126), default=0, help="Extra weight of the crop's middle.")
@common_options
def import_command(
    source: Path,
    pool_path: Path,
    mask: Literal["auto", "object", "full"],
    side: int,
    norm: Literal["weighted_mean", "l1", "l2", "linf"] | None,
    norm_weights: str,
    norm_centre: int,
    *,
    unlabelled: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Import class folders, a tar of them, or a CSV manifest into a pool."""
    from edge_runtime.norm import NormSpec  # noqa: PLC0415
    from trainer.acquire.import_text import import_text  # noqa: PLC0415
    from trainer.acquire.importer import ImportOptions, import_samples  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    spec = None
    if norm or norm_weights or norm_centre:
        spec = NormSpec(norm or "weighted_mean", _weights(norm_weights), norm_centre)
    options = ImportOptions(mask=mask, norm=spec, most_side_px=side, is_unlabelled=unlabelled)
    with Pool.open(pool_path, create=True) as pool, TerminalProgress(quiet=quiet or as_json) as progress:
        report = import_samples(source, pool, options, SystemClock(), progress)
    print_result(report, import_text(report), as_json=as_json)


@click.command(epilog="Example: sortloop-train intake stick/residuals.slrx --pool rice.pool")
@click.argument("export", type=_existing)
@click.option("--pool", "pool_path", type=_existing, required=True, help="Pool that the machine's model came from.")
@common_options
def intake(export: Path, pool_path: Path, *, as_json: bool, verbose: int, quiet: bool) -> None:
    """Take mistakes recorded by a machine into the pool, each exactly once; writes a receipt beside EXPORT."""
    from edge_runtime.receipt import write_receipt  # noqa: PLC0415
    from edge_runtime.residual_export import read_export  # noqa: PLC0415
    from trainer.acquire.intake import receipt_path, take_in  # noqa: PLC0415
    from trainer.command_text import intake_text  # noqa: PLC0415
    from trainer.pool.pool import Pool  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with Pool.open(pool_path) as opened:
        report, receipt = take_in(read_export(export), opened, SystemClock())
    write_receipt(receipt_path(export), receipt)
    print_result(report, intake_text(report), as_json=as_json)


def _weights(text: str) -> tuple[int, ...]:
    """Return the whole numbers of a text such as "1,2,1"."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        require(part.isdecimal() and int(part) <= 127, f"--norm-weights {text}: give whole numbers of 0 to 127")
    return tuple(int(part) for part in parts)
