"""A whole ejector controller in pure Python: bytes in, bytes out, valves recorded. No I/O, no clock.

It is the twin of the C reference core (c/sel_controller.h, native_board.py): the same input gives the same output.
Time comes in with every call and must not go back. What it does not model is listed in wire-protocol.md section 10.

>>> board = VirtualBoard()
>>> board.advance(0)
>>> board.state
<BoardState.SAFE: 1>
"""

from collections import deque
from typing import Final

from firmware_bridge import messages as m
from firmware_bridge.board import MAX_TRANSFER_B, OUTPUT_LIMIT_B, STATUS_PERIOD_US, TICK_HZ, BoardSettings, BoardTime
from firmware_bridge.board_ejects import EjectDesk, Limits
from firmware_bridge.board_selftest import BoardSelftest
from firmware_bridge.board_states import BoardStates
from firmware_bridge.bulk_port import BulkPort
from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.codec import encode_payload
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.control_plane import WINDOW
from firmware_bridge.dictionary import DICTIONARY, DICTIONARY_CRC
from firmware_bridge.endpoint import SESSION_EPOCH8, Endpoint
from firmware_bridge.errors import LinkStateError
from firmware_bridge.link_events import TransferReceived
from firmware_bridge.messages import BoardState
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder

__all__ = ["VirtualBoard"]

_CAPS: Final = m.CapabilityFlag.SELFTEST | m.CapabilityFlag.BULK
_RX_WINDOW_B: Final = 4096
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF


class VirtualBoard:
    """The controller's side of SEL/1 with its clock, queue, valves and feeder.

    Note: not thread-safe; `board_shell` runs it in real time.
    """

    def __init__(self, settings: BoardSettings | None = None) -> None:
        self.settings = settings or BoardSettings()
        self.endpoint = Endpoint(is_host=False, max_body_b=self.settings.max_body_b)
        self._recorder = PulseRecorder()
        self._time = BoardTime(self.settings)
        self._boot_id = self.settings.boot_id
        self._output = bytearray()
        self._verdicts: deque[m.Verdict] = deque()
        self._transfers: list[TransferReceived] = []
        self._power_on()

    # ----- what a simulation sees

    @property
    def state(self) -> BoardState:
        """Return the state of the controller."""
        return self._states.state

    @property
    def feeder_permille(self) -> int:
        """Return the rate the feeder runs at: 0 while its permit is withdrawn."""
        return self._states.feeder_permille

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last `take_fired`."""
        return self._recorder.fired

    def take_fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last call and forget them; ticks count from boot and do not wrap."""
        return self._recorder.take()

    def tick_at(self, now_ns: int) -> int:
        """Return the controller's tick at that time, not wrapped."""
        return self._time.tick_at(now_ns)

    def encoder_at(self, now_ns: int) -> int:
        """Return the encoder's count at that time, not wrapped."""
        return self._time.encoder_at(now_ns)

    def take_output(self) -> bytes:
        """Return the bytes to put on the wire and forget them."""
        data = bytes(self._output)
        self._output.clear()
        return data

    # ----- what happens to it

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; never raises on any bytes."""
        self._run_to(now_ns)
        counters = self.endpoint.counters
        strangers, heard = counters.stale_epoch, counters.of_session
        for message, seq in self.endpoint.receive(data, self._now * 1000):
            self._dispatch(message, seq)
        if counters.of_session > heard:
            self._states.last_heard = self._now
        if counters.stale_epoch > strangers:
            self._announce()
        self._flush()

    def advance(self, now_ns: int) -> None:
        """Let time pass: fire what is due, watch the host, report."""
        self._run_to(now_ns)
        self._states.judge(self._now)
        if self._is_in_session and (self._states.has_changed or self._now >= self._status_due):
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
        if self._is_in_session:
            count = self.encoder_at(now_ns) if enc is None else enc
            self._send(m.TriggerStamp(frame_no & _U32, self._now & _U32, count & _U32))

    def report_verdict(self, verdict: m.Verdict) -> None:
        """Send the host the truth about a piece, acknowledged; it leaves with the next feed or advance.

        Raises:
            LinkStateError: no session is open.
            MessageError: a value is out of range.
        """
        if not self._is_in_session:
            raise LinkStateError(f"verdict on object {verdict.object_id}: no host has opened a session")
        encode_payload(verdict)
        self._verdicts.append(verdict)

    def take_transfers(self) -> list[TransferReceived]:
        """Return the transfers that have arrived well since the last call."""
        transfers, self._transfers = self._transfers, []
        return transfers

    def reboot(self, now_ns: int) -> None:
        """Lose power for an instant: valves off, all forgotten, ticks from 0, a new boot_id."""
        self._run_to(now_ns)
        self._desk.bank.close_all(self._now)
        self._boot_id = (self._boot_id + 1) & _U32
        self._time.restart(now_ns)
        self._power_on()

    # ----- rules

    @property
    def _is_in_session(self) -> bool:
        return self.endpoint.epoch8 != SESSION_EPOCH8

    def _power_on(self) -> None:
        self._now = self._enc = 0
        self._desk = EjectDesk(n_valves=self.settings.n_valves, slots=self.settings.slots, recorder=self._recorder)
        self._states = BoardStates(self._desk)
        self._selftest = BoardSelftest(self.settings.reading_of)
        self._bulk = BulkPort(receiver=BulkReceiver(MAX_TRANSFER_B))
        self._config = dict(DEFAULT_CONFIG)
        self._cfg_crc = config_crc(self._config)
        self._host_epoch: int | None = None
        self._past_epoch: int | None = None
        self._cancelled = self._status_due = self._announce_due = 0
        self.endpoint = Endpoint(is_host=False, max_body_b=self.settings.max_body_b)
        self._verdicts.clear()
        self._output.clear()

    def _run_to(self, now_ns: int) -> None:
        self._now = max(self._now, self.tick_at(now_ns))
        self._enc = self.encoder_at(now_ns) & _U32
        self._states.run_to(self._now, wd_us=self._config[ConfigKey.WD_MS] * 1000)

    # ----- messages

    def _dispatch(self, message: m.Message, seq: int) -> None:
        match message:
            case m.EjectBatch() | m.EjectMask():
                self._on_batch(message, seq)
            case m.EjectCancel():
                self._desk.cancel(message.from_evid, message.to_evid)
                self._acknowledge(message.from_evid, seq)
            case m.Heartbeat():
                self._states.on_heartbeat(message, self._now, cfg_crc=self._cfg_crc)
            case m.Hello():
                self._on_hello(message, seq)
            case m.ClockReq():
                self._send(m.ClockRsp(message.token, self._now, self._now, self._enc))
            case m.SetState():
                self._states.wish(message.state, self._now)
            case m.CfgSet():
                self._on_cfg_set(message)
            case m.FeederSet():
                self._states.set_feeder(message.permille)
            case m.Selftest():
                self._on_selftest(message)
            case m.XferOpen() | m.XferData():
                self._bulk.take(message, self._now * 1000)
            case m.DictRead():
                piece = DICTIONARY[message.offset : message.offset + message.length]
                self.endpoint.push_control(m.DictData(message.offset, piece))
            case _:  # a VERDICT or LOG of the host is for a controller that has a use for it
                pass

    def _on_hello(self, hello: m.Hello, token: int) -> None:
        has_common = hello.proto_min <= m.PROTOCOL_VERSION <= hello.proto_max
        if has_common and hello.host_epoch not in {self._host_epoch, self._past_epoch}:
            self._start_session(hello)
        if has_common and hello.host_epoch == self._host_epoch:
            self._states.last_heard = self._now
        if hello.host_epoch == self._host_epoch or not has_common:
            self._put(self.endpoint.encode_session(self._ident(), token))

    def _start_session(self, hello: m.Hello) -> None:
        self._past_epoch, self._host_epoch = self._host_epoch, hello.host_epoch
        self._cancelled = self._desk.start_session(self._now)
        self._selftest.forget()
        self._verdicts.clear()
        self._states.start_session(self._now)
        self._bulk.start_session(max_body_b=None, rx_window_b=0)  # it sends none
        self.endpoint.start_session(hello.host_epoch & 0xFF)
        self._store(ConfigKey.WD_MS, hello.wd_ms)

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
            rx_window=_RX_WINDOW_B,
            max_body=self.settings.max_body_b,
            max_pulse_us=self._config[ConfigKey.MAX_PULSE_US],
            min_off_us=self._config[ConfigKey.MIN_OFF_US],
            caps=_CAPS,
            dict_crc=DICTIONARY_CRC,
            cfg_crc=self._cfg_crc,
            state=self.state,
            pending=min(self._cancelled, _U16),
            next_evid=self._desk.window.next_evid & _U32,
        )

    def _announce(self) -> None:
        """Tell a host of a session from before the reboot who is here now, at most ten times a second."""
        if self._host_epoch is None and self._now >= self._announce_due:
            self._announce_due = self._now + STATUS_PERIOD_US
            self._put(self.endpoint.encode_session(self._ident(), 0))

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
        bank = self._desk.bank
        bank.max_pulse_ticks = self._config[ConfigKey.MAX_PULSE_US]
        bank.min_off_ticks = self._config[ConfigKey.MIN_OFF_US]
        bank.max_open_valves = self._config[ConfigKey.MAX_OPEN_VALVES]
        bank.max_duty_permille = self._config[ConfigKey.MAX_DUTY_PERMILLE]

    def _on_batch(self, batch: m.EjectBatch | m.EjectMask, seq: int) -> None:
        limits = Limits(self._config[ConfigKey.LATE_TOL_US], self._config[ConfigKey.HORIZON_US])
        self._desk.take_batch(batch, now=self._now, limits=limits, is_firing=self._states.is_firing)
        self._acknowledge(batch.base_evid, seq)

    def _acknowledge(self, base_evid: int, seq: int) -> None:
        free = min(self._desk.free_slots, _U16)
        self._send(m.EjectAck(base_evid, self._desk.received_from(base_evid), free, seq, self._now & _U32))

    def _on_selftest(self, wish: m.Selftest) -> None:
        is_allowed = (
            self.state is BoardState.IDLE
            and self.feeder_permille == 0
            and wish.last_valve < self.settings.n_valves
            and wish.pulse_us <= self._config[ConfigKey.MAX_PULSE_US]
        )
        self._selftest.start(wish, now=self._now, is_allowed=is_allowed)

    # ----- output

    def _put(self, data: bytes) -> None:
        if len(self._output) < OUTPUT_LIMIT_B:
            self._output += data

    def _send(self, message: m.Message) -> None:
        self._put(self.endpoint.encode(message))

    def _flush(self) -> None:
        """Put on the wire what the control class has to say, as far as its window goes."""
        if not self._is_in_session:
            return
        if self._selftest.is_running and self.state is not BoardState.IDLE:
            self._selftest.abort()
        while self.endpoint.control.backlog < WINDOW and (message := self._next_control()) is not None:
            self.endpoint.push_control(message)
        if (pulse := self._selftest.take_pulse()) is not None:
            self._desk.bank.test_pulse(pulse[0], self._now, pulse[1])
        self._put(self.endpoint.flush(self._now * 1000))
        self._put(self._bulk.due(self._now * 1000, self.endpoint.encode, is_quiet=True))
        self._transfers += [event for event in self._bulk.take_events() if isinstance(event, TransferReceived)]

    def _next_control(self) -> m.Message | None:
        if faults := self._states.take_faults(1):
            return faults[0]
        if reports := self._desk.take_reports(m.MAX_REPORTS_PER_FRAME):
            return m.EjectExc(tuple(reports))
        if answer := self._selftest.take(self._now):
            return answer
        return self._verdicts.popleft() if self._verdicts else None

    def _send_status(self) -> None:
        self._status_due = self._now + STATUS_PERIOD_US
        self._states.has_changed = False
        frames = self.endpoint.deframer.counters
        self._send(
            m.Status(
                tick=self._now,
                enc=self._enc,
                state=self.state,
                faults=self._states.faults,
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
