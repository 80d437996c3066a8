"""What a simulated ejector controller is, whichever way it is built: settings, time, and the role it plays.

Implementations: virtual_board (pure Python) and native_board (the C reference core); `board_choice` picks one.

>>> time = BoardTime(BoardSettings(tick_offset=100, drift_ppm=50))
>>> time.tick_at(1_000_000_000)
1000150
"""

from typing import Final, Protocol

import msgspec

from firmware_bridge.board_selftest import ValveReading
from firmware_bridge.link_events import TransferReceived
from firmware_bridge.messages import BoardState, Verdict
from firmware_bridge.pulse_recorder import FiredPulse

__all__ = [
    "MAX_TRANSFER_B",
    "NORMAL_READING",
    "OUTPUT_LIMIT_B",
    "STATUS_PERIOD_US",
    "TICK_HZ",
    "Board",
    "BoardSettings",
    "BoardTime",
]

TICK_HZ: Final = 1_000_000
STATUS_PERIOD_US: Final = 100_000
OUTPUT_LIMIT_B: Final = 1 << 20  # nobody reads: drop rather than grow without end
MAX_TRANSFER_B: Final = 1 << 20  # longer transfers are answered NO_SPACE
NORMAL_READING: Final = ValveReading(coil_ma=180, open_us=900)  # a small solenoid valve at 24 V


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What kind of controller to play.

    Attributes:
        n_valves: 1..4096.
        slots: longest queue of accepted events, 1..1024.
        tick_offset: ticks at time 0 of the caller's clock.
        drift_ppm: how much faster than true its clock runs, millionths.
        encoder_hz: belt encoder counts a second.
        boot_id: that of the first start; each reboot adds one.
        uid: 12 bytes.
        max_body_b: longest frame body it takes, 264 (a small controller) or 1032.
        readings: what the self-test reads at valves that are not normal.
    """

    n_valves: int = 256
    slots: int = 1024
    tick_offset: int = 0
    drift_ppm: int = 0
    encoder_hz: int = 0
    boot_id: int = 1
    uid: bytes = b"virtualboard"
    max_body_b: int = 1032
    readings: dict[int, tuple[int, int]] = {}  # valve -> (coil_ma, open_us)

    def reading_of(self, valve: int) -> ValveReading:
        """Return what the self-test reads at that valve."""
        return ValveReading(*self.readings[valve]) if valve in self.readings else NORMAL_READING


class BoardTime:
    """The controller's tick and encoder as a function of the caller's clock.

    Args:
        settings: offset, drift and encoder rate.
    """

    def __init__(self, settings: BoardSettings) -> None:
        self._settings = settings
        self._tick_zero = settings.tick_offset

    def tick_at(self, now_ns: int) -> int:
        """Return the controller's tick at that time, not wrapped."""
        return self._tick_zero + now_ns * (TICK_HZ + self._settings.drift_ppm) // 1_000_000_000

    def encoder_at(self, now_ns: int) -> int:
        """Return the encoder's count at that time, not wrapped."""
        return now_ns * self._settings.encoder_hz // 1_000_000_000

    def restart(self, now_ns: int) -> None:
        """Let ticks count from 0 again."""
        self._tick_zero -= self.tick_at(now_ns)


class Board(Protocol):
    """A controller: bytes in, bytes out, valves recorded. Time comes in with every call and must not go back."""

    @property
    def settings(self) -> BoardSettings:
        """Return what it plays."""
        ...

    @property
    def state(self) -> BoardState:
        """Return the state of the controller."""
        ...

    @property
    def feeder_permille(self) -> int:
        """Return the rate the feeder runs at: 0 while its permit is withdrawn."""
        ...

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last `take_fired`."""
        ...

    def take_fired(self) -> list[FiredPulse]:
        """Return the closed pulses since the last call and forget them; ticks count from boot and do not wrap."""
        ...

    def tick_at(self, now_ns: int) -> int:
        """Return the controller's tick at that time, not wrapped."""
        ...

    def encoder_at(self, now_ns: int) -> int:
        """Return the encoder's count at that time, not wrapped."""
        ...

    def take_output(self) -> bytes:
        """Return the bytes to put on the wire and forget them."""
        ...

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; never raises on any bytes."""
        ...

    def advance(self, now_ns: int) -> None:
        """Let time pass: fire what is due, watch the host, report."""
        ...

    def trigger(self, frame_no: int, now_ns: int, *, enc: int | None = None) -> None:
        """Latch tick and encoder for a camera frame and send TRIGGER_STAMP; without a session nobody is told.

        Args:
            frame_no: the camera's frame or block number, u32 modulo.
            now_ns: when the trigger fired.
            enc: the encoder's count, where the caller has a belt of its own.
        """
        ...

    def report_verdict(self, verdict: Verdict) -> None:
        """Send the host the truth about a piece, acknowledged; it leaves with the next feed or advance.

        Raises:
            LinkStateError: no session is open.
            MessageError: a value is out of range.
        """
        ...

    def take_transfers(self) -> list[TransferReceived]:
        """Return the transfers that have arrived well since the last call."""
        ...

    def reboot(self, now_ns: int) -> None:
        """Lose power for an instant: valves off, all forgotten, ticks from 0, a new boot_id."""
        ...
