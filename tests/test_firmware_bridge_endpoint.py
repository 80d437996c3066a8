"""What an end takes and what it counts; the small rules beside it."""

from firmware_bridge.codec import encode_payload
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.framing import encode_frame
from firmware_bridge.late_rate import LateRate, LateVerdict
from firmware_bridge.messages import ClockReq, FeederSet, Message, TriggerStamp

EPOCH8 = 0x5A
SECOND_NS = 1_000_000_000


def board() -> Endpoint:
    made = Endpoint(is_host=False)
    made.start_session(EPOCH8)
    return made


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


def test_lateness_is_judged_by_the_second_at_its_exact_limits() -> None:
    cases = {
        (0, 0): LateVerdict.GOOD,
        (19, 19): LateVerdict.UNDECIDED,
        (100, 1): LateVerdict.UNDECIDED,
        (100, 2): LateVerdict.POOR,
        (100, 20): LateVerdict.POOR,
        (100, 21): LateVerdict.HOPELESS,
    }
    for (events, late), expected in cases.items():
        rate = LateRate()
        for number in range(events):
            rate.add(is_late=number < late)
        assert rate.judge(SECOND_NS - 1) is LateVerdict.UNDECIDED
        assert expected is rate.judge(SECOND_NS)
