"""Recordings without light and of a white surface to a camera's flat field, or why they are no good.

>>> text = calibrate_text(CalibrateReport("top", "too_dark", "", 8, 8, 3.0, 40.0, 0.0, 1.2, None))
>>> text.splitlines()[0]
'top: too dark: 37 levels of light, 60 are needed; nothing was written'
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.flat_field import (
    LEAST_LIGHT,
    MOST_GAIN,
    TARGET,
    FieldVerdict,
    FlatField,
    flat_field_of,
    flat_field_path,
    judge_references,
    load_flat_field,
    save_flat_field,
)
from edge_runtime.frames import Frame, read_frames

__all__ = ["CalibrateReport", "Calibration", "calibrate", "calibrate_text"]

_WHITE = 255
_MOST_DRIFT = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """What to calibrate.

    Attributes:
        camera: name of the view.
        dark: recording with the lamps off or the lens covered.
        white: recording of a white surface that fills the view.
        folder: of the machine's references.
        is_area: an area camera, each pixel by itself; else a line camera, each column.
        target: level of the corrected white surface, 1..255.
    """

    camera: str
    dark: Path
    white: Path
    folder: Path
    is_area: bool = False
    target: int = TARGET


class CalibrateReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sortloop-edge calibrate` found.

    Attributes:
        camera: name of the view; verdict: whether the references are fit to correct by.
        path: of the file written, "" where the verdict is not good.
        dark_frames, white_frames: pictures averaged.
        dark_level, white_level: medians of both recordings, 0..255.
        clipped: share of the white recording at 255.
        unevenness: brightest light of the view over the dimmest.
        drift: by how much the light has changed since the last references, as the median share; null at the first time.
    """

    camera: str
    verdict: FieldVerdict
    path: str
    dark_frames: int
    white_frames: int
    dark_level: float
    white_level: float
    clipped: float
    unevenness: float
    drift: float | None
    schema_version: Literal[1] = 1


def calibrate(asked: Calibration) -> CalibrateReport:
    """Average both recordings, judge them, and write the references when they are good.

    Args:
        asked: recordings and folder.

    Raises:
        FrameError: a recording cannot be read or holds pictures of several shapes, or both differ in shape.
        StorageError: the folder cannot be made or written.
        ConfigError: no camera can have this name, or the references that lie there are damaged: remove them to begin
            anew.
    """
    path = flat_field_path(asked.folder, asked.camera)
    before = load_flat_field(path) if path.exists() else None
    dark, white = _average(asked.dark, is_area=asked.is_area), _average(asked.white, is_area=asked.is_area)
    if dark.mean.shape != white.mean.shape:
        raise FrameError(f"{asked.dark} has the shape {dark.mean.shape}, {asked.white} {white.mean.shape}")
    verdict = judge_references(dark.mean, white.mean, white.clipped, target=asked.target)
    field = flat_field_of(dark.mean, white.mean, target=asked.target)
    if verdict == "good":
        _make_folder(asked.folder)
        save_flat_field(path, field)
    light = white.mean - dark.mean
    return CalibrateReport(
        asked.camera,
        verdict,
        str(path) if verdict == "good" else "",
        dark.frames,
        white.frames,
        float(np.median(dark.mean)),
        float(np.median(white.mean)),
        white.clipped,
        float(light.max() / max(1.0, float(light.min()))),
        None if before is None else _drift(before, field),
    )


def calibrate_text(report: CalibrateReport) -> str:
    """Return a calibration's figures for people."""
    light = report.white_level - report.dark_level
    words = {
        "good": f"good: written to {report.path}",
        "too_bright": f"too bright: {report.clipped:.2%} of the white surface is at 255; nothing was written",
        "too_dark": f"too dark: {light:.0f} levels of light, {LEAST_LIGHT} are needed; nothing was written",
        "uneven": f"uneven: the dimmest place would need a gain above {MOST_GAIN:g}; nothing was written",
    }
    lines = [
        f"{report.camera}: {words[report.verdict]}",
        (
            f"dark {report.dark_level:.0f}, white {report.white_level:.0f} of 255, unevenness {report.unevenness:.2f}, "
            f"from {report.dark_frames} and {report.white_frames} pictures"
        ),
    ]
    if report.drift is not None:
        is_much = abs(report.drift) > _MOST_DRIFT
        advice = ": clean the lamps and the window, or look at the lamps' age" if is_much else ""
        lines.append(f"since the last calibration the light changed by {report.drift:+.1%}{advice}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Average:
    mean: NDArray[np.float64]
    clipped: float
    frames: int


def _average(source: Path, *, is_area: bool) -> _Average:
    """Return the mean picture (R, W, C), R = 1 for a line camera, and the share of clipped values."""
    total: NDArray[np.float64] | None = None
    shape: tuple[int, ...] = ()
    clipped = frames = values = 0
    for picture in read_frames(source):
        if not isinstance(picture, Frame):
            raise FrameError(f"{source}: {picture.name}: {picture.reason}")
        pixels = picture.pixels
        kept = pixels.shape if is_area else pixels.shape[1:]
        if total is not None and kept != shape:
            raise FrameError(f"{source}: {picture.name} has the shape {pixels.shape}, others {shape}")
        shape = kept
        mean = pixels.astype(np.float64) if is_area else pixels.mean(axis=0, keepdims=True)
        total = mean if total is None else total + mean
        clipped += int((pixels == _WHITE).sum())
        values += pixels.size
        frames += 1
    assert total is not None  # read_frames refuses a recording without pictures
    return _Average(total / frames, clipped / values, frames)


def _drift(before: FlatField, now: FlatField) -> float | None:
    """Return by what share the light changed; it is the target over the gain."""
    usable = (before.gain > 0) & (now.gain > 0) if before.gain.shape == now.gain.shape else np.zeros(0, np.bool_)
    if not usable.any():
        return None
    return float(np.median(before.gain[usable] / now.gain[usable])) * now.target / before.target - 1.0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make folder {folder}: {error.strerror or error}") from error
