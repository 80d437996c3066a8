"""A session in virtual time: the link, a virtual board, and nothing else."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.board import BoardSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.errors import (
    ArmRefusedError,
    ConfigRefusedError,
    LinkDownError,
    LinkStateError,
    LinkTimeoutError,
    MessageError,
    ProtocolVersionError,
)
from firmware_bridge.framing import Deframer, encode_frame
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkCore, LinkSettings, LinkState
from firmware_bridge.link_events import DownReason, EjectEvent, EjectOutcome, LinkDown, LinkEvent, OutcomeKind
from firmware_bridge.messages import BoardState, VerdictSource
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000


class Machine:
    """A host and a board on one clock."""

    def __init__(self, board: BoardSettings | None = None, settings: LinkSettings | None = None) -> None:
        self.clock = ManualClock()
        self.board = VirtualBoard(board)
        self.link = Link(BoardTransport(self.board, self.clock), self.clock, settings or LinkSettings(epoch_seed=1))
        self.events: list[LinkEvent] = []

    def arm(self) -> "Machine":
        self.link.connect(1.0)
        self.link.configure({})
        self.link.arm(1.0)
        return self

    def run(self, ms: int) -> list[LinkEvent]:
        seen: list[LinkEvent] = []
        for _ in range(ms):
            self.clock.advance_ns(MS)
            seen += self.link.poll()
        self.events += seen
        return seen

    def event(self, ahead_us: int = 20_000, valve: int = 5) -> EjectEvent:
        return EjectEvent((self.link.tick_now() + ahead_us) % 2**32, valve, 2, 1000)

    def outcomes(self) -> dict[int, OutcomeKind]:
        return {event.evid: event.kind for event in self.events if isinstance(event, EjectOutcome)}


def downs(events: list[LinkEvent]) -> list[DownReason]:
    return [event.reason for event in events if isinstance(event, LinkDown)]


def test_connect_configure_arm_eject_and_the_outcome() -> None:
    machine = Machine(BoardSettings(n_valves=32, tick_offset=2**32 - 30_000)).arm()
    assert machine.link.is_armed
    evids = machine.link.eject([machine.event(), machine.event(valve=9)])
    machine.run(500)
    assert machine.outcomes() == dict.fromkeys(evids, OutcomeKind.ACKED)
    assert [pulse.first_valve for pulse in machine.board.take_fired()] == [5, 9]


def test_ids_go_on_from_one_session_to_the_next() -> None:
    machine = Machine().arm()
    machine.link.eject([machine.event()] * 3)
    machine.run(500)
    machine.arm()
    assert machine.link.eject([machine.event()]) == range(3, 4)


def test_a_late_event_is_dropped_and_says_how_late() -> None:
    machine = Machine(settings=LinkSettings(epoch_seed=1)).arm()
    machine.link.eject([machine.event(ahead_us=2000)])
    machine.run(1)
    machine.link.eject([machine.event(ahead_us=-40_000)])
    machine.run(400)
    kinds = machine.outcomes()
    assert kinds == {0: OutcomeKind.ACKED, 1: OutcomeKind.LOST}


def test_the_feeder_follows_and_stops_when_the_host_dies() -> None:
    machine = Machine().arm()
    machine.link.set_feeder(640)
    machine.run(10)
    assert machine.board.feeder_permille == 640
    machine.board.advance(machine.clock.monotonic_ns() + 251 * MS)
    assert machine.board.feeder_permille == 0


def test_triggers_verdicts_faults_and_status_arrive_as_events() -> None:
    machine = Machine().arm()
    machine.board.trigger(7, machine.clock.monotonic_ns())
    verdict = m.Verdict(3, 1, 255, VerdictSource.INSPECTION_REJECT, 123)
    machine.board.report_verdict(verdict)
    events = machine.run(150)
    assert [event.frame_no for event in events if isinstance(event, m.TriggerStamp)] == [7]
    assert [event for event in events if isinstance(event, m.Verdict)] == [verdict]
    assert any(isinstance(event, m.Status) for event in events)
    machine.board.feed(b"", machine.clock.monotonic_ns() + 300 * MS)
    assert [event.code for event in machine.run(301) if isinstance(event, m.Fault)] == [m.FaultCode.HOST_SILENT]


def test_a_verdict_of_the_host_is_taken_in_silence() -> None:
    machine = Machine().arm()
    machine.link.send_verdict(object_id=5, class_id=2, source=VerdictSource.OPERATOR_KEY, tick=1)
    machine.run(20)
    assert machine.link.is_up


def test_disarm_and_arm_again() -> None:
    machine = Machine().arm()
    machine.link.disarm()
    assert machine.board.state is BoardState.IDLE
    with pytest.raises(LinkStateError, match="while not armed"):
        machine.link.eject([machine.event()])
    machine.link.arm(1.0)
    assert machine.link.is_armed


@pytest.mark.parametrize("what", ["configure", "arm", "eject", "feeder", "verdict"])
def test_calls_before_connect_are_refused(what: str) -> None:
    link = Machine().link
    calls: dict[str, Callable[[], object]] = {
        "configure": lambda: link.configure({}),
        "arm": lambda: link.arm(1.0),
        "eject": lambda: link.eject([EjectEvent(0, 0, 1, 1)]),
        "feeder": lambda: link.set_feeder(1),
        "verdict": lambda: link.send_verdict(object_id=1, class_id=1, source=VerdictSource.OPERATOR_KEY, tick=0),
    }
    with pytest.raises(LinkStateError, match="without a session"):
        calls[what]()


def test_arming_needs_a_confirmed_configuration() -> None:
    machine = Machine()
    machine.link.connect(1.0)
    with pytest.raises(LinkStateError, match="arm before configure"):
        machine.link.arm(1.0)


def test_a_refused_configuration_names_the_key_and_both_values() -> None:
    machine = Machine()
    machine.link.connect(1.0)
    with pytest.raises(ConfigRefusedError, match="WD_MS = 1 refused: controller has 250"):
        machine.link.configure({ConfigKey.WD_MS: 1})


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (EjectEvent(2**32, 0, 1, 1), "fire_tick"),
        (EjectEvent(0, 4096, 1, 1), "first_valve"),
        (EjectEvent(0, 0, 17, 1), "valve_count"),
        (EjectEvent(0, 0, 1, 0), "pulse_us"),
    ],
)
def test_an_event_out_of_range_is_refused_with_all_its_group(event: EjectEvent, text: str) -> None:
    machine = Machine().arm()
    with pytest.raises(MessageError, match=text):
        machine.link.eject([machine.event(), event])
    assert machine.link.open_events == 0


def test_feeder_out_of_range_is_refused() -> None:
    machine = Machine().arm()
    with pytest.raises(MessageError, match=r"FEEDER_SET.*permille"):
        machine.link.set_feeder(1001)


def test_nobody_at_the_other_end_is_a_timeout() -> None:
    clock = ManualClock()
    near, _ = memory_pair(clock)
    with pytest.raises(LinkTimeoutError, match=r"no answer to HELLO within 0\.5 s"):
        Link(near, clock, LinkSettings(epoch_seed=1)).connect(0.5)
    assert 500 * MS <= clock.monotonic_ns() <= 502 * MS


def test_another_protocol_version_is_refused() -> None:
    clock = ManualClock()
    near, far = memory_pair(clock)
    link = Link(near, clock, LinkSettings(epoch_seed=1))
    with pytest.raises(LinkTimeoutError):
        link.connect(0.01)
    board = VirtualBoard()
    board.feed(far.read(999, 0.0), 0)
    ident = Deframer().feed(board.take_output())[0]
    core = LinkCore(LinkSettings(), epoch_seed=1)
    core.open_session(0)
    core.receive(encode_frame(ident.type, ident.epoch8, ident.seq, bytes((9,)) + ident.payload[1:]), 0)
    assert core.refused_ident is not None
    assert core.state is LinkState.CONNECTING


def test_connect_tells_both_versions() -> None:
    clock = ManualClock()
    with pytest.raises(ProtocolVersionError, match="controller speaks version 9, this host 1"):
        Link(BoardOfTomorrow(VirtualBoard(), clock), clock, LinkSettings(epoch_seed=1)).connect(1.0)


class BoardOfTomorrow(BoardTransport):
    """Answers every HELLO with protocol version 9."""

    def read(self, max_b: int, timeout_s: float) -> bytes:
        frames = Deframer().feed(super().read(max_b, timeout_s))
        return b"".join(encode_frame(f.type, f.epoch8, f.seq, b"\x09" + f.payload[1:]) for f in frames)


def test_a_silent_controller_takes_the_link_down_and_loses_what_was_open() -> None:
    clock = ManualClock()
    board = VirtualBoard()
    near, far = memory_pair(clock)
    link = Link(near, clock, LinkSettings(epoch_seed=1))
    with pytest.raises(LinkTimeoutError):
        link.connect(0.01)
    for _ in range(100):
        clock.advance_ns(MS)
        board.feed(far.read(9999, 0.0), clock.monotonic_ns())
        board.advance(clock.monotonic_ns())
        far.write(board.take_output())
        link.poll()
    assert link.is_up
    events = []
    for _ in range(600):
        clock.advance_ns(MS)
        events += link.poll()
    assert downs(events) == [DownReason.SILENT]
    assert not link.is_up


def test_unanswered_control_messages_take_the_link_down() -> None:
    machine = Machine().arm()
    machine.run(5)
    machine.board.endpoint.start_session(0x77)  # a board that no longer understands this session
    machine.link.set_feeder(3)
    assert downs(machine.run(400)) == [DownReason.NO_ACK]


def test_a_rebooted_controller_is_noticed_at_once_and_can_be_armed_again() -> None:
    machine = Machine().arm()
    machine.link.eject([machine.event(ahead_us=200_000)])
    machine.run(5)
    machine.board.reboot(machine.clock.monotonic_ns())
    assert downs(machine.run(55)) == [DownReason.RESTARTED]
    assert machine.outcomes() == {0: OutcomeKind.LOST}
    machine.arm()
    assert machine.link.is_armed


def test_waiting_for_an_answer_ends_when_the_session_ends() -> None:
    machine = Machine().arm()
    machine.link.disarm()
    machine.board.reboot(machine.clock.monotonic_ns())
    with pytest.raises(LinkDownError, match=r"session ended: controller restarted.*, while waiting .* SET_STATE ARMED"):
        machine.link.arm(5.0)


def test_close_disarms_and_the_rest_is_lost_once() -> None:
    machine = Machine().arm()
    machine.link.eject([machine.event(ahead_us=200_000)])
    machine.link.close()
    machine.link.close()
    events = machine.link.poll()
    assert [event.kind for event in events if isinstance(event, EjectOutcome)] == [OutcomeKind.LOST]
    assert downs(events) == [DownReason.CLOSED]
    assert machine.board.state is BoardState.IDLE
    assert machine.link.poll() == []


def test_a_closed_transport_is_an_event_not_an_error() -> None:
    clock = ManualClock()
    board = VirtualBoard()
    transport = BoardTransport(board, clock)
    link = Link(transport, clock, LinkSettings(epoch_seed=1))
    link.connect(1.0)
    transport.close()
    assert downs(link.poll()) == [DownReason.TRANSPORT]


def test_damaged_and_foreign_frames_show_in_the_counters() -> None:
    clock = ManualClock()
    near, far = memory_pair(clock)
    link = Link(near, clock, LinkSettings(epoch_seed=1))
    far.write(b"\x02\x01\x00" + encode_frame(0x84, 3, 0, bytes(12)))
    link.poll()
    assert link.frame_counters.len_err == 1
    assert link.message_counters.stale_epoch == 1


def test_ping_measures_the_round_trip() -> None:
    machine = Machine()
    machine.link.connect(1.0)
    assert 0.0 <= machine.link.ping(1.0) <= 0.002


def test_every_session_has_another_epoch() -> None:
    core = LinkCore(LinkSettings(), epoch_seed=3)
    epochs = []
    for _ in range(300):
        core.open_session(0)
        epochs.append(core.endpoint.epoch8)
    assert 0 not in epochs
    assert all(before != after for before, after in itertools.pairwise(epochs))


def test_the_same_seed_gives_the_same_bytes() -> None:
    def wire() -> bytes:
        core = LinkCore(LinkSettings(), epoch_seed=5)
        core.open_session(0)
        return core.step(0)

    assert wire() == wire()


def clock_questions(machine: Machine, ms: int) -> int:
    before = machine.link.rtt
    machine.run(ms)
    after = machine.link.rtt
    assert after is not None
    return after.count - (before.count if before else 0)


def test_the_clock_is_asked_ten_times_a_second_until_armed_and_known_then_once() -> None:
    machine = Machine()
    machine.link.connect(1.0)
    machine.run(300)  # the first few come quicker
    assert clock_questions(machine, 2000) == 20
    machine.link.configure({})
    machine.link.arm(1.0)
    machine.run(2000)
    assert clock_questions(machine, 3000) in {3, 4}


def test_the_tick_is_known_to_the_stated_bound_and_the_figures_can_be_read() -> None:
    machine = Machine(BoardSettings(tick_offset=2**32 - 30_000, drift_ppm=80))
    machine.link.start_connect()
    machine.run(3000)
    now_ns = machine.clock.monotonic_ns()
    reading = machine.link.clock_fit.read(now_ns)
    assert abs(reading.tick - machine.board.tick_at(now_ns)) <= reading.error_bound_us
    assert reading.error_bound_us <= 1100  # one poll there and back
    assert abs(machine.link.clock_fit.drift_ppm - 80) < 5
    rtt = machine.link.rtt
    assert rtt is not None
    assert (rtt.min_us, rtt.max_us) == (1000, 1000)


def test_the_tick_of_a_controller_never_heard_is_no_number() -> None:
    with pytest.raises(LinkStateError, match="controller's tick is not known"):
        Machine().link.tick_now()


def test_arming_waits_for_the_measure_of_the_line_where_a_lead_is_set() -> None:
    machine = Machine(settings=LinkSettings(epoch_seed=1, lead_us=8000)).arm()
    assert machine.link.is_armed
    assert machine.link.clock_fit.is_ready


def test_arming_over_a_line_too_slow_for_the_lead_is_refused_with_value_and_limit() -> None:
    machine = Machine(settings=LinkSettings(epoch_seed=1, lead_us=1500))
    machine.link.start_connect()
    machine.run(500)
    machine.link.configure({})
    with pytest.raises(ArmRefusedError, match=r"round trip of 1000 us \(p99 of \d+\) > 750 us, half the lead") as told:
        machine.link.arm(1.0)
    assert told.value.exit_code == 7
    assert machine.board.state is BoardState.IDLE


def test_a_session_goes_on_over_another_medium_and_keeps_its_ids() -> None:
    machine = Machine().arm()
    first = machine.link.eject([machine.event(ahead_us=200_000)])
    machine.run(5)
    machine.link.attach(BoardTransport(machine.board, machine.clock))
    events = machine.run(5)
    assert [event.evid for event in events if isinstance(event, EjectOutcome)] == list(first)
    assert downs(events) == [DownReason.CLOSED]
    machine.arm()
    assert machine.link.eject([machine.event()]) == range(1, 2)


def test_half_a_frame_of_the_medium_before_spoils_nothing_of_the_next() -> None:
    clock = ManualClock()
    near, far = memory_pair(clock)
    link = Link(near, clock, LinkSettings(epoch_seed=1))
    far.write(b"\x05half")
    link.poll()
    link.attach(BoardTransport(VirtualBoard(), clock))
    link.connect(1.0)
    assert clock.monotonic_ns() < 50 * MS  # no HELLO had to be repeated


def test_what_is_started_without_waiting_is_there_a_few_polls_later() -> None:
    machine = Machine()
    machine.link.start_connect()
    assert not machine.link.check_connected()
    machine.run(5)
    assert machine.link.check_connected()
    machine.link.start_configure({ConfigKey.MAX_PULSE_US: 9000})
    assert not machine.link.check_configured()
    machine.run(5)
    assert machine.link.check_configured()
    assert machine.link.check_lead()
    machine.link.start_arm()
    machine.run(5)
    assert machine.link.is_armed
    machine.link.start_disarm()
    machine.run(5)
    assert not machine.link.is_armed


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_bytes_make_the_host_fail(chunks: list[bytes]) -> None:
    core = LinkCore(LinkSettings(), epoch_seed=1)
    core.open_session(0)
    for step, chunk in enumerate(chunks):
        core.receive(chunk, step * MS)
        core.step(step * MS)
    assert core.take_events() == []
