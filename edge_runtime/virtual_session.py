"""One run of the virtual machine, step by step: what passes between belt, sorter, controller, inspection and recorder.

The order of events is that of virtual time; nothing here knows a real clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Decisions, Pulses, decisions_sha256
from edge_runtime.inline import InlineSorter, Sorted
from edge_runtime.line_scan import Block
from edge_runtime.pipeline import Sorter
from edge_runtime.residual import Truth
from edge_runtime.schedule import line_time_us
from edge_runtime.schemas import Machine
from edge_runtime.truth import audit_objects
from edge_runtime.verdict_recording import Logbook, Recorded, VerdictRecording, VerdictTally
from edge_runtime.virtual_controller import EjectTally, ReadyPulses, VirtualController
from edge_runtime.virtual_inspection import VirtualInspection, lane_of
from edge_runtime.virtual_pieces import NOBODY, Course, VirtualPieces
from edge_runtime.virtual_run import VirtualRun
from firmware_bridge.clock import ManualClock
from firmware_bridge.event_window import unwrap
from firmware_bridge.link_events import EjectOutcome, LinkEvent
from firmware_bridge.messages import Verdict

__all__ = ["VirtualSession"]

_SETTLE_NS: Final = 600_000_000  # the link takes an event for fired after 350 ms; control messages repeat for 300 ms
_REST_STEP_NS: Final = 10_000_000
_LAND_EVERY_NS: Final = 100_000_000  # many pieces at a time: an inspection answers some time after the piece, too


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Where a block is in time: its first line, and the host's tick of it, not wrapped."""

    frame_no: int
    first_line: int
    tick: int


class VirtualSession:
    """The parts of one run.

    Args:
        run: what runs.
        sorter: see `make_sorter`.
        machine: the sorter's camera belongs to it.
        logbook: where the run is recorded; None for nowhere.

    Raises:
        BridgeError: the link cannot open or arm: a fault of the link or of the virtual board.
    """

    def __init__(self, run: VirtualRun, sorter: Sorter, machine: Machine, logbook: Logbook | None) -> None:
        self._run, self._sorter, self._machine, self._logbook = run, sorter, machine, logbook
        self._names = sorter.recipe.class_names
        self._inline = InlineSorter(sorter, machine)
        self._line_us = line_time_us(machine, sorter.camera)
        self._controller = VirtualController(machine, ManualClock(), run.controller)
        if run.teach_class:
            self._controller.connect()
        else:
            self._controller.arm()
        self._zero_ns = self._controller.now_ns
        course = Course(machine, sorter.camera, self._zero_ns, run.scatter_mm, self._controller.tick_at)
        self.pieces = VirtualPieces(course, self._names, self._rng(2))
        self._inspection = VirtualInspection(
            run.inspection, machine.lanes, self._names, pixel_mm=sorter.camera.pixel_mm, rng=self._rng(3)
        )
        self._recording = self._make_recording()
        self._steps: dict[int, Recorded] = {}  # whose pulses are not sent yet
        self._parts: list[tuple[Decisions, Pulses]] = []
        self._stamp = _Stamp(0, 0, 0)
        self._clusters = self._verdicts = self._end_line = self._land_ns = 0

    @property
    def tally(self) -> EjectTally:
        """What became of the pulses."""
        return self._controller.tally

    @property
    def matching(self) -> VerdictTally | None:
        """What became of the verdicts; None without a recorder."""
        return self._recording.tally if self._recording else None

    @property
    def verdicts(self) -> int:
        """Verdicts that the inspection sent."""
        return self._verdicts

    @property
    def objects(self) -> int:
        """Objects decided on."""
        return sum(len(decisions) for decisions, _ in self._parts)

    @property
    def clusters(self) -> int:
        """Objects that held no piece or several."""
        return self._clusters

    @property
    def seconds(self) -> float:
        """Virtual time that the scene took to pass the camera."""
        return self._end_line * self._line_us / 1e6

    def digest(self) -> str:
        """Return the sha256 over all decisions and pulses."""
        return decisions_sha256(self._parts, self._names)

    def begin_block(self, frame_no: int, first_line: int) -> None:
        """Let time pass until the block's first line is under the camera, and latch its trigger.

        Raises:
            BridgeError: the session ended.
            StorageError: the recorder's spool refused.
        """
        self._advance(self._time_ns(first_line))
        self._stamp = _Stamp(frame_no, first_line, unwrap(self._controller.trigger(frame_no), self._stamp.tick))

    def end_block(self, block: Block) -> None:
        """Let time pass until the block is complete, sort it and have its pulses sent when the host is ready.

        Raises:
            BridgeError: the session ended.
            FrameError: lines are missing before the block.
            CropError: the block has another number of channels than the recipe.
            StorageError: the recorder's spool refused.
        """
        self._end_line = block.end_line
        self._advance(self._time_ns(block.end_line))
        self._take(self._inline.sort_block(block))

    def finish(self) -> None:
        """Sort what is left and wait until every piece has landed and every event is settled.

        Raises:
            BridgeError: the session ended.
            StorageError: the recorder's spool refused.
        """
        self._take(self._inline.finish())
        end_ns = self._controller.now_ns + self._rest_ns() + _SETTLE_NS
        while self._controller.now_ns < end_ns:  # in steps: what lands leads to verdicts, these to records
            self._advance(self._controller.now_ns + _REST_STEP_NS)
        if self._recording is not None:
            self._recording.record_until(self._controller.now_ns, is_last=True)

    def _take(self, result: Sorted) -> None:
        decisions, pulses = result.decisions, result.pulses
        step = len(self._parts)
        owners = self.pieces.assign(decisions)
        self._clusters += int((owners == NOBODY).sum())
        bare = msgspec.structs.replace(decisions, pixels=decisions.pixels[:0], masks=decisions.masks[:0])
        self._parts.append((bare, pulses))
        if self._recording is not None and len(decisions):
            recorded = self._waiting(decisions, owners)
            self._recording.add(recorded)
            self._steps[step] = recorded
        if not self._run.teach_class:
            ready_ns = self._controller.now_ns + round(self._run.host_latency_ms * 1e6)
            anchor_us = self._stamp.first_line * self._line_us
            self._controller.send_when_ready(ReadyPulses(ready_ns, step, self._stamp.frame_no, anchor_us, pulses))

    def _advance(self, now_ns: int) -> None:
        """Let time pass, then let the world act and the host listen."""
        self._controller.advance_to(now_ns)
        if self._controller.now_ns >= self._land_ns:
            self._land_ns = self._controller.now_ns + _LAND_EVERY_NS
            self._land()
        events = self._controller.take_events()
        sent = self._controller.take_sent()
        if self._recording is not None:
            for evids, ready in sent:
                step = self._steps.pop(ready.step)
                for evid, row in zip(evids, ready.pulses.objects.tolist(), strict=True):
                    self._recording.add_pulse(evid, step, row)
            self._listen(self._recording, events)

    def _land(self) -> None:
        """Let pieces land, and the inspection tell of them."""
        landing = self.pieces.land(self._controller.now_ns, self._controller.take_fired())
        if self._has_inspection:
            for verdict in self._inspection.judge(landing):
                self._controller.board.report_verdict(verdict)
                self._verdicts += 1

    def _listen(self, recording: VerdictRecording, events: Sequence[LinkEvent]) -> None:
        for event in events:
            match event:
                case EjectOutcome():
                    recording.on_outcome(event)
                case Verdict():
                    recording.on_verdict(event)
                case _:
                    pass
        recording.record_until(self._controller.now_ns)

    @property
    def _has_inspection(self) -> bool:
        is_behind = self._machine.to_inspection_mm > self._sorter.camera.to_valves_mm
        return is_behind and self._machine.keeps_order and not self._run.teach_class

    def _time_ns(self, line: int) -> int:
        return self._zero_ns + round(line * self._line_us * 1000)

    def _rest_ns(self) -> int:
        """Return how long after a block its last piece is past everything and its pulses are settled."""
        way_mm = max(self._sorter.camera.to_valves_mm, self._machine.to_inspection_mm) + 10
        return round(way_mm / self._machine.belt_mm_s * 1e9 + self._run.host_latency_ms * 1e6) + _SETTLE_NS

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._run.seed & 0xFFFFFFFF, stream))

    def _make_recording(self) -> VerdictRecording | None:
        if self._logbook is None:
            return None
        tolerance = round(self._run.match_tolerance_mm / self._machine.belt_mm_s * 1e6)
        return VerdictRecording(self._logbook.recorder, self._names, tolerance, self._logbook.origin.policy)

    def _waiting(self, decisions: Decisions, owners: NDArray[np.int64]) -> Recorded:
        """Return decisions with all that the host works out about them at once."""
        boxes, camera = decisions.boxes_px, self._sorter.camera
        middles = boxes[:, 1] + boxes[:, 3] / 2  # (N,) absolute lines
        to_inspection_us = self._machine.to_inspection_mm / self._machine.belt_mm_s * 1e6
        centres_mm = ((boxes[:, 0] + boxes[:, 2] / 2) * camera.pixel_mm).tolist()
        lanes = [lane_of(centre_mm, self._machine.lanes) for centre_mm in centres_mm]
        return Recorded(
            decisions,
            last_ticks=self._ticks(decisions.lines.astype(np.float64)),
            inspection_ticks=self._ticks(middles) + round(to_inspection_us),
            lanes=np.array([-1 if lane is None else lane for lane in lanes], np.int64),
            told=self._told(decisions, owners),
            ready_ns=self._controller.now_ns + self._rest_ns(),
            acknowledged=["none"] * len(decisions),
        )

    def _ticks(self, lines: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the host's ticks, not wrapped, at which absolute lines passed the camera."""
        return np.rint(self._stamp.tick + (lines - self._stamp.first_line) * self._line_us).astype(np.int64)

    def _told(self, decisions: Decisions, owners: NDArray[np.int64]) -> list[Truth | None]:
        """Return what people know: the class of a teach lot, or the labels of the audit slice."""
        if self._run.teach_class:
            purity = self._run.mix[self._run.teach_class] / sum(self._run.mix.values())
            return [Truth("T0", self._run.teach_class, purity, "teach lot")] * len(decisions)
        if self._logbook is None or not self._run.person_labels_audit:
            return [None] * len(decisions)
        origin = self._logbook.origin
        names = (origin.machine, origin.lot, decisions.camera)
        is_audit = audit_objects(names, decisions.lines, decisions.columns, origin.policy.audit_rate)
        return [
            Truth("T8", self.pieces.kind_of(owner), 1.0, "person") if audit and owner != NOBODY else None
            for audit, owner in zip(is_audit.tolist(), owners.tolist(), strict=True)
        ]
