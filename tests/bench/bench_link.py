"""Speed of the link in pure Python: CPU seconds of one core, medians of several runs.

`python tests/bench/bench_link.py` prints the table; `rows()` gives it to whoever collects all benches.
"""

import os
import statistics
import sys
import time
import tty
from collections.abc import Callable
from typing import Any

from firmware_bridge.clock import ManualClock
from firmware_bridge.codec import decode_payload, encode_payload
from firmware_bridge.framing import Deframer, encode_frame
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent
from firmware_bridge.messages import BatchFlag, EjectBatch, EjectItem
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_fd import FdTransport
from firmware_bridge.virtual_board import VirtualBoard

__all__ = ["rows"]

RUNS = 5
FRAMES = 20_000
PAYLOAD = bytes.fromhex("e80300000024f40200002011")  # 12 B with zeros, as ticks and ids have them


def rows() -> list[dict[str, Any]]:
    """Return one row a figure: name, value, unit, target (None where it is only told), holds."""
    return [
        _row("link.encode", _rate(_encode, FRAMES), "frames/s", 200_000),
        _row("link.decode", _rate(_decoder(), FRAMES), "frames/s", 200_000),
        _row("link.encode_batch20", _rate(_encode_batches, 40_000), "events/s", None),
        _row("link.decode_batch20", _rate(_batch_decoder(), 40_000), "events/s", None),
        _row("link.pty", statistics.median(_pty_rate() for _ in range(RUNS)), "frames/s", 300_000),
        _row("link.session", statistics.median(_session_rate() for _ in range(3)), "events/s", 10_000),
    ]


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value),
        "unit": unit,
        "target": target,
        "holds": target is None or value >= target,
    }


def _rate(work: Callable[[], None], count: int) -> float:
    def once() -> float:
        start = time.process_time()
        work()
        return count / (time.process_time() - start)

    return statistics.median(once() for _ in range(RUNS))


def _encode() -> None:
    for seq in range(FRAMES):
        encode_frame(0x90, 0x5A, seq, PAYLOAD)


def _decoder() -> Callable[[], None]:
    wire = b"".join(encode_frame(0x90, 0x5A, seq, PAYLOAD) for seq in range(FRAMES))

    def decode() -> None:
        deframer = Deframer()
        for start in range(0, len(wire), 4096):
            deframer.feed(wire[start : start + 4096])
        assert deframer.counters.good == FRAMES

    return decode


def _batch() -> EjectBatch:
    return EjectBatch(1000, 0x00F42400, BatchFlag.NONE, tuple(EjectItem(100 * n, 3 * n, 3, 1500) for n in range(20)))


def _encode_batches() -> None:
    batch = _batch()
    for seq in range(2000):
        encode_frame(0x10, 0x5A, seq, encode_payload(batch))


def _batch_decoder() -> Callable[[], None]:
    payload = encode_payload(_batch())
    wire = b"".join(encode_frame(0x10, 0x5A, seq, payload) for seq in range(2000))

    def decode() -> None:
        for frame in Deframer().feed(wire):
            decode_payload(frame.type, frame.payload)

    return decode


def _pty_rate() -> float:
    """Frames through a pseudo-terminal in 4 KiB writes, framing decoder included: one process, one thread."""
    near_fd, far_fd = os.openpty()
    tty.setraw(far_fd)
    near, far = FdTransport(near_fd, "near"), FdTransport(far_fd, "far")
    wire = b"".join(encode_frame(0x90, 0x5A, seq, PAYLOAD) for seq in range(FRAMES))
    deframer = Deframer()
    start = time.process_time()
    for at in range(0, len(wire), 2048):
        near.write(wire[at : at + 2048])
        while data := far.read(65_536, 0.0):
            deframer.feed(data)
    while deframer.counters.good < FRAMES and (data := far.read(65_536, 1.0)):
        deframer.feed(data)
    spent_s = time.process_time() - start
    near.close()
    far.close()
    assert deframer.counters.good == FRAMES
    return FRAMES / spent_s


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
    for row in rows():
        sys.stdout.write(
            f"{row['name']:<22}{row['value']:>12,} {row['unit']:<10} target {row['target']}  holds {row['holds']}\n"
        )
