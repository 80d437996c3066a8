"""A process under the supervisor: what it says, and in which order."""

import os
from contextlib import closing
from datetime import UTC, datetime

from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.messages import ProcessReady, decode_child_news
from edge_runtime.live.packets import Packets, packet_pair
from edge_runtime.live.vitals import Vitals
from edge_runtime.realtime import LinuxSystem, RealtimeSettings


class Desk(LinuxSystem):
    """Grants everything and does nothing."""

    def keep_heap(self) -> None: ...
    def hold_garbage(self) -> None: ...
    def stay_single(self) -> None: ...


class AskingClock:
    """Looks at each sign of life whether the supervisor has been told anything yet."""

    def __init__(self, supervisor: Packets) -> None:
        self.told: list[bytes | None] = []
        self._supervisor = supervisor

    def monotonic_ns(self) -> int:
        self.told.append(self._supervisor.receive())
        return 77

    def utc_now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep_s(self, seconds: float) -> None:
        raise AssertionError(f"a wait of {seconds} s")


def test_process_gives_a_sign_of_life_before_it_says_that_it_is_ready() -> None:
    """A supervisor that reads `ready` first looks at a sign of life from before the start, and kills the process."""
    supervisor, control = packet_pair()
    vitals, settings = Vitals.create(rows=1), RealtimeSettings(is_memory_locked=False)
    with closing(supervisor), closing(control):
        clock = AskingClock(supervisor)
        plan = ChildPlan(1, 0, os.dup(control.fileno()), vitals.memory.fd, "machine.toml", settings)
        child = Child(plan, clock)
        child.ready(Desk())
        message = supervisor.receive()
        child.close()
    assert clock.told == [None]
    assert vitals.row(0).read().beaten_ns == 77
    assert message is not None
    assert isinstance(decode_child_news(message), ProcessReady)
