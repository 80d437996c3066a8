"""The controller's rules, one law a test, spoken to in frames: one contract for the C core and its Python twin."""

import itertools
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.board import Board, BoardSettings
from firmware_bridge.codec import decode_payload, encode_payload
from firmware_bridge.config_keys import DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.dictionary import DICTIONARY, DICTIONARY_CRC
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.framing import encode_frame
from firmware_bridge.messages import BatchFlag, BoardState, EjectReason
from firmware_bridge.native_board import NativeBoard
from firmware_bridge.native_build import is_native_available
from firmware_bridge.pulse_recorder import SELFTEST_EVID
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000
M = TypeVar("M", bound=m.Message)
KINDS = [
    pytest.param(VirtualBoard, id="python"),
    pytest.param(NativeBoard, id="c", marks=pytest.mark.skipif(not is_native_available(), reason="no C compiler")),
]


class Bench:
    """A host without any rules of its own: says what the test wants, collects what it hears."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.host = Endpoint(is_host=True)
        self.now_ns = 0
        self.heard: list[m.Message] = []

    def state(self) -> BoardState:
        return self.board.state

    def hello(self, epoch: int = 0x101, *, wd_ms: int = 250, proto: int = 1) -> None:
        self.host.start_session(epoch & 0xFF)
        self.say_bytes(self.host.encode_session(m.Hello(proto, proto, epoch, wd_ms), 7))

    def say(self, *messages: m.Message) -> None:
        self.say_bytes(b"".join(self.host.encode(message) for message in messages))

    def say_control(self, *messages: m.Message) -> None:
        for message in messages:
            self.host.push_control(message)
        self.say_bytes(b"")

    def say_bytes(self, data: bytes) -> None:
        self.board.feed(data + self.host.flush(self.now_ns), self.now_ns)
        self.listen()

    def listen(self) -> None:
        self.heard += [item.message for item in self.host.receive(self.board.take_output(), self.now_ns)]

    def wait(self, ms: int, *, beat: m.Heartbeat | None = None) -> None:
        for _ in range(ms):
            self.now_ns += MS
            if beat is not None:
                self.say(beat)
            self.board.advance(self.now_ns)
            self.listen()

    def arm(self) -> None:
        self.hello()
        self.say_control(m.SetState(BoardState.ARMED))
        self.say(self.beat())
        assert self.board.state is BoardState.ARMED

    def beat(self) -> m.Heartbeat:
        return m.Heartbeat(0, config_crc(DEFAULT_CONFIG), m.HeartbeatFlag.ARMED_WANTED)

    def batch(
        self, ahead_us: int, *, evid: int = 0, valve: int = 5, pulse_us: int = 1000, flags: int = 0
    ) -> m.EjectBatch:
        tick = (self.board.tick_at(self.now_ns) + ahead_us) % 2**32
        return m.EjectBatch(evid, tick, BatchFlag(flags), (m.EjectItem(0, valve, 2, pulse_us),))

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    def reports(self) -> list[tuple[int, EjectReason]]:
        return [(report.evid, report.reason) for exc in self.of(m.EjectExc) for report in exc.reports]


NewBench: TypeAlias = Callable[..., Bench]


@pytest.fixture(params=KINDS)
def new_bench(request: pytest.FixtureRequest) -> NewBench:
    def make(settings: BoardSettings | None = None) -> Bench:
        return Bench(request.param(settings))

    return make


def states_of(statuses: Iterable[m.Status]) -> list[BoardState]:
    return [status.state for status in statuses]


def test_hello_opens_a_session_in_idle_and_tells_who_it_is(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(n_valves=64, boot_id=9))
    assert bench.state() is BoardState.BOOT
    bench.board.advance(0)
    assert bench.state() is BoardState.SAFE
    bench.hello()
    (ident,) = bench.of(m.Ident)
    assert (ident.proto, ident.boot_id, ident.n_valves, ident.state, ident.next_evid) == (1, 9, 64, BoardState.IDLE, 0)
    assert ident.cfg_crc == config_crc(DEFAULT_CONFIG)


def test_the_same_hello_again_changes_nothing_and_is_answered_again(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say_bytes(bench.host.encode_session(m.Hello(1, 1, 0x101, 250), 8))
    assert bench.state() is BoardState.ARMED
    assert len(bench.of(m.Ident)) == 2


def test_a_delayed_hello_of_the_session_before_is_ignored(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello(0x101)
    bench.hello(0x202)
    late = Endpoint(is_host=True).encode_session(m.Hello(1, 1, 0x101, 250), 9)
    bench.say_bytes(late)
    assert len(bench.of(m.Ident)) == 2
    bench.say(m.ClockReq(1))
    assert len(bench.of(m.ClockRsp)) == 1


def test_an_unknown_protocol_version_opens_no_session(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello(proto=9)
    assert bench.of(m.Ident)[0].proto == 1
    assert bench.state() is BoardState.SAFE


def test_arming_needs_the_order_the_heartbeat_and_the_same_configuration(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say(bench.beat())
    assert bench.state() is BoardState.IDLE
    bench.say_control(m.SetState(BoardState.ARMED))
    assert bench.state() is BoardState.IDLE
    bench.say(m.Heartbeat(0, 1, m.HeartbeatFlag.ARMED_WANTED))
    assert bench.state() is BoardState.IDLE
    bench.say(m.Heartbeat(0, config_crc(DEFAULT_CONFIG), m.HeartbeatFlag.NONE))
    assert bench.state() is BoardState.IDLE
    bench.say(bench.beat())
    assert bench.state() is BoardState.ARMED


def test_another_configuration_disarms_and_raises_a_fault(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(m.Heartbeat(0, 1, m.HeartbeatFlag.ARMED_WANTED))
    assert bench.state() is BoardState.IDLE
    assert [fault.code for fault in bench.of(m.Fault)] == [m.FaultCode.CFG_MISMATCH]


def test_an_event_fires_at_its_tick_on_a_drifting_clock_across_the_wrap(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(tick_offset=2**32 - 5000, drift_ppm=80))
    bench.arm()
    bench.say(bench.batch(10_000))
    bench.wait(20)
    (pulse,) = bench.board.take_fired()
    assert (pulse.evid, pulse.first_valve, pulse.valve_count) == (0, 5, 2)
    assert pulse.open_tick == 2**32 + 5000
    assert pulse.close_tick - pulse.open_tick == 1000
    assert bench.reports() == []
    assert bench.of(m.EjectAck)[0].received == 1


def test_a_batch_that_comes_again_is_acknowledged_again_and_fires_once(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    batch = bench.batch(10_000)
    for _ in range(5):
        bench.say(batch)
    bench.wait(20)
    assert len(bench.board.take_fired()) == 1
    assert [ack.received for ack in bench.of(m.EjectAck)] == [1] * 5


def test_each_refusal_has_its_reason(new_bench: NewBench) -> None:
    cases = {
        EjectReason.LATE_DROPPED: (bench := new_bench()).batch(-200, evid=0),
        EjectReason.TOO_FAR: bench.batch(2_000_100, evid=1),
        EjectReason.BAD_VALVE: bench.batch(9000, evid=2, valve=255),
        EjectReason.PULSE_CLAMPED: bench.batch(9000, evid=3, pulse_us=60_000),
        EjectReason.UNSUPPORTED: bench.batch(9000, evid=4, flags=BatchFlag.ENCODER),
        EjectReason.LATE_FIRED: bench.batch(-100, evid=5, flags=BatchFlag.ALLOW_LATE, valve=90),
    }
    bench.arm()
    bench.say(*cases.values())
    bench.wait(60, beat=bench.beat())
    assert set(enumerate(cases)) == set(bench.reports())
    assert len(bench.reports()) == len(cases)
    fired = {pulse.evid: pulse for pulse in bench.board.take_fired()}
    assert {3, 5} == set(fired)
    assert fired[3].close_tick - fired[3].open_tick == DEFAULT_CONFIG[ConfigKey.MAX_PULSE_US]


def test_lateness_is_reported_in_steps_of_10_us(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(-12_340), bench.batch(-900_000, evid=1))
    assert [report.lateness_10us for exc in bench.of(m.EjectExc) for report in exc.reports] == [1234, 32_767]


def test_events_before_arming_are_refused(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say(bench.batch(9000))
    assert bench.reports() == [(0, EjectReason.NOT_ARMED)]


def test_a_full_queue_refuses_and_the_acknowledgement_tells_the_room(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(slots=2))
    bench.arm()
    for evid in range(3):
        bench.say(bench.batch(9000 + evid, evid=evid))
    assert [ack.free_slots for ack in bench.of(m.EjectAck)] == [1, 0, 0]
    assert bench.reports() == [(2, EjectReason.QUEUE_FULL)]


def test_silence_stops_the_feeder_at_once_drains_and_latches_safe(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say_control(m.FeederSet(800))
    bench.wait(200, beat=bench.beat())
    bench.say(bench.batch(300_000, evid=0), bench.batch(420_000, evid=1, valve=9))
    assert bench.board.feeder_permille == 800
    bench.wait(249)
    assert bench.board.feeder_permille == 800
    bench.wait(2)
    assert (bench.board.feeder_permille, bench.state()) == (0, BoardState.ARMED)
    bench.wait(109)
    assert bench.state() is BoardState.SAFE
    assert [pulse.evid for pulse in bench.board.take_fired()] == [0]
    assert (1, EjectReason.CANCELLED) in bench.reports()
    assert m.FaultCode.HOST_SILENT in [fault.code for fault in bench.of(m.Fault)]


def test_safe_is_latched_until_a_new_epoch(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.wait(400)
    bench.say_control(m.SetState(BoardState.ARMED), m.FeederSet(500))
    bench.say(bench.beat(), bench.batch(9000))
    bench.wait(20, beat=bench.beat())
    assert (bench.state(), bench.board.feeder_permille) == (BoardState.SAFE, 0)
    bench.hello(0x202)
    assert bench.state() is BoardState.IDLE


def test_an_idle_session_that_falls_silent_goes_to_safe_as_well(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.wait(260)
    assert bench.state() is BoardState.SAFE


def test_one_long_gap_in_time_gives_the_same_as_many_small_ones(new_bench: NewBench) -> None:
    """A caller that sleeps for a second must not find events fired after their watchdog."""
    pulses = []
    for steps in (1, 1000):
        bench = new_bench()
        bench.arm()
        bench.say(
            bench.batch(200_000),
            bench.batch(340_000, evid=1),
            bench.batch(349_900, evid=2),
            bench.batch(500_000, evid=3),
        )
        for step in range(1, steps + 1):
            bench.board.advance(bench.now_ns + 1000 * MS * step // steps)
        pulses.append(bench.board.take_fired())
        assert bench.state() is BoardState.SAFE
    assert pulses[0] == pulses[1]
    assert [pulse.evid for pulse in pulses[0]] == [0, 1, 2]
    assert pulses[0][-1].close_tick - pulses[0][-1].open_tick == 100  # cut when the drain ended


def test_set_state_safe_closes_valves_at_once_and_reports_the_rest(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(500, pulse_us=5000), bench.batch(50_000, evid=1))
    bench.wait(2)
    bench.say_control(m.SetState(BoardState.SAFE))
    (pulse,) = bench.board.take_fired()
    assert pulse.close_tick - pulse.open_tick == 1500
    assert bench.reports() == [(1, EjectReason.CANCELLED)]


def test_set_state_idle_lets_accepted_events_fire(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(5000))
    bench.say_control(m.SetState(BoardState.IDLE))
    bench.wait(20)
    assert bench.state() is BoardState.IDLE
    assert len(bench.board.take_fired()) == 1


def test_a_new_session_cancels_what_waits_and_says_how_much(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(50_000), bench.batch(60_000, evid=1))
    bench.hello(0x202)
    assert bench.of(m.Ident)[-1].pending == 2
    assert bench.of(m.Ident)[-1].next_evid == 2
    bench.wait(100)
    assert bench.board.take_fired() == []


def test_a_reboot_forgets_everything_and_is_seen_by_the_boot_id(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(500, pulse_us=5000), bench.batch(50_000, evid=1))
    bench.wait(2)
    bench.board.reboot(bench.now_ns)
    assert [pulse.evid for pulse in bench.board.take_fired()] == [0]
    assert bench.board.tick_at(bench.now_ns) == 0
    bench.wait(100, beat=bench.beat())
    assert bench.board.take_fired() == []
    assert bench.of(m.Ident)[-1].boot_id == 2
    assert len(bench.of(m.Ident)) <= 3  # told at most ten times a second
    bench.hello(0x202)
    assert bench.of(m.Ident)[-1].boot_id == 2


def test_configuration_is_stored_in_range_only(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(m.CfgSet(ConfigKey.MAX_PULSE_US, 5000), m.CfgSet(ConfigKey.WD_MS, 0), m.CfgSet(999, 1))
    values = [(value.key, value.value) for value in bench.of(m.CfgVal)]
    assert values == [(ConfigKey.MAX_PULSE_US, 5000), (ConfigKey.WD_MS, 250), (999, 0)]
    assert bench.of(m.CfgVal)[-1].cfg_crc == config_crc({**DEFAULT_CONFIG, ConfigKey.MAX_PULSE_US: 5000})


def test_status_comes_ten_times_a_second_and_on_change(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.wait(1000, beat=m.Heartbeat(0, 0, m.HeartbeatFlag.NONE))
    assert 10 <= len(bench.of(m.Status)) <= 11
    bench.say_control(m.SetState(BoardState.ARMED))
    bench.say(bench.beat())
    bench.wait(1)
    assert states_of(bench.of(m.Status))[-1] is BoardState.ARMED


def test_many_late_events_degrade_and_then_take_the_feeders_permit(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say_control(m.FeederSet(800))
    for evid in range(100):
        bench.say(bench.batch(-1000 if evid < 5 else 5000, evid=evid))
    bench.wait(1001, beat=bench.beat())
    assert (bench.state(), bench.board.feeder_permille) == (BoardState.DEGRADED, 800)
    for evid in range(100, 200):
        bench.say(bench.batch(-1000 if evid < 150 else 5000, evid=evid))
    bench.wait(1001, beat=bench.beat())
    assert (bench.state(), bench.board.feeder_permille) == (BoardState.DEGRADED, 0)
    bench.wait(1001, beat=bench.beat())
    assert (bench.state(), bench.board.feeder_permille) == (BoardState.ARMED, 800)
    assert [fault.code for fault in bench.of(m.Fault)] == [m.FaultCode.LATE_RATE]


def test_a_trigger_is_stamped_with_tick_and_encoder(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(tick_offset=1000, encoder_hz=10_000))
    bench.board.trigger(1, 0)
    bench.hello()
    bench.board.trigger(41, 30 * MS)
    bench.board.trigger(42, 30 * MS, enc=5)
    bench.listen()
    assert bench.of(m.TriggerStamp) == [m.TriggerStamp(41, 31_000, 300), m.TriggerStamp(42, 31_000, 5)]


@pytest.mark.parametrize("kind", KINDS)
@given(chunks=st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_make_it_fail_or_fire(kind: Callable[[], Board], chunks: list[bytes]) -> None:
    bench = Bench(kind())
    bench.arm()
    for step, chunk in enumerate(chunks):
        bench.board.feed(chunk, bench.now_ns + step * MS)
    bench.board.advance(1000 * MS)
    assert bench.board.take_fired() == []


def test_a_mask_opens_exactly_its_valves(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    tick = bench.board.tick_at(bench.now_ns) + 3000
    bench.say(m.EjectMask(0, tick, BatchFlag.NONE, (m.MaskItem(10, 20, 0b1011, 800),)))
    bench.wait(10)
    pulses = [(pulse.first_valve, pulse.valve_count, pulse.open_tick - tick) for pulse in bench.board.take_fired()]
    assert sorted(pulses) == [(20, 2, 10), (23, 1, 10)]


def test_a_mask_beyond_the_last_valve_is_refused_whole(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(n_valves=8))
    bench.arm()
    tick = bench.board.tick_at(bench.now_ns) + 3000
    bench.say(m.EjectMask(0, tick, BatchFlag.NONE, (m.MaskItem(0, 5, 0b111, 800), m.MaskItem(0, 5, 0b1001, 800))))
    bench.wait(10)
    assert [pulse.evid for pulse in bench.board.take_fired()] == [0]
    assert bench.reports() == [(1, EjectReason.BAD_VALVE)]


def test_cancelled_events_never_fire_whether_they_came_before_or_after(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    early, late = bench.batch(9000, evid=0), bench.batch(9500, evid=1, valve=40)
    bench.say(early, m.EjectCancel(0, 2), late)
    bench.wait(20)
    assert bench.board.take_fired() == []
    assert bench.reports() == [(0, EjectReason.CANCELLED), (1, EjectReason.CANCELLED)]
    assert bench.of(m.EjectAck)[1].received & 0b11 == 0b11


def test_a_cancel_that_comes_again_reports_nothing_again(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(9000), m.EjectCancel(0, 1), m.EjectCancel(0, 1))
    bench.wait(20)
    assert bench.reports() == [(0, EjectReason.CANCELLED)]


def test_a_clamped_event_that_is_cut_before_its_time_is_reported_as_cancelled(new_bench: NewBench) -> None:
    """Its one report must say that it did not fire."""
    bench = new_bench()
    bench.arm()
    bench.say(bench.batch(9000, pulse_us=60_000))
    bench.say_control(m.SetState(BoardState.SAFE))
    bench.wait(20)
    assert bench.reports() == [(0, EjectReason.CANCELLED)]


def test_no_more_valves_open_at_a_time_than_allowed(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(m.CfgSet(ConfigKey.MAX_OPEN_VALVES, 4), m.SetState(BoardState.ARMED))
    crc = bench.of(m.CfgVal)[-1].cfg_crc
    bench.say(m.Heartbeat(0, crc, m.HeartbeatFlag.ARMED_WANTED))
    bench.say(*(bench.batch(5000 + 10 * evid, evid=evid, valve=10 * evid) for evid in range(3)))
    bench.say(bench.batch(7000, evid=3, valve=50))
    bench.wait(20)
    assert sorted({pulse.evid for pulse in bench.board.take_fired()}) == [0, 1, 3]
    assert bench.reports() == [(2, EjectReason.DUTY_LIMIT)]


def test_a_valve_is_open_no_more_of_a_second_than_its_duty(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(m.CfgSet(ConfigKey.MAX_DUTY_PERMILLE, 10), m.SetState(BoardState.ARMED))
    beat = m.Heartbeat(0, bench.of(m.CfgVal)[-1].cfg_crc, m.HeartbeatFlag.ARMED_WANTED)
    bench.say(beat)
    for evid in range(200):  # 4 ms in every 10 ms wanted, 1 % allowed
        bench.say(bench.batch(5000, evid=evid, pulse_us=4000))
        bench.wait(10, beat=beat)
    open_us = sum(pulse.close_tick - pulse.open_tick for pulse in bench.board.take_fired())
    assert 20_000 <= open_us <= 32_000  # 1 % of 2 s, and the allowance of the first second
    assert {reason for _, reason in bench.reports()} == {EjectReason.DUTY_LIMIT}


def test_a_full_queue_raises_its_fault_once(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(slots=2))
    bench.arm()
    bench.say(*(bench.batch(9000 + evid, evid=evid) for evid in range(5)))
    bench.wait(5)
    assert [fault.code for fault in bench.of(m.Fault)] == [m.FaultCode.QUEUE_OVERRUN]
    assert bench.of(m.Status)[-1].faults == 1 << m.FaultCode.QUEUE_OVERRUN


def test_reports_are_never_lost_to_a_host_that_does_not_acknowledge(new_bench: NewBench) -> None:
    """Without room for a report an event is not taken at all: the acknowledgement says so, and it may come again."""
    bench = new_bench()
    bench.arm()
    items = tuple(m.EjectItem(0, 300, 1, 500) for _ in range(39))  # no such valve: each is reported at once
    tick = bench.board.tick_at(bench.now_ns) + 5000
    for base in range(0, 39 * 60, 39):
        bench.board.feed(bench.host.encode(m.EjectBatch(base, tick, BatchFlag.NONE, items)), bench.now_ns)
    bench.listen()
    refused = len(bench.reports())
    taken = sum(bin(ack.received & (1 << 39) - 1).count("1") for ack in bench.of(m.EjectAck))
    assert taken < 39 * 60
    bench.wait(400, beat=bench.beat())
    assert len(bench.reports()) == taken
    assert refused < taken


def test_the_dictionary_can_be_read_in_pieces(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    while (have := sum(len(piece.data) for piece in bench.of(m.DictData))) % 240 == 0:
        bench.say_control(m.DictRead(have, 240))
    assert b"".join(piece.data for piece in bench.of(m.DictData)) == DICTIONARY
    assert bench.of(m.Ident)[0].dict_crc == DICTIONARY_CRC
    bench.say_control(m.DictRead(60_000, 240))
    assert bench.of(m.DictData)[-1].data == b""


def test_a_self_test_answers_for_each_valve_in_turn_and_moves_one_at_a_time(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(readings={4: (0, 0)}))
    bench.hello()
    bench.say_control(m.Selftest(3, 5, 1000, m.SelftestMode.FIRE))
    bench.wait(60, beat=m.Heartbeat(0, 0, m.HeartbeatFlag.NONE))
    answers = bench.of(m.SelftestRes)
    assert [(answer.valve, answer.coil_ma, answer.open_us) for answer in answers] == [
        (3, 180, 900),
        (4, 0, 0),
        (5, 180, 900),
    ]
    assert [bool(answer.flags & m.SelftestFlag.LAST) for answer in answers] == [False, False, True]
    pulses = bench.board.take_fired()
    assert [(pulse.evid, pulse.first_valve, pulse.close_tick - pulse.open_tick) for pulse in pulses] == [
        (SELFTEST_EVID, 3, 1000),
        (SELFTEST_EVID, 4, 1000),
        (SELFTEST_EVID, 5, 1000),
    ]
    assert all(before.close_tick < after.open_tick for before, after in itertools.pairwise(pulses))


def test_a_measuring_self_test_lets_no_air_through(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(m.Selftest(0, 1, 50, m.SelftestMode.MEASURE))
    bench.wait(40)
    assert [(answer.coil_ma, answer.open_us) for answer in bench.of(m.SelftestRes)] == [(180, 0), (180, 0)]
    assert bench.board.take_fired() == []


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param([m.SetState(BoardState.SAFE)], id="safe"),
        pytest.param([m.FeederSet(100)], id="feeder runs"),
        pytest.param([m.CfgSet(ConfigKey.MAX_PULSE_US, 900)], id="pulse too long"),
        pytest.param([m.Selftest(0, 200, 1000, m.SelftestMode.FIRE)], id="one runs already"),
    ],
)
def test_a_self_test_is_refused_where_it_would_be_dangerous(new_bench: NewBench, prepare: list[m.Message]) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(*prepare, m.Selftest(7, 8, 1000, m.SelftestMode.FIRE))
    answer = bench.of(m.SelftestRes)[-1]
    assert (answer.valve, answer.flags) == (7, m.SelftestFlag.REFUSED | m.SelftestFlag.LAST)


def test_a_self_test_of_a_valve_that_does_not_exist_is_refused(new_bench: NewBench) -> None:
    bench = new_bench(BoardSettings(n_valves=8))
    bench.hello()
    bench.say_control(m.Selftest(0, 8, 1000, m.SelftestMode.FIRE))
    assert bench.of(m.SelftestRes)[-1].flags == m.SelftestFlag.REFUSED | m.SelftestFlag.LAST


def test_arming_ends_a_self_test(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_control(m.Selftest(0, 200, 1000, m.SelftestMode.FIRE), m.SetState(BoardState.ARMED))
    bench.say(bench.beat())
    bench.wait(40, beat=bench.beat())
    assert bench.state() is BoardState.ARMED
    assert [answer.flags for answer in bench.of(m.SelftestRes)] == [m.SelftestFlag.REFUSED | m.SelftestFlag.LAST]


def test_an_unknown_type_that_must_be_understood_is_answered_with_an_error(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    bench.say_bytes(encode_frame(0x60, 0x01, 77, b"?") + encode_frame(0x3B, 0x01, 78, b"?"))
    bench.say_bytes(encode_frame(0x60, 0x02, 79, b"?"))  # another session: not ours to judge
    assert bench.of(m.ErrorReport) == [m.ErrorReport(0x60, 77, m.ErrorCode.UNKNOWN_TYPE)]


def test_the_credit_shrinks_while_answers_wait_and_no_order_is_lost(new_bench: NewBench) -> None:
    """A host that does not acknowledge is not taken more orders from than can be answered."""
    bench = new_bench()
    bench.hello()
    for seq in range(20):
        wire = encode_frame(0x22, 0x01, seq, encode_payload(m.CfgSet(ConfigKey.MAX_PULSE_US, 1000 + seq)))
        bench.board.feed(wire, bench.now_ns)
    listener = Endpoint(is_host=True)
    listener.start_session(0x01)
    acks = [
        decode_payload(frame.type, frame.payload)
        for frame in listener.deframer.feed(bench.board.take_output())
        if frame.type == 0x85
    ]
    assert acks[0] == m.CtrlAck(1, 8)
    assert acks[-1] == m.CtrlAck(16, 0)


def test_any_intact_frame_of_the_session_keeps_the_watchdog_quiet(new_bench: NewBench) -> None:
    bench = new_bench()
    bench.hello()
    for _ in range(10):
        bench.wait(200)
        bench.say(m.CtrlAck(0, 8))
    assert bench.state() is BoardState.IDLE
