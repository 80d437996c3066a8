"""The bridge process: news of frames in, pulses to the controller in time, outcomes to the books.

It owns the port. It looks every millisecond, and nothing here waits for anything but the next look.
"""

import random
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.live.books import FrameBooks
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.controller_axis import ControllerAxis
from edge_runtime.live.firing import Firing
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.messages import ProcessLost, Stop, Wish, decode_frame_news
from edge_runtime.live.packets import Packets
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.schemas import Machine
from edge_runtime.setup import load_machine
from firmware_bridge.clock import Clock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.eject_plane import EjectRules
from firmware_bridge.keeper_events import (
    ArmingHeld,
    KeeperSettings,
    KeeperState,
    LinkLost,
    LinkRefused,
    LinkRestored,
)
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectOutcome
from firmware_bridge.link_keeper import LinkKeeper
from firmware_bridge.messages import TriggerStamp
from firmware_bridge.transport_open import open_transport

__all__ = ["BridgePlan", "run_bridge"]

_LOOK_S: Final = 0.001
_LEAVE_S: Final = 0.6  # outcomes of what was sent last, see EjectRules.settle_ms
_log = structlog.get_logger(__name__)


class BridgePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bridge gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        ring_fds, books_fds: of each camera, in the machine's order.
        news_fd: from the workers.
    """

    child: ChildPlan
    ring_fds: tuple[int, ...]
    books_fds: tuple[int, ...]
    news_fd: int


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
        books = [FrameBooks(SharedMemory.attach(fd)) for fd in plan.books_fds]
        self._announced = [own.folded for own in books]  # below these, every frame was asked whether it was announced
        self._firing = Firing(machine, books, self._published(), now_ns=self._clock.monotonic_ns())
        self._axis = ControllerAxis(len(machine.cameras))
        self._keeper = make_keeper(machine, self._clock)

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
        """Turn the feeder off, and wait for the outcomes of what was sent.

        Raises:
            PeerGoneError: the supervisor is gone.
            OverloadError: the books have no room.
        """
        self._keeper.want_feeder(0)
        end_ns = self._clock.monotonic_ns() + round(_LEAVE_S * 1e9)
        while self._clock.monotonic_ns() < end_ns:
            self._clock.sleep_s(_LOOK_S)
            self._look()
        self._firing.disarm()

    def close(self) -> None:
        """Stop the machine and give the port back."""
        self._keeper.close()
        self._child.vitals.is_armed = False

    def _obey(self) -> bool:
        for order in self._child.orders():
            match order:
                case Wish():
                    self._keeper.restart()
                    self._keeper.want_armed(order.is_armed)
                    self._keeper.want_feeder(order.feeder_permille if order.is_armed else 0)
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
        self._take_link_events()
        self._find_unannounced()
        self._fire()
        now_ns = self._clock.monotonic_ns()
        self._firing.give_up_unstamped(now_ns=now_ns)
        self._firing.see(self._published(), now_ns=now_ns)

    def _take_news(self) -> None:
        while (message := self._news.receive()) is not None:
            self._firing.on_news(decode_frame_news(message), now_ns=self._clock.monotonic_ns())

    def _take_link_events(self) -> None:
        for event in self._keeper.poll():
            match event:
                case EjectOutcome():
                    self._firing.on_outcome(event)
                case TriggerStamp():
                    self._axis.add_stamp(event)
                case LinkLost():
                    self._axis.end_session()
                    _log.error("bridge.link_lost", reason=event.reason.value, detail=event.detail)
                case LinkRestored():
                    _log.info("bridge.link_restored", after_ms=event.after_ms, is_armed=event.is_armed)
                case ArmingHeld() | LinkRefused():
                    _log.error("bridge.not_armed", detail=event.detail)
                    self._child.arming_lost(event.detail)
                case _:
                    pass

    def _fire(self) -> None:
        """Schedule what has its stamp, and send what is due."""
        link = self._keeper.link
        is_armed = self._keeper.state is KeeperState.ARMED and link is not None
        self._child.vitals.is_armed = is_armed
        if link is None or not is_armed:
            self._firing.disarm()
            return
        self._axis.begin_session(link)
        now_us = self._axis.now_us(link)
        self._firing.stamp(self._axis.stamps_of(self._firing.unstamped), now_us=now_us)
        due = self._firing.take_due(now_us=now_us)
        if len(due):
            self._firing.sent(link.eject(self._axis.events_of(due)))

    def _find_unannounced(self) -> None:
        published = self._published()
        for camera, ring in enumerate(self._rings):
            for number in range(self._announced[camera], published[camera] - 1):  # the latest may still be announced
                if ring.is_unannounced(number):
                    self._firing.queue_full(camera, number, now_ns=self._clock.monotonic_ns())
            self._announced[camera] = max(self._announced[camera], published[camera] - 1)

    def _published(self) -> list[int]:
        return [ring.published for ring in self._rings]


def make_keeper(machine: Machine, clock: Clock) -> LinkKeeper:
    """Return what keeps the session with a machine's controller; after a loss it is armed again only on a new wish."""
    link = LinkSettings(
        lead_us=round(machine.min_lead_ms * 1000) or None,
        eject=EjectRules(allow_late=False, batch_age_us=0, min_lead_us=500),
    )
    config = {ConfigKey.MAX_PULSE_US: machine.max_pulse_us, ConfigKey.MIN_OFF_US: machine.min_pause_us}
    return LinkKeeper(
        lambda: open_transport(machine.port, clock=clock, baud=machine.baud),
        clock,
        config,
        link_settings=link,
        settings=KeeperSettings(rearm_after=frozenset()),
        rng=random.Random(),  # noqa: S311 - keeps hosts apart, no secret
    )
