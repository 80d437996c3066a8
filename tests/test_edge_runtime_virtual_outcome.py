import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.schemas import Lane
from edge_runtime.virtual_outcome import Decided, Passages, SortReport, deflected, score
from firmware_bridge.pulse_recorder import FiredPulse

LANES = tuple(Lane(valve=10 + i, from_mm=5.0 * i, to_mm=5.0 * (i + 1)) for i in range(4))
NAMES = ("good", "poor", "stone")
IS_BAD = np.array([False, True, True])

pieces = st.tuples(st.integers(0, 2), st.floats(0, 19.99), st.integers(0, 50_000), st.integers(1, 6_000))
pulses = st.builds(
    lambda evid, valve, count, start, length: FiredPulse(evid, valve, count, start, start + length),
    st.integers(0, 1000),
    st.integers(8, 15),
    st.integers(1, 4),
    st.integers(0, 55_000),
    st.integers(1, 8_000),
)


def passages_of(rows: list[tuple[int, float, int, int]]) -> Passages:
    kinds, centres, begins, lengths = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    begin_ticks = np.asarray(begins, np.int64)
    return Passages(
        np.asarray(kinds, np.int64),
        np.asarray(centres, np.float64),
        begin_ticks,
        begin_ticks + np.asarray(lengths, np.int64),
    )


def by_brute_force(passages: Passages, fired: list[FiredPulse], lanes: tuple[Lane, ...]) -> list[bool]:
    """Return the rule read aloud: one tick after the other."""
    result = []
    for centre, begin, end in zip(passages.centres_mm, passages.begin_ticks, passages.end_ticks, strict=True):
        is_hit = False
        for lane in lanes:
            if lane.from_mm <= centre < lane.to_mm:
                blown: set[int] = set()
                for pulse in fired:
                    if pulse.first_valve <= lane.valve < pulse.first_valve + pulse.valve_count:
                        start, stop = pulse.open_tick + lane.delay_us, pulse.close_tick + lane.delay_us
                        blown |= set(range(max(start, int(begin)), min(stop, int(end))))
                is_hit |= 2 * len(blown) >= end - begin
        result.append(is_hit)
    return result


def report_of(passages: Passages, is_thrown: NDArray[np.bool_], decided: list[int]) -> SortReport:
    return score(passages.class_ids, is_thrown, np.array(decided, np.int8), NAMES, IS_BAD)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 19.99), st.integers(0, 300), st.integers(1, 60)), max_size=8
    ),
    fired=st.lists(
        st.builds(
            lambda valve, count, start, length: FiredPulse(0, valve, count, start, start + length),
            st.integers(8, 15),
            st.integers(1, 4),
            st.integers(0, 300),
            st.integers(1, 80),
        ),
        max_size=8,
    ),
    delay_us=st.integers(0, 50),
)
def test_deflection_is_the_rule_counted_tick_by_tick(
    rows: list[tuple[int, float, int, int]], fired: list[FiredPulse], delay_us: int
) -> None:
    lanes = (*LANES[:3], Lane(valve=13, from_mm=13.0, to_mm=20.0, delay_us=delay_us))  # the last two overlap
    passages = passages_of(rows)

    assert deflected(passages, fired, lanes).tolist() == by_brute_force(passages, fired, lanes)


@given(rows=st.lists(pieces, max_size=30))
def test_no_pulse_deflects_nothing(rows: list[tuple[int, float, int, int]]) -> None:
    assert not deflected(passages_of(rows), [], LANES).any()


@given(rows=st.lists(pieces, max_size=30), fired=st.lists(pulses, max_size=30), margin=st.integers(0, 3000))
def test_wider_pulses_never_deflect_less(
    rows: list[tuple[int, float, int, int]], fired: list[FiredPulse], margin: int
) -> None:
    passages = passages_of(rows)
    wider = [p._replace(open_tick=p.open_tick - margin, close_tick=p.close_tick + margin) for p in fired]

    assert (deflected(passages, fired, LANES) <= deflected(passages, wider, LANES)).all()


@given(rows=st.lists(pieces, max_size=30), fired=st.lists(pulses, max_size=20), data=st.data())
def test_order_and_repeats_of_pulses_do_not_matter(
    rows: list[tuple[int, float, int, int]], fired: list[FiredPulse], data: st.DataObject
) -> None:
    passages = passages_of(rows)
    shuffled = data.draw(st.permutations(fired * 2))

    assert deflected(passages, fired, LANES).tolist() == deflected(passages, shuffled, LANES).tolist()


@given(rows=st.lists(pieces, min_size=1, max_size=30, unique_by=lambda row: row[2] // 7000))
def test_a_perfect_pulse_for_every_bad_piece_gives_purity_1(rows: list[tuple[int, float, int, int]]) -> None:
    passages = passages_of(rows)
    bad = np.flatnonzero(IS_BAD[passages.class_ids])
    fired = [
        FiredPulse(
            int(i), 10 + int(passages.centres_mm[i] // 5), 1, int(passages.begin_ticks[i]), int(passages.end_ticks[i])
        )
        for i in bad
    ]

    report = report_of(passages, deflected(passages, fired, LANES), [int(x) for x in IS_BAD[passages.class_ids]])

    assert report.bad_kept == 0
    assert report.purity in {1.0, None}
    assert report.bad_removed in {1.0, None}


@given(rows=st.lists(pieces, max_size=30), fired=st.lists(pulses, max_size=30), data=st.data())
def test_every_piece_is_counted_once(
    rows: list[tuple[int, float, int, int]], fired: list[FiredPulse], data: st.DataObject
) -> None:
    passages = passages_of(rows)
    decided = [int(data.draw(st.sampled_from(Decided))) for _ in rows]

    report = report_of(passages, deflected(passages, fired, LANES), decided)

    assert report.good + report.bad == report.pieces == len(rows)
    assert report.good_condemned + report.co_deflected == report.good_thrown
    assert report.bad_accepted + report.bad_unseen + report.missed == report.bad_kept
    assert sum(split.fed for split in report.by_class.values()) == len(rows)
    assert sum(split.thrown for split in report.by_class.values()) == report.good_thrown + report.bad_thrown


def test_a_jet_over_half_the_passage_deflects_and_a_shorter_one_does_not() -> None:
    passages = passages_of([(0, 2.5, 1000, 400)])
    half = FiredPulse(0, 10, 1, 1200, 1400)

    assert deflected(passages, [half], LANES).tolist() == [True]
    assert deflected(passages, [half._replace(open_tick=1201)], LANES).tolist() == [False]


def test_two_short_jets_add_up() -> None:
    passages = passages_of([(0, 2.5, 1000, 400)])
    jets = [FiredPulse(0, 10, 1, 1000, 1100), FiredPulse(1, 10, 1, 1300, 1400)]

    assert deflected(passages, jets, LANES).tolist() == [True]


def test_ratios_of_a_known_split() -> None:
    passages = passages_of([(0, 2.5, i * 1000, 100) for i in range(8)] + [(2, 2.5, i * 1000, 100) for i in range(4)])
    is_thrown = np.array([False] * 6 + [True] * 2 + [True] * 3 + [False])
    decided = [Decided.ACCEPT] * 7 + [Decided.EJECT] * 5

    report = report_of(passages, is_thrown, [int(value) for value in decided])

    assert report.purity == 6 / 7
    assert report.product_yield == 6 / 8
    assert report.carry_over == 2 / 3
    assert report.bad_removed == 3 / 4
    assert (report.good_condemned, report.co_deflected, report.missed) == (1, 1, 1)
    assert report.feed_purity == 8 / 12


def test_nothing_fed_has_no_ratios() -> None:
    report = report_of(passages_of([]), np.zeros(0, np.bool_), [])

    assert report.pieces == 0
    assert report.purity is report.product_yield is report.carry_over is report.bad_removed is None
