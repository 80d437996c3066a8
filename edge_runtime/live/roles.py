"""Every place of a run: which role, which row of the vitals, what its processes inherit and are told.

A plan is made anew for each process, so that a successor is told what counts now. Knows no process.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edge_runtime.live.bridge import BridgePlan
from edge_runtime.live.capture import CapturePlan
from edge_runtime.live.child import ChildPlan
from edge_runtime.live.processes import Role
from edge_runtime.live.recorder import RecorderPlan
from edge_runtime.live.services import PlaceRow, ServicesPlan
from edge_runtime.live.shared_state import SharedState
from edge_runtime.live.vision import VisionPlan
from edge_runtime.realtime import RealtimeSettings
from edge_runtime.residual import Origin
from edge_runtime.schemas import Machine

__all__ = ["SETS", "RecordWish", "Roles", "rows_of"]

SETS: Final = 2  # of workers: one sorts, one is warm
_ORDINARY: Final = RealtimeSettings(is_memory_locked=False)


class RecordWish(msgspec.Struct, frozen=True):
    """What shall be recorded.

    Attributes:
        spool: folder of the spool.
        teach_class: every piece is of this class, empty where nothing is known; purity: share that truly is.
        recording: folder for every frame, None for none.
    """

    spool: Path
    teach_class: str = ""
    purity: float = 1.0
    recording: Path | None = None


class Roles:
    """The places of one run.

    Args:
        machine: its cameras and `live` table.
        shared: of the run.
        fallback: model folder of the same name in the `live` table; None where there is none.
    """

    def __init__(self, machine: Machine, shared: SharedState, fallback: Path | None = None) -> None:
        self._machine = machine
        self._fallback = "" if fallback is None else str(fallback)
        self._shared = shared
        self._rings = tuple(share.ring.memory.fd for share in shared.cameras)

    def captures(self, channel: Callable[[], int]) -> list[Role]:
        """Return one place a camera.

        Args:
            channel: tells which set of workers sorts now.
        """
        return [self._capture(index, channel) for index in range(len(self._shared.cameras))]

    def worker_names(self, set_index: int) -> list[str]:
        """Return the names of the places of a set of workers."""
        return [_worker_name(set_index, worker) for worker in range(self._machine.live.workers)]

    def workers(self, set_index: int, model: Path, model_id: str) -> list[Role]:
        """Return the places of a set of workers with a model; one that finds another model in the folder fails."""
        return [self._worker(set_index, worker, model, model_id) for worker in range(self._machine.live.workers)]

    def bridge(self) -> Role:
        """Return the place of the bridge."""
        books = tuple(share.books.memory.fd for share in self._shared.cameras)
        news_fd = self._shared.news.receiver.fileno()

        records_fd = self._shared.records.sender.fileno()

        def plan(child: ChildPlan) -> BridgePlan:
            return BridgePlan(child, self._rings, books, news_fd, records_fd)

        realtime = self._realtime(self._machine.live.bridge_cores, 0, below=0)
        return Role(
            "bridge", "bridge", self._row_after_workers(0), realtime, plan, (*self._rings, *books, news_fd, records_fd)
        )

    def recorder(self, wish: RecordWish, origins: Callable[[], dict[int, Origin]]) -> Role:
        """Return the place of the recorder.

        Args:
            wish: what to record.
            origins: tells what the records of each set of workers are marked with now.
        """
        records = tuple(ring.memory.fd for ring in self._shared.record_rings)
        records_fd = self._shared.records.receiver.fileno()
        recordings = iter([] if wish.recording is None else [str(wish.recording.resolve())])
        truth = (wish.teach_class, wish.purity)

        def plan(child: ChildPlan) -> RecorderPlan:
            recording = next(recordings, "")  # one that was cut by a kill is not gone on with
            return RecorderPlan(child, self._rings, records, records_fd, str(wish.spool), origins(), *truth, recording)

        fds = (*self._rings, *records, records_fd)
        return Role("recorder", "recorder", self._row_after_workers(1), _ORDINARY, plan, fds)

    def services(self, bulletin_fd: int) -> list[Role]:
        """Return the place that answers on loopback; none where no port is set.

        Args:
            bulletin_fd: where the run's report is posted.
        """
        if not self._machine.live.metrics_port:
            return []
        books = tuple(share.books.memory.fd for share in self._shared.cameras)
        tallies = tuple(share.tally.memory.fd for share in self._shared.cameras)

        def plan(child: ChildPlan) -> ServicesPlan:
            return ServicesPlan(child, bulletin_fd, self._rings, books, tallies, self._names())

        fds = (bulletin_fd, *self._rings, *books, *tallies)
        return [Role("services", "services", self._row_after_workers(2), _ORDINARY, plan, fds)]

    def _names(self) -> tuple[PlaceRow, ...]:
        """Return every place that a run of this machine may have at some time."""
        names = [f"capture-{share.camera.name}" for share in self._shared.cameras]
        names += [name for index in range(SETS) for name in self.worker_names(index)]
        return tuple(PlaceRow(name, row) for row, name in enumerate([*names, "bridge", "recorder", "services"]))

    def _capture(self, index: int, channel: Callable[[], int]) -> Role:
        share = self._shared.cameras[index]
        ring_fd, tally_fd = share.ring.memory.fd, share.tally.memory.fd
        frames = tuple(pair.sender.fileno() for pair in self._shared.frames)

        def plan(child: ChildPlan) -> CapturePlan:
            return CapturePlan(child, index, ring_fd, tally_fd, frames, channel())

        realtime = self._realtime(self._machine.live.capture_cores, index, below=1)
        return Role(f"capture-{share.camera.name}", "capture", index, realtime, plan, (ring_fd, tally_fd, *frames))

    def _worker(self, set_index: int, worker: int, model: Path, model_id: str) -> Role:
        shared, place = self._shared, set_index * self._machine.live.workers + worker
        frames_fd, news_fd = shared.frames[set_index].receiver.fileno(), shared.news.sender.fileno()
        record_fd, records_fd = shared.record_rings[place].memory.fd, shared.records.sender.fileno()

        ways = (self._rings, frames_fd, news_fd, place, record_fd, records_fd)

        def plan(child: ChildPlan) -> VisionPlan:
            return VisionPlan(child, str(model), model_id, self._fallback, *ways)

        realtime = self._realtime(self._machine.live.vision_cores, worker, below=2)
        fds = (*self._rings, frames_fd, news_fd, record_fd, records_fd)
        return Role(_worker_name(set_index, worker), "vision", len(self._rings) + place, realtime, plan, fds)

    def _row_after_workers(self, index: int) -> int:
        return len(self._rings) + SETS * self._machine.live.workers + index

    def _realtime(self, cores: tuple[int, ...], index: int, *, below: int) -> RealtimeSettings:
        priority = self._machine.live.priority
        core = cores[index] if index < len(cores) else None
        return RealtimeSettings(core, max(1, priority - below) if priority else 0)


def _worker_name(set_index: int, worker: int) -> str:
    return f"vision-{'ab'[set_index]}{worker}"


def rows_of(machine: Machine) -> int:
    """Return how many rows the vitals of a machine's runs need: of all places, and of services."""
    return len(machine.cameras) + SETS * machine.live.workers + 3
