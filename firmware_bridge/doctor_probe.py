"""Measures what `doctor` judges: listens, connects, asks, watches, reads. It moves nothing and sets nothing.

Before it asks it listens: a controller goes on telling the state of the session before, with its faults, and a new
session clears them.

>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.transport_board import BoardTransport
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> clock = ManualClock()
>>> probe = Probe(BoardTransport(VirtualBoard(), clock), clock, ProbeSettings(pings=20))
>>> answer, line, board = probe.run()
>>> answer.is_connected, line.pings_lost, board.dictionary.value
(True, 0, 'same')
"""

import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.clock_watch import rtt_figures
from firmware_bridge.config_keys import DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.dictionary import DICTIONARY_CRC, read_dictionary
from firmware_bridge.doctor_facts import AnswerFacts, BoardFacts, DictionaryState, ForeignFault, LineFacts
from firmware_bridge.errors import LinkDownError, LinkTimeoutError, MessageError, ProtocolVersionError
from firmware_bridge.histogram import histogram
from firmware_bridge.line_tap import LineTap
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import DownReason, LinkDown
from firmware_bridge.messages import CapabilityFlag, Ident, Status
from firmware_bridge.transport import Transport

__all__ = ["Probe", "ProbeSettings"]

_READ_B: Final = 65_536
_POLL_S: Final = 0.002
_DICTIONARY_S: Final = 1.0  # for one piece
_U16: Final = 0xFFFF


class ProbeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to look.

    Attributes:
        listen_s: before anything is sent; a controller with a session says something every 100 ms.
        connect_s: for an answer.
        pings: requests.
        ping_timeout_s: for the answer to each.
        watch_s: counters are compared over this time.
    """

    listen_s: float = 0.35
    connect_s: float = 2.0
    pings: int = 200
    ping_timeout_s: float = 0.25
    watch_s: float = 3.0


class Probe:
    """One examination of one open line.

    Args:
        transport: the line; closed at the end.
        clock: monotonic time.
        settings: how long to look.
        on_progress: hears what is being done.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        settings: ProbeSettings,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tap = LineTap(transport, clock)
        self._clock = clock
        self._settings = settings
        self._on_progress = on_progress
        self._link = Link(self._tap, clock, LinkSettings())
        self._down: DownReason | None = None

    def run(self) -> tuple[AnswerFacts, LineFacts | None, BoardFacts | None]:
        """Return what came back, and in a session how the line does and what the controller is.

        Raises:
            TransportError: the port failed before a session was up.
        """
        try:
            answer = self._ask()
            if not answer.is_connected:
                return answer, None, None
            return answer, *self._examine()
        finally:
            self._link.close()

    def _ask(self) -> AnswerFacts:
        tap, settings = self._tap, self._settings
        start_ns = self._clock.monotonic_ns()
        self._on_progress("listening")
        while self._clock.monotonic_ns() - start_ns < settings.listen_s * NS_PER_S:
            tap.read(_READ_B, _POLL_S)
        before = tap.status
        self._on_progress("connecting")
        is_connected, their_version = False, None
        try:
            self._link.connect(settings.connect_s)
            is_connected = True
        except (LinkTimeoutError, LinkDownError):
            pass
        except ProtocolVersionError:
            their_version = tap.ident.proto if tap.ident else None
        return AnswerFacts(
            waited_s=(self._clock.monotonic_ns() - start_ns) / NS_PER_S,
            heard_b=tap.heard_b,
            good_frames=tap.good_frames,
            echoed_frames=tap.echoed_frames,
            damaged=tap.damaged,
            is_connected=is_connected,
            their_version=their_version,
            state_before=before.state.name if before else None,
            faults_before=before.faults if before else 0,
            down=None if is_connected else self._poll(),
        )

    def _examine(self) -> tuple[LineFacts, BoardFacts | None]:
        link, tap = self._link, self._tap
        ident, start_ns = link.ident, self._clock.monotonic_ns()
        assert ident is not None, "connected"
        damaged, gaps, tap.longest_pause_ns = tap.damaged, link.message_counters.telemetry_gaps, 0
        rtts_ns: list[int] = []
        dictionary, first = b"", link.status
        try:
            self._ping(rtts_ns)
            dictionary = self._read_dictionary(ident)
            first = first or link.status
            self._watch()
        except LinkDownError:
            pass  # `down` says why
        pause_ns = tap.longest_pause_ns
        down = self._poll()
        last, fit = link.status, link.clock_fit
        line = LineFacts(
            measured_s=(self._clock.monotonic_ns() - start_ns) / NS_PER_S,
            pings=tap.asked,
            pings_lost=tap.unanswered(round(self._settings.ping_timeout_s * NS_PER_S)),
            rtt=rtt_figures(rtts_ns) if rtts_ns else None,
            histogram=histogram(rtts_ns),
            damaged_here=tap.damaged - damaged,
            damaged_there=_grown(first, last, "crc_err", "cobs_err", "len_err"),
            overruns=_grown(first, last, "rx_over"),
            gaps=link.message_counters.telemetry_gaps - gaps,
            longest_pause_us=pause_ns // 1000,
            residual_us=fit.residual_us if fit.is_ready else None,
            drift_ppm=fit.drift_ppm if fit.is_ready else None,
            down=down,
        )
        return line, None if last is None else _board_facts(ident, last, dictionary)

    def _ping(self, rtts_ns: list[int]) -> None:
        """Append round trips; the tap counts requests without an answer, the link's own ones included."""
        for number in range(self._settings.pings):
            if number % 20 == 0:
                self._on_progress(f"measuring round trips, {number} of {self._settings.pings}")
            try:
                rtts_ns.append(round(self._link.ping(self._settings.ping_timeout_s) * NS_PER_S))
            except LinkTimeoutError:
                continue

    def _read_dictionary(self, ident: Ident) -> bytes:
        self._on_progress("reading the dictionary")
        if ident.dict_crc == 0:
            return b""
        try:
            return self._link.read_dictionary(_DICTIONARY_S)
        except LinkTimeoutError:
            return b""

    def _watch(self) -> None:
        end_ns = self._clock.monotonic_ns() + round(self._settings.watch_s * NS_PER_S)
        while (left_ns := end_ns - self._clock.monotonic_ns()) > 0 and self._link.is_up:
            self._on_progress(f"watching the line, {left_ns / NS_PER_S:.0f} s left")
            self._poll()
            self._clock.sleep_s(_POLL_S)

    def _poll(self) -> DownReason | None:
        """Let the link work; return why the session ended, whenever that was."""
        for event in self._link.poll():
            if isinstance(event, LinkDown):
                self._down = event.reason
        return self._down


def _grown(first: Status | None, last: Status | None, *names: str) -> int:
    """Return how far u16 counters of the controller got on."""
    if first is None or last is None:
        return 0
    return sum((getattr(last, name) - getattr(first, name)) & _U16 for name in names)


def _dictionary_state(ident: Ident, data: bytes) -> DictionaryState:
    if ident.dict_crc == 0:
        return DictionaryState.NONE
    if not data:
        return DictionaryState.UNREAD
    if zlib.crc32(data) != ident.dict_crc:
        return DictionaryState.DAMAGED
    return DictionaryState.SAME if ident.dict_crc == DICTIONARY_CRC else DictionaryState.OTHER


def _foreign_faults(faults: int, data: bytes) -> tuple[ForeignFault, ...]:
    """Return what the controller's own dictionary says about its fault bits."""
    try:
        own = read_dictionary(data)
    except MessageError:
        return ()
    texts = ((bit, own.text("FaultCode", bit)) for bit in range(32) if faults >> bit & 1)
    return tuple(ForeignFault(bit, text) for bit, text in texts if text)


def _board_facts(ident: Ident, status: Status, dictionary: bytes) -> BoardFacts:
    # HELLO has set WD_MS; the other keys are those of the program before, or the defaults.
    fresh = {**DEFAULT_CONFIG, ConfigKey.WD_MS: LinkSettings().wd_ms}
    return BoardFacts(
        uid=ident.uid.hex(),
        protocol=ident.proto,
        firmware=f"{ident.fw_major}.{ident.fw_minor}.{ident.fw_patch}+{ident.fw_git:08x}",
        n_valves=ident.n_valves,
        slots=ident.slots,
        state=status.state.name,
        uptime_s=status.tick / ident.tick_hz,
        faults=status.faults,
        queue_high=status.q_hwm,
        air_kpa=status.air_kpa,
        supply_mv=status.supply_mv,
        temp_c=status.temp_c,
        cfg_crc=status.cfg_crc,
        is_default_config=status.cfg_crc == config_crc(fresh),
        dict_crc=ident.dict_crc,
        dictionary=_dictionary_state(ident, dictionary),
        has_selftest=bool(ident.caps & CapabilityFlag.SELFTEST),
        foreign_faults=_foreign_faults(status.faults, dictionary),
    )
