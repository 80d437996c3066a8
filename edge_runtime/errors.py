"""Errors of the sorting machine's software.

ProductError
└── EdgeError
    ├── ConfigError          3  a recipe, machine file or setting is wrong
    ├── ModelFolderError     5  a model folder is incomplete, damaged or not what it says
    ├── FrameError           5  a picture or recording cannot be used
    ├── CropError            5  an object cannot be cut out or has no pixels
    ├── StorageError         5  a file, spool or disk cannot be used
    ├── CameraError          4  a camera is gone, or gives what its settings do not allow
    │   └── RecordingEndedError 4  a recording that stands for a camera was played to its end
    ├── NoRunError           4  no run of the machine answers on this computer
    ├── PeerGoneError        5  a process of the live shell talks to nobody
    └── OverloadError        7  a deadline cannot be kept
"""

from typing import ClassVar

from firmware_bridge.product_error import ProductError

__all__ = [
    "CameraError",
    "ConfigError",
    "CropError",
    "EdgeError",
    "FrameError",
    "ModelFolderError",
    "NoRunError",
    "OverloadError",
    "PeerGoneError",
    "RecordingEndedError",
    "StorageError",
]


class EdgeError(ProductError):
    """Base of everything that can go wrong between camera and valve."""


class ConfigError(EdgeError):
    """A recipe, machine file or setting is unknown, of the wrong type or out of range."""

    exit_code: ClassVar[int] = 3
    remedy: ClassVar[str] = "Correct the named key; docs/config-reference.md lists every key with its range."


class ModelFolderError(EdgeError):
    """A model folder is incomplete, damaged, or its files do not belong together."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Export the model again, or copy the whole folder again from its bundle."


class FrameError(EdgeError):
    """A picture, recording or camera frame cannot be used."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Supply 8-bit PNG, JPEG or BMP pictures of one size, or a readable recording."


class CropError(EdgeError):
    """An object cannot be cut out, or has no pixel inside its mask."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Check the segmentation and crop settings of the recipe against the pictures."


class StorageError(EdgeError):
    """A file, spool or disk cannot be read or written safely."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Check free space, permissions and the file named; nothing accepted before was changed."


class PeerGoneError(EdgeError):
    """Nobody holds the other end of a socket: the process that this one works for is gone."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Start `sortloop-edge run` again: its supervisor was killed."


class CameraError(EdgeError):
    """A camera is gone, or gives what its settings do not allow."""

    exit_code: ClassVar[int] = 4
    remedy: ClassVar[str] = (
        "Check the camera's cable, power and its name in machine.toml; `sortloop-edge doctor` lists what is there."
    )


class RecordingEndedError(CameraError):
    """A recording that stands for a camera was played to its end."""

    remedy: ClassVar[str] = "Nothing is wrong; `replay:PATH?loops=0` plays a recording again and again."


class NoRunError(EdgeError):
    """No run of the machine answers on this computer."""

    exit_code: ClassVar[int] = 4
    remedy: ClassVar[str] = (
        "Start it: `sortloop-edge run --config machine.toml`, or look at `systemctl status sortloop-edge`."
    )


class OverloadError(EdgeError):
    """The machine cannot keep its deadlines with these settings."""

    exit_code: ClassVar[int] = 7
    remedy: ClassVar[str] = "Slow the feeder or the belt, or use a smaller model."
