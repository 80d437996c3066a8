"""The sending end of bulk transfers, for either end: blocks in a window, holes repeated at once, resumed by itself.

A pure state machine without I/O and without a clock. It never gives up: the end of a session is a pause. Everything
else on the line goes first, which is the caller's to send. wire-protocol.md, bulk class.

>>> from firmware_bridge.bulk_receiver import BulkReceiver
>>> sender, receiver = BulkSender(), BulkReceiver()
>>> sender.submit(b"grain" * 100, TransferKind.FILE, "seed.txt")
1
>>> sender.start_session(max_body_b=1032, rx_window_b=4096)
>>> sender.on_ack(receiver.on_open(sender.next_message(now_ns=0, is_quiet=True)), now_ns=1_000_000)
>>> data = sender.next_message(now_ns=1_000_000, is_quiet=True)
>>> data.offset, len(data.data)
(0, 500)
>>> sender.on_done(receiver.on_data(data))
>>> sender.take_events()
[TransferProgress(transfer_no=1, done_b=500, size_b=500), TransferDone(transfer_no=1, status=<TransferStatus.OK: 0>)]
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from firmware_bridge.control_plane import RttEstimate
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import MIN_BODY_B
from firmware_bridge.line_pace import LinePace
from firmware_bridge.link_events import TransferDone, TransferProgress
from firmware_bridge.messages import (
    MAX_BLOCK_B,
    TransferKind,
    TransferStatus,
    XferAck,
    XferData,
    XferDone,
    XferOpen,
)

__all__ = ["MAX_NAME_B", "WINDOW_BLOCKS", "BulkRules", "BulkSender"]

WINDOW_BLOCKS: Final = 32  # from the first missing block on: what XFER_ACK.bitmap can tell about
MAX_NAME_B: Final = 64
_MAX_DATA_B: Final = 1012
_DATA_HEAD_B: Final = MIN_BODY_B + 12  # frame, and transfer_id with offset
_COBS_GROUP_B: Final = 254
_MIN_BLOCK_B: Final = 64  # shorter ones are mostly head, and each wants an answer on the way back
_MS: Final = 1_000_000
_U32: Final = 0xFFFFFFFF
_MAX_DOUBLINGS: Final = 3


class BulkRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the line bulk may take.

    Attributes:
        line_baud: rate of the line; 0 for media without one (USB, TCP), or where it is not known.
        busy_line_ms: while ejections go on, bulk never puts more than this before anything else.
        busy_blocks: nor does it have more blocks unacknowledged than these, or than that time holds; one where
            line_baud is not known.
        quiet_line_ms: the same as busy_line_ms at other times; at least the pause between two polls, or the line idles.
        rto_min_ms: shortest silence after which the receiver is asked what it has; above one long frame and its answer.
        rto_max_ms: longest such silence before anything was measured and before doubling.
    """

    line_baud: int = 0
    busy_line_ms: float = 4.0  # a frame of 254 B at 921,600 baud, and the pause between two polls
    busy_blocks: int = 3
    quiet_line_ms: float = 25.0
    rto_min_ms: int = 20
    rto_max_ms: int = 200


@dataclass(frozen=True, slots=True)
class _Job:
    """Bytes to send."""

    number: int
    data: bytes
    sha256_16: bytes
    kind: TransferKind
    name: bytes


@dataclass(slots=True)
class _Flight:
    """A block without an acknowledgement; orders count frames."""

    first_order: int
    last_order: int
    sent_ns: int
    is_repeated: bool = False
    is_lost: bool = False


@dataclass(slots=True)
class _Attempt:
    """One job in one session: what the receiver is known to have."""

    transfer_id: int
    block_b: int
    blocks: int
    is_open: bool = False  # the receiver has answered since OPEN was last sent
    cum: int = 0  # blocks in order that are there
    arrived: set[int] = field(default_factory=set)  # others that are there
    flights: dict[int, _Flight] = field(default_factory=dict)
    newest_order: int = 0  # of the frames that have arrived for certain
    timeouts: int = 0
    deadline_ns: int | None = None

    @property
    def flying(self) -> int:
        return sum(not flight.is_lost for flight in self.flights.values())

    def is_wanted(self, block: int) -> bool:
        """Tell whether the block should be sent now."""
        flight = self.flights.get(block)
        return block not in self.arrived and (flight is None or flight.is_lost)


class BulkSender:
    """Sends one transfer after another, in the order they were submitted.

    Args:
        rules: share of the line.
    """

    def __init__(self, rules: BulkRules | None = None) -> None:
        self.rtt = RttEstimate()
        self.sent_b = 0  # payload of all DATA, repeats included
        self.repeated_b = 0
        self.timeouts = 0
        self._rules = rules or BulkRules()
        self._pace = LinePace(self._rules.line_baud)
        self._jobs: deque[_Job] = deque()
        self._jobs_made = self._ids_used = self._order = 0
        self._max_body_b: int | None = None  # None: no session
        self._rx_window_b = 0
        self._attempt: _Attempt | None = None
        self._progress: TransferProgress | None = None  # not yet told
        self._events: list[TransferProgress | TransferDone] = []

    @property
    def open_transfers(self) -> int:
        """Return how many transfers have no outcome yet."""
        return len(self._jobs)

    def submit(self, data: bytes, kind: TransferKind, name: str) -> int:
        """Queue bytes and return their number; they will have exactly one TransferDone.

        Args:
            data: any length; hashed here, about 2 ms a megabyte.
            kind: what the receiver shall take them for.
            name: at most 64 B of UTF-8.

        Raises:
            MessageError: the name is too long.
        """
        name_b = name.encode()
        if len(name_b) > MAX_NAME_B:
            raise MessageError(f"transfer name {name!r}: {len(name_b)} B of UTF-8 > {MAX_NAME_B}: shorten it")
        self._jobs_made += 1
        self._jobs.append(_Job(self._jobs_made, data, hashlib.sha256(data).digest()[:16], kind, name_b))
        return self._jobs_made

    def start_session(self, *, max_body_b: int | None, rx_window_b: int) -> None:
        """Begin or go on.

        Args:
            max_body_b: longest frame body that the other end takes; None where it takes no transfers, which ends all.
            rx_window_b: bytes that it can buffer.
        """
        while max_body_b is None and self._jobs:
            self._end(TransferStatus.REFUSED)
        self._max_body_b, self._rx_window_b = max_body_b, rx_window_b
        self._attempt = None

    def end_session(self) -> None:
        """Pause until the next session."""
        self._max_body_b = self._attempt = None

    def take_events(self) -> list[TransferProgress | TransferDone]:
        """Return the latest progress, if it changed, and the outcomes since the last call."""
        self._tell_progress()
        events, self._events = self._events, []
        return events

    def count_sent(self, size_b: int, now_ns: int) -> None:
        """Take into account bytes that were put on the line just now: those of every class."""
        self._pace.add(size_b, now_ns)

    # ----- sending

    def next_message(self, now_ns: int, *, is_quiet: bool) -> XferOpen | XferData | None:
        """Return the message to put on the line now, None when there is none or others should have the line.

        Args:
            now_ns: never goes back.
            is_quiet: nothing on the line is urgent.
        """
        if self._max_body_b is None or not self._jobs:
            return None
        attempt = self._attempt or self._begin(self._max_body_b)
        if attempt.deadline_ns is not None and now_ns >= attempt.deadline_ns:
            self._ask_again(attempt)
        if not attempt.is_open:
            return self._open_due(attempt, now_ns, is_quiet=is_quiet)
        return self._data_due(attempt, self._max_body_b, now_ns, is_quiet=is_quiet)

    def _begin(self, max_body_b: int) -> _Attempt:
        """Give the first job an id not used before, so that no late answer is taken for one to this attempt."""
        self._ids_used = self._ids_used % _U32 + 1
        block_b = max(min(MAX_BLOCK_B, max_body_b - _DATA_HEAD_B, self._block_limit_b()), 1)
        blocks = -(-len(self._jobs[0].data) // block_b)
        self._attempt = _Attempt(self._ids_used, block_b, blocks)
        return self._attempt

    def _block_limit_b(self) -> int:
        """Return how much keeps the line busy for no longer than bulk may: on a slow line less than a full block."""
        if not self._rules.line_baud:
            return MAX_BLOCK_B
        whole_b = int(self._rules.busy_line_ms * self._rules.line_baud / 10_000)
        return max(whole_b - _DATA_HEAD_B - 2, _MIN_BLOCK_B)

    def _ask_again(self, attempt: _Attempt) -> None:
        """Take all that flies for lost, and let an OPEN ask what is there."""
        self.timeouts += 1
        attempt.timeouts += 1
        attempt.is_open = False
        attempt.deadline_ns = None
        for flight in attempt.flights.values():
            flight.is_lost = True

    def _open_due(self, attempt: _Attempt, now_ns: int, *, is_quiet: bool) -> XferOpen | None:
        job = self._jobs[0]
        wire_b = _wire_b(MIN_BODY_B + 31 + len(job.name))
        if attempt.deadline_ns is not None or not self._has_line(wire_b, now_ns, is_quiet=is_quiet):
            return None
        self._restart_timer(attempt, now_ns)
        return XferOpen(attempt.transfer_id, len(job.data), job.sha256_16, job.kind, attempt.block_b, job.name)

    def _data_due(self, attempt: _Attempt, max_body_b: int, now_ns: int, *, is_quiet: bool) -> XferData | None:
        most = self._blocks_a_frame(attempt, max_body_b, is_quiet=is_quiet)
        first, count = self._next_blocks(attempt, most)
        if count == 0:
            return None
        flying = attempt.flying
        if flying and flying + count > self._blocks_in_flight(attempt, most, is_quiet=is_quiet):
            return None
        start = first * attempt.block_b
        data = self._jobs[0].data[start : start + count * attempt.block_b]
        wire_b = _wire_b(_DATA_HEAD_B + len(data))
        if not self._has_line(wire_b, now_ns, is_quiet=is_quiet):
            return None
        self._note_sent(attempt, range(first, first + count), now_ns)
        self.sent_b += len(data)
        return XferData(attempt.transfer_id, start, data)

    def _next_blocks(self, attempt: _Attempt, most: int) -> tuple[int, int]:
        """Return the first block to send and how many from it on; none while a full frame is in reach."""
        limit = min(attempt.cum + WINDOW_BLOCKS, attempt.blocks)
        first = next((block for block in range(attempt.cum, limit) if attempt.is_wanted(block)), limit)
        end = first
        while end < limit and end - first < most and attempt.is_wanted(end):
            end += 1
        is_cut_by_window = end == limit < attempt.blocks and 0 < end - first < most
        if end == first or (is_cut_by_window and attempt.flying):
            return 0, 0
        return first, end - first

    def _blocks_a_frame(self, attempt: _Attempt, max_body_b: int, *, is_quiet: bool) -> int:
        if not is_quiet:
            return 1
        blocks = min(max_body_b - _DATA_HEAD_B, _MAX_DATA_B) // attempt.block_b
        limit_ns = self._rules.quiet_line_ms * _MS
        while blocks > 1 and self._pace.time_ns(_wire_b(_DATA_HEAD_B + blocks * attempt.block_b)) > limit_ns:
            blocks -= 1
        return blocks

    def _blocks_in_flight(self, attempt: _Attempt, most: int, *, is_quiet: bool) -> int:
        """Return how many blocks may be unacknowledged: the receiver's buffer is not for bulk alone."""
        frame_b = _wire_b(_DATA_HEAD_B + most * attempt.block_b)
        if is_quiet:
            return min(WINDOW_BLOCKS, self._rx_window_b // frame_b * most)
        if not self._rules.line_baud:
            return 1
        by_line = int(self._rules.busy_line_ms * _MS) // self._pace.time_ns(frame_b)
        return max(self._rules.busy_blocks, min(by_line, self._rx_window_b // 2 // frame_b))

    def _has_line(self, wire_b: int, now_ns: int, *, is_quiet: bool) -> bool:
        """Tell whether whatever comes after this frame waits no longer than allowed; an idle line is always free."""
        backlog_ns = self._pace.backlog_ns(now_ns)
        limit_ms = self._rules.quiet_line_ms if is_quiet else self._rules.busy_line_ms
        return backlog_ns == 0 or backlog_ns + self._pace.time_ns(wire_b) <= limit_ms * _MS

    def _note_sent(self, attempt: _Attempt, blocks: range, now_ns: int) -> None:
        self._order += 1
        for block in blocks:
            flight = attempt.flights.get(block)
            if flight is None:
                attempt.flights[block] = _Flight(self._order, self._order, now_ns)
            else:
                flight.last_order, flight.sent_ns = self._order, now_ns
                flight.is_repeated, flight.is_lost = True, False
                self.repeated_b += attempt.block_b
        self._restart_timer(attempt, now_ns)

    def _restart_timer(self, attempt: _Attempt, now_ns: int) -> None:
        """Allow the silence of an answer that is on its way, behind all that waits on the line."""
        rules = self._rules
        ceiling_ns = rules.rto_max_ms * _MS
        patience_ns = self.rtt.timeout_ns(rules.rto_min_ms * _MS, ceiling_ns) if self.rtt.samples else ceiling_ns
        doublings = min(attempt.timeouts, _MAX_DOUBLINGS)
        attempt.deadline_ns = now_ns + (patience_ns << doublings) + self._pace.backlog_ns(now_ns)

    # ----- answers

    def on_ack(self, ack: XferAck, now_ns: int) -> None:
        """Take what the receiver has; answers to other attempts and impossible ones change nothing."""
        attempt = self._attempt
        if attempt is None or ack.transfer_id != attempt.transfer_id or ack.cum % attempt.block_b:
            return
        cum = ack.cum // attempt.block_b
        if cum > attempt.blocks:
            return
        last = min(cum + WINDOW_BLOCKS, attempt.blocks - 1)
        ahead = {block for block in range(cum + 1, last + 1) if ack.bitmap >> (block - cum - 1) & 1}
        if not attempt.is_open and (cum < attempt.cum or any(cum <= block for block in attempt.arrived - ahead)):
            # It has forgotten blocks, or this answer was overtaken: only one to a new id can tell.
            self._begin_anew()
            return
        attempt.is_open = True
        attempt.timeouts = 0
        self._note_arrived(attempt, cum, ahead, now_ns)
        self._restart_timer(attempt, now_ns)
        self._note_progress(attempt)

    def _begin_anew(self) -> None:
        if self._max_body_b is not None:
            self._begin(self._max_body_b)

    def _note_arrived(self, attempt: _Attempt, cum: int, ahead: set[int], now_ns: int) -> None:
        landed = [block for block in attempt.flights if block < cum or block in ahead]
        flights = [attempt.flights.pop(block) for block in landed]
        attempt.cum = max(attempt.cum, cum)
        attempt.arrived = {block for block in attempt.arrived | ahead if block >= attempt.cum}
        if not flights:
            return
        newest = max(flights, key=lambda flight: flight.first_order)
        if not newest.is_repeated:
            self.rtt.add(now_ns - newest.sent_ns)
        # The line keeps order: what left before something that has arrived, and is not there, will not come.
        attempt.newest_order = max(attempt.newest_order, newest.first_order)
        for flight in attempt.flights.values():
            flight.is_lost = flight.is_lost or flight.last_order < attempt.newest_order

    def on_done(self, done: XferDone) -> None:
        """Take the receiver's verdict and turn to the next transfer; verdicts on other attempts change nothing."""
        attempt = self._attempt
        if attempt is None or done.transfer_id != attempt.transfer_id:
            return
        if done.status is TransferStatus.OK:
            attempt.cum = attempt.blocks
            self._note_progress(attempt)
        self._end(done.status)

    def _end(self, status: TransferStatus) -> None:
        self._tell_progress()
        self._events.append(TransferDone(self._jobs.popleft().number, status))
        self._attempt = None

    def _note_progress(self, attempt: _Attempt) -> None:
        job = self._jobs[0]
        done_b = min(attempt.cum * attempt.block_b, len(job.data))
        self._progress = TransferProgress(job.number, done_b, len(job.data))

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._events.append(self._progress)
            self._progress = None


def _wire_b(body_b: int) -> int:
    """Return the most bytes that a body takes on the wire."""
    return body_b + body_b // _COBS_GROUP_B + 2
