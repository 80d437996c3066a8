"""Opens the camera that a machine's file names: kind, place and options, as in `v4l2:/dev/video0?lines=480`.

Each kind's module is imported when one of its cameras is opened.

>>> from firmware_bridge.clock import SystemClock
>>> open_camera("usb:0", Camera(), SystemClock())
Traceback (most recent call last):
    ...
edge_runtime.errors.ConfigError: camera top: "usb:0" is no source: replay:PATH, v4l2:PATH, genicam:ID or virtual:PATH
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edge_runtime.cameras.camera import CameraSource
from edge_runtime.config import apply_overrides, decode_settings
from edge_runtime.errors import ConfigError
from edge_runtime.schemas import Camera
from firmware_bridge.clock import Clock

__all__ = ["open_camera"]

_Settings = TypeVar("_Settings", bound=msgspec.Struct)


class _Source(msgspec.Struct, frozen=True):
    """A source taken apart: what stands behind the kind, and the options behind "?"."""

    text: str
    place: str
    options: tuple[str, ...]


def open_camera(source: str, camera: Camera, clock: Clock) -> CameraSource:
    """Return an open camera.

    Args:
        source: KIND:PLACE, or KIND:PLACE?KEY=VALUE&KEY=VALUE with settings of that kind; docs/cameras.md lists them.
        camera: the view's settings: its width is asked of the camera.
        clock: paces recordings, and gives frames their time where the camera does not.

    Raises:
        ConfigError: the source names no kind, no place or an option that its kind does not have, or the kind needs a
            package that is not installed.
        CameraError: the camera is not there, in use, or gives nothing that the settings allow.
    """
    kind, _, rest = source.partition(":")
    place, _, options = rest.partition("?")
    opener = _OPENERS.get(kind)
    if opener is None:
        raise ConfigError(
            f'camera {camera.name}: "{source}" is no source: replay:PATH, v4l2:PATH, genicam:ID or virtual:PATH'
        )
    if not place and kind != "genicam":
        raise ConfigError(f'camera {camera.name}: "{source}" names no place: {kind}:/path/to/it')
    settings = tuple(options.split("&")) if options else ()
    for option in settings:
        key, separator, _ = option.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f'camera {camera.name}: "{source}": "{option}" is no KEY=VALUE')
    return opener(_Source(source, place, settings), camera, clock)


def _open_replay(source: _Source, _camera: Camera, clock: Clock) -> CameraSource:
    from edge_runtime.cameras.replay_camera import ReplayCamera, ReplaySettings  # noqa: PLC0415

    return ReplayCamera(Path(source.place), clock, _settings(source, ReplaySettings, None))


def _open_v4l2(source: _Source, camera: Camera, clock: Clock) -> CameraSource:
    from edge_runtime.cameras.v4l2_camera import V4l2Settings, open_v4l2_camera  # noqa: PLC0415

    return open_v4l2_camera(Path(source.place), _settings(source, V4l2Settings, camera), clock)


def _open_genicam(source: _Source, camera: Camera, clock: Clock) -> CameraSource:
    from edge_runtime.cameras.genicam_camera import open_genicam_camera  # noqa: PLC0415
    from edge_runtime.cameras.genicam_device import GenicamSettings  # noqa: PLC0415

    return open_genicam_camera(source.place, _settings(source, GenicamSettings, camera), clock)


def _open_virtual(source: _Source, camera: Camera, clock: Clock) -> CameraSource:
    if source.options:
        raise ConfigError(f'"{source.text}": a virtual camera has no options')
    from edge_runtime.cameras.virtual_camera import open_virtual_camera  # noqa: PLC0415

    return open_virtual_camera(Path(source.place), camera, clock)


_OPENERS: Final[dict[str, Callable[[_Source, Camera, Clock], CameraSource]]] = {
    "replay": _open_replay,
    "v4l2": _open_v4l2,
    "genicam": _open_genicam,
    "virtual": _open_virtual,
}


def _settings(source: _Source, kind: type[_Settings], camera: Camera | None) -> _Settings:
    """Return the options as settings of a kind; width_px is the view's, and so is the height unless they say another.

    Raises:
        ConfigError: an option is unknown, of the wrong type or out of range.
    """
    tables = apply_overrides({}, source.options)
    if camera is not None:
        if "width_px" in tables:
            raise ConfigError(f'"{source.text}": width_px is the one of camera {camera.name}: set it there')
        tables["width_px"] = camera.width_px
        tables.setdefault("lines", camera.frame_lines)
    return decode_settings(tables, kind, f'"{source.text}"')
