"""`sortloop-link` commands that move hardware: fire and selftest. Nothing leaves without --armed."""

from typing import TYPE_CHECKING, Final, Literal

import click

from firmware_bridge.cli_shared import (
    CONNECT_S,
    POLL_S,
    Line,
    check_up,
    lang_option,
    open_link,
    port_options,
    show_progress,
)
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

if TYPE_CHECKING:
    from firmware_bridge.clock import Clock
    from firmware_bridge.link import Link
    from firmware_bridge.link_events import EjectOutcome
    from firmware_bridge.messages import Selftest

__all__ = ["fire", "selftest"]

_FIRE_AHEAD_US: Final = 50_000
_PULSE_US: Final = {"measure": 300, "fire": 5_000}  # too short for any air; long enough to see a slow valve open
_ARM_FIRST: Final = "this moves hardware: add --armed when the ejector is safe to fire"

_armed = click.option("--armed", is_flag=True, help="Really move hardware; without it nothing is sent.")


@click.command(short_help="Open valves once (--armed).")
@port_options
@click.option("--valve", required=True, type=click.IntRange(0, 4095), help="First valve.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 16), help="Adjacent valves.")
@click.option(
    "--pulse-us", default=1000, show_default=True, type=click.IntRange(1, 65_535), help="Length of the pulse."
)
@_armed
@click.pass_context
@common_options
def fire(
    context: click.Context,
    line: Line,
    valve: int,
    count: int,
    pulse_us: int,
    armed: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Open valves once. Compressed air: keep hands and eyes away from the nozzles.

    Exit code 1: the valves did not open.

    Example: sortloop-link fire --port /dev/ttyACM0 --valve 17 --count 3 --pulse-us 1500 --armed
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415 - not for --help
    from firmware_bridge.link_events import EjectEvent  # noqa: PLC0415
    from firmware_bridge.reports import FireReport  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(armed, _ARM_FIRST)
    clock = SystemClock()
    with open_link(line, clock) as link:
        link.connect(CONNECT_S)
        link.configure({})
        link.arm(CONNECT_S)
        tick = (link.tick_now() + _FIRE_AHEAD_US) & 0xFFFFFFFF
        evid = link.eject([EjectEvent(tick, valve, count, pulse_us)])[0]
        outcome = _outcome(link, clock)
        link.disarm()
    report = FireReport(
        port=line.port,
        evid=evid,
        has_fired=outcome.has_fired,
        outcome=outcome.kind.value,
        reason=outcome.reason.name if outcome.reason else None,
        lateness_us=outcome.lateness_us,
    )
    valves = f"valve {valve}" if count == 1 else f"valves {valve}..{valve + count - 1}"
    print_result(report, _outcome_text(outcome, f"{valves}, {pulse_us} us"), as_json=as_json)
    context.exit(0 if outcome.has_fired else 1)


@click.command(short_help="Try valves and judge each (--armed).")
@port_options
@click.option("--first", default=0, show_default=True, type=click.IntRange(0, 4095), help="First valve to try.")
@click.option("--last", type=click.IntRange(0, 4095), help="Last valve to try; without it, the controller's last.")
@click.option(
    "--mode",
    default="measure",
    show_default=True,
    type=click.Choice(["measure", "fire"]),
    help="measure: only the coils, by a pulse too short for air; fire: a whole pulse, with air.",
)
@click.option("--pulse-us", type=click.IntRange(1, 65_535), help="Length of a pulse; 300 to measure, 5000 to fire.")
@click.option(
    "--coil-low-ma", default=80, show_default=True, type=click.IntRange(0, 65_535), help="Least good current."
)
@click.option(
    "--coil-high-ma", default=420, show_default=True, type=click.IntRange(0, 65_535), help="Most good current."
)
@click.option("--open-max-us", default=3000, show_default=True, type=click.IntRange(1, 65_535), help="Latest opening.")
@_armed
@lang_option
@click.pass_context
@common_options
def selftest(
    context: click.Context,
    line: Line,
    first: int,
    last: int | None,
    mode: Literal["measure", "fire"],
    pulse_us: int | None,
    coil_low_ma: int,
    coil_high_ma: int,
    open_max_us: int,
    armed: bool,
    lang: Literal["en", "zh-CN"],
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Try valves one after another and say of each whether it is good, and if not, what to do.

    The feeder must be off. Ctrl-C stops it: the controller's watchdog closes what is open.

    Exit code 1: at least one valve is not ok.

    Example: sortloop-link selftest --port /dev/ttyACM0 --mode fire --armed
    """
    from firmware_bridge.clock import SystemClock  # noqa: PLC0415 - not for --help
    from firmware_bridge.messages import Selftest, SelftestMode  # noqa: PLC0415
    from firmware_bridge.reports import selftest_report  # noqa: PLC0415
    from firmware_bridge.selftest_text import selftest_text  # noqa: PLC0415
    from firmware_bridge.valve_verdict import ValveLimits  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(armed, _ARM_FIRST)
    require(last is None or first <= last, f"--first {first} > --last {last}")
    require(coil_low_ma <= coil_high_ma, f"--coil-low-ma {coil_low_ma} > --coil-high-ma {coil_high_ma}")
    clock = SystemClock()
    with open_link(line, clock) as link:
        ident = link.connect(CONNECT_S)
        end = ident.n_valves - 1 if last is None else last
        require(first <= end, f"--first {first} is beyond the controller's last valve {end}")
        wish = Selftest(first, end, pulse_us or _PULSE_US[mode], SelftestMode[mode.upper()])
        _try_valves(link, clock, wish)
        answers = link.selftest_results
    limits = ValveLimits(coil_ma_low=coil_low_ma, coil_ma_high=coil_high_ma, open_us_max=open_max_us)
    report = selftest_report(line.port, wish, answers, limits=limits)
    print_result(report, selftest_text(report, lang), as_json=as_json)
    context.exit(0 if report.ok_count == len(report.valves) else 1)


def _try_valves(link: "Link", clock: "Clock", wish: "Selftest") -> None:
    """Run the self-test to its end, telling how far it is."""
    link.start_selftest(wish)
    try:
        while not link.check_selftest():
            for event in link.poll():
                check_up(event)
            show_progress(f"valve {wish.first_valve + len(link.selftest_results)} of {wish.last_valve}")
            clock.sleep_s(POLL_S)
    finally:
        show_progress("")


def _outcome(link: "Link", clock: "Clock") -> "EjectOutcome":
    """Poll until the one event has its outcome; a session that ends first is the link's error, not the event's."""
    from firmware_bridge.link_events import EjectOutcome  # noqa: PLC0415 - not for --help

    outcomes = []
    while True:
        for event in link.poll():
            check_up(event)
            if isinstance(event, EjectOutcome):
                outcomes.append(event)
        if outcomes:
            return outcomes[0]
        clock.sleep_s(POLL_S)


def _outcome_text(outcome: "EjectOutcome", what: str) -> str:
    from firmware_bridge.explanations import EJECT_REASONS  # noqa: PLC0415 - not for --help

    said = "fired" if outcome.has_fired else "did not fire"
    if outcome.reason is None:
        lost = "" if outcome.has_fired else ": the controller did not acknowledge it in time"
        return f"{what}: {said}{lost}"
    advice = EJECT_REASONS[outcome.reason]
    return f"{what}: {said}, {outcome.reason.name}\n  {advice.what.en}\n  {advice.remedy.en}"
