"""A transfer arrives whole or not at all, whatever the line does, and only what is missing is sent again."""

import hashlib

import pytest
from bulk_ends import FILE, MS, answer, data_due, hear, messages_due, noise, opening, outcomes, run_to_end, sender_up
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.bulk_port import BulkPort
from firmware_bridge.bulk_receiver import BulkReceiver
from firmware_bridge.bulk_sender import MAX_NAME_B, WINDOW_BLOCKS, BulkRules, BulkSender
from firmware_bridge.codec import encode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import encode_frame
from firmware_bridge.line_pace import LinePace
from firmware_bridge.link_events import TransferDone, TransferProgress, TransferReceived
from firmware_bridge.messages import TransferKind, TransferStatus, XferAck, XferData, XferDone, XferOpen

BLOCK_B = 234


# ----- whole transfers


@pytest.mark.parametrize("max_body_b", [1032, 264, 60])
@pytest.mark.parametrize("size_b", [0, 1, 233, 234, 235, 936, 937, 32 * 234, 33 * 234 + 1, 20_000])
def test_bytes_of_any_length_arrive_as_they_were_and_are_sent_once(size_b: int, max_body_b: int) -> None:
    data = noise(size_b)
    sender, receiver = sender_up(data, max_body_b=max_body_b), BulkReceiver()
    run_to_end(sender, receiver)
    assert receiver.take_received() == [TransferReceived(FILE, "name", data)]
    assert outcomes(sender) == [TransferStatus.OK]
    assert (sender.sent_b, sender.repeated_b) == (size_b, 0)


def test_transfers_follow_one_another_in_order_and_progress_tells_how_far() -> None:
    sender, receiver = sender_up(noise(5000, 1)), BulkReceiver()
    sender.submit(noise(300, 2), TransferKind.FIRMWARE, "two")
    assert sender.open_transfers == 2
    run_to_end(sender, receiver)
    assert [(item.kind, item.name, len(item.data)) for item in receiver.take_received()] == [
        (FILE, "name", 5000),
        (TransferKind.FIRMWARE, "two", 300),
    ]
    assert sender.take_events() == [
        TransferProgress(1, 5000, 5000),
        TransferDone(1, TransferStatus.OK),
        TransferProgress(2, 300, 300),
        TransferDone(2, TransferStatus.OK),
    ]


def test_what_has_arrived_well_is_not_sent_twice_under_the_same_name() -> None:
    sender, receiver = sender_up(noise(5000)), BulkReceiver()
    run_to_end(sender, receiver)
    sender.submit(noise(5000), FILE, "name")
    run_to_end(sender, receiver)
    assert outcomes(sender) == [TransferStatus.OK, TransferStatus.OK]
    assert (sender.sent_b, len(receiver.take_received())) == (5000, 1)
    sender.submit(noise(5000), FILE, "another name")
    run_to_end(sender, receiver)
    assert [item.name for item in receiver.take_received()] == ["another name"]


def test_a_receiver_without_room_or_use_says_so_and_the_next_transfer_goes_on() -> None:
    receiver = BulkReceiver(1000, frozenset({TransferKind.FILE}))
    sender = sender_up(noise(1001))
    sender.submit(noise(10), TransferKind.FIRMWARE, "image")
    sender.submit(noise(1000), FILE, "fits")
    run_to_end(sender, receiver)
    assert outcomes(sender) == [TransferStatus.NO_SPACE, TransferStatus.REFUSED, TransferStatus.OK]
    assert [item.name for item in receiver.take_received()] == ["fits"]


def test_an_end_that_takes_no_transfers_ends_them_all() -> None:
    sender = sender_up(noise(10))
    sender.submit(noise(20), FILE, "two")
    sender.start_session(max_body_b=None, rx_window_b=4096)
    assert outcomes(sender) == [TransferStatus.REFUSED, TransferStatus.REFUSED]
    assert messages_due(sender, 0) == []


def test_names_are_utf_8_of_at_most_64_bytes() -> None:
    sender = BulkSender()
    sender.submit(b"", FILE, "谷" * (MAX_NAME_B // 3) + "x")
    with pytest.raises(MessageError, match="65 B of UTF-8 > 64"):
        sender.submit(b"", FILE, "谷" * (MAX_NAME_B // 3) + "xy")


# ----- the receiver


def test_a_wrong_hash_is_found_and_told_until_another_try_begins() -> None:
    receiver = BulkReceiver()
    open_ = XferOpen(1, 20, bytes(16), FILE, 10, b"")
    right_hash = hashlib.sha256(bytes(20)).digest()[:16]
    receiver.on_open(open_)
    receiver.on_data(XferData(1, 0, bytes(10)))
    told = XferDone(1, TransferStatus.BAD_HASH, right_hash)
    assert receiver.on_data(XferData(1, 10, bytes(10))) == told
    assert receiver.on_data(XferData(1, 10, bytes(10))) == told
    assert receiver.on_open(open_) == told
    assert receiver.on_open(XferOpen(2, 20, bytes(16), FILE, 10, b"")) == XferAck(2, 0, 0)
    assert receiver.take_received() == []


def test_the_bitmap_tells_of_32_blocks_behind_the_first_missing_one_and_no_more_is_kept() -> None:
    receiver, data = BulkReceiver(), noise(500)
    receiver.on_open(opening(data))
    for block in range(1, 40):
        told = receiver.on_data(XferData(1, block * 10, data[block * 10 : block * 10 + 10]))
    assert told == XferAck(1, 0, 0xFFFF_FFFF)
    assert receiver.on_data(XferData(1, 0, data[:10])) == XferAck(1, 330, 0)


@pytest.mark.parametrize(
    ("offset", "size_b"), [(5, 10), (0, 9), (0, 11), (30, 5), (40, 10), (40, 1), (2**64 - 1, 1), (30, 7)]
)
def test_blocks_that_lie_where_none_can_are_not_kept(offset: int, size_b: int) -> None:
    receiver = BulkReceiver()
    receiver.on_open(opening(noise(36)))
    assert receiver.on_data(XferData(1, offset, bytes(size_b))) == XferAck(1, 0, 0)


def test_only_the_last_block_may_be_shorter_and_one_frame_may_hold_several() -> None:
    receiver, data = BulkReceiver(), noise(36)
    receiver.on_open(opening(data))
    assert receiver.on_data(XferData(1, 20, data[20:])) == XferAck(1, 0, 0b110)
    assert receiver.on_data(XferData(1, 0, data[:20])) == XferDone(
        1, TransferStatus.OK, hashlib.sha256(data).digest()[:16]
    )


def test_data_without_an_opening_in_this_session_has_no_answer() -> None:
    receiver, data = BulkReceiver(), noise(36)
    assert receiver.on_data(XferData(1, 0, data[:10])) is None
    receiver.on_open(opening(data))
    assert receiver.on_data(XferData(2, 0, data[:10])) is None
    receiver.end_session()
    assert receiver.on_data(XferData(1, 0, data[:10])) is None
    assert receiver.progress == (0, 36)


def test_a_late_copy_of_an_older_opening_does_not_push_out_the_transfer_at_hand() -> None:
    receiver = BulkReceiver()
    receiver.on_open(opening(noise(36), transfer_id=0xFFFF_FFFF))
    receiver.on_open(opening(noise(50), transfer_id=1))
    assert receiver.on_open(opening(noise(36), transfer_id=0xFFFF_FFFF)) is None
    assert receiver.progress == (0, 50)
    receiver.end_session()
    assert receiver.on_open(opening(noise(36), transfer_id=0xFFFF_FFFF)) == XferAck(0xFFFF_FFFF, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        opening(noise(36)[:35], transfer_id=2),
        opening(noise(36, 2), transfer_id=2),
        opening(noise(36), transfer_id=2, block_b=12),
        opening(noise(36), transfer_id=2, kind=TransferKind.RESIDUAL),
        XferOpen(2, 36, hashlib.sha256(noise(36)).digest()[:16], FILE, 10, b"other"),
    ],
)
def test_only_the_same_transfer_in_every_respect_is_resumed(other: XferOpen) -> None:
    receiver, data = BulkReceiver(), noise(36)
    receiver.on_open(opening(data))
    receiver.on_data(XferData(1, 0, data[:20]))
    assert receiver.on_open(opening(data, transfer_id=2)) == XferAck(2, 20, 0)
    assert receiver.on_open(other) == XferAck(2, 0, 0)


def test_a_refused_opening_leaves_the_transfer_at_hand() -> None:
    receiver, data = BulkReceiver(100), noise(36)
    receiver.on_open(opening(data))
    receiver.on_data(XferData(1, 0, data[:10]))
    assert isinstance(receiver.on_open(opening(bytes(101), transfer_id=2)), XferDone)
    assert receiver.on_data(XferData(1, 10, data[10:20])) == XferAck(1, 20, 0)


# ----- loss


def test_a_hole_is_repeated_at_once_and_once() -> None:
    sender, receiver = sender_up(noise(32 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    first, lost, *rest = data_due(sender, 0)
    for number, message in enumerate([first, *rest], start=1):
        hear(sender, answer(receiver, message), number * MS)
        again = data_due(sender, number * MS)
        assert again == ([lost] if number == 2 else [])
    hear(sender, answer(receiver, lost), 20 * MS)
    assert outcomes(sender) == [TransferStatus.OK]
    assert sender.repeated_b == len(lost.data)


def test_a_repeat_that_is_lost_too_is_repeated_when_something_sent_after_it_arrives() -> None:
    sender, receiver = sender_up(noise(64 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    lost, *rest = data_due(sender, 0)
    hear(sender, answer(receiver, rest[0]), MS)
    assert data_due(sender, MS) == [lost]  # and lost again
    for message in rest[1:]:
        hear(sender, answer(receiver, message), 2 * MS)
    assert data_due(sender, 2 * MS) == []  # the window is full and nothing was sent after the repeat: the timer decides
    [ask] = messages_due(sender, 500 * MS)
    hear(sender, answer(receiver, ask), 501 * MS)
    assert data_due(sender, 501 * MS)[0] == lost


def test_silence_is_answered_by_asking_with_growing_patience_and_never_ends() -> None:
    sender = sender_up(noise(1000))
    asked = [(step, item) for step in range(6000) for item in messages_due(sender, step * MS)]
    assert [step for step, _ in asked] == [0, 200, 600, 1400, 3000, 4600]
    assert {type(item) for _, item in asked} == {XferOpen}
    assert sender.open_transfers == 1


def test_an_answer_restores_the_patience_of_the_beginning() -> None:
    sender, receiver = sender_up(noise(1000)), BulkReceiver()
    asked = [item for step in range(700) for item in messages_due(sender, step * MS)]
    assert len(asked) == 3
    hear(sender, answer(receiver, asked[-1]), 700 * MS)
    assert len(data_due(sender, 700 * MS)) == 2
    assert messages_due(sender, 899 * MS) == []
    assert len(messages_due(sender, 900 * MS)) == 1


def test_a_lost_verdict_is_asked_for_and_nothing_is_sent_again() -> None:
    sender, receiver = sender_up(noise(500)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    for message in data_due(sender, 0):
        answer(receiver, message)
    [ask] = messages_due(sender, 300 * MS)
    hear(sender, answer(receiver, ask), 301 * MS)
    assert outcomes(sender) == [TransferStatus.OK]
    assert sender.sent_b == 500


def test_a_receiver_that_forgot_everything_gets_everything_under_another_id() -> None:
    sender, data = sender_up(noise(64 * BLOCK_B)), noise(64 * BLOCK_B)
    hear(sender, answer(first := BulkReceiver(), messages_due(sender, 0)[0]), 0)
    for message in data_due(sender, 0):
        hear(sender, answer(first, message), MS)
    second = BulkReceiver()
    assert [answer(second, message) for message in data_due(sender, 2 * MS)] == [None] * 8
    [ask] = messages_due(sender, 400 * MS)
    hear(sender, answer(second, ask), 401 * MS)
    run_to_end(sender, second, 402 * MS)
    assert [item.data for item in second.take_received()] == [data]
    assert outcomes(sender) == [TransferStatus.OK]


def test_a_receiver_that_forgot_what_a_late_answer_still_tells_of_is_asked_again() -> None:
    sender, first, second = sender_up(noise(2 * BLOCK_B), max_body_b=264), BulkReceiver(), BulkReceiver()
    [open_] = messages_due(sender, 0)
    hear(sender, answer(first, open_), 0)
    one, two = data_due(sender, 0)
    hear(sender, answer(second, open_), MS)
    hear(sender, answer(first, one), MS)
    hear(sender, answer(second, two), MS)  # all is there, but not at one receiver
    run_to_end(sender, second, 2 * MS)
    assert outcomes(sender) == [TransferStatus.OK]
    assert [item.data for item in second.take_received()] == [noise(2 * BLOCK_B)]


@pytest.mark.parametrize(("cum", "bitmap"), [(2, 0b10), (3, 0), (3, 0b1)])
def test_an_answer_to_asking_that_tells_of_less_than_before_leads_to_another_id(cum: int, bitmap: int) -> None:
    sender = sender_up(noise(8 * BLOCK_B), max_body_b=264)
    messages_due(sender, 0)
    sender.on_ack(XferAck(1, 0, 0), MS)
    data_due(sender, MS)
    sender.on_ack(XferAck(1, 3 * BLOCK_B, 0b10), 2 * MS)
    sender.on_ack(XferAck(1, cum * BLOCK_B, bitmap), 3 * MS)  # overtaken: nothing
    asked = messages_due(sender, 500 * MS)
    sender.on_ack(XferAck(1, cum * BLOCK_B, bitmap), 501 * MS)
    asked += messages_due(sender, 502 * MS)
    assert [(type(item), item.transfer_id) for item in asked] == [(XferOpen, 1), (XferOpen, 2)]


def test_only_frames_sent_once_measure_the_round_trip() -> None:
    sender, receiver = sender_up(noise(12 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 50 * MS)
    lost, second, _ = data_due(sender, 50 * MS)
    hear(sender, answer(receiver, second), 57 * MS)
    assert (sender.rtt.samples, sender.rtt.srtt_ns) == (1, 7 * MS)
    data_due(sender, 58 * MS)
    hear(sender, answer(receiver, lost), 99 * MS)
    assert sender.rtt.samples == 1


def test_each_bit_of_the_bitmap_keeps_its_block_from_being_repeated() -> None:
    for arrived in range(1, 32):
        sender, receiver = sender_up(noise(32 * 40), max_body_b=60), BulkReceiver()
        hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
        assert [len(item.data) for item in data_due(sender, 0)] == [40] * 32
        sender.on_ack(XferAck(1, 0, 1 << (arrived - 1)), MS)
        assert [item.offset // 40 for item in data_due(sender, MS)] == list(range(arrived))


def test_answers_that_come_keep_the_sender_from_asking() -> None:
    sender, receiver = sender_up(noise(32 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    for number, message in enumerate(data_due(sender, 0)[:-1], start=1):
        assert messages_due(sender, number * 150 * MS) == []
        hear(sender, answer(receiver, message), number * 150 * MS)
    assert sender.timeouts == 0


def test_patience_grows_with_what_waits_on_the_line() -> None:
    sender = sender_up(noise(1000), BulkRules(line_baud=115_200, quiet_line_ms=1000.0))
    sender.count_sent(5760, 0)  # 500 ms
    [_] = messages_due(sender, 0)
    assert messages_due(sender, 699 * MS) == []
    assert len(messages_due(sender, 700 * MS)) == 1


def test_an_answer_that_was_overtaken_changes_nothing() -> None:
    sender, receiver = sender_up(noise(100 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    answers = [answer(receiver, message) for message in data_due(sender, 0)]
    hear(sender, answers[5], MS)
    sent = data_due(sender, MS)
    hear(sender, answers[2], 2 * MS)
    assert messages_due(sender, 2 * MS) == []
    assert sender.take_events() == [TransferProgress(1, 24 * BLOCK_B, 100 * BLOCK_B)]
    assert [item.offset // BLOCK_B for item in sent] == list(range(32, 56, 4))


def test_frames_stay_full_at_the_edge_of_the_window() -> None:
    sender, receiver = sender_up(noise(100 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    data_due(sender, 0)
    for cum, frames in ((1, []), (3, []), (4, [4]), (7, []), (9, [4])):
        sender.on_ack(XferAck(1, cum * BLOCK_B, 0), MS)
        assert [len(item.data) // BLOCK_B for item in data_due(sender, MS)] == frames


def test_a_session_that_begins_without_an_end_of_the_one_before_is_a_new_attempt() -> None:
    sender = sender_up(noise(1000))
    first = messages_due(sender, 0)
    sender.start_session(max_body_b=264, rx_window_b=4096)
    second = messages_due(sender, 0)
    assert [item.transfer_id for item in first + second] == [1, 2]


# ----- sessions


def test_a_new_session_sends_only_what_is_missing() -> None:
    sender, receiver = sender_up(noise(100 * BLOCK_B)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    frames = data_due(sender, 0)
    for message in [*frames[:3], *frames[5:7]]:  # 12 blocks in order, 8 behind a gap of 8
        hear(sender, answer(receiver, message), MS)
    sender.end_session()
    receiver.end_session()
    assert messages_due(sender, 500 * MS) == []
    sender.start_session(max_body_b=1032, rx_window_b=4096)
    before_b = sender.sent_b
    run_to_end(sender, receiver, 1000 * MS)
    assert outcomes(sender) == [TransferStatus.OK]
    assert sender.sent_b - before_b == (100 - 12 - 8) * BLOCK_B


def test_answers_to_an_attempt_of_the_past_change_nothing() -> None:
    sender, receiver = sender_up(noise(5000)), BulkReceiver()
    [open_] = messages_due(sender, 0)
    old = answer(receiver, open_)
    sender.end_session()
    hear(sender, old, MS)
    sender.start_session(max_body_b=1032, rx_window_b=4096)
    [again] = messages_due(sender, MS)
    assert isinstance(again, XferOpen)
    assert isinstance(open_, XferOpen)
    assert again.transfer_id != open_.transfer_id
    hear(sender, old, 2 * MS)
    hear(sender, XferDone(open_.transfer_id, TransferStatus.REFUSED, bytes(16)), 2 * MS)
    assert data_due(sender, 3 * MS) == []
    assert sender.take_events() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6000) | st.just(2**64 - 1), st.integers(0, 2**32 - 1))))
def test_wild_acknowledgements_never_break_the_sender(acks: list[tuple[int, int, int]]) -> None:
    sender = sender_up(noise(5000))
    for step, (transfer_id, cum, bitmap) in enumerate(acks):
        messages_due(sender, step * MS)
        sender.on_ack(XferAck(transfer_id, cum, bitmap), step * MS)
    assert all(event.done_b <= 5000 for event in sender.take_events() if isinstance(event, TransferProgress))
    assert sender.open_transfers == 1


# ----- the share of the line


def test_at_most_the_window_is_out_in_quiet_times_in_long_frames() -> None:
    sender, receiver = sender_up(noise(100_000)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    assert [len(item.data) for item in data_due(sender, 0)] == [4 * BLOCK_B] * (WINDOW_BLOCKS // 4)


def test_the_buffer_of_the_receiver_narrows_the_window_but_one_frame_always_goes() -> None:
    for rx_window_b, frames in ((4096, 4), (1000, 1), (100, 1)):
        sender, receiver = sender_up(noise(100_000)), BulkReceiver()
        sender.start_session(max_body_b=1032, rx_window_b=rx_window_b)
        hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
        assert len(data_due(sender, 0)) == frames


@pytest.mark.parametrize(("baud", "blocks"), [(0, 1), (921_600, 3), (3_000_000, 4), (12_000_000, 7)])
def test_beside_ejections_few_frames_of_one_block_are_out(baud: int, blocks: int) -> None:
    sender = sender_up(noise(100_000), BulkRules(line_baud=baud))
    sender.start_session(max_body_b=1032, rx_window_b=4096)
    receiver = BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    frames = data_due(sender, 0, is_quiet=False)
    assert [len(item.data) for item in frames] == [BLOCK_B] * blocks
    hear(sender, answer(receiver, frames[0]), MS)
    assert len(data_due(sender, MS, is_quiet=False)) == 1


def test_what_flies_from_quiet_times_counts_when_ejections_begin() -> None:
    sender, receiver = sender_up(noise(100_000)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    frames = data_due(sender, 0)
    sent = []
    for message in frames:
        hear(sender, answer(receiver, message), MS)
        sent.append(len(data_due(sender, MS, is_quiet=False)))
    assert sent == [0] * 7 + [1]


@pytest.mark.parametrize("baud", [115_200, 230_400, 921_600, 3_000_000])
@pytest.mark.parametrize(("is_quiet", "limit_ms"), [(False, 4.0), (True, 25.0)])
def test_what_comes_after_bulk_waits_no_longer_than_allowed_and_the_line_is_used(
    baud: int, is_quiet: bool, limit_ms: float
) -> None:
    sender, receiver, line = sender_up(noise(1_000_000), BulkRules(line_baud=baud)), BulkReceiver(), LinePace(baud)
    sent_b = 0
    for now_ns in range(0, 1000 * MS, MS):
        while (message := sender.next_message(now_ns, is_quiet=is_quiet)) is not None:
            size_b = len(encode_frame(0x41, 1, 1, encode_payload(message), max_body_b=1032))
            was_idle = line.backlog_ns(now_ns) == 0
            sender.count_sent(size_b, now_ns)
            line.add(size_b, now_ns)
            sent_b += size_b
            hear(sender, answer(receiver, message), now_ns)
            assert line.backlog_ns(now_ns) <= limit_ms * MS or (was_idle and size_b <= 86)  # the shortest there are
    assert sent_b >= 0.8 * baud / 10


def test_other_traffic_on_the_line_holds_bulk_back() -> None:
    sender, receiver = sender_up(noise(100_000), BulkRules(line_baud=921_600)), BulkReceiver()
    hear(sender, answer(receiver, messages_due(sender, 0)[0]), 0)
    sender.count_sent(700, 10 * MS)  # until 17.6 ms
    assert data_due(sender, 16 * MS, is_quiet=False) == []
    assert sender.next_message(17 * MS, is_quiet=False) is not None


# ----- both directions at one end


def test_a_port_answers_once_for_many_blocks_and_keeps_the_verdict_of_each_transfer() -> None:
    port, data = BulkPort(), noise(30)
    port.take(opening(data, transfer_id=1), 0)
    port.take(XferData(1, 0, data[:10]), 0)
    port.take(XferData(1, 20, data[20:]), 0)
    answers: list[object] = []

    def encode(message: object) -> bytes:
        answers.append(message)
        return b""

    port.due(0, encode, is_quiet=True)
    assert answers == [XferAck(1, 10, 0b1)]
    port.take(XferData(1, 10, data[10:20]), 0)
    port.take(opening(data[:5], transfer_id=2), 0)
    port.due(0, encode, is_quiet=True)
    assert answers[1:] == [XferDone(1, TransferStatus.OK, hashlib.sha256(data).digest()[:16]), XferAck(2, 0, 0)]
    assert port.take_events() == [TransferReceived(FILE, "name", data)]


def test_a_port_says_nothing_of_the_session_before() -> None:
    port, data = BulkPort(), noise(30)
    port.take(opening(data), 0)
    port.end_session()
    port.start_session(max_body_b=1032, rx_window_b=4096)
    assert port.due(0, lambda _: b"x", is_quiet=True) == b""
    port.take(XferData(1, 0, data[:10]), 0)
    assert port.due(0, lambda _: b"x", is_quiet=True) == b""
