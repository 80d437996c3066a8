"""The bridge process: news of frames in, pulses to the controller in time, outcomes to the books.

It owns the port. It looks every millisecond, and nothing here waits for anything but the next look.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.live.arming import Arming, make_keeper
from edge_runtime.live.books import FrameBooks
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.controller_axis import ControllerAxis
from edge_runtime.live.firing import Firing, StampOf, flight_ns
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.ladder import Ladder
from edge_runtime.live.messages import (
    FrameClaimed,
    FrameDecided,
    InspectionVerdict,
    ObjectEnded,
    ProcessLost,
    RecorderNews,
    Stop,
    Wish,
    decode_frame_news,
    encode,
)
from edge_runtime.live.packets import Packets
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.live.trigger_match import SeenFrame
from edge_runtime.machine_file import load_machine
from edge_runtime.schedule import line_time_us
from edge_runtime.schemas import Camera, Machine
from firmware_bridge.clock import NS_PER_S
from firmware_bridge.errors import LinkStateError
from firmware_bridge.keeper_events import (
    ArmingHeld,
    KeeperState,
    LinkLost,
    LinkRefused,
    LinkRestored,
)
from firmware_bridge.link_events import EjectOutcome
from firmware_bridge.messages import TriggerStamp, Verdict, VerdictSource

__all__ = ["BridgePlan", "block_ns", "run_bridge", "slack_ns"]

_LOOK_S: Final = 0.001
_INSPECTIONS: Final = (VerdictSource.INSPECTION_ACCEPT, VerdictSource.INSPECTION_REJECT)
_LEAVE_S: Final = 0.3  # after what the cameras saw last has passed the valves
_SETTLE_S: Final = 0.8  # until the outcomes of what was sent last are final, see EjectRules.settle_ms
_log = structlog.get_logger(__name__)


class BridgePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bridge gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        ring_fds, books_fds: of each camera, in the machine's order.
        news_fd: from the workers.
        records_fd: to the recorder.
    """

    child: ChildPlan
    ring_fds: tuple[int, ...]
    books_fds: tuple[int, ...]
    news_fd: int
    records_fd: int


def run_bridge(plan: BridgePlan, child: Child) -> None:
    """Fire what is decided until told to stop.

    Raises:
        ConfigError: the machine file is wrong.
        PeerGoneError: the supervisor is gone; the feeder was told to stop and the controller to take no more events.
        OverloadError: frames so old are still open that the books have no room.
    """
    bridge = _Bridge(plan, child, load_machine(Path(plan.child.machine)))
    child.ready()
    try:
        while bridge.work():
            pass
        child.stopping()
        bridge.leave()
    finally:
        bridge.close()


class _Bridge:
    """The bridge's loop."""

    def __init__(self, plan: BridgePlan, child: Child, machine: Machine) -> None:
        self._child = child
        self._clock = child.clock
        self._rings = [FrameRing(SharedMemory.attach(fd)) for fd in plan.ring_fds]
        self._news = Packets.attach(plan.news_fd)
        self._records = Packets.attach(plan.records_fd)
        books = [FrameBooks(SharedMemory.attach(fd)) for fd in plan.books_fds]
        self._looked = [own.folded for own in books]  # frames below these have been looked at
        self._firing = Firing(machine, books, self._published(), now_ns=self._clock.monotonic_ns())
        self._axis = ControllerAxis(machine)
        self._has_inspection = machine.has_inspection
        self._ends: set[tuple[int, int]] = set()  # frames of no lines: a scene ends with each
        self._block_ns = [block_ns(machine, camera) for camera in machine.cameras]
        self._leave_s = max(flight_ns(machine, camera) for camera in machine.cameras) / NS_PER_S + _LEAVE_S
        self._keeper = make_keeper(machine, self._clock)
        self._arming = Arming(child, self._keeper, Ladder(machine.live.ladder, slack_ns(machine)))

    def work(self) -> bool:
        """Look once at everything; return False when told to stop.

        Raises:
            PeerGoneError: the supervisor is gone.
            OverloadError: the books have no room.
        """
        self._child.wait([self._news], _LOOK_S)
        self._child.beat()
        if not self._obey():
            return False
        self._look()
        return True

    def leave(self) -> None:
        """Turn the feeder off, fire at what is on its way, wait for the outcomes, and close the books and the port.

        Raises:
            PeerGoneError: the supervisor is gone.
            OverloadError: the books have no room.
        """
        self._arming.leave()
        self._look()  # takes what the workers said last
        self._look_while(lambda: self._firing.has_waiting, self._leave_s)
        self._firing.disarm()
        self._look_while(lambda: self._keeper.link is not None and self._keeper.link.open_events > 0, _SETTLE_S)
        self.close()
        self._take_link_events()  # the last outcomes
        self._firing.close(self._published(), now_ns=self._clock.monotonic_ns())

    def close(self) -> None:
        """Stop the machine and give the port back."""
        self._keeper.close()
        self._child.vitals.is_armed = False

    def _look_while(self, is_needed: Callable[[], bool], limit_s: float) -> None:
        end_ns = self._clock.monotonic_ns() + round(limit_s * NS_PER_S)
        while is_needed() and self._clock.monotonic_ns() < end_ns:
            self._clock.sleep_s(_LOOK_S)
            self._look()

    def _obey(self) -> bool:
        for order in self._child.orders():
            match order:
                case Wish():
                    self._arming.want(order)
                case ProcessLost():
                    self._take_news()  # what the worker said before comes first
                    self._firing.lose_worker(order.worker, now_ns=self._clock.monotonic_ns())
                case Stop():
                    return False
                case _:
                    pass
        return True

    def _look(self) -> None:
        """Take what has come, send what is due, close what is over."""
        self._take_news()
        self._arming.on_age(None)
        self._take_link_events()
        self._look_at_rings()
        self._fire()
        now_ns = self._clock.monotonic_ns()
        self._firing.give_up_unstamped(now_ns=now_ns)
        self._firing.see(self._published(), now_ns=now_ns)
        self._tell([ObjectEnded(*one.frame, one.owner, one.end) for one in self._firing.take_ended()])

    def _take_news(self) -> None:
        while (message := self._news.receive()) is not None:
            news = decode_frame_news(message)
            self._firing.on_news(news, now_ns=self._clock.monotonic_ns())
            match news:
                case FrameClaimed():
                    self._arming.on_age(news.age_ns)
                case FrameDecided():
                    shown_ns = news.exposed_ns + self._block_ns[news.camera]
                    self._child.vitals.lag_ns = self._clock.monotonic_ns() - shown_ns
                case _:
                    pass

    def _take_link_events(self) -> None:
        events, link = self._keeper.poll(), self._keeper.link
        if link is not None and link.is_up:
            self._axis.follow(link)  # stamps and frames that come from here on are of this session
        for event in events:
            match event:
                case EjectOutcome():
                    self._firing.on_outcome(event)
                case TriggerStamp():
                    self._axis.add_stamp(event, self._clock.monotonic_ns())
                case Verdict():
                    self._tell_verdict(event)
                case LinkLost():
                    _log.error("bridge.link_lost", reason=event.reason.value, detail=event.detail)
                    self._arming.on_link_lost(event.detail)
                case LinkRestored():
                    _log.info("bridge.link_restored", after_ms=event.after_ms, is_armed=event.is_armed)
                case ArmingHeld() | LinkRefused():
                    self._arming.on_held(event.detail, is_final=isinstance(event, LinkRefused))
                case _:
                    pass

    def _fire(self) -> None:
        """Schedule what has its stamp, and send what is due."""
        now_ns = self._clock.monotonic_ns()
        link = self._keeper.link
        is_up = link is not None and link.is_up
        if is_up:
            self._tell(self._axis.pair(now_ns))
        is_armed = is_up and self._keeper.state is KeeperState.ARMED
        self._arming.look(is_armed=is_armed)
        if link is None or not is_armed:
            self._firing.disarm()
            return
        now_us = self._axis.now_us(now_ns)
        self._firing.stamp(self._stamps(), now_us=now_us)
        due = self._firing.take_due(now_us=now_us)
        if not len(due):
            return
        try:
            self._firing.sent(link.eject(self._axis.events_of(due)))
        except LinkStateError:  # the session ended within this look
            self._firing.refuse()

    def _tell(self, news: Iterable[RecorderNews]) -> None:
        """Tell the recorder, which joins it with what an inspection says; what finds no room there is not recorded."""
        if self._has_inspection:
            for one in news:
                self._records.send(encode(one))

    def _tell_verdict(self, verdict: Verdict) -> None:
        at_us = self._axis.verdict_us(verdict.tick, self._clock.monotonic_ns())
        if at_us is not None and verdict.source in _INSPECTIONS:
            is_rejected = verdict.source == VerdictSource.INSPECTION_REJECT
            news = InspectionVerdict(verdict.object_id, verdict.class_id, verdict.confidence_255, is_rejected, at_us)
            self._tell([news])

    def _stamps(self) -> list[StampOf]:
        found = []
        for frame in self._firing.unstamped:
            at_us = self._exposed_us(frame.camera, frame.number)
            if at_us is not None:
                found.append(StampOf(frame.camera, frame.number, at_us))
        return found

    def _exposed_us(self, camera: int, number: int) -> int | None:
        """Return when a frame was exposed; one of no lines follows on the last line of the frame before it."""
        at_us = self._axis.exposed_us(camera, number)
        if at_us is None and (camera, number) in self._ends:
            before_us = self._axis.exposed_us(camera, number - 1)
            return None if before_us is None else before_us + self._block_ns[camera] // 1000
        return at_us

    def _look_at_rings(self) -> None:
        """Take note of new frames: when they were exposed, and whether anybody was told of them."""
        now_ns = self._clock.monotonic_ns()
        for camera, (ring, published) in enumerate(zip(self._rings, self._published(), strict=True)):
            for number in range(self._looked[camera], published):
                frame = ring.read(number)
                if frame is not None and not len(frame.pixels):
                    self._ends.add((camera, number))
                elif frame is not None:
                    self._axis.add_frame(camera, SeenFrame(number, frame.frame_id, frame.exposed_ns), now_ns)
            for number in range(max(0, self._looked[camera] - 1), published - 1):  # the latest may still be announced
                if ring.is_unannounced(number):
                    self._firing.queue_full(camera, number, now_ns=now_ns)
            self._looked[camera] = published

    def _published(self) -> list[int]:
        return [ring.published for ring in self._rings]


def slack_ns(machine: Machine) -> int:
    """Return how long a frame may wait for a worker: flight time less block time less the lead, of the nearest camera.

    Note: what is not above 0 leaves no time to sort; see `Ladder`.
    """
    lead_ns = round(machine.min_lead_ms * 1e6)
    return min(flight_ns(machine, camera) - block_ns(machine, camera) for camera in machine.cameras) - lead_ns


def block_ns(machine: Machine, camera: Camera) -> int:
    """Return how long the lines of a frame take to pass the camera, in nanoseconds."""
    return round(line_time_us(machine, camera) * 1000 * camera.frame_lines)
