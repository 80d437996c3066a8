"""Keeps a session alive: across unplugged cables, restarted controllers, dead lines and restarts of this program.

Made of wishes: the caller says whether it wants the machine armed and how fast the feeder shall run, and polls. The
keeper opens the port by its stable name, connects, configures, arms and restores the feeder, in this order, and begins
anew whenever the session is lost. It never waits; only the function that opens the port may take its time.

When it arms again by itself is a decision about safety (`KeeperSettings.rearm_after`): after faults of cable, port and
controller, yes, at most 5 times a minute; never where this program itself was too slow (STALLED) or where somebody else
stopped the controller (STOPPED), nor when another controller answers: these need a new `want_armed(True)`, and the
feeder stays off with them. A wish that was not fulfilled yet outlives every loss.

>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.transport_board import BoardTransport
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> clock, board = ManualClock(), VirtualBoard()
>>> keeper = LinkKeeper(lambda: BoardTransport(board, clock), clock, {}, rng=random.Random(1))
>>> keeper.want_armed(True)
>>> for _ in range(20):
...     clock.sleep_s(0.001)
...     events = [event for event in keeper.poll() if isinstance(event, LinkRestored)]
...     if events:
...         break
>>> events[0].is_armed, keeper.state
(True, <KeeperState.ARMED: 'armed'>)
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.errors import (
    ArmRefusedError,
    ConfigRefusedError,
    LinkStateError,
    ProtocolVersionError,
    TransportError,
)
from firmware_bridge.keeper_events import (
    ArmingHeld,
    KeeperEvent,
    KeeperSettings,
    KeeperState,
    LinkLost,
    LinkRefused,
    LinkRestored,
    LostReason,
)
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import DownReason, LinkDown, LinkEvent
from firmware_bridge.messages import BoardState, FaultCode
from firmware_bridge.transport import Transport

__all__ = ["LinkKeeper"]

_MS: Final = 1_000_000
_RECENT_NS: Final = NS_PER_S  # a stall explains a loss for so long: watchdog, draining and the way back
_IN_SESSION: Final = (KeeperState.READY, KeeperState.ARMING, KeeperState.ARMED, KeeperState.DISARMING)
_TRYING: Final = (KeeperState.CONNECTING, KeeperState.CONFIGURING, KeeperState.ARMING, KeeperState.DISARMING)
_REASONS: Final = {
    DownReason.NO_ACK: LostReason.NO_ACK,
    DownReason.SILENT: LostReason.SILENT,
    DownReason.RESTARTED: LostReason.RESTARTED,
    DownReason.TRANSPORT: LostReason.TRANSPORT,
}


class LinkKeeper:
    """One host's lasting relation to one controller.

    Args:
        open_port: opens the medium anew; raises TransportError while there is none.
        clock: monotonic time.
        config: configuration keys that differ from their defaults.
        link_settings: of every session.
        settings: patience and policy.
        rng: where the random part of the pauses comes from.
    """

    def __init__(
        self,
        open_port: Callable[[], Transport],
        clock: Clock,
        config: Mapping[ConfigKey, int],
        *,
        link_settings: LinkSettings | None = None,
        settings: KeeperSettings | None = None,
        rng: random.Random,
    ) -> None:
        self._open_port = open_port
        self._clock = clock
        self._config = dict(config)
        self._link_settings = link_settings or LinkSettings()
        self._settings = settings or KeeperSettings()
        self._rng = rng
        self._link: Link | None = None
        self._events: list[LinkEvent | KeeperEvent] = []
        self._wants_armed = False
        self._was_armed = False  # since the wish: from then on arming is arming again
        self._feeder_permille = 0
        self._uid: bytes | None = None
        self._rearms_ns: deque[int] = deque()
        self._sent_feeder = 0  # what this session was told
        self._stalled_ns: int | None = None
        self._polled_ns = self._deadline_ns = clock.monotonic_ns()
        self._begin(self._polled_ns)

    @property
    def state(self) -> KeeperState:
        """Return how far it has come."""
        return self._state

    @property
    def link(self) -> Link | None:
        """Return the link, None before the port was open once; for ejecting, verdicts and figures, not for sessions."""
        return self._link

    @property
    def wants_armed(self) -> bool:
        """Tell whether the machine shall fire: the caller's wish, unless it was held."""
        return self._wants_armed

    @property
    def feeder_permille(self) -> int:
        """Return the wish for the feeder, 0 after a hold."""
        return self._feeder_permille

    def want_armed(self, is_wanted: bool) -> None:
        """Say whether the machine shall fire; it happens with the next polls, and `LinkRestored` or `state` tell."""
        self._wants_armed = is_wanted
        self._was_armed = self._state is KeeperState.ARMED

    def want_feeder(self, permille: int) -> None:
        """Say how fast the feeder shall run, 0..1000; while an armed machine is wanted it runs only with it.

        Raises:
            LinkStateError: permille is not in 0..1000.
        """
        if not 0 <= permille <= 1000:
            raise LinkStateError(f"feeder at {permille} permille is not in 0..1000")
        self._feeder_permille = permille
        if self._link is not None:
            self._steer_feeder(self._link)

    def restart(self) -> None:
        """Try again after LinkRefused; in another state nothing happens."""
        if self._state is KeeperState.REFUSED:
            self._begin(self._clock.monotonic_ns())

    def poll(self) -> list[LinkEvent | KeeperEvent]:
        """Let the link work and do the next step; return what happened, outcomes of dead sessions included.

        Note: call it at least every 10 ms, as Link.poll. A LinkDown of the link comes as LinkLost.
        """
        now_ns = self._clock.monotonic_ns()
        link = self._link
        if link is not None:
            if link.is_up and now_ns - self._polled_ns >= self._stall_ns():
                self._stalled_ns = now_ns
            for event in link.poll():
                if isinstance(event, LinkDown):
                    self._on_down(event, now_ns)
                else:
                    self._events.append(event)
        self._polled_ns = now_ns
        self._step(now_ns)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Disarm, end the session and close the port for good; `poll` still returns what is left."""
        self._feeder_permille = 0
        if self._link is not None:
            self._steer_feeder(self._link)
            self._link.close()
        self._state = KeeperState.CLOSED

    # ----- steps

    def _begin(self, now_ns: int) -> None:
        self._state = KeeperState.WAITING
        self._is_told = False  # LinkRestored was reported for this session
        self._lost_ns = self._retry_ns = now_ns
        self._attempts = 0
        self._stalled_ns = None

    def _step(self, now_ns: int) -> None:
        if self._state is KeeperState.WAITING:
            if now_ns >= self._retry_ns:
                self._try_port(now_ns)
            return
        link = self._link
        if link is None or self._state in {KeeperState.REFUSED, KeeperState.CLOSED}:
            return
        if self._state in _TRYING and now_ns >= self._deadline_ns:
            self._lose(LostReason.NO_ACK, f"no answer while {self._state.value}", now_ns)
            self._drop_port(now_ns)
        elif self._state in _IN_SESSION and self._has_stopped(link):
            self._on_stopped(link, now_ns)
        else:
            self._go_on(link, now_ns)

    def _go_on(self, link: Link, now_ns: int) -> None:
        try:
            state = self._next_state(link)
        except (ProtocolVersionError, ConfigRefusedError) as error:
            self._refuse(str(error))
            return
        except ArmRefusedError as error:
            self._hold(str(error))
            state = self._state
        if state is not self._state:
            self._state = state
            self._deadline_ns = now_ns + self._settings.attempt_ms * _MS
        self._steer_feeder(link)
        if self._is_settled() and not self._is_told:
            self._is_told = True
            after_ms = (now_ns - self._lost_ns) // _MS
            self._events.append(LinkRestored(after_ms, self._attempts, self._state is KeeperState.ARMED))

    def _next_state(self, link: Link) -> KeeperState:
        """Ask for what comes next once the last thing is there; return the state after it."""
        state = self._state
        match state:
            case KeeperState.CONNECTING if link.check_connected():
                self._check_uid(link)
                link.start_configure(self._config)
                state = KeeperState.CONFIGURING
            case KeeperState.CONFIGURING if link.check_configured():
                state = KeeperState.READY
            case KeeperState.READY if self._wants_armed and link.check_lead():
                link.start_arm()
                state = KeeperState.ARMING
            case KeeperState.ARMING if link.is_armed:
                self._was_armed = True
                state = KeeperState.ARMED
            case KeeperState.ARMED if not self._wants_armed:
                link.start_disarm()
                state = KeeperState.DISARMING
            case KeeperState.DISARMING if not link.is_armed:
                state = KeeperState.READY
            case _:
                pass
        return state

    def _is_settled(self) -> bool:
        """Tell whether the machine is in the state that is wanted."""
        return self._state is (KeeperState.ARMED if self._wants_armed else KeeperState.READY)

    def _steer_feeder(self, link: Link) -> None:
        """Bring the feeder to its wish: off at any time, on only in the state that is wanted."""
        may_send = self._is_settled() or (self._feeder_permille == 0 and self._state in _IN_SESSION)
        if link.is_up and may_send and self._sent_feeder != self._feeder_permille:
            link.set_feeder(self._feeder_permille)
            self._sent_feeder = self._feeder_permille

    # ----- the port

    def _try_port(self, now_ns: int) -> None:
        self._attempts += 1
        try:
            transport = self._open_port()
        except TransportError:
            self._wait(now_ns)
            return
        if self._link is None:
            self._link = Link(transport, self._clock, self._link_settings)
        else:
            self._link.attach(transport)
        self._connect(self._link)

    def _connect(self, link: Link) -> None:
        link.start_connect()
        self._sent_feeder = 0  # a new session begins with the feeder off
        self._state = KeeperState.CONNECTING
        # Opening the port may have taken its time.
        self._deadline_ns = self._clock.monotonic_ns() + self._settings.attempt_ms * _MS

    def _drop_port(self, now_ns: int) -> None:
        self._need_link().close()
        self._wait(now_ns)

    def _wait(self, now_ns: int) -> None:
        first, longest = self._settings.first_retry_ms, self._settings.longest_retry_ms
        ceiling = min(longest, first << min(self._attempts, 16))
        self._state = KeeperState.WAITING
        self._retry_ns = now_ns + round(self._rng.uniform(first, ceiling) * _MS)

    def _need_link(self) -> Link:
        assert self._link is not None, "every state but the first WAITING has a link"
        return self._link

    # ----- losses

    def _on_down(self, event: LinkDown, now_ns: int) -> None:
        reason = _REASONS.get(event.reason)
        if reason is None or self._state in {KeeperState.REFUSED, KeeperState.CLOSED, KeeperState.WAITING}:
            return  # our own doing
        self._lose(reason, event.detail, now_ns)
        if event.reason is DownReason.RESTARTED:
            # It was heard through this port. Opening a port anew restarts some controllers: never without need.
            self._connect(self._need_link())
        else:
            self._drop_port(now_ns)

    def _has_stopped(self, link: Link) -> bool:
        """Tell whether the controller of an open session has left the state that it was asked for."""
        status = link.status
        if status is not None and status.state in {BoardState.SAFE, BoardState.BOOT}:
            return True
        return self._state is KeeperState.ARMED and not link.is_armed

    def _on_stopped(self, link: Link, now_ns: int) -> None:
        """Open a new session on the same port: the only way out of SAFE."""
        status = link.status
        assert status is not None, "a controller that has stopped has said so"
        is_silence = bool(status.faults >> FaultCode.HOST_SILENT & 1)
        reason = LostReason.UNHEARD if is_silence else LostReason.STOPPED
        self._lose(reason, f"controller went to {status.state.name}, faults 0x{status.faults:x}", now_ns)
        self._connect(link)

    def _lose(self, reason: LostReason, detail: str, now_ns: int) -> None:
        """Report a loss and decide whether the machine may be armed again without being asked."""
        if self._stalled_ns is not None and now_ns - self._stalled_ns <= _RECENT_NS:
            reason = LostReason.STALLED  # whatever the line did meanwhile, nobody was there
        if self._is_told:
            self._begin(now_ns)
            self._events.append(LinkLost(reason, detail))
        if self._wants_armed and self._was_armed:
            self._judge_rearming(reason, now_ns)

    def _judge_rearming(self, reason: LostReason, now_ns: int) -> None:
        window_s = self._settings.rearm_window_s
        while self._rearms_ns and now_ns - self._rearms_ns[0] > window_s * NS_PER_S:
            self._rearms_ns.popleft()
        if reason not in self._settings.rearm_after:
            self._hold(f"not armed again after {reason.value}")
        elif len(self._rearms_ns) >= self._settings.max_rearms:
            self._hold(f"armed again {len(self._rearms_ns)} times in {window_s} s: not once more")
        else:
            self._rearms_ns.append(now_ns)
            self._was_armed = False  # one loss, one judgement

    def _check_uid(self, link: Link) -> None:
        """Hold the arming when another controller answers than before: its valves may be others."""
        ident = link.ident
        assert ident is not None, "connected"
        if self._uid is not None and self._uid != ident.uid and self._wants_armed:
            self._hold(f"another controller answers: uid {ident.uid.hex()} instead of {self._uid.hex()}")
        self._uid = ident.uid

    def _hold(self, detail: str) -> None:
        self._wants_armed = self._was_armed = False
        self._feeder_permille = 0
        self._events.append(ArmingHeld(detail))

    def _refuse(self, detail: str) -> None:
        self._wants_armed = self._was_armed = False
        self._feeder_permille = 0
        self._state = KeeperState.REFUSED
        self._need_link().close()
        self._events.append(LinkRefused(detail))

    def _stall_ns(self) -> int:
        """Return a pause between polls that lets the controller's watchdog expire."""
        wd_ms = self._config.get(ConfigKey.WD_MS, self._link_settings.wd_ms)
        return max(wd_ms - self._link_settings.heartbeat_ms, wd_ms // 2) * _MS
