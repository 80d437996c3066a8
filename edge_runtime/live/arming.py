"""Whether the machine sorts and how fast it is fed: what is wished, what the ladder allows, what the line gives.

Knows no frame and no pulse. Asks the controller for nothing by itself: it says to the keeper what is wanted.
"""

import random
from typing import Final

import structlog

from edge_runtime.live.child import Child
from edge_runtime.live.ladder import Ladder, Level
from edge_runtime.live.messages import Wish
from edge_runtime.schemas import Machine
from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.eject_plane import EjectRules
from firmware_bridge.keeper_events import KeeperSettings
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_keeper import LinkKeeper
from firmware_bridge.transport_open import open_transport

__all__ = ["Arming", "make_keeper"]

_SILENCE_NS: Final = 50_000_000
_FULL: Final = 1000
_ASK_MS: Final = 25
_ARM_AGAIN_NS: Final = NS_PER_S // 2
_MOST_ARM_TRIES: Final = 60
_PORT_S: Final = 0.15  # well below the least live.hang_s: a port that does not answer is no process that hangs
_log = structlog.get_logger(__name__)


class Arming:
    """What the bridge wants of the controller besides pulses. Not armed and not fed until `want`.

    Args:
        child: the bridge's, which tells the supervisor.
        keeper: of the session with the controller.
        ladder: of the machine.
    """

    def __init__(self, child: Child, keeper: LinkKeeper, ladder: Ladder) -> None:
        self._child = child
        self._clock = child.clock
        self._keeper = keeper
        self._ladder = ladder
        self._wish = Wish(is_armed=False, feeder_permille=0)
        self._aged_ns: int | None = None  # when a frame was last taken, or expected; None while nothing is fed
        self._was_armed = False  # since the wish
        self._tries = 0
        self._again_ns: int | None = None

    def want(self, wish: Wish) -> None:
        """Take a wish; one that arms leaves the safe state."""
        is_other = wish.is_armed != self._wish.is_armed
        self._wish = wish
        if is_other:
            self._was_armed, self._tries, self._again_ns = False, 0, None
            if wish.is_armed:
                self._ladder.rearm(self._clock.monotonic_ns())
                self._child.vitals.level = self._ladder.level
            self._keeper.restart()
            self._keeper.want_armed(wish.is_armed)
        if not wish.feeder_permille:
            self._aged_ns = None
        elif self._is_teaching:
            self._expect_frames()
        self._feed()

    def look(self, *, is_armed: bool) -> None:
        """Learn whether the controller is armed now, and ask again where that is due."""
        if is_armed and self._wish.feeder_permille and self._aged_ns is None:
            self._expect_frames()
        self._child.vitals.is_armed = is_armed
        self._was_armed = self._was_armed or is_armed
        if self._again_ns is not None and self._clock.monotonic_ns() >= self._again_ns:
            self._again_ns = None
            self._keeper.want_armed(self._wish.is_armed)
            self._feed()

    def on_age(self, age_ns: int | None) -> None:
        """Learn how old a frame was when a worker took it, or that none came (None), and do what the ladder says.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        now_ns = self._clock.monotonic_ns()
        if age_ns is None and (self._aged_ns is None or now_ns - self._aged_ns < _SILENCE_NS):
            return
        if self._aged_ns is not None:
            self._aged_ns = now_ns
        step = self._ladder.look(now_ns, age_ns)
        if step is None:
            return
        if step.is_level_change:
            _log.warning("bridge.level", before=step.before.name, level=step.level.name, detail=step.detail)
        if step.level is Level.L4:
            if self._child.vitals.is_armed or self._is_teaching:
                self._stop(f"overload: {step.detail}")
            else:  # there is nothing to stop
                self._ladder.rearm(now_ns)
        self._child.vitals.level = self._ladder.level
        self._feed()

    def on_held(self, detail: str, *, is_final: bool) -> None:
        """Learn that the machine is not armed: a line that was uneven just now is asked again some times.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        _log.error("bridge.not_armed", detail=detail)
        if not self._wish.is_armed:
            return
        if self._was_armed or is_final or self._tries >= _MOST_ARM_TRIES:
            self._stop(detail)
        else:
            self._tries += 1
            self._again_ns = self._clock.monotonic_ns() + _ARM_AGAIN_NS

    def on_link_lost(self, detail: str) -> None:
        """Learn that the controller is gone; a machine that was armed is held by its keeper, see `on_held`.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        if self._is_teaching:
            self._stop(f"controller lost: {detail}")

    def leave(self) -> None:
        """Turn the feeder off for good; what is on its way is still fired at."""
        self._wish = Wish(self._wish.is_armed, 0)
        self._again_ns = self._aged_ns = None
        self._feed()

    @property
    def _is_teaching(self) -> bool:
        """Tell whether a teach lot is fed: the valves stay shut."""
        return self._wish.feeder_permille > 0 and not self._wish.is_armed

    def _stop(self, why: str) -> None:
        """Shut the valves and stop the feeder until a person wants them again."""
        self._wish, self._again_ns, self._aged_ns = Wish(is_armed=False, feeder_permille=0), None, None
        self._keeper.want_armed(False)
        self._feed()
        self._child.arming_lost(why)

    def _expect_frames(self) -> None:
        self._aged_ns = self._clock.monotonic_ns()
        self._ladder.begin(self._aged_ns)

    def _feed(self) -> None:
        """Ask the feeder for what is wished and can be sorted."""
        permille = self._wish.feeder_permille * self._ladder.feeder_permille // _FULL
        self._child.vitals.feeder_permille = permille
        self._keeper.want_feeder(permille)


def make_keeper(machine: Machine, clock: Clock) -> LinkKeeper:
    """Return what keeps the session with a machine's controller; after a loss it is armed again only on a new wish."""
    link = LinkSettings(
        lead_us=round(machine.live.send_ahead_ms * 1000),  # time for a command, and for one repeat of it
        retry_ms=_ASK_MS,  # a bridge that takes another's place shall fire again soon
        clock_arming_ms=_ASK_MS,
        eject=EjectRules(allow_late=False, batch_age_us=0, min_lead_us=500),
    )
    config = {ConfigKey.MAX_PULSE_US: machine.max_pulse_us, ConfigKey.MIN_OFF_US: machine.min_pause_us}
    return LinkKeeper(
        lambda: open_transport(machine.port, clock=clock, baud=machine.baud, timeout_s=_PORT_S),
        clock,
        config,
        link_settings=link,
        settings=KeeperSettings(rearm_after=frozenset()),
        rng=random.Random(),  # noqa: S311 - keeps hosts apart, no secret
    )
