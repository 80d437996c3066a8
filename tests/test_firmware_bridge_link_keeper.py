"""A session that comes back: unplugged, rebooted, deaf, stalled, refused; in virtual time against a virtual board."""

import itertools
import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.board import BoardSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.errors import LinkStateError, TransportClosedError, TransportError
from firmware_bridge.framing import Deframer, encode_frame
from firmware_bridge.keeper_events import (
    ArmingHeld,
    KeeperEvent,
    KeeperSettings,
    KeeperState,
    LinkLost,
    LinkRefused,
    LinkRestored,
    LostReason,
)
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent, EjectOutcome, LinkEvent
from firmware_bridge.link_keeper import LinkKeeper
from firmware_bridge.messages import BoardState
from firmware_bridge.transport import Transport
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000
REARM_LIMIT_MS = 500


class Machine:
    """A board at a port that can be pulled, muted and deafened, and a host that keeps a link to it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        config: dict[ConfigKey, int] | None = None,
        link: LinkSettings | None = None,
        settings: KeeperSettings | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.board = VirtualBoard()
        self.is_plugged = True
        self.is_mute = self.is_deaf = False
        self.version = 1
        self.tries_ms: list[int] = []
        self.events: list[LinkEvent | KeeperEvent] = []
        self._make: Callable[[int], LinkKeeper] = lambda number: LinkKeeper(
            self.open,
            self.clock,
            config or {},
            link_settings=msgspec.structs.replace(link or LinkSettings(), epoch_seed=seed + number),
            settings=settings,
            rng=random.Random(seed),
        )
        self.keeper = self._make(0)

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ns() // MS

    def board_state(self) -> BoardState:
        return self.board.state

    def keeper_state(self) -> KeeperState:
        return self.keeper.state

    def open(self) -> Transport:
        self.tries_ms.append(self.now_ms)
        if not self.is_plugged:
            raise TransportError("port is not there")
        return Cable(self)

    def armed(self, feeder_permille: int = 640) -> "Machine":
        self.keeper.want_armed(True)
        self.keeper.want_feeder(feeder_permille)
        self.run(100)
        assert self.keeper_state() == KeeperState.ARMED
        self.events.clear()
        return self

    def run(self, ms: int, *, is_host_there: bool = True) -> None:
        for _ in range(ms):
            self.clock.advance_ns(MS)
            self.board.advance(self.clock.monotonic_ns())
            if is_host_there:
                self.events += self.keeper.poll()

    def restart_host(self) -> None:
        """The process is killed; another one begins."""
        self.keeper = self._make(1)

    def eject(self, count: int, ahead_us: int = 20_000) -> range:
        link = self.keeper.link
        assert link is not None
        tick = (link.tick_now() + ahead_us) % 2**32
        return link.eject([EjectEvent(tick + 100 * number, number, 1, 1000) for number in range(count)])

    def of(self, kind: type) -> list[LinkEvent | KeeperEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def lost(self) -> list[LostReason]:
        return [event.reason for event in self.events if isinstance(event, LinkLost)]

    def restored(self) -> LinkRestored:
        (event,) = (event for event in self.events if isinstance(event, LinkRestored))
        return event


class Cable(BoardTransport):
    """The host's end of the machine's cable."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.board, machine.clock)
        self._machine = machine

    def read(self, max_b: int, timeout_s: float) -> bytes:
        if not self._machine.is_plugged:
            raise TransportClosedError("port is gone")
        data = super().read(max_b, timeout_s)
        if self._machine.version != 1:
            frames = Deframer().feed(data)
            version = bytes((self._machine.version,))
            data = b"".join(encode_frame(f.type, f.epoch8, f.seq, version + f.payload[1:]) for f in frames)
        return b"" if self._machine.is_mute else data

    def write(self, data: bytes) -> None:
        if not self._machine.is_plugged:
            raise TransportClosedError("port is gone")
        if not self._machine.is_deaf:
            super().write(data)


def test_the_first_session_is_armed_and_only_then_fed() -> None:
    machine = Machine()
    machine.keeper.want_feeder(640)
    machine.keeper.want_armed(True)
    while machine.keeper.state is not KeeperState.ARMED:
        machine.run(1)
        assert machine.board_state() == BoardState.ARMED or machine.board.feeder_permille == 0
    machine.run(10)
    assert machine.board.feeder_permille == 640
    assert machine.restored().is_armed
    assert machine.restored().attempts == 1
    assert machine.restored().after_ms <= 20


def test_without_a_wish_nothing_is_armed() -> None:
    machine = Machine()
    machine.run(300)
    assert machine.keeper_state() == KeeperState.READY
    assert machine.board_state() == BoardState.IDLE
    assert not machine.restored().is_armed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("away_ms", [1, 30, 400, 3333])
def test_after_a_replug_the_machine_is_armed_and_fed_within_half_a_second(seed: int, away_ms: int) -> None:
    machine = Machine(seed=seed).armed()
    evids = machine.eject(3, ahead_us=200_000)
    machine.run(5)
    machine.is_plugged = False
    machine.run(away_ms)
    machine.is_plugged = True
    machine.run(REARM_LIMIT_MS)
    assert machine.keeper_state() == KeeperState.ARMED
    assert machine.board_state() == BoardState.ARMED
    assert machine.board.feeder_permille == 640
    assert machine.lost() == [LostReason.TRANSPORT]
    assert away_ms <= machine.restored().after_ms <= away_ms + REARM_LIMIT_MS
    machine.run(600)
    outcomes = Counter(event.evid for event in machine.events if isinstance(event, EjectOutcome))
    assert outcomes == dict.fromkeys(evids, 1)


def test_a_replug_is_answered_in_half_a_second_with_the_line_measured_too() -> None:
    machine = Machine(link=LinkSettings(lead_us=12_000))
    machine.keeper.want_armed(True)
    machine.run(400)
    machine.is_plugged = False
    machine.run(1000)
    machine.is_plugged = True
    machine.run(REARM_LIMIT_MS)
    assert machine.keeper_state() == KeeperState.ARMED


def test_ids_go_on_over_ports_and_reboots() -> None:
    machine = Machine().armed()
    first = machine.eject(2)
    machine.run(50)
    machine.board.reboot(machine.clock.monotonic_ns())
    machine.is_plugged = False
    machine.run(50)
    machine.is_plugged = True
    machine.run(REARM_LIMIT_MS)
    second = machine.eject(2)
    assert set(first) & set(second) == set()


def test_a_rebooted_controller_is_armed_again_over_the_port_that_is_open() -> None:
    """Opening a port restarts some controllers."""
    machine = Machine().armed()
    machine.board.reboot(machine.clock.monotonic_ns())
    machine.run(REARM_LIMIT_MS)
    assert machine.lost() == [LostReason.RESTARTED]
    assert machine.restored().is_armed
    assert machine.board.feeder_permille == 640
    assert len(machine.tries_ms) == 1


def test_a_restarted_host_is_armed_within_half_a_second() -> None:
    machine = Machine().armed()
    machine.run(120, is_host_there=False)
    machine.restart_host()
    machine.keeper.want_armed(True)
    machine.run(REARM_LIMIT_MS)
    assert machine.keeper_state() == KeeperState.ARMED
    assert machine.restored().attempts == 1


def test_a_silent_controller_is_armed_again_when_it_speaks() -> None:
    machine = Machine().armed()
    machine.is_mute = True
    machine.run(1500)
    assert machine.lost() == [LostReason.SILENT]
    machine.is_mute = False
    machine.run(1200)  # a try that began in silence is given its second
    assert machine.restored().is_armed


def test_a_controller_that_does_not_hear_us_goes_safe_and_is_armed_again() -> None:
    machine = Machine().armed()
    machine.is_deaf = True
    machine.run(270)
    assert machine.board.feeder_permille == 0
    machine.is_deaf = False
    machine.run(REARM_LIMIT_MS)
    assert machine.lost() == [LostReason.UNHEARD]
    assert machine.restored().is_armed
    assert len(machine.tries_ms) == 1


def test_a_host_that_was_not_there_waits_for_a_new_wish() -> None:
    machine = Machine().armed()
    machine.run(400, is_host_there=False)
    assert machine.board_state() == BoardState.SAFE
    machine.run(300)
    assert machine.lost() == [LostReason.STALLED]
    assert machine.of(ArmingHeld) == [ArmingHeld("not armed again after stalled")]
    assert not machine.restored().is_armed
    assert (machine.keeper.wants_armed, machine.keeper.feeder_permille) == (False, 0)
    assert (machine.board.state, machine.board.feeder_permille) == (BoardState.IDLE, 0)
    machine.keeper.want_armed(True)
    machine.run(50)
    assert machine.board_state() == BoardState.ARMED


def test_a_stall_of_a_machine_that_was_not_armed_holds_nothing() -> None:
    machine = Machine()
    machine.run(50)
    machine.run(400, is_host_there=False)
    machine.run(300)
    assert machine.lost() == [LostReason.STALLED]
    assert machine.of(ArmingHeld) == []
    assert machine.keeper_state() == KeeperState.READY


def test_a_machine_that_somebody_else_disarmed_waits_for_a_new_wish() -> None:
    machine = Machine().armed()
    link = machine.keeper.link
    assert link is not None
    link.disarm()
    machine.run(100)
    assert machine.lost() == [LostReason.STOPPED]
    assert len(machine.of(ArmingHeld)) == 1
    assert machine.board_state() == BoardState.IDLE


def test_with_no_reason_allowed_every_loss_holds() -> None:
    machine = Machine(settings=KeeperSettings(rearm_after=frozenset())).armed()
    machine.board.reboot(machine.clock.monotonic_ns())
    machine.run(REARM_LIMIT_MS)
    assert machine.of(ArmingHeld) == [ArmingHeld("not armed again after restarted")]
    assert machine.board_state() == BoardState.IDLE


def test_a_controller_that_restarts_again_and_again_is_not_armed_for_ever() -> None:
    machine = Machine(settings=KeeperSettings(max_rearms=5, rearm_window_s=3)).armed()
    for _ in range(6):
        machine.board.reboot(machine.clock.monotonic_ns())
        machine.run(200)
    assert machine.of(ArmingHeld) == [ArmingHeld("armed again 5 times in 3 s: not once more")]
    assert machine.board_state() == BoardState.IDLE
    machine.keeper.want_armed(True)
    machine.run(3000)
    machine.board.reboot(machine.clock.monotonic_ns())
    machine.run(1000)
    assert machine.board_state() == BoardState.ARMED


def test_another_controller_at_the_port_waits_for_a_new_wish() -> None:
    machine = Machine().armed()
    machine.is_plugged = False
    machine.run(50)
    machine.board = VirtualBoard(BoardSettings(uid=b"someone else"))
    machine.is_plugged = True
    machine.run(REARM_LIMIT_MS)
    assert [str(event) for event in machine.of(ArmingHeld) if "another controller answers" in str(event)] != []
    assert machine.board_state() == BoardState.IDLE


def test_a_controller_of_another_version_is_given_up_until_restart() -> None:
    machine = Machine()
    machine.version = 9
    machine.keeper.want_armed(True)
    machine.run(3000)
    assert machine.of(LinkRefused) == [LinkRefused("controller speaks version 9, this host 1")]
    assert machine.keeper_state() == KeeperState.REFUSED
    assert len(machine.tries_ms) == 1
    machine.version = 1
    machine.keeper.restart()
    machine.keeper.want_armed(True)
    machine.run(REARM_LIMIT_MS)
    assert machine.keeper_state() == KeeperState.ARMED


def test_a_refused_configuration_is_given_up_with_the_key() -> None:
    machine = Machine(config={ConfigKey.WD_MS: 1})
    machine.keeper.want_armed(True)
    machine.run(3000)
    assert machine.of(LinkRefused) == [LinkRefused("WD_MS = 1 refused: controller has 250")]
    assert len(machine.tries_ms) == 1
    assert machine.board_state() == BoardState.SAFE
    assert not machine.keeper.wants_armed


def test_a_line_too_slow_for_the_lead_is_held_with_value_and_limit() -> None:
    machine = Machine(link=LinkSettings(lead_us=1000))
    machine.keeper.want_armed(True)
    machine.run(1000)
    (held,) = machine.of(ArmingHeld)
    assert held == ArmingHeld("round trip of 1000 us (p99 of 5) > 500 us, half the lead")
    assert machine.board_state() == BoardState.IDLE
    assert not machine.restored().is_armed


def test_a_missing_port_is_tried_at_bounded_random_intervals_for_ever() -> None:
    machine = Machine()
    machine.is_plugged = False
    machine.run(5000)
    pauses = [later - earlier for earlier, later in itertools.pairwise(machine.tries_ms)]
    assert 20 <= pauses[0] <= 41
    assert all(20 <= pause <= 201 for pause in pauses)
    assert max(pauses) > 100
    assert len(set(pauses)) > 10
    assert machine.events == []
    machine.is_plugged = True
    machine.run(REARM_LIMIT_MS)
    assert machine.restored().attempts == len(machine.tries_ms)


def test_a_port_at_which_nobody_answers_is_opened_anew() -> None:
    clock = ManualClock()
    opened: list[Transport] = []

    def open_port() -> Transport:
        opened.append(memory_pair(clock)[0])
        return opened[-1]

    keeper = LinkKeeper(open_port, clock, {}, rng=random.Random(1))
    for _ in range(3500):
        clock.advance_ns(MS)
        assert keeper.poll() == []
    assert len(opened) in {3, 4}
    with pytest.raises(TransportClosedError):
        opened[0].write(b"x")


def test_wishes_may_change_at_any_time() -> None:
    machine = Machine().armed()
    machine.keeper.want_armed(False)
    machine.keeper.want_armed(True)
    machine.keeper.want_armed(False)
    machine.run(20)
    assert (machine.keeper.state, machine.board.state) == (KeeperState.READY, BoardState.IDLE)
    machine.keeper.want_feeder(100)
    machine.run(1)
    assert machine.board.feeder_permille == 100
    machine.keeper.want_armed(True)
    machine.keeper.want_feeder(0)
    machine.run(20)
    assert (machine.board.state, machine.board.feeder_permille) == (BoardState.ARMED, 0)
    assert machine.lost() == []


def test_a_feeder_out_of_range_is_refused() -> None:
    with pytest.raises(LinkStateError, match=r"feeder at 1001 permille is not in 0\.\.1000"):
        Machine().keeper.want_feeder(1001)


def test_close_stops_feeder_and_valves_and_settles_every_event_once() -> None:
    machine = Machine().armed()
    evids = machine.eject(3, ahead_us=300_000)
    machine.keeper.close()
    machine.run(5)
    assert (machine.board.state, machine.board.feeder_permille) == (BoardState.IDLE, 0)
    assert [event.evid for event in machine.events if isinstance(event, EjectOutcome)] == list(evids)
    assert machine.lost() == []
    tries = len(machine.tries_ms)
    machine.keeper.restart()
    machine.run(500)
    assert len(machine.tries_ms) == tries


EVENTS = st.sampled_from(["unplug", "plug", "reboot", "mute", "deafen", "hear", "stall", "eject", "disarm"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(EVENTS, st.integers(1, 600)), max_size=8))
def test_whatever_happens_every_event_has_one_outcome_and_an_armed_machine_comes_back(
    seed: int, story: list[tuple[str, int]]
) -> None:
    machine = Machine(seed=seed, settings=KeeperSettings(max_rearms=100))
    machine.keeper.want_armed(True)
    machine.keeper.want_feeder(500)
    machine.run(50)
    evids: list[int] = []
    for what, ms in story:
        machine.is_plugged = what == "plug" or (machine.is_plugged and what != "unplug")
        machine.is_mute = what == "mute" or (machine.is_mute and what != "hear")
        machine.is_deaf = what == "deafen" or (machine.is_deaf and what != "hear")
        if what == "reboot":
            machine.board.reboot(machine.clock.monotonic_ns())
        if what == "eject" and machine.keeper.state is KeeperState.ARMED:
            evids += machine.eject(2)
        machine.keeper.want_armed(what != "disarm")
        machine.run(ms, is_host_there=what != "stall")
    machine.is_plugged, machine.is_mute, machine.is_deaf = True, False, False
    for _ in range(3):  # a stall that is noticed only now holds once
        machine.keeper.want_armed(True)
        machine.run(1500)
    assert machine.board_state() == BoardState.ARMED
    assert Counter(event.evid for event in machine.events if isinstance(event, EjectOutcome)) == Counter(evids)
