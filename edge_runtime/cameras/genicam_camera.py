"""A GenICam camera of any vendor, by the vendor's GenTL producer: pip install 'sortloop-edge[genicam]'.

Frames, their ids and times, out of the buffers of a device that `genicam_device.py` started. Incomplete buffers are
frames too, with their id; what is done about them is decided elsewhere.

>>> from firmware_bridge.clock import SystemClock
>>> open_genicam_camera("any", GenicamSettings(width_px=400, producer="/nowhere/vendor.cti"), SystemClock())
Traceback (most recent call last):
    ...
edge_runtime.errors.ConfigError: ...
"""

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from edge_runtime.cameras.buffered_camera import BufferedCamera, DriverBuffer
from edge_runtime.cameras.genicam_device import GenicamSettings, StartedDevice, answer, start_device, translated
from edge_runtime.cameras.pixel_formats import PixelLayout
from firmware_bridge.clock import Clock

if TYPE_CHECKING:
    from genicam.gentl import Buffer

__all__ = ["GenicamDriver", "RawBuffer", "open_genicam_camera", "read_buffer"]

_GIGE_IDS: Final = 65535  # GigE Vision 1 counts 1..65535; the wider counters of others never come that far round
_NS_PER_US: Final = 1000


class RawBuffer(Protocol):
    """What is used of a buffer of genicam; each property but the first two raises where the producer has no answer."""

    @property
    def context(self) -> int:
        """Number under which it was announced."""
        ...

    @property
    def raw_buffer(self) -> bytes:
        """Its memory, all of it."""
        ...

    @property
    def size_filled(self) -> int:
        """Bytes that arrived."""
        ...

    @property
    def frame_id(self) -> int:
        """The camera's counter."""
        ...

    @property
    def timestamp_ns(self) -> int:
        """The camera's own time."""
        ...

    def is_complete(self) -> bool:
        """Whether every packet arrived."""
        ...


def read_buffer(raw: RawBuffer, last_id: int) -> DriverBuffer:
    """Return what a producer says of a buffer; its stamp is the camera's own time.

    Args:
        raw: filled, complete or not.
        last_id: of the frame before: a producer that gives no id is counted on, and losses do not show.

    Note:
        What a producer does not answer speaks against the frame: not complete, nothing filled.
    """
    return DriverBuffer(
        key=raw.context,
        memory=raw.raw_buffer,
        filled_b=answer(lambda: raw.size_filled, 0),
        frame_id=answer(lambda: raw.frame_id, last_id + 1),
        stamp_ns=answer(lambda: raw.timestamp_ns, None),
        has_error=not answer(raw.is_complete, False),
    )


class GenicamDriver:
    """The buffers of a device that was started.

    Args:
        device: the driver closes it.
        settings: by how much its stamps are late.
        clock: of this computer.
    """

    def __init__(self, device: StartedDevice, settings: GenicamSettings, clock: Clock) -> None:
        self._device = device
        self._late_ns = settings.stamp_late_us * _NS_PER_US
        self._clock = clock
        self._layout = device.layout
        self._last_id = 0
        self._lent: dict[int, Buffer] = {}

    @property
    def layout(self) -> PixelLayout:
        """How frames lie in the buffers."""
        return self._layout

    @property
    def id_period(self) -> int:
        """Of the narrowest counter, which GigE Vision 1 has."""
        return _GIGE_IDS

    def fetch(self, timeout_s: float) -> DriverBuffer | None:
        """Lend the next filled buffer, complete or not; None where none was filled in time.

        Raises:
            CameraError: the camera is gone.

        Note:
            Most producers do not tell that a cable is pulled: nothing comes any more, and the watch says `stalled`.
        """
        from genicam.gentl import TimeoutException  # noqa: PLC0415 - optional

        device = self._device
        with translated(device.name):
            if device.device_clock is not None:
                device.device_clock.keep_up()
            try:
                device.news.update_event_data(round(max(timeout_s, 0.0) * 1000))
            except TimeoutException:
                return None
            raw = device.news.buffer
            buffer = read_buffer(raw, self._last_id)
            self._lent[buffer.key], self._last_id = raw, buffer.frame_id
            padding_b = answer(lambda: int(raw.padding_x), 0)
        self._layout = PixelLayout.padded(self._layout.format, self._layout.width_px, self._layout.lines, padding_b)
        return msgspec.structs.replace(buffer, stamp_ns=self._host_ns(buffer.stamp_ns))

    def requeue(self, key: int) -> None:
        """Take a lent buffer back.

        Raises:
            CameraError: the camera is gone.
        """
        with translated(self._device.name):
            self._device.stream.queue_buffer(self._lent.pop(key))

    def close(self) -> None:
        """Stop the camera, close it, and let go of the producer; harmless when it is gone."""
        self._device.close()

    def _host_ns(self, stamp_ns: int | None) -> int:
        """Return when the first line was exposed: by the camera's stamp where it can be read, else by the arrival."""
        device_clock = self._device.device_clock
        known = None if stamp_ns is None or device_clock is None else device_clock.host_ns(stamp_ns)
        return (self._clock.monotonic_ns() if known is None else known) - self._late_ns


def open_genicam_camera(device_id: str, settings: GenicamSettings, clock: Clock) -> BufferedCamera:
    """Return a GenICam camera that streams.

    Args:
        device_id: id, serial number or name of the device; empty takes the only one there is.
        settings: what to ask it for.
        clock: of this computer; stamps of cameras whose clock can be asked for are read on it, frames of others get the
            time of their arrival.

    Raises:
        CameraError: there is no such device, another program uses it, or it gives nothing that can be used.
        ConfigError: genicam or harvesters is not installed, there is no producer, or several devices have that name.
    """
    return BufferedCamera(GenicamDriver(start_device(device_id, settings, clock), settings, clock), clock)
