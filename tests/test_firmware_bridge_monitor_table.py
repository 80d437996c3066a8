"""The monitor's table: states and faults in words, rates of wrapping counters, a terminal left clean."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock_watch import RttFigures
from firmware_bridge.event_text import event_text, fault_names
from firmware_bridge.link_events import DownReason, EjectOutcome, LinkDown, LinkEvent, OutcomeKind, TransferReceived
from firmware_bridge.messages import (
    BoardState,
    EjectReason,
    Fault,
    FaultCode,
    Log,
    LogLevel,
    Status,
    TransferKind,
    TriggerStamp,
)
from firmware_bridge.monitor_table import HostFigures, MonitorTable
from firmware_bridge.terminal_screen import TerminalScreen

NOON = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
NS_PER_S = 1_000_000_000


def status(state: BoardState = BoardState.IDLE, **values: int) -> Status:
    fields: dict[str, Any] = (
        dict.fromkeys(Status.__struct_fields__, 0) | {"air_kpa": 600, "supply_mv": 24_000, "temp_c": 25} | values
    )
    return Status(**{**fields, "state": state})


def table_with(*events: LinkEvent) -> MonitorTable:
    table = MonitorTable("/dev/ttyACM0", "7669", history=3)
    for event in events:
        table.take(event, NOON)
    return table


def text_of(table: MonitorTable, host: HostFigures | None = None, now_ns: int = 0) -> str:
    return "\n".join(table.lines(host or HostFigures(), now_ns))


def test_before_the_first_status_it_says_so() -> None:
    assert "state     no STATUS yet" in text_of(table_with())


@pytest.mark.parametrize("state", BoardState)
def test_every_state_is_told_in_words(state: BoardState) -> None:
    assert f"state     {state.name}: " in text_of(table_with(status(state)))


@pytest.mark.parametrize("fault", FaultCode)
def test_every_fault_is_told_in_words(fault: FaultCode) -> None:
    text = text_of(table_with(status(faults=1 << fault)))
    assert f"faults    {fault.name}: " in text
    assert "unknown to this version" not in text


def test_a_fault_of_a_newer_firmware_is_told_by_its_bit() -> None:
    assert "bit 20: unknown to this version" in text_of(table_with(status(faults=1 << 20)))


def test_rates_are_of_the_last_moments() -> None:
    table = table_with(status(fired=0))
    table.lines(HostFigures(), 0)
    table.take(status(fired=50), NOON)
    assert "fired 50 (50.0/s)" in text_of(table, now_ns=NS_PER_S)
    for second in range(2, 8):
        text = text_of(table, now_ns=second * NS_PER_S)
    assert "fired 50, " in text


def test_a_counter_that_wraps_has_no_huge_rate() -> None:
    table = table_with(status(late=65_535))
    table.lines(HostFigures(), 0)
    table.take(status(late=1), NOON)
    assert "late 1 (2.0/s)" in text_of(table, now_ns=NS_PER_S)


def test_figures_of_this_end_are_shown() -> None:
    rtt = RttFigures(10, 100.0, 250.0, 900.0, 950.0)
    host = HostFigures(damaged=3, gaps=2, rtt=rtt, drift_ppm=12.4, bound_us=40.2)
    text = text_of(table_with(status()), host)
    assert "here 3, missing 2" in text
    assert "round trip 0.25 ms, 99 % within 0.90 ms, clock +12 ppm, known to 40 us" in text


def test_sensors_that_are_not_there_are_not_zero() -> None:
    assert "air not measured, supply not measured" in text_of(table_with(status(air_kpa=0, supply_mv=0)))


def test_a_change_of_state_is_an_event_and_a_status_alone_is_none() -> None:
    text = text_of(table_with(status(), status(), status(BoardState.SAFE)))
    assert text.count("12:00:00") == 1
    assert "12:00:00 State IDLE -> SAFE" in text


def test_triggers_are_counted_and_fill_no_history() -> None:
    text = text_of(table_with(status(), *(TriggerStamp(n, n, n) for n in range(5))))
    assert "triggers  seen 5" in text
    assert "last events: none" in text


def test_only_the_last_events_are_kept() -> None:
    text = text_of(table_with(*(Fault(FaultCode.LATE_RATE, 0, tick, 0) for tick in range(5))))
    assert [f"tick={tick} " in text for tick in range(5)] == [False, False, True, True, True]


# ----- one event in a line


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Fault(2, 1, 5, 6), "CFG_MISMATCH sub=1 tick=5 arg=6"),
        (Fault(99, 0, 5, 0), "code 99 sub=0 tick=5 arg=0"),
        (Log(LogLevel.WARNING, "Düse".encode()), "WARNING Düse"),
        (Log(LogLevel.INFO, b"\xff"), "INFO \ufffd"),
        (TransferReceived(TransferKind.FILE, "a.bin", bytes(9)), "kind=FILE name=a.bin data=9B"),
        (LinkDown(DownReason.SILENT, "why"), "reason=SILENT detail=why"),
        (
            EjectOutcome(7, OutcomeKind.REPORTED, EjectReason.MERGED),
            "evid=7 kind=REPORTED reason=MERGED lateness_us=0",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_is_told_with_names(event: LinkEvent, text: str) -> None:
    assert event_text(event) == text


@given(st.integers(0, 2**32 - 1))
def test_every_bit_of_the_faults_has_a_name(faults: int) -> None:
    assert len(fault_names(faults)) == faults.bit_count()


# ----- the terminal


def drawn(*blocks: list[str], size: tuple[int, int] = (80, 24)) -> str:
    out = io.StringIO()
    with TerminalScreen(out, lambda: size) as screen:
        for block in blocks:
            screen.draw(block)
    return out.getvalue()


def test_each_block_is_drawn_over_the_one_before() -> None:
    out = drawn(["a", "b", "c"], ["d"], ["e", "f"])
    assert out.count("\x1b[3A") == 1
    assert out.count("\x1b[1A") == 1
    assert out.count("\x1b[J") == 3  # what a shorter block leaves below is erased


def test_what_does_not_fit_is_cut_so_that_nothing_scrolls() -> None:
    out = drawn(["x" * 100] * 30, size=(40, 10))
    assert out.count("\n") == 9
    assert "x" * 40 not in out
    assert "x" * 39 in out


def test_the_cursor_comes_back_also_after_an_interruption() -> None:
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), TerminalScreen(out, lambda: (80, 24)) as screen:
        screen.draw(["a"])
        raise KeyboardInterrupt
    assert out.getvalue().endswith("\x1b[?25h")
