"""What an end takes and what it counts; the small rules beside it."""

import pytest

from firmware_bridge.codec import decode_payload, encode_payload
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.endpoint import MAX_LONG_BODY_B, SESSION_EPOCH8, Endpoint, Received
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame, encode_frame
from firmware_bridge.messages import (
    BatchFlag,
    CfgSet,
    ClockReq,
    ClockRsp,
    CtrlAck,
    EjectBatch,
    EjectCancel,
    EjectItem,
    ErrorCode,
    ErrorReport,
    Fault,
    FeederSet,
    Hello,
    Message,
    TriggerStamp,
    XferData,
)

EPOCH8 = 0x5A


def board() -> Endpoint:
    made = Endpoint(is_host=False)
    made.start_session(EPOCH8)
    return made


def host() -> Endpoint:
    made = Endpoint(is_host=True)
    made.start_session(EPOCH8)
    return made


def frames_of(wire: bytes) -> list[Frame]:
    return Deframer(MAX_LONG_BODY_B).feed(wire)


def sent(endpoint: Endpoint, now_ns: int = 0) -> list[tuple[int, Message]]:
    """Return number and message of each frame that `flush` gives."""
    return [(frame.seq, decode_payload(frame.type, frame.payload)) for frame in frames_of(endpoint.flush(now_ns))]


def heard(endpoint: Endpoint, *frames: bytes) -> list[Message]:
    return [item.message for item in endpoint.receive(b"".join(frames), 0)]


def test_frames_of_another_epoch_are_stale() -> None:
    end = board()
    assert heard(end, encode_frame(0x03, 0x5B, 0, bytes(4)), encode_frame(0x03, 0, 0, bytes(4))) == []
    assert end.counters.stale_epoch == 2


def test_without_a_session_only_session_messages_pass() -> None:
    end = Endpoint(is_host=False)
    assert heard(end, encode_frame(0x03, 0, 0, bytes(4))) == []
    assert end.counters.stale_epoch == 1


def test_unknown_types_wrong_ways_and_bad_payloads_have_their_counters() -> None:
    end = board()
    frames = [
        encode_frame(0x7E, EPOCH8, 0, b""),
        encode_frame(0x84, EPOCH8, 0, encode_payload(TriggerStamp(1, 2, 3))),
        encode_frame(0x03, EPOCH8, 0, bytes(5)),
        encode_frame(0x03, EPOCH8, 1, bytes(4)),
    ]
    assert heard(end, *frames) == [ClockReq(0)]
    counters = end.counters
    assert (counters.unknown, counters.wrong_way, counters.bad_payload) == (1, 1, 1)


def test_missing_telemetry_is_counted_once_and_overtaken_frames_are_no_gap() -> None:
    end = board()
    for seq in (65_534, 65_535, 3, 2, 3, 4):
        heard(end, encode_frame(0x03, EPOCH8, seq, bytes(4)))
    assert end.counters.telemetry_gaps == 3


def test_control_is_taken_in_order_only() -> None:
    end = board()
    frames = [encode_frame(0x24, EPOCH8, seq, encode_payload(FeederSet(seq))) for seq in (0, 2, 1, 1, 2)]
    assert heard(end, *frames) == [FeederSet(0), FeederSet(1), FeederSet(2)]
    assert end.counters.out_of_order == 2


def test_the_documented_configuration_defaults_are_in_range_and_covered_by_the_checksum() -> None:
    assert set(ConfigKey) == set(DEFAULT_CONFIG) == set(CONFIG_RANGES)
    for key, (low, high) in CONFIG_RANGES.items():
        assert low <= DEFAULT_CONFIG[key] <= high
        assert config_crc(DEFAULT_CONFIG) != config_crc({**DEFAULT_CONFIG, key: DEFAULT_CONFIG[key] + 1})


# ---- what an end sends ----


def test_each_class_has_its_own_numbers_and_every_frame_the_epoch() -> None:
    end = host()
    messages = [EjectCancel(0, 1), ClockReq(7), EjectCancel(1, 2), XferData(1, 0, b"x"), ClockReq(8)]
    frames = [frames_of(end.encode(message))[0] for message in messages]
    assert [(frame.seq, frame.epoch8) for frame in frames] == [(seq, EPOCH8) for seq in (0, 0, 1, 0, 1)]
    assert end.next_eject_seq == 2


def test_numbers_wrap_at_65536_and_start_at_0_in_a_new_session() -> None:
    end = host()
    for _ in range(65_536):
        end.encode(ClockReq(0))
    assert frames_of(end.encode(ClockReq(0)))[0].seq == 0
    end.encode(EjectCancel(0, 1))
    end.start_session(0x33)
    assert end.next_eject_seq == 0
    assert [(frame.seq, frame.epoch8) for frame in frames_of(end.encode(ClockReq(0)))] == [(0, 0x33)]


def test_a_session_message_belongs_to_no_epoch_and_carries_its_token() -> None:
    (frame,) = frames_of(host().encode_session(Hello(1, 1, 0x15A, 250), 0x1234))
    assert (frame.type, frame.epoch8, frame.seq) == (0x01, SESSION_EPOCH8, 0x1234)
    assert SESSION_EPOCH8 == 0


def test_a_message_of_the_other_end_cannot_be_sent() -> None:
    for send in (host().encode, host().push_control, lambda message: host().encode_session(message, 1)):
        with pytest.raises(MessageError, match="does not travel"):
            send(TriggerStamp(1, 2, 3))
    with pytest.raises(MessageError, match="does not travel"):
        board().encode(ClockReq(1))


def test_only_bulk_may_be_longer_than_a_small_controller_takes() -> None:
    end = host()
    assert MAX_LONG_BODY_B == 1032
    (longest,) = frames_of(end.encode(XferData(1, 0, bytes(1012))))
    assert len(longest.payload) + 8 == MAX_LONG_BODY_B
    assert Endpoint(is_host=False).deframer.feed(end.encode(XferData(1, 0, bytes(1012)))) == []
    taker = Endpoint(is_host=False, max_body_b=MAX_LONG_BODY_B)
    taker.start_session(EPOCH8)
    assert heard(taker, end.encode(XferData(1, 0, bytes(1012)))) == [XferData(1, 0, bytes(1012))]


def test_a_flush_sends_the_acknowledgement_first_and_once() -> None:
    end = board()
    heard(end, encode_frame(0x24, EPOCH8, 0, encode_payload(FeederSet(1))))
    end.push_control(Fault(1, 0, 5, 0))
    assert sent(end) == [(0, CtrlAck(1, 8)), (0, Fault(1, 0, 5, 0))]
    assert sent(end) == []


def test_control_messages_are_repeated_until_acknowledged() -> None:
    end = host()
    end.push_control(FeederSet(5))
    end.push_control(FeederSet(6))
    assert sent(end) == [(0, FeederSet(5)), (1, FeederSet(6))]
    assert heard(end, encode_frame(0x85, EPOCH8, 0, encode_payload(CtrlAck(1, 8)))) == []
    assert sent(end, 5_000_000) == [(1, FeederSet(6))]
    assert end.control.repeats == 1


def test_a_controller_goes_on_where_a_host_gives_up() -> None:
    for end, message, is_exhausted in ((host(), FeederSet(5), True), (board(), Fault(1, 0, 5, 0), False)):
        end.push_control(message)
        for step in range(1000):
            end.flush(step * 1_000_000)
        assert end.control.is_exhausted is is_exhausted


def test_an_acknowledgement_measures_the_round_trip_on_the_callers_clock() -> None:
    end = host()
    end.push_control(FeederSet(5))
    end.flush(1_000_000)
    list(end.receive(encode_frame(0x85, EPOCH8, 0, encode_payload(CtrlAck(1, 3))), 4_000_000))
    assert end.control.rtt.srtt_ns == 3_000_000
    for number in range(5):
        end.push_control(FeederSet(number))
    assert len(sent(end, 4_000_000)) == 3  # the credit


# ---- room ----


def test_a_host_always_has_room() -> None:
    end = host()
    for number in range(20):
        end.push_control(FeederSet(number))
    frames = [encode_frame(0xA1, EPOCH8, seq, encode_payload(Fault(1, 0, seq, 0))) for seq in range(20)]
    assert len(heard(end, *frames)) == 20
    assert sent(end)[0] == (0, CtrlAck(20, 8))


def test_a_controller_takes_as_many_orders_as_it_has_room_for_answers() -> None:
    end = board()
    taken = 0
    for seq in range(20):
        messages = heard(end, encode_frame(0x22, EPOCH8, seq, encode_payload(CfgSet(1, seq))))
        taken += len(messages)
        for _ in messages:
            end.push_control(Fault(1, 0, 5, 0))
    assert (taken, end.counters.out_of_order) == (16, 4)
    assert sent(end)[0] == (0, CtrlAck(16, 0))


def test_the_credit_is_what_is_left_of_the_room() -> None:
    for backlog, credit in ((0, 8), (8, 8), (9, 7), (15, 1)):
        end = board()
        for _ in range(backlog):
            end.push_control(Fault(1, 0, 5, 0))
        heard(end, encode_frame(0x24, EPOCH8, 0, encode_payload(FeederSet(1))))
        assert sent(end)[0] == (0, CtrlAck(1, credit))


# ---- what an end takes ----


def test_a_message_comes_with_the_number_of_its_frame() -> None:
    wire = encode_frame(0x10, EPOCH8, 77, encode_payload(EjectBatch(1, 2, BatchFlag.NONE, (EjectItem(0, 1, 1, 9),))))
    (received,) = board().receive(wire, 0)
    assert received == Received(EjectBatch(1, 2, BatchFlag.NONE, (EjectItem(0, 1, 1, 9),)), 77)


def test_ejections_are_taken_in_any_order_and_more_than_once() -> None:
    end = board()
    payload = encode_payload(EjectCancel(0, 1))
    assert len(heard(end, *(encode_frame(0x12, EPOCH8, seq, payload) for seq in (5, 3, 5, 40_000)))) == 4
    assert (end.counters.out_of_order, end.counters.telemetry_gaps, end.counters.bulk_gaps) == (0, 0, 0)


def test_a_session_message_needs_epoch_0_and_is_taken_within_a_session_too() -> None:
    payload = encode_payload(Hello(1, 1, 0x15A, 250))
    for end in (board(), Endpoint(is_host=False)):
        assert len(heard(end, encode_frame(0x01, 0, 9, payload))) == 1
        assert heard(end, encode_frame(0x01, EPOCH8, 9, payload)) == []
        assert (end.counters.stale_epoch, end.counters.of_session) == (1, 0)


def test_a_session_that_begins_between_two_frames_decides_about_the_second() -> None:
    end = Endpoint(is_host=False)
    wire = encode_frame(0x01, 0, 9, encode_payload(Hello(1, 1, 0x15A, 250))) + encode_frame(0x03, EPOCH8, 0, bytes(4))
    found = []
    for received in end.receive(wire, 0):
        found.append(received.message)
        if isinstance(received.message, Hello):
            end.start_session(EPOCH8)
    assert found == [Hello(1, 1, 0x15A, 250), ClockReq(0)]


def test_whatever_an_intact_frame_of_the_session_holds_it_proves_that_the_other_end_lives() -> None:
    end = board()
    stamp = encode_payload(TriggerStamp(1, 2, 3))
    frames = {
        encode_frame(0x03, EPOCH8, 0, bytes(4)): 1,
        encode_frame(0x03, EPOCH8, 0, bytes(5)): 2,  # no CLOCK_REQ
        encode_frame(0x24, EPOCH8, 9, bytes(2)): 3,  # out of order
        encode_frame(0x05, EPOCH8, 0, encode_payload(CtrlAck(0, 8))): 4,
        encode_frame(0x03, 0x5B, 0, bytes(4)): 4,  # of another session
        encode_frame(0x84, EPOCH8, 0, stamp): 4,  # of this end
        encode_frame(0x3B, EPOCH8, 0, b""): 4,  # unknown
    }
    for frame, expected in frames.items():
        heard(end, frame)
        assert expected == end.counters.of_session


def test_missing_bulk_frames_are_counted_apart_from_missing_telemetry() -> None:
    end = host()
    for seq in (7, 8, 10, 10, 9, 14):
        heard(end, encode_frame(0xC1, EPOCH8, seq, encode_payload(XferData(1, 0, b"x"))))
    heard(end, encode_frame(0x83, EPOCH8, 3, encode_payload(ClockRsp(1, 2, 3, 4))))
    assert (end.counters.bulk_gaps, end.counters.telemetry_gaps) == (4, 0)


def test_a_step_of_half_the_circle_is_the_last_that_is_a_gap() -> None:
    for step, gaps in ((0x7FFF, 0x7FFE), (0x8000, 0)):
        end = board()
        for seq in (5, 5 + step, 6):
            heard(end, encode_frame(0x03, EPOCH8, seq, bytes(4)))
        assert gaps == end.counters.telemetry_gaps


def test_a_new_session_forgets_numbers_errors_and_what_waited() -> None:
    end = board()
    heard(end, encode_frame(0x03, EPOCH8, 900, bytes(4)), encode_frame(0x60, EPOCH8, 1, b""))
    heard(end, encode_frame(0x24, EPOCH8, 0, encode_payload(FeederSet(1))))
    end.push_control(Fault(1, 0, 5, 0))
    end.start_session(0x33)
    assert (sent(end), end.epoch8, end.control.is_idle) == ([], 0x33, True)
    heard(end, encode_frame(0x03, 0x33, 5, bytes(4)))
    assert end.counters.telemetry_gaps == 0
    assert heard(end, encode_frame(0x24, 0x33, 0, encode_payload(FeederSet(2)))) == [FeederSet(2)]


# ---- types that must be understood ----


def test_a_type_that_must_be_understood_is_answered_with_its_number() -> None:
    end = board()
    assert heard(end, encode_frame(0x60, EPOCH8, 77, b"?"), encode_frame(0x3B, EPOCH8, 78, b"?")) == []
    assert end.counters.unknown == 2
    assert sent(end) == [(0, ErrorReport(0x60, 77, ErrorCode.UNKNOWN_TYPE))]
    assert sent(end) == []


def test_what_is_not_for_this_end_or_this_session_is_not_answered() -> None:
    controller, listener, stranger = board(), host(), Endpoint(is_host=False)
    heard(controller, encode_frame(0xE0, EPOCH8, 1, b""), encode_frame(0x60, 0x5B, 2, b""))
    heard(listener, encode_frame(0x60, EPOCH8, 1, b""), encode_frame(0xE0, EPOCH8, 2, b""))
    heard(stranger, encode_frame(0x60, 0, 1, b""), encode_frame(0x60, EPOCH8, 1, b""))
    assert (sent(controller), sent(stranger)) == ([], [])
    assert sent(listener) == [(0, ErrorReport(0xE0, 2, ErrorCode.UNKNOWN_TYPE))]


def test_no_more_than_eight_errors_are_told_at_a_time() -> None:
    end = board()
    heard(end, *(encode_frame(0x60, EPOCH8, seq, b"") for seq in range(12)))
    told = [message for _, message in sent(end)]
    assert told == [ErrorReport(0x60, seq, ErrorCode.UNKNOWN_TYPE) for seq in range(8)]
    heard(end, encode_frame(0x60, EPOCH8, 12, b""))
    assert [message for _, message in sent(end)] == [ErrorReport(0x60, 12, ErrorCode.UNKNOWN_TYPE)]
