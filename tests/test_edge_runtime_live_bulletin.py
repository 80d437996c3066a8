"""A text in shared memory is read whole or not at all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.bulletin import Bulletin, Posted
from edge_runtime.live.shared_memory import SharedMemory


@given(texts=st.lists(st.binary(max_size=300), max_size=8), now_ns=st.integers(-(2**62), 2**62))
def test_reader_sees_the_latest_text(texts: list[bytes], now_ns: int) -> None:
    bulletin = Bulletin.create()
    reader = Bulletin(SharedMemory.attach(bulletin.memory.fd))
    for text in texts:
        assert bulletin.post(text, now_ns=now_ns)
        assert reader.read() == Posted(text, now_ns)
    assert texts or reader.read() is None


def test_text_that_does_not_fit_leaves_the_one_before() -> None:
    bulletin = Bulletin.create()
    bulletin.post(b"before", now_ns=1)
    assert not bulletin.post(b"x" * (128 << 10), now_ns=2)
    assert bulletin.read() == Posted(b"before", 1)
    assert bulletin.post(b"x" * ((128 << 10) - 64), now_ns=3)


def test_text_that_is_being_written_is_not_what_readers_look_at() -> None:
    bulletin = Bulletin.create()
    bulletin.post(b"first", now_ns=1)
    bulletin.post(b"second", now_ns=2)
    raw = bulletin.memory.array(0, np.dtype(np.uint8), (bulletin.memory.size_b,))
    raw[64 : 64 + (128 << 10)] = 7  # the place of the first, killed in the middle of the third
    assert bulletin.read() == Posted(b"second", 2)


@given(place=st.integers(64, 64 + 24 + 3), value=st.integers(1, 255))
def test_torn_text_is_no_text(place: int, value: int) -> None:
    bulletin = Bulletin.create()
    bulletin.post(b"four", now_ns=1)
    raw = bulletin.memory.array(0, np.dtype(np.uint8), (bulletin.memory.size_b,))
    where = place if place < 64 + 24 else 64 + 64 + (place - 64 - 24)
    raw[where] ^= value
    assert bulletin.read() is None
