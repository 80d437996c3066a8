"""The controller's bulk receiver and its SHA-256: the same answers as Python, for every order of messages."""

import ctypes
import hashlib
import random
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.codec import encode_payload, message_type
from firmware_bridge.messages import (
    TransferKind,
    TransferStatus,
    XferAck,
    XferData,
    XferDone,
    XferOpen,
)
from firmware_bridge.native_build import C_FOLDER

CALLS_C = Path(__file__).parent / "c" / "sel_bulk_calls.c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-Os")
TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
STORE_B = 1 << 16
ALL_KINDS = 0b111

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = tmp_path_factory.mktemp("sel_bulk") / "sel_bulk.so"
    command = ["gcc", *STRICT, *TRAPS, "-fPIC", "-shared", "-I", str(C_FOLDER), str(CALLS_C), "-o", str(made)]
    subprocess.run(command, check=True, timeout=60)
    library = ctypes.CDLL(str(made))
    library.end_size.restype = library.bulk_size.restype = ctypes.c_size_t
    library.end_init.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32]
    library.end_bytes.restype = ctypes.POINTER(ctypes.c_uint8)
    return library


class Controller:
    """The C receiver with a store in memory."""

    def __init__(self, calls: ctypes.CDLL, max_size_b: int = STORE_B, kinds: int = ALL_KINDS) -> None:
        self.calls = calls
        self.end = ctypes.create_string_buffer(calls.end_size())
        self.has_ended = False
        calls.end_init(self.end, max_size_b, kinds)

    def take(self, message: XferOpen | XferData) -> bytes:
        """Return the answer's type and payload."""
        payload = encode_payload(message)
        out, has_ended = ctypes.create_string_buffer(64), ctypes.c_int()
        type_id = message_type(message, to_host=False)
        size_b = self.calls.end_take(
            self.end, ctypes.c_uint8(type_id), payload, ctypes.c_size_t(len(payload)), out, ctypes.byref(has_ended)
        )
        assert size_b >= 0
        self.has_ended = bool(has_ended.value)
        return out.raw[:size_b]

    def bytes(self, size_b: int) -> bytes:
        return bytes(self.calls.end_bytes(self.end)[:size_b])


def packed(answer: XferAck | XferDone | None) -> bytes:
    return b"" if answer is None else bytes((message_type(answer, to_host=False),)) + encode_payload(answer)


def opening(data: bytes, *, block_b: int, transfer_id: int = 1, name: bytes = b"name") -> XferOpen:
    return XferOpen(transfer_id, len(data), hashlib.sha256(data).digest()[:16], TransferKind.FILE, block_b, name)


def frames_of(data: bytes, *, block_b: int, transfer_id: int = 1, blocks: int = 1) -> list[XferData]:
    step = block_b * blocks
    return [XferData(transfer_id, start, data[start : start + step]) for start in range(0, len(data), step)]


# ----- SHA-256


@pytest.mark.parametrize("size_b", [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000])
def test_the_hash_is_that_of_hashlib_at_every_edge_of_a_block(calls: ctypes.CDLL, size_b: int) -> None:
    data = random.Random(size_b).randbytes(size_b)
    for step in (1, 7, 64, 1000):
        out = ctypes.create_string_buffer(32)
        calls.hash_of(data, ctypes.c_size_t(size_b), ctypes.c_size_t(step), out)
        assert hashlib.sha256(data).digest() == out.raw


@given(st.binary(max_size=500), st.integers(1, 130))
def test_the_hash_is_that_of_hashlib_in_pieces_of_any_size(calls: ctypes.CDLL, data: bytes, step: int) -> None:
    out = ctypes.create_string_buffer(32)
    calls.hash_of(data, ctypes.c_size_t(len(data)), ctypes.c_size_t(step), out)
    assert hashlib.sha256(data).digest() == out.raw


# ----- differential


@dataclass
class Twins:
    """Both receivers, given the same."""

    controller: Controller
    receiver: BulkReceiver

    def take(self, message: XferOpen | XferData) -> bytes:
        receiver = self.receiver
        expected = packed(receiver.on_open(message) if isinstance(message, XferOpen) else receiver.on_data(message))
        received = self.receiver.take_received()
        assert expected == self.controller.take(message)
        done_ok = self.controller.has_ended and expected[5] == TransferStatus.OK
        assert bool(received) == done_ok
        if received:
            assert received[0].data == self.controller.bytes(len(received[0].data))
        return expected

    def end_session(self) -> None:
        self.receiver.end_session()
        self.controller.calls.end_session(self.controller.end)


def random_story(rng: random.Random, twins: Twins) -> Counter[str]:
    """Send transfers with everything that can happen to their messages; return what was answered how often."""
    answers: Counter[str] = Counter()
    for transfer_id in range(1, 12):
        block_b = rng.choice([1, 2, 7, 50, 234])
        data = rng.randbytes(rng.choice([0, 1, block_b, rng.randrange(40 * block_b), rng.randrange(3000)]))
        opens = [replace(opening(data, block_b=block_b, transfer_id=transfer_id), kind=rng.choice(list(TransferKind)))]
        announced = rng.choice([data, data, data, data + b"!", data[1:] + b"?"])
        opens.append(opening(announced, block_b=block_b, transfer_id=transfer_id + rng.choice([0, 0, 100])))
        frames = frames_of(
            data, block_b=block_b, transfer_id=transfer_id, blocks=rng.choice([1, 2, max(1, 1012 // block_b)])
        )
        frames = [frame for frame in frames if len(frame.data) <= 1012]
        rng.shuffle(opens)
        story: list[XferOpen | XferData] = [
            *opens[: rng.choice([1, 1, 2])],
            *frames,
            *rng.sample(frames, len(frames) // 2),
        ]
        for _ in range(len(frames) // 3):  # garbage and strangers
            offset = rng.choice([0, 1, block_b, len(data), 2**64 - 1, rng.randrange(5000)])
            story.append(XferData(rng.choice([transfer_id, 77]), offset, rng.randbytes(rng.randint(1, 300))))
        if rng.random() < 0.7:  # nearly in order, or anything
            order = [(index + rng.uniform(0, rng.choice([1, 5, 60])), index) for index in range(len(story))]
            story = [story[index] for _, index in sorted(order)]
        for message in [*story, *frames, *opens[:1]]:
            if rng.random() < 0.02:
                twins.end_session()
            answers[meaning(twins.take(message))] += 1
    return answers


def meaning(answer: bytes) -> str:
    if not answer:
        return "none"
    if answer[0] == 0x43:
        return TransferStatus(answer[5]).name
    return "gap" if any(answer[-4:]) else "ack"


def test_both_receivers_give_the_same_answers_to_any_order_of_messages(calls: ctypes.CDLL) -> None:
    answers: Counter[str] = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        kinds, max_size_b = rng.choice([0b111, 0b101]), rng.choice([STORE_B, 1000])
        taken = frozenset(kind for kind in TransferKind if kinds >> kind & 1)
        answers += random_story(rng, Twins(Controller(calls, max_size_b, kinds), BulkReceiver(max_size_b, taken)))
    assert set(answers) == {"none", "gap", "ack", *(status.name for status in TransferStatus)}
    assert min(answers.values()) > 50


OFFSETS = st.integers(0, 2**64 - 1) | st.integers(0, 120)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.just("open"), st.integers(0, 2), st.integers(0, 60), st.integers(1, 5))
        | st.tuples(st.just("data"), st.integers(0, 2), OFFSETS, st.integers(1, 20))
        | st.tuples(st.just("end"), st.just(0), st.just(0), st.just(0)),
        max_size=60,
    )
)
def test_both_receivers_agree_on_small_numbers_of_everything(
    calls: ctypes.CDLL, story: list[tuple[str, int, int, int]]
) -> None:
    twins = Twins(Controller(calls, 50), BulkReceiver(50))
    source = bytes(range(100))
    for what, transfer_id, size_or_offset, length in story:
        if what == "open":
            answer = twins.take(opening(source[:size_or_offset], block_b=length, transfer_id=transfer_id))
            assert meaning(answer) in {"none", "ack", "gap", "OK", "NO_SPACE"}
        elif what == "data":
            piece = source[size_or_offset % 100 :][:length] or b"x"
            assert meaning(twins.take(XferData(transfer_id, size_or_offset, piece))) != "NO_SPACE"
        else:
            twins.end_session()


@pytest.mark.parametrize(
    ("offset", "size_b"), [(5, 10), (0, 9), (0, 11), (30, 5), (40, 10), (40, 1), (2**64 - 1, 1), (30, 7), (15, 21)]
)
def test_blocks_that_lie_where_none_can_are_not_kept(calls: ctypes.CDLL, offset: int, size_b: int) -> None:
    twins = Twins(Controller(calls), BulkReceiver())
    twins.take(opening(bytes(36), block_b=10))
    assert meaning(twins.take(XferData(1, offset, bytes(size_b)))) == "ack"
    assert calls.end_writes(twins.controller.end) == 0


def test_a_transfer_that_failed_begins_again_in_the_next_session_under_any_id(calls: ctypes.CDLL) -> None:
    for transfer_id in (1, 2):
        twins = Twins(Controller(calls), BulkReceiver())
        open_ = replace(opening(bytes(20), block_b=10), sha256_16=bytes(16))
        story: list[XferOpen | XferData] = [open_, *frames_of(bytes(20), block_b=10), open_]
        answers = [twins.take(message) for message in story]
        assert [meaning(answer) for answer in answers] == ["ack", "ack", "BAD_HASH", "BAD_HASH"]
        twins.end_session()
        assert meaning(twins.take(replace(open_, transfer_id=transfer_id))) == "ack"


# ----- the store


def test_each_block_is_written_once_however_often_it_comes(calls: ctypes.CDLL) -> None:
    controller = Controller(calls)
    data = bytes(range(100))
    controller.take(opening(data, block_b=10))
    for frame in [*frames_of(data, block_b=10)[1:], *frames_of(data, block_b=10), *frames_of(data, block_b=10)]:
        controller.take(frame)
    assert calls.end_writes(controller.end) == 10
    assert data == controller.bytes(100)


def test_a_resumed_transfer_does_not_begin_again_and_an_other_one_does(calls: ctypes.CDLL) -> None:
    controller = Controller(calls)
    data = bytes(100)
    for transfer_id in (1, 2, 3):
        controller.take(opening(data, block_b=10, transfer_id=transfer_id))
        controller.take(frames_of(data, block_b=10, transfer_id=transfer_id)[transfer_id])
        calls.end_session(controller.end)
    assert calls.end_begins(controller.end) == 1
    controller.take(opening(data[1:], block_b=10, transfer_id=4))
    assert calls.end_begins(controller.end) == 2


def changed(open_: XferOpen, data: bytes) -> list[XferOpen]:
    """Return openings that differ from this one in a single field."""
    other = opening(data[1:], block_b=10)
    return [
        replace(open_, size_b=other.size_b),
        replace(open_, sha256_16=other.sha256_16),
        replace(open_, kind=TransferKind.RESIDUAL),
        replace(open_, block_b=11),
        replace(open_, name=b"eman"),
        replace(open_, name=b"longer"),
        replace(open_, name=b""),
    ]


def test_only_the_same_transfer_in_every_respect_is_resumed(calls: ctypes.CDLL) -> None:
    data = bytes(100)
    for name in (b"name", b""):
        open_ = opening(data, block_b=10, name=name)
        for other in [open_, *changed(open_, data)]:
            twins = Twins(Controller(calls), BulkReceiver())
            twins.take(open_)
            twins.take(frames_of(data, block_b=10)[0])
            twins.take(replace(other, transfer_id=2))
            assert calls.end_begins(twins.controller.end) == 1 + (other != open_)


def test_a_store_that_keeps_another_byte_is_found_by_the_hash(calls: ctypes.CDLL) -> None:
    """The hash is over what was read back, also for blocks that came behind a gap."""
    controller = Controller(calls)
    data = bytes(range(30))
    controller.take(opening(data, block_b=10))
    _, second, third = frames_of(data, block_b=10)
    controller.take(second)
    calls.end_corrupt(controller.end, 15)
    controller.take(frames_of(data, block_b=10)[0])
    answer = controller.take(third)
    assert (answer[0], answer[5], controller.has_ended) == (0x43, TransferStatus.BAD_HASH, True)


@pytest.mark.parametrize(("write", "read"), [(3, 0), (0, 3)])
def test_a_store_that_fails_ends_the_transfer_and_another_try_may_work(
    calls: ctypes.CDLL, write: int, read: int
) -> None:
    controller = Controller(calls)
    data = bytes(range(50))
    calls.end_fail(controller.end, write, read)
    controller.take(opening(data, block_b=10))
    answers = [controller.take(frame) for frame in frames_of(data, block_b=10)]
    assert [answer[0] for answer in answers] == [0x42, 0x42, 0x43, 0x43, 0x43]
    assert {answer[5] for answer in answers[2:]} == {TransferStatus.NO_SPACE}
    assert controller.take(opening(data, block_b=10))[5] == TransferStatus.NO_SPACE
    controller.take(opening(data, block_b=10, transfer_id=2))
    answers = [controller.take(frame) for frame in frames_of(data, block_b=10, transfer_id=2)]
    assert (answers[-1][0], answers[-1][5]) == (0x43, TransferStatus.OK)


def test_the_state_of_the_receiver_is_small(calls: ctypes.CDLL) -> None:
    assert calls.bulk_size() <= 256
