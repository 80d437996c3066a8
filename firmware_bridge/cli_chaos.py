"""`sortloop-link chaos`: a faulty line between a host program and the controller."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from firmware_bridge.chaos_settings import PROFILES, SETTING_DEFAULTS, ChaosLines, change_lines
from firmware_bridge.clock import NS_PER_S, SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result
from firmware_bridge.reports_chaos import ChaosDirectionReport, ChaosPortReport, ChaosReport

if TYPE_CHECKING:
    from firmware_bridge.chaos import ChaosProxy

__all__ = ["chaos"]

_CLEAN: Final = "clean"


class _SettingError(click.UsageError):
    """A setting that is wrong: shown as a usage error is, with the exit code of a configuration error."""

    exit_code = 3


def _keys_help() -> str:
    keys = "\n".join(f"  {key}={str(value).lower()}" for key, value in SETTING_DEFAULTS.items())
    return f"\b\nKeys of --set, for both directions or with to_board. or to_host. before them:\n{keys}"


@click.command(epilog=_keys_help(), short_help="Put a faulty line before the controller.")
@click.option("--port", required=True, help="Port of the controller, tcp://host:port, or 'virtual'.")
@click.option("--baud", default=921_600, show_default=True, help="Line rate of that port; ignored by USB devices.")
@click.option("--link", type=click.Path(path_type=Path), help="Symlink that names the host's port; stays at a hang-up.")
@click.option("--profile", default=_CLEAN, show_default=True, type=click.Choice(list(PROFILES)), help="Named faults.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One fault, on top of the profile.")
@click.option("--seed", default=1, show_default=True, help="The same seed and traffic: the same faults.")
@click.option("--for-s", default=None, type=float, help="Stop after this many seconds; without it, on Ctrl-C.")
@common_options
def chaos(
    port: str,
    baud: int,
    link: Path | None,
    profile: str,
    overrides: Sequence[str],
    seed: int,
    for_s: float | None,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Put a faulty line before the controller, print the port to use instead, and count what was done to the bytes.

    At a hang-up the port vanishes and comes back as another one: only --link keeps its name.

    Example: sortloop-link chaos --port /dev/ttyACM0 --link /tmp/ejector --set to_host.frame_drop_rate=0.01
    """
    from firmware_bridge.chaos import ChaosProxy, LinkedPty  # noqa: PLC0415 - POSIX terminals, only here
    from firmware_bridge.line_faults import FaultyLine  # noqa: PLC0415
    from firmware_bridge.transport_open import open_transport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    lines = _lines(profile, overrides)
    clock = SystemClock()
    rng, start_ns = random.Random(seed), clock.monotonic_ns()  # noqa: S311 - faults, not secrets
    to_board, to_host = (FaultyLine(faults, rng, start_ns=start_ns) for faults in (lines.to_board, lines.to_host))
    paths: list[str] = []

    def open_host() -> LinkedPty:
        pty = LinkedPty(link)
        if paths and pty.path != paths[-1]:
            click.echo(f"the port is now {pty.path}", err=True)
        paths.append(pty.path)
        return pty

    proxy = ChaosProxy(
        open_host, lambda: open_transport(port, clock=clock, baud=baud), to_board=to_board, to_host=to_host, clock=clock
    )
    try:
        proxy.run(lambda: bool(paths))  # opening took its time: the first hang-up may have come meanwhile
        first = ChaosPortReport(
            path=paths[0], port=port, profile=profile, seed=seed, to_board=lines.to_board, to_host=lines.to_host
        )
        print_result(first, first.path, as_json=as_json)
        end_ns = None if for_s is None else start_ns + round(for_s * NS_PER_S)
        proxy.run(lambda: end_ns is not None and clock.monotonic_ns() >= end_ns)
    finally:
        proxy.close()
        report = _report(proxy, (clock.monotonic_ns() - start_ns) / NS_PER_S)
        print_result(report, _table(report), as_json=as_json)


def _lines(profile: str, overrides: Sequence[str]) -> ChaosLines:
    try:
        return change_lines(PROFILES[profile], overrides)
    except ValueError as error:
        raise _SettingError(str(error)) from error


def _report(proxy: "ChaosProxy", elapsed_s: float) -> ChaosReport:
    to_board, to_host = proxy.counters
    return ChaosReport(
        elapsed_s=elapsed_s,
        to_board=ChaosDirectionReport(counters=to_board, unclaimed_b=proxy.unclaimed_to_board_b),
        to_host=ChaosDirectionReport(counters=to_host, unclaimed_b=proxy.unclaimed_to_host_b),
    )


def _table(report: ChaosReport) -> str:
    rows = [f"{'':<20}{'to_board':>14}{'to_host':>14}"]
    columns = [
        {**msgspec.structs.asdict(direction.counters), "unclaimed_b": direction.unclaimed_b}
        for direction in (report.to_board, report.to_host)
    ]
    rows += [f"{name:<20}{columns[0][name]:>14}{columns[1][name]:>14}" for name in columns[0]]
    return "\n".join(rows)
