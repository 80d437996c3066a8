"""The controller's rules, one law a test, spoken to in frames."""

from collections.abc import Iterable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.config_keys import DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.messages import BatchFlag, BoardState, EjectReason
from firmware_bridge.virtual_board import BoardSettings, VirtualBoard

MS = 1_000_000
M = TypeVar("M", bound=m.Message)


class Bench:
    """A host without any rules of its own: says what the test wants, collects what it hears."""

    def __init__(self, settings: BoardSettings | None = None) -> None:
        self.board = VirtualBoard(settings)
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


def states_of(statuses: Iterable[m.Status]) -> list[BoardState]:
    return [status.state for status in statuses]


def test_hello_opens_a_session_in_idle_and_tells_who_it_is() -> None:
    bench = Bench(BoardSettings(n_valves=64, boot_id=9))
    assert bench.state() is BoardState.BOOT
    bench.board.advance(0)
    assert bench.state() is BoardState.SAFE
    bench.hello()
    (ident,) = bench.of(m.Ident)
    assert (ident.proto, ident.boot_id, ident.n_valves, ident.state, ident.next_evid) == (1, 9, 64, BoardState.IDLE, 0)
    assert ident.cfg_crc == config_crc(DEFAULT_CONFIG)


def test_the_same_hello_again_changes_nothing_and_is_answered_again() -> None:
    bench = Bench()
    bench.arm()
    bench.say_bytes(bench.host.encode_session(m.Hello(1, 1, 0x101, 250), 8))
    assert bench.state() is BoardState.ARMED
    assert len(bench.of(m.Ident)) == 2


def test_a_delayed_hello_of_the_session_before_is_ignored() -> None:
    bench = Bench()
    bench.hello(0x101)
    bench.hello(0x202)
    late = Endpoint(is_host=True).encode_session(m.Hello(1, 1, 0x101, 250), 9)
    bench.say_bytes(late)
    assert len(bench.of(m.Ident)) == 2
    bench.say(m.ClockReq(1))
    assert len(bench.of(m.ClockRsp)) == 1


def test_an_unknown_protocol_version_opens_no_session() -> None:
    bench = Bench()
    bench.hello(proto=9)
    assert bench.of(m.Ident)[0].proto == 1
    assert bench.state() is BoardState.SAFE


def test_arming_needs_the_order_the_heartbeat_and_the_same_configuration() -> None:
    bench = Bench()
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


def test_another_configuration_disarms_and_raises_a_fault() -> None:
    bench = Bench()
    bench.arm()
    bench.say(m.Heartbeat(0, 1, m.HeartbeatFlag.ARMED_WANTED))
    assert bench.state() is BoardState.IDLE
    assert [fault.code for fault in bench.of(m.Fault)] == [m.FaultCode.CFG_MISMATCH]


def test_an_event_fires_at_its_tick_on_a_drifting_clock_across_the_wrap() -> None:
    bench = Bench(BoardSettings(tick_offset=2**32 - 5000, drift_ppm=80))
    bench.arm()
    bench.say(bench.batch(10_000))
    bench.wait(20)
    (pulse,) = bench.board.take_fired()
    assert (pulse.evid, pulse.first_valve, pulse.valve_count) == (0, 5, 2)
    assert pulse.open_tick == 2**32 + 5000
    assert pulse.close_tick - pulse.open_tick == 1000
    assert bench.reports() == []
    assert bench.of(m.EjectAck)[0].received == 1


def test_a_batch_that_comes_again_is_acknowledged_again_and_fires_once() -> None:
    bench = Bench()
    bench.arm()
    batch = bench.batch(10_000)
    for _ in range(5):
        bench.say(batch)
    bench.wait(20)
    assert len(bench.board.take_fired()) == 1
    assert [ack.received for ack in bench.of(m.EjectAck)] == [1] * 5


def test_each_refusal_has_its_reason() -> None:
    cases = {
        EjectReason.LATE_DROPPED: Bench.batch(bench := Bench(), -200, evid=0),
        EjectReason.TOO_FAR: bench.batch(2_000_100, evid=1),
        EjectReason.BAD_VALVE: bench.batch(9000, evid=2, valve=255),
        EjectReason.PULSE_CLAMPED: bench.batch(9000, evid=3, pulse_us=60_000),
        EjectReason.UNSUPPORTED: bench.batch(9000, evid=4, flags=BatchFlag.ENCODER),
        EjectReason.LATE_FIRED: bench.batch(-100, evid=5, flags=BatchFlag.ALLOW_LATE, valve=90),
    }
    bench.arm()
    bench.say(*cases.values())
    bench.wait(60, beat=bench.beat())
    assert list(enumerate(cases)) == bench.reports()
    fired = {pulse.evid: pulse for pulse in bench.board.take_fired()}
    assert {3, 5} == set(fired)
    assert fired[3].close_tick - fired[3].open_tick == DEFAULT_CONFIG[ConfigKey.MAX_PULSE_US]


def test_lateness_is_reported_in_steps_of_10_us() -> None:
    bench = Bench()
    bench.arm()
    bench.say(bench.batch(-12_340), bench.batch(-900_000, evid=1))
    assert [report.lateness_10us for exc in bench.of(m.EjectExc) for report in exc.reports] == [1234, 32_767]


def test_events_before_arming_are_refused() -> None:
    bench = Bench()
    bench.hello()
    bench.say(bench.batch(9000))
    assert bench.reports() == [(0, EjectReason.NOT_ARMED)]


def test_a_full_queue_refuses_and_the_acknowledgement_tells_the_room() -> None:
    bench = Bench(BoardSettings(slots=2))
    bench.arm()
    for evid in range(3):
        bench.say(bench.batch(9000 + evid, evid=evid))
    assert [ack.free_slots for ack in bench.of(m.EjectAck)] == [1, 0, 0]
    assert bench.reports() == [(2, EjectReason.QUEUE_FULL)]


def test_silence_stops_the_feeder_at_once_drains_and_latches_safe() -> None:
    bench = Bench()
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


def test_safe_is_latched_until_a_new_epoch() -> None:
    bench = Bench()
    bench.arm()
    bench.wait(400)
    bench.say_control(m.SetState(BoardState.ARMED), m.FeederSet(500))
    bench.say(bench.beat(), bench.batch(9000))
    bench.wait(20, beat=bench.beat())
    assert (bench.state(), bench.board.feeder_permille) == (BoardState.SAFE, 0)
    bench.hello(0x202)
    assert bench.state() is BoardState.IDLE


def test_an_idle_session_that_falls_silent_goes_to_safe_as_well() -> None:
    bench = Bench()
    bench.hello()
    bench.wait(260)
    assert bench.state() is BoardState.SAFE


def test_one_long_gap_in_time_gives_the_same_as_many_small_ones() -> None:
    """A caller that sleeps for a second must not find events fired after their watchdog."""
    pulses = []
    for steps in (1, 1000):
        bench = Bench()
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


def test_set_state_safe_closes_valves_at_once_and_reports_the_rest() -> None:
    bench = Bench()
    bench.arm()
    bench.say(bench.batch(500, pulse_us=5000), bench.batch(50_000, evid=1))
    bench.wait(2)
    bench.say_control(m.SetState(BoardState.SAFE))
    (pulse,) = bench.board.take_fired()
    assert pulse.close_tick - pulse.open_tick == 1500
    assert bench.reports() == [(1, EjectReason.CANCELLED)]


def test_set_state_idle_lets_accepted_events_fire() -> None:
    bench = Bench()
    bench.arm()
    bench.say(bench.batch(5000))
    bench.say_control(m.SetState(BoardState.IDLE))
    bench.wait(20)
    assert bench.state() is BoardState.IDLE
    assert len(bench.board.take_fired()) == 1


def test_a_new_session_cancels_what_waits_and_says_how_much() -> None:
    bench = Bench()
    bench.arm()
    bench.say(bench.batch(50_000), bench.batch(60_000, evid=1))
    bench.hello(0x202)
    assert bench.of(m.Ident)[-1].pending == 2
    assert bench.of(m.Ident)[-1].next_evid == 2
    bench.wait(100)
    assert bench.board.take_fired() == []


def test_a_reboot_forgets_everything_and_is_seen_by_the_boot_id() -> None:
    bench = Bench()
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


def test_configuration_is_stored_in_range_only() -> None:
    bench = Bench()
    bench.hello()
    bench.say_control(m.CfgSet(ConfigKey.MAX_PULSE_US, 5000), m.CfgSet(ConfigKey.WD_MS, 0), m.CfgSet(999, 1))
    values = [(value.key, value.value) for value in bench.of(m.CfgVal)]
    assert values == [(ConfigKey.MAX_PULSE_US, 5000), (ConfigKey.WD_MS, 250), (999, 0)]
    assert bench.of(m.CfgVal)[-1].cfg_crc == config_crc({**DEFAULT_CONFIG, ConfigKey.MAX_PULSE_US: 5000})


def test_status_comes_ten_times_a_second_and_on_change() -> None:
    bench = Bench()
    bench.hello()
    bench.wait(1000, beat=m.Heartbeat(0, 0, m.HeartbeatFlag.NONE))
    assert 10 <= len(bench.of(m.Status)) <= 11
    bench.say_control(m.SetState(BoardState.ARMED))
    bench.say(bench.beat())
    bench.wait(1)
    assert states_of(bench.of(m.Status))[-1] is BoardState.ARMED


def test_many_late_events_degrade_and_then_take_the_feeders_permit() -> None:
    bench = Bench()
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


def test_a_trigger_is_stamped_with_tick_and_encoder() -> None:
    bench = Bench(BoardSettings(tick_offset=1000, encoder_hz=10_000))
    bench.board.trigger(1, 0)
    bench.hello()
    bench.board.trigger(41, 30 * MS)
    bench.board.trigger(42, 30 * MS, enc=5)
    bench.listen()
    assert bench.of(m.TriggerStamp) == [m.TriggerStamp(41, 31_000, 300), m.TriggerStamp(42, 31_000, 5)]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_make_it_fail_or_fire(chunks: list[bytes]) -> None:
    bench = Bench()
    bench.arm()
    for step, chunk in enumerate(chunks):
        bench.board.feed(chunk, bench.now_ns + step * MS)
    bench.board.advance(1000 * MS)
    assert bench.board.take_fired() == []
