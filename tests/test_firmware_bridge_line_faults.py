"""Laws of one direction of a faulty line: what it may do to bytes, when they come, and that the books balance."""

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from firmware_bridge.line_faults import (
    FTDI_PACKET_B,
    REORDER_HOLD_NS,
    FaultCounters,
    FaultSettings,
    FaultyLine,
)

US = 1_000
MS = 1_000_000
S = 1_000_000_000

SOUND_TIMES = {  # faults of time alone: nothing is lost, changed or swapped
    "off": FaultSettings(),
    "delay": FaultSettings(delay_us=300, delay_jitter_us=900),
    "baud": FaultSettings(baud=115_200),
    "timer": FaultSettings(latency_timer_ms=16),
    "stall": FaultSettings(stall_every_ms=20, stall_ms=7),
    "all": FaultSettings(
        delay_us=300, delay_jitter_us=900, baud=230_400, latency_timer_ms=4, stall_every_ms=20, stall_ms=7
    ),
}

rates = st.sampled_from([0.0, 1e-3, 0.05, 0.5, 1.0])
chunks = st.lists(st.binary(max_size=80), max_size=25)
scripts = st.lists(st.tuples(st.integers(0, 3 * MS), st.binary(max_size=80)), max_size=25)  # (pause before, bytes)


@st.composite
def any_settings(draw: st.DrawFn) -> FaultSettings:
    stall_every_ms, hang_up_every_ms = draw(st.sampled_from([0, 9])), draw(st.sampled_from([0, 17]))
    return FaultSettings(
        bit_error_rate=draw(rates),
        byte_drop_rate=draw(rates),
        byte_insert_rate=draw(rates),
        burst_rate=draw(rates),
        burst_length_b=draw(st.integers(1, 100)),
        frame_drop_rate=draw(rates),
        frame_duplicate_rate=draw(rates),
        frame_reorder_rate=draw(rates),
        delay_us=draw(st.sampled_from([0, 700])),
        delay_jitter_us=draw(st.sampled_from([0, 300])),
        latency_timer_ms=draw(st.sampled_from([0, 3])),
        baud=draw(st.sampled_from([None, 9_600, 921_600])),
        buffer_b=draw(st.sampled_from([None, 1, 100])),
        blocks=draw(st.booleans()),
        stall_every_ms=stall_every_ms,
        stall_ms=stall_every_ms // 3,
        hang_up_every_ms=hang_up_every_ms,
        hang_up_ms=hang_up_every_ms // 3,
    )


def line_of(faults: FaultSettings, seed: int = 1, start_ns: int = 0) -> FaultyLine:
    return FaultyLine(faults, random.Random(seed), start_ns=start_ns)


def play(
    line: FaultyLine, script: Iterable[tuple[int, bytes]], start_ns: int = 0, kept: bytearray | None = None
) -> list[tuple[int, bytes]]:
    """Send a script, look after each send and at each event, until nothing waits; return what came when.

    `kept` gets the bytes that were neither refused nor lost to a full buffer.
    """
    came: list[tuple[int, bytes]] = []
    now_ns = start_ns
    for pause_ns, data in script:
        come_until(line, now_ns + pause_ns, came)
        now_ns += pause_ns
        overflow_b = line.counters.overflow_b
        taken_b = line.send(data, now_ns)
        if kept is not None:
            kept += data[: taken_b - (line.counters.overflow_b - overflow_b)]
        look(line, now_ns, came)
    come_until(line, now_ns + 10 * S, came)
    return came


def look(line: FaultyLine, now_ns: int, came: list[tuple[int, bytes]]) -> None:
    if data := line.arrivals(now_ns):
        came.append((now_ns, data))


def come_until(line: FaultyLine, end_ns: int, came: list[tuple[int, bytes]]) -> None:
    """Step from event to event, as a driver that sleeps exactly does, while bytes wait."""
    while line.counters.waiting_b and (due_ns := line.next_event_ns) is not None and due_ns <= end_ns:
        look(line, due_ns, came)


def joined(came: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(data for _, data in came)


def balance(counters: FaultCounters) -> int:
    """Return the bytes that appeared minus those that disappeared: 0 when the books are right."""
    appeared = counters.taken_b + counters.inserted_b + counters.duplicated_b
    lost = counters.dropped_b + counters.frame_dropped_b + counters.overflow_b + counters.hang_up_b
    return appeared - lost - counters.delivered_b - counters.waiting_b


# ----- order and identity


@pytest.mark.parametrize("faults", SOUND_TIMES.values(), ids=SOUND_TIMES)
@settings(deadline=None)
@given(script=scripts, start_ns=st.integers(0, 50 * S))
def test_a_line_without_losses_delivers_every_byte_in_order(
    faults: FaultSettings, script: list[tuple[int, bytes]], start_ns: int
) -> None:
    line = line_of(faults, start_ns=start_ns)
    assert joined(play(line, script, start_ns)) == b"".join(data for _, data in script)
    assert line.next_event_ns is None


@settings(deadline=None)
@given(script=scripts)
def test_with_all_faults_off_bytes_arrive_in_the_instant_they_are_sent(script: list[tuple[int, bytes]]) -> None:
    line, now_ns = line_of(FaultSettings()), 0
    for pause_ns, data in script:
        now_ns += pause_ns
        assert line.send(data, now_ns) == len(data)
        assert line.next_event_ns == (now_ns if data else None)
        assert line.arrivals(now_ns) == data


@settings(deadline=None)
@given(faults=any_settings(), script=scripts, seed=st.integers(0, 99))
def test_the_same_seed_calls_and_times_give_the_same_bytes_at_the_same_times(
    faults: FaultSettings, script: list[tuple[int, bytes]], seed: int
) -> None:
    first, second = line_of(faults, seed), line_of(faults, seed)
    assert play(first, script) == play(second, script)
    assert first.counters == second.counters


def test_another_seed_gives_other_damage() -> None:
    data = bytes(1000)
    damaged = {joined(play(line_of(FaultSettings(bit_error_rate=0.01), seed), [(0, data)])) for seed in range(10)}
    assert len(damaged) == 10


@settings(deadline=None)
@given(pieces=chunks, rate=rates, seed=st.integers(0, 99))
def test_damage_depends_on_the_stream_not_on_its_chunks(pieces: list[bytes], rate: float, seed: int) -> None:
    faults = FaultSettings(
        bit_error_rate=rate / 10,
        burst_rate=rate / 50,
        burst_length_b=9,
        byte_drop_rate=rate / 10,
        byte_insert_rate=rate / 10,
        frame_drop_rate=rate,
        frame_duplicate_rate=rate / 2,
        frame_reorder_rate=rate / 2,
    )
    whole, cut = line_of(faults, seed), line_of(faults, seed)
    whole.send(b"".join(pieces), 0)
    for piece in pieces:
        cut.send(piece, 0)
    assert whole.arrivals(S) == cut.arrivals(S)
    assert whole.counters == cut.counters


def test_turning_one_fault_on_does_not_shift_the_draws_of_another() -> None:
    frames = [b"%d\0" % number for number in range(1000)]
    alone = line_of(FaultSettings(frame_drop_rate=0.1))
    beside = line_of(FaultSettings(frame_drop_rate=0.1, frame_duplicate_rate=0.2))
    for line in (alone, beside):
        line.send(b"".join(frames), 0)
    assert set(alone.arrivals(0).split(b"\0")) == set(beside.arrivals(0).split(b"\0"))


@settings(deadline=None)
@given(faults=any_settings(), script=scripts)
def test_the_books_balance_at_every_moment(faults: FaultSettings, script: list[tuple[int, bytes]]) -> None:
    line, now_ns, taken_b, delivered_b = line_of(faults), 0, 0, 0
    for pause_ns, data in script:
        now_ns += pause_ns
        taken_b += line.send(data, now_ns)
        assert balance(line.counters) == 0
        delivered_b += len(line.arrivals(now_ns))
        assert balance(line.counters) == 0
    assert (line.counters.taken_b, line.counters.delivered_b) == (taken_b, delivered_b)


@settings(deadline=None)
@given(faults=any_settings(), script=scripts)
@example(faults=FaultSettings(frame_reorder_rate=0.001, baud=9600, buffer_b=1), script=[(0, b"\x01\0")])
def test_in_the_end_only_an_unfinished_frame_waits(faults: FaultSettings, script: list[tuple[int, bytes]]) -> None:
    line, kept = line_of(faults), bytearray()
    play(line, script, kept=kept)
    tail_b = len(kept.rpartition(b"\0")[2])
    has_frame_faults = faults.frame_drop_rate or faults.frame_duplicate_rate or faults.frame_reorder_rate
    assert line.counters.waiting_b <= (tail_b if has_frame_faults else 0)


@settings(deadline=None)
@given(faults=any_settings(), script=scripts)
def test_looking_more_often_changes_nothing_but_the_moment(
    faults: FaultSettings, script: list[tuple[int, bytes]]
) -> None:
    """Also: nothing arrives before next_event_ns says so."""
    lazy, eager = line_of(faults), line_of(faults)
    lazily, eagerly, now_ns = b"", b"", 0
    for pause_ns, data in script:
        for step_ns in (pause_ns // 3, pause_ns // 3, pause_ns - 2 * (pause_ns // 3)):
            due_ns = eager.next_event_ns
            now_ns += step_ns
            news = eager.arrivals(now_ns)
            assert not news or (due_ns is not None and due_ns <= now_ns)
            eagerly += news
        lazily += lazy.arrivals(now_ns)
        lazy.send(data, now_ns)
        eager.send(data, now_ns)
    now_ns += S
    assert lazily + lazy.arrivals(now_ns) == eagerly + eager.arrivals(now_ns)
    assert lazy.counters == eager.counters


@settings(deadline=None)
@given(faults=any_settings(), script=scripts)
def test_something_happens_at_every_announced_event(faults: FaultSettings, script: list[tuple[int, bytes]]) -> None:
    line, now_ns = line_of(faults), 0
    for pause_ns, data in script:
        now_ns += pause_ns
        line.send(data, now_ns)
        line.arrivals(now_ns)
        due_ns = line.next_event_ns
        if due_ns is None:
            continue
        assert due_ns > now_ns
        was_up = line.is_up(now_ns)
        news = line.arrivals(due_ns)
        has_room = faults.blocks and line.send(b"x", due_ns) == 1
        may_have_left = faults.frame_reorder_rate > 0  # a held frame, onto a slow wire
        assert news or has_room or may_have_left or line.is_up(due_ns) != was_up
        assert (line.next_event_ns or due_ns + 1) > due_ns
        now_ns = due_ns


def test_time_that_goes_back_counts_as_the_latest_time() -> None:
    line = line_of(FaultSettings(delay_us=100))
    line.send(b"a", 50 * US)
    line.send(b"b", 0)
    assert line.arrivals(149 * US) == b""
    assert line.arrivals(150 * US) == b"ab"


# ----- rate, delay, standstills


def test_a_frame_of_140_bytes_takes_1_52_ms_at_921600_baud_and_leaves_byte_by_byte() -> None:
    line = line_of(FaultSettings(baud=921_600))
    line.send(bytes(140), 0)
    sizes = []
    while (due_ns := line.next_event_ns) is not None:
        assert line.arrivals(due_ns - 1) == b""
        sizes.append(len(line.arrivals(due_ns)))
        last_ns = due_ns
    assert sizes == [1] * 140
    assert last_ns == -(-140 * 10 * S // 921_600) == 1_519_098


@settings(deadline=None)
@given(
    baud=st.integers(50, 4_000_000),
    sends=st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(0, 60)), min_size=1, max_size=20),
)
def test_the_rate_is_never_exceeded_over_any_interval(baud: int, sends: list[tuple[int, int]]) -> None:
    came = play(line_of(FaultSettings(baud=baud)), [(pause_ns, bytes(size)) for pause_ns, size in sends])
    arrivals_ns = [at_ns for at_ns, data in came for _ in data]
    # Of any two bytes i < j: (j - i) * 10 / baud <= t_j - t_i, rounded up to a nanosecond. So none may lead the least
    # lead before it by more than that nanosecond.
    leads = [number * 10 * S - at_ns * baud for number, at_ns in enumerate(arrivals_ns)]
    least = itertools.accumulate(leads, min)
    assert all(lead - before <= baud for lead, before in zip(leads, least, strict=True))


@pytest.mark.parametrize("baud", [9_600, 115_200, 921_600, 3_000_000])
def test_a_busy_line_carries_at_least_99_percent_of_its_rate(baud: int) -> None:
    line, came_b, now_ns = line_of(FaultSettings(baud=baud, buffer_b=512, blocks=True)), 0, 0
    while now_ns < S:
        line.send(bytes(512), now_ns)
        came_b += len(line.arrivals(now_ns))
        now_ns += 10 * S * 100 // baud  # looks every 100 byte times
    came_b += len(line.arrivals(S))
    assert 0.99 * baud / 10 <= came_b <= baud / 10


@settings(deadline=None)
@given(
    every_ms=st.integers(2, 9),
    sends=st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(1, 60)), min_size=1, max_size=12),
    data=st.data(),
)
def test_standstills_stretch_the_throttle_as_a_byte_by_byte_model_says(
    every_ms: int, sends: list[tuple[int, int]], data: st.DataObject
) -> None:
    stall_ms = data.draw(st.integers(1, every_ms - 1))
    byte_ns, moving_ns = 10 * US, (every_ms - stall_ms) * MS
    expected, now_ns, free_ns = [], 0, 0
    for pause_ns, size in sends:
        now_ns += pause_ns
        free_ns = max(free_ns, now_ns)
        for _ in range(size):
            left_ns = byte_ns
            while left_ns:
                phase_ns = free_ns % (every_ms * MS)
                step_ns = min(left_ns, max(moving_ns - phase_ns, 0))
                free_ns += step_ns or every_ms * MS - phase_ns
                left_ns -= step_ns
            expected.append(free_ns)
    faults = FaultSettings(baud=1_000_000, stall_every_ms=every_ms, stall_ms=stall_ms)
    came = play(line_of(faults), [(pause_ns, bytes(size)) for pause_ns, size in sends])
    assert [at_ns for at_ns, arrived in came for _ in arrived] == expected


def test_without_a_rate_a_standstill_keeps_bytes_until_its_end() -> None:
    line = line_of(FaultSettings(stall_every_ms=100, stall_ms=40), start_ns=7 * S)
    line.send(b"before", 7 * S + 59 * MS)
    assert line.arrivals(7 * S + 59 * MS) == b"before"
    line.send(b"during", 7 * S + 60 * MS)
    assert line.next_event_ns == 7 * S + 100 * MS
    assert line.arrivals(7 * S + 100 * MS - 1) == b""
    assert line.arrivals(7 * S + 100 * MS) == b"during"


def test_jitter_delays_between_its_limits_and_keeps_the_order() -> None:
    line = line_of(FaultSettings(delay_us=500, delay_jitter_us=400))
    came = play(line, [(1 * MS, bytes((number,))) for number in range(250)])
    lateness = [at_ns - (number + 1) * MS for number, (at_ns, _) in enumerate(came)]
    assert joined(came) == bytes(range(250))
    assert min(lateness) >= 500 * US
    assert max(lateness) <= 900 * US
    assert min(lateness) < 510 * US  # 250 even draws: both ends are reached but for a chance below 0.1 %
    assert max(lateness) > 890 * US


def test_delay_adds_to_the_time_on_the_line_and_not_to_its_rate() -> None:
    line = line_of(FaultSettings(baud=1_000_000, delay_us=3_000))
    came = play(line, [(0, bytes(20))])
    assert [at_ns for at_ns, _ in came] == [3 * MS + 10 * US * number for number in range(1, 21)]


# ----- buffer


def test_what_does_not_fit_the_buffer_is_lost_from_the_tail_and_counted() -> None:
    line = line_of(FaultSettings(baud=1_000_000, buffer_b=10))
    assert line.send(b"0123456789abc", 0) == 13
    assert line.send(b"def", 25 * US) == 3  # two bytes have left
    assert line.arrivals(S) == b"0123456789de"
    assert line.counters.overflow_b == 4


def test_a_blocking_buffer_takes_what_fits_and_says_when_there_is_room() -> None:
    line = line_of(FaultSettings(baud=1_000_000, buffer_b=10, blocks=True, delay_us=1_000))
    assert line.send(b"0123456789abc", 0) == 10
    assert line.next_event_ns == 10 * US  # room, long before the first byte arrives
    assert line.send(b"abc", 10 * US - 1) == 0
    assert line.send(b"abc", 10 * US) == 1
    assert line.arrivals(S) == b"0123456789a"
    assert (line.counters.refused_b, line.counters.overflow_b) == (3 + 3 + 2, 0)


def test_in_a_standstill_a_buffer_fills_without_a_rate_too() -> None:
    line = line_of(FaultSettings(buffer_b=4, blocks=True, stall_every_ms=10, stall_ms=5))
    assert line.send(b"abcdef", 0) == 6  # nothing waits yet
    assert line.send(b"ghi", 6 * MS) == 3
    assert line.send(b"jkl", 7 * MS) == 1
    assert line.arrivals(7 * MS) == b"abcdef"
    assert line.next_event_ns == 10 * MS
    assert line.send(b"kl", 10 * MS) == 2
    assert line.arrivals(10 * MS) == b"ghijkl"


# ----- latency timer


@settings(deadline=None)
@given(script=scripts, timer_ms=st.integers(1, 20))
def test_the_latency_timer_holds_no_byte_longer_than_itself_and_hands_on_at_its_multiples(
    script: list[tuple[int, bytes]], timer_ms: int
) -> None:
    sent_ns, now_ns = [], 0
    for pause_ns, data in script:
        now_ns += pause_ns
        sent_ns += [now_ns] * len(data)
    came = play(line_of(FaultSettings(latency_timer_ms=timer_ms)), script)
    came_ns = [at_ns for at_ns, data in came for _ in data]
    assert all(0 <= came - sent <= timer_ms * MS for sent, came in zip(sent_ns, came_ns, strict=True))
    assert all(at_ns % (timer_ms * MS) == 0 or len(data) % FTDI_PACKET_B == 0 for at_ns, data in came)


def test_a_full_packet_does_not_wait_for_the_timer() -> None:
    line = line_of(FaultSettings(latency_timer_ms=16, baud=1_000_000))
    line.send(bytes(130), 0)
    sizes = {}
    while (due_ns := line.next_event_ns) is not None:
        sizes[due_ns] = len(line.arrivals(due_ns))
    assert sizes == {620 * US: 62, 1_240 * US: 62, 16 * MS: 6}


def test_small_bytes_that_add_up_to_a_packet_leave_with_the_last_of_them() -> None:
    line = line_of(FaultSettings(latency_timer_ms=16))
    for number in range(61):
        line.send(b"x", number * US)
    assert line.arrivals(61 * US) == b""
    line.send(b"xy", 61 * US)
    assert line.arrivals(61 * US) == b"x" * 62
    assert line.next_event_ns == 16 * MS


# ----- hang-ups


def test_a_hang_up_loses_what_is_on_its_way_and_all_that_is_sent_meanwhile() -> None:
    line = line_of(FaultSettings(hang_up_every_ms=100, hang_up_ms=30, delay_us=5_000), start_ns=S)
    line.send(b"in time", S + 65 * MS)
    line.send(b"too late", S + 66 * MS)
    for after_ms, is_up in ((0, True), (69, True), (70, False), (99, False), (100, True), (169, True), (170, False)):
        assert line.is_up(S + after_ms * MS) == is_up
    assert line.send(b"into the void", S + 80 * MS) == 13
    assert line.arrivals(S + 99 * MS) == b"in time"
    line.send(b"again", S + 100 * MS)
    assert line.arrivals(S + 105 * MS) == b"again"
    assert (line.counters.hang_ups, line.counters.hang_up_b) == (1, len(b"too late") + len(b"into the void"))


def test_the_edges_of_a_hang_up_are_events() -> None:
    line = line_of(FaultSettings(hang_up_every_ms=100, hang_up_ms=30))
    assert line.next_event_ns == 70 * MS
    line.arrivals(70 * MS)
    assert line.next_event_ns == 100 * MS
    line.arrivals(100 * MS)
    assert line.next_event_ns == 170 * MS


def test_a_hang_up_forgets_frames_packets_and_the_backlog() -> None:
    line = line_of(
        FaultSettings(
            hang_up_every_ms=100,
            hang_up_ms=50,
            frame_reorder_rate=1.0,
            latency_timer_ms=40,
            baud=115_200,
            delay_us=200_000,
            buffer_b=9,
        )
    )
    line.send(b"held\0tail", 41 * MS)
    assert line.counters.waiting_b == 9
    assert line.arrivals(99 * MS) == b""
    assert (line.counters.waiting_b, line.counters.hang_up_b) == (0, 9)
    line.send(b"a\0b\0", 100 * MS)  # would wait behind the lost bytes, were they remembered
    assert line.counters.overflow_b == 0


# ----- frames


@settings(deadline=None)
@given(pieces=chunks, drop=rates, duplicate=rates, reorder=rates)
def test_frame_faults_never_damage_a_frame(pieces: list[bytes], drop: float, duplicate: float, reorder: float) -> None:
    faults = FaultSettings(frame_drop_rate=drop, frame_duplicate_rate=duplicate, frame_reorder_rate=reorder)
    assume(drop or duplicate or reorder)
    stream = b"".join(pieces)
    came = joined(play(line_of(faults), [(0, piece) for piece in pieces]))
    sent, got = Counter(stream.split(b"\0")[:-1]), Counter(came.split(b"\0")[:-1])
    assert came.endswith(b"\0") or not came
    assert all(got[frame] <= 2 * sent[frame] for frame in got)


def test_a_frame_is_handed_on_when_it_is_whole() -> None:
    line = line_of(FaultSettings(frame_drop_rate=1e-9))
    line.send(b"half", 0)
    assert (line.arrivals(S), line.next_event_ns, line.counters.waiting_b) == (b"", None, 4)
    line.send(b" and half\0", S)
    assert line.arrivals(S) == b"half and half\0"


def test_a_certain_swap_swaps_every_pair() -> None:
    line = line_of(FaultSettings(frame_reorder_rate=1.0))
    line.send(b"1\0" + b"2\0" + b"3\0" + b"4\0", 0)
    assert line.arrivals(0) == b"2\0" + b"1\0" + b"4\0" + b"3\0"
    assert line.counters.frames_reordered == 2


def test_a_frame_that_nothing_overtakes_leaves_after_its_time() -> None:
    line = line_of(FaultSettings(frame_reorder_rate=1.0))
    line.send(b"alone\0", 5)
    assert line.next_event_ns == 5 + REORDER_HOLD_NS
    assert line.arrivals(4 + REORDER_HOLD_NS) == b""
    assert line.arrivals(5 + REORDER_HOLD_NS) == b"alone\0"
    assert line.next_event_ns is None


def test_a_certain_double_comes_twice_and_a_certain_loss_never() -> None:
    doubling, losing = line_of(FaultSettings(frame_duplicate_rate=1.0)), line_of(FaultSettings(frame_drop_rate=1.0))
    for line in (doubling, losing):
        line.send(b"ab\0c\0", 0)
    assert doubling.arrivals(0) == b"ab\0ab\0c\0c\0"
    assert losing.arrivals(0) == b""
    assert (doubling.counters.frames_duplicated, doubling.counters.duplicated_b) == (2, 5)
    assert (losing.counters.frames_dropped, losing.counters.frame_dropped_b) == (2, 5)


# ----- settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bit_error_rate": -0.1}, r"bit_error_rate = -0\.1: choose 0\.\.1\.0"),
        ({"frame_drop_rate": 1.5}, "frame_drop_rate"),
        ({"frame_drop_rate": float("nan")}, "frame_drop_rate = nan"),
        ({"burst_length_b": 0}, r"burst_length_b = 0: choose 1\.\.65536"),
        ({"baud": 49}, r"baud = 49: choose 50\.\.100000000"),
        ({"buffer_b": 0}, r"buffer_b = 0: choose 1\.\."),
        ({"latency_timer_ms": 256}, r"latency_timer_ms = 256: choose 0\.\.255"),
        ({"delay_us": -1}, "delay_us"),
        ({"stall_every_ms": 10, "stall_ms": 10}, "0 < stall_ms < stall_every_ms"),
        ({"stall_ms": 10}, "stall_ms = 10 with stall_every_ms = 0"),
        ({"hang_up_every_ms": 10}, "hang_up_ms = 0 with hang_up_every_ms = 10"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_with_their_limits(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaultSettings(**values)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, FaultSettings)


def test_the_limits_themselves_are_allowed() -> None:
    low = FaultSettings(bit_error_rate=0.0, burst_length_b=1, baud=50, buffer_b=1, stall_every_ms=2, stall_ms=1)
    high = FaultSettings(bit_error_rate=1.0, burst_length_b=65_536, baud=100_000_000, buffer_b=1 << 30)
    assert (low.baud, high.baud) == (50, 100_000_000)


def test_every_setting_is_off_by_default_and_described() -> None:
    assert (FaultSettings.__doc__ or "").count("\n        ") >= len(msgspec.structs.fields(FaultSettings))
    for field in msgspec.structs.fields(FaultSettings):
        assert f"        {field.name}: " in (FaultSettings.__doc__ or "")
    for field in msgspec.structs.fields(FaultCounters):
        assert f"        {field.name}: " in (FaultCounters.__doc__ or "")
    line = line_of(FaultSettings())
    line.send(bytes(range(256)) * 100, 0)
    assert line.counters == FaultCounters(taken_b=25_600, waiting_b=25_600)
