"""What the virtual board allows itself: states, watchdog, drain, feeder, faults. No messages, no output.

Ticks count from boot. c/sel_controller.h is the same in C; wire-protocol.md section 7 has the rules.

>>> desk = EjectDesk(n_valves=8, slots=4)
>>> states = BoardStates(desk)
>>> states.run_to(0, wd_us=250_000)
>>> states.start_session(1000)
>>> states.run_to(400_000, wd_us=250_000)
>>> states.run_to(400_001, wd_us=250_000)
>>> states.state, [fault.code for fault in states.take_faults(8)]
(<BoardState.SAFE: 1>, [<FaultCode.HOST_SILENT: 1>])
"""

from collections import deque
from typing import Final, assert_never

from firmware_bridge.board_ejects import EjectDesk
from firmware_bridge.late_rate import LateVerdict
from firmware_bridge.messages import BoardState, Fault, FaultCode, Heartbeat, HeartbeatFlag

__all__ = ["DRAIN_US", "BoardStates"]

DRAIN_US: Final = 100_000  # accepted events still fire this long after the host fell silent
_U32: Final = 0xFFFFFFFF
_FIRING: Final = (BoardState.ARMED, BoardState.DEGRADED)


class BoardStates:
    """The state machine of one controller over its valves.

    Args:
        desk: stopped when the machine must be safe.
    """

    def __init__(self, desk: EjectDesk) -> None:
        self.state = BoardState.BOOT
        self.faults = 0
        self.has_changed = False  # a STATUS is due
        self.last_heard = 0
        self._desk = desk
        self._drain_end: int | None = None
        self._feeder_permille = 0
        self._has_permit = True
        self._is_latched = self._wants_armed = False
        self._new_faults: deque[Fault] = deque()

    @property
    def is_firing(self) -> bool:
        """Tell whether new events are taken."""
        return self.state in _FIRING and self._drain_end is None

    @property
    def feeder_permille(self) -> int:
        """Return the rate the feeder runs at: 0 while its permit is withdrawn."""
        return self._feeder_permille if self._has_permit else 0

    def take_faults(self, max_faults: int) -> list[Fault]:
        """Return faults latched and not told yet, oldest first, at most max_faults."""
        return [self._new_faults.popleft() for _ in range(min(max_faults, len(self._new_faults)))]

    def run_to(self, now: int, *, wd_us: int) -> None:
        """Do what time alone causes, in the order it falls due, valves included."""
        if self.state is BoardState.BOOT:
            self.state = BoardState.SAFE
        silent = self.last_heard + wd_us
        is_watching = self.state in {BoardState.IDLE, *_FIRING} and self._drain_end is None
        if is_watching and silent <= now:
            self._desk.run_until(silent)
            self._fall_silent(silent)
        if self._drain_end is not None and (self._desk.bank.is_quiet or self._drain_end <= now):
            self.enter_safe(min(self._drain_end, now))
        self._desk.run_until(now)

    def start_session(self, now: int) -> None:
        """Leave whatever was before: a new host begins in IDLE."""
        self._drain_end = None
        self.faults = self._feeder_permille = 0
        self._new_faults.clear()
        self._is_latched, self._wants_armed, self._has_permit = False, False, True
        self.last_heard = now
        self._change(BoardState.IDLE)

    def enter_safe(self, tick: int) -> None:
        """Fire what is due until then, then close every valve and stay so until a new session."""
        self._desk.stop(tick)
        self._drain_end = None
        self._feeder_permille = 0
        self._is_latched, self._wants_armed = True, False
        self._change(BoardState.SAFE)

    def wish(self, state: BoardState, now: int) -> None:
        """Take the host's SET_STATE."""
        if state is BoardState.SAFE:
            self.enter_safe(now)
        elif not self._is_latched:
            self._wants_armed = state is BoardState.ARMED
            if state is BoardState.IDLE:
                self._change(BoardState.IDLE)

    def on_heartbeat(self, beat: Heartbeat, now: int, *, cfg_crc: int) -> None:
        """Arm or disarm as the host's flag and its idea of the configuration allow."""
        is_wanted = self._wants_armed and bool(beat.flags & HeartbeatFlag.ARMED_WANTED) and not self._is_latched
        has_same_config = beat.cfg_crc == cfg_crc
        if self.state is BoardState.IDLE and is_wanted and has_same_config:
            self._change(BoardState.ARMED)
        elif self.is_firing and not (is_wanted and has_same_config):
            self._change(BoardState.IDLE)
            if not has_same_config:
                self.raise_fault(FaultCode.CFG_MISMATCH, now, beat.cfg_crc)

    def set_feeder(self, permille: int) -> None:
        """Take the host's FEEDER_SET; off while SAFE is latched."""
        self._feeder_permille = 0 if self._is_latched else permille

    def judge(self, now: int) -> None:
        """Once a second, draw the consequences of lateness; at once, of a full queue."""
        if self._desk.has_overrun:
            self._desk.has_overrun = False
            self.raise_fault(FaultCode.QUEUE_OVERRUN, now, 0)
        match self._desk.late_rate.judge(now):
            case LateVerdict.UNDECIDED:
                return
            case LateVerdict.GOOD:
                self._has_permit = True
                if self.state is BoardState.DEGRADED:
                    self._change(BoardState.ARMED)
            case LateVerdict.POOR | LateVerdict.HOPELESS as verdict:
                self._has_permit = verdict is LateVerdict.POOR
                if self.state is BoardState.ARMED:
                    self._change(BoardState.DEGRADED)
                self.raise_fault(FaultCode.LATE_RATE, now, 0)
            case never:
                assert_never(never)

    def raise_fault(self, code: FaultCode, now: int, arg: int) -> None:
        """Latch a fault; the host is told once a session."""
        if not self.faults >> code & 1:
            self.faults |= 1 << code
            self._new_faults.append(Fault(code, 0, now & _U32, arg))
            self.has_changed = True

    def _fall_silent(self, now: int) -> None:
        self._feeder_permille = 0
        self._is_latched = True
        self._drain_end = now + DRAIN_US
        self.raise_fault(FaultCode.HOST_SILENT, now, 0)

    def _change(self, state: BoardState) -> None:
        if state is not self.state:
            self.state = state
            self.has_changed = True
