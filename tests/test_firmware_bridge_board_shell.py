"""The whole path in real time: link, pyserial, pseudo-terminal, board shell in a thread."""

import threading
from collections.abc import Iterator

import pytest

from firmware_bridge.board_shell import BoardShell, PtyLine, open_pty
from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.errors import TransportClosedError
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import DownReason, EjectEvent, EjectOutcome, LinkDown, LinkEvent
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.transport_serial import open_serial
from firmware_bridge.virtual_board import VirtualBoard

WAIT_S = 10.0
PATIENT = LinkSettings(wd_ms=5000, silence_ms=5000)  # a test machine may stall longer than a sorter


class Bench:
    """A board that runs in its own thread behind a pseudo-terminal."""

    def __init__(self) -> None:
        self.line: PtyLine = open_pty()
        self.fired: list[FiredPulse] = []
        self.shell = BoardShell(VirtualBoard(), self.line.transport, SystemClock(), self.fired.append)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.shell.run, args=(self._stop.is_set,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)
        self.line.close()
        assert not self._thread.is_alive()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.stop()


def open_link(bench: Bench) -> Link:
    link = Link(open_serial(bench.line.path), SystemClock(), PATIENT)
    link.connect(WAIT_S)
    link.configure({}, WAIT_S)
    link.arm(WAIT_S)
    return link


def poll_until_settled(link: Link) -> list[LinkEvent]:
    """Pump by pings, which wait for the board and so for real time; bounded by their number."""
    events: list[LinkEvent] = []
    for _ in range(20_000):
        link.ping(WAIT_S)
        events += link.poll()
        if not link.open_events:
            return events
    raise AssertionError(f"{link.open_events} events still open")


def test_events_fire_over_a_real_terminal(bench: Bench) -> None:
    link = open_link(bench)
    tick = link.tick_now()
    evids = link.eject([EjectEvent((tick + 300_000 + 500 * n) % 2**32, n, 2, 900) for n in range(60)])
    events = poll_until_settled(link)
    outcomes = {event.evid: event for event in events if isinstance(event, EjectOutcome)}
    assert outcomes.keys() == set(evids)
    fired = {pulse.evid for pulse in bench.fired}
    assert {evid for evid, outcome in outcomes.items() if outcome.has_fired} <= fired <= set(evids)
    assert len(fired) == len(bench.fired) > 0  # a stalled test machine may be late with some, never twice or silently
    link.close()


def test_a_host_that_comes_back_is_armed_again(bench: Bench) -> None:
    open_link(bench).close()
    second = open_link(bench)
    assert second.is_armed
    second.close()


def test_a_pulled_cable_is_a_link_down() -> None:
    bench = Bench()
    link = open_link(bench)
    bench.stop()
    events = [event for _ in range(5) for event in link.poll()]
    assert [event.reason for event in events if isinstance(event, LinkDown)] == [DownReason.TRANSPORT]
    link.close()


def test_a_board_whose_line_closes_ends_its_run() -> None:
    near, far = memory_pair(ManualClock())
    shell = BoardShell(VirtualBoard(), far, ManualClock())
    near.close()
    shell.run(lambda: False)
    with pytest.raises(TransportClosedError):
        shell.run_once(0.0)


def test_a_host_that_never_reads_costs_bytes_not_the_board() -> None:
    line = open_pty()
    clock = ManualClock()
    shell = BoardShell(VirtualBoard(), line.transport, clock)
    link = Link(open_serial(line.path), clock)
    for _ in range(3):
        link.poll()
    shell._send(bytes(1 << 16))
    shell._send(bytes(1 << 16))
    assert shell.dropped_b > 0
    link.close()
    line.close()
