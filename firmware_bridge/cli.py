"""`sortloop-link`: look at, test and imitate the ejector controller from a shell.

The commands stand in cli_*.py. Exit codes: 0 ok, 1 the answer is no (an event did not fire, a valve is not ok, the
doctor found a fault), 2 usage, 3 configuration refused, 4 device or link, 5 file, 7 too slow to arm, 70 our bug, 130
interrupted.
"""

import click

from firmware_bridge.cli_bench import bench
from firmware_bridge.cli_board import board
from firmware_bridge.cli_chaos import chaos
from firmware_bridge.cli_doctor import doctor
from firmware_bridge.cli_look import identify, monitor, ping, ports, replay
from firmware_bridge.cli_move import fire, selftest
from firmware_bridge.command_line import product_version, run_command_line

__all__ = ["cli", "main"]


def main() -> None:
    """Run `sortloop-link` with the process's arguments.

    Raises:
        SystemExit: always, with the documented code.
    """
    run_command_line(cli)


def _print_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"sortloop-link, version {product_version()}")
        context.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 the answer is no, 2 usage, 3 configuration, 4 device or link, 5 file, 7 too slow, "
    "70 our bug, 130 interrupted.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def cli() -> None:
    """Look at, test and imitate the ejector controller.

    Example: sortloop-link identify --port /dev/ttyACM0
    """


for _command in (ports, identify, ping, monitor, replay, fire, selftest, doctor, board, chaos, bench):
    cli.add_command(_command)
