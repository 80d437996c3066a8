"""When a place on the belt passes the valves: at a steady speed, or by encoder counts. Pure.

>>> SteadyBelt(speed_mm_s=2000.0, spread_us=50.0).passing(300.0)
Passing(at_us=150000.0, spread_us=50.0)
"""

from typing import NamedTuple, Protocol

import msgspec

from firmware_bridge.belt_map import BeltMap

__all__ = ["Belt", "EncoderBelt", "Passing", "SteadyBelt"]

_US_PER_S = 1e6


class Passing(NamedTuple):
    """When a place passes: microseconds since line 0 passed the camera, and by how much that may be wrong."""

    at_us: float
    spread_us: float


class Belt(Protocol):
    """What carries objects from the camera to the valves."""

    def passing(self, way_mm: float) -> Passing:
        """Return when the belt has moved `way_mm` since line 0 passed the camera.

        Raises:
            BeltError: that cannot be told now.
        """
        ...


class SteadyBelt(msgspec.Struct, frozen=True):
    """A belt or chute of one speed.

    Attributes:
        speed_mm_s: of everything on it.
        spread_us: how much earlier or later single objects arrive, for they fall and roll.
    """

    speed_mm_s: float
    spread_us: float = 0.0

    def passing(self, way_mm: float) -> Passing:
        """Return the way over the speed; it never fails."""
        return Passing(way_mm / self.speed_mm_s * _US_PER_S, self.spread_us)


class EncoderBelt(msgspec.Struct, frozen=True):
    """A belt whose way an encoder counts, so that its speed may change.

    Attributes:
        belt: what the controller's stamps tell of it.
        axis_tick: tick when line 0 passed the camera, by `BeltMap.axis_tick` while its stamp is fresh: a tick on the
            wire comes again after 2**32, in little more than an hour.
        count: encoder count then, modulo 2**32; counts come again too, so the belt must not go on for 2**31 of them.
        counts_per_mm: of the encoder.
        tick_hz: ticks a second of the controller.
        spread_us: of single objects, besides what the belt's speed leaves open.
    """

    belt: BeltMap
    axis_tick: int
    count: int
    counts_per_mm: float
    tick_hz: int
    spread_us: float = 0.0

    def passing(self, way_mm: float) -> Passing:
        """Return the forecast for the count of that way.

        Raises:
            BeltError: the belt stands, may stop on the way or runs backwards, has passed there, or there are too few
                stamps yet.
        """
        forecast = self.belt.forecast(self.count + round(way_mm * self.counts_per_mm))
        return Passing(
            (forecast.axis_tick - self.axis_tick) / self.tick_hz * _US_PER_S, forecast.error_bound_us + self.spread_us
        )
