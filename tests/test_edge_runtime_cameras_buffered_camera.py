"""A buffer is held while its pixels may be looked at, and goes back in every other case."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.buffered_camera import BufferedCamera, DriverBuffer
from edge_runtime.cameras.pixel_formats import PixelLayout
from edge_runtime.errors import CameraError
from firmware_bridge.clock import ManualClock

LAYOUT: Final = PixelLayout("mono8", width_px=16, lines=2, line_b=16)
WHOLE_B: Final = 32
BUFFERS: Final = 3


class ScriptedDriver:
    """Plays a script: "whole", "error", "short", "small", "none", "gone"; it never has more than three buffers."""

    def __init__(self, script: list[str], *, is_requeue_broken: bool = False) -> None:
        self._script = list(script)
        self._is_requeue_broken = is_requeue_broken
        self.free = list(range(BUFFERS))
        self.closes = 0
        self._next_id = 2**32 - 2

    @property
    def layout(self) -> PixelLayout:
        return LAYOUT

    @property
    def id_period(self) -> int:
        return 2**32

    def fetch(self, timeout_s: float) -> DriverBuffer | None:
        what = self._script.pop(0) if self._script else "none"
        if what == "gone":
            raise CameraError("unplugged")
        if what == "none":
            return None
        self._next_id += 1
        return DriverBuffer(
            key=self.free.pop(0),  # it has one, or the test fails
            memory=bytes([self._next_id % 256]) * (WHOLE_B - 1 if what == "small" else WHOLE_B),
            filled_b=WHOLE_B - (what == "short"),
            frame_id=(self._next_id - 1) % 2**32,
            stamp_ns=None if self._next_id % 2 else self._next_id,
            has_error=what == "error",
        )

    def requeue(self, key: int) -> None:
        if self._is_requeue_broken:
            raise CameraError("unplugged")
        assert key not in self.free
        self.free.append(key)

    def close(self) -> None:
        self.closes += 1


@given(st.lists(st.sampled_from(["whole", "error", "short", "none"]), max_size=30))
def test_a_driver_never_runs_out_of_buffers(script: list[str]) -> None:
    driver = ScriptedDriver(script)
    camera = BufferedCamera(driver, ManualClock())
    for what in script:
        frame = camera.take(0.0)
        assert (frame is None) == (what == "none")
        assert len(driver.free) == BUFFERS - (frame is not None)
        assert frame is None or frame.is_complete == (what == "whole")
    camera.close()
    assert driver.closes == 1


def test_ids_are_unwrapped_and_missing_stamps_are_the_time_of_arrival() -> None:
    clock = ManualClock()
    clock.advance_ns(2**33)
    camera = BufferedCamera(ScriptedDriver(["whole"] * 4), clock)
    seen = []
    for _ in range(4):
        clock.advance_ns(10)
        frame = camera.take(0.0)
        assert frame is not None
        seen.append((frame.frame_id, frame.exposed_ns))
    first = 2**32 - 2
    assert seen == [(first, 2**33 + 10), (first + 1, first + 2), (first + 2, 2**33 + 30), (first + 3, first + 4)]


def test_no_frame_was_exposed_after_it_came() -> None:
    clock = ManualClock()
    camera = BufferedCamera(ScriptedDriver(["whole", "whole"]), clock)
    clock.advance_ns(5)
    exposures = [frame.exposed_ns for frame in (camera.take(0.0), camera.take(0.0)) if frame is not None]
    assert exposures == [5, 5]


def test_pixels_are_the_memory_of_the_driver() -> None:
    frame = BufferedCamera(ScriptedDriver(["whole"]), ManualClock()).take(0.0)
    assert frame is not None
    assert np.array_equal(frame.pixels, np.full((2, 16, 1), 255, np.uint8))


@pytest.mark.parametrize("script", [["whole", "gone"], ["whole", "small"], ["gone"], ["small"]])
def test_a_camera_that_fails_is_closed_once_and_stays_so(script: list[str]) -> None:
    driver = ScriptedDriver([*script, "whole"])
    camera = BufferedCamera(driver, ManualClock())
    for _ in script[:-1]:
        assert camera.take(0.0) is not None
    for _ in range(3):
        with pytest.raises(CameraError):
            camera.take(0.0)
    camera.close()
    assert driver.closes == 1


def test_a_camera_that_is_found_gone_when_a_buffer_is_given_back_is_closed() -> None:
    driver = ScriptedDriver(["whole", "whole"], is_requeue_broken=True)
    camera = BufferedCamera(driver, ManualClock())
    camera.take(0.0)
    with pytest.raises(CameraError, match="unplugged"):
        camera.take(0.0)
    with pytest.raises(CameraError, match="closed"):
        camera.take(0.0)
    assert driver.closes == 1
