"""The capture process of one camera: its frames are judged, copied once into the ring, and announced.

It waits for nobody but its camera. A camera that is gone is opened again, for ever, with growing pauses.
"""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from edge_runtime.cameras.camera import CameraFrame, CameraSource
from edge_runtime.cameras.frame_watch import Axis, FrameWatch, Kept, Refused, WatchSettings
from edge_runtime.cameras.open_camera import open_camera
from edge_runtime.errors import CameraError, RecordingEndedError
from edge_runtime.live.camera_tally import CameraTally
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.messages import Announce, FrameReady, Stop, encode
from edge_runtime.live.packets import Packets
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.machine_file import load_machine
from edge_runtime.schedule import line_time_us
from edge_runtime.schemas import Camera, Machine
from firmware_bridge.clock import NS_PER_S

__all__ = ["CapturePlan", "run_capture"]

_LOOK_S: Final = 0.02
_STALLED_NS: Final = 5 * NS_PER_S
_FIRST_PAUSE_NS: Final = NS_PER_S // 50
_LONGEST_PAUSE_NS: Final = NS_PER_S // 2
_log = structlog.get_logger(__name__)


class CapturePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a capture process gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        camera: index in the machine's table.
        ring_fd, tally_fd: of this camera.
        frames_fds: where to announce frames, by channel.
        channel: the channel to begin with.
    """

    child: ChildPlan
    camera: int
    ring_fd: int
    tally_fd: int
    frames_fds: tuple[int, ...]
    channel: int = 0


def run_capture(plan: CapturePlan, child: Child) -> None:
    """Fill the ring until told to stop.

    Raises:
        ConfigError: the machine file is wrong, or its source is no camera.
        PeerGoneError: the supervisor is gone.
    """
    machine = load_machine(Path(plan.child.machine))
    capture = _Capture(plan, child, machine)
    capture.work()  # a source that is no camera is told before the run begins
    child.ready()
    while capture.obey():
        capture.work()
    child.stopping()
    capture.end_scene()
    capture.close()


class _Capture:
    """The loop of one camera."""

    def __init__(self, plan: CapturePlan, child: Child, machine: Machine) -> None:
        self._child = child
        self._index = plan.camera
        self._camera = machine.cameras[plan.camera]
        self._line_ns = line_time_us(machine, self._camera) * 1000
        self._ring = FrameRing(SharedMemory.attach(plan.ring_fd))
        self._tally = CameraTally(SharedMemory.attach(plan.tally_fd))
        self._tally.resume(self._ring.published)
        self._channels = [Packets.attach(fd) for fd in plan.frames_fds]
        self._channel = plan.channel
        self._watch = FrameWatch(_watch_settings(machine, self._camera, self._ring.shape.bands), self._axis())
        self._source: CameraSource | None = None
        self._is_over = False  # a recording that stands for a camera was played to its end
        self._shown_ns = child.clock.monotonic_ns()
        self._pause_ns = _FIRST_PAUSE_NS
        self._open_at_ns = 0  # when to try to open the camera

    def obey(self) -> bool:
        """Take orders; return False when told to stop.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        for order in self._child.orders():
            match order:
                case Announce():
                    self._channel = order.channel
                case Stop():
                    return False
                case _:
                    pass
        return True

    def work(self) -> None:
        """Take one frame, or wait a little for one, or for a camera that is gone.

        Raises:
            ConfigError: the machine's source is no camera.
            PeerGoneError: no worker and no supervisor is there.
        """
        self._child.beat()
        if self._is_over or (self._source is None and self._child.clock.monotonic_ns() < self._open_at_ns):
            self._child.wait([], _LOOK_S)
            return
        try:
            self._source = self._source or self._open()
            frame = self._source.take(_LOOK_S)
        except RecordingEndedError:
            self._is_over = True
            self.end_scene()
            return
        except CameraError as error:
            self._lose(str(error))
            return
        now_ns = self._child.clock.monotonic_ns()
        if frame is not None:
            self._shown_ns = now_ns
            self._show(frame, now_ns)
        elif self._watch.time_out(now_ns) and now_ns - self._shown_ns > _STALLED_NS:
            self._shown_ns = now_ns
            self._lose("it gives no frames")  # some drivers never tell that a cable was pulled
        self._tally.write(self._watch.counts)

    def end_scene(self) -> None:
        """Announce a frame of no lines: the scene ends here, and objects at its last line are complete.

        Raises:
            PeerGoneError: no worker and no supervisor is there.
        """
        last = self._ring.read(self._ring.published - 1)
        if last is not None and len(last.pixels) and self._camera.kind == "line":
            ended_ns = last.exposed_ns + round(len(last.pixels) * self._line_ns)
            self._announce(last.pixels[:0], Kept(last.end_line, 0), last.frame_id, ended_ns)

    def close(self) -> None:
        """Let go of the camera."""
        if self._source is not None:
            self._source.close()

    def _open(self) -> CameraSource:
        """Open the camera, which may take some drivers seconds."""
        self._child.begin_slow_work()
        try:
            return open_camera(self._camera.source, self._camera, self._child.clock)
        finally:
            self._child.end_slow_work()

    def _show(self, frame: CameraFrame, now_ns: int) -> None:
        self._pause_ns = _FIRST_PAUSE_NS  # a camera that only opens does not work yet
        match self._watch.show(frame, now_ns):
            case Kept() as kept:
                exposed_ns = min(frame.exposed_ns, now_ns)  # a time in the future would make all that follow look old
                self._announce(frame.pixels, kept, frame.frame_id, exposed_ns)
            case Refused(reason=reason):
                _log.debug("capture.refused", camera=self._camera.name, reason=reason)

    def _announce(self, pixels: NDArray[np.uint8], kept: Kept, frame_id: int, exposed_ns: int) -> None:
        number = self._ring.write(pixels, first_line=kept.first_line, frame_id=frame_id, exposed_ns=exposed_ns)
        ready = FrameReady(self._index, number, is_last=not len(pixels))
        if not self._channels[self._channel].send(encode(ready)):
            self._ring.mark_unannounced(number)

    def _lose(self, why: str) -> None:
        if self._source is not None:
            _log.warning("capture.camera_gone", camera=self._camera.name, why=why)
            self._source.close()
            self._source = None
            self._watch.vanish()
            self._tally.write(self._watch.counts)
        self._open_at_ns = self._child.clock.monotonic_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)

    def _axis(self) -> Axis | None:
        """Return where the lines were when the process before this one was killed."""
        last = self._ring.read(self._ring.published - 1)
        return None if last is None else Axis(last.first_line, last.exposed_ns)


def _watch_settings(machine: Machine, camera: Camera, bands: int) -> WatchSettings:
    return WatchSettings(
        width_px=camera.width_px,
        lines=camera.frame_lines,
        bands=1 if bands == 1 else 3,
        lines_s=machine.belt_mm_s / camera.pixel_mm,
    )
