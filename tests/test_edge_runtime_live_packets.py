"""Messages arrive whole, in order and once, and outlive who sent them and who was to read them."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import PeerGoneError
from edge_runtime.live.packets import Packets, packet_pair, wait_for

Pair = tuple[Packets, Packets]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = packet_pair()
    yield left, right
    left.close()
    right.close()


def drain(end: Packets) -> list[bytes]:
    found = []
    with suppress(PeerGoneError):
        while (message := end.receive()) is not None:
            found.append(message)
    return found


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=20))
def test_messages_keep_order_and_borders(messages: list[bytes]) -> None:
    left, right = packet_pair()
    assert all(left.send(message) for message in messages)

    assert drain(right) == messages
    assert right.receive() is None
    left.close()
    right.close()


def test_a_full_socket_refuses_without_waiting_and_loses_nothing(pair: Pair) -> None:
    left, right = pair
    sent = 0
    while left.send(sent.to_bytes(4, "little") * 5000):
        sent += 1
    assert sent > 2

    assert [message[:4] for message in drain(right)] == [number.to_bytes(4, "little") for number in range(sent)]
    assert left.send(b"room again")


def test_what_is_larger_than_the_socket_is_refused(pair: Pair) -> None:
    assert not pair[0].send(bytes(64 << 20))


def test_what_was_sent_before_the_sender_ended_is_read_before_that_is_told(pair: Pair) -> None:
    left, right = pair
    left.send(b"last words")
    left.close()

    assert right.receive() == b"last words"
    with pytest.raises(PeerGoneError):
        right.receive()
    with pytest.raises(PeerGoneError):
        right.send(b"anybody?")


def test_last_words_are_read_where_the_sender_ended_with_orders_unread(pair: Pair) -> None:
    left, right = pair
    right.send(b"an order")
    left.send(b"why I cannot work")
    left.close()

    assert drain(right) == [b"why I cannot work"]
    with pytest.raises(PeerGoneError):
        right.receive()


def test_a_message_outlives_its_reader_where_another_holds_the_end(pair: Pair) -> None:
    left, right = pair
    reader = Packets.attach(os.dup(right.fileno()))
    left.send(b"one")
    left.send(b"two")
    assert reader.receive() == b"one"
    reader.close()

    assert right.receive() == b"two"
    assert left.send(b"three")


def test_each_message_goes_to_one_of_several_readers(pair: Pair) -> None:
    left, right = pair
    other = Packets.attach(os.dup(right.fileno()))
    for number in range(10):
        left.send(bytes([number + 1]))
    found = [right.receive(), *drain(other), right.receive()]
    other.close()

    assert found == [*(bytes([number + 1]) for number in range(10)), None]


def test_waiting_names_the_ends_that_have_something(pair: Pair) -> None:
    left, right = pair
    other, silent = packet_pair()
    assert wait_for([right, silent], 0.0) == []
    left.send(b"one")
    assert wait_for([right, silent], 5.0) == [right]
    drain(right)
    other.close()
    assert wait_for([right, silent], 5.0) == [silent]
    silent.close()
    assert wait_for([], 0.0) == []
