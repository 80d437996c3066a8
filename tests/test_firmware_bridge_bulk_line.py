"""Bulk on a line with a rate: how much of it bulk gets, and that ejections beside it keep their time. Virtual time."""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest

from firmware_bridge import messages as m
from firmware_bridge.board import BoardSettings
from firmware_bridge.bulk_port import BulkPort
from firmware_bridge.bulk_receiver import MAX_RECEIVE_B
from firmware_bridge.bulk_sender import BulkRules
from firmware_bridge.clock import ManualClock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.endpoint import MAX_LONG_BODY_B
from firmware_bridge.errors import LinkStateError
from firmware_bridge.line_faults import FaultSettings, FaultyLine
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import (
    DownReason,
    EjectEvent,
    EjectOutcome,
    LinkDown,
    LinkEvent,
    TransferDone,
    TransferProgress,
    TransferReceived,
)
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.virtual_board import VirtualBoard

FILE = m.TransferKind.FILE
STEP_NS = 500_000
NS_PER_S = 1_000_000_000


class SendingBoard(VirtualBoard):
    """A controller that sends transfers too."""

    def __init__(self, settings: BoardSettings, baud: int) -> None:
        self.bulk = BulkPort(BulkRules(line_baud=baud))
        super().__init__(settings)

    def _dispatch(self, message: m.Message, seq: int) -> None:
        if isinstance(message, m.XferAck | m.XferDone):
            self.bulk.take(message, self._now * 1000)
        else:
            super()._dispatch(message, seq)

    def _start_session(self, hello: m.Hello) -> None:
        super()._start_session(hello)
        self.bulk.start_session(max_body_b=MAX_LONG_BODY_B, rx_window_b=65_535)

    def _flush(self) -> None:
        super()._flush()
        if self._is_in_session:
            is_quiet = self.state is m.BoardState.IDLE
            self._put(self.bulk.due(self._now * 1000, self.endpoint.encode, is_quiet=is_quiet))


class PlainBoard(VirtualBoard):
    """A controller that takes no transfers."""

    def _ident(self) -> m.Ident:
        return msgspec.structs.replace(super()._ident(), caps=0)


class LineTransport:
    """The host's end of two faulty lines with a board behind them; reading lets time pass."""

    def __init__(self, board: VirtualBoard, clock: ManualClock, faults: FaultSettings, seed: int) -> None:
        rng = random.Random(seed)
        self.board, self.clock = board, clock
        self.to_board, self.to_host = FaultyLine(faults, rng), FaultyLine(faults, rng)
        self.longest_b = 0

    def read(self, max_b: int, timeout_s: float) -> bytes:
        if timeout_s > 0:
            self.step()
        return self.to_host.arrivals(self.clock.monotonic_ns())

    def write(self, data: bytes) -> None:
        self.longest_b = max(self.longest_b, *(len(piece) + 1 for piece in data.split(b"\0")))
        self.to_board.send(data, self.clock.monotonic_ns())

    def close(self) -> None:
        pass

    def step(self) -> None:
        self.clock.advance_ns(STEP_NS)
        now_ns = self.clock.monotonic_ns()
        self.board.feed(self.to_board.arrivals(now_ns), now_ns)
        self.board.advance(now_ns)
        self.to_host.send(self.board.take_output(), now_ns)


@dataclass
class Rig:
    """A host and a controller with a line of that rate between them."""

    baud: int
    max_body_b: int = 1032
    frame_drop_rate: float = 0.0
    knows_baud: bool = True
    delay_us: int = 0
    max_receive_b: int = MAX_RECEIVE_B
    seed: int = 1
    events: list[LinkEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.board = SendingBoard(BoardSettings(max_body_b=self.max_body_b), self.baud)
        faults = FaultSettings(baud=self.baud, frame_drop_rate=self.frame_drop_rate, delay_us=self.delay_us)
        self.transport = LineTransport(self.board, self.clock, faults, self.seed)
        bulk = BulkRules(line_baud=self.baud if self.knows_baud else 0)
        self.link = Link(
            self.transport, self.clock, LinkSettings(epoch_seed=1, bulk=bulk, max_receive_b=self.max_receive_b)
        )
        self.link.connect(timeout_s=5.0)

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_ns() / NS_PER_S

    def arm(self) -> None:
        self.link.configure({ConfigKey.MAX_PULSE_US: 5000})
        self.link.arm(timeout_s=2.0)

    def step(self) -> None:
        self.transport.step()
        self.events += self.link.poll()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * NS_PER_S / STEP_NS)):
            self.step()

    def longest_in(self, seconds: float) -> int:
        """Return the longest frame that the host sends meanwhile."""
        self.transport.longest_b = 0
        self.run(seconds)
        return self.transport.longest_b

    def run_until_sent(self, limit_s: float = 10.0) -> None:
        end_s = self.now_s + limit_s
        while self.link.open_transfers and self.now_s < end_s:
            self.step()

    def of(self, kind: type[LinkEvent]) -> list[LinkEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def progress_b(self) -> int:
        return [event.done_b for event in self.events if isinstance(event, TransferProgress)][-1]

    def received(self) -> list[bytes]:
        return [item.data for item in self.board.take_transfers()]

    def goodput(self, size_b: int) -> float:
        """Send so many bytes; return the share of the line's rate at which they arrived."""
        began_s = self.now_s
        self.link.transfer(noise(size_b), FILE, "noise")
        self.run_until_sent()
        assert self.of(TransferDone) == [TransferDone(1, m.TransferStatus.OK)]
        assert self.received() == [noise(size_b)]
        return size_b / (self.now_s - began_s) / (self.baud / 10)

    def sort(self, seconds: float, *, rate_hz: int = 2000, lead_us: int = 20_000) -> None:
        """Eject at a steady rate."""
        made = 0
        for step in range(1, round(seconds * NS_PER_S / STEP_NS) + 1):
            tick = (self.link.tick_now() + lead_us) & 0xFFFFFFFF
            count = rate_hz * step * STEP_NS // NS_PER_S - made
            self.link.eject([EjectEvent(tick, (made + number) % 256, 1, 1000) for number in range(count)])
            made += count
            self.step()

    def outcomes(self) -> Counter[str]:
        self.run(0.6)  # the last ones become final
        events = [event for event in self.events if isinstance(event, EjectOutcome)]
        return Counter(event.reason.name if event.reason else event.kind.name for event in events)


def noise(size_b: int) -> bytes:
    return hashlib.shake_128(b"bulk").digest(size_b)


# ----- an idle line


@pytest.mark.parametrize(
    ("baud", "max_body_b", "share"),
    [
        (921_600, 1032, 0.95),
        (3_000_000, 1032, 0.95),
        (921_600, 264, 0.90),
        (3_000_000, 264, 0.90),
        (115_200, 264, 0.84),
    ],
)
def test_bulk_fills_an_idle_line_and_sends_nothing_twice(baud: int, max_body_b: int, share: float) -> None:
    rig = Rig(baud, max_body_b)
    assert rig.goodput(baud // 10) >= share
    assert rig.transport.to_board.counters.taken_b < baud // 10 / share


def test_bulk_fills_an_idle_line_of_unknown_rate() -> None:
    assert Rig(921_600, knows_baud=False).goodput(92_160) >= 0.95


@pytest.mark.parametrize(("baud", "share"), [(115_200, 0.75), (921_600, 0.92), (3_000_000, 0.92)])
def test_lost_frames_cost_little_more_than_themselves(baud: int, share: float) -> None:
    assert Rig(baud, frame_drop_rate=0.01).goodput(baud // 10) >= share


def test_a_way_of_8_ms_there_and_back_costs_nothing_while_the_buffer_of_the_controller_covers_it() -> None:
    assert Rig(921_600, delay_us=8000).goodput(92_160) >= 0.93


def test_configuring_at_115200_baud_is_not_disturbed() -> None:
    rig = Rig(115_200)
    rig.link.transfer(noise(20_000), FILE, "noise")
    rig.run(0.1)
    began_s = rig.now_s
    rig.link.configure({ConfigKey.MAX_PULSE_US: 5000}, timeout_s=1.0)
    assert rig.now_s - began_s < 0.15
    rig.run_until_sent()
    assert rig.received() == [noise(20_000)]
    assert rig.of(LinkDown) == []


# ----- beside ejections


@pytest.mark.parametrize(
    ("baud", "rate_hz", "frame_drop_rate"),
    [(921_600, 2000, 0.0), (921_600, 2000, 0.01), (921_600, 8000, 0.0), (3_000_000, 2000, 0.01), (115_200, 200, 0.0)],
)
def test_ejections_keep_their_time_beside_bulk_that_takes_the_rest(
    baud: int, rate_hz: int, frame_drop_rate: float
) -> None:
    rig = Rig(baud, frame_drop_rate=frame_drop_rate)
    rig.arm()
    rig.link.transfer(noise(baud // 5), FILE, "noise")
    before_b = rig.transport.to_board.counters.taken_b
    rig.sort(1.0, rate_hz=rate_hz)
    progress_b = rig.progress_b()
    assert rig.outcomes() == {"ACKED": rate_hz}
    line_b = baud // 10
    taken_b = rig.transport.to_board.counters.taken_b - before_b
    rest_b = line_b - (taken_b - progress_b * 256 // 234) if taken_b < line_b else 0
    assert progress_b >= 0.85 * rest_b


def test_frames_are_short_from_the_wish_to_arm_until_a_second_after_the_last_ejection() -> None:
    rig = Rig(921_600)
    rig.link.transfer(noise(400_000), FILE, "noise")
    assert rig.longest_in(0.1) > 900
    rig.arm()
    assert rig.longest_in(0.3) == 256
    rig.sort(0.1)
    rig.link.disarm()
    assert rig.longest_in(0.9) == 256
    assert rig.longest_in(0.2) > 900


# ----- sessions


def test_a_transfer_goes_on_in_the_next_session_where_it_was() -> None:
    rig = Rig(921_600)
    rig.link.transfer(noise(90_000), FILE, "noise")
    rig.run(0.5)
    there_b = rig.progress_b()
    before_b = rig.transport.to_board.counters.taken_b
    rig.link.connect(timeout_s=1.0)
    rig.run_until_sent()
    assert rig.received() == [noise(90_000)]
    sent_b = rig.transport.to_board.counters.taken_b - before_b
    assert 90_000 - there_b < sent_b + 8000
    assert sent_b < (90_000 - there_b) / 0.95 + 1000


def test_a_controller_that_restarts_gets_the_transfer_from_the_beginning() -> None:
    rig = Rig(921_600)
    rig.link.transfer(noise(30_000), FILE, "noise")
    rig.run(0.2)
    rig.board.reboot(rig.clock.monotonic_ns())
    rig.run(0.3)
    assert [event.reason for event in rig.events if isinstance(event, LinkDown)] == [DownReason.RESTARTED]
    rig.link.connect(timeout_s=1.0)
    rig.run_until_sent()
    assert rig.received() == [noise(30_000)]


def test_both_ends_send_at_once() -> None:
    rig = Rig(921_600)
    rig.link.transfer(noise(50_000), FILE, "noise")
    rig.board.bulk.sender.submit(noise(40_000), m.TransferKind.RESIDUAL, "residual")
    rig.run_until_sent()
    rig.run(0.1)
    assert rig.received() == [noise(50_000)]
    assert rig.of(TransferReceived) == [TransferReceived(m.TransferKind.RESIDUAL, "residual", noise(40_000))]
    assert rig.link.message_counters.bulk_gaps == 0


def test_gaps_in_the_numbers_of_bulk_frames_are_counted() -> None:
    rig = Rig(921_600, frame_drop_rate=0.02)
    rig.board.bulk.sender.submit(noise(90_000), m.TransferKind.RESIDUAL, "residual")
    rig.run(1.5)
    assert len(rig.of(TransferReceived)) == 1
    assert rig.link.message_counters.bulk_gaps > 0


def test_a_transfer_too_long_for_the_host_is_refused() -> None:
    rig = Rig(921_600, max_receive_b=1000)
    rig.board.bulk.sender.submit(noise(1001), FILE, "long")
    rig.run(0.1)
    assert rig.board.bulk.sender.take_events() == [TransferDone(1, m.TransferStatus.NO_SPACE)]


def test_a_controller_without_bulk_ends_what_waits_and_refuses_what_comes() -> None:
    clock = ManualClock()
    link = Link(BoardTransport(PlainBoard(), clock), clock, LinkSettings(epoch_seed=1))
    number = link.transfer(noise(10), FILE, "early")
    link.connect(timeout_s=1.0)
    assert TransferDone(number, m.TransferStatus.REFUSED) in link.poll()
    with pytest.raises(LinkStateError, match="takes none"):
        link.transfer(noise(10), FILE, "late")
