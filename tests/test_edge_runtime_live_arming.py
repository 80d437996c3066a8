"""What arms, feeds and stops the machine: against a virtual controller, in virtual time."""

import os
import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge_runtime.live.arming import Arming
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.ladder import Ladder, LadderSettings, Level
from edge_runtime.live.messages import ArmingLost, Wish, decode_child_news
from edge_runtime.live.packets import packet_pair
from edge_runtime.live.vitals import Vitals
from edge_runtime.realtime import RealtimeSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.keeper_events import ArmingHeld, KeeperSettings, KeeperState, LinkLost, LinkRefused
from firmware_bridge.link_keeper import LinkKeeper
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000
SLACK_MS = 100
OLD_MS = 10 * SLACK_MS
SORT = Wish(is_armed=True, feeder_permille=1000)
TEACH = Wish(is_armed=False, feeder_permille=1000)


class Rig:
    """A controller, and a bridge's arming that is looked at every millisecond."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.board = VirtualBoard()
        self.supervisor, theirs = packet_pair()
        self.vitals = Vitals.create(rows=1)
        with closing(theirs):
            plan = ChildPlan(1, 0, os.dup(theirs.fileno()), self.vitals.memory.fd, "machine.toml", RealtimeSettings())
            self.child = Child(plan, self.clock)
        self.keeper = LinkKeeper(
            lambda: BoardTransport(self.board, self.clock),
            self.clock,
            {},
            settings=KeeperSettings(rearm_after=frozenset()),
            rng=random.Random(1),
        )
        self.arming = Arming(self.child, self.keeper, Ladder(LadderSettings(), SLACK_MS * MS))

    def run(self, ms: int, *, age_ms: int | None = None) -> "Rig":
        """Let time pass; with an age frames of that age are taken."""
        for _ in range(ms):
            self.clock.advance_ns(MS)
            self.board.advance(self.clock.monotonic_ns())
            self.arming.on_age(None if age_ms is None else age_ms * MS)
            for event in self.keeper.poll():
                if isinstance(event, ArmingHeld | LinkRefused):
                    self.arming.on_held(event.detail, is_final=isinstance(event, LinkRefused))
                elif isinstance(event, LinkLost):
                    self.arming.on_link_lost(event.detail)
            self.arming.look(is_armed=self.keeper.state is KeeperState.ARMED)
        return self

    def want(self, wish: Wish) -> "Rig":
        self.arming.want(wish)
        return self.run(200)

    def told(self) -> list[str]:
        found: list[str] = []
        while (message := self.supervisor.receive()) is not None:
            news = decode_child_news(message)
            assert isinstance(news, ArmingLost)
            found.append(news.detail)
        return found

    @property
    def state(self) -> tuple[bool, int]:
        return self.vitals.is_armed, self.board.feeder_permille

    @property
    def level(self) -> Level:
        return self.vitals.level


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.keeper.close()
    rig.child.close()
    rig.supervisor.close()


def test_armed_without_a_single_frame_the_feeder_slows_and_then_all_stops(rig: Rig) -> None:
    rig.want(SORT)
    assert rig.state == (True, 1000)
    rig.run(1000)
    assert rig.state == (True, LadderSettings().min_feeder_permille)
    rig.run(5000)

    assert rig.state == (False, 0)
    assert rig.level is Level.L4
    assert [why.split(" for ")[0] for why in rig.told()] == ["overload: no frame"]


def test_a_wait_for_the_first_wish_is_no_silence(rig: Rig) -> None:
    rig.run(20_000).want(SORT)
    assert rig.state == (True, 1000)
    assert rig.told() == []


def test_a_teach_lot_without_frames_stops_its_feeder(rig: Rig) -> None:
    rig.want(TEACH)
    assert rig.state == (False, 1000)
    rig.run(6000)

    assert rig.state == (False, 0)
    assert len(rig.told()) == 1


def test_a_teach_lot_is_not_fed_again_by_a_controller_that_comes_back(rig: Rig) -> None:
    rig.want(TEACH)
    rig.board.reboot(rig.clock.monotonic_ns())
    rig.run(2000)

    assert rig.keeper.state is KeeperState.READY
    assert rig.state == (False, 0)
    assert [why.split(":")[0] for why in rig.told()] == ["controller lost"]


def test_an_armed_machine_whose_controller_comes_back_waits_for_a_new_wish(rig: Rig) -> None:
    rig.want(SORT)
    rig.board.reboot(rig.clock.monotonic_ns())
    rig.run(2000, age_ms=1)
    assert rig.state == (False, 0)
    assert len(rig.told()) == 1

    rig.want(SORT)
    assert rig.state == (True, 1000)


def test_frames_that_wait_too_long_are_the_safe_state_until_a_new_wish(rig: Rig) -> None:
    rig.want(SORT).run(2000, age_ms=OLD_MS)
    assert (rig.state, rig.level) == ((False, 0), Level.L4)
    assert [why.split(" ")[:2] for why in rig.told()] == [["overload:", "age"]]
    rig.run(60_000)
    assert rig.state == (False, 0)

    rig.want(SORT)
    assert (rig.state, rig.level) == ((True, LadderSettings().min_feeder_permille), Level.L0)


def test_the_safe_state_gives_up_a_wait_for_a_better_line(rig: Rig) -> None:
    rig.run(200)  # a session is there
    rig.arming.want(SORT)
    rig.arming.on_held("the line is uneven", is_final=False)  # is asked again in half a second
    rig.arming.on_link_lost("it is gone")
    rig.run(20)
    rig.arming.on_held("the line is uneven", is_final=True)
    rig.run(2000)

    assert rig.state == (False, 0)
    assert rig.told() == ["the line is uneven"]


def test_frames_that_wait_while_nothing_moves_do_not_keep_the_machine_from_being_armed(rig: Rig) -> None:
    rig.run(3000, age_ms=OLD_MS)
    assert rig.told() == []

    rig.want(SORT)
    assert rig.state[0]
    assert rig.state[1] > 0
    assert rig.told() == []


def test_another_rate_of_the_feeder_does_not_disarm(rig: Rig) -> None:
    rig.want(SORT)
    session = rig.keeper.link
    rig.arming.want(Wish(is_armed=True, feeder_permille=400))
    rig.run(1)
    assert rig.vitals.is_armed
    rig.run(50, age_ms=1)

    assert rig.state == (True, 400)
    assert rig.keeper.link is session


def test_armed_and_fed_by_hand_it_waits_for_frames_and_judges_those_that_come(rig: Rig) -> None:
    rig.want(Wish(is_armed=True, feeder_permille=0)).run(20_000)
    assert rig.state == (True, 0)

    rig.run(2000, age_ms=OLD_MS)
    assert rig.state == (False, 0)
    assert len(rig.told()) == 1


def test_leaving_it_only_stops_the_feeder(rig: Rig) -> None:
    rig.want(SORT)
    rig.arming.leave()
    rig.run(20_000)

    assert rig.state == (True, 0)
    assert rig.told() == []
