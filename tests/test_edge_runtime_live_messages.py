"""Every message comes out as it went in, and is no other kind's."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live import messages as m
from edge_runtime.live.books import Missing

U64 = st.integers(0, (1 << 64) - 1)
SMALL = st.integers(0, 1 << 40)
NEWS = st.one_of(
    st.builds(m.FrameClaimed, SMALL, SMALL, SMALL, st.integers(-(1 << 62), 1 << 62)),
    st.builds(m.FrameMissed, SMALL, SMALL, SMALL, st.sampled_from(get_args(Missing))),
    st.builds(
        m.FrameDecided, SMALL, SMALL, U64, U64, st.integers(-(1 << 63), 1 << 62), SMALL, SMALL, st.binary(max_size=99)
    ),
)
ORDERS = st.one_of(
    st.builds(m.Wish, st.booleans(), st.integers(0, 1000)),
    st.builds(m.ProcessLost, SMALL),
    st.builds(m.Announce, SMALL),
    st.builds(m.Stop),
)
CHILD_NEWS = st.one_of(
    st.builds(m.ProcessReady, st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3)),
    st.builds(m.ProcessFailed, st.text(max_size=30), st.text(max_size=99)),
    st.builds(m.ArmingLost, st.text(max_size=99)),
)


@given(st.builds(m.FrameReady, SMALL, U64, st.booleans()))
def test_an_announcement_comes_out_as_it_went_in(ready: m.FrameReady) -> None:
    assert m.decode_frame_ready(m.encode(ready)) == ready


@given(NEWS)
def test_news_of_a_frame_come_out_as_they_went_in(news: m.FrameNews) -> None:
    decoded = m.decode_frame_news(m.encode(news))
    assert (type(decoded), decoded) == (type(news), news)


@given(ORDERS)
def test_an_order_comes_out_as_it_went_in(order: m.Order) -> None:
    decoded = m.decode_order(m.encode(order))
    assert (type(decoded), decoded) == (type(order), order)
    with pytest.raises(msgspec.ValidationError):
        m.decode_child_news(m.encode(order))


@given(CHILD_NEWS)
def test_news_of_a_process_come_out_as_they_went_in(news: m.ChildNews) -> None:
    decoded = m.decode_child_news(m.encode(news))
    assert (type(decoded), decoded) == (type(news), news)
    with pytest.raises(msgspec.ValidationError):
        m.decode_order(m.encode(news))
