"""What the four command lines have in common: errors to exit codes, results to stdout, logs to stderr.

It stands on the ground floor because every package may import it; it knows nothing of links or pixels.

>>> require(True, "give at least one of --model and --recipe")
"""

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click
import msgspec

from firmware_bridge.printable import printable
from firmware_bridge.product_error import EXIT_BUG, ProductError

if TYPE_CHECKING:
    from structlog.typing import Processor

__all__ = [
    "EXIT_INTERRUPTED",
    "common_options",
    "configure_logs",
    "print_result",
    "product_version",
    "require",
    "run_command_line",
]

EXIT_INTERRUPTED: Final = 130
_DISTRIBUTIONS: Final = ("sortloop", "sortloop-edge")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def product_version() -> str:
    """Return the installed version, "0" when run from a folder that was never installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, not needed for --help

    for name in _DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "0"


def require(is_met: bool, what: str) -> None:
    """Refuse a command line whose options do not fit together.

    Args:
        is_met: whether they do.
        what: what is wrong, and what to do.

    Raises:
        click.UsageError: `is_met` is false.
    """
    if not is_met:
        raise click.UsageError(what)


def common_options(command: _Command) -> _Command:
    """Add --json, -v and -q to a command; it receives `as_json`, `verbose` and `quiet`."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr."),
        click.option("-v", "--verbose", count=True, help="More on stderr; twice for every item."),
        click.option("--json", "as_json", is_flag=True, help="Result as one JSON object on stdout."),
    ):
        command = option(command)
    return command


def configure_logs(*, verbose: int, quiet: bool, more: "Sequence[Processor]" = ()) -> None:
    """Send logs as JSON lines with UTC stamps to stderr; warnings and worse unless asked for more.

    Args:
        verbose: 0 warnings, 1 state changes, 2 every item.
        quiet: errors only, whatever `verbose` says.
        more: what else to do with a line's fields before they become text.

    Note: a line is one write, so lines of processes that share a stderr stay apart as long as they are short enough
        for the system to write them at once: PIPE_BUF, 4096 bytes.
    """
    import structlog  # noqa: PLC0415 - a third of a command's start-up time, not needed for --help

    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *more,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # looked up at every line: stderr may be replaced
        cache_logger_on_first_use=False,
    )


def print_result(result: msgspec.Struct, text: str, *, as_json: bool) -> None:
    """Print a command's result on stdout: `result` as JSON, or `text` for people; names of any bytes are printable."""
    click.echo(_json(result) if as_json else printable(text))


def run_command_line(group: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave with its documented exit code.

    Args:
        group: the command or group to run.
        arguments: what stands behind the program's name; None takes it from the process.

    Raises:
        SystemExit: always; 0 ok, 2 usage, the error's own code, 130 interrupted, 70 our bug (with its traceback).
    """
    try:
        code = group.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except ProductError as error:
        click.echo(printable(f"{error}\n{error.remedy}"), err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - the outermost loop of every program: nothing may leave as exit code 1
        traceback.print_exc()
        click.echo(ProductError.remedy, err=True)
        sys.exit(EXIT_BUG)
    sys.exit(code if isinstance(code, int) else 0)


def _json(result: msgspec.Struct) -> str:
    try:
        return msgspec.json.encode(result).decode()
    except UnicodeEncodeError:  # a name that is no UTF-8 is somewhere in it
        return msgspec.json.encode(_all_printable(msgspec.to_builtins(result))).decode()


def _all_printable(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case dict():
            return {_all_printable(key): _all_printable(held) for key, held in value.items()}
        case list() | tuple():
            return [_all_printable(held) for held in value]
        case _:
            return value
