"""A recording through the stages, as fast as it can, with the same decisions every time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.annotations import Match, match_objects
from edge_runtime.decisions import CLUSTER, CUT_OFF, KIND_NAMES, OVERSIZE, decisions_sha256
from edge_runtime.errors import FrameError
from edge_runtime.frames import Frame, MissingFrame, read_frames
from edge_runtime.inline import InlineSorter, Sorted
from edge_runtime.line_scan import Block
from edge_runtime.norm import norm_q16
from edge_runtime.pipeline import Sorter
from edge_runtime.reports import DecisionRow, ReplayReport
from edge_runtime.schemas import Machine
from edge_runtime.split import find_objects

__all__ = ["Replay", "decision_rows", "replay", "replay_report"]


@dataclass(slots=True)
class Replay:
    """What a replay gave.

    Attributes:
        steps: decisions and pulses of each frame or block.
        frames: frames sorted.
        missing: pictures left out, by reason.
        matches: agreement with polygons, a frame each.
    """

    steps: list[Sorted] = field(default_factory=list)
    frames: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    matches: list[Match] = field(default_factory=list)


def replay(
    source: Path,
    sorter: Sorter,
    machine: Machine,
    *,
    as_blocks: bool = False,
    polygons: dict[str, list[NDArray[np.float32]]] | None = None,
) -> Replay:
    """Sort a recording.

    Args:
        source: picture, folder, tar or video, see `read_frames`.
        sorter: recipe, camera and classifier.
        machine: belt and lanes for the pulses.
        as_blocks: the pictures are consecutive blocks of one endless scene, not frames of their own.
        polygons: by picture name, drawn by people; compared with the objects of each picture, so not for blocks.

    Raises:
        ConfigError: blocks of a recipe that takes each picture as one object.
        FrameError: the source holds no picture, a block has another width, or no picture has polygons though some
            were given.
        CropError: the pictures have another number of channels than the recipe.
    """
    inline = InlineSorter(sorter, machine)
    result = Replay()
    line = 0
    for picture in _usable(source, result):
        if as_blocks:
            result.steps.append(_without_crops(inline.sort_block(Block(line, picture.pixels))))
            line += len(picture.pixels)
        else:
            result.steps.append(_without_crops(inline.sort_frame(picture.pixels)))
        drawn = None if polygons is None else _polygons_of(picture.name, polygons)
        if drawn is not None:
            found = find_objects(picture.pixels, sorter.recipe.segment).contours
            result.matches.append(match_objects(found, drawn, picture.pixels.shape[:2]))
    if as_blocks:
        result.steps.append(_without_crops(inline.finish()))
    if polygons and not result.matches:
        raise FrameError(f"{source}: none of its pictures is named in the truth file, which has {next(iter(polygons))}")
    return result


def replay_report(result: Replay, class_names: tuple[str, ...], *, model_id: str, seconds: float) -> ReplayReport:
    """Return a replay's figures, see `ReplayReport`."""
    ids = np.concatenate([np.zeros(0, np.int64), *(step.decisions.class_ids for step in result.steps)])
    counts = np.bincount(ids[ids >= 0], minlength=len(class_names))
    found, expected = sum(m.found for m in result.matches), sum(m.expected for m in result.matches)
    ious = [iou for match in result.matches for iou in match.ious]
    has_truth = bool(result.matches)
    return ReplayReport(
        frames=result.frames,
        missing=dict(sorted(result.missing.items())),
        objects=int(ids.size),
        oversize=int((ids == OVERSIZE).sum()),
        clusters=int((ids == CLUSTER).sum()),
        cut_off=int((ids == CUT_OFF).sum()),
        ejected=sum(int(step.decisions.is_eject.sum()) for step in result.steps),
        classes=dict(zip(class_names, counts.tolist(), strict=True)),
        decisions_sha256=decisions_sha256(((s.decisions, s.pulses) for s in result.steps), class_names),
        model_id=model_id,
        recall=len(ious) / max(1, expected) if has_truth else None,
        precision=len(ious) / max(1, found) if has_truth else None,
        mean_iou=float(np.mean(ious)) if ious else (0.0 if has_truth else None),
        polygons=expected if has_truth else None,
        matched=len(ious) if has_truth else None,
        seconds=seconds,
    )


def decision_rows(result: Replay, class_names: tuple[str, ...]) -> Iterator[DecisionRow]:
    """Yield the decision log, object after object, in the order of the recording."""
    for step in result.steps:
        decisions, pulses = step.decisions, step.pulses
        norms = norm_q16(decisions.norm_numerators, decisions.norm_denominators)
        for i in range(len(decisions)):
            class_id = int(decisions.class_ids[i])
            own = np.flatnonzero(pulses.objects == i).tolist()
            yield DecisionRow(
                camera=decisions.camera,
                line=int(decisions.lines[i]),
                column=int(decisions.columns[i]),
                kind=KIND_NAMES.get(class_id, "object"),
                class_name=class_names[class_id] if class_id >= 0 else "",
                score=float(decisions.scores[i, class_id]) if class_id >= 0 else 0.0,
                action="eject" if decisions.is_eject[i] else "accept",
                norm_q16=int(norms[i]),
                centre_mm=(float(decisions.centres_mm[i, 0]), float(decisions.centres_mm[i, 1])),
                length_mm=float(decisions.lengths_mm[i]),
                width_mm=float(decisions.widths_mm[i]),
                angle_deg=float(decisions.angles_deg[i]),
                pulses=[
                    (
                        int(pulses.first_valves[p]),
                        int(pulses.valve_counts[p]),
                        int(pulses.open_us[p]),
                        int(pulses.pulse_us[p]),
                    )
                    for p in own
                ],
            )


def _usable(source: Path, result: Replay) -> Iterator[Frame]:
    for picture in read_frames(source):
        match picture:
            case Frame():
                result.frames += 1
                yield picture
            case MissingFrame(reason=reason):
                result.missing[reason] += 1


def _without_crops(step: Sorted) -> Sorted:
    """Drop the pixels, so that the memory of a long replay is bounded by its decisions."""
    return Sorted(step.decisions.without_crops(), step.pulses)


def _polygons_of(name: str, polygons: dict[str, list[NDArray[np.float32]]]) -> list[NDArray[np.float32]] | None:
    """Return the polygons of a picture by its name, or by the end of its path where the folders differ."""
    if name in polygons:
        return polygons[name]
    base = Path(name).name
    alike = [drawn for other, drawn in polygons.items() if Path(other).name == base]
    return alike[0] if len(alike) == 1 else None
