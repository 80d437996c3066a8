"""Uneven light and uneven pixels made even: the one copy of a frame is also its correction.

corrected = (raw - dark) * gain, rounded, clipped to 0..255; gains are multiples of 1/256, so that the product is exact
in single precision and every processor gives the same bits.

>>> field = FlatField(np.full((1, 2, 1), 10, np.uint8), np.array([[[2.0], [1.5]]], np.float32))
>>> out = np.zeros((1, 2, 1), np.uint8)
>>> correct(np.array([[[60], [50]]], np.uint8), field, out)
>>> out.ravel().tolist()
[100, 60]
"""

import io
from pathlib import Path
from typing import Final, Literal
from zipfile import BadZipFile

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ConfigError, FrameError
from edge_runtime.schemas import FileName
from edge_runtime.storage import read_bytes, write_atomic

__all__ = [
    "LEAST_LIGHT",
    "MOST_GAIN",
    "TARGET",
    "FieldVerdict",
    "FlatField",
    "correct",
    "flat_field_of",
    "flat_field_path",
    "judge_references",
    "load_flat_field",
    "save_flat_field",
]

LEAST_LIGHT: Final = 60  # grey levels between dark and white; below it noise is a visible share
TARGET: Final = 230  # leaves room for what is brighter than the reference
MOST_GAIN: Final = 4.0  # more would amplify noise by as much, and a step of one grey level to four
_GAIN_STEPS: Final = 256
_STRIP_ROWS: Final = 16  # a strip and its references stay in the cache
_WHITE: Final = 255
_MOST_CLIPPED: Final = 0.001
_FIELD_ERRORS: Final = (KeyError, ValueError, EOFError, OSError, BadZipFile)
FieldVerdict = Literal["good", "too_bright", "too_dark", "uneven"]


class FlatField(msgspec.Struct, frozen=True):
    """References of one camera: R = 1 row that counts for every line of a line camera, or all rows of an area camera.

    Attributes:
        dark: (R, W, C) uint8, the level without light.
        gain: (R, W, C) float32, multiples of 1/256 in 0..4.
        target: level that a white surface gets, 1..255.
    """

    dark: NDArray[np.uint8]
    gain: NDArray[np.float32]
    target: int = TARGET


def correct(raw: NDArray[np.uint8], field: FlatField | None, out: NDArray[np.uint8]) -> None:
    """Write the corrected picture to `out`.

    Args:
        raw: (H, W, C) uint8.
        field: references; None copies.
        out: (H, W, C) uint8, not overlapping `raw`.

    Raises:
        FrameError: the picture has another width, number of bands or, for an area camera, height than the references.

    Note:
        Ties are rounded to the even level.
    """
    if field is None:
        np.copyto(out, raw)
        return
    rows = field.dark.shape[0]
    if raw.shape[1:] != field.dark.shape[1:] or (rows > 1 and len(raw) != rows):
        expected = (rows if rows > 1 else "any", *field.dark.shape[1:])
        raise FrameError(f"picture of shape {raw.shape}: the flat field was calibrated for {expected}")
    dark, gain = field.dark, field.gain
    if rows == 1:
        dark, gain = np.repeat(dark, _STRIP_ROWS, axis=0), np.repeat(gain, _STRIP_ROWS, axis=0)
    for start in range(0, len(raw), _STRIP_ROWS):
        strip = raw[start : start + _STRIP_ROWS]
        at = 0 if rows == 1 else start
        below = cv2.subtract(strip, dark[at : at + len(strip)])
        cv2.multiply(below, gain[at : at + len(strip)], dst=out[start : start + len(strip)], dtype=cv2.CV_8U)


def flat_field_of(dark: NDArray[np.float64], white: NDArray[np.float64], *, target: int) -> FlatField:
    """Return the references that show the white one as one level everywhere, in every band.

    Args:
        dark: (R, W, C) mean levels 0..255 of the recording without light.
        white: the same of the recording of a white surface.
        target: level of the corrected white reference, 1..255.

    Note:
        Where a gain above 4 would be needed it is 4; `judge_references` refuses such a pair.
    """
    floor = np.clip(np.rint(dark), 0, _WHITE).astype(np.uint8)
    light = np.maximum(white - floor, 1.0)
    steps = np.clip(np.rint(target / light * _GAIN_STEPS), 0, MOST_GAIN * _GAIN_STEPS)
    return FlatField(floor, (steps / _GAIN_STEPS).astype(np.float32), target)


def judge_references(
    dark: NDArray[np.float64], white: NDArray[np.float64], clipped: float, *, target: int
) -> FieldVerdict:
    """Say whether a pair of references is fit to correct by.

    Args:
        dark: (R, W, C) mean levels 0..255 of the recording without light.
        white: the same of the recording of a white surface.
        clipped: share of the white recording's values at 255.
        target: level of the corrected white reference.

    Returns:
        "too_bright" when more than 0.1 % is clipped, "too_dark" when the median light is below 60 levels, "uneven" when
        a gain above 4 would be needed somewhere, else "good".
    """
    light = white - dark
    if clipped > _MOST_CLIPPED:
        return "too_bright"
    if float(np.median(light)) < LEAST_LIGHT:
        return "too_dark"
    return "uneven" if float(light.min()) * MOST_GAIN < target else "good"


def flat_field_path(folder: Path, camera: str) -> Path:
    """Return where the references of a camera lie in the machine's `calibration` folder.

    Raises:
        ConfigError: no camera can have this name.
    """
    try:
        msgspec.convert(camera, FileName)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"camera {camera!r}: use 1 to 64 letters, digits and _ . -, a letter or digit first"
        ) from error
    return folder / f"{camera}.npz"


def save_flat_field(path: Path, field: FlatField) -> None:
    """Write the references, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, dark=field.dark, gain=field.gain, target=np.uint8(field.target))
    write_atomic(path, buffer.getvalue())


def load_flat_field(path: Path) -> FlatField:
    """Read references.

    Raises:
        ConfigError: the file is damaged, a gain is no number, out of range, or no multiple of 1/256, or the target is
            no grey level.
        StorageError: the file cannot be read.
    """
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            dark, gain, target = arrays["dark"], arrays["gain"], int(arrays["target"])
    except _FIELD_ERRORS as error:
        raise ConfigError(f"{path} is no flat field: {error}; calibrate again") from error
    if dark.dtype != np.uint8 or gain.dtype != np.float32 or dark.ndim != 3 or dark.shape != gain.shape:
        raise ConfigError(f"{path}: dark {dark.dtype} {dark.shape} and gain {gain.dtype} {gain.shape} do not fit")
    if dark.size == 0 or not np.isfinite(gain).all() or gain.min() < 0 or gain.max() > MOST_GAIN:
        raise ConfigError(f"{path}: a gain is missing, no number, or outside 0..{MOST_GAIN:g}; calibrate again")
    if (gain * _GAIN_STEPS % 1).any():
        raise ConfigError(f"{path}: a gain is no multiple of 1/{_GAIN_STEPS}; calibrate again")
    if not 1 <= target <= _WHITE:
        raise ConfigError(f"{path}: target {target} is outside 1..{_WHITE}; calibrate again")
    return FlatField(dark, gain, target)
