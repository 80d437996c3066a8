"""The recorder process: what was decided, with its crops, to the spool and to recordings.

Nobody waits for its disk: what it is too slow for it finds overwritten, and counts. Its death costs records of a moment
and no decision.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.decisions import Decisions
from edge_runtime.errors import ConfigError, StorageError
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.follow_up import FollowUp
from edge_runtime.live.frame_recording import FrameRecording
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.ladder import Level
from edge_runtime.live.messages import (
    FrameExposed,
    InspectionVerdict,
    NewOrigin,
    ObjectEnded,
    RecorderNews,
    RecordReady,
    Stop,
    decode_recorder_news,
)
from edge_runtime.live.packets import Packets
from edge_runtime.live.record_ring import FrameKey, RecordRing
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.machine_file import load_machine
from edge_runtime.recorder import Recorder
from edge_runtime.residual import Origin, Truth
from edge_runtime.schemas import Machine
from edge_runtime.spool import Spool
from firmware_bridge.clock import NS_PER_S

__all__ = ["RecorderPlan", "run_recorder"]

_LOOK_S: Final = 0.05
_MOST_AT_ONCE: Final = 64
_COMMIT_NS: Final = NS_PER_S
_log = structlog.get_logger(__name__)


class RecorderPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the recorder gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        ring_fds: ring of each camera, in the machine's order.
        record_fds: ring of each worker's place.
        records_fd: from the workers, the bridge and the supervisor.
        spool: folder of the spool.
        origins: what records are marked with, by set of workers.
        teach_class: every object is of this class (T0); empty where nothing is known.
        purity: share of the lot that truly is of that class.
        recording: folder for frames and decisions, empty for none.
    """

    child: ChildPlan
    ring_fds: tuple[int, ...]
    record_fds: tuple[int, ...]
    records_fd: int
    spool: str
    origins: dict[int, Origin]
    teach_class: str = ""
    purity: float = 1.0
    recording: str = ""


def run_recorder(plan: RecorderPlan, child: Child) -> None:
    """Record until told to stop; then what is still on its way.

    Raises:
        ConfigError: the machine file is wrong, or the model does not know the class of the teach lot.
        StorageError: the spool or the recording cannot be opened.
        PeerGoneError: the supervisor is gone; what was recorded is committed.
    """
    machine = load_machine(Path(plan.child.machine))
    names = next(iter(plan.origins.values())).class_names
    if plan.teach_class and plan.teach_class not in names:
        raise ConfigError(f"the model knows no class {plan.teach_class!r}: {', '.join(names)}")
    with Spool.open(Path(plan.spool), clock=child.clock) as spool:
        recorder = _Recorder(plan, child, machine, spool)
        child.ready()
        while recorder.obey():
            recorder.work(_LOOK_S)
        child.stopping()
        while recorder.work(0.0):
            pass
        recorder.close()


class _Recorder:
    """The recorder's loop."""

    def __init__(self, plan: RecorderPlan, child: Child, machine: Machine, spool: Spool) -> None:
        self._child = child
        self._machine = machine
        self._records = Packets.attach(plan.records_fd)
        self._frames = [FrameRing(SharedMemory.attach(fd)) for fd in plan.ring_fds]
        self._rings = [RecordRing(SharedMemory.attach(fd)) for fd in plan.record_fds]
        self._spool = spool
        self._truth = Truth("T0", plan.teach_class, plan.purity, "teach lot") if plan.teach_class else None
        self._recorders = {index: Recorder(spool, origin, child.clock) for index, origin in plan.origins.items()}
        self._followed = {index: self._follow(index, origin) for index, origin in plan.origins.items()}
        self._newest = max(self._followed)  # of the sets of workers: verdicts are about its objects
        self._set_size = machine.live.workers
        names = next(iter(plan.origins.values())).class_names
        self._recording = FrameRecording(Path(plan.recording), machine, names) if plan.recording else None
        self._lost: Counter[str] = Counter()
        self._committed_ns = child.clock.monotonic_ns()

    def obey(self) -> bool:
        """Take orders; return False when told to stop.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        return not any(isinstance(order, Stop) for order in self._child.orders())

    def work(self, timeout_s: float) -> bool:
        """Wait a little for decisions and record some; tell whether there were any.

        Raises:
            ConfigError: a truth names a class that the model does not know.
        """
        self._child.wait([self._records], timeout_s)
        self._child.beat()
        count = 0
        while count < _MOST_AT_ONCE and (message := self._records.receive()) is not None:
            self._hear(decode_recorder_news(message))
            count += 1
        self._finish_due()
        return count > 0

    def close(self) -> None:
        """Make everything durable.

        Raises:
            StorageError: the disk is full or failed.
        """
        for followed in self._followed.values():
            followed.record_until(self._child.clock.monotonic_ns(), is_last=True)
        self._spool.commit()
        if self._recording is not None:
            self._recording.close()
        counts = [msgspec.to_builtins(recorder.counts()) for recorder in self._recorders.values()]
        tallies = [msgspec.to_builtins(followed.tally) for followed in self._followed.values()]
        _log.info("recorder.closed", counts=counts, verdicts=tallies, lost=dict(self._lost))

    def _change(self, news: NewOrigin) -> None:
        """Mark what a set of workers decides from now on with another model."""
        before = self._followed.get(news.set_index)
        if before is not None:
            self._try(lambda: before.record_until(self._child.clock.monotonic_ns(), is_last=True))
        self._recorders[news.set_index] = Recorder(self._spool, news.origin, self._child.clock)
        self._followed[news.set_index] = self._follow(news.set_index, news.origin)
        self._newest = news.set_index

    def _follow(self, index: int, origin: Origin) -> FollowUp:
        return FollowUp(self._machine, self._recorders[index], origin, self._truth)

    def _hear(self, news: RecorderNews) -> None:
        match news:
            case NewOrigin():
                self._change(news)
            case RecordReady():
                self._take(news)
            case FrameExposed():
                for followed in self._followed.values():
                    self._try(partial(followed.on_exposed, news))
            case ObjectEnded():
                for followed in self._followed.values():
                    followed.on_ended(news)
            case InspectionVerdict():
                self._followed[self._newest].on_verdict(news)

    def _take(self, ready: RecordReady) -> None:
        camera = self._machine.cameras[ready.camera]
        found = self._rings[ready.place].read(ready.at_b, camera.name)
        if found is None:
            self._lost["overrun"] += 1
            return
        key, decisions = found
        self._newest = ready.place // self._set_size
        if self._recording is not None:
            self._try(partial(self._recording.take, key, decisions, self._frames[key.camera]))
        self._try(partial(self._record, key, decisions, self._followed[self._newest]))

    def _try(self, record: Callable[[], None]) -> None:
        """Do something with the disk; what fails is counted, and the next thing is tried all the same."""
        try:
            record()
        except StorageError as error:
            self._lost["storage"] += 1
            _log.error("recorder.storage", error=str(error))

    def _record(self, key: FrameKey, decisions: Decisions, followed: FollowUp) -> None:
        if not len(decisions) or not decisions.pixels.size:
            return
        if not key.is_own:  # decided by what stands in for the model: that says nothing of its mistakes
            self._lost["stand_in"] += len(decisions)
            return
        is_extra = self._truth is None and not self._machine.has_inspection  # audit and candidates, no known truth
        if is_extra and self._child.vitals.level >= Level.L1:
            self._lost["shed"] += len(decisions)
            return
        followed.take(key, decisions)

    def _finish_due(self) -> None:
        """Record what is complete by now, and make it durable once a second."""
        now_ns = self._child.clock.monotonic_ns()
        for followed in self._followed.values():
            self._try(partial(followed.record_until, now_ns))
        if now_ns - self._committed_ns >= _COMMIT_NS:
            self._committed_ns = now_ns
            self._try(self._commit)

    def _commit(self) -> None:
        self._spool.commit()
