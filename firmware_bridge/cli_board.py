"""`sortloop-link board`: a virtual controller, the C reference core where it can be compiled, else its Python twin."""

import sys
from pathlib import Path

import click

from firmware_bridge.command_line import common_options, configure_logs, print_result, require

__all__ = ["board"]


@click.command(short_help="Run a virtual controller.")
@click.option("--valves", default=256, show_default=True, type=click.IntRange(1, 4096), help="Valves of the board.")
@click.option("--link", type=click.Path(path_type=Path), help="Symlink that names the terminal, as udev makes them.")
@click.option("--tcp", type=click.IntRange(0, 65_535), help="Listen on this port of this computer; 0 takes a free one.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="Append states, pulses and the like here.")
@click.option("--for-s", default=None, type=float, help="Stop after this many seconds; without it, on Ctrl-C.")
@click.option("--python", "is_python", is_flag=True, help="The pure-Python twin, even where there is a C compiler.")
@click.pass_context
@common_options
def board(
    context: click.Context,
    valves: int,
    link: Path | None,
    tcp: int | None,
    log_path: Path | None,
    for_s: float | None,
    is_python: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Run a virtual controller on a pseudo-terminal (or TCP port) and print where it can be reached.

    SIGUSR1 is a power failure of an instant; SIGUSR2 pulls the cable for 200 ms (not with --python).

    Example: sortloop-link board --valves 64 --link /tmp/ejector
    """
    from firmware_bridge.board_service import BoardWish, run_program, run_twin  # noqa: PLC0415 - not for --help
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415
    from firmware_bridge.reports import BoardReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(link is None or tcp is None, "--link names a terminal and --tcp makes none: choose one")
    wish = BoardWish(n_valves=valves, link=link, tcp=tcp, log_path=log_path, for_s=for_s)
    program = None if is_python else _compiled()

    def tell(path: str) -> None:
        print_result(BoardReport(path=path, n_valves=valves), path, as_json=as_json)
        sys.stdout.flush()  # who waits for this line behind a pipe must get it now
        if not quiet:
            kind = "the pure-Python board" if program is None else "the C reference board"
            click.echo(f"{kind} plays {valves} valves; Ctrl-C ends it", err=True)

    if program is None:
        run_twin(wish, SystemClock(), tell)
    else:
        context.exit(run_program(program, wish, tell))


def _compiled() -> Path | None:
    """Return the C program, or None after saying why there is none."""
    from firmware_bridge.errors import NativeUnavailableError  # noqa: PLC0415 - not for --help
    from firmware_bridge.native_build import build_board_program  # noqa: PLC0415

    try:
        return build_board_program()
    except NativeUnavailableError as error:
        click.echo(str(error), err=True)
        return None
