"""Every message keeps its layout: round trips, refusals, golden bytes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.codec import MESSAGE_TABLE, TO_HOST_BIT, Delivery, decode_payload, encode_payload, message_type
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, encode_frame

GOLDEN = Path(__file__).parent / "golden" / "sel1_messages.json"
U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
STATES = st.sampled_from(m.BoardState)
ITEMS = st.builds(m.EjectItem, U16, st.integers(0, 4095), st.integers(1, 16), st.integers(1, 65_535))
REPORTS = st.builds(m.EjectReport, U32, st.sampled_from(m.EjectReason), st.integers(-32_768, 32_767))
SAMPLES: dict[type[m.Message], st.SearchStrategy[m.Message]] = {
    m.Hello: st.builds(m.Hello, st.just(1), U8.filter(bool), U32.filter(lambda epoch: epoch & 0xFF != 0), U16, U8),
    m.Ident: st.builds(
        m.Ident, U8, U32, st.binary(min_size=12, max_size=12), U8, U8, U8, U32, U32.filter(bool), U16, U16, U16, U16,
        U16, U16, U32, U32, U32, STATES, U16, U32,
    ),
    m.ClockReq: st.builds(m.ClockReq, U32),
    m.ClockRsp: st.builds(m.ClockRsp, U32, U64, U64, U32),
    m.TriggerStamp: st.builds(m.TriggerStamp, U32, U32, U32),
    m.CtrlAck: st.builds(m.CtrlAck, U16, U8),
    m.EjectBatch: st.builds(
        m.EjectBatch, U32, U32, st.integers(0, 7).map(m.BatchFlag), st.lists(ITEMS, min_size=1, max_size=39).map(tuple)
    ),
    m.EjectAck: st.builds(m.EjectAck, U32, U64, U16, U16, U32),
    m.EjectExc: st.builds(m.EjectExc, st.lists(REPORTS, min_size=1, max_size=35).map(tuple)),
    m.Heartbeat: st.builds(m.Heartbeat, U32, U32, st.integers(0, 3).map(m.HeartbeatFlag)),
    m.Status: st.builds(
        m.Status, U64, U32, STATES, U32, U16, U16, U32, U16, U16, U16, U16, U16, U16, U16, U16, U16,
        st.integers(-128, 127), U32,
    ),
    m.Fault: st.builds(m.Fault, U16, U16, U32, U32),
    m.SetState: st.builds(
        m.SetState,
        st.sampled_from([m.BoardState.SAFE, m.BoardState.IDLE, m.BoardState.ARMED]),
        st.sampled_from(m.StateReason),
    ),
    m.CfgSet: st.builds(m.CfgSet, U16, U32),
    m.CfgVal: st.builds(m.CfgVal, U16, U32, U32),
    m.FeederSet: st.builds(m.FeederSet, st.integers(0, 1000)),
    m.Verdict: st.builds(m.Verdict, U32, U16, U8, st.sampled_from(m.VerdictSource), U32),
}  # fmt: skip


def golden_messages() -> dict[str, tuple[bool, int, int, m.Message]]:
    """Name -> (to host, epoch8, seq, message): one of every row of the table, and the vectors of the specification."""
    item, wide = m.EjectItem(0, 17, 3, 1500), m.EjectItem(250, 256, 1, 900)
    verdict = m.Verdict(77, 3, 255, m.VerdictSource.INSPECTION_REJECT, 0x00F42400)
    ident = m.Ident(
        1, 2, bytes(range(12)), 0, 1, 0, 0xABCDEF01, 1_000_000, 256, 1024, 4096, 264, 20_000, 500, 0, 0, 0xDEADBEEF,
        m.BoardState.IDLE, 3, 1000,
    )  # fmt: skip
    status = m.Status(
        2**33, 5, m.BoardState.ARMED, 2, 10, 1014, 123_456, 7, 8, 9, 10, 11, 0, 42, 600, 24_000, -5, 0xDEADBEEF
    )
    reports = (
        m.EjectReport(1000, m.EjectReason.LATE_DROPPED, 120),
        m.EjectReport(1001, m.EjectReason.TOO_FAR, -32_768),
    )
    return {
        "HELLO": (False, 0, 0x1234, m.Hello(1, 1, 0x1234565A, 250, 0)),
        "IDENT": (True, 0, 0x1234, ident),
        "CLOCK_REQ": (False, 0x5A, 2, m.ClockReq(0x01020304)),
        "CLOCK_RSP": (True, 0x5A, 2, m.ClockRsp(0x01020304, 2**32 + 1, 2**32 + 9, 77)),
        "TRIGGER_STAMP": (True, 0x5A, 4, m.TriggerStamp(12, 0xFFFFFFFF, 4000)),
        "CTRL_ACK to controller": (False, 0x5A, 5, m.CtrlAck(9, 8)),
        "CTRL_ACK to host": (True, 0x5A, 5, m.CtrlAck(9, 8)),
        "EJECT_BATCH": (False, 0x5A, 3, m.EjectBatch(1000, 0x00F42400, m.BatchFlag.NONE, (item, wide))),
        "EJECT_BATCH of 39": (False, 0x5A, 4, m.EjectBatch(2**32 - 1, 0, m.BatchFlag.REPEAT, (wide,) * 39)),
        "EJECT_ACK": (True, 0x5A, 3, m.EjectAck(1000, 0b11, 1022, 3, 0x00F42300)),
        "EJECT_EXC": (True, 0x5A, 6, m.EjectExc(reports)),
        "HEARTBEAT": (False, 0x5A, 1, m.Heartbeat(123_456, 0xDEADBEEF, m.HeartbeatFlag.ARMED_WANTED)),
        "STATUS": (True, 0x5A, 7, status),
        "FAULT": (True, 0x5A, 8, m.Fault(m.FaultCode.HOST_SILENT, 0, 99, 0)),
        "SET_STATE": (False, 0x5A, 9, m.SetState(m.BoardState.ARMED, m.StateReason.OPERATOR)),
        "CFG_SET": (False, 0x5A, 10, m.CfgSet(1, 20_000)),
        "CFG_VAL": (True, 0x5A, 10, m.CfgVal(1, 20_000, 0xDEADBEEF)),
        "FEEDER_SET": (False, 0x5A, 11, m.FeederSet(750)),
        "VERDICT to controller": (False, 0x5A, 12, verdict),
        "VERDICT to host": (True, 0x5A, 12, verdict),
    }


def golden_rows() -> list[dict[str, str]]:
    rows = []
    for name, (to_host, epoch8, seq, message) in golden_messages().items():
        wire = encode_frame(message_type(message, to_host=to_host), epoch8, seq, encode_payload(message))
        rows.append({"name": name, "message": repr(message), "wire_hex": wire.hex()})
    return rows


def test_wire_bytes_are_the_golden_ones() -> None:
    """`python tests/test_firmware_bridge_codec.py` writes the file; its diff is a change of the protocol."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == golden_rows()


@pytest.mark.parametrize("row", json.loads(GOLDEN.read_text(encoding="utf-8")), ids=lambda row: str(row["name"]))
def test_golden_bytes_decode_to_their_message(row: dict[str, str]) -> None:
    _, epoch8, seq, message = golden_messages()[row["name"]]
    frame = Deframer().feed(bytes.fromhex(row["wire_hex"]))[0]
    assert (epoch8, seq, message) == (frame.epoch8, frame.seq, decode_payload(frame.type, frame.payload))


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


def test_the_table_has_one_sample_of_every_message() -> None:
    assert {spec.cls for spec in MESSAGE_TABLE.values()} == set(SAMPLES)


@given(st.data())
def test_every_message_comes_back(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(list(MESSAGE_TABLE.values())))
    message = data.draw(SAMPLES[spec.cls])
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
    spec = data.draw(st.sampled_from(list(MESSAGE_TABLE.values())))
    payload = encode_payload(data.draw(SAMPLES[spec.cls]))
    wrong = data.draw(st.sampled_from([payload[:-1], payload + b"x"]))
    with pytest.raises(MessageError, match=rf"{spec.name} \(0x{spec.type_id:02x}\): {len(wrong)} B, expected .* = "):
        decode_payload(spec.type_id, wrong)


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


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden_rows(), indent=1) + "\n", encoding="utf-8")
