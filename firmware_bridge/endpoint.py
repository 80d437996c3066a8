"""What both ends of a session share: sequence numbers, the epoch filter, the control class. No I/O, no clock.

>>> from firmware_bridge.messages import ClockReq
>>> host, board = Endpoint(is_host=True), Endpoint(is_host=False)
>>> host.start_session(0x5A); board.start_session(0x5A)
>>> [item.message for item in board.receive(host.encode(ClockReq(token=7)), now_ns=0)]
[ClockReq(token=7)]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_bridge.codec import (
    MESSAGE_TABLE,
    MUST_UNDERSTAND_BIT,
    TO_HOST_BIT,
    Delivery,
    decode_payload,
    encode_payload,
    message_type,
)
from firmware_bridge.control_plane import WINDOW, ControlReceiver, ControlSender
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import MAX_BODY_B, Deframer, Frame, encode_frame
from firmware_bridge.messages import CtrlAck, ErrorCode, ErrorReport, Message

__all__ = ["MAX_LONG_BODY_B", "SESSION_EPOCH8", "Endpoint", "EndpointCounters", "Received"]

SESSION_EPOCH8: Final = 0  # HELLO and IDENT belong to no session
MAX_LONG_BODY_B: Final = 1032  # of bulk, where the other end takes so much; every host does
_SEQ_MASK: Final = 0xFFFF
_REPLY_ROOM: Final = 16  # messages of the control class that a controller can hold
_MAX_ERRORS: Final = 8  # refused frames of one feed that are told about


class Received(NamedTuple):
    """One message that passed every check, with the number of its frame."""

    message: Message
    seq: int


@dataclass(slots=True)
class EndpointCounters:
    """Intact frames that were not taken, and frames that never came."""

    unknown: int = 0
    wrong_way: int = 0
    bad_payload: int = 0
    stale_epoch: int = 0
    of_session: int = 0  # of this session, whatever they hold: they prove that the other end lives
    out_of_order: int = 0
    telemetry_gaps: int = 0
    bulk_gaps: int = 0


class Endpoint:
    """One end of the link below its rules.

    Args:
        is_host: which direction this end sends in.
        max_body_b: longest frame body this end takes.
    """

    def __init__(self, *, is_host: bool, max_body_b: int = MAX_BODY_B) -> None:
        self.deframer = Deframer(max_body_b)
        self.counters = EndpointCounters()
        self._is_host = is_host
        self.start_session(SESSION_EPOCH8)

    def start_session(self, epoch8: int) -> None:
        """Forget everything of the session before; 0 means there is none."""
        self.epoch8 = epoch8
        self.control = ControlSender(gives_up=self._is_host)
        self._control_in = ControlReceiver()
        self._seqs = {Delivery.EJECT: 0, Delivery.TELEMETRY: 0, Delivery.BULK: 0}
        self._seqs_in: dict[Delivery, int] = {}
        self._errors: list[ErrorReport] = []

    @property
    def next_eject_seq(self) -> int:
        """Return the number that the next frame of the eject class will carry."""
        return self._seqs[Delivery.EJECT]

    def encode(self, message: Message) -> bytes:
        """Return the frame of an eject, telemetry or bulk message, numbered within its class.

        Raises:
            MessageError: a value is out of range or the message does not travel in this direction.
        """
        type_id = message_type(message, to_host=not self._is_host)
        delivery = MESSAGE_TABLE[type_id].delivery
        seq = self._seqs[delivery]
        self._seqs[delivery] = (seq + 1) & _SEQ_MASK
        max_body_b = MAX_LONG_BODY_B if delivery is Delivery.BULK else MAX_BODY_B
        return encode_frame(type_id, self.epoch8, seq, encode_payload(message), max_body_b=max_body_b)

    def encode_session(self, message: Message, token: int) -> bytes:
        """Return the frame of a HELLO or IDENT; the answer carries the number of the question.

        Raises:
            MessageError: a value is out of range or the message does not travel in this direction.
        """
        type_id = message_type(message, to_host=not self._is_host)
        return encode_frame(type_id, SESSION_EPOCH8, token, encode_payload(message))

    def push_control(self, message: Message) -> None:
        """Queue a control message; `flush` puts it on the wire.

        Raises:
            MessageError: a value is out of range or the message does not travel in this direction.
        """
        self.control.push(message_type(message, to_host=not self._is_host), encode_payload(message))

    def flush(self, now_ns: int) -> bytes:
        """Return the frames that the control class has to send now, acknowledgement first."""
        parts: list[bytes] = []
        if self._control_in.is_ack_due:
            self._control_in.is_ack_due = False
            parts.append(self.encode(CtrlAck(self._control_in.next_seq, min(WINDOW, self._reply_room()))))
        parts += [self.encode(error) for error in self._errors]
        self._errors.clear()
        due = self.control.due(now_ns)
        parts += [encode_frame(item.type_id, self.epoch8, item.seq, item.payload) for item in due]
        return b"".join(parts)

    def receive(self, data: bytes, now_ns: int) -> Iterator[Received]:
        """Yield the messages that `data` completes; never raises, whatever the bytes.

        Note: one at a time, so that a HELLO the caller acts on already decides about the frame behind it.
        """
        for frame in self.deframer.feed(data):
            message = self._admit(frame)
            if isinstance(message, CtrlAck):
                self.control.on_ack(message.next_seq, credit=message.credit, now_ns=now_ns)
            elif message is not None:
                yield Received(message, frame.seq)

    def _admit(self, frame: Frame) -> Message | None:
        """Return the frame's message, or count why it is not taken."""
        spec = MESSAGE_TABLE.get(frame.type)
        if spec is None:
            self.counters.unknown += 1
            self._refuse_unknown(frame)
            return None
        if bool(frame.type & TO_HOST_BIT) != self._is_host:
            self.counters.wrong_way += 1
            return None
        wanted = SESSION_EPOCH8 if spec.delivery is Delivery.SESSION else self.epoch8
        if frame.epoch8 != wanted or (wanted == SESSION_EPOCH8 and spec.delivery is not Delivery.SESSION):
            self.counters.stale_epoch += 1
            return None
        self.counters.of_session += spec.delivery is not Delivery.SESSION
        try:
            message = decode_payload(frame.type, frame.payload)
        except MessageError:
            self.counters.bad_payload += 1
            return None
        return message if self._is_in_order(spec.delivery, frame.seq) else None

    def _is_in_order(self, delivery: Delivery, seq: int) -> bool:
        if delivery is Delivery.CONTROL:
            is_next = self._control_in.accept(seq, has_room=self._reply_room() > 0)
            self.counters.out_of_order += not is_next
            return is_next
        if delivery is Delivery.TELEMETRY:
            self.counters.telemetry_gaps += self._missing_before(delivery, seq)
        elif delivery is Delivery.BULK:
            self.counters.bulk_gaps += self._missing_before(delivery, seq)
        return True

    def _refuse_unknown(self, frame: Frame) -> None:
        """Have the sender told about a frame of this session that had to be understood."""
        is_ours = bool(frame.type & TO_HOST_BIT) == self._is_host and frame.epoch8 == self.epoch8 != SESSION_EPOCH8
        if is_ours and frame.type & MUST_UNDERSTAND_BIT and len(self._errors) < _MAX_ERRORS:
            self._errors.append(ErrorReport(frame.type, frame.seq, ErrorCode.UNKNOWN_TYPE))

    def _reply_room(self) -> int:
        """Return how many more control messages this end can take: each may need an answer of the same class."""
        return WINDOW if self._is_host else _REPLY_ROOM - self.control.backlog

    def _missing_before(self, delivery: Delivery, seq: int) -> int:
        """Return how many frames of the class have not come between the last one and this."""
        step = (seq - self._seqs_in.get(delivery, seq - 1)) & _SEQ_MASK
        if step == 0 or step > _SEQ_MASK // 2:  # repeated or overtaken: no new gap
            return 0
        self._seqs_in[delivery] = seq
        return step - 1
