"""A frame gets its own trigger's stamp or none: whatever is lost, late, repeated or started again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.live.trigger_match import (
    Anchored,
    FramePaired,
    FrameUntold,
    MatchSettings,
    SeenFrame,
    TriggerMatch,
)
from firmware_bridge.clock_fit import ClockFit, ClockReading
from firmware_bridge.errors import LinkStateError
from firmware_bridge.messages import TriggerStamp

PERIOD_US = 5000
US = 1000  # ns
BOUND_US = PERIOD_US / 10
U32 = 2**32
SETTINGS = MatchSettings(period_us=PERIOD_US, timeout_ms=10 * PERIOD_US // 1000)
Told = FramePaired | FrameUntold | Anchored


@dataclass
class Step:
    """What happens at one trigger."""

    stamp_lost: bool = False
    frame_lost: bool = False  # on the way to the ring: the camera counted it
    trigger_missed: bool = False  # the camera saw no trigger and counted nothing
    camera_restarts: bool = False
    board_restarts: bool = False
    jitter: float = 0.0  # of the exposure time, periods
    clock: float = 0.0  # error of the clock's estimate, shares of its bound
    stamp_late: float = 0.1  # periods after the trigger
    frame_late: float = 1.2
    repeats: bool = False


def lively(seed: int, count: int) -> list[Step]:
    """Return so many steps with anything that must not matter: jitter, a wrong clock, messages late and repeated.

    From one number each: drawing every field by itself takes longer than all else.
    """
    rng = random.Random(seed)
    jitter, clock, late = rng.choice([0.0, 0.1, 0.249]), rng.choice([0.0, 0.99]), rng.choice([0.1, 1.0, 3.0])
    return [
        Step(
            jitter=rng.choice([-jitter, jitter, rng.uniform(-jitter, jitter)]),
            clock=rng.choice([-clock, clock]),
            stamp_late=rng.uniform(0, late),
            frame_late=rng.uniform(0, late),
            repeats=rng.random() < 0.3,
        )
        for _ in range(count)
    ]


SEEDS = st.integers(0, 2**32 - 1)


@dataclass
class World:
    """A controller, a camera and the link between; time 0 is a trigger, and each further one comes a period later."""

    start_tick: int = 0
    start_count: int = 0
    n_cameras: int = 1
    index: int = 0
    clock: float = 0.0
    truth: dict[int, TriggerStamp] = field(default_factory=dict)
    unstamped: set[int] = field(default_factory=set)

    def read(self, at_ns: int) -> ClockReading:
        tick = self.start_tick + (at_ns + round(self.clock * BOUND_US * US)) // US
        return ClockReading(tick, BOUND_US)

    def happenings(self, steps: Sequence[Step]) -> list[tuple[int, float, TriggerStamp | SeenFrame]]:
        """Return what reaches the matcher, in order of arrival: when (ns), the clock's error then, what."""
        found: list[tuple[int, float, TriggerStamp | SeenFrame]] = []
        frame_id, number, count = 0, 0, self.start_count
        for at, step in enumerate(steps):
            at_ns = at * PERIOD_US * US
            frame_id = 0 if step.camera_restarts else frame_id
            count = 0 if step.board_restarts else count
            frame_no = count * self.n_cameras + self.index
            stamp = TriggerStamp(frame_no % U32, (self.start_tick + at_ns // US) % U32, at)
            times = 2 if step.repeats else 1
            if not step.stamp_lost:
                found += [(at_ns + periods(step.stamp_late + i), step.clock, stamp) for i in range(times)]
            count += 1
            if step.trigger_missed:
                continue
            if not step.frame_lost:
                frame = SeenFrame(number, frame_id, at_ns + periods(step.jitter))
                found += [(at_ns + periods(step.frame_late + i / 2), step.clock, frame) for i in range(times)]
                self.truth[number] = stamp
                if step.stamp_lost:
                    self.unstamped.add(number)
                number += 1
            frame_id += 1
        return sorted(found, key=lambda one: (one[0], isinstance(one[2], SeenFrame)))

    def run(self, steps: Sequence[Step], match: TriggerMatch | None = None) -> list[Told]:
        match = match or TriggerMatch(
            MatchSettings(
                period_us=PERIOD_US,
                timeout_ms=SETTINGS.timeout_ms,
                n_cameras=self.n_cameras,
                camera_index=self.index,
            ),
            self.read,
        )
        told: list[Told] = []
        now_ns = 0
        for now_ns, clock, what in self.happenings(in_order(steps)):
            self.clock = clock
            if isinstance(what, SeenFrame):
                match.add_frame(what, now_ns)
            else:
                match.add_stamp(what, now_ns)
            told += match.take(now_ns)
        return told + match.take(now_ns + periods(100))


def periods(count: float) -> int:
    return round(count * PERIOD_US * US)


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Let frames come in the order of their numbers, as the ring announces them; stamps may come in any."""
    latest = 0.0
    for at, step in enumerate(steps):
        latest = max(latest, at + step.frame_late)
        step.frame_late = latest - at
    return list(steps)


def pairs(told: Sequence[Told]) -> list[FramePaired]:
    return [one for one in told if isinstance(one, FramePaired)]


def wrong(world: World, told: Sequence[Told]) -> list[FramePaired]:
    return [
        one
        for one in pairs(told)
        if (one.frame_no, one.tick % U32, one.enc)
        != (world.truth[one.number].frame_no, world.truth[one.number].tick, world.truth[one.number].enc)
    ]


def unpaired(world: World, told: Sequence[Told]) -> set[int]:
    return set(world.truth) - {one.number for one in pairs(told)}


def each_once(world: World, told: Sequence[Told]) -> bool:
    numbers = [one.number for one in told if not isinstance(one, Anchored)]
    return sorted(numbers) == sorted(world.truth)


worlds = st.builds(
    World,
    start_tick=st.sampled_from([0, U32 - 3 * PERIOD_US, 5 * U32 - 1]) | st.integers(0, 2**40),
    start_count=st.integers(0, 9) | st.sampled_from([U32 - 4, U32 // 4 - 2, U32 // 2 - 1]),
    n_cameras=st.sampled_from([1, 2, 4]),
    index=st.integers(0, 0),
)


@settings(deadline=None)
@given(worlds, SEEDS, st.integers(3, 40))
def test_with_little_jitter_every_frame_gets_its_own_stamp(world: World, seed: int, count: int) -> None:
    """In any order of arrival, with anything repeated, over every wrap of ticks and counts."""
    told = world.run(lively(seed, count))
    assert (wrong(world, told), unpaired(world, told)) == ([], set())
    assert each_once(world, told)
    assert [one.before for one in told if isinstance(one, Anchored)] == [None]


@settings(deadline=None)
@given(worlds, SEEDS, st.lists(st.sampled_from(["", "stamp_lost", "frame_lost"]), max_size=40))
def test_a_lost_stamp_loses_its_own_frame_only(world: World, seed: int, lost: list[str]) -> None:
    steps = lively(seed, 4 + len(lost))  # four are enough to trust
    for step, name in zip(steps[4:], lost, strict=True):
        if name:
            setattr(step, name, True)
    told = world.run(steps)
    assert (wrong(world, told), unpaired(world, told)) == ([], world.unstamped)
    assert {one.reason for one in told if isinstance(one, FrameUntold)} <= {"no_stamp"}


RESTARTS = st.sampled_from(["trigger_missed", "camera_restarts", "board_restarts"])


@settings(deadline=None)
@given(worlds, SEEDS, st.lists(st.tuples(st.integers(4, 29), RESTARTS), max_size=4))
def test_whatever_starts_again_makes_no_wrong_pair(world: World, seed: int, restarts: list[tuple[int, str]]) -> None:
    steps = lively(seed, 40)
    for at, name in restarts:
        setattr(steps[at], name, True)
    told = world.run(steps)
    assert wrong(world, told) == []
    assert each_once(world, told)


@pytest.mark.parametrize("name", ["trigger_missed", "camera_restarts", "board_restarts"])
def test_a_restart_costs_no_frame_where_frames_may_wait(name: str) -> None:
    steps = [Step() for _ in range(20)]
    setattr(steps[9], name, True)
    world = World(start_count=100)
    told = world.run(steps)
    assert (wrong(world, told), unpaired(world, told)) == ([], set())
    first, again = (one for one in told if isinstance(one, Anchored))
    assert (first.before, first.offset, again.before, again.number) == (None, 100, 100, 9)


@pytest.mark.parametrize("name", ["trigger_missed", "camera_restarts", "board_restarts"])
def test_a_restart_costs_at_most_the_frames_that_confirm(name: str) -> None:
    """With no time to wait, the first two frames are untold and the third is the witness."""
    world, steps = World(start_count=100), [Step(stamp_late=0, frame_late=0.1) for _ in range(20)]
    setattr(steps[9], name, True)
    told = world.run(steps, TriggerMatch(MatchSettings(PERIOD_US, timeout_ms=1), world.read))
    assert (wrong(world, told), unpaired(world, told)) == ([], {0, 1, 9, 10})


@settings(deadline=None)
@given(
    worlds,
    SEEDS,
    st.lists(st.tuples(st.integers(0, 9), st.floats(-2.5, 2.5)), max_size=6),
    st.lists(st.tuples(st.integers(1, 9), RESTARTS), max_size=2),
)
def test_a_single_wrong_exposure_time_makes_no_wrong_pair(
    world: World, seed: int, spikes: list[tuple[int, float]], restarts: list[tuple[int, str]]
) -> None:
    """Wrong by any time, as long as the frames beside it are right and nothing starts again just there."""
    steps = lively(seed, 42)
    for at, jitter in spikes:
        steps[4 * at].jitter = jitter
    for at, name in restarts:
        setattr(steps[4 * at + 2], name, True)
    told = world.run(steps)
    assert wrong(world, told) == []
    assert each_once(world, told)


def test_a_single_wrong_exposure_time_costs_its_own_frame() -> None:
    for jitter in (-1.6, -1.0, -0.6, 0.6, 1.0, 1.6):
        steps = [Step() for _ in range(20)]
        steps[9].jitter = jitter
        world = World()
        told = world.run(steps)
        assert (wrong(world, told), unpaired(world, told)) == ([], {9})
        assert {one.reason for one in told if isinstance(one, FrameUntold)} <= {"disagrees", "no_stamp"}
        assert len([one for one in told if isinstance(one, Anchored)]) == 1


def test_a_wrong_exposure_time_shortly_before_a_missed_trigger_makes_no_wrong_pair() -> None:
    """It shows by chance the difference that is trusted later."""
    steps = [Step() for _ in range(12)]
    steps[5].jitter, steps[7].trigger_missed = 1.0, True
    world = World()
    told = world.run(steps)
    assert (wrong(world, told), unpaired(world, told)) == ([], {5, 6})


@settings(deadline=None)
@given(SEEDS, st.integers(0, 2**20))
def test_any_stamps_and_frames_are_each_told_once_within_bounds(seed: int, frame_no: int) -> None:
    """Nonsense from either side: nothing raises, every frame is told once, nothing grows."""
    rng = random.Random(seed)
    match = TriggerMatch(MatchSettings(PERIOD_US, most_waiting=8, confirm=1), World().read)
    told: list[Told] = []
    for number in range(200):
        now_ns = rng.randrange(10**9)
        match.add_stamp(TriggerStamp((frame_no + rng.randrange(-9, 9)) % U32, rng.randrange(10**6), 0), now_ns)
        match.add_frame(SeenFrame(number, rng.randrange(99), rng.randrange(10**9)), 0)
        told += match.take(0)
    assert len(match.take(10**9)) <= 8
    numbers = [one.number for one in told if not isinstance(one, Anchored)]
    assert len(numbers) == len(set(numbers)) >= 192
    used = [(one.frame_no, one.tick) for one in pairs(told)]
    assert len(used) == len(set(used))


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    match = TriggerMatch(MatchSettings(PERIOD_US, most_waiting=4), World().read)
    for number in range(6):
        match.add_frame(SeenFrame(number, number, number * PERIOD_US * US), 0)
    assert match.take(0) == [FrameUntold(0, "crowded"), FrameUntold(1, "crowded")]
    assert match.take(10**9) == [FrameUntold(number, "no_stamp") for number in (2, 3, 4, 5)]


def test_a_frame_waits_for_its_stamp_to_the_end_of_its_time() -> None:
    match = TriggerMatch(MatchSettings(PERIOD_US, timeout_ms=20), World().read)
    match.add_frame(SeenFrame(0, 0, 0), 1_000_000)
    assert match.take(20_999_999) == []
    assert match.take(21_000_000) == [FrameUntold(0, "no_stamp")]


def test_cameras_of_one_counter_take_their_own_stamps() -> None:
    """Triggered a third of a period apart: the neighbour's stamp would be near enough."""
    matches = [
        TriggerMatch(MatchSettings(PERIOD_US, n_cameras=3, camera_index=index), World().read) for index in range(3)
    ]
    told: list[list[Told]] = [[], [], []]
    for frame_no in range(30):
        count, index = divmod(frame_no, 3)
        at_us = count * PERIOD_US + index * PERIOD_US // 3
        for match in matches:
            match.add_stamp(TriggerStamp(frame_no, at_us, 0), at_us * US)
        matches[index].add_frame(SeenFrame(count, count, at_us * US), at_us * US)
        told[index] += matches[index].take(at_us * US)
    for index in range(3):
        assert [one.frame_no for one in pairs(told[index])] == [3 * count + index for count in range(10)]


def test_without_a_clock_nothing_is_told_and_stamps_are_counted() -> None:
    fit = ClockFit(1_000_000)
    match = TriggerMatch(MatchSettings(PERIOD_US, confirm=1), fit.read)
    with pytest.raises(LinkStateError):
        fit.read(0)
    match.add_stamp(TriggerStamp(0, 0, 0), 0)
    match.add_frame(SeenFrame(0, 0, 0), 0)
    assert (match.take(0), match.unclocked) == ([FrameUntold(0, "no_clock")], 1)
    fit.add_exchange(sent_ns=0, received_ns=400_000, rx_tick=7200, tx_tick=7200)
    match.add_stamp(TriggerStamp(1, 12_000, 0), 5_000_000)
    match.add_frame(SeenFrame(1, 1, 5_000_000), 5_000_000)
    assert [one.frame_no for one in pairs(match.take(5_000_000))] == [1]


@pytest.mark.parametrize(("bound_us", "is_told"), [(PERIOD_US / 4 - 1, True), (PERIOD_US / 4, False)])
def test_a_clock_that_is_too_loose_tells_nothing(bound_us: float, is_told: bool) -> None:
    match = TriggerMatch(MatchSettings(PERIOD_US, confirm=1), lambda at_ns: ClockReading(at_ns // US, bound_us))
    match.add_stamp(TriggerStamp(0, 0, 0), 0)
    match.add_frame(SeenFrame(0, 0, 0), 0)
    assert len(pairs(match.take(0))) == is_told


@pytest.mark.parametrize(("apart_us", "is_told"), [(1999, True), (2000, False), (-1999, True), (-2000, False)])
def test_a_stamp_counts_up_to_half_a_period_less_the_bound(apart_us: int, is_told: bool) -> None:
    match = TriggerMatch(MatchSettings(PERIOD_US, confirm=1), lambda at_ns: ClockReading(at_ns // US, 500.0))
    match.add_stamp(TriggerStamp(0, 50_000, 0), 50_000 * US)
    match.add_frame(SeenFrame(0, 0, (50_000 + apart_us) * US), 50_000 * US)
    assert [one.apart_us for one in pairs(match.take(0))] == ([float(apart_us)] if is_told else [])


def test_what_was_repeated_is_counted() -> None:
    match = TriggerMatch(MatchSettings(PERIOD_US, confirm=1), World().read)
    for _ in range(3):
        match.add_stamp(TriggerStamp(0, 0, 0), 0)
        match.add_frame(SeenFrame(0, 0, 0), 0)
    assert (len(pairs(match.take(0))), match.repeated) == (1, 4)
