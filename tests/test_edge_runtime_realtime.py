"""Everything is asked for by itself, and what is refused is told with its reason and its remedy."""

import errno
import json
import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.realtime import Grants, LinuxSystem, RealtimeSettings, RealtimeStep, enter_realtime

EVERYTHING = RealtimeSettings(core=1, priority=50)
STEPS: tuple[RealtimeStep, ...] = ("heap", "garbage", "threads", "memory", "core", "priority")

# Runs in a process of its own: what it is granted must not stay with the tests.
IN_A_CHILD = """
import gc, json, os, sys
import msgspec
from edge_runtime.realtime import RealtimeSettings, enter_realtime
grants = enter_realtime(msgspec.json.decode(sys.argv[1], type=RealtimeSettings))
state = [sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, gc.isenabled()]
print(json.dumps([msgspec.to_builtins(grants), state]))
"""

# Five arrays of 3 MiB, written to and freed again and again: 768 pages each, if the system hands them out anew.
HEAP_IN_A_CHILD = """
import resource
import numpy as np
from edge_runtime.realtime import LinuxSystem
LinuxSystem().keep_heap()
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(5)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


class Office:
    """A system that grants what it is told to grant and remembers what it was asked, in order."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused
        self.asked: list[tuple[str, int]] = []

    def pin(self, core: int) -> None:
        self._answer("core", core)

    def raise_priority(self, priority: int) -> None:
        self._answer("priority", priority)

    def lock_memory(self) -> None:
        self._answer("memory")

    def keep_heap(self) -> None:
        self._answer("heap")

    def hold_garbage(self) -> None:
        self._answer("garbage")

    def stay_single(self) -> None:
        self._answer("threads")

    def _answer(self, step: str, value: int = 0) -> None:
        self.asked.append((step, value))
        if step in self._refused:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def in_a_child(asked: RealtimeSettings) -> tuple[Grants, list[int], int, bool]:
    """What a process of its own is granted; the cores and the policy that it then has, and whether it collects."""
    command = [sys.executable, "-c", IN_A_CHILD, msgspec.json.encode(asked).decode()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    grants, (cores, policy, is_collecting) = json.loads(answer)
    return msgspec.convert(grants, Grants), cores, policy, is_collecting


def test_everything_is_asked_for_once_and_the_priority_last() -> None:
    office = Office()
    grants = enter_realtime(EVERYTHING, office)
    assert office.asked == [(step, {"core": 1, "priority": 50}.get(step, 0)) for step in STEPS]
    assert grants == Grants(STEPS, {})


@given(st.sets(st.sampled_from(STEPS)))
def test_each_refusal_is_told_with_its_remedy_and_stops_nothing(refused: set[RealtimeStep]) -> None:
    office = Office(*refused)
    grants = enter_realtime(EVERYTHING, office)
    assert [step for step, _ in office.asked] == list(STEPS)
    assert grants.granted == tuple(step for step in STEPS if step not in refused)
    assert set(grants.refused) == refused
    assert all(reason.startswith("Operation not permitted: ") for reason in grants.refused.values())


def test_nothing_is_asked_for_that_was_not_wanted() -> None:
    office = Office()
    grants = enter_realtime(RealtimeSettings(is_memory_locked=False), office)
    assert grants == Grants(("heap", "garbage", "threads"), {})
    assert len(office.asked) == 3


def test_this_computer_grants_or_refuses_and_what_it_grants_holds() -> None:
    core = max(os.sched_getaffinity(0))
    grants, cores, policy, is_collecting = in_a_child(RealtimeSettings(core=core, priority=1))
    assert {*grants.granted, *grants.refused} == set(STEPS)
    assert (cores, is_collecting) == ([core], False)
    assert (policy == os.SCHED_FIFO) == ("priority" in grants.granted)
    assert "LimitRTPRIO" in grants.refused.get("priority", "LimitRTPRIO")
    assert "LimitMEMLOCK" in grants.refused.get("memory", "LimitMEMLOCK")


def test_core_that_does_not_exist_is_refused_and_the_process_goes_on() -> None:
    before = sorted(os.sched_getaffinity(0))
    grants, cores, policy, _ = in_a_child(RealtimeSettings(core=1000, is_memory_locked=False))
    assert grants.refused == {"core": "Invalid argument: name one of the cores that this process may use"}
    assert (cores, policy) == (before, os.SCHED_OTHER)


def test_priority_out_of_range_is_refused() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        LinuxSystem().raise_priority(100)


def test_memory_of_the_last_frame_is_there_for_the_next() -> None:
    command = [sys.executable, "-c", HEAP_IN_A_CHILD]
    faults = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert int(faults) < 768  # of 10 * 5 * 768
