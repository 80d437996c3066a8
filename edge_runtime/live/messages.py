"""What the processes of the live shell say to each other. Records only; `packets` carries their bytes.

>>> decode_frame_news(encode(FrameMissed(worker=3, camera=0, number=7, reason="overrun")))
FrameMissed(worker=3, camera=0, number=7, reason='overrun')
"""

from typing import Final, TypeAlias

import msgspec

from edge_runtime.live.books import Missing, ObjectEnd
from edge_runtime.residual import Origin

__all__ = [
    "Announce",
    "ArmingLost",
    "ChildNews",
    "FrameClaimed",
    "FrameDecided",
    "FrameExposed",
    "FrameMissed",
    "FrameNews",
    "FrameReady",
    "InspectionVerdict",
    "NewOrigin",
    "ObjectEnded",
    "Order",
    "ProcessFailed",
    "ProcessLost",
    "ProcessReady",
    "RecordReady",
    "RecorderNews",
    "Stop",
    "Wish",
    "decode_child_news",
    "decode_frame_news",
    "decode_frame_ready",
    "decode_order",
    "decode_recorder_news",
    "encode",
]


class FrameReady(msgspec.Struct, frozen=True, array_like=True):
    """Capture to vision: a frame lies in the ring.

    Attributes:
        camera: index of the camera in the machine's table.
        number: of the frame.
        is_last: the scene ends with it.
    """

    camera: int
    number: int
    is_last: bool = False


class FrameClaimed(msgspec.Struct, frozen=True, array_like=True, tag="claimed"):
    """Vision to bridge: this worker, and no other, sorts this frame.

    Attributes:
        worker: number of the process; a new one after every start.
        camera, number: of the frame.
        age_ns: of the frame, from its last line to now.
    """

    worker: int
    camera: int
    number: int
    age_ns: int


class FrameMissed(msgspec.Struct, frozen=True, array_like=True, tag="missed"):
    """Vision to bridge: this frame will not be decided."""

    worker: int
    camera: int
    number: int
    reason: Missing


class FrameDecided(msgspec.Struct, frozen=True, array_like=True, tag="decided"):
    """Vision to bridge: everything that the valves need to know of a frame, at once.

    Attributes:
        worker, camera, number: who decided about which frame.
        frame_id, first_line, exposed_ns: of the frame, as the ring has them.
        objects: decided on.
        boxes: (E, 4) int64, little endian, of those to be ejected: x, absolute first line, width, height.
    """

    worker: int
    camera: int
    number: int
    frame_id: int
    first_line: int
    exposed_ns: int
    objects: int
    boxes: bytes


class FrameExposed(msgspec.Struct, frozen=True, array_like=True, tag="exposed"):
    """Bridge to recorder: when a frame's first line was exposed, in microseconds on the controller's axis."""

    camera: int
    number: int
    at_us: int


class ObjectEnded(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """Bridge to recorder: the end of one object; `owner` is its place among those of the frame to be ejected."""

    camera: int
    number: int
    owner: int
    end: ObjectEnd


class InspectionVerdict(msgspec.Struct, frozen=True, array_like=True, tag="verdict"):
    """Bridge to recorder: what the inspection behind the valves says of a piece.

    Attributes:
        lane: index of its lane.
        class_id: what it was.
        confidence_255: 255 is certain.
        is_rejected: seen on the side of the ejected.
        at_us: when, on the controller's axis.
    """

    lane: int
    class_id: int
    confidence_255: int
    is_rejected: bool
    at_us: int


class RecordReady(msgspec.Struct, frozen=True, array_like=True, tag="record"):
    """Vision to recorder: decisions with their crops lie in a ring of records.

    Attributes:
        place: of the worker; each has a ring.
        at_b: where they lie in that ring.
        camera: index of the camera.
    """

    place: int
    at_b: int
    camera: int


class Wish(msgspec.Struct, frozen=True, array_like=True, tag="wish"):
    """Supervisor to bridge: whether the machine shall sort, and how fast the feeder may run."""

    is_armed: bool
    feeder_permille: int


class ProcessLost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """Supervisor to bridge: a worker is gone; what it claimed it will not decide."""

    worker: int


class Announce(msgspec.Struct, frozen=True, array_like=True, tag="announce"):
    """Supervisor to capture: announce frames on this channel from the next one on."""

    channel: int


class NewOrigin(msgspec.Struct, frozen=True, array_like=True, tag="origin"):
    """Supervisor to recorder: what the records of a set of workers are marked with from this message on."""

    set_index: int
    origin: Origin


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """Supervisor to any: end, when what was begun is done."""


class ProcessReady(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """A process to the supervisor: it works from now on.

    Attributes:
        refused: what the system did not grant, by step, with the reason.
    """

    refused: dict[str, str] = {}


class ProcessFailed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """A process to the supervisor: it cannot work; kind of error and text for people."""

    kind: str
    text: str


class ArmingLost(msgspec.Struct, frozen=True, array_like=True, tag="arming_lost"):
    """The bridge to the supervisor: the machine fires no more until a person wants it again."""

    detail: str


FrameNews: TypeAlias = FrameClaimed | FrameMissed | FrameDecided
RecorderNews: TypeAlias = NewOrigin | RecordReady | FrameExposed | ObjectEnded | InspectionVerdict
Order: TypeAlias = Wish | ProcessLost | Announce | Stop
ChildNews: TypeAlias = ProcessReady | ProcessFailed | ArmingLost

_encoder: Final = msgspec.msgpack.Encoder()
_frame_ready: Final["msgspec.msgpack.Decoder[FrameReady]"] = msgspec.msgpack.Decoder(FrameReady)
_frame_news: Final["msgspec.msgpack.Decoder[FrameNews]"] = msgspec.msgpack.Decoder(FrameNews)
_recorder_news: Final["msgspec.msgpack.Decoder[RecorderNews]"] = msgspec.msgpack.Decoder(RecorderNews)
_order: Final["msgspec.msgpack.Decoder[Order]"] = msgspec.msgpack.Decoder(Order)
_child_news: Final["msgspec.msgpack.Decoder[ChildNews]"] = msgspec.msgpack.Decoder(ChildNews)


def encode(message: FrameReady | RecorderNews | FrameNews | Order | ChildNews) -> bytes:
    """Return a message's bytes."""
    return _encoder.encode(message)


def decode_frame_ready(data: bytes) -> FrameReady:
    """Return the message of these bytes; both ends are of one build."""
    return _frame_ready.decode(data)


def decode_frame_news(data: bytes) -> FrameNews:
    """Return the message of these bytes; both ends are of one build."""
    return _frame_news.decode(data)


def decode_recorder_news(data: bytes) -> RecorderNews:
    """Return the message of these bytes; both ends are of one build."""
    return _recorder_news.decode(data)


def decode_order(data: bytes) -> Order:
    """Return the message of these bytes; both ends are of one build."""
    return _order.decode(data)


def decode_child_news(data: bytes) -> ChildNews:
    """Return the message of these bytes; both ends are of one build."""
    return _child_news.decode(data)
