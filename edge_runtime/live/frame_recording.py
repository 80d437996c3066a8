"""A recording of a live run: every frame as the ring had it, and what was decided, so that `replay` can be compared.

Frames are BMP files, written as they are; the digest is that of `replay --blocks` where nothing is missing. Memory
grows with the objects: a recording is for minutes. Knows no process.
"""

from pathlib import Path
from typing import Final, Literal

import cv2
import msgspec

from edge_runtime.decisions import Decisions, Pulses, decisions_sha256
from edge_runtime.errors import StorageError
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.record_ring import FrameKey
from edge_runtime.schedule import schedule
from edge_runtime.schemas import Machine
from edge_runtime.storage import write_atomic

__all__ = ["CameraRecording", "FrameRecording", "RecordingReport"]

_REPORT_FILE: Final = "recording.json"


class CameraRecording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera's part of a recording.

    Attributes:
        frames: files written.
        lost: frames that were overwritten in the ring before they could be written: not to be replayed for a digest.
        objects: decided on.
        decisions_sha256: digest of all decisions and pulses, as `sortloop-edge replay --blocks` gives it.
    """

    frames: int
    lost: int
    objects: int
    decisions_sha256: str


class RecordingReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies beside the frames, as recording.json.

    Attributes:
        machine: its name.
        model_id: what decided; several where the model was changed.
        cameras: by name.
    """

    machine: str
    cameras: dict[str, CameraRecording]
    schema_version: Literal[1] = 1


class FrameRecording:
    """Writes one recording: FOLDER/CAMERA/NUMBER.bmp.

    Args:
        folder: made if missing; must hold no recording yet.
        machine: its cameras.
        class_names: of the model.

    Raises:
        StorageError: the folder cannot be made or holds a recording.
    """

    def __init__(self, folder: Path, machine: Machine, class_names: tuple[str, ...]) -> None:
        self._folder = folder
        self._machine = machine
        self._class_names = class_names
        self._parts: list[list[tuple[Decisions, Pulses]]] = [[] for _ in machine.cameras]
        self._frames = [0] * len(machine.cameras)
        self._lost = [0] * len(machine.cameras)
        try:
            for camera in machine.cameras:
                (folder / camera.name).mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"recording {folder}: {error.strerror}; name a folder that is not there yet") from error

    def take(self, key: FrameKey, decisions: Decisions, ring: FrameRing) -> None:
        """Write a frame, if it has lines, and keep what was decided about it.

        Raises:
            StorageError: the file cannot be written.
        """
        camera = self._machine.cameras[key.camera]
        self._parts[key.camera].append((decisions.without_crops(), schedule(decisions, self._machine, camera)))
        frame = ring.read(key.number)
        if frame is not None and not len(frame.pixels):
            return
        pixels = None if frame is None else frame.pixels.copy()
        if pixels is None or not ring.is_intact(key.number):
            self._lost[key.camera] += 1
            return
        path = self._folder / camera.name / f"{key.number:08}.bmp"
        try:
            is_written = cv2.imwrite(str(path), pixels)
        except cv2.error as error:
            raise StorageError(f"{path} cannot be written: {error}") from error
        if not is_written:
            raise StorageError(f"{path} cannot be written: is the disk full?")
        self._frames[key.camera] += 1

    def close(self) -> RecordingReport:
        """Write recording.json and return it.

        Raises:
            StorageError: it cannot be written.
        """
        found = {
            camera.name: CameraRecording(
                self._frames[index],
                self._lost[index],
                sum(len(decisions) for decisions, _ in self._parts[index]),
                decisions_sha256(self._parts[index], self._class_names),
            )
            for index, camera in enumerate(self._machine.cameras)
        }
        report = RecordingReport(self._machine.name, found)
        write_atomic(self._folder / _REPORT_FILE, msgspec.json.format(msgspec.json.encode(report)))
        return report
