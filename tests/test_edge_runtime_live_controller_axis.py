"""Stamps and pulses share one axis, wherever the controller's u32 tick begins, and whichever session it is."""

import numpy as np
import pytest

from edge_runtime.decisions import pulses_of
from edge_runtime.live.controller_axis import ControllerAxis
from edge_runtime.live.messages import FrameDecided
from firmware_bridge.board import BoardSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.messages import TriggerStamp
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.virtual_board import VirtualBoard

WRAP = 1 << 32


def frame(frame_id: int, *, camera: int = 0) -> FrameDecided:
    return FrameDecided(1, camera, 5, frame_id, 0, 0, 1, np.zeros((1, 4), "<i8").tobytes())


class Session:
    """An armed controller in virtual time."""

    def __init__(self, tick_offset: int) -> None:
        self.clock = ManualClock()
        self.board = VirtualBoard(BoardSettings(tick_offset=tick_offset))
        self.link = Link(BoardTransport(self.board, self.clock), self.clock, LinkSettings(epoch_seed=1))
        self.link.connect(timeout_s=1.0)
        self.link.configure({})
        self.link.arm(timeout_s=1.0)

    def trigger(self, frame_no: int) -> list[TriggerStamp]:
        self.board.trigger(frame_no, self.clock.monotonic_ns())
        self.clock.sleep_s(0.002)
        return [event for event in self.link.poll() if isinstance(event, TriggerStamp)]


@pytest.mark.parametrize("tick_offset", [0, WRAP // 2 - 12_000, WRAP // 2 + 5, WRAP - 12_000, WRAP - 1_000_000])
def test_a_pulse_fires_so_long_after_its_stamp_as_it_is_on_the_axis(tick_offset: int) -> None:
    session, axis = Session(tick_offset), ControllerAxis(1)
    axis.begin_session(session.link)
    for frame_no in range(4):
        (stamp,) = session.trigger(frame_no)
        axis.add_stamp(stamp)
        (known,) = axis.stamps_of([frame(frame_no), frame(frame_no + 9)])
        assert (known.camera, known.number) == (0, 5)
        assert abs(axis.now_us(session.link) - known.at_us - 2000) < 50

        session.link.eject(axis.events_of(pulses_of([(0, 3, 2, known.at_us + 20_000, 700)])))
        for _ in range(8):
            session.clock.sleep_s(0.004)
            session.link.poll()
        (pulse,) = session.board.take_fired()
        assert (pulse.first_valve, pulse.valve_count) == (3, 2)
        assert (pulse.open_tick - stamp.tick) % WRAP == 20_000


def test_cameras_share_the_triggers_counter_in_turn() -> None:
    axis = ControllerAxis(3)
    axis.add_stamp(TriggerStamp(3 * 7 + 2, 1000, 0))

    assert [one.at_us for one in axis.stamps_of([frame(7, camera=2), frame(7, camera=1), frame(23, camera=0)])] == [1000]


def test_the_counter_of_triggers_may_wrap() -> None:
    axis = ControllerAxis(1)
    axis.add_stamp(TriggerStamp(3, 1000, 0))

    assert [one.at_us for one in axis.stamps_of([frame(WRAP + 3)])] == [1000]


def test_another_session_knows_no_stamp_of_the_one_before() -> None:
    axis = ControllerAxis(1)
    axis.add_stamp(TriggerStamp(3, 3_000_000_000, 0))
    axis.end_session()
    assert axis.stamps_of([frame(3)]) == []

    axis.add_stamp(TriggerStamp(4, 1000, 0))
    assert [one.at_us for one in axis.stamps_of([frame(3), frame(4)])] == [1000]


def test_memory_is_bounded_and_the_oldest_stamps_go_first() -> None:
    axis = ControllerAxis(1)
    for frame_no in range(5000):
        axis.add_stamp(TriggerStamp(frame_no, frame_no * 8000 % WRAP, 0))

    assert [len(axis.stamps_of([frame(number)])) for number in (903, 904, 4999)] == [0, 1, 1]
