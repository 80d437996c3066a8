"""Every message keeps its layout: round trips, refusals, golden bytes."""

import itertools
import json
import zlib
from pathlib import Path

import msgspec
import pytest
from bridge_messages import MESSAGES, golden_messages, golden_rows
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.codec import MESSAGE_TABLE, TO_HOST_BIT, Delivery, decode_payload, encode_payload, message_type
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG, ConfigKey
from firmware_bridge.dictionary import DICTIONARY, DICTIONARY_CRC, read_dictionary
from firmware_bridge.dictionary_format import MAX_DICTIONARY_B
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, encode_frame

GOLDEN = Path(__file__).parent / "golden" / "sel1_messages.json"


def test_wire_bytes_are_the_golden_ones() -> None:
    """`make golden` writes the file; its diff is a change of the protocol."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == golden_rows()


@pytest.mark.parametrize("row", json.loads(GOLDEN.read_text(encoding="utf-8")), ids=lambda row: str(row["name"]))
def test_golden_bytes_decode_to_their_message(row: dict[str, str]) -> None:
    _, epoch8, seq, message = golden_messages()[row["name"]]
    frame = Deframer().feed(bytes.fromhex(row["wire_hex"]))[0]
    assert (epoch8, seq, message) == (frame.epoch8, frame.seq, decode_payload(frame.type, frame.payload))


def wrong_types(message: m.Message) -> list[str]:
    """Return the fields whose values are not of the declared type; IntEnum(3) == 3 does not tell."""
    wrong = []
    for field in msgspec.structs.fields(message):
        value = getattr(message, field.name)
        if isinstance(value, tuple):
            wrong += [name for item in value for name in wrong_types(item)]
        elif not isinstance(value, field.type):
            wrong.append(f"{type(message).__name__}.{field.name}")
    return wrong


@pytest.mark.parametrize("name", golden_messages())
def test_numbers_with_a_name_come_back_with_it(name: str) -> None:
    to_host, _, _, message = golden_messages()[name]
    again = decode_payload(message_type(message, to_host=to_host), encode_payload(message))
    assert wrong_types(again) == []


def test_golden_bytes_cover_the_whole_table() -> None:
    kinds = {message_type(message, to_host=to_host) for to_host, _, _, message in golden_messages().values()}
    assert set(MESSAGE_TABLE) == kinds


def test_vectors_of_the_specification() -> None:
    """Printed in wire-protocol.md section 11; a controller's own tests start from them."""
    wires = {row["name"]: row["wire_hex"] for row in golden_rows()}
    assert wires["HEARTBEAT"] == "04205a010440e2010aefbeadde01e635edfc00"
    assert wires["CLOCK_REQ"] == "04035a02090403020162b4d5e900"
    assert wires["EJECT_BATCH"] == "04105a0303e80301010324f402020101061120dc05fa0108018403f9aac31c00"
    assert encode_frame(0x50, 0, 0, bytes(8)).hex() == "02500101010101010101010105639cae4700"


def test_numbers_that_travel_never_change() -> None:
    """A controller that was built years ago has them in its ROM; each list is in the order of the numbers."""
    from_0 = {
        m.BoardState: "BOOT SAFE IDLE ARMED DEGRADED",
        m.StateReason: "UNSPECIFIED OPERATOR SHUTDOWN FAULT",
        m.SelftestMode: "MEASURE FIRE",
        m.TransferKind: "FILE FIRMWARE RESIDUAL",
        m.TransferStatus: "OK BAD_HASH NO_SPACE REFUSED",
        m.LogLevel: "DEBUG INFO WARNING ERROR",
    }
    from_1 = {
        m.EjectReason: "LATE_DROPPED LATE_FIRED TOO_FAR BAD_VALVE PULSE_CLAMPED MERGED DUTY_LIMIT NOT_ARMED QUEUE_FULL "
        "CANCELLED UNSUPPORTED",
        m.FaultCode: "HOST_SILENT CFG_MISMATCH LATE_RATE QUEUE_OVERRUN",
        m.VerdictSource: "OPERATOR_KEY INSPECTION_ACCEPT INSPECTION_REJECT",
        m.ErrorCode: "UNKNOWN_TYPE",
        m.ConfigKey: "MAX_PULSE_US MIN_OFF_US LATE_TOL_US HORIZON_US WD_MS MAX_OPEN_VALVES MAX_DUTY_PERMILLE",
    }
    bits = {
        m.BatchFlag: "ENCODER REPEAT ALLOW_LATE",
        m.HeartbeatFlag: "ARMED_WANTED ENCODER_EXPECTED",
        m.CapabilityFlag: "ENCODER_TIMES SELFTEST BULK",
        m.SelftestFlag: "REFUSED LAST NO_SENSE",
    }
    for start, enums in ((0, from_0), (1, from_1)):
        for enum, names in enums.items():
            assert dict(zip(names.split(), itertools.count(start))) == {e.name: e.value for e in enum}
    for flags, names in bits.items():
        expected = {"NONE": 0} | {name: 1 << bit for bit, name in enumerate(names.split())}
        assert expected == {name: flag.value for name, flag in flags.__members__.items()}


def test_limits_that_both_ends_build_on_never_change() -> None:
    limits = (m.PROTOCOL_VERSION, m.MAX_VALVES, m.MAX_VALVES_PER_EVENT, m.WINDOW_EVENTS, m.MAX_BLOCK_B)
    assert limits == (1, 4096, 16, 1024, 234)
    assert (m.MAX_EVENTS_PER_BATCH, m.MAX_EVENTS_PER_MASK_BATCH, m.MAX_REPORTS_PER_FRAME) == (39, 23, 35)


def test_fields_that_may_be_left_out_mean_nothing_special() -> None:
    assert m.EjectReport(1, m.EjectReason.MERGED) == m.EjectReport(1, m.EjectReason.MERGED, 0)
    assert m.Hello(1, 1, 1, 250) == m.Hello(1, 1, 1, 250, 0)
    assert m.SetState(m.BoardState.SAFE) == m.SetState(m.BoardState.SAFE, m.StateReason.UNSPECIFIED)


def test_the_table_has_one_sample_of_every_message() -> None:
    assert {spec.cls for spec in MESSAGE_TABLE.values()} == set(MESSAGES)


@given(st.data())
def test_every_message_comes_back(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(list(MESSAGE_TABLE.values())))
    message = data.draw(MESSAGES[spec.cls])
    assert message == decode_payload(spec.type_id, encode_payload(message))


@given(st.integers(0, 255), st.binary(max_size=260))
def test_any_payload_gives_a_message_or_a_message_error(type_id: int, payload: bytes) -> None:
    try:
        message = decode_payload(type_id, payload)
    except MessageError as error:
        assert str(error)
    else:
        assert payload == encode_payload(message)


@given(st.data())
def test_a_wrong_length_names_type_length_and_layout(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from([spec for spec in MESSAGE_TABLE.values() if ".." not in spec.layout]))
    payload = encode_payload(data.draw(MESSAGES[spec.cls]))
    wrong = data.draw(st.sampled_from([payload[:-1], payload + b"x", b""]))
    with pytest.raises(MessageError, match=rf"{spec.name} \(0x{spec.type_id:02x}\): {len(wrong)} B, expected .* = "):
        decode_payload(spec.type_id, wrong)


@pytest.mark.parametrize(
    ("type_id", "shortest_b", "longest_b"),
    [
        (0x82, 2, 242),
        (0x40, 31, 95),
        (0xC0, 31, 95),
        (0x41, 13, 1024),
        (0xC1, 13, 1024),
        (0x50, 1, 201),
        (0xD0, 1, 201),
    ],
)
def test_bytes_of_variable_length_have_a_shortest_and_a_longest(type_id: int, shortest_b: int, longest_b: int) -> None:
    filler = b"\0\1" * longest_b  # XFER_OPEN.block_b is then 1
    taken = [n for n in range(longest_b + 2) if is_taken(type_id, filler[:n])]
    assert taken == list(range(shortest_b, longest_b + 1))


def is_taken(type_id: int, payload: bytes) -> bool:
    try:
        decode_payload(type_id, payload)
    except MessageError:
        return False
    return True


def test_every_type_byte_says_its_direction() -> None:
    for spec in MESSAGE_TABLE.values():
        message = next(msg for _, _, _, msg in golden_messages().values() if type(msg) is spec.cls)
        assert spec.type_id == message_type(message, to_host=bool(spec.type_id & TO_HOST_BIT))
        assert spec.delivery in Delivery


@pytest.mark.parametrize(
    "message",
    [
        m.FeederSet(1001),
        m.FeederSet(-1),
        m.Hello(2, 1, 1, 250),
        m.Hello(1, 1, 0x100, 250),
        m.EjectBatch(0, 0, m.BatchFlag.NONE, ()),
        m.EjectBatch(0, 0, m.BatchFlag.NONE, (m.EjectItem(0, 0, 1, 1),) * 40),
        m.EjectBatch(0, 0, m.BatchFlag.NONE, (m.EjectItem(0, 4096, 1, 1),)),
        m.EjectBatch(0, 0, m.BatchFlag.NONE, (m.EjectItem(0, 0, 17, 1),)),
        m.EjectBatch(0, 0, m.BatchFlag.NONE, (m.EjectItem(0, 0, 1, 0),)),
        m.EjectExc(()),
        m.EjectMask(0, 0, m.BatchFlag.NONE, (m.MaskItem(0, 0, 1, 1),) * 24),
        m.EjectMask(0, 0, m.BatchFlag.NONE, (m.MaskItem(0, 4096, 1, 1),)),
        m.EjectMask(0, 0, m.BatchFlag.NONE, (m.MaskItem(0, 0, 0, 1),)),
        m.EjectMask(0, 0, m.BatchFlag.NONE, (m.MaskItem(0, 0, 1, 0),)),
        m.EjectCancel(5, 5),
        m.EjectCancel(5, 4),
        m.EjectCancel(0, 1025),
        m.Selftest(4, 3, 1000, m.SelftestMode.MEASURE),
        m.Selftest(0, 4096, 1000, m.SelftestMode.MEASURE),
        m.Selftest(0, 3, 0, m.SelftestMode.MEASURE),
        m.DictRead(0, 0),
        m.DictRead(0, 241),
        m.DictData(0, bytes(241)),
        m.XferOpen(1, 1, bytes(15), m.TransferKind.FILE, 234, b""),
        m.XferOpen(1, 1, bytes(16), m.TransferKind.FILE, 235, b""),
        m.XferOpen(1, 1, bytes(16), m.TransferKind.FILE, 0, b""),
        m.XferOpen(1, 1, bytes(16), m.TransferKind.FILE, 1, bytes(65)),
        m.XferData(1, 0, b""),
        m.XferDone(1, m.TransferStatus.OK, bytes(17)),
        m.Log(m.LogLevel.INFO, bytes(201)),
        m.SetState(m.BoardState.DEGRADED),
        m.CfgSet(65_536, 0),
        m.Message(),
    ],
)
def test_values_out_of_range_are_refused(message: m.Message) -> None:
    with pytest.raises(MessageError):
        encode_payload(message)


def test_a_message_does_not_travel_the_wrong_way() -> None:
    with pytest.raises(MessageError, match="Hello does not travel to the host"):
        message_type(m.Hello(1, 1, 1, 250), to_host=True)


@pytest.mark.parametrize(
    ("type_id", "payload_hex"),
    [
        (0x21, "0400"),  # SET_STATE DEGRADED
        (0x21, "0104"),  # no such reason
        (0x30, "000000000000000400000000"),  # no such source
        (0x91, "010000000000" + "0000"),  # report without a reason
        (0x12, "0500000005000000"),  # cancels nothing
        (0x11, "00000000000000000100" + "0000001001000000" + "0100"),  # valve 4096
        (0x7F, "00000002"),  # no such error
    ],
)
def test_bytes_out_of_range_are_refused(type_id: int, payload_hex: str) -> None:
    with pytest.raises(MessageError):
        decode_payload(type_id, bytes.fromhex(payload_hex))


def test_an_error_of_a_rule_names_the_values_and_the_rule() -> None:
    with pytest.raises(MessageError, match=r"SELFTEST: Selftest\(first_valve=4, .* breaks .*first_valve <= last_valve"):
        encode_payload(m.Selftest(4, 3, 1000, m.SelftestMode.MEASURE))


def test_unknown_bits_of_flags_pass() -> None:
    heartbeat = decode_payload(0x20, bytes.fromhex("0000000000000000ff"))
    assert isinstance(heartbeat, m.Heartbeat)
    assert int(heartbeat.flags) == 0xFF


def test_reasons_that_did_fire() -> None:
    fired = {reason for reason in m.EjectReason if reason.has_fired}
    assert {m.EjectReason.LATE_FIRED, m.EjectReason.PULSE_CLAMPED, m.EjectReason.MERGED} == fired


def test_each_key_starts_within_its_limits() -> None:
    assert list(ConfigKey) == list(DEFAULT_CONFIG) == list(CONFIG_RANGES)
    assert all(low <= DEFAULT_CONFIG[key] <= high for key, (low, high) in CONFIG_RANGES.items())


def test_dictionary_describes_every_message_and_every_key() -> None:
    dictionary = read_dictionary(DICTIONARY)
    types = {type_id: row.name for row in dictionary.messages for type_id in row.types}
    assert {type_id: spec.name for type_id, spec in MESSAGE_TABLE.items()} == types
    assert {key.name: key for key in ConfigKey} == {name: row.key for name, row in dictionary.config.items()}
    ranges = {name: (row.low, row.high) for name, row in dictionary.config.items()}
    assert {key.name: limits for key, limits in CONFIG_RANGES.items()} == ranges


def test_dictionary_has_a_text_for_every_fault_and_reason() -> None:
    dictionary = read_dictionary(DICTIONARY)
    assert [code for code in m.FaultCode if not dictionary.text("FaultCode", code)] == []
    assert [reason for reason in m.EjectReason if not dictionary.text("EjectReason", reason)] == []
    assert dictionary.text("FaultCode", 99) is None


def test_crc_of_the_dictionary_is_over_its_compressed_bytes() -> None:
    assert zlib.crc32(DICTIONARY) == DICTIONARY_CRC


@given(st.binary(max_size=60))
def test_any_bytes_give_a_dictionary_or_a_message_error(data: bytes) -> None:
    for candidate in (data, zlib.compress(data), DICTIONARY[:-1] + data):
        try:
            protocol = read_dictionary(candidate).protocol
        except MessageError as error:
            assert str(error)
        else:
            assert protocol == 1


@pytest.mark.parametrize(
    "text",
    [
        b'{"x":' + b"[" * 100_000,
        b'{"protocol":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"protocol":1,"enums":{"\xff":{}}}',
        b'{"protocol":"1"}',
        b'{"protocol":' + b"9" * 10_000 + b"}",
        b"[]",
    ],
    ids=lambda text: str(text[:16]),
)
def test_a_dictionary_that_is_none_is_a_message_error(text: bytes) -> None:
    with pytest.raises(MessageError, match="dictionary of"):
        read_dictionary(zlib.compress(text))


def test_a_dictionary_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(b"{" + bytes(50 * MAX_DICTIONARY_B))
    with pytest.raises(MessageError, match=f"longer than {MAX_DICTIONARY_B} B"):
        read_dictionary(bomb)
