"""Every frame and object ends once in the books, whatever comes when, and whoever takes over."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.live.books import CameraCounts, FrameBooks, Missing
from edge_runtime.live.firing import Firing, StampOf, flight_ns
from edge_runtime.live.messages import FrameClaimed, FrameDecided, FrameMissed
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.link_events import EjectOutcome, OutcomeKind
from firmware_bridge.messages import EjectReason

MACHINE = Machine(
    "desk",
    (Camera("top", width_px=400), Camera("side", width_px=400)),
    tuple(Lane(valve, 5.0 * valve, 5.0 * valve + 5.0) for valve in range(6)),  # 10 mm of the view have no lane
)
FLIGHT_NS = flight_ns(MACHINE, MACHINE.cameras[0])
FLIGHT_US = FLIGHT_NS // 1000
CAMERAS = (0, 1)


def new_books() -> list[FrameBooks]:
    return [FrameBooks.create(camera.name) for camera in MACHINE.cameras]


def decided(number: int, *, camera: int = 0, xs: tuple[int, ...] = (60,), passed: int = 0) -> FrameDecided:
    boxes = np.array([(x, 128 * number + 40, 20, 30) for x in xs], "<i8").reshape(-1, 4)
    return FrameDecided(1, camera, number, number, 128 * number, 0, len(xs) + passed, boxes.tobytes())


def adds_up(counts: CameraCounts) -> bool:
    frames = counts.frames_in == counts.processed + sum(counts.missing.values()) + counts.open_frames
    objects = counts.objects == counts.passed + sum(counts.ends.values()) + counts.open_objects
    return frames and objects and counts.open_frames >= 0 and counts.open_objects >= 0


def test_a_decision_that_comes_before_its_frame_was_seen_counts() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.on_news(decided(0, xs=(60, 200), passed=3), now_ns=1)
    firing.see([1, 0], now_ns=2)

    counts = books[0].counts(1)
    assert (counts.processed, counts.objects, counts.passed, counts.missing) == (1, 5, 3, {})


def test_a_claim_that_comes_before_its_frame_was_seen_counts() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.on_news(FrameClaimed(7, 0, 1, 0), now_ns=1)
    firing.lose_worker(7, now_ns=2)
    firing.see([2, 0], now_ns=3)

    assert (books[0].counts(2).missing, books[0].counts(2).open_frames) == ({"worker_lost": 1}, 1)


def test_a_frame_that_was_never_announced_counts_before_it_was_seen() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [0, 0], now_ns=0)
    firing.queue_full(0, 0, now_ns=1)
    firing.see([1, 0], now_ns=2 * FLIGHT_NS)

    assert books[0].counts(1).missing == {"queue_full": 1}


def test_a_bridge_that_was_away_for_longer_than_the_books_have_entries_goes_on() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [10_000, 0], now_ns=0)
    firing.on_news(decided(9_999, passed=3), now_ns=1)
    firing.on_news(decided(10_000, passed=3), now_ns=1)
    firing.see([10_001, 0], now_ns=2 * FLIGHT_NS)

    counts = books[0].counts(10_001)
    assert (counts.processed, counts.missing, counts.open_frames) == (2, {"bridge_lost": 9_999}, 0)


def test_objects_of_a_frame_with_a_stamp_from_the_future_are_given_up_too() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [1, 0], now_ns=0)
    firing.on_news(msgspec.structs.replace(decided(0), exposed_ns=1 << 60), now_ns=1)
    firing.give_up_unstamped(now_ns=2 * FLIGHT_NS)

    assert books[0].counts(1).ends == {"untold": 1}


def test_an_object_over_no_lane_and_one_on_its_way_end_each_by_itself() -> None:
    books = new_books()
    firing = Firing(MACHINE, books, [1, 0], now_ns=0)
    firing.on_news(decided(0, xs=(60, 350)), now_ns=1)
    firing.stamp([StampOf(0, 0, 5000)], now_us=6000)
    assert (firing.unstamped, books[0].counts(1).ends) == ((), {"no_lane": 1})

    due = firing.take_due(now_us=5000 + FLIGHT_US - 9000)
    assert due.first_valves.tolist() == [1]
    firing.sent(range(7, 8))
    firing.on_outcome(EjectOutcome(7, OutcomeKind.ACKED))
    assert (books[0].counts(1).ends, books[0].counts(1).open_objects) == ({"no_lane": 1, "fired": 1}, 0)


def test_the_same_decision_twice_fires_once() -> None:
    """A worker that was taken for dead may say again what another has said."""
    books = new_books()
    firing = Firing(MACHINE, books, [1, 0], now_ns=0)
    for worker in (1, 2):
        firing.on_news(msgspec.structs.replace(decided(0), worker=worker), now_ns=1)
    firing.on_news(FrameMissed(3, 0, 0, "failed"), now_ns=2)
    firing.stamp([StampOf(0, 0, 5000)], now_us=6000)

    assert len(firing.take_due(now_us=5000 + FLIGHT_US - 9000)) == 1
    assert (books[0].counts(1).processed, books[0].counts(1).missing) == (1, {})


def test_the_successor_of_a_bridge_fires_nothing_that_was_decided_before_it() -> None:
    books = new_books()
    Firing(MACHINE, books, [1, 0], now_ns=0).on_news(decided(0), now_ns=1)
    heir = Firing(MACHINE, books, [1, 0], now_ns=2)
    heir.on_news(decided(0), now_ns=3)
    heir.stamp([StampOf(0, 0, 5000)], now_us=6000)

    assert len(heir.take_due(now_us=5000 + FLIGHT_US - 9000)) == 0
    assert books[0].counts(1).ends == {"bridge_lost": 1}


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(CAMERAS), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.sampled_from(CAMERAS), st.integers(1, 2)),
    st.tuples(st.just("decide"), st.sampled_from(CAMERAS), st.integers(0, 9)),
    st.tuples(st.just("miss"), st.sampled_from(CAMERAS), st.sampled_from(["failed", "overrun"])),
    st.tuples(st.just("full"), st.sampled_from(CAMERAS), st.just(0)),
    st.tuples(st.just("lose"), st.just(0), st.integers(1, 2)),
    st.tuples(st.just("stamp"), st.just(0), st.integers(0, 3)),
    st.tuples(st.just("fire"), st.just(0), st.booleans()),
    st.tuples(st.just("outcome"), st.integers(0, 5), st.sampled_from(list(EjectReason))),
    st.tuples(st.just("disarm"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, FLIGHT_US // 2), st.just(0)),
    st.tuples(st.just("replace"), st.just(0), st.just(0)),
)
Step = tuple[str, int, int | str | EjectReason]


class Player:
    """Plays a story; news may come before their frame was seen, twice, and to a successor."""

    def __init__(self) -> None:
        self.books = new_books()
        self.published = [0, 0]
        self.now_us = 0
        self.next_evid = 0
        self.open_evids: list[int] = []
        self.fired: list[tuple[int, ...]] = []
        self.firing = Firing(MACHINE, self.books, self.published, now_ns=0)

    @property
    def now_ns(self) -> int:
        return self.now_us * 1000

    def a_frame(self, camera: int, choice: int) -> int | None:
        count = self.published[camera]
        return count - 1 - choice % min(count, 4) if count else None

    def fire(self, is_refused: bool) -> None:
        due = self.firing.take_due(now_us=self.now_us)
        if is_refused:
            self.firing.refuse()
            return
        self.firing.sent(range(self.next_evid, self.next_evid + len(due)))
        self.open_evids += range(self.next_evid, self.next_evid + len(due))
        self.next_evid += len(due)

    def on_frame(self, what: str, camera: int, value: int | str | EjectReason) -> None:
        number = self.a_frame(camera, value if isinstance(value, int) else 0)
        if number is None:
            return
        match what, value:
            case "claim", int():
                self.firing.on_news(FrameClaimed(value, camera, number, 0), now_ns=self.now_ns)
            case "decide", int():
                news = decided(number, camera=camera, xs=tuple(40 * i for i in range(value)), passed=value % 3)
                news = msgspec.structs.replace(news, exposed_ns=self.now_ns)
                self.firing.on_news(news, now_ns=self.now_ns)
            case "miss", "failed" | "overrun" as reason:
                missing: Missing = reason
                self.firing.on_news(FrameMissed(1, camera, number, missing), now_ns=self.now_ns)
            case _:
                self.firing.queue_full(camera, number, now_ns=self.now_ns)

    def play(self, step: Step) -> None:
        match step:
            case "publish", camera, int(count):
                self.published[camera] += count
            case ("claim" | "decide" | "miss" | "full") as what, camera, value:
                self.on_frame(what, camera, value)
            case "lose", _, int(worker):
                self.firing.lose_worker(worker, now_ns=self.now_ns)
            case "stamp", _, int(skipped):
                stamps = [StampOf(one.camera, one.number, self.now_us - 2000) for one in self.firing.unstamped]
                self.firing.stamp(stamps[skipped:], now_us=self.now_us)
            case "fire", _, is_refused:
                self.fire(bool(is_refused))
            case "outcome", choice, EjectReason() as reason if self.open_evids:
                evid = self.open_evids.pop(choice % len(self.open_evids))
                self.firing.on_outcome(EjectOutcome(evid, OutcomeKind.REPORTED, reason))
            case "disarm", _, _:
                self.firing.disarm()
            case "wait", wait_us, _:
                self.now_us += wait_us
                self.firing.give_up_unstamped(now_ns=self.now_ns)
                self.firing.see(self.published, now_ns=self.now_ns)
            case "replace", _, _:
                self.firing = Firing(MACHINE, self.books, self.published, now_ns=self.now_ns)
                self.open_evids.clear()
            case _:
                pass

    def check(self) -> list[CameraCounts]:
        counts = [own.counts(count) for own, count in zip(self.books, self.published, strict=True)]
        assert all(map(adds_up, counts))
        return counts

    def finish(self) -> None:
        """Let everything come to its end."""
        for _ in range(2):
            self.fire(False)
            self.play(("wait", FLIGHT_US + 1000, 0))
        for evid in self.open_evids:
            self.firing.on_outcome(EjectOutcome(evid, OutcomeKind.ACKED))
        self.firing.see(self.published, now_ns=self.now_ns)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_the_books_add_up_after_each_step_and_nothing_stays_open(steps: list[Step]) -> None:
    player = Player()
    seen = [0, 0]
    for step in steps:
        player.play(step)
        counts = player.check()
        decided_now = [one.objects for one in counts]
        assert all(now >= before for now, before in zip(decided_now, seen, strict=True))
        seen = decided_now
    player.finish()

    for last, own, published in zip(player.check(), player.books, player.published, strict=True):
        assert (last.open_frames, last.open_objects, own.folded) == (0, 0, published)
    assert player.firing.unstamped == ()


@settings(deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_a_successor_at_any_moment_closes_what_was_open_as_unknown(steps: list[Step]) -> None:
    player = Player()
    for step in steps:
        player.play(step)
    before = player.check()
    player.play(("replace", 0, 0))

    for counts, old in zip(player.check(), before, strict=True):
        assert counts.open_objects == 0
        assert counts.ends.get("bridge_lost", 0) == old.ends.get("bridge_lost", 0) + old.open_objects
        assert (counts.objects, counts.processed, counts.missing) == (old.objects, old.processed, old.missing)
    player.finish()
    assert [counts.open_frames for counts in player.check()] == [0, 0]


@pytest.mark.parametrize("rounds", [3000])
def test_nothing_grows_with_the_number_of_objects(rounds: int) -> None:
    player = Player()
    for number in range(rounds):
        player.play(("publish", 0, 1))
        player.on_frame("decide", 0, 0)
        player.now_us += 8000
        player.firing.on_news(decided(number, xs=(60, 61, 62)), now_ns=player.now_ns)  # the second one never counts
        player.play(("stamp", 0, 0))
        player.play(("fire", 0, False))
        while len(player.open_evids) > 8:
            player.firing.on_outcome(EjectOutcome(player.open_evids.pop(0), OutcomeKind.ACKED))
        player.play(("wait", 0, 0))
    assert player.check()[0].open_frames == 0
    assert player.books[0].folded > rounds - 100
