"""The host's side of a SEL/1 session as a pure state machine: no I/O, no clock.

Bytes and the time go in, bytes to send and events come out; `link.Link` drives it.

>>> core = LinkCore(LinkSettings(), epoch_seed=1)
>>> core.open_session(now_ns=0)
>>> len(core.step(now_ns=0)) > 0, core.state
(True, <LinkState.CONNECTING: 1>)
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

import msgspec

from firmware_bridge import messages as m
from firmware_bridge.bulk_port import BulkPort
from firmware_bridge.bulk_receiver import MAX_RECEIVE_B, BulkReceiver
from firmware_bridge.bulk_sender import BulkRules
from firmware_bridge.clock_watch import ClockPeriods, ClockWatch
from firmware_bridge.codec import encode_payload
from firmware_bridge.config_keys import ConfigKey, config_crc
from firmware_bridge.eject_plane import EjectPlane, EjectRules
from firmware_bridge.endpoint import MAX_LONG_BODY_B, SESSION_EPOCH8, Endpoint
from firmware_bridge.errors import LinkStateError, MessageError
from firmware_bridge.link_events import DownReason, EjectEvent, EjectOutcome, LinkDown, LinkEvent
from firmware_bridge.link_inquiry import DictionaryRead, SelftestRun

__all__ = ["LinkCore", "LinkSettings", "LinkState"]

_MS: Final = 1_000_000
_U32: Final = 0xFFFFFFFF
_FIRING: Final = (m.BoardState.ARMED, m.BoardState.DEGRADED)
_QUIET_AFTER_NS: Final = 1_000_000_000  # the last batch: until then bulk keeps its frames short


class LinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the host keeps a session.

    Attributes:
        heartbeat_ms: period of HEARTBEAT.
        wd_ms: silence of the host after which the controller goes to its safe state, 20..5000.
        silence_ms: silence of the controller after which the host gives the session up.
        retry_ms: period of HELLO until it is answered, and of the first CLOCK_REQs.
        clock_arming_ms: period of CLOCK_REQ until the controller is armed and its tick well known.
        clock_ms: period of CLOCK_REQ after that; odd, so that it meets no other period for long.
        lead_us: shortest time from the decision about a piece to its fire time; a line whose round trip takes more
            than half of it, or with an uneven clock, is not armed. None arms any line.
        eject: rules of the eject class.
        bulk: share of the line that transfers may take; set its line_baud on a serial line.
        max_receive_b: longest transfer taken from the controller; it is kept in memory.
        epoch_seed: makes session epochs repeatable, for simulations only; None draws one from the system.
    """

    heartbeat_ms: int = 50
    wd_ms: int = 250
    silence_ms: int = 500
    retry_ms: int = 50
    clock_arming_ms: int = 100
    clock_ms: int = 984
    lead_us: int | None = None
    eject: EjectRules = EjectRules()
    bulk: BulkRules = BulkRules()
    max_receive_b: int = MAX_RECEIVE_B
    epoch_seed: int | None = None


class LinkState(Enum):
    """Where the session stands."""

    DOWN = 0
    CONNECTING = 1
    UP = 2


class LinkCore:
    """One host's sessions with one controller, one after another.

    Args:
        settings: periods and rules.
        epoch_seed: where session epochs come from; a new process must pass a new one.
    """

    def __init__(self, settings: LinkSettings, *, epoch_seed: int) -> None:
        self.endpoint = Endpoint(is_host=True, max_body_b=MAX_LONG_BODY_B)
        self.bulk = BulkPort(settings.bulk, BulkReceiver(settings.max_receive_b))
        self.state = LinkState.DOWN
        self.ident: m.Ident | None = None
        self.refused_ident: m.Ident | None = None
        self.status: m.Status | None = None
        self.board_config: dict[int, m.CfgVal] = {}
        self.selftest = SelftestRun()
        self.dictionary = DictionaryRead()
        self.clock = ClockWatch(ClockPeriods(settings.retry_ms, settings.clock_arming_ms, settings.clock_ms))
        self._settings = settings
        self._epoch_seed = epoch_seed
        self._sessions = 0
        self._epoch = 0
        self._events: list[LinkEvent] = []
        self._plane = EjectPlane(settings.eject, next_evid=0, slots=0, rx_window_b=0)
        self._cfg_crc: int | None = None
        self._wants_armed = False
        self._hello_due_ns = self._heartbeat_due_ns = self._heard_ns = 0
        self._quiet_from_ns = 0

    # ----- what the product asks for

    @property
    def is_armed(self) -> bool:
        """Tell whether the controller has said that it fires."""
        return self.state is LinkState.UP and self.status is not None and self.status.state in _FIRING

    @property
    def open_events(self) -> int:
        """Return how many events have no outcome yet."""
        return self._plane.open_events

    @property
    def eject_repeats(self) -> int:
        """Return how many batches of this session were sent again."""
        return self._plane.repeats

    @property
    def wanted_cfg_crc(self) -> int:
        """Return the checksum over the configuration last sent, 0 before."""
        return self._cfg_crc or 0

    def open_session(self, now_ns: int) -> None:
        """Start anew with another epoch; what an earlier session left unsettled is lost."""
        self._plane.abandon(now_ns)
        self._collect_outcomes(now_ns)
        self._epoch = self._new_epoch()
        self.endpoint.start_session(self._epoch & 0xFF)
        self.bulk.end_session()
        self.state = LinkState.CONNECTING
        self.ident = self.refused_ident = self.status = self._cfg_crc = None
        self.board_config.clear()
        self.selftest.forget()
        self.dictionary.forget()
        self._wants_armed = False
        self._hello_due_ns = now_ns

    def configure(self, values: Mapping[ConfigKey, int]) -> None:
        """Send every key; the answers gather in `board_config`.

        Args:
            values: all keys, or the checksums cannot agree.

        Raises:
            LinkStateError: no session.
            MessageError: a value is no u32.
        """
        self._require_up("configure")
        self.board_config.clear()
        for key in sorted(values):
            self.endpoint.push_control(m.CfgSet(key, values[key]))
        self._cfg_crc = config_crc(values)

    def want_armed(self, *, is_wanted: bool, now_ns: int) -> None:
        """Ask for ARMED or IDLE.

        Raises:
            LinkStateError: no session, or arming before configuring.
        """
        if is_wanted:
            self.require_armable()
        else:
            self._require_up("disarm")
        self._wants_armed = is_wanted
        state = m.BoardState.ARMED if is_wanted else m.BoardState.IDLE
        self.endpoint.push_control(m.SetState(state, m.StateReason.OPERATOR))
        self._heartbeat_due_ns = now_ns

    def require_armable(self) -> None:
        """Make sure that arming may be asked for.

        Raises:
            LinkStateError: no session, or arming before configuring.
        """
        self._require_up("arm")
        if self._cfg_crc is None:
            raise LinkStateError("arm before configure: the controller's limits are not confirmed")

    def send_control(self, message: m.Message) -> None:
        """Send one message of the control class.

        Raises:
            LinkStateError: no session.
            MessageError: a value is out of range.
        """
        self._require_up(type(message).__name__)
        self.endpoint.push_control(message)

    def start_selftest(self, wish: m.Selftest, now_ns: int) -> None:
        """Send SELFTEST; the answers gather in `selftest`.

        Raises:
            LinkStateError: no session, or a self-test runs already.
            MessageError: a value is out of range.
        """
        self._require_up("self-test")
        encode_payload(wish)  # a refusal must not end the self-test before
        self.selftest.start(wish, now_ns)
        self.endpoint.push_control(wish)

    def transfer(self, data: bytes, kind: m.TransferKind, name: str) -> int:
        """Queue bytes for the controller and return their number; they will have exactly one TransferDone.

        Raises:
            LinkStateError: the controller at hand takes no transfers.
            MessageError: the name is longer than 64 B.
        """
        if self.ident is not None and not self.ident.caps & m.CapabilityFlag.BULK:
            raise LinkStateError(f"transfer of {name!r}: this controller takes none, its caps are {self.ident.caps:#x}")
        return self.bulk.sender.submit(data, kind, name)

    def eject(self, events: Sequence[EjectEvent], now_ns: int) -> range:
        """Queue events and return their ids; each will have exactly one EjectOutcome.

        Raises:
            LinkStateError: no session, or not armed by `want_armed`.
            MessageError: a value is out of range; then none of the events is taken.
        """
        self._require_up("eject")
        if not self._wants_armed:
            raise LinkStateError(f"eject of {len(events)} events while not armed")
        for event in events:
            _check_event(event)
        fire_ns = [self.clock.fit.ns_of(event.fire_tick, now_ns) for event in events]
        return self._plane.add(events, fire_ns=fire_ns, now_ns=now_ns)

    def cancel(self, evids: range, now_ns: int) -> None:
        """Take events back as far as they have not fired; each still has its one outcome.

        Raises:
            LinkStateError: no session.
        """
        self._require_up("cancel")
        self._plane.cancel(evids, now_ns)

    def tick_at(self, now_ns: int) -> int:
        """Return the estimated tick of the controller, not wrapped.

        Raises:
            LinkStateError: no session has answered yet.
        """
        return self.clock.fit.tick_at(now_ns)

    def take_events(self) -> list[LinkEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # ----- what the driver brings

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the controller; never raises on any bytes."""
        for message, seq in self.endpoint.receive(data, now_ns):
            if isinstance(message, m.Ident):
                self._on_ident(message, seq, now_ns)
            elif self.state is not LinkState.DOWN and self.ident is not None:
                self._heard_ns = now_ns
                self._dispatch(message, now_ns)

    def step(self, now_ns: int) -> bytes:
        """Do what is due and return the bytes to send."""
        if self.state is LinkState.DOWN:
            return b""
        parts: list[bytes] = []
        if self.ident is None:
            if now_ns >= self._hello_due_ns:
                self._hello_due_ns = now_ns + self._settings.retry_ms * _MS
                parts.append(self.endpoint.encode_session(self._hello(), self._token()))
            return b"".join(parts)
        if self._is_alive(now_ns):
            parts.append(self.endpoint.flush(now_ns))  # before HEARTBEAT: SET_STATE ARMED works with the one behind it
            parts += self._telemetry_due(now_ns)
            parts += self._batches_due(now_ns)
            parts.append(self._bulk_due(sum(map(len, parts)), now_ns))
        self._collect_outcomes(now_ns)
        return b"".join(parts)

    def fail(self, reason: DownReason, detail: str, now_ns: int) -> None:
        """End the session: outcomes first, then LinkDown."""
        if self.state is LinkState.DOWN:
            return
        self.state = LinkState.DOWN
        self._wants_armed = False
        self._plane.abandon(now_ns)
        self._collect_outcomes(now_ns)
        self.endpoint.start_session(SESSION_EPOCH8)
        self.bulk.end_session()
        self._events.append(LinkDown(reason, detail))

    # ----- session

    def _require_up(self, what: str) -> None:
        if self.state is not LinkState.UP:
            raise LinkStateError(f"{what} without a session: the link is {self.state.name}")

    def _new_epoch(self) -> int:
        """Derive the next epoch; its low byte differs from the last one's and from 0."""
        while True:
            self._sessions += 1
            digest = hashlib.blake2b(f"{self._epoch_seed}:{self._sessions}".encode(), digest_size=4).digest()
            epoch = int.from_bytes(digest, "little")
            if epoch & 0xFF not in {0, self._epoch & 0xFF}:
                return epoch

    def _token(self) -> int:
        """Return the number that IDENT must repeat; 0 is for unasked ones."""
        return self._epoch >> 16 or 1

    def _hello(self) -> m.Hello:
        return m.Hello(m.PROTOCOL_VERSION, m.PROTOCOL_VERSION, self._epoch, self._settings.wd_ms)

    def _on_ident(self, ident: m.Ident, token: int, now_ns: int) -> None:
        if self.state is LinkState.DOWN:
            return
        if self.ident is not None:
            if ident.boot_id != self.ident.boot_id:
                detail = f"controller restarted: boot {self.ident.boot_id} is now {ident.boot_id}"
                self.fail(DownReason.RESTARTED, detail, now_ns)
        elif token == self._token():
            if ident.proto != m.PROTOCOL_VERSION:
                self.refused_ident = ident
                return
            self.ident = ident
            self._heard_ns = self._heartbeat_due_ns = now_ns
            self.clock.start(tick_hz=ident.tick_hz, now_ns=now_ns)
            # Ids of one host never come twice, even where the controller missed some or starts again from 0:
            # the next number not used yet that has the wire's low 32 bits.
            used = self._plane.next_evid
            next_evid = used + ((ident.next_evid - used) & _U32)
            self._plane = EjectPlane(
                self._settings.eject, next_evid=next_evid, slots=ident.slots, rx_window_b=ident.rx_window
            )

    def _is_alive(self, now_ns: int) -> bool:
        """Tell whether the controller still answers; if not, end the session."""
        silent_ns = now_ns - self._heard_ns
        if self.endpoint.control.is_exhausted:
            self.fail(DownReason.NO_ACK, "control messages are not acknowledged", now_ns)
            return False
        if silent_ns > self._settings.silence_ms * _MS:
            self.fail(DownReason.SILENT, f"nothing heard for {silent_ns // _MS} ms", now_ns)
            return False
        return True

    # ----- output

    def _telemetry_due(self, now_ns: int) -> list[bytes]:
        parts: list[bytes] = []
        if now_ns >= self._heartbeat_due_ns:
            self._heartbeat_due_ns = now_ns + self._settings.heartbeat_ms * _MS
            flags = m.HeartbeatFlag.ARMED_WANTED if self._wants_armed else m.HeartbeatFlag.NONE
            parts.append(self.endpoint.encode(m.Heartbeat(now_ns // _MS & _U32, self.wanted_cfg_crc, flags)))
        request = self.clock.due(now_ns, is_armed=self.is_armed)
        if request is not None:
            parts.append(self.endpoint.encode(request))
        return parts

    def _batches_due(self, now_ns: int) -> list[bytes]:
        parts: list[bytes] = []
        for message in self._plane.due(now_ns):
            self._plane.on_sent(message, self.endpoint.next_eject_seq)
            parts.append(self.endpoint.encode(message))
        if parts:
            self._quiet_from_ns = now_ns + _QUIET_AFTER_NS
        return parts

    def _bulk_due(self, others_b: int, now_ns: int) -> bytes:
        """Return what transfers may put behind everything else of this step."""
        is_quiet = not self._wants_armed and not self.is_armed and now_ns >= self._quiet_from_ns
        return self.bulk.due(now_ns, self.endpoint.encode, is_quiet=is_quiet, others_b=others_b)

    def _collect_outcomes(self, now_ns: int) -> None:
        outcomes: list[EjectOutcome] = self._plane.take_outcomes(now_ns)
        self._events += outcomes
        self._events += self.bulk.take_events()

    # ----- input

    def _dispatch(self, message: m.Message, now_ns: int) -> None:
        match message:
            case m.EjectAck():
                self.clock.fit.add_stamp(message.tick, now_ns)
                self._plane.on_ack(message, now_ns)
            case m.EjectExc():
                self._plane.on_exceptions(message)
            case m.Status():
                self._on_status(message, now_ns)
            case m.ClockRsp():
                if self.clock.on_answer(message, now_ns) and self.state is LinkState.CONNECTING:
                    self._go_up()
            case m.CfgVal():
                self.board_config[message.key] = message
            case m.SelftestRes():
                self.selftest.take(message, now_ns)
            case m.DictData():
                self.dictionary.take(message)
            case m.TriggerStamp() | m.Verdict() | m.Fault() | m.Log():
                self._events.append(message)
            case m.XferOpen() | m.XferData() | m.XferAck() | m.XferDone():
                self.bulk.take(message, now_ns)
            case _:
                pass

    def _go_up(self) -> None:
        assert self.ident is not None, "comes before everything else"
        self.state = LinkState.UP
        takes_bulk = self.ident.caps & m.CapabilityFlag.BULK
        self.bulk.start_session(
            max_body_b=self.ident.max_body if takes_bulk else None, rx_window_b=self.ident.rx_window
        )

    def _on_status(self, status: m.Status, now_ns: int) -> None:
        if self.status is not None and status.tick < self.status.tick:
            return  # overtaken on its way: the latest counts
        self.status = status
        self.clock.fit.add_stamp(status.tick, now_ns)
        self._plane.on_free(status.free, status.tick)
        self._events.append(status)


def _check_event(event: EjectEvent) -> None:
    limits = (
        ("fire_tick", event.fire_tick, 0, _U32),
        ("first_valve", event.first_valve, 0, m.MAX_VALVES - 1),
        ("valve_count", event.valve_count, 1, m.MAX_VALVES_PER_EVENT),
        ("pulse_us", event.pulse_us, 1, 0xFFFF),
        ("valve_mask", event.valve_mask, 0, _U32),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise MessageError(f"eject event: {name} {value} is not in {low}..{high}")
