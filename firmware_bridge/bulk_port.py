"""Both directions of bulk transfer at one end of a session: what its owner, host or controller, holds.

>>> from firmware_bridge.endpoint import Endpoint
>>> from firmware_bridge.messages import TransferKind
>>> ends = Endpoint(is_host=True, max_body_b=1032), Endpoint(is_host=False, max_body_b=1032)
>>> ports = BulkPort(), BulkPort()
>>> for end, port in zip(ends, ports):
...     end.start_session(0x5A)
...     port.start_session(max_body_b=1032, rx_window_b=4096)
>>> number = ports[0].sender.submit(bytes(2000), TransferKind.FILE, "zeros")
>>> for now_ns in range(0, 9_000_000, 1_000_000):
...     for here, there in ((0, 1), (1, 0)):
...         for message, _ in ends[there].receive(ports[here].due(now_ns, ends[here].encode, is_quiet=True), now_ns):
...             ports[there].take(message, now_ns)
>>> ports[0].take_events()[-1].status.name, len(ports[1].take_events()[-1].data)
('OK', 2000)
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.bulk_sender import BulkRules, BulkSender
from firmware_bridge.link_events import TransferDone, TransferProgress, TransferReceived
from firmware_bridge.messages import Message, XferAck, XferData, XferDone, XferOpen

__all__ = ["BulkMessage", "BulkPort"]

BulkMessage: TypeAlias = XferOpen | XferData | XferAck | XferDone
_MAX_ANSWERS: Final = 8  # that wait at a time; the sender asks again for what is left out


class BulkPort:
    """One end's sender and receiver, and the answers that wait to leave.

    Args:
        rules: share of the line.
        receiver: what this end takes; None takes every kind up to the usual size.
    """

    def __init__(self, rules: BulkRules | None = None, receiver: BulkReceiver | None = None) -> None:
        self.sender = BulkSender(rules)
        self.receiver = receiver or BulkReceiver()
        self._answers: list[XferAck | XferDone] = []

    def start_session(self, *, max_body_b: int | None, rx_window_b: int) -> None:
        """Go on with what is unfinished.

        Args:
            max_body_b: longest frame body that the other end takes; None where it takes no transfers, which ends all.
            rx_window_b: bytes that it can buffer.
        """
        self.receiver.end_session()  # of the session before
        self._answers.clear()
        self.sender.start_session(max_body_b=max_body_b, rx_window_b=rx_window_b)

    def end_session(self) -> None:
        """Pause; both directions remember how far they came."""
        self.receiver.end_session()
        self._answers.clear()
        self.sender.end_session()

    def take(self, message: BulkMessage, now_ns: int) -> None:
        """Act on a message of the other end."""
        match message:
            case XferOpen():
                self._answer(self.receiver.on_open(message))
            case XferData():
                self._answer(self.receiver.on_data(message))
            case XferAck():
                self.sender.on_ack(message, now_ns)
            case XferDone():
                self.sender.on_done(message)

    def due(self, now_ns: int, encode: Callable[[Message], bytes], *, is_quiet: bool, others_b: int = 0) -> bytes:
        """Return the bytes to put on the line behind everything else.

        Args:
            now_ns: never goes back.
            encode: makes the frame of a message.
            is_quiet: nothing on the line is urgent.
            others_b: bytes of other classes that leave just before.
        """
        frames = [encode(answer) for answer in self._answers]
        self._answers.clear()
        self.sender.count_sent(others_b + sum(map(len, frames)), now_ns)
        while (message := self.sender.next_message(now_ns, is_quiet=is_quiet)) is not None:
            frames.append(encode(message))
            self.sender.count_sent(len(frames[-1]), now_ns)
        return b"".join(frames)

    def take_events(self) -> list[TransferProgress | TransferDone | TransferReceived]:
        """Return what happened since the last call, in both directions."""
        return [*self.sender.take_events(), *self.receiver.take_received()]

    def _answer(self, answer: XferAck | XferDone | None) -> None:
        """Queue an answer; an acknowledgement says all that the one before it said."""
        if answer is None:
            return
        last = self._answers[-1] if self._answers else None
        if isinstance(last, XferAck) and last.transfer_id == answer.transfer_id:
            self._answers.pop()
        if len(self._answers) < _MAX_ANSWERS:
            self._answers.append(answer)
