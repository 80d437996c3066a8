"""One axis for everything, whatever the board's clock does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.virtual_world_log import BoardLog
from firmware_bridge.board import BoardSettings, BoardTime
from firmware_bridge.codec import encode_payload, message_type
from firmware_bridge.framing import encode_frame
from firmware_bridge.messages import BoardState, EjectExc, EjectReason, EjectReport, Fault, FaultCode, Message
from firmware_bridge.pulse_recorder import FiredPulse


def wire_of(message: Message) -> bytes:
    return encode_frame(message_type(message, to_host=True), 0x5A, 0, encode_payload(message))


@settings(deadline=None)
@given(
    st.integers(0, 2**33), st.integers(-500, 500), st.integers(0, 10**13), st.integers(0, 10**6), st.integers(1, 65_000)
)
def test_pulses_lie_where_they_were_whatever_the_clock(
    offset: int, drift_ppm: int, line_0_ns: int, open_us: int, length_us: int
) -> None:
    time = BoardTime(BoardSettings(tick_offset=offset, drift_ppm=drift_ppm))
    log = BoardLog(line_0_ns, drift_ppm)
    opened, closed = (line_0_ns + us * 1000 for us in (open_us, open_us + length_us))
    now_ns = closed + 3_000_000
    pulse = FiredPulse(7, 3, 2, time.tick_at(opened), time.tick_at(closed))

    log.see_pulses([pulse], tick=time.tick_at(now_ns), now_ns=now_ns)

    [seen] = log.pulses
    assert (seen.boot, seen.evid, seen.first_valve, seen.valve_count) == (0, 7, 3, 2)
    assert abs(seen.open_us - open_us) <= 2
    assert abs(seen.close_us - (open_us + length_us)) <= 2


def test_reports_are_counted_once_a_boot() -> None:
    log = BoardLog(0, 0)
    late = EjectReport(5, EjectReason.LATE_DROPPED, 12)
    wire = wire_of(EjectExc((late, EjectReport(6, EjectReason.MERGED, 0), EjectReport(7, EjectReason.LATE_FIRED, 3))))

    log.see_output(wire[:5])
    log.see_output(wire[5:] + wire)
    log.see_boot(1_000, BoardState.SAFE)
    log.see_output(wire_of(EjectExc((late,))))

    assert dict(log.refusals) == {"LATE_DROPPED": 2, "MERGED": 1, "LATE_FIRED": 1}
    assert log.worst_lateness_us == 120


def test_a_state_has_the_fault_that_led_to_it() -> None:
    log = BoardLog(0, 0)
    log.see_state(BoardState.ARMED, 1_000_000)
    log.see_output(wire_of(Fault(FaultCode.LATE_RATE, 0, 0, 0)))
    log.see_state(BoardState.DEGRADED, 2_000_000)
    log.see_state(BoardState.DEGRADED, 3_000_000)
    log.see_state(BoardState.ARMED, 4_000_000)
    log.see_output(wire_of(Fault(40_000, 0, 0, 0)))
    log.see_state(BoardState.SAFE, 5_000_000)

    assert [(change.at_us, change.state, change.reason) for change in log.states] == [
        (1000, "ARMED", "host"),
        (2000, "DEGRADED", "LATE_RATE"),
        (4000, "ARMED", "host"),
        (5000, "SAFE", "code 40000"),
    ]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    log = BoardLog(0, 0)
    log.see_output(data)
    log.see_output(b"\0" + wire_of(EjectExc((EjectReport(6, EjectReason.MERGED, 0),))))

    assert log.refusals["MERGED"] == 1


def test_the_feeder_is_told_when_it_changes() -> None:
    log = BoardLog(500_000, 0)
    for permille, now_ns in ((0, 500_000), (0, 700_000), (1000, 1_500_000), (300, 2_500_000)):
        log.see_feeder(permille, now_ns)

    assert [(change.at_us, change.permille) for change in log.feeder] == [(0, 0), (1000, 1000), (2000, 300)]
