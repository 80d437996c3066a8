"""A teach lot: pieces of one known class past the camera, every other decision a known mistake (T0).

The truth that every factory can have on its first day. Valves stay off.
"""

from pathlib import Path

import numpy as np
import structlog

from edge_runtime.errors import ConfigError
from edge_runtime.frames import Frame, read_frames
from edge_runtime.inline import InlineSorter
from edge_runtime.pipeline import Sorter
from edge_runtime.recorder import Recorder
from edge_runtime.reports import TeachReport
from edge_runtime.residual import Truth
from edge_runtime.schemas import Machine
from edge_runtime.truth import teach_lot_mistakes

__all__ = ["teach"]

_log = structlog.get_logger(__name__)


def teach(source: Path, sorter: Sorter, machine: Machine, recorder: Recorder, *, truth: Truth) -> TeachReport:
    """Sort a recording of a pure lot and record what the model gets wrong.

    Args:
        source: picture, folder, tar or video of the lot.
        sorter: recipe, camera and classifier.
        machine: the machine whose recording it is.
        recorder: of this lot, on an open spool.
        truth: of every piece: source T0, the class as label, and the lot's purity as strength.

    Returns:
        Counts; every accepted record was flushed to the disk and logged as `residual.accepted` before the next frame.

    Raises:
        ConfigError: the model does not know the class.
        FrameError: the source holds no picture.
        CropError: the pictures have another number of channels than the recipe.
        StorageError: the spool cannot be written.
    """
    names = sorter.recipe.class_names
    label = truth.label
    if label not in names:
        raise ConfigError(f"the model knows no class {label!r}: it has {', '.join(names)}")
    inline = InlineSorter(sorter, machine)
    objects = wrong = accepted = 0
    for picture in read_frames(source):
        if not isinstance(picture, Frame):
            _log.warning("teach.picture_missing", name=picture.name, reason=picture.reason)
            continue
        decisions = inline.sort_frame(picture.pixels).decisions
        accepted += _tell(recorder.record_mistakes(decisions, [truth] * len(decisions)))
        objects += len(decisions)
        decided = decisions.class_ids[decisions.class_ids >= 0]
        wrong += int(np.sum(teach_lot_mistakes(decided, names.index(label))))
    accepted += _tell(recorder.commit())
    return TeachReport(label, objects, wrong, accepted, recorder.counts())


def _tell(ids: list[str]) -> int:
    """Log the ids of records that are safe now; return how many."""
    if ids:
        _log.info("residual.accepted", ids=ids)
    return len(ids)
