"""The command that shows the whole circle: demo."""

from pathlib import Path
from typing import Literal

import click
import msgspec

from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result

__all__ = ["demo"]

_existing = click.Path(exists=True, path_type=Path)
_new = click.Path(path_type=Path)


@click.command(epilog="Example: sortloop-train demo --out demo-out")
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
    from trainer.demo.demo_report import write_demo_report  # noqa: PLC0415 - heavy imports wait for their command
    from trainer.demo.demo_text import demo_text  # noqa: PLC0415
    from trainer.demo.trial import TrialSettings, run_trial  # noqa: PLC0415
    from trainer.progress import TerminalProgress  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    with TerminalProgress(quiet=quiet or as_json) as progress:
        settings = TrialSettings(seed=seed)
        if new_season_share is not None:
            settings = msgspec.structs.replace(settings, new_season_share=new_season_share)
        result = run_trial(out, settings, SystemClock(), progress)
    page = write_demo_report(result, out)
    print_result(result, f"{demo_text(result, lang)}\n{page}", as_json=as_json)
