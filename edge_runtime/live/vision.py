"""The vision process: one frame after another from the ring to a decision that bridge and recorder get whole."""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import structlog

from edge_runtime.crop import CropSpec
from edge_runtime.errors import CropError, FrameError, ModelFolderError
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.frame_ring import FrameRing, RingFrame
from edge_runtime.live.ladder import Level
from edge_runtime.live.messages import (
    FrameClaimed,
    FrameDecided,
    FrameMissed,
    FrameNews,
    RecordReady,
    Stop,
    decode_frame_ready,
    encode,
)
from edge_runtime.live.packets import Packets
from edge_runtime.live.record_ring import FrameKey, RecordRing
from edge_runtime.live.ring_sorter import RingSorter
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.norm_classifier import NormClassifier
from edge_runtime.pipeline import Classify
from edge_runtime.schedule import line_time_us
from edge_runtime.setup import Setup, check_classes, open_model, open_sorters
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["VisionPlan", "run_vision"]

_IDLE_S: Final = 0.05
_WARM_UPS: Final = 3
_log = structlog.get_logger(__name__)


class VisionPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        model: model folder.
        model_id: of the model that shall lie there.
        fallback: model folder that decides in its stead while frames grow old; empty for none.
        ring_fds: ring of each camera, in the machine's order.
        frames_fd: announcements, shared with the other workers.
        news_fd: to the bridge.
        place: of this worker among those whose records the recorder takes.
        record_fd: ring of that place.
        records_fd: to the recorder.
    """

    child: ChildPlan
    model: str
    model_id: str
    fallback: str
    ring_fds: tuple[int, ...]
    frames_fd: int
    news_fd: int
    place: int
    record_fd: int
    records_fd: int


def run_vision(plan: VisionPlan, child: Child) -> None:
    """Sort frames until told to stop; then those that were announced before.

    Raises:
        ConfigError: machine, recipe, references and fallback do not go together.
        ModelFolderError: the model folder is not whole, holds another model by now, or its golden crops get other
            scores here.
        StorageError: the references of a camera cannot be read.
        PeerGoneError: the supervisor is gone.
    """
    setups = open_sorters(Path(plan.model), Path(plan.child.machine))
    _check_model(plan, setups[0])
    fallback = _open_fallback(Path(plan.fallback), setups[0]) if plan.fallback else None
    for classify in filter(None, (setups[0].sorter.classify, fallback)):
        _warm_up(classify, setups[0].sorter.recipe.crop)
    worker = _Worker(plan, child, [_View(*one, fallback) for one in zip(setups, plan.ring_fds, strict=True)])
    child.ready()
    while not any(isinstance(order, Stop) for order in child.orders()):
        worker.work(_IDLE_S)
    child.stopping()
    while worker.work(0.0):
        pass


def _check_model(plan: VisionPlan, setup: Setup) -> None:
    """Refuse a model that this run's records are not marked with."""
    found = setup.folder.card.model_id
    if found != plan.model_id:
        raise ModelFolderError(f"{plan.model} holds model {found[:12]} by now, not {plan.model_id[:12]}: swap to it")


def _open_fallback(path: Path, setup: Setup) -> Classify:
    opened = open_model(path)
    check_classes(path, setup.sorter.recipe, opened.folder)
    return opened.scorer.scores


def _warm_up(classify: Classify, crop: CropSpec) -> None:
    """Let every buffer of a session get its pages before the first frame."""
    for _ in range(_WARM_UPS):
        classify(np.zeros((8, crop.side_px, crop.side_px, crop.channels), np.uint8))


class _View:
    """One camera of the machine, as a worker sees it."""

    def __init__(self, setup: Setup, ring_fd: int, fallback: Classify | None) -> None:
        self.ring = FrameRing(SharedMemory.attach(ring_fd))
        by_norm = NormClassifier(setup.folder.norms, setup.folder.card.classes).scores
        replace = msgspec.structs.replace
        self._own = RingSorter(setup.sorter, self.ring)
        self._cheaper = RingSorter(replace(setup.sorter, classify=fallback), self.ring) if fallback else self._own
        self._by_norm = RingSorter(replace(setup.sorter, by_norm=by_norm), self.ring)
        self._line_ns = line_time_us(setup.machine, setup.sorter.camera) * 1000
        self.flight_ns = setup.sorter.camera.to_valves_mm / setup.machine.belt_mm_s * NS_PER_S

    def sorter(self, level: Level) -> RingSorter:
        """Return what sorts at a level: the model, a quicker one, or the norm table."""
        if level >= Level.L2_NORM:
            return self._by_norm
        return self._cheaper if level == Level.L2_CHEAPER else self._own

    def is_own(self, sorter: RingSorter) -> bool:
        """Tell whether this is what sorts with the run's model."""
        return sorter is self._own

    def age_ns(self, frame: RingFrame, clock: Clock) -> int:
        """Return how long ago the frame's last line was exposed."""
        return clock.monotonic_ns() - frame.exposed_ns - round(self._line_ns * len(frame.pixels))


class _Worker:
    """One worker's loop."""

    def __init__(self, plan: VisionPlan, child: Child, views: list[_View]) -> None:
        self._number = plan.child.number
        self._child = child
        self._views = views
        self._frames = Packets.attach(plan.frames_fd)
        self._news = Packets.attach(plan.news_fd)
        self._place = plan.place
        self._record_ring = RecordRing(SharedMemory.attach(plan.record_fd))
        self._records = Packets.attach(plan.records_fd)

    def work(self, timeout_s: float) -> bool:
        """Wait a little for a frame and sort it; tell whether there was one.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        self._child.wait([self._frames], timeout_s)
        self._child.beat()
        message = self._frames.receive()
        if message is None:  # another worker was faster, or it is an order
            return False
        ready = decode_frame_ready(message)
        view = self._views[ready.camera]
        frame = view.ring.read(ready.number)
        if frame is None:
            self._tell(FrameMissed(self._number, ready.camera, ready.number, "overrun"))
            return True
        age_ns = view.age_ns(frame, self._child.clock)
        if age_ns > view.flight_ns:  # its objects have passed: work on it would only make those behind it late too
            self._tell(FrameMissed(self._number, ready.camera, ready.number, "late"))
            return True
        self._tell(FrameClaimed(self._number, ready.camera, ready.number, age_ns))
        self._sort(ready.camera, frame, is_last=ready.is_last)
        self._child.beat()
        return True

    def _sort(self, camera: int, frame: RingFrame, *, is_last: bool) -> None:
        view = self._views[camera]
        sorter = view.sorter(self._child.vitals.level)
        try:
            decisions = sorter.sort(frame.number, is_last=is_last)
        except (FrameError, CropError) as error:
            _log.error("vision.frame_failed", camera=camera, number=frame.number, error=str(error))
            self._tell(FrameMissed(self._number, camera, frame.number, "failed"))
            return
        if decisions is None:
            self._tell(FrameMissed(self._number, camera, frame.number, "overrun"))
            return
        boxes = decisions.boxes_px[decisions.is_eject]
        place = (frame.frame_id, frame.first_line, frame.exposed_ns)
        self._tell(FrameDecided(self._number, camera, frame.number, *place, len(decisions), boxes.tobytes()))
        key = FrameKey(camera, frame.number, *place, is_own=view.is_own(sorter))
        written = self._record_ring.write(key, decisions)  # after the news: the valves come first
        self._records.send(encode(RecordReady(self._place, written, camera)))

    def _tell(self, news: FrameNews) -> None:
        """Send news to the bridge; what finds no room there was not decided, and is late by itself."""
        if not self._news.send(encode(news)):
            _log.warning("vision.news_dropped", number=news.number)
