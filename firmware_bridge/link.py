"""The link as the product uses it: a session over a transport, pumped by whoever calls.

One thread at a time. Nothing runs in the background: call `poll` at least every 10 ms, or the controller takes the host
for dead. `connect`, `configure` and `arm` wait for their answers; whoever must not wait calls `start_connect` and its
like, polls, and asks `check_connected` and its like. A whole session in virtual time:

>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.transport_board import BoardTransport
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> clock, board = ManualClock(), VirtualBoard()
>>> link = Link(BoardTransport(board, clock), clock, LinkSettings(epoch_seed=1))
>>> link.connect(timeout_s=1.0).n_valves
256
>>> link.configure({ConfigKey.MAX_PULSE_US: 5000})
>>> link.arm(timeout_s=1.0)
>>> link.eject([EjectEvent(link.tick_now() + 20_000, first_valve=17, valve_count=3, pulse_us=1500)])
range(0, 1)
>>> while link.open_events:
...     clock.sleep_s(0.005)
...     events = link.poll()
>>> [(pulse.first_valve, pulse.valve_count) for pulse in board.take_fired()]
[(17, 3)]
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.clock_fit import ClockFit
from firmware_bridge.clock_watch import RttFigures
from firmware_bridge.config_keys import DEFAULT_CONFIG, ConfigKey
from firmware_bridge.endpoint import EndpointCounters
from firmware_bridge.errors import (
    ConfigRefusedError,
    LinkDownError,
    LinkTimeoutError,
    ProtocolVersionError,
    TransportError,
)
from firmware_bridge.framing import FrameCounters
from firmware_bridge.link_core import LinkCore, LinkSettings, LinkState
from firmware_bridge.link_events import DownReason, EjectEvent, LinkDown, LinkEvent
from firmware_bridge.link_inquiry import ANSWER_TIMEOUT_S
from firmware_bridge.messages import (
    PROTOCOL_VERSION,
    BoardState,
    FeederSet,
    Ident,
    Selftest,
    SelftestMode,
    SelftestRes,
    SetState,
    StateReason,
    Status,
    TransferKind,
    Verdict,
    VerdictSource,
)
from firmware_bridge.transport import Transport

__all__ = ["Link"]

_READ_B: Final = 65_536
_MAX_READS_PER_POLL: Final = 64  # 4 MiB: a babbling port must not hold the caller for ever
_WAIT_S: Final = 0.001


class Link:
    """One host's end of SEL/1.

    Args:
        transport: open medium; the link closes it.
        clock: monotonic time for every deadline.
        settings: periods and rules.
    """

    def __init__(self, transport: Transport, clock: Clock, settings: LinkSettings | None = None) -> None:
        self._settings = settings or LinkSettings()
        seed = self._settings.epoch_seed
        self._core = LinkCore(
            self._settings, epoch_seed=int.from_bytes(os.urandom(8), "little") if seed is None else seed
        )
        self._transport = transport
        self._clock = clock
        self._events: list[LinkEvent] = []
        self._wanted_config: dict[ConfigKey, int] = {}
        self._is_closed = False

    @property
    def ident(self) -> Ident | None:
        """Return what the controller said about itself, None before `connect`."""
        return self._core.ident

    @property
    def status(self) -> Status | None:
        """Return the controller's latest STATUS of this session."""
        return self._core.status

    @property
    def is_up(self) -> bool:
        """Tell whether a session is open."""
        return self._core.state is LinkState.UP

    @property
    def is_armed(self) -> bool:
        """Tell whether the controller has said that it fires."""
        return self._core.is_armed

    @property
    def open_events(self) -> int:
        """Return how many events have no outcome yet."""
        return self._core.open_events

    @property
    def open_transfers(self) -> int:
        """Return how many transfers to the controller have no outcome yet."""
        return self._core.bulk.sender.open_transfers

    @property
    def frame_counters(self) -> FrameCounters:
        """Return what the framing has seen on this transport, for metrics."""
        return self._core.endpoint.deframer.counters

    @property
    def message_counters(self) -> EndpointCounters:
        """Return which intact frames were not taken, and missing telemetry, for metrics."""
        return self._core.endpoint.counters

    @property
    def clock_fit(self) -> ClockFit:
        """Return the estimate of the controller's tick: its bound, drift and scatter."""
        return self._core.clock.fit

    @property
    def rtt(self) -> RttFigures | None:
        """Return this session's round-trip times, None before the first."""
        return self._core.clock.rtt

    def connect(self, timeout_s: float) -> Ident:
        """Open a session and return the controller's identity.

        Raises:
            LinkTimeoutError: no answer within timeout_s; the attempt goes on with each poll until `close`.
            ProtocolVersionError: the controller speaks another version.
            LinkDownError: the medium failed, or the controller restarted meanwhile.
        """
        self.start_connect()
        self._wait_for(self.check_connected, timeout_s, "HELLO")
        ident = self._core.ident
        assert ident is not None, "UP follows IDENT"
        return ident

    def start_connect(self) -> None:
        """Open a session without waiting: HELLO leaves with the next poll and is repeated until it is answered."""
        self._core.open_session(self._clock.monotonic_ns())

    def check_connected(self) -> bool:
        """Tell whether the session that `start_connect` asked for is open.

        Raises:
            ProtocolVersionError: the controller speaks another version.
        """
        refused = self._core.refused_ident
        if refused is not None:
            raise ProtocolVersionError(f"controller speaks version {refused.proto}, this host {PROTOCOL_VERSION}")
        return self.is_up

    def configure(self, settings: Mapping[ConfigKey, int], timeout_s: float = 2.0) -> None:
        """Set every configuration key and check what the controller made of them.

        Args:
            settings: keys that differ from their defaults; WD_MS defaults to LinkSettings.wd_ms.
            timeout_s: limit for all answers.

        Raises:
            LinkStateError: no session.
            MessageError: a value is no u32.
            ConfigRefusedError: the controller keeps another value, or its checksum over all keys differs.
            LinkTimeoutError: no answer in time.
            LinkDownError: the session ended meanwhile.
        """
        self.start_configure(settings)
        self._wait_for(self.check_configured, timeout_s, "CFG_SET")

    def start_configure(self, settings: Mapping[ConfigKey, int]) -> None:
        """Send every configuration key without waiting; settings as for `configure`.

        Raises:
            LinkStateError: no session.
            MessageError: a value is no u32.
        """
        values = {**DEFAULT_CONFIG, ConfigKey.WD_MS: self._settings.wd_ms, **settings}
        self._core.configure(values)
        self._wanted_config = values

    def check_configured(self) -> bool:
        """Tell whether the controller has taken every key that `start_configure` sent.

        Raises:
            ConfigRefusedError: it keeps another value, or its checksum over all keys differs.
        """
        values, answers = self._wanted_config, self._core.board_config
        if not answers.keys() >= values.keys():
            return False
        for key in sorted(values):
            if answers[key].value != values[key]:
                raise ConfigRefusedError(f"{key.name} = {values[key]} refused: controller has {answers[key].value}")
        board_crc, wanted_crc = answers[max(values)].cfg_crc, self._core.wanted_cfg_crc
        if board_crc != wanted_crc:
            raise ConfigRefusedError(
                f"controller's configuration checksum 0x{board_crc:08x}, expected 0x{wanted_crc:08x}"
            )
        return True

    def arm(self, timeout_s: float) -> None:
        """Ask the controller to fire from now on and wait until it says so.

        Raises:
            LinkStateError: no session, or not configured.
            ArmRefusedError: the line is too slow or too uneven for LinkSettings.lead_us.
            LinkTimeoutError: the controller does not arm in time, for example because SAFE is latched.
            LinkDownError: the session ended meanwhile.
        """
        self._core.require_armable()
        self._wait_for(self.check_lead, timeout_s, "CLOCK_REQ")
        self.start_arm()
        self._wait_for(lambda: self._core.is_armed, timeout_s, "SET_STATE ARMED")

    def start_arm(self) -> None:
        """Ask the controller to fire without waiting; `is_armed` tells when it does. Call `check_lead` first.

        Raises:
            LinkStateError: no session, or not configured.
        """
        self._core.want_armed(is_wanted=True, now_ns=self._clock.monotonic_ns())

    def check_lead(self) -> bool:
        """Tell whether the line has been measured often enough to arm; always, where no lead is set.

        Raises:
            ArmRefusedError: it is too slow or too uneven for LinkSettings.lead_us.
        """
        lead_us = self._settings.lead_us
        return lead_us is None or self._core.clock.check_lead(lead_us)

    def disarm(self, timeout_s: float = 1.0) -> None:
        """Stop taking events; those accepted still fire. Wait until the controller says so.

        Raises:
            LinkStateError: no session.
            LinkTimeoutError: no answer in time.
            LinkDownError: the session ended meanwhile.
        """
        self.start_disarm()
        self._wait_for(lambda: not self._core.is_armed, timeout_s, "SET_STATE IDLE")

    def start_disarm(self) -> None:
        """Ask the controller to take no more events without waiting; `is_armed` tells when it has obeyed.

        Raises:
            LinkStateError: no session.
        """
        self._core.want_armed(is_wanted=False, now_ns=self._clock.monotonic_ns())

    def eject(self, events: Sequence[EjectEvent]) -> range:
        """Send events and return their ids; each will have exactly one EjectOutcome.

        Raises:
            LinkStateError: no session, or `arm` was not called.
            MessageError: a value is out of range; then none of the events is taken.
        """
        evids = self._core.eject(events, self._clock.monotonic_ns())
        self._send()
        return evids

    def cancel(self, evids: range) -> None:
        """Take events back as far as they have not fired: their outcome is then REPORTED, CANCELLED.

        Args:
            evids: as `eject` returned them, or a part of it.

        Raises:
            LinkStateError: no session.
        """
        self._core.cancel(evids, self._clock.monotonic_ns())
        self._send()

    def set_feeder(self, permille: int) -> None:
        """Set the feeder's rate, 0 (off) to 1000; the controller turns it off by itself when the host falls silent.

        Raises:
            LinkStateError: no session.
            MessageError: permille is not in 0..1000.
        """
        self._core.send_control(FeederSet(permille))
        self._send()

    def send_verdict(
        self, *, object_id: int, class_id: int, source: VerdictSource, tick: int, confidence_255: int = 255
    ) -> None:
        """Tell the controller the truth about a piece, for controllers that mark or count pieces.

        Args:
            object_id: the object number, or the lane where `source` is an inspection.
            class_id: what it was.
            source: who says so.
            tick: controller's tick, u32, at which it was seen.
            confidence_255: 255 is certain.

        Raises:
            LinkStateError: no session.
            MessageError: a value is out of range.
        """
        self._core.send_control(Verdict(object_id, class_id, confidence_255, source, tick))
        self._send()

    def transfer(self, data: bytes, kind: TransferKind, name: str) -> int:
        """Send bytes whenever the line has nothing better to do, and return their number.

        They will have exactly one TransferDone, and TransferProgress before it; what the end of a session interrupts
        goes on in the next. Transfers of the controller come from `poll` as TransferReceived.

        Args:
            data: any length.
            kind: what the controller shall take them for.
            name: at most 64 B of UTF-8.

        Raises:
            LinkStateError: the controller at hand takes no transfers.
            MessageError: the name is too long.
        """
        number = self._core.transfer(data, kind, name)
        self._send()
        return number

    def selftest(
        self, first_valve: int, last_valve: int, *, pulse_us: int, mode: SelftestMode
    ) -> tuple[SelftestRes, ...]:
        """Try valves one after another and return what the controller measured, by valve; `valve_verdict` judges it.

        Raises:
            LinkStateError: no session, or a self-test runs already.
            MessageError: a value is out of range.
            SelftestRefusedError: the controller is not IDLE, its feeder runs, or it has no such valve or pulse.
            LinkTimeoutError: a valve is not answered for.
            LinkDownError: the session ended meanwhile.
        """
        wish = Selftest(first_valve, last_valve, pulse_us, mode)
        self.start_selftest(wish)
        longest_s = (last_valve - first_valve + 1) * (ANSWER_TIMEOUT_S + pulse_us / 1e6)
        self._wait_for(self.check_selftest, longest_s, "SELFTEST")
        return self.selftest_results

    def start_selftest(self, wish: Selftest) -> None:
        """Begin to try valves without waiting.

        Raises:
            LinkStateError: no session, or a self-test runs already.
            MessageError: a value is out of range.
        """
        self._core.start_selftest(wish, self._clock.monotonic_ns())
        self._send()

    def check_selftest(self) -> bool:
        """Tell whether every valve has been answered for.

        Raises:
            LinkStateError: none was started in this session.
            SelftestRefusedError: the controller does not do it, or stopped half-way.
            LinkTimeoutError: nothing more comes.
        """
        core = self._core
        return core.selftest.check(self._clock.monotonic_ns(), ident=core.ident, status=core.status)

    @property
    def selftest_results(self) -> tuple[SelftestRes, ...]:
        """Return the answers so far of the last self-test of this session."""
        return self._core.selftest.results

    def read_dictionary(self, timeout_s: float) -> bytes:
        """Return the controller's description of itself as it is stored there; `firmware_bridge.dictionary` reads it.

        Raises:
            LinkStateError: no session.
            LinkTimeoutError: a piece did not come within timeout_s.
            LinkDownError: the session ended meanwhile.
        """
        reader = self._core.dictionary
        reader.forget()
        while not reader.is_done:
            request = reader.request()
            self._core.send_control(request)
            self._wait_for(partial(reader.has_answered, request), timeout_s, "DICT_READ")
        return reader.data

    def ping(self, timeout_s: float) -> float:
        """Return the seconds that one CLOCK_REQ took there and back.

        Raises:
            LinkTimeoutError: no answer in time.
            LinkDownError: the session ended meanwhile.
        """
        clock = self._core.clock
        answers = clock.answers
        clock.ask_now(self._clock.monotonic_ns())
        self._wait_for(lambda: clock.answers > answers, timeout_s, "CLOCK_REQ")
        rtt_ns = clock.rtt_ns
        assert rtt_ns is not None, "set with each answer"
        return rtt_ns / NS_PER_S

    def tick_now(self) -> int:
        """Return the controller's tick now, modulo 2**32; `clock_fit` tells how wrong it can be.

        Raises:
            LinkStateError: no session has been up yet.

        Note: fire times belong on TRIGGER_STAMP ticks, not on this.
        """
        return self._core.tick_at(self._clock.monotonic_ns()) & 0xFFFFFFFF

    def poll(self) -> list[LinkEvent]:
        """Read, act and send once without waiting; return what happened since the last poll.

        A failing medium is an event here (LinkDown), not an error.
        """
        self._pump(0.0)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Stop the machine, end the session and close the transport; `poll` still returns what is left.

        With nothing on its way the controller is told to be SAFE; else to take no more events, so that those accepted
        still fire. It is not waited for: its own watchdog covers a lost farewell.
        """
        if self._is_closed:
            return
        if self.is_up:
            if self.open_events:
                self._core.want_armed(is_wanted=False, now_ns=self._clock.monotonic_ns())
            else:
                self._core.send_control(SetState(BoardState.SAFE, StateReason.SHUTDOWN))
            self._send()
        self._core.fail(DownReason.CLOSED, "closed by the host", self._clock.monotonic_ns())
        self._events += self._core.take_events()
        self._is_closed = True
        self._transport.close()

    def attach(self, transport: Transport) -> None:
        """Go on over another medium, for example the same port after a replug; the one before is closed.

        Event ids go on, outcomes of the session before still come from `poll`; `connect` opens a new session.
        """
        self.close()
        self._core.receive(b"\0", self._clock.monotonic_ns())  # half a frame must not spoil the first of the new line
        self._transport = transport
        self._is_closed = False

    def _wait_for(self, is_done: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Pump until is_done(), keeping the events for the next poll."""
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        self._pump(0.0)
        while not is_done():
            if self._core.state is LinkState.DOWN:
                why = next((f": {event.detail}" for event in reversed(self._events) if isinstance(event, LinkDown)), "")
                raise LinkDownError(f"session ended{why}, while waiting for the answer to {what}")
            if self._clock.monotonic_ns() >= deadline_ns:
                state = self._core.status.state.name if self._core.status else BoardState.BOOT.name
                raise LinkTimeoutError(f"no answer to {what} within {timeout_s} s; controller's last state: {state}")
            self._pump(_WAIT_S)

    def _pump(self, timeout_s: float) -> None:
        if self._is_closed:
            return
        try:
            data = self._transport.read(_READ_B, timeout_s)
            for _ in range(_MAX_READS_PER_POLL):
                if not data:
                    break
                self._core.receive(data, self._clock.monotonic_ns())
                data = self._transport.read(_READ_B, 0.0)
        except TransportError as error:
            self._core.fail(DownReason.TRANSPORT, str(error), self._clock.monotonic_ns())
        self._send()

    def _send(self) -> None:
        data = self._core.step(self._clock.monotonic_ns())
        try:
            if data:
                self._transport.write(data)
        except TransportError as error:
            self._core.fail(DownReason.TRANSPORT, str(error), self._clock.monotonic_ns())
        self._events += self._core.take_events()
