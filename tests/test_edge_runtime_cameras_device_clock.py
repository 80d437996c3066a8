"""A camera's stamps are read on this computer's clock as well as the round trip allows."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.device_clock import DeviceClock
from firmware_bridge.clock import NS_PER_S, ManualClock


class Camera:
    """A camera whose clock has another zero and runs wrong; the way there and back take time."""

    def __init__(self, clock: ManualClock, zero_ns: int, ppm: int, there_ns: int, back_ns: int) -> None:
        self._clock, self._zero_ns, self._ppm = clock, zero_ns, ppm
        self._ways_ns = (there_ns, back_ns)
        self.asked = 0

    def now_ns(self) -> int:
        elapsed_ns = self._clock.monotonic_ns()
        return self._zero_ns + elapsed_ns + elapsed_ns * self._ppm // 1_000_000

    def latch(self) -> int:
        self.asked += 1
        self._clock.advance_ns(self._ways_ns[0])
        now_ns = self.now_ns()
        self._clock.advance_ns(self._ways_ns[1])
        return now_ns


@given(
    st.integers(0, 2**62),
    st.integers(-100, 100),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 9 * 10**9),
)
def test_a_stamp_is_right_within_the_round_trip_and_the_drift(
    zero_ns: int, ppm: int, there_ns: int, back_ns: int, later_ns: int
) -> None:
    clock = ManualClock()
    clock.advance_ns(NS_PER_S)
    camera = Camera(clock, zero_ns, ppm, there_ns, back_ns)
    device = DeviceClock(camera.latch, clock)
    clock.advance_ns(later_ns)
    stamp_ns, true_ns = camera.now_ns(), clock.monotonic_ns()
    clock.advance_ns(3_000_000)  # until the frame is here
    read_ns = device.host_ns(stamp_ns)
    assert read_ns is not None
    assert abs(read_ns - true_ns) <= abs(there_ns - back_ns) / 2 + 100e-6 * (later_ns + back_ns) + 2


def test_the_camera_is_asked_again_after_10_s() -> None:
    clock = ManualClock()
    clock.advance_ns(7 * NS_PER_S)
    camera = Camera(clock, 0, 100, 0, 0)
    device = DeviceClock(camera.latch, clock)
    device.keep_up()
    clock.advance_ns(10 * NS_PER_S)
    device.keep_up()
    assert camera.asked == 1
    clock.advance_ns(1)
    device.keep_up()
    assert camera.asked == 2
    assert device.host_ns(camera.now_ns()) == clock.monotonic_ns()


def test_stamps_of_another_clock_are_not_believed() -> None:
    clock = ManualClock()
    clock.advance_ns(100 * NS_PER_S)
    device = DeviceClock(clock.monotonic_ns, clock)
    now_ns = clock.monotonic_ns()
    oldest_ns = now_ns - 10 * NS_PER_S
    assert [device.host_ns(stamp) for stamp in (now_ns + 1, now_ns, oldest_ns, oldest_ns - 1)] == [
        None,
        now_ns,
        oldest_ns,
        None,
    ]
