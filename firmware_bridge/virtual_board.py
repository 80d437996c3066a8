"""A whole ejector controller in pure Python: bytes in, bytes out, valves recorded. No I/O, no clock.

Time comes in with every call and must not go back. What it does not model is listed in wire-protocol.md section 10.

>>> board = VirtualBoard()
>>> board.advance(0)
>>> board.state
<BoardState.SAFE: 1>
"""

from typing import Final, assert_never

import msgspec

from firmware_bridge import messages as m
from firmware_bridge.board_ejects import EjectDesk, Limits
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.endpoint import SESSION_EPOCH8, Endpoint
from firmware_bridge.errors import LinkStateError
from firmware_bridge.late_rate import LateRate, LateVerdict
from firmware_bridge.messages import BoardState
from firmware_bridge.valve_bank import FiredPulse

__all__ = ["DRAIN_NS", "TICK_HZ", "BoardSettings", "VirtualBoard"]

TICK_HZ: Final = 1_000_000
DRAIN_NS: Final = 100_000_000  # accepted events still fire this long after the host fell silent
_STATUS_PERIOD_NS: Final = 100_000_000
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_OUTPUT_LIMIT_B: Final = 1 << 20  # nobody reads: drop rather than grow without end
_FIRING: Final = (BoardState.ARMED, BoardState.DEGRADED)


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What kind of controller to play.

    Attributes:
        n_valves: 1..4096.
        slots: longest queue of accepted events.
        tick_offset: ticks at time 0 of the caller's clock.
        drift_ppm: how much faster than true its clock runs, millionths.
        encoder_hz: belt encoder counts a second.
        uid: 12 bytes.
    """

    n_valves: int = 256
    slots: int = 1024
    tick_offset: int = 0
    drift_ppm: int = 0
    encoder_hz: int = 0
    boot_id: int = 1
    uid: bytes = b"virtualboard"


class VirtualBoard:
    """The controller's side of SEL/1 with its clock, queue, valves and feeder.

    Note: not thread-safe; `board_shell` runs it in real time.
    """

    def __init__(self, settings: BoardSettings | None = None) -> None:
        self.settings = settings or BoardSettings()
        self.endpoint = Endpoint(is_host=False)
        self._boot_id = self.settings.boot_id
        self._now_ns = 0
        self._tick_zero = self.settings.tick_offset
        self._output = bytearray()
        self._power_on()

    # ----- what a simulation sees

    @property
    def state(self) -> BoardState:
        """Return the state of the controller."""
        return self._state

    @property
    def feeder_permille(self) -> int:
        """Return the rate the feeder runs at: 0 while its permit is withdrawn."""
        return self._feeder_permille if self._has_permit else 0

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last `take_fired`."""
        return self._desk.bank.fired

    def take_fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last call and forget them; ticks count from boot and do not wrap."""
        return self._desk.bank.take_fired()

    def tick_at(self, now_ns: int) -> int:
        """Return the controller's tick at that time, not wrapped."""
        return self._tick_zero + now_ns * (1_000_000 + self.settings.drift_ppm) // 1_000_000_000

    def encoder_at(self, now_ns: int) -> int:
        """Return the encoder's count at that time, not wrapped."""
        return now_ns * self.settings.encoder_hz // 1_000_000_000

    def take_output(self) -> bytes:
        """Return the bytes to put on the wire and forget them."""
        data = bytes(self._output)
        self._output.clear()
        return data

    # ----- what happens to it

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; never raises on any bytes."""
        self._run_to(now_ns)
        strangers = self.endpoint.counters.stale_epoch
        for message, seq in self.endpoint.receive(data, self._now_ns):
            self._last_heard_ns = self._now_ns
            self._dispatch(message, seq)
        if self.endpoint.counters.stale_epoch > strangers:
            self._announce()
        self._flush()

    def advance(self, now_ns: int) -> None:
        """Let time pass: fire what is due, watch the host, report."""
        self._run_to(now_ns)
        self._judge_lateness()
        if self.endpoint.epoch8 != SESSION_EPOCH8 and self._now_ns >= self._status_due_ns:
            self._send_status()
        self._flush()

    def trigger(self, frame_no: int, now_ns: int, *, enc: int | None = None) -> None:
        """Latch tick and encoder for a camera frame and send TRIGGER_STAMP; without a session nobody is told.

        Args:
            frame_no: the camera's frame or block number, u32 modulo.
            now_ns: when the trigger fired.
            enc: the encoder's count, where the caller has a belt of its own.
        """
        self._run_to(now_ns)
        if self.endpoint.epoch8 != SESSION_EPOCH8:
            count = self.encoder_at(now_ns) if enc is None else enc
            stamp = m.TriggerStamp(frame_no & _U32, self.tick_at(now_ns) & _U32, count & _U32)
            self._send(stamp)

    def report_verdict(self, verdict: m.Verdict) -> None:
        """Send the host the truth about a piece, acknowledged; it leaves with the next feed or advance.

        Raises:
            LinkStateError: no session is open.
            MessageError: a value is out of range.
        """
        if self.endpoint.epoch8 == SESSION_EPOCH8:
            raise LinkStateError(f"verdict on object {verdict.object_id}: no host has opened a session")
        self.endpoint.push_control(verdict)

    def reboot(self, now_ns: int) -> None:
        """Lose power for an instant: valves off, all forgotten, ticks from 0, a new boot_id."""
        self._run_to(now_ns)
        self._desk.bank.close_all(self.tick_at(now_ns))
        fired = self._desk.bank.take_fired()
        self._boot_id = (self._boot_id + 1) & _U32
        self._tick_zero -= self.tick_at(now_ns)
        self._power_on()
        self._desk.bank.restore(fired)

    # ----- rules

    def _power_on(self) -> None:
        self._desk = EjectDesk(n_valves=self.settings.n_valves, slots=self.settings.slots)
        self._late_rate = LateRate()
        self._config = dict(DEFAULT_CONFIG)
        self._cfg_crc = config_crc(self._config)
        self._host_epoch: int | None = None
        self._past_epoch: int | None = None
        self._cancelled = self._faults = 0
        self._last_heard_ns = self._status_due_ns = self._announce_due_ns = 0
        self._drain_end_ns: int | None = None
        self._feeder_permille = 0
        self._has_permit = True
        self._is_latched = self._wants_armed = False
        self._state = BoardState.BOOT
        self.endpoint.start_session(SESSION_EPOCH8)
        self._output.clear()

    def _run_to(self, now_ns: int) -> None:
        """Do what time alone causes, in the order it falls due."""
        if self._state is BoardState.BOOT:
            self._state = BoardState.SAFE
        silent_ns = self._last_heard_ns + self._config[ConfigKey.WD_MS] * 1_000_000
        is_watching = self._state in {BoardState.IDLE, *_FIRING} and self._drain_end_ns is None
        if is_watching and silent_ns <= now_ns:
            self._run_valves(silent_ns)
            self._fall_silent(silent_ns)
        if self._drain_end_ns is not None and (self._desk.bank.is_quiet or self._drain_end_ns <= now_ns):
            self._enter_safe(self._drain_end_ns)
        self._now_ns = max(self._now_ns, now_ns)
        self._run_valves(self._now_ns)

    def _run_valves(self, now_ns: int) -> None:
        self._desk.run_until(self.tick_at(now_ns))

    def _fall_silent(self, now_ns: int) -> None:
        self._feeder_permille = 0
        self._is_latched = True
        self._drain_end_ns = now_ns + DRAIN_NS
        self._raise_fault(m.FaultCode.HOST_SILENT, now_ns)

    def _enter_safe(self, now_ns: int) -> None:
        """Fire what is due until then, then close every valve and stay so until a new session."""
        self._desk.stop(self.tick_at(now_ns))
        self._drain_end_ns = None
        self._feeder_permille = 0
        self._is_latched, self._wants_armed = True, False
        self._change_state(BoardState.SAFE)

    def _change_state(self, state: BoardState) -> None:
        if state is not self._state:
            self._state = state
            self._status_due_ns = 0

    def _raise_fault(self, code: m.FaultCode, now_ns: int, arg: int = 0) -> None:
        if not self._faults >> code & 1:
            self._faults |= 1 << code
            self.endpoint.push_control(m.Fault(code, 0, self.tick_at(now_ns) & _U32, arg))
            self._status_due_ns = 0

    def _judge_lateness(self) -> None:
        for is_late in self._desk.take_recent():
            self._late_rate.add(is_late=is_late)
        match self._late_rate.judge(self._now_ns):
            case LateVerdict.UNDECIDED:
                return
            case LateVerdict.GOOD:
                self._has_permit = True
                if self._state is BoardState.DEGRADED:
                    self._change_state(BoardState.ARMED)
            case LateVerdict.POOR | LateVerdict.HOPELESS as verdict:
                self._has_permit = verdict is LateVerdict.POOR
                if self._state is BoardState.ARMED:
                    self._change_state(BoardState.DEGRADED)
                self._raise_fault(m.FaultCode.LATE_RATE, self._now_ns)
            case never:
                assert_never(never)

    # ----- messages

    def _dispatch(self, message: m.Message, seq: int) -> None:
        match message:
            case m.EjectBatch():
                self._on_batch(message, seq)
            case m.Heartbeat():
                self._on_heartbeat(message)
            case m.Hello():
                self._on_hello(message, seq)
            case m.ClockReq():
                tick = self.tick_at(self._now_ns)
                self._send(m.ClockRsp(message.token, tick, tick, self.encoder_at(self._now_ns) & _U32))
            case m.SetState():
                self._on_set_state(message.state)
            case m.CfgSet():
                self._on_cfg_set(message)
            case m.FeederSet():
                self._feeder_permille = 0 if self._is_latched else message.permille
            case _:  # a VERDICT of the host is for a controller that marks pieces: this one has no use for it
                pass

    def _on_hello(self, hello: m.Hello, token: int) -> None:
        has_common = hello.proto_min <= m.PROTOCOL_VERSION <= hello.proto_max
        if has_common and hello.host_epoch not in {self._host_epoch, self._past_epoch}:
            self._start_session(hello)
        if hello.host_epoch == self._host_epoch or not has_common:
            self._output += self.endpoint.encode_session(self._ident(), token)

    def _start_session(self, hello: m.Hello) -> None:
        self._past_epoch, self._host_epoch = self._host_epoch, hello.host_epoch
        self._cancelled = len(self._desk.bank.cancel_pending())
        self._desk.take_reports()
        self._drain_end_ns = None
        self._faults = self._feeder_permille = 0
        self._is_latched, self._wants_armed, self._has_permit = False, False, True
        self._late_rate = LateRate()
        self.endpoint.start_session(hello.host_epoch & 0xFF)
        self._store(ConfigKey.WD_MS, hello.wd_ms)
        self._change_state(BoardState.IDLE)

    def _ident(self) -> m.Ident:
        return m.Ident(
            proto=m.PROTOCOL_VERSION,
            boot_id=self._boot_id,
            uid=self.settings.uid,
            fw_major=0,
            fw_minor=1,
            fw_patch=0,
            fw_git=0,
            tick_hz=TICK_HZ,
            n_valves=self.settings.n_valves,
            slots=self.settings.slots,
            rx_window=4096,
            max_body=264,
            max_pulse_us=self._config[ConfigKey.MAX_PULSE_US],
            min_off_us=self._config[ConfigKey.MIN_OFF_US],
            caps=0,
            dict_crc=0,
            cfg_crc=self._cfg_crc,
            state=self._state,
            pending=min(self._cancelled, _U16),
            next_evid=self._desk.window.next_evid & _U32,
        )

    def _announce(self) -> None:
        """Tell a host of a session from before the reboot who is here now, at most ten times a second."""
        if self._host_epoch is None and self._now_ns >= self._announce_due_ns:
            self._announce_due_ns = self._now_ns + _STATUS_PERIOD_NS
            self._output += self.endpoint.encode_session(self._ident(), 0)

    def _on_heartbeat(self, beat: m.Heartbeat) -> None:
        is_wanted = self._wants_armed and bool(beat.flags & m.HeartbeatFlag.ARMED_WANTED) and not self._is_latched
        has_same_config = beat.cfg_crc == self._cfg_crc
        if self._state is BoardState.IDLE and is_wanted and has_same_config:
            self._change_state(BoardState.ARMED)
        elif self._state in _FIRING and self._drain_end_ns is None and not (is_wanted and has_same_config):
            self._change_state(BoardState.IDLE)
            if not has_same_config:
                self._raise_fault(m.FaultCode.CFG_MISMATCH, self._now_ns, beat.cfg_crc)

    def _on_set_state(self, wish: BoardState) -> None:
        if wish is BoardState.SAFE:
            self._enter_safe(self._now_ns)
        elif not self._is_latched:
            self._wants_armed = wish is BoardState.ARMED
            if wish is BoardState.IDLE:
                self._change_state(BoardState.IDLE)

    def _on_cfg_set(self, wish: m.CfgSet) -> None:
        if wish.key in CONFIG_RANGES:
            self._store(ConfigKey(wish.key), wish.value)
            value = self._config[ConfigKey(wish.key)]
        else:
            value = 0
        self.endpoint.push_control(m.CfgVal(wish.key, value, self._cfg_crc))

    def _store(self, key: ConfigKey, value: int) -> None:
        """Set a key; a value out of range leaves it as it was."""
        low, high = CONFIG_RANGES[key]
        if low <= value <= high:
            self._config[key] = value
        self._cfg_crc = config_crc(self._config)
        self._desk.bank.max_pulse_ticks = self._config[ConfigKey.MAX_PULSE_US]
        self._desk.bank.min_off_ticks = self._config[ConfigKey.MIN_OFF_US]

    def _on_batch(self, batch: m.EjectBatch, seq: int) -> None:
        now_tick = self.tick_at(self._now_ns)
        limits = Limits(self._config[ConfigKey.LATE_TOL_US], self._config[ConfigKey.HORIZON_US])
        is_firing = self._state in _FIRING and self._drain_end_ns is None
        self._desk.take_batch(batch, now_tick=now_tick, limits=limits, is_firing=is_firing)
        received = self._desk.received_from(batch.base_evid)
        self._send(m.EjectAck(batch.base_evid, received, min(self._desk.free_slots, _U16), seq, now_tick & _U32))

    # ----- output

    def _send(self, message: m.Message) -> None:
        if len(self._output) < _OUTPUT_LIMIT_B:
            self._output += self.endpoint.encode(message)

    def _flush(self) -> None:
        reports = self._desk.take_reports()
        if self.endpoint.epoch8 == SESSION_EPOCH8:
            return
        for start in range(0, len(reports), m.MAX_REPORTS_PER_FRAME):
            self.endpoint.push_control(m.EjectExc(tuple(reports[start : start + m.MAX_REPORTS_PER_FRAME])))
        self._output += self.endpoint.flush(self._now_ns)

    def _send_status(self) -> None:
        self._status_due_ns = self._now_ns + _STATUS_PERIOD_NS
        frames = self.endpoint.deframer.counters
        self._send(
            m.Status(
                tick=self.tick_at(self._now_ns),
                enc=self.encoder_at(self._now_ns) & _U32,
                state=self._state,
                faults=self._faults,
                pending=min(self._desk.bank.pending, _U16),
                free=min(self._desk.free_slots, _U16),
                fired=self._desk.bank.fired_count & _U32,
                late=self._desk.late & _U16,
                dup=self._desk.duplicates & _U16,
                crc_err=frames.crc_err & _U16,
                cobs_err=frames.cobs_err & _U16,
                len_err=(frames.len_err + frames.overflow) & _U16,
                rx_over=0,
                q_hwm=min(self._desk.queue_high, _U16),
                air_kpa=600,
                supply_mv=24_000,
                temp_c=25,
                cfg_crc=self._cfg_crc,
            )
        )
