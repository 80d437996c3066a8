"""sortloop-train: the technician's command line. Each command stands in a cli_ file; here they meet."""

import click

from firmware_bridge.command_line import product_version, run_command_line
from trainer.cli_bench import bench
from trainer.cli_classify import classify
from trainer.cli_demo import demo
from trainer.cli_pool import pool
from trainer.cli_retrain import retrain
from trainer.cli_run import evaluate, explain, report, run
from trainer.cli_samples import import_command, intake

__all__ = ["main"]


@click.group(epilog="Example: sortloop-train import samples/ --pool rice.pool")
@click.version_option(product_version(), prog_name="sortloop-train")
def cli() -> None:
    """Teach an optical sorter: samples to a model, and its mistakes to a better one.

    Exit codes: 0 ok, 1 refused by quality, 2 usage, 3 settings, 5 data or storage, 70 a bug, 130 interrupted.
    """


for command in (demo, import_command, classify, pool, run, evaluate, intake, retrain, explain, report, bench):
    cli.add_command(command)


def main() -> None:
    """Run sortloop-train and leave with its exit code.

    Raises:
        SystemExit: always.
    """
    run_command_line(cli)
