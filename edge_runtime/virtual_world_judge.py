"""How well a live run sorted the pieces of a virtual world: by its own decisions, and against one of perfect timing.

A world knows where every piece went and not what the machine decided; a live run knows its decisions and not the truth.
Joined they tell mistakes of the model from mistakes of timing. Pure: it reads no file.

    oracle   the same decisions, with every pulse at the valves exactly as `schedule` and `unite` ask for it
    floor    what chance takes along: a jet of n nozzles open for a window meets at least one piece that should stay
             with P = 1 - exp(-lambda * window * n), lambda being such pieces a second and nozzle

>>> rows = seen_objects("top", np.array([[10, 100, 20, 30]]), np.array([0]), np.array([True]))
>>> rows.boxes_px.tolist(), rows.is_eject.tolist()
([[10, 100, 20, 30]], [True])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import Decisions, Pulses, pulses_of
from edge_runtime.errors import ConfigError
from edge_runtime.schedule import schedule
from edge_runtime.schemas import Machine
from edge_runtime.unite import join_views, unite
from edge_runtime.virtual_outcome import Decided, SortReport, deflected, score
from edge_runtime.virtual_world_outcome import WorldFacts, WorldOutcome
from edge_runtime.virtual_world_scene import BeltPieces
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = ["Company", "Judgement", "asked_pulses", "chance_company", "judge", "seen_objects"]

_CHUNK: Final = 512  # objects compared with the pieces near them at a time
_US_PER_S: Final = 1e6


class Company(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pieces that jets took along: good ones that no decision condemned.

    Attributes:
        jets: pulses.
        with_company: of them, those that took at least one such piece along.
        share: with_company / jets; floor: mean of P over the jets. None without jets.
        pieces: taken along; expected: lambda * window * nozzles over all jets.
    """

    jets: int
    with_company: int
    share: float | None
    floor: float | None
    pieces: int
    expected: float


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A live run beside its oracle.

    Attributes:
        live, oracle: where the pieces went, or would have gone.
        purity_gap, yield_gap, carry_over_gap: live / oracle - 1; None where there is nothing to divide.
        live_company, oracle_company: what the jets took along, and the floor for them.
        company_over_floor: share of the live jets / floor of the oracle's; None where there is nothing to divide.
        schema_version: of this record.
    """

    live: SortReport
    oracle: SortReport
    purity_gap: float | None
    yield_gap: float | None
    carry_over_gap: float | None
    live_company: Company
    oracle_company: Company
    company_over_floor: float | None
    schema_version: int = 1


def seen_objects(
    camera: str, boxes_px: NDArray[np.int64], class_ids: NDArray[np.int64], is_eject: NDArray[np.bool_]
) -> Decisions:
    """Return the decisions of a log, which keeps no pixels: what a judgement needs of them.

    Args:
        camera: name of the view.
        boxes_px: (N, 4) int64: x, first line of the world, width, height.
        class_ids: (N,) int64.
        is_eject: (N,) bool.
    """
    count = len(boxes_px)
    blank = Decisions.empty(camera, CropSpec(side_px=8), 0)
    return msgspec.structs.replace(
        blank,
        lines=boxes_px[:, 1] + boxes_px[:, 3] - 1,
        columns=boxes_px[:, 0].astype(np.int32),
        boxes_px=boxes_px,
        centres_mm=np.zeros((count, 2)),
        lengths_mm=np.zeros(count),
        widths_mm=np.zeros(count),
        angles_deg=np.zeros(count),
        class_ids=class_ids,
        scores=np.zeros((count, 0), np.float32),
        is_eject=is_eject,
        norm_numerators=np.zeros(count, np.int64),
        norm_denominators=np.ones(count, np.int64),
    )


def judge(outcome: WorldOutcome, decisions: Sequence[Decisions]) -> Judgement:
    """Compare a live run with the same decisions timed perfectly.

    Args:
        outcome: of the world.
        decisions: of all cameras, in any parts; lines are the world's. A piece is about to be ejected when one camera
            says so, and unseen when its middle lies in no box of any camera.

    Raises:
        ConfigError: a decision names a camera that the machine does not have.
    """
    facts, passages = outcome.report.facts, outcome.passages
    decided = _decided(outcome.pieces, decisions)
    asked = asked_pulses(facts, decisions)
    thrown = deflected(passages, asked, facts.machine.lanes)
    live, best = _score(outcome, outcome.is_thrown, decided), _score(outcome, thrown, decided)
    stays = _stays(outcome, decided)
    live_company = chance_company(outcome, _jets(outcome), stays, outcome.is_thrown)
    oracle_company = chance_company(outcome, asked, stays, thrown)
    return Judgement(
        live,
        best,
        purity_gap=_gap(live.purity, best.purity),
        yield_gap=_gap(live.product_yield, best.product_yield),
        carry_over_gap=_gap(live.carry_over, best.carry_over),
        live_company=live_company,
        oracle_company=oracle_company,
        company_over_floor=_quotient(live_company.share, oracle_company.floor),
    )


def asked_pulses(facts: WorldFacts, decisions: Sequence[Decisions]) -> list[FiredPulse]:
    """Return the pulses that these decisions ask for, of all cameras united; ticks are on the belt's axis.

    Args:
        facts: of the world.
        decisions: see `judge`.

    Raises:
        ConfigError: a decision names a camera that the machine does not have.
    """
    machine = facts.machine
    names = [camera.name for camera in machine.cameras]
    views = []
    for part in decisions:
        if part.camera not in names:
            raise ConfigError(f"decisions of camera {part.camera!r}: the world has {', '.join(names)}")
        number = names.index(part.camera)
        pulses = schedule(part, machine, machine.cameras[number])
        passes_us = round(facts.offsets_ns[number] / 1000)
        views.append(msgspec.structs.replace(pulses, open_us=pulses.open_us + passes_us))
    return _united(join_views(views, [len(part) for part in decisions]), machine)


def chance_company(
    outcome: WorldOutcome, jets: Sequence[FiredPulse], stays: NDArray[np.bool_], is_thrown: NDArray[np.bool_]
) -> Company:
    """Return what jets took along, beside what chance would.

    Args:
        outcome: of the world.
        jets: pulses on the belt's axis.
        stays: (N,) bool, pieces that should stay.
        is_thrown: (N,) bool, by these jets.

    Note:
        Chance assumes that pieces fall where they like; on a belt that keeps them apart, fewer are taken along.
    """
    lanes = _lane_loads(outcome, stays, is_thrown)
    hits = np.zeros(len(jets), np.int64)
    means = np.zeros(len(jets))
    for row, jet in enumerate(jets):
        for valve in range(jet.first_valve, jet.first_valve + jet.valve_count):
            if valve in lanes:
                lane = lanes[valve]
                begin, end = np.searchsorted(
                    lane.taken_us, (jet.open_tick + lane.delay_us, jet.close_tick + lane.delay_us)
                )
                hits[row] += int(end - begin)
                means[row] += lane.per_us * (jet.close_tick - jet.open_tick)
    count, company = len(jets), int((hits > 0).sum())
    return Company(
        jets=count,
        with_company=company,
        share=company / count if count else None,
        floor=float((1 - np.exp(-means)).mean()) if count else None,
        pieces=int((stays & is_thrown).sum()),
        expected=float(means.sum()),
    )


def _jets(outcome: WorldOutcome) -> list[FiredPulse]:
    """Return what the valves did, each jet once, however many events it was for."""
    rows = [
        (pulse.evid, pulse.first_valve, pulse.valve_count, pulse.open_tick, pulse.close_tick - pulse.open_tick)
        for pulse in outcome.fired
        if pulse.close_tick > pulse.open_tick
    ]
    return _united(pulses_of(rows), outcome.report.facts.machine)


def _united(pulses: Pulses, machine: Machine) -> list[FiredPulse]:
    united = unite(pulses, min_pause_us=machine.min_pause_us, max_pulse_us=machine.max_pulse_us).pulses
    columns = (united.objects, united.first_valves, united.valve_counts, united.open_us, united.pulse_us)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [FiredPulse(owner, first, count, at_us, at_us + length) for owner, first, count, at_us, length in rows]


@dataclass(frozen=True, slots=True)
class _Lane:
    """What one valve has before it: pieces that stay a microsecond, and when the middles of those taken passed."""

    delay_us: int
    per_us: float
    taken_us: NDArray[np.int64]


def _lane_loads(outcome: WorldOutcome, stays: NDArray[np.bool_], is_thrown: NDArray[np.bool_]) -> dict[int, _Lane]:
    passages = outcome.passages
    middles = (passages.begin_ticks + passages.end_ticks) // 2
    span_us = float(middles.max() - middles.min()) if middles.size > 1 else 1.0
    loads = {}
    for lane in outcome.report.facts.machine.lanes:
        inside = stays & (passages.centres_mm >= lane.from_mm) & (passages.centres_mm < lane.to_mm)
        taken = np.sort(middles[inside & is_thrown])
        loads[lane.valve] = _Lane(lane.delay_us, float(inside.sum()) / max(span_us, 1.0), taken)
    return loads


def _decided(pieces: BeltPieces, decisions: Sequence[Decisions]) -> NDArray[np.int8]:
    """Return, (N,) int8 of `Decided`, what was decided about each piece: the severest of all that saw it."""
    decided = np.full(pieces.count, Decided.UNSEEN, np.int8)
    middles = (pieces.first_lines + pieces.last_lines + 1) / 2
    longest = int((pieces.last_lines - pieces.first_lines).max(initial=0)) + 1
    for part in decisions:
        order = np.argsort(part.boxes_px[:, 1], kind="stable")
        for start in range(0, len(order), _CHUNK):
            rows = order[start : start + _CHUNK]
            boxes, is_eject = part.boxes_px[rows], part.is_eject[rows]
            ends = boxes[:, 1] + boxes[:, 3]
            near = slice(
                int(np.searchsorted(pieces.first_lines, boxes[0, 1] - longest)),
                int(np.searchsorted(pieces.first_lines, int(ends.max()))),
            )
            x, y = pieces.centres_px[near], middles[near]
            inside = (  # (n, m)
                (x >= boxes[:, :1]) & (x < boxes[:, :1] + boxes[:, 2:3]) & (y >= boxes[:, 1:2]) & (y < ends[:, None])
            )
            said = np.where(inside, np.where(is_eject, Decided.EJECT, Decided.ACCEPT)[:, None], Decided.UNSEEN)
            decided[near] = np.maximum(decided[near], said.max(axis=0, initial=Decided.UNSEEN).astype(np.int8))
    return decided


def _score(outcome: WorldOutcome, is_thrown: NDArray[np.bool_], decided: NDArray[np.int8]) -> SortReport:
    facts = outcome.report.facts
    is_bad = np.array(facts.is_bad, np.bool_)
    return score(outcome.pieces.class_ids, is_thrown, decided, facts.class_names, is_bad)


def _stays(outcome: WorldOutcome, decided: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return, (N,) bool, which pieces are good and were not condemned."""
    is_bad = np.array(outcome.report.facts.is_bad, np.bool_)[outcome.pieces.class_ids]
    return np.asarray(~is_bad & (decided != Decided.EJECT), np.bool_)


def _quotient(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _gap(live: float | None, best: float | None) -> float | None:
    quotient = _quotient(live, best)
    return None if quotient is None else quotient - 1
