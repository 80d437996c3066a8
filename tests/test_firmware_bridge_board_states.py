"""What the controller allows itself: every state, what leads into it, at the exact tick."""

from collections.abc import Callable

import pytest

from firmware_bridge.board_ejects import EjectDesk
from firmware_bridge.board_states import DRAIN_US, BoardStates
from firmware_bridge.messages import BoardState, EjectReason, Fault, FaultCode, Heartbeat, HeartbeatFlag
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder
from firmware_bridge.valve_bank import ScheduledEvent

WD = 250_000
SECOND = 1_000_000
CRC = 0xABCDEF01
SAFE, IDLE, ARMED, DEGRADED = BoardState.SAFE, BoardState.IDLE, BoardState.ARMED, BoardState.DEGRADED


class Machine(BoardStates):
    """States over a desk of eight valves, with its watchdog and its configuration."""

    def __init__(self) -> None:
        self.recorder = PulseRecorder()
        self.desk = EjectDesk(n_valves=8, slots=64, recorder=self.recorder)
        super().__init__(self.desk)
        self.run(0)

    def run(self, now: int) -> None:
        self.run_to(now, wd_us=WD)

    def beat(self, now: int = 1000, *, crc: int = CRC, flags: HeartbeatFlag = HeartbeatFlag.ARMED_WANTED) -> None:
        self.on_heartbeat(Heartbeat(0, crc, flags), now, cfg_crc=CRC)

    def schedule(self, tick: int, *, evid: int = 0, pulse: int = 900) -> None:
        self.desk.bank.schedule(ScheduledEvent(tick, evid, evid % 8, 1, pulse))

    def count_events(self, events: int, late: int) -> None:
        for number in range(events):
            self.desk.late_rate.add(is_late=number < late)

    def take_change(self) -> bool:
        has_changed, self.has_changed = self.has_changed, False
        return has_changed


def armed() -> Machine:
    machine = Machine()
    machine.start_session(1000)
    machine.desk.start_session(1000)
    machine.wish(ARMED, 1000)
    machine.beat()
    assert machine.state is ARMED
    return machine


# ---- power-on and sessions ----


def test_power_on_is_boot_until_time_passes_and_then_safe() -> None:
    states = BoardStates(EjectDesk(n_valves=8, slots=4))
    before = (states.state, states.faults, states.has_changed, states.last_heard, states.feeder_permille)
    assert before == (BoardState.BOOT, 0, False, 0, 0)
    states.run_to(10 * SECOND, wd_us=WD)
    assert states.state is SAFE
    assert states.take_faults(9) == []


def test_after_power_on_the_feeder_may_be_set_before_a_session() -> None:
    machine = Machine()
    machine.set_feeder(500)
    assert machine.feeder_permille == 500


def test_a_session_begins_in_idle_with_everything_forgotten() -> None:
    machine = armed()
    machine.set_feeder(700)
    machine.raise_fault(FaultCode.LATE_RATE, 1000, 0)
    machine.enter_safe(2000)
    machine.start_session(3000)
    assert (machine.state, machine.faults, machine.last_heard, machine.feeder_permille) == (IDLE, 0, 3000, 0)
    assert machine.take_faults(9) == []
    machine.beat(3000)
    assert machine.state is IDLE  # SET_STATE ARMED was for the session before
    machine.set_feeder(300)
    assert machine.feeder_permille == 300


def test_a_session_that_begins_while_the_valves_drain_ends_the_drain() -> None:
    machine = armed()
    machine.schedule(WD + 60_000)
    machine.run(WD + 1000)
    seen = [machine.is_firing]
    machine.start_session(WD + 2000)
    machine.wish(ARMED, WD + 2000)
    machine.beat(WD + 2000)
    assert [*seen, machine.is_firing] == [False, True]
    machine.run(WD + 1000 + DRAIN_US)
    assert machine.state is ARMED


# ---- arming ----


def test_arming_needs_the_order_and_then_the_flag_and_the_same_configuration() -> None:
    machine = Machine()
    machine.beat()
    assert machine.state is SAFE
    machine.start_session(1000)
    seen = []
    acts: tuple[Callable[[], None], ...] = (
        machine.beat,
        lambda: machine.wish(ARMED, 1000),
        lambda: machine.beat(crc=1),
        lambda: machine.beat(flags=HeartbeatFlag.NONE),
        machine.beat,
    )
    for act in acts:
        act()
        seen.append((machine.state, machine.is_firing))
    assert seen == [(IDLE, False)] * 4 + [(ARMED, True)]
    assert machine.take_faults(9) == []


@pytest.mark.parametrize("state", [ARMED, DEGRADED])
def test_a_heartbeat_without_the_flag_disarms_without_a_fault(state: BoardState) -> None:
    machine = armed()
    machine.state = state
    machine.beat()
    assert machine.state is state
    machine.beat(flags=HeartbeatFlag.NONE)
    assert machine.state is IDLE
    assert machine.take_faults(9) == []
    machine.beat()
    assert machine.state is ARMED


def test_a_heartbeat_of_another_configuration_disarms_with_a_fault_that_tells_it() -> None:
    machine = armed()
    machine.beat(2**32 + 77, crc=0x1234)
    assert machine.state is IDLE
    assert machine.take_faults(9) == [Fault(FaultCode.CFG_MISMATCH, 0, 77, 0x1234)]


def test_set_state_idle_disarms_and_takes_the_order_back() -> None:
    machine = armed()
    machine.take_change()
    machine.wish(IDLE, 2000)
    assert (machine.state, machine.take_change()) == (IDLE, True)
    machine.beat()
    assert machine.state is IDLE
    machine.wish(IDLE, 2000)
    assert not machine.take_change()


def test_an_order_to_arm_does_not_disturb_a_machine_that_is_armed() -> None:
    machine = armed()
    machine.wish(ARMED, 2000)
    machine.beat()
    assert machine.state is ARMED


# ---- safe ----


def test_set_state_safe_stops_at_once_and_is_latched() -> None:
    machine = armed()
    machine.set_feeder(700)
    machine.schedule(1500, pulse=9000)
    machine.schedule(50_000, evid=1)
    machine.run(2000)
    machine.take_change()
    machine.wish(SAFE, 2000)
    assert (machine.state, machine.feeder_permille, machine.take_change()) == (SAFE, 0, True)
    assert machine.recorder.take() == [FiredPulse(0, 0, 1, 1500, 2000)]
    assert [(report.evid, report.reason) for report in machine.desk.take_reports(9)] == [(1, EjectReason.CANCELLED)]
    machine.wish(ARMED, 3000)
    machine.wish(IDLE, 3000)
    machine.beat(3000)
    machine.set_feeder(700)
    assert (machine.state, machine.feeder_permille) == (SAFE, 0)


def test_a_safe_machine_does_not_watch_its_host() -> None:
    machine = armed()
    machine.wish(SAFE, 2000)
    machine.run(10 * SECOND)
    assert machine.take_faults(9) == []


# ---- silence ----


@pytest.mark.parametrize("state", [IDLE, ARMED, DEGRADED])
def test_silence_is_seen_at_its_exact_tick_in_every_state_that_has_a_host(state: BoardState) -> None:
    machine = armed()
    machine.state = state
    machine.last_heard = 5000
    machine.set_feeder(700)
    machine.schedule(5000 + WD + 60_000)
    machine.run(5000 + WD - 1)
    assert (machine.feeder_permille, machine.take_faults(9)) == (700, [])
    machine.run(5000 + WD)
    assert (machine.state, machine.feeder_permille, machine.is_firing) == (state, 0, False)
    assert machine.take_faults(9) == [Fault(FaultCode.HOST_SILENT, 0, 5000 + WD, 0)]
    machine.set_feeder(700)
    assert machine.feeder_permille == 0


def test_a_silent_machine_drains_for_100_ms_and_no_longer() -> None:
    machine = armed()
    end = 1000 + WD + DRAIN_US
    machine.schedule(end - 400)
    machine.schedule(end, evid=1)
    machine.schedule(end + 1, evid=2)
    machine.run(1000 + WD)
    machine.run(end - 1)
    assert machine.state is ARMED
    machine.run(end)
    assert machine.state is SAFE
    assert machine.recorder.take() == [FiredPulse(0, 0, 1, end - 400, end)]
    assert machine.desk.bank.fired_count == 2
    assert [report.evid for report in machine.desk.take_reports(9)] == [2]


def test_a_drain_ends_when_no_valve_is_open_any_more() -> None:
    machine = armed()
    machine.schedule(1000 + WD + 10_000, pulse=500)
    machine.run(1000 + WD)
    machine.run(1000 + WD + 10_499)
    assert machine.state is ARMED
    machine.run(1000 + WD + 10_500)  # closes the valve
    machine.run(1000 + WD + 10_501)
    assert machine.state is SAFE
    assert machine.recorder.take() == [FiredPulse(0, 0, 1, 1000 + WD + 10_000, 1000 + WD + 10_500)]


def test_a_silent_machine_with_nothing_to_fire_is_safe_at_once() -> None:
    machine = armed()
    machine.run(1000 + WD)
    assert machine.state is SAFE


def test_a_machine_that_fired_its_last_event_before_the_silence_is_safe_at_once() -> None:
    machine = armed()
    machine.schedule(2000)
    machine.run(1000 + WD)
    assert machine.state is SAFE
    assert machine.recorder.take() == [FiredPulse(0, 0, 1, 2000, 2900)]


def test_one_long_gap_is_the_same_as_many_short_ones() -> None:
    seen = []
    for steps in ([10 * SECOND], range(2000, SECOND, 500)):
        machine = armed()
        for evid, tick in enumerate((1000 + WD - 100, 1000 + WD + 50_000, 1000 + WD + DRAIN_US + 1)):
            machine.schedule(tick, evid=evid)
        for now in steps:
            machine.run(now)
        seen.append((machine.state, machine.take_faults(9), machine.recorder.take(), machine.desk.take_reports(9)))
    assert seen[0] == seen[1]
    assert [pulse.evid for pulse in seen[0][2]] == [0, 1]


def test_time_beyond_u32_is_told_modulo() -> None:
    machine = armed()
    machine.last_heard = 2**32
    machine.run(2**32 + WD)
    assert machine.take_faults(9) == [Fault(FaultCode.HOST_SILENT, 0, WD, 0)]


# ---- lateness and faults ----


def test_a_late_second_degrades_and_a_good_one_restores() -> None:
    machine = armed()
    machine.set_feeder(700)
    seen = []
    for second, (late, permille) in enumerate(((2, 700), (50, 0), (2, 700), (50, 0), (0, 700)), start=1):
        machine.count_events(100, late)
        machine.judge(1000 + second * SECOND - 1)
        machine.judge(1000 + second * SECOND)
        seen.append((machine.state, machine.feeder_permille))
        assert machine.feeder_permille == permille
    assert [state for state, _ in seen] == [DEGRADED] * 4 + [ARMED]
    assert machine.take_faults(9) == [Fault(FaultCode.LATE_RATE, 0, 1000 + SECOND, 0)]


def test_a_second_that_says_nothing_leaves_everything_as_it_is() -> None:
    machine = armed()
    machine.set_feeder(700)
    machine.count_events(100, 50)
    machine.judge(1000 + SECOND)
    machine.count_events(19, 10)
    machine.judge(1000 + 2 * SECOND)
    assert (machine.state, machine.feeder_permille) == (DEGRADED, 0)


def test_lateness_neither_arms_nor_disarms() -> None:
    machine = armed()
    machine.wish(IDLE, 1000)
    for second, late in enumerate((50, 0), start=1):
        machine.count_events(100, late)
        machine.judge(1000 + second * SECOND)
        assert machine.state is IDLE


def test_a_new_session_gives_the_permit_back() -> None:
    machine = armed()
    machine.count_events(100, 50)
    machine.judge(1000 + SECOND)
    machine.start_session(1000 + SECOND)
    machine.set_feeder(700)
    assert machine.feeder_permille == 700


def test_a_full_queue_is_a_fault_at_once_and_once() -> None:
    machine = armed()
    machine.judge(2000)
    assert machine.take_faults(9) == []
    for now in (3000, 2**32 + 4000):
        machine.desk.has_overrun = True
        machine.judge(now)
        assert not machine.desk.has_overrun
    assert machine.take_faults(9) == [Fault(FaultCode.QUEUE_OVERRUN, 0, 3000, 0)]


def test_a_fault_is_told_once_a_session_and_stays_in_the_bits() -> None:
    machine = armed()
    machine.take_change()
    machine.raise_fault(FaultCode.LATE_RATE, 2**32 + 5, 77)
    assert machine.take_change()
    machine.raise_fault(FaultCode.LATE_RATE, 9, 78)
    assert not machine.take_change()
    machine.raise_fault(FaultCode.HOST_SILENT, 10, 79)
    assert machine.faults == 1 << FaultCode.LATE_RATE | 1 << FaultCode.HOST_SILENT
    assert machine.take_faults(1) == [Fault(FaultCode.LATE_RATE, 0, 5, 77)]
    assert machine.take_faults(9) == [Fault(FaultCode.HOST_SILENT, 0, 10, 79)]
    machine.start_session(20)
    machine.raise_fault(FaultCode.LATE_RATE, 21, 80)
    assert machine.take_faults(9) == [Fault(FaultCode.LATE_RATE, 0, 21, 80)]
