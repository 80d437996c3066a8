"""The ordered class delivers everything once and in order, whatever the line loses."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.control_plane import (
    MAX_TRIES,
    RTO_MAX_NS,
    RTO_MIN_NS,
    WINDOW,
    ControlReceiver,
    ControlSender,
    RttEstimate,
)

MS = 1_000_000
FATES = st.lists(st.sampled_from(["pass", "pass", "drop", "twice"]), min_size=50, max_size=200)


def sender_of(count: int) -> ControlSender:
    sender = ControlSender()
    for number in range(count):
        sender.push(1, bytes([number]))
    return sender


def numbers(sender: ControlSender, now_ns: int) -> list[int]:
    return [item.seq for item in sender.due(now_ns)]


@given(st.integers(1, 60), FATES)
def test_all_arrive_once_in_order_over_a_line_that_loses_and_doubles(count: int, fates: list[str]) -> None:
    sender, receiver = ControlSender(gives_up=False), ControlReceiver()
    for number in range(count):
        sender.push(0x24, bytes([number]))
    received: list[int] = []
    fate_at = 0
    for step in range(5000):
        for item in sender.due(step * MS):
            fate_at += 1
            copies = {"pass": 1, "drop": 0, "twice": 2}[fates[fate_at % len(fates)] if fate_at < 2000 else "pass"]
            received += [item.payload[0] for _ in range(copies) if receiver.accept(item.seq)]
        if receiver.is_ack_due and fates[step % len(fates)] != "drop":
            receiver.is_ack_due = False
            sender.on_ack(receiver.next_seq, credit=WINDOW, now_ns=step * MS)
        if sender.is_idle:
            break
    assert list(range(count)) == received
    assert sender.is_idle


def test_no_more_than_the_window_flies() -> None:
    sender = ControlSender()
    for number in range(20):
        sender.push(1, bytes([number]))
    assert list(range(8)) == numbers(sender, 0)
    sender.on_ack(3, credit=8, now_ns=MS)
    assert numbers(sender, MS) == [8, 9, 10]
    assert sender.backlog == 17


def test_the_credit_of_the_receiver_narrows_the_window_but_never_to_nothing() -> None:
    sender = ControlSender()
    for _ in range(5):
        sender.push(1, b"")
    sender.due(0)
    sender.on_ack(5, credit=0, now_ns=MS)
    sender.push(1, b"")
    sender.push(1, b"")
    assert numbers(sender, MS) == [5]


def test_timeouts_double_up_to_the_ceiling_and_end_after_six_tries() -> None:
    sender = ControlSender()
    sender.push(1, b"")
    sent_ms = [step for step in range(1000) if numbers(sender, step * MS)]
    assert sent_ms == [0, 5, 15, 35, 75, 125]
    assert sender.is_exhausted
    assert len(sent_ms) == MAX_TRIES
    assert RTO_MIN_NS == 5 * MS
    assert RTO_MAX_NS == 50 * MS


def test_a_controller_never_gives_up() -> None:
    sender = ControlSender(gives_up=False)
    sender.push(1, b"")
    assert sum(bool(sender.due(step * MS)) for step in range(1000)) == 23  # 5 that double, then one each 50 ms
    assert not sender.is_exhausted


def test_a_repeated_acknowledgement_asks_for_one_repeat_at_once() -> None:
    sender = ControlSender()
    for _ in range(3):
        sender.push(1, b"")
    sender.due(0)
    sender.on_ack(0, credit=8, now_ns=MS)
    assert numbers(sender, MS) == [0, 1, 2]
    sender.on_ack(0, credit=8, now_ns=2 * MS)
    assert numbers(sender, 2 * MS) == []
    assert sender.repeats == 3


def test_a_wild_acknowledgement_changes_nothing() -> None:
    sender = ControlSender()
    sender.push(1, b"")
    sender.due(0)
    sender.on_ack(40_000, credit=8, now_ns=MS)
    assert not sender.is_idle


def test_numbers_wrap_at_65536() -> None:
    sender, receiver = ControlSender(), ControlReceiver()
    for number in range(65_540):
        sender.push(1, b"")
        assert all(receiver.accept(item.seq) for item in sender.due(number * MS))
        sender.on_ack(receiver.next_seq, credit=8, now_ns=number * MS)
    assert receiver.next_seq == 4


def test_repeated_messages_do_not_measure_the_round_trip() -> None:
    sender = ControlSender()
    sender.push(1, b"")
    sender.due(0)
    sender.due(5 * MS)
    sender.on_ack(1, credit=8, now_ns=40 * MS)
    assert sender.rtt.samples == 0
    sender.push(1, b"")
    sender.due(50 * MS)
    sender.on_ack(2, credit=8, now_ns=52 * MS)
    assert (sender.rtt.samples, sender.rtt.srtt_ns) == (1, 2 * MS)


def test_the_round_trip_is_smoothed_as_rfc_6298_says() -> None:
    rtt = RttEstimate()
    assert (rtt.srtt_ns, rtt.var_ns, rtt.samples, rtt.timeout_ns(0, 100)) == (0, 0, 0, 0)
    found = []
    for sample_ns in (8000, 16_000, 1000):
        rtt.add(sample_ns)
        found.append((rtt.srtt_ns, rtt.var_ns, rtt.samples, rtt.timeout_ns(0, 100_000)))
    assert found == [(8000, 4000, 1, 24_000), (9000, 5000, 2, 29_000), (8000, 5750, 3, 31_000)]
    assert rtt.timeout_ns(31_001, 40_000) == 31_001
    assert rtt.timeout_ns(20_000, 30_999) == 30_999


def test_a_message_leaves_as_it_was_pushed_with_the_next_number() -> None:
    sender = ControlSender()
    sender.push(0x24, b"first")
    sender.push(0x22, b"second")
    sent = [(item.type_id, item.payload, item.seq, item.sent_ns, item.is_repeated) for item in sender.due(3 * MS)]
    assert sent == [(0x24, b"first", 0, 3 * MS, False), (0x22, b"second", 1, 3 * MS, False)]


def test_backlog_is_what_waits_and_what_flies_and_idle_is_neither() -> None:
    sender = sender_of(0)
    seen = [(sender.backlog, sender.is_idle)]
    sender.push(1, b"")
    seen.append((sender.backlog, sender.is_idle))
    sender.due(0)
    seen.append((sender.backlog, sender.is_idle))
    sender.on_ack(1, credit=8, now_ns=MS)
    seen.append((sender.backlog, sender.is_idle))
    assert seen == [(0, True), (1, False), (1, False), (0, True)]


def test_progress_starts_the_tries_over() -> None:
    sender = sender_of(1)
    for now_ms in (0, 5, 15, 35, 75, 125):
        assert numbers(sender, now_ms * MS) == [0]
    sender.on_ack(1, credit=8, now_ns=126 * MS)
    sender.push(1, b"")
    sent_ms = [step for step in range(126, 1000) if numbers(sender, step * MS)]
    assert sent_ms == [126, 131, 141, 161, 201, 251]
    assert sender.is_exhausted


def test_progress_gives_what_still_flies_its_whole_time() -> None:
    sender = sender_of(2)
    sender.due(0)
    sender.on_ack(1, credit=8, now_ns=4 * MS)  # round trip 4 ms: timeout 4 + 4 x 2
    assert numbers(sender, 16 * MS - 1) == []
    assert numbers(sender, 16 * MS) == [1]


def test_what_was_acknowledged_has_no_timeout() -> None:
    sender = sender_of(1)
    sender.due(0)
    sender.on_ack(1, credit=8, now_ns=MS)
    for step in range(20):
        assert numbers(sender, 100 * step * MS) == []
    assert not sender.is_exhausted
    sender.push(1, b"")
    assert numbers(sender, 3000 * MS) == [1]
    assert sender.repeats == 0


def test_new_messages_start_the_timeout_anew_for_all_that_fly() -> None:
    sender = sender_of(1)
    sender.due(0)
    sender.push(1, b"")
    assert numbers(sender, 4 * MS) == [1]
    assert numbers(sender, 8 * MS) == []
    assert numbers(sender, 9 * MS) == [0, 1]
    assert sender.repeats == 2


def test_a_repeat_takes_new_messages_with_it() -> None:
    sender = sender_of(1)
    sender.due(0)
    sender.push(1, b"")
    assert [(item.seq, item.sent_ns, item.is_repeated) for item in sender.due(5 * MS)] == [
        (0, 5 * MS, True),
        (1, 5 * MS, False),
    ]


def test_each_oldest_message_can_ask_for_one_repeat() -> None:
    sender = sender_of(3)
    sender.due(0)
    for next_seq, expected in ((0, [0, 1, 2]), (0, []), (1, []), (1, [1, 2]), (1, [])):
        sender.on_ack(next_seq, credit=8, now_ns=MS)
        assert expected == numbers(sender, MS)


def test_an_acknowledgement_of_more_than_flies_changes_nothing() -> None:
    sender = sender_of(3)
    sender.on_ack(1, credit=2, now_ns=0)  # nothing flies yet: only the credit counts
    assert numbers(sender, 0) == [0, 1]
    sender.on_ack(3, credit=2, now_ns=MS)
    assert sender.backlog == 3
    sender.on_ack(2, credit=2, now_ns=MS)
    assert numbers(sender, MS) == [2]
    assert sender.rtt.samples == 1


def test_a_generous_credit_does_not_widen_the_window() -> None:
    sender = sender_of(20)
    sender.on_ack(0, credit=200, now_ns=0)
    assert numbers(sender, 0) == list(range(WINDOW))
    sender.on_ack(8, credit=1, now_ns=MS)
    assert numbers(sender, MS) == [8]


def test_without_progress_for_all_tries_nothing_leaves_any_more() -> None:
    sender = sender_of(1)
    for step in range(1000):
        sender.due(step * MS)
    sender.push(1, b"")
    assert numbers(sender, 2000 * MS) == []


def test_a_receiver_takes_the_next_message_only_and_owes_an_acknowledgement_for_any() -> None:
    receiver = ControlReceiver()
    assert (receiver.next_seq, receiver.is_ack_due) == (0, False)
    found = []
    for seq, has_room in ((1, True), (0, False), (0, True), (0, True), (65_535, True), (1, True)):
        receiver.is_ack_due = False
        found.append((receiver.accept(seq, has_room=has_room), receiver.next_seq, receiver.is_ack_due))
    assert found == [
        (False, 0, True),
        (False, 0, True),
        (True, 1, True),
        (False, 1, True),
        (False, 1, True),
        (True, 2, True),
    ]
