"""The ordered class delivers everything once and in order, whatever the line loses."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.control_plane import MAX_TRIES, RTO_MAX_NS, RTO_MIN_NS, WINDOW, ControlReceiver, ControlSender

MS = 1_000_000
FATES = st.lists(st.sampled_from(["pass", "pass", "drop", "twice"]), min_size=50, max_size=200)


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
