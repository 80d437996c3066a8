"""The C reference core as a virtual board, in any clock's time: the controller that `sortloop` simulates with.

virtual_board.VirtualBoard is its twin in pure Python: equal input gives equal output, pulses and state.

>>> from firmware_bridge.native_build import is_native_available
>>> if is_native_available():
...     board = NativeBoard()
...     board.advance(0)
...     print(board.state.name)
... else:
...     print("SAFE")
SAFE
"""

import ctypes
import struct
from collections import deque
from typing import Final

from firmware_bridge.board import BoardSettings, BoardTime
from firmware_bridge.codec import encode_payload
from firmware_bridge.errors import LinkStateError
from firmware_bridge.link_events import TransferReceived
from firmware_bridge.messages import BoardState, TransferKind, Verdict
from firmware_bridge.native_build import load_native
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder

__all__ = ["NATIVE_MAX_BODY_B", "NativeBoard"]

NATIVE_MAX_BODY_B: Final = 1032  # as compiled in c/sel_lib_board.c
_U32: Final = 0xFFFFFFFF
_RECORD: Final = struct.Struct("=qqqHH4x")


class NativeBoard:
    """One controller of the reference core.

    Args:
        settings: what to play; max_body_b must be the compiled 1032.

    Raises:
        NativeUnavailableError: the C library cannot be compiled or loaded here.

    Note: not thread-safe. The library keeps no state of its own: each board owns its memory, about 4 MiB.
    """

    def __init__(self, settings: BoardSettings | None = None) -> None:
        self.settings = settings or BoardSettings()
        assert self.settings.max_body_b == NATIVE_MAX_BODY_B, "another limit needs another library"
        self._lib = _Library(load_native())
        self._memory = ctypes.create_string_buffer(self._lib.size())
        self._recorder = PulseRecorder()
        self._time = BoardTime(self.settings)
        self._boot_id = self.settings.boot_id
        self._verdicts: deque[Verdict] = deque()
        self._transfers: list[TransferReceived] = []
        self._on_transfer = _ON_TRANSFER(self._keep_transfer)  # held: the library keeps the bare address
        for valve in range(self.settings.n_valves):
            self._lib.set_reading(self._memory, valve, *self.settings.reading_of(valve))
        self._power_on()

    # ----- what a simulation sees

    @property
    def state(self) -> BoardState:
        """Return the state of the controller."""
        return BoardState(self._lib.state(self._memory))

    @property
    def feeder_permille(self) -> int:
        """Return the rate the feeder runs at: 0 while its permit is withdrawn."""
        return int(self._lib.feeder(self._memory))

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
        return self._lib.take_output(self._memory)

    # ----- what happens to it

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; never raises on any bytes."""
        self._offer_verdicts()
        session = self._lib.session(self._memory)
        self._lib.feed(self._memory, data, len(data), self.tick_at(now_ns), self.encoder_at(now_ns) & _U32)
        if session != self._lib.session(self._memory):
            self._verdicts.clear()  # they speak of objects of a host that is gone
        self._record()

    def advance(self, now_ns: int) -> None:
        """Let time pass: fire what is due, watch the host, report."""
        self._offer_verdicts()
        self._lib.advance(self._memory, self.tick_at(now_ns), self.encoder_at(now_ns) & _U32)
        self._record()

    def trigger(self, frame_no: int, now_ns: int, *, enc: int | None = None) -> None:
        """Latch tick and encoder for a camera frame and send TRIGGER_STAMP; without a session nobody is told.

        Args:
            frame_no: the camera's frame or block number, u32 modulo.
            now_ns: when the trigger fired.
            enc: the encoder's count, where the caller has a belt of its own.
        """
        own = self.encoder_at(now_ns) & _U32
        stamp = own if enc is None else enc & _U32
        self._lib.trigger(self._memory, frame_no & _U32, self.tick_at(now_ns), own, stamp)
        self._record()

    def report_verdict(self, verdict: Verdict) -> None:
        """Send the host the truth about a piece, acknowledged; it leaves with the next feed or advance.

        Raises:
            LinkStateError: no session is open.
            MessageError: a value is out of range.
        """
        if not self._lib.session(self._memory):
            raise LinkStateError(f"verdict on object {verdict.object_id}: no host has opened a session")
        encode_payload(verdict)
        self._verdicts.append(verdict)

    def take_transfers(self) -> list[TransferReceived]:
        """Return the transfers that have arrived well since the last call."""
        transfers, self._transfers = self._transfers, []
        return transfers

    def reboot(self, now_ns: int) -> None:
        """Lose power for an instant: valves off, all forgotten, ticks from 0, a new boot_id."""
        self._lib.power_off(self._memory, self.tick_at(now_ns), self.encoder_at(now_ns) & _U32)
        self._record()
        self._boot_id = (self._boot_id + 1) & _U32
        self._time.restart(now_ns)
        self._power_on()

    def _power_on(self) -> None:
        self._verdicts.clear()
        settings = self.settings
        traits = (settings.n_valves, settings.slots, self._boot_id, settings.uid)
        self._lib.init(self._memory, *traits, self._on_transfer)

    def _keep_transfer(self, kind: int, name: int, name_len: int, data: int, size_b: int) -> None:
        text = ctypes.string_at(name, name_len).decode(errors="replace")
        self._transfers.append(TransferReceived(TransferKind(kind), text, ctypes.string_at(data, size_b)))

    def _offer_verdicts(self) -> None:
        while self._verdicts:
            verdict = self._verdicts[0]
            fields = (verdict.object_id, verdict.class_id, verdict.confidence_255, verdict.source, verdict.tick)
            if not self._lib.push_verdict(self._memory, *fields):
                return
            self._verdicts.popleft()

    def _record(self) -> None:
        """Hand what the core planned and cut to the recorder."""
        for evid, open_tick, close_tick, first_valve, count in self._lib.take_records(self._memory):
            if count:
                self._recorder.open(FiredPulse(evid, first_valve, count, open_tick, close_tick))
            else:
                self._recorder.cut(close_tick)
        self._recorder.run_until(self._lib.now(self._memory))


_ON_TRANSFER = ctypes.CFUNCTYPE(
    None, ctypes.c_uint8, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t
)
_Memory = ctypes.Array[ctypes.c_char]


class _Library:
    """The functions of c/sel_lib_board.c with their types."""

    def __init__(self, library: ctypes.CDLL) -> None:
        memory, u8, u16, u32 = ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32
        i64, size = ctypes.c_int64, ctypes.c_size_t
        signatures = {
            "size": (size, ()),
            "init": (None, (memory, u16, u16, u32, ctypes.c_char_p, _ON_TRANSFER)),
            "set_reading": (None, (memory, u16, u16, u16)),
            "feed": (None, (memory, ctypes.c_char_p, size, i64, u32)),
            "advance": (None, (memory, i64, u32)),
            "trigger": (None, (memory, u32, i64, u32, u32)),
            "power_off": (None, (memory, i64, u32)),
            "push_verdict": (ctypes.c_int, (memory, u32, u16, u8, u8, u32)),
            "take_output": (size, (memory, ctypes.POINTER(ctypes.c_void_p))),
            "take_records": (size, (memory, ctypes.POINTER(ctypes.c_void_p))),
            "state": (u32, (memory,)),
            "feeder": (u32, (memory,)),
            "session": (u32, (memory,)),
            "now": (i64, (memory,)),
        }
        functions = {}
        for name, (result, arguments) in signatures.items():
            function = getattr(library, f"sel_lib_board_{name}")
            function.restype, function.argtypes = result, arguments
            functions[name] = function
        self.size = functions["size"]
        self.init = functions["init"]
        self.set_reading = functions["set_reading"]
        self.feed = functions["feed"]
        self.advance = functions["advance"]
        self.trigger = functions["trigger"]
        self.power_off = functions["power_off"]
        self.push_verdict = functions["push_verdict"]
        self.state = functions["state"]
        self.feeder = functions["feeder"]
        self.session = functions["session"]
        self.now = functions["now"]
        self._take_output = functions["take_output"]
        self._take_records = functions["take_records"]
        self._pointer = ctypes.c_void_p()

    def take_output(self, memory: _Memory) -> bytes:
        n = self._take_output(memory, ctypes.byref(self._pointer))
        return ctypes.string_at(self._pointer.value or 0, n) if n else b""

    def take_records(self, memory: _Memory) -> list[tuple[int, int, int, int, int]]:
        n = self._take_records(memory, ctypes.byref(self._pointer))
        if not n:
            return []
        return list(_RECORD.iter_unpack(ctypes.string_at(self._pointer.value or 0, n * _RECORD.size)))
