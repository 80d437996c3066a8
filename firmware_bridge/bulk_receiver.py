"""The receiving end of bulk transfers, for either end: keeps what came, says what is missing, checks the whole.

A pure state machine without I/O and without a clock; c/sel_bulk.h is its twin and answers the same, byte for byte.
It must not know frames, sessions or where the bytes go afterwards. wire-protocol.md, bulk class.

>>> from hashlib import sha256
>>> open_ = XferOpen(7, 5, sha256(b"grain").digest()[:16], TransferKind.FILE, 4, b"seed.txt")
>>> receiver = BulkReceiver()
>>> receiver.on_open(open_).cum
0
>>> bin(receiver.on_data(XferData(7, 4, b"n")).bitmap)  # the second block came first
'0b1'
>>> receiver.on_data(XferData(7, 0, b"grai")).status.name
'OK'
>>> receiver.take_received()
[TransferReceived(kind=<TransferKind.FILE: 0>, name='seed.txt', data=b'grain')]
"""

import hashlib
from typing import Final

from firmware_bridge.link_events import TransferReceived
from firmware_bridge.messages import TransferKind, TransferStatus, XferAck, XferData, XferDone, XferOpen

__all__ = ["MAX_RECEIVE_B", "BulkReceiver"]

MAX_RECEIVE_B: Final = 16 << 20
_AHEAD_BLOCKS: Final = 32  # bits of XFER_ACK.bitmap
_U32: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
_ALL_KINDS: Final = frozenset(TransferKind)


class BulkReceiver:
    """Takes one transfer at a time and remembers an unfinished one until another begins.

    Args:
        max_size_b: longer transfers are answered NO_SPACE.
        kinds: others are answered REFUSED.
    """

    def __init__(self, max_size_b: int = MAX_RECEIVE_B, kinds: frozenset[TransferKind] = _ALL_KINDS) -> None:
        self._max_size_b = max_size_b
        self._kinds = kinds
        self._id: int | None = None  # by which DATA may come; None until an OPEN of this session
        self._open: XferOpen | None = None
        self._status: TransferStatus | None = None  # None while blocks are missing
        self._received: list[TransferReceived] = []
        self._cum_b = 0
        self._data = bytearray()  # all before the first gap, until the transfer is over
        self._ahead: dict[int, bytes] = {}  # block -> bytes behind the gap
        self._hash = hashlib.sha256()

    @property
    def progress(self) -> tuple[int, int] | None:
        """Return how many bytes in order are there and of how many, None before the first transfer."""
        return None if self._open is None else (self._cum_b, self._open.size_b)

    def on_open(self, open_: XferOpen) -> XferAck | XferDone | None:
        """Begin a transfer, or go on with the one remembered when all but its id is the same; return the answer.

        Note: bytes that have arrived well are not taken twice: their OPEN is answered OK at once. An OPEN older than
        the one of this session is a late copy: no answer.
        """
        if self._id is not None and (open_.transfer_id - self._id) & _U32 >= _HALF:
            return None
        if self._is_known(open_):
            self._id = open_.transfer_id
            return self._answer(open_)
        if open_.kind not in self._kinds:
            return XferDone(open_.transfer_id, TransferStatus.REFUSED, open_.sha256_16)
        if open_.size_b > self._max_size_b:
            return XferDone(open_.transfer_id, TransferStatus.NO_SPACE, open_.sha256_16)
        self._id, self._open, self._status = open_.transfer_id, open_, None
        self._cum_b, self._data, self._ahead, self._hash = 0, bytearray(), {}, hashlib.sha256()
        self._finish_if_whole(open_)
        return self._answer(open_)

    def on_data(self, data: XferData) -> XferAck | XferDone | None:
        """Take blocks and return the answer, None when they belong to no transfer opened in this session."""
        open_ = self._open
        if open_ is None or data.transfer_id != self._id:
            return None
        if self._status is None and _is_whole_blocks(data, open_):
            self._keep(data, open_)
            self._close_gap(open_)
            self._finish_if_whole(open_)
        return self._answer(open_)

    def end_session(self) -> None:
        """Take no more DATA until the sender opens the transfer again; what is there stays."""
        self._id = None

    def take_received(self) -> list[TransferReceived]:
        """Return the transfers that have become whole since the last call, each once."""
        received, self._received = self._received, []
        return received

    def _is_known(self, open_: XferOpen) -> bool:
        """Tell whether this is the transfer at hand; one that failed is known under its own id only."""
        mine = self._open
        if mine is None or _identity(mine) != _identity(open_):
            return False
        return self._status in {None, TransferStatus.OK} or open_.transfer_id == self._id

    def _keep(self, data: XferData, open_: XferOpen) -> None:
        first = data.offset // open_.block_b
        next_block = self._cum_b // open_.block_b
        for start in range(0, len(data.data), open_.block_b):
            block = first + start // open_.block_b
            if next_block <= block <= next_block + _AHEAD_BLOCKS:
                self._ahead.setdefault(block, data.data[start : start + open_.block_b])

    def _close_gap(self, open_: XferOpen) -> None:
        block = self._cum_b // open_.block_b
        while (piece := self._ahead.pop(block, None)) is not None:
            self._data += piece
            self._hash.update(piece)
            self._cum_b += len(piece)
            block += 1

    def _finish_if_whole(self, open_: XferOpen) -> None:
        if self._cum_b < open_.size_b:
            return
        is_right = self._hash.digest()[:16] == open_.sha256_16
        self._status = TransferStatus.OK if is_right else TransferStatus.BAD_HASH
        if is_right:
            name = open_.name.decode(errors="replace")
            self._received.append(TransferReceived(open_.kind, name, bytes(self._data)))
        self._data = bytearray()

    def _answer(self, open_: XferOpen) -> XferAck | XferDone:
        assert self._id is not None, "set by every OPEN that was taken"
        if self._status is not None:
            return XferDone(self._id, self._status, self._hash.digest()[:16])
        next_block = self._cum_b // open_.block_b
        bitmap = sum(1 << (block - next_block - 1) for block in self._ahead)
        return XferAck(self._id, self._cum_b, bitmap)


def _identity(open_: XferOpen) -> tuple[int, bytes, TransferKind, int, bytes]:
    return (open_.size_b, open_.sha256_16, open_.kind, open_.block_b, open_.name)


def _is_whole_blocks(data: XferData, open_: XferOpen) -> bool:
    """Tell whether the data lies where blocks lie; only the last block of the transfer may be shorter."""
    end = data.offset + len(data.data)
    is_cut_right = len(data.data) % open_.block_b == 0 or end == open_.size_b
    return data.offset % open_.block_b == 0 and end <= open_.size_b and is_cut_right
