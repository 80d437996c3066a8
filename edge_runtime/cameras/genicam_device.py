"""Find, set and start a GenICam device of any vendor, by the vendor's GenTL producer.

harvesters finds the device and reads what it can be asked. Buffers are handled on genicam itself: harvesters' own
acquirer gives incomplete buffers no id, waits without a limit when asked for 0 s, and takes Ctrl-C over. Every step
puts its opposite onto a list, so that whatever was done is undone.

>>> from firmware_bridge.clock import SystemClock
>>> start_device("any", GenicamSettings(width_px=400, producer="/nowhere/vendor.cti"), SystemClock())
Traceback (most recent call last):
    ...
edge_runtime.errors.ConfigError: ...
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from edge_runtime.cameras.device_clock import DeviceClock
from edge_runtime.cameras.pixel_formats import PixelFormat, PixelLayout
from edge_runtime.errors import CameraError, ConfigError
from firmware_bridge.clock import Clock

if TYPE_CHECKING:
    from genicam.genapi import NodeMap
    from genicam.gentl import DataStream, EventManagerNewBuffer
    from harvesters.core import DeviceInfo, Harvester

__all__ = ["GenicamSettings", "StartedDevice", "answer", "start_device", "translated"]

_Answer = TypeVar("_Answer")

# EMVA Pixel Format Naming Convention, best first: colour without conversion, colour with one, grey.
_FORMATS: Final[dict[str, PixelFormat]] = {
    "BGR8": "bgr8",
    "RGB8": "rgb8",
    "BGRa8": "bgra8",
    "RGBa8": "rgba8",
    "YUV422_8": "yuyv",
    "BayerRG8": "bayer_rggb8",
    "BayerGR8": "bayer_grbg8",
    "BayerGB8": "bayer_gbrg8",
    "BayerBG8": "bayer_bggr8",
    "Mono8": "mono8",
}
_BUFFERS: Final = 8
_PRODUCERS: Final = "GENICAM_GENTL64_PATH"  # set by vendors' installers, as the GenTL standard asks


class GenicamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask the camera for.

    Attributes:
        width_px: pixels of a line; a camera that gives another width is refused.
        lines: of a frame; 0 leaves what the camera has.
        pixel_format: by its PFNC name; empty takes the best that the camera has.
        producer: path of the vendor's GenTL producer (.cti); empty takes all in the folders of GENICAM_GENTL64_PATH.
        stamp_late_us: by how much the stamps are later than the exposure of the first line; of a camera without a clock
            of its own, by how much frames arrive later than that.
    """

    width_px: Annotated[int, msgspec.Meta(ge=16, le=16384)]
    lines: Annotated[int, msgspec.Meta(ge=0, le=16384)] = 0
    pixel_format: str = ""
    producer: str = ""
    stamp_late_us: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0


@dataclass(slots=True)
class StartedDevice:
    """A device that fills buffers.

    Attributes:
        name: id of the device.
        layout: how frames lie in the buffers, where lines follow one another without a gap.
        stream: takes buffers back.
        news: tells of filled buffers.
        device_clock: reads the camera's stamps; None where the camera cannot be asked for its time.
        memories: what the buffers are; they must live as long as the stream.
        undo: what ends it, in reverse order.
    """

    name: str
    layout: PixelLayout
    stream: "DataStream"
    news: "EventManagerNewBuffer"
    device_clock: DeviceClock | None
    memories: tuple[bytes, ...] = ()
    undo: list[Callable[[], object]] = field(default_factory=list)

    def close(self) -> None:
        """Stop it and let go of the producer; what a device that is gone no longer does is left."""
        _undo_all(self.undo)


def start_device(device_id: str, settings: GenicamSettings, clock: Clock) -> StartedDevice:
    """Return a device that fills buffers.

    Args:
        device_id: id, serial number or name of the device; empty takes the only one there is.
        settings: what to ask it for.
        clock: of this computer.

    Raises:
        CameraError: there is no such device, another program uses it, or it gives nothing that can be used.
        ConfigError: genicam or harvesters is not installed, there is no producer, or several devices have that name.

    Note:
        A process can open a producer once: each camera needs a process of its own.
    """
    harvester = _searched(settings.producer)
    undo: list[Callable[[], object]] = [harvester.reset]
    try:
        with translated(device_id):
            return _started(_chosen(harvester, device_id), settings, clock, undo)
    except (CameraError, ConfigError):
        _undo_all(undo)
        raise


def answer(ask: Callable[[], _Answer], otherwise: _Answer) -> _Answer:
    """Return what a producer answers, or `otherwise` where it has no answer."""
    from genicam.gentl import GenericException  # noqa: PLC0415 - optional

    try:
        return ask()
    except GenericException:
        return otherwise


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn the errors of genicam into ours.

    Raises:
        CameraError: the camera is gone or refuses.
    """
    from genicam import genapi, gentl  # noqa: PLC0415 - optional

    try:
        yield
    except (gentl.GenericException, genapi.GenericException) as error:
        raise CameraError(f"{name or 'camera'}: {error}") from error


def _undo_all(undo: list[Callable[[], object]]) -> None:
    while undo:
        with suppress(CameraError), translated("close"):
            undo.pop()()


def _started(
    info: "DeviceInfo", settings: GenicamSettings, clock: Clock, undo: list[Callable[[], object]]
) -> StartedDevice:
    """Open, set, announce, queue, start.

    Raises:
        CameraError: the device has no such size or format.
        GenericException: of genicam: the device refuses.
    """
    from genicam import gentl  # noqa: PLC0415 - optional
    from harvesters.core import Device, RemoteDevice  # noqa: PLC0415 - optional

    device = info.create_device()
    device.open(gentl.DEVICE_ACCESS_FLAGS_LIST.DEVICE_ACCESS_EXCLUSIVE)
    undo.append(device.close)
    nodes = RemoteDevice(module=device, parent=Device(module=device, parent=info.parent)).node_map
    layout, device_clock = _negotiated(nodes, settings), _clock_of(nodes, clock)
    stream = device.create_data_stream()
    stream.open(device.data_stream_ids[0])
    undo.append(stream.close)
    news = gentl.EventManagerNewBuffer(stream.register_event(gentl.EVENT_TYPE_LIST.EVENT_NEW_BUFFER))
    undo.append(news.unregister_event)
    size_b = stream.payload_size if stream.defines_payload_size() else nodes.PayloadSize.value
    memories = _announced(stream, size_b, undo)
    _set_if_there(nodes, "AcquisitionMode", "Continuous")
    _set_if_there(nodes, "TLParamsLocked", 1)
    undo.append(partial(_set_if_there, nodes, "TLParamsLocked", 0))
    stream.start_acquisition(gentl.ACQ_START_FLAGS_LIST.ACQ_START_FLAGS_DEFAULT, -1)
    undo.append(partial(stream.stop_acquisition, gentl.ACQ_STOP_FLAGS_LIST.ACQ_STOP_FLAGS_KILL))
    nodes.AcquisitionStart.execute()
    undo.append(nodes.AcquisitionStop.execute)
    return StartedDevice(str(info.id_), layout, stream, news, device_clock, memories, undo)


def _announced(stream: "DataStream", size_b: int, undo: list[Callable[[], object]]) -> tuple[bytes, ...]:
    """Give a stream its buffers; return their memory, which the producer writes to."""
    from genicam import gentl  # noqa: PLC0415 - optional

    memories = tuple(bytes(size_b) for _ in range(max(_BUFFERS, answer(lambda: int(stream.buffer_announce_min), 0))))
    for key, memory in enumerate(memories):
        buffer = stream.announce_buffer(gentl.BufferToken(memory, key))
        undo.append(partial(stream.revoke_buffer, buffer))
        stream.queue_buffer(buffer)
    undo.append(partial(stream.flush_buffer_queue, gentl.ACQ_QUEUE_TYPE_LIST.ACQ_QUEUE_ALL_DISCARD))
    return memories


def _searched(producer: str) -> "Harvester":
    """Return harvesters' list of what the producers see.

    Raises:
        ConfigError: genicam or harvesters is not installed, or there is no producer.
    """
    try:
        from harvesters.core import Harvester  # noqa: PLC0415 - optional, and a third of a second
    except ImportError as error:
        raise ConfigError("genicam and harvesters are not installed: pip install 'sortloop-edge[genicam]'") from error
    folders = [Path(folder) for folder in os.environ.get(_PRODUCERS, "").split(os.pathsep) if folder]
    paths = [Path(producer)] if producer else sorted(path for folder in folders for path in folder.glob("*.cti"))
    if not paths or not all(path.is_file() for path in paths):
        raise ConfigError(
            f"no GenTL producer {producer or f'in the folders of {_PRODUCERS}'}: install the camera vendor's software, "
            "or name its .cti file: genicam:ID?producer=/opt/vendor/lib/vendor.cti"
        )
    harvester = Harvester()
    for path in paths:
        harvester.add_file(str(path))
    with translated(producer):
        harvester.update()
    return harvester


def _chosen(harvester: "Harvester", device_id: str) -> "DeviceInfo":
    """Return the device of that name.

    Raises:
        CameraError: there is none.
        ConfigError: there are several.
    """
    devices = list(harvester.device_info_list)
    named = [info for info in devices if not device_id or device_id in _names(info)]
    found = ", ".join(str(info.property_dict["id_"]) for info in devices) or "none (a process opens a producer once)"
    if not named:
        raise CameraError(f"no device {device_id}; found: {found}")
    if len(named) > 1:
        raise ConfigError(f"{len(named)} devices are called {device_id!r}: name one of {found}")
    return named[0]


def _names(info: "DeviceInfo") -> set[str]:
    return {str(info.property_dict[key]) for key in ("id_", "serial_number", "user_defined_name", "display_name")}


def _negotiated(nodes: "NodeMap", settings: GenicamSettings) -> PixelLayout:
    """Set size and pixel format; return how frames will lie in the buffers.

    Raises:
        CameraError: the camera has no such size or no such format.
    """
    wanted = (settings.pixel_format,) if settings.pixel_format else tuple(_FORMATS)
    known = [name for name in wanted if name in _FORMATS and name in nodes.PixelFormat.symbolics]
    if not known:
        raise CameraError(
            f"no pixel format {', '.join(wanted)}; the camera has {', '.join(nodes.PixelFormat.symbolics)}"
        )
    for name, value in (("PixelFormat", known[0]), ("Width", settings.width_px), ("Height", settings.lines)):
        if value:
            _set_if_there(nodes, name, value)
    return PixelLayout.padded(_FORMATS[known[0]], nodes.Width.value, nodes.Height.value)


def _clock_of(nodes: "NodeMap", clock: Clock) -> DeviceClock | None:
    """Return the camera's clock, None where it cannot be asked for the time."""
    if not (nodes.has_node("TimestampLatch") and nodes.has_node("TimestampLatchValue")):
        return None

    def latch() -> int:
        nodes.TimestampLatch.execute()
        return int(nodes.TimestampLatchValue.value)

    return DeviceClock(latch, clock)


def _set_if_there(nodes: "NodeMap", name: str, value: str | int) -> None:
    """Write a node where the camera has it; one that has the value already may not be writable, and need not be."""
    if nodes.has_node(name) and getattr(nodes, name).value != value:
        getattr(nodes, name).value = value
