"""The machine as a whole, with two-coloured pieces that a few lines of arithmetic classify without a mistake."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from world_host import RECIPE, Blocks, by_colour

from edge_runtime.errors import ConfigError
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Classify, Sorter
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Origin, ResidualHeader
from edge_runtime.schemas import Machine, ResidualPolicy
from edge_runtime.spool import Spool
from edge_runtime.virtual_controller import ControllerTraits
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_machine import Logbook, VirtualReport, VirtualRun, rendered_machine, run_virtual_machine
from firmware_bridge.clock import ManualClock

MACHINE = rendered_machine(width_px=512)
MIX = {"good": 4.0, "bad": 1.0}


def all_good(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.tile(np.array([0.9, 0.1], np.float32), (len(crops), 1))


def all_bad(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return all_good(crops)[:, ::-1].copy()


def sort(
    run: VirtualRun, *, classify: Classify = by_colour, machine: Machine = MACHINE, logbook: Logbook | None = None
) -> VirtualReport:
    sorter = Sorter(RECIPE, NormSpec(), machine.cameras[0], classify)
    return run_virtual_machine(run, sorter, machine=machine, source=Blocks(), logbook=logbook)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path / "spool", clock=ManualClock()) as opened:
        yield opened


def logbook_of(spool: Spool, *, audit_rate: float = 0.0) -> Logbook:
    policy = ResidualPolicy(audit_rate=audit_rate)
    origin = Origin("virtual", "lot 1", "ab" * 32, "cd" * 32, RECIPE.class_names, policy)
    return Logbook(Recorder(spool, origin, ManualClock()), origin)


def headers_of(spool: Spool) -> list[ResidualHeader]:
    spool.commit()
    return [record.header for record in spool.records()]


def test_perfect_classes_at_a_low_rate_sort_without_a_mistake() -> None:
    report = sort(VirtualRun(MIX, pieces=400, rate_hz=60, scatter_mm=0.0))

    assert report.sort.purity == report.sort.product_yield == report.sort.bad_removed == 1.0
    assert report.confusion == {
        "good": {"good": report.sort.good},
        "bad": {"bad": report.sort.bad},
    }
    assert report.macro_f1 == 1.0
    assert report.eject.asked == sum(report.eject.outcomes.values())
    assert report.eject.late == report.eject.open == 0
    assert report.objects == report.sort.pieces == 400


def test_same_settings_give_the_same_report() -> None:
    run = VirtualRun(MIX, pieces=150, rate_hz=600, inspection=InspectionTraits(share=0.5))

    assert msgspec.json.encode(sort(run)) == msgspec.json.encode(sort(run))


@settings(max_examples=6, deadline=None)
@given(block_lines=st.integers(8, 400))
def test_decisions_do_not_depend_on_the_block_height(block_lines: int) -> None:
    run = VirtualRun(MIX, pieces=60, rate_hz=600)

    assert sort(run).decisions_sha256 == sort(msgspec.structs.replace(run, block_lines=block_lines)).decisions_sha256


def test_ticks_that_wrap_and_drift_change_nothing_that_lands() -> None:
    run = VirtualRun(MIX, pieces=300, rate_hz=300)
    wrapping = ControllerTraits(tick_offset=2**32 - 400_000, drift_ppm=80)

    assert sort(run).sort == sort(msgspec.structs.replace(run, controller=wrapping)).sort


def test_a_host_slower_than_the_flight_is_late_and_misses_every_bad_piece() -> None:
    report = sort(VirtualRun(MIX, pieces=120, rate_hz=200, host_latency_ms=400.0))

    assert report.eject.late == report.eject.asked > 0
    assert report.eject.least_lead_us is not None
    assert report.eject.least_lead_us < 0
    assert report.sort.bad_removed == 0.0
    assert report.sort.missed == report.sort.bad


def test_more_scatter_removes_less() -> None:
    run = VirtualRun(MIX, pieces=400, rate_hz=150)
    shares = [sort(msgspec.structs.replace(run, scatter_mm=mm)).sort.bad_removed for mm in (0.0, 2.0, 6.0)]

    assert shares[0] == 1.0
    assert shares[0] > shares[1] > shares[2]  # type: ignore[operator]  # ratios are there: bad pieces are fed


def test_co_deflection_grows_with_the_rate() -> None:
    run = VirtualRun(MIX, pieces=800, scatter_mm=0.0)
    lost = [sort(msgspec.structs.replace(run, rate_hz=rate_hz)).sort.co_deflected for rate_hz in (50, 4000)]

    assert lost[0] <= 2
    assert lost[1] > 5 * max(1, lost[0])


def test_a_model_that_sees_nothing_bad_fires_nothing() -> None:
    report = sort(VirtualRun(MIX, pieces=80), classify=all_good)

    assert report.eject.asked == report.sort.good_thrown == report.sort.bad_thrown == 0
    assert report.sort.bad_accepted == report.sort.bad
    assert report.sort.purity == report.sort.feed_purity


def test_inspection_makes_every_mistake_known_when_it_looks_at_all(spool: Spool) -> None:
    run = VirtualRun(MIX, pieces=200, rate_hz=40, inspection=InspectionTraits(share=1.0))

    report = sort(run, classify=all_good, logbook=logbook_of(spool))

    headers = headers_of(spool)
    assert report.matching is not None
    assert report.recorded is not None
    assert report.verdicts == 200
    assert report.matching.matched + report.matching.ambiguous + report.matching.unmatched == 200
    assert report.matching.matched >= 190
    assert report.recorded.seen == 200
    assert {(h.truth.source, h.truth.label, h.predicted_class, h.failure) for h in headers} == {
        ("T2", "bad", "good", "misclassified")
    }
    assert 0.9 * report.sort.bad <= len(headers) <= report.sort.bad


def test_verdicts_of_strayed_pieces_confirm_no_mistake_that_is_none(spool: Spool) -> None:
    """The classifier is never wrong: every contradiction is a verdict about another piece."""
    traits = InspectionTraits(share=0.6, strayed_share=0.3)
    run = VirtualRun(MIX, pieces=1200, rate_hz=1500, inspection=traits)
    report = sort(run, logbook=logbook_of(spool))

    assert report.matching is not None
    assert report.recorded is not None
    assert report.matching.uncertain > 0
    assert sum(msgspec.to_builtins(report.matching).values()) == report.verdicts
    assert report.recorded.taken.get("candidate", 0) > 0
    assert "misclassified" not in report.recorded.taken
    assert_strengths_of_verdicts_are_below_one(headers_of(spool))


def assert_strengths_of_verdicts_are_below_one(headers: list[ResidualHeader]) -> None:
    strengths = [header.truth.strength for header in headers if header.truth.source == "T2"]
    assert strengths
    assert all(0.9 < strength < 1.0 for strength in strengths)


def test_an_unreliable_inspection_confirms_nothing_that_the_model_denies(spool: Spool) -> None:
    run = VirtualRun(MIX, pieces=200, rate_hz=40, inspection=InspectionTraits(share=1.0, wrong_share=0.1))
    logbook = logbook_of(spool)
    policy = msgspec.structs.replace(logbook.origin.policy, inspection_reliability=0.9)
    origin = msgspec.structs.replace(logbook.origin, policy=policy)
    report = sort(run, logbook=Logbook(Recorder(spool, origin, ManualClock()), origin))

    assert report.recorded is not None
    assert report.recorded.taken["candidate"] > 5
    assert "misclassified" not in report.recorded.taken


def test_an_impure_lot_confirms_no_impurity(spool: Spool) -> None:
    """The classifier is never wrong: all it calls something else does not belong to the lot."""
    run = VirtualRun({"good": 99.0, "bad": 1.0}, pieces=600, rate_hz=300, teach_class="good")
    report = sort(run, logbook=logbook_of(spool))

    assert report.recorded is not None
    assert report.recorded.taken == {"candidate": report.confusion["bad"]["bad"]}
    assert {header.truth.strength for header in headers_of(spool)} == {0.99}


def test_late_pulses_are_recorded_as_late_never_as_class_mistakes(spool: Spool) -> None:
    run = VirtualRun(MIX, pieces=100, rate_hz=40, host_latency_ms=400.0, inspection=InspectionTraits(share=1.0))
    report = sort(run, logbook=logbook_of(spool))

    failures = {(h.failure, h.acknowledged, h.truth.label) for h in headers_of(spool)}
    assert report.sort.missed == report.sort.bad
    assert failures <= {("late", "late", "bad"), ("not_deflected", "lost", "bad")}
    assert failures


def test_doubtful_verdicts_teach_nothing(spool: Spool) -> None:
    traits = InspectionTraits(share=1.0, doubtful_share=1.0)
    report = sort(VirtualRun(MIX, pieces=60, inspection=traits), classify=all_good, logbook=logbook_of(spool))

    assert report.matching is not None
    assert report.matching.doubtful == report.verdicts == 60
    assert headers_of(spool) == []


def test_wrong_verdicts_come_through_at_their_share(spool: Spool) -> None:
    traits = InspectionTraits(share=1.0, wrong_share=0.3)
    sort(VirtualRun({"good": 1.0}, pieces=200, rate_hz=40, inspection=traits), logbook=logbook_of(spool))

    headers = headers_of(spool)
    assert {h.truth.label for h in headers} == {"bad"}
    assert 40 <= len(headers) <= 80


def test_teach_lot_fires_nothing_and_records_what_the_model_gets_wrong(spool: Spool) -> None:
    run = VirtualRun({"bad": 1.0}, pieces=50, teach_class="bad", inspection=InspectionTraits(share=1.0))

    report = sort(run, classify=all_good, logbook=logbook_of(spool))

    headers = headers_of(spool)
    assert report.mode == "teach"
    assert (report.eject.asked, report.verdicts, report.sort.bad_thrown) == (0, 0, 0)
    assert len(headers) == 50
    assert {(h.truth.source, h.truth.label, h.truth.strength, h.action) for h in headers} == {
        ("T0", "bad", 1.0, "accept")
    }


def test_teach_lot_that_the_model_knows_leaves_no_record_but_its_norms(spool: Spool) -> None:
    report = sort(VirtualRun({"bad": 1.0}, pieces=50, teach_class="bad"), logbook=logbook_of(spool))

    assert report.recorded is not None
    assert report.recorded.passed_over == {"right": 50}
    assert spool.norm_statistics().by_label()["bad"].count == 50


def test_audit_slice_is_named_by_a_person_and_held_out(spool: Spool) -> None:
    run = VirtualRun(MIX, pieces=120, rate_hz=100, inspection=InspectionTraits(share=0.0))
    report = sort(run, logbook=logbook_of(spool, audit_rate=0.25))

    headers = headers_of(spool)
    assert report.recorded is not None
    assert report.recorded.taken == {"audit": len(headers)}
    assert 15 <= len(headers) <= 45
    assert all(h.truth.source == "T8" and h.truth.label == h.predicted_class for h in headers)


def test_recording_changes_no_decision(spool: Spool) -> None:
    run = VirtualRun(MIX, pieces=100, inspection=InspectionTraits(share=1.0))
    recorded = sort(run, logbook=logbook_of(spool, audit_rate=0.1))
    alone = sort(run)

    assert recorded.decisions_sha256 == alone.decisions_sha256
    assert recorded.sort == alone.sort
    assert recorded.eject == alone.eject


def test_machine_without_order_or_way_to_an_inspection_gets_no_verdict() -> None:
    run = VirtualRun(MIX, pieces=30, inspection=InspectionTraits(share=1.0))
    mixing = msgspec.structs.replace(MACHINE, keeps_order=False)
    without = msgspec.structs.replace(MACHINE, to_inspection_mm=0.0)

    assert sort(run, machine=mixing).verdicts == sort(run, machine=without).verdicts == 0


def test_touching_pieces_are_counted_as_clusters() -> None:
    report = sort(VirtualRun(MIX, pieces=300, rate_hz=6000, min_gap_mm=0.0))

    assert report.clusters > 0
    assert report.objects < 300
    assert report.sort.pieces == 300


def test_empty_belt_gives_an_empty_report() -> None:
    report = sort(VirtualRun(MIX, pieces=0))

    assert (report.objects, report.sort.pieces, report.eject.asked, report.pieces_per_s) == (0, 0, 0, 0.0)
    assert report.macro_f1 is report.sort.purity is None


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (VirtualRun({"husk": 1.0}), "'husk' is no class of the recipe"),
        (VirtualRun(MIX, teach_class="husk"), "'husk' is no class of the recipe"),
        (VirtualRun({"good": 1.0}, teach_class="bad"), "teach lot of 'bad' without any"),
    ],
)
def test_classes_that_cannot_be_are_refused(run: VirtualRun, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sort(run)
