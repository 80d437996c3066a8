"""Every object on the desk ends once; what is sent is sent in time and is what was asked for."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decisions import Pulses, pulses_of
from edge_runtime.live.books import ObjectEnd
from edge_runtime.live.pulse_desk import DeskRules, End, PulseDesk, TargetFrame
from firmware_bridge.link_events import EjectOutcome, OutcomeKind
from firmware_bridge.messages import EjectReason

RULES = DeskRules(send_ahead_us=5000, min_lead_us=1000, min_pause_us=100, max_pulse_us=2000)
FRAME = TargetFrame(0, 3)
Row = tuple[int, int, int, int, int]

OUTCOMES = st.one_of(
    st.just((OutcomeKind.ACKED, None)),
    st.just((OutcomeKind.LOST, None)),
    st.tuples(st.just(OutcomeKind.REPORTED), st.sampled_from(list(EjectReason))),
)
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 3), st.integers(0, 9000), st.integers(1, 2000)),
    max_size=8,
)
STEPS = st.one_of(
    st.tuples(st.just("add"), ROWS),
    st.tuples(st.just("send"), st.none()),
    st.tuples(st.just("refuse"), st.none()),
    st.tuples(st.just("drop"), st.none()),
    st.tuples(st.just("outcome"), OUTCOMES),
    st.tuples(st.just("wait"), st.integers(0, 6000)),
)


def rows_of(pulses: Pulses) -> list[Row]:
    columns = (pulses.objects, pulses.first_valves, pulses.valve_counts, pulses.open_us, pulses.pulse_us)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def openings_of(rows: Sequence[Row]) -> dict[int, list[tuple[int, int]]]:
    """Return by valve when it opens and closes, in the order of time."""
    found: dict[int, list[tuple[int, int]]] = {}
    for _, first, count, open_us, length in sorted(rows, key=lambda row: row[3]):
        for valve in range(first, first + count):
            found.setdefault(valve, []).append((open_us, open_us + length))
    return found


class Player:
    """Plays a story on a desk and checks each step; each add is a frame of its own."""

    def __init__(self, begin_us: int = 0) -> None:
        self.desk = PulseDesk(RULES)
        self.now_us = begin_us
        self.added: Counter[TargetFrame] = Counter()
        self.ended: Counter[TargetFrame] = Counter()
        self.open_evids: list[int] = []
        self.next_evid = 0

    def take(self, ends: list[End]) -> None:
        self.ended.update(end.frame for end in ends)
        assert all(self.ended[frame] <= self.added[frame] for frame in self.ended)

    def add(self, rows: list[Row]) -> None:
        frame = TargetFrame(0, len(self.added))
        self.added[frame] = len({row[0] for row in rows})
        pulses = pulses_of([(*row[:3], self.now_us + row[3], row[4]) for row in rows])
        self.take(self.desk.add(frame, pulses, now_us=self.now_us))

    def due(self) -> Pulses:
        due = self.desk.take_due(now_us=self.now_us)
        self.take(due.ends)
        for open_us in due.pulses.open_us.tolist():
            assert open_us >= self.now_us + RULES.min_lead_us
        for times in openings_of(rows_of(due.pulses)).values():
            assert all(end - begin <= RULES.max_pulse_us for begin, end in times)
            assert all(after[0] - before[1] >= RULES.min_pause_us for before, after in itertools.pairwise(times))
        return due.pulses

    def send(self) -> None:
        evids = range(self.next_evid, self.next_evid + len(self.due()))
        self.next_evid = evids.stop
        self.open_evids += evids
        self.desk.sent(evids)

    def play(self, what: str, value: object) -> None:
        match what, value:
            case "add", list():
                self.add(value)
            case "send", _:
                self.send()
            case "refuse", _:
                self.due()
                self.take(self.desk.refuse("unsorted"))
            case "drop", _:
                self.take(self.desk.drop_waiting("unsorted"))
            case "outcome", (OutcomeKind() as kind, reason) if self.open_evids:
                evid = self.open_evids.pop(len(self.open_evids) // 2)
                assert reason is None or isinstance(reason, EjectReason)
                self.take(self.desk.on_outcome(EjectOutcome(evid, kind, reason)))
            case "wait", int():
                self.now_us += value
            case _:
                pass

    def finish(self) -> None:
        """Let time pass until nothing waits, and let everything sent come out."""
        for _ in range(30):
            self.send()
            self.now_us += 1000
        while self.open_evids:
            self.play("outcome", (OutcomeKind.ACKED, None))


@given(st.lists(STEPS, max_size=25), st.sampled_from([0, -(1 << 31), (1 << 32) - 5000]))
def test_every_object_added_ends_once_and_nothing_is_sent_too_late_or_breaks_the_valves_limits(
    steps: list[tuple[str, object]], begin_us: int
) -> None:
    player = Player(begin_us)
    for what, value in steps:
        player.play(what, value)
    player.finish()

    assert player.ended == player.added
    assert not player.desk.has_waiting


@given(ROWS)
def test_what_is_sent_covers_what_was_asked_but_where_a_valve_may_not_be_open_for_so_long(rows: list[Row]) -> None:
    desk = PulseDesk(RULES)
    hits = 0
    ended = Counter(end.end for end in desk.add(FRAME, pulses_of(rows), now_us=0))
    sent: list[Row] = []
    evid = 0
    for now_us in range(0, 9000, 500):
        due = desk.take_due(now_us=now_us)
        ended.update(end.end for end in due.ends)
        sent += rows_of(due.pulses)
        evids = range(evid, evid := evid + len(due.pulses))
        desk.sent(evids)
        for one in evids:
            ended.update(end.end for end in desk.on_outcome(EjectOutcome(one, OutcomeKind.ACKED)))

    late = {row[0] for row in rows if row[3] < RULES.min_lead_us}
    assert ended["late"] == len(late)
    openings = openings_of(sent)
    for owner in {row[0] for row in rows} - late:
        asked = openings_of([row for row in rows if row[0] == owner])
        is_hit = any(
            begin < close and opened < end
            for valve, times in asked.items()
            for begin, end in times
            for opened, close in openings.get(valve, [])
        )
        hits += is_hit
        for valve, times in asked.items():
            for begin, end in times:
                open_us = {us for one in openings.get(valve, []) for us in range(*one)}
                crowded = sum(close - opened for opened, close in openings.get(valve, [])) >= RULES.max_pulse_us
                assert set(range(begin, end)) <= open_us or crowded
    assert hits == ended["fired"] + ended["merged"]
    assert ended["refused"] == len({row[0] for row in rows}) - ended["late"] - hits


def test_an_object_for_which_no_valve_may_open_is_refused() -> None:
    desk = PulseDesk(RULES)
    assert desk.add(FRAME, pulses_of([(0, 4, 1, 5000, 2000), (1, 4, 1, 7000, 90)]), now_us=0) == []
    due = desk.take_due(now_us=2000)

    assert rows_of(due.pulses) == [(0, 4, 1, 5000, 2000)]
    assert due.ends == [End(FRAME, 1, "refused")]
    desk.sent(range(1))
    assert desk.on_outcome(EjectOutcome(0, OutcomeKind.ACKED)) == [End(FRAME, 0, "fired")]


def test_what_waited_until_its_lead_was_gone_is_late() -> None:
    desk = PulseDesk(RULES)
    desk.add(FRAME, pulses_of([(0, 4, 1, 6000, 500), (0, 8, 1, 9000, 500), (1, 5, 1, 6500, 500)]), now_us=0)
    due = desk.take_due(now_us=5001)

    assert due.ends == [End(FRAME, 0, "late")]  # no part of an object is hit alone
    assert rows_of(due.pulses) == [(0, 5, 1, 6500, 500)]


def test_before_tick_zero_a_pulse_waits_for_its_time_as_after_it() -> None:
    """The axis of a controller that has been on for more than 35 minutes begins below 0."""
    for begin_us in (0, -(1 << 31)):
        desk = PulseDesk(RULES)
        rows = [(0, 4, 1, begin_us + 6000, 500), (1, 4, 1, begin_us + 90_000, 500)]
        desk.add(FRAME, pulses_of(rows), now_us=begin_us)
        assert rows_of(desk.take_due(now_us=begin_us + 1000).pulses) == rows[:1]


def test_pulses_that_meet_what_is_due_leave_with_it() -> None:
    desk = PulseDesk(RULES)
    desk.add(FRAME, pulses_of([(0, 4, 1, 6000, 500), (1, 4, 1, 6590, 500), (2, 4, 1, 7190, 500)]), now_us=0)

    assert rows_of(desk.take_due(now_us=1000).pulses) == [(0, 4, 1, 6000, 1090)]


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (EjectOutcome(0, OutcomeKind.ACKED), "fired"),
        (EjectOutcome(0, OutcomeKind.LOST), "lost"),
        (EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.MERGED), "fired"),
        (EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.LATE_DROPPED), "late"),
        (EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.NOT_ARMED), "unsorted"),
        (EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.CANCELLED), "unsorted"),
        (EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.BAD_VALVE), "refused"),
    ],
)
def test_an_object_ends_as_the_controller_says(outcome: EjectOutcome, end: ObjectEnd) -> None:
    desk = PulseDesk(RULES)
    desk.add(FRAME, pulses_of([(0, 4, 1, 6000, 500)]), now_us=0)
    desk.sent(range(len(desk.take_due(now_us=1000).pulses)))

    assert desk.on_outcome(outcome) == [End(FRAME, 0, end)]
    assert desk.on_outcome(outcome) == []


def test_an_object_is_merged_only_where_others_open_all_of_its_valves() -> None:
    desk = PulseDesk(RULES)
    rows = [(0, 4, 1, 6000, 500), (1, 4, 1, 6200, 100), (2, 8, 1, 6000, 500), (2, 4, 1, 6300, 100)]
    desk.add(FRAME, pulses_of(rows), now_us=0)
    evids = range(len(desk.take_due(now_us=1000).pulses))
    desk.sent(evids)

    ended = Counter(end.end for evid in evids for end in desk.on_outcome(EjectOutcome(evid, OutcomeKind.ACKED)))
    assert ended == {"fired": 2, "merged": 1}


def test_one_lost_part_of_an_object_is_the_loss_of_it() -> None:
    for lost in (0, 1):
        desk = PulseDesk(RULES)
        desk.add(FRAME, pulses_of([(0, 4, 1, 6000, 500), (0, 8, 1, 6100, 500)]), now_us=0)
        desk.sent(range(len(desk.take_due(now_us=1000).pulses)))
        kinds = [OutcomeKind.LOST if evid == lost else OutcomeKind.ACKED for evid in (0, 1)]
        ends = [desk.on_outcome(EjectOutcome(evid, kind)) for evid, kind in enumerate(kinds)]
        assert ends == [[], [End(FRAME, 0, "lost")]]
