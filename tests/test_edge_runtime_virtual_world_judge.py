"""Decisions meet pieces by place; a perfect machine hits what it was told to hit."""

from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_host import BLOCK_LINES, MACHINE, RECIPE, by_colour, make_scene

from edge_runtime.decisions import Decisions
from edge_runtime.errors import ConfigError
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.virtual_outcome import SortReport, deflected, score
from edge_runtime.virtual_world_decisions import scene_decisions
from edge_runtime.virtual_world_judge import asked_pulses, chance_company, judge, seen_objects
from edge_runtime.virtual_world_outcome import WorldFacts, WorldOutcome, WorldReport, passages_of
from edge_runtime.virtual_world_scene import BeltPieces
from firmware_bridge.pulse_recorder import FiredPulse

FACTS: Final = WorldFacts(
    pid=1,
    machine=MACHINE,
    class_names=("good", "bad"),
    is_bad=(False, True),
    line_0_ns=0,
    line_ns=65_000.0,
    block_lines=BLOCK_LINES,
    offsets_ns=(0, 25_000_000),
    scene_line=0,
    scene_lines=10_000,
    pieces=0,
    controller="controller",
    camera_socket="camera.sock",
)

# class, x of the middle, first line, height
rows_of_pieces = st.lists(
    st.tuples(st.integers(0, 1), st.floats(10, 500), st.integers(0, 3000), st.integers(8, 40)), min_size=1, max_size=25
)
rows_of_boxes = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 3000), st.integers(1, 60), st.integers(1, 60), st.booleans()),
    max_size=25,
)


def pieces_of(rows: list[tuple[int, float, int, int]]) -> BeltPieces:
    rows = sorted(rows, key=lambda row: row[2])
    kinds, centres, firsts, heights = (np.array(column) for column in zip(*rows, strict=True))
    return BeltPieces(kinds.astype(np.int64), centres.astype(np.float64), firsts, firsts + heights - 1)


def boxes_of(camera: str, rows: list[tuple[int, int, int, int, bool]]) -> Decisions:
    table = np.array([row[:4] for row in rows], np.int64).reshape(-1, 4)
    return seen_objects(camera, table, np.zeros(len(rows), np.int64), np.array([row[4] for row in rows], np.bool_))


def outcome_of(pieces: BeltPieces, pulses: list[FiredPulse]) -> WorldOutcome:
    scatter_mm = np.zeros(pieces.count)
    thrown = deflected(passages_of(pieces, scatter_mm, MACHINE), pulses, MACHINE.lanes)
    sort = score(
        pieces.class_ids, thrown, np.full(pieces.count, -1, np.int8), FACTS.class_names, np.array(FACTS.is_bad)
    )
    table = np.array([(0, *pulse) for pulse in pulses], np.int64).reshape(-1, 6)
    return WorldOutcome(report_of(sort), pieces, scatter_mm, thrown, table)


def report_of(sort: SortReport) -> WorldReport:
    return WorldReport(
        facts=FACTS,
        sort=sort,
        landed=sort.pieces,
        seconds=1.0,
        pulses=0,
        fired_twice=0,
        fired_late=0,
        refusals={},
        worst_lateness_us=None,
        states=(),
        feeder=(),
        boots=0,
        cameras=(),
        dropped_b=0,
        verdicts=0,
        verdicts_lost=0,
        wakes=None,
    )


@settings(deadline=None)
@given(rows_of_pieces, rows_of_boxes, rows_of_boxes)
def test_a_piece_is_condemned_by_any_box_over_its_middle(
    rows: list[tuple[int, float, int, int]],
    top: list[tuple[int, int, int, int, bool]],
    side: list[tuple[int, int, int, int, bool]],
) -> None:
    pieces = pieces_of(rows)
    by_hand = []
    for x, first, last in zip(pieces.centres_px, pieces.first_lines, pieces.last_lines, strict=True):
        y = (first + last + 1) / 2
        said = [eject for bx, by, w, h, eject in [*top, *side] if bx <= x < bx + w and by <= y < by + h]
        by_hand.append(1 if any(said) else 0 if said else -1)
    is_bad = pieces.class_ids == 1

    report = judge(outcome_of(pieces, []), [boxes_of("top", top), boxes_of("side", side)]).live

    assert report.missed == sum(is_bad & (np.array(by_hand) == 1))
    assert report.bad_accepted == sum(is_bad & (np.array(by_hand) == 0))
    assert report.bad_unseen == sum(is_bad & (np.array(by_hand) == -1))


@settings(deadline=None)
@given(rows_of_pieces, rows_of_boxes)
def test_a_run_whose_valves_opened_as_asked_is_its_own_oracle(
    rows: list[tuple[int, float, int, int]], top: list[tuple[int, int, int, int, bool]]
) -> None:
    decisions = [boxes_of("top", top)]
    outcome = outcome_of(pieces_of(rows), asked_pulses(FACTS, decisions))

    judgement = judge(outcome, decisions)

    assert judgement.live == judgement.oracle
    assert judgement.live_company == judgement.oracle_company
    assert judgement.purity_gap in {None, 0.0}


@settings(deadline=None)
@given(rows_of_boxes)
def test_both_views_ask_for_the_same_moment(top: list[tuple[int, int, int, int, bool]]) -> None:
    alone = asked_pulses(FACTS, [boxes_of("top", top)])
    beside = asked_pulses(FACTS, [boxes_of("top", top), boxes_of("side", top)])
    side = asked_pulses(FACTS, [boxes_of("side", top)])

    assert [pulse[1:] for pulse in alone] == [pulse[1:] for pulse in beside] == [pulse[1:] for pulse in side]


def test_a_camera_that_the_machine_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="'front': the world has top, side"):
        asked_pulses(FACTS, [boxes_of("front", [])])


def test_the_floor_is_what_chance_takes_along() -> None:
    rng = np.random.default_rng(3)
    count, lines = 4000, 400_000
    firsts = np.sort(rng.integers(0, lines, count))
    pieces = BeltPieces(np.zeros(count, np.int64), rng.uniform(0, 512, count), firsts, firsts + 19)
    jets = [
        FiredPulse(i, int(rng.integers(13)), 1, at, at + 4000) for i, at in enumerate(range(200_000, 26_000_000, 9_000))
    ]
    outcome = outcome_of(pieces, jets)

    company = chance_company(outcome, jets, np.ones(count, np.bool_), outcome.is_thrown)

    assert company.jets == len(jets)
    assert company.share is not None
    assert company.floor is not None
    assert company.share == pytest.approx(company.floor, rel=0.15)
    assert company.pieces == pytest.approx(company.expected, rel=0.15)
    assert company.floor < company.expected / company.jets  # two pieces in one jet count once


def test_every_one_of_many_objects_is_compared() -> None:
    count = 1300
    pieces = pieces_of([(1, 100.0, 40 * i, 30) for i in range(count)])
    tops = [(90, 40 * i + 10, 20, 10, True) for i in range(count)]  # begin after their pieces, hold their middles

    report = judge(outcome_of(pieces, []), [boxes_of("top", tops)]).live

    assert (report.missed, report.bad_unseen) == (count, 0)


def test_an_unseen_good_piece_that_a_jet_takes_is_company() -> None:
    pieces = pieces_of([(0, 20.0, 1000, 20), (0, 300.0, 1000, 20)])
    jets = [FiredPulse(0, 0, 1, 200_000, 230_000)]
    outcome = outcome_of(pieces, jets)

    judgement = judge(outcome, [])

    assert outcome.is_thrown.tolist() == [True, False]
    assert (judgement.live_company.with_company, judgement.live_company.pieces) == (1, 1)
    assert judgement.live.co_deflected == 1


def test_nothing_at_all_can_be_judged() -> None:
    none = BeltPieces(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))

    judgement = judge(outcome_of(none, []), [])

    assert judgement.live.pieces == 0
    assert judgement.company_over_floor is None


def test_the_scene_sorted_in_peace_is_decided_as_it_is_and_round_by_round() -> None:
    scene = make_scene(pieces=120, most_pieces=40)
    sorters = [Sorter(RECIPE, NormSpec(), camera, by_colour) for camera in MACHINE.cameras]

    parts = scene_decisions(scene, 256, sorters, MACHINE)
    outcome = outcome_of(scene.pieces.moved(256), asked_pulses(FACTS, parts))
    judgement = judge(outcome, parts)

    assert [part.camera for part in parts] == ["top"] * 3 + ["side"] * 3
    assert (judgement.live.bad_unseen, judgement.live.bad_accepted, judgement.live.good_condemned) == (0, 0, 0)
    assert judgement.live.bad_removed == 1.0


def test_facts_and_judgements_survive_json() -> None:
    judgement = judge(outcome_of(pieces_of([(0, 20.0, 0, 20)]), []), [])

    assert msgspec.json.decode(msgspec.json.encode(judgement), type=type(judgement)) == judgement
    assert msgspec.json.decode(msgspec.json.encode(FACTS), type=WorldFacts) == FACTS
