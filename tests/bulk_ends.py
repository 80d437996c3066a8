"""Both ends of bulk transfers as tests drive them: a sender in a session, a receiver, their messages by hand."""

import hashlib

from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.bulk_sender import BulkRules, BulkSender
from firmware_bridge.link_events import TransferDone
from firmware_bridge.messages import TransferKind, TransferStatus, XferAck, XferData, XferDone, XferOpen

MS = 1_000_000
FILE = TransferKind.FILE


def noise(size_b: int, seed: int = 1) -> bytes:
    return hashlib.shake_128(bytes((seed,))).digest(size_b)


def opening(data: bytes, *, transfer_id: int = 1, block_b: int = 10, kind: TransferKind = FILE) -> XferOpen:
    return XferOpen(transfer_id, len(data), hashlib.sha256(data).digest()[:16], kind, block_b, b"name")


def sender_up(data: bytes, rules: BulkRules | None = None, *, max_body_b: int = 1032) -> BulkSender:
    sender = BulkSender(rules)
    sender.submit(data, FILE, "name")
    sender.start_session(max_body_b=max_body_b, rx_window_b=65_535)
    return sender


def messages_due(sender: BulkSender, now_ns: int, *, is_quiet: bool = True) -> list[XferOpen | XferData]:
    due = []
    while (message := sender.next_message(now_ns, is_quiet=is_quiet)) is not None:
        due.append(message)
    return due


def data_due(sender: BulkSender, now_ns: int, *, is_quiet: bool = True) -> list[XferData]:
    return [item for item in messages_due(sender, now_ns, is_quiet=is_quiet) if isinstance(item, XferData)]


def answer(receiver: BulkReceiver, message: XferOpen | XferData) -> XferAck | XferDone | None:
    return receiver.on_open(message) if isinstance(message, XferOpen) else receiver.on_data(message)


def hear(sender: BulkSender, message: XferAck | XferDone | None, now_ns: int) -> None:
    if isinstance(message, XferAck):
        sender.on_ack(message, now_ns)
    elif message is not None:
        sender.on_done(message)


def run_to_end(sender: BulkSender, receiver: BulkReceiver, start_ns: int = 0) -> None:
    """Step both over a line that loses nothing."""
    for now_ns in range(start_ns, start_ns + 20_000 * MS, MS):
        for message in messages_due(sender, now_ns):
            hear(sender, answer(receiver, message), now_ns)
        if not sender.open_transfers:
            return


def outcomes(sender: BulkSender) -> list[TransferStatus]:
    return [event.status for event in sender.take_events() if isinstance(event, TransferDone)]
