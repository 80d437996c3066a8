"""Speed of the link beside what one would use without it: CPU time of one core, all cases in turn, medians.

`python tests/bench/bench_link.py` prints the table; `rows()` gives it to whoever collects all benches. Rows with `c_`
need a C compiler and are left out without one. `link.pty` (pure Python) has no target: a pseudo-terminal costs most of
it in the kernel, differently on each computer, and where frames come so fast the C decoder is there: `link.c_pty`.
"""

import contextlib
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import tty
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import serial
from cobs import cobs

from firmware_bridge.clock import ManualClock
from firmware_bridge.codec import decode_payload, encode_payload
from firmware_bridge.framing import Deframer, encode_frame
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent
from firmware_bridge.messages import BatchFlag, EjectBatch, EjectItem
from firmware_bridge.native_build import C_FOLDER, is_native_available
from firmware_bridge.native_codec import EjectColumns, NativeDecoder, NativeDeframer, eject_batch_frames, encode_frames
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_fd import FdTransport
from firmware_bridge.virtual_board import VirtualBoard

__all__ = ["rows"]

RUNS = 5
FRAMES = 20_000
BATCHES = 2000
PAYLOAD = bytes.fromhex("e80300000024f40200002011")  # 12 B with zeros, as ticks and ids have them: 22 B on the wire
EVENT = bytes.fromhex("e80300000024f400010400001120dc05")  # an EJECT_BATCH of one event: 26 B on the wire
Case = Callable[[], float]

TARGETS: dict[str, tuple[str, float | None]] = {  # unit and target, in the order of the table
    "encode": ("frames/s", 200_000),
    "decode": ("frames/s", 200_000),
    "c_encode": ("frames/s", 1_000_000),
    "c_decode": ("frames/s", 1_000_000),
    "c_encode_event": ("frames/s", 1_000_000),
    "c_decode_event": ("frames/s", 1_000_000),
    "c_deframer": ("frames/s", None),
    "cobs_encode": ("frames/s", None),
    "cobs_decode": ("frames/s", None),
    "encode_batch20": ("events/s", None),
    "decode_batch20": ("events/s", None),
    "c_batch20": ("events/s", 10_000_000),
    "c_decoder": ("MB/s", 40),
    "pty": ("frames/s", None),
    "c_pty": ("frames/s", 300_000),
    "pty_read_until": ("frames/s", None),
    "session": ("events/s", 10_000),
}


def rows() -> list[dict[str, Any]]:
    """Return one row a figure: name, value, unit, target (None where it is only told), holds."""
    with contextlib.ExitStack() as stack:
        cases = _python_cases() | _cobs_cases() | _pty_cases(stack) | {"session": _session_rate}
        if is_native_available():
            cases |= _native_cases(stack)
        rates = _interleaved(cases)
    figures = [(f"link.{name}", rates[name], *TARGETS[name]) for name in TARGETS if name in rates]
    table = [_row(*figure, holds=None if figure[3] is None else figure[1] >= figure[3]) for figure in figures]
    size_b = len(encode_frame(0x10, 0x5A, 1, encode_payload(_batch())))
    return [*table, _row("link.bytes_per_event", size_b / 20, "B", 7.0, holds=size_b / 20 <= 7.0)]


def _row(name: str, value: float, unit: str, target: float | None, *, holds: bool | None) -> dict[str, Any]:
    """Return one line of the table."""
    return {"name": name, "value": value, "unit": unit, "target": target, "holds": holds}


def _interleaved(cases: dict[str, Case]) -> dict[str, float]:
    """Return the median rate of each case, all in turn, RUNS times after a first round that warms caches."""
    samples = [{name: case() for name, case in cases.items()} for _ in range(RUNS + 1)][1:]
    return {name: statistics.median(sample[name] for sample in samples) for name in cases}


def _timed(work: Callable[[], object], count: int) -> Case:
    """Make a case of work that does `count` at a time."""

    def rate() -> float:
        start = time.process_time()
        work()
        return count / (time.process_time() - start)

    return rate


def _batch() -> EjectBatch:
    """Return twenty events."""
    return EjectBatch(1000, 0x00F42400, BatchFlag.NONE, tuple(EjectItem(100 * n, 3 * n, 3, 1500) for n in range(20)))


def _wire_of(payload: bytes, type_: int = 0x90, count: int = FRAMES) -> bytes:
    """Return so many frames."""
    return b"".join(encode_frame(type_, 0x5A, seq, payload) for seq in range(count))


def _fed(make: type[Deframer | NativeDeframer], wire: bytes, count: int) -> Callable[[], None]:
    """Make work that decodes the wire in pieces of 4 KiB, as reads give it."""

    def decode() -> None:
        deframer = make()
        received = sum(len(deframer.feed(wire[at : at + 4096])) for at in range(0, len(wire), 4096))
        assert received == count

    return decode


def _python_cases() -> dict[str, Case]:
    """Return the codec in Python: single frames, and batches of twenty with their messages."""
    payload = encode_payload(_batch())
    batch_wire = _wire_of(payload, 0x10, BATCHES)
    one = _batch()

    def encode_batches() -> None:
        for seq in range(BATCHES):
            encode_frame(0x10, 0x5A, seq, encode_payload(one))

    def decode_batches() -> None:
        for frame in Deframer().feed(batch_wire):
            decode_payload(frame.type, frame.payload)

    return {
        "encode": _timed(lambda: _wire_of(PAYLOAD), FRAMES),
        "decode": _timed(_fed(Deframer, _wire_of(PAYLOAD), FRAMES), FRAMES),
        "encode_batch20": _timed(encode_batches, 20 * BATCHES),
        "decode_batch20": _timed(decode_batches, 20 * BATCHES),
    }


def _cobs_cases() -> dict[str, Case]:
    """Return struct, zlib and the `cobs` package: what most would write."""
    header, crc, wire = struct.Struct("<BBH"), struct.Struct("<I"), _wire_of(PAYLOAD)

    def encode() -> None:
        frames = []
        for seq in range(FRAMES):
            body = header.pack(0x90, 0x5A, seq) + PAYLOAD
            frames.append(cobs.encode(body + crc.pack(zlib.crc32(body))) + b"\0")
        assert b"".join(frames) == wire

    def decode() -> None:
        frames, tail = [], b""
        for at in range(0, len(wire), 4096):
            *pieces, tail = (tail + wire[at : at + 4096]).split(b"\0")
            for piece in pieces:
                body = cobs.decode(piece)
                if zlib.crc32(body) == 0x2144DF1C:
                    frames.append((*header.unpack_from(body), body[4:-4]))
        assert len(frames) == FRAMES

    return {"cobs_encode": _timed(encode, FRAMES), "cobs_decode": _timed(decode, FRAMES)}


def _native_cases(stack: contextlib.ExitStack) -> dict[str, Case]:
    """Return the C codec: through ctypes, over a pseudo-terminal, and alone."""
    count = 10 * FRAMES
    seqs = (np.arange(count) % 65_536).astype(np.uint16)
    types = np.full(count, 0x90, np.uint8)
    answers, events = (np.frombuffer(one * count, np.uint8).reshape(count, -1) for one in (PAYLOAD, EVENT))

    def encoded(payloads: np.ndarray) -> bytes:
        return encode_frames(payloads, types=types, seqs=seqs, epoch8=0x5A).tobytes()

    def decoded(wire: bytes) -> Case:
        def decode() -> None:
            decoder = NativeDecoder()
            assert count == sum(len(decoder.feed(wire[at : at + 4096])) for at in range(0, len(wire), 4096))

        return _timed(decode, count)

    numbers = np.arange(count, dtype=np.uint32)
    threes, pulses = np.full(count, 3, np.uint8), np.full(count, 1500, np.uint16)
    columns = EjectColumns(numbers, 100 * numbers, (numbers % 250).astype(np.uint16), threes, pulses)
    return {
        "c_encode": _timed(lambda: encoded(answers), count),
        "c_decode": decoded(encoded(answers)),
        "c_encode_event": _timed(lambda: encoded(events), count),
        "c_decode_event": decoded(encoded(events)),
        "c_deframer": _timed(_fed(NativeDeframer, _wire_of(PAYLOAD), FRAMES), FRAMES),
        "c_batch20": _timed(lambda: eject_batch_frames(columns, epoch8=0x5A, first_seq=0), count),
        "c_decoder": _decoder_alone(stack),
        "c_pty": _pty_case(stack, NativeDeframer),
    }


def _decoder_alone(stack: contextlib.ExitStack) -> Case:
    """Return the byte-wise decoder without Python: sel_bench.c, compiled here."""
    program = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sel_bench"
    source = Path(__file__).parents[1] / "c" / "sel_bench.c"
    compiler = next(found for name in ("cc", "gcc", "clang") if (found := shutil.which(name)))
    command = [compiler, "-std=c99", "-O2", "-I", str(C_FOLDER), str(source), "-o", str(program)]
    subprocess.run(command, check=True, timeout=120)

    def rate() -> float:
        printed = subprocess.run([program, "8"], check=True, capture_output=True, timeout=120).stdout
        return float(json.loads(printed)["decode_bytes_per_s"]) / 1e6

    return rate


def _pty_cases(stack: contextlib.ExitStack) -> dict[str, Case]:
    """Return the Python decoder over a pseudo-terminal, and pyserial's way to read up to a delimiter."""
    return {"pty": _pty_case(stack, Deframer), "pty_read_until": _read_until_case(stack)}


def _pty_case(stack: contextlib.ExitStack, make: type[Deframer | NativeDeframer]) -> Case:
    """Return frames through a pseudo-terminal in 2 KiB writes, decoder included: one process, one thread."""
    near_fd, far_fd = os.openpty()
    tty.setraw(far_fd)
    near, far = FdTransport(near_fd, "near"), FdTransport(far_fd, "far")
    stack.callback(near.close)
    stack.callback(far.close)
    wire = _wire_of(PAYLOAD)

    def transfer() -> None:
        deframer, received = make(), 0
        for at in range(0, len(wire), 2048):
            near.write(wire[at : at + 2048])
            while data := far.read(65_536, 0.0):
                received += len(deframer.feed(data))
        while received < FRAMES and (data := far.read(65_536, 1.0)):
            received += len(deframer.feed(data))
        assert received == FRAMES

    return _timed(transfer, FRAMES)


def _read_until_case(stack: contextlib.ExitStack) -> Case:
    """Return the same with pyserial's read_until and the `cobs` package, with fewer frames: it is slow."""
    near_fd, far_fd = os.openpty()
    tty.setraw(far_fd)
    port = stack.enter_context(serial.Serial(os.ttyname(far_fd), timeout=1.0))
    stack.callback(os.close, far_fd)
    stack.callback(os.close, near_fd)
    count = FRAMES // 20
    wire = _wire_of(PAYLOAD, count=count)

    def transfer() -> None:
        received = 0
        for at in range(0, len(wire), 2048):
            part = wire[at : at + 2048]
            os.write(near_fd, part)
            for _ in range(part.count(0)):
                body = cobs.decode(port.read_until(b"\0")[:-1])
                received += zlib.crc32(body) == 0x2144DF1C
        assert received == count

    return _timed(transfer, count)


def _session_rate() -> float:
    """Events from `eject` to their outcome, host and virtual board together, 10 000 a second in virtual time."""
    clock, board = ManualClock(), VirtualBoard()
    link = Link(BoardTransport(board, clock), clock, LinkSettings(epoch_seed=1))
    link.connect(1.0)
    link.configure({})
    link.arm(1.0)
    start = time.process_time()
    for number in range(500):
        tick = link.tick_now() + 20_000
        link.eject([EjectEvent((tick + 50 * n) % 2**32, (20 * number + 3 * n) % 250, 3, 1500) for n in range(20)])
        clock.advance_ns(2_000_000)
        link.poll()
        board.take_fired()
    while link.open_events:
        clock.advance_ns(2_000_000)
        link.poll()
    return 10_000 / (time.process_time() - start)


if __name__ == "__main__":
    for figure in rows():
        told = f"target {figure['target']}  holds {figure['holds']}"
        sys.stdout.write(f"{figure['name']:<22}{figure['value']:>14,.6g} {figure['unit']:<10} {told}\n")
