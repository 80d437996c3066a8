"""A recording through the stages, as fast as it can, with the same decisions every time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.annotations import Match, match_objects
from edge_runtime.decisions import CLUSTER, CUT_OFF, KIND_NAMES, OVERSIZE, Decisions, decisions_sha256
from edge_runtime.errors import FrameError
from edge_runtime.flat_field import correct
from edge_runtime.frames import Frame, MissingFrame, picture_names, read_frames
from edge_runtime.inline import InlineSorter, Sorted
from edge_runtime.line_scan import Block
from edge_runtime.norm import norm_q16
from edge_runtime.pipeline import Sorter
from edge_runtime.replay_truth import Polygons, Truth
from edge_runtime.reports import DecisionRow, ReplayReport
from edge_runtime.schemas import Machine
from edge_runtime.split import find_objects
from edge_runtime.stage_times import StageTime, StageWatch

__all__ = ["NO_EXTRAS", "Extras", "Replay", "Seen", "decision_rows", "replay", "replay_report"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture of a replay with everything that is known of it.

    Attributes:
        number: of the picture among those sorted, from 0.
        name: inside the recording.
        pixels: (H, W, C) uint8, corrected.
        contours: outlines of all objects found, each (P, 1, 2) int32.
        decisions: about these objects, in their order, crops included; with lines of the picture.
        polygons: drawn by people; None for a picture without.
        match: how both agree; None without polygons.
    """

    number: int
    name: str
    pixels: NDArray[np.uint8]
    contours: tuple[NDArray[np.int32], ...]
    decisions: Decisions
    polygons: Sequence[NDArray[np.float32]] | None = None
    match: Match | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """What a replay does besides sorting; none of it changes a decision.

    Attributes:
        polygons: by picture name, drawn by people; compared with the objects of each picture, so not for blocks.
        watch: takes the time of each stage.
        viewers: shown every picture that was sorted; not for blocks.
    """

    polygons: Polygons | None = None
    watch: StageWatch | None = None
    viewers: tuple[Callable[[Seen], None], ...] = ()

    @property
    def needs_outlines(self) -> bool:
        """Whether anything asks for outlines, which are found a second time for it."""
        return self.polygons is not None or bool(self.viewers)


NO_EXTRAS: Final = Extras()


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
    source: Path, sorter: Sorter, machine: Machine, *, as_blocks: bool = False, extras: Extras = NO_EXTRAS
) -> Replay:
    """Sort a recording.

    Args:
        source: picture, folder, tar or video, see `read_frames`.
        sorter: recipe, camera and classifier.
        machine: belt and lanes for the pulses.
        as_blocks: the pictures are consecutive blocks of one endless scene, not frames of their own.
        extras: comparison with polygons, times, viewers.

    Raises:
        ConfigError: blocks of a recipe that takes each picture as one object.
        FrameError: the source holds no picture, a block has another width, the camera was calibrated for another shape,
            none of its pictures can be used, no picture has polygons though some were given, or two pictures claim the
            same polygons.
        CropError: the pictures have another number of channels than the recipe.
        EdgeError: what a viewer raises.
    """
    watch = extras.watch
    if watch is not None:
        sorter = msgspec.structs.replace(sorter, observe=watch.done)
    inline = InlineSorter(sorter, machine)
    result = Replay()
    truth = None if extras.polygons is None else Truth(extras.polygons, picture_names(source))
    line = 0
    for picture in _usable(source, result, watch):
        step = inline.sort_block(Block(line, picture.pixels)) if as_blocks else inline.sort_frame(picture.pixels)
        if watch is not None:
            watch.end_frame()
        if extras.needs_outlines and not as_blocks:
            own = _moved(step.decisions, -line)
            drawn = None if truth is None else truth.polygons_of(picture.name)
            seen = _seen(picture, own, sorter, drawn=drawn, number=result.frames - 1)
            result.matches += [] if seen.match is None else [seen.match]
            for show in extras.viewers:
                show(seen)
        line += len(picture.pixels)
        result.steps.append(_without_crops(step))
    if not result.frames:
        count, first = sum(result.missing.values()), next(iter(result.missing))
        raise FrameError(f"{source}: none of its {count} pictures can be used; the first: {first}")
    if as_blocks:
        result.steps.append(_without_crops(_finished(inline, watch)))
    if extras.polygons and not result.matches:
        named = next(iter(extras.polygons))
        raise FrameError(f"{source}: none of its pictures is named in the truth file, which has {named}")
    return result


def replay_report(
    result: Replay,
    class_names: tuple[str, ...],
    *,
    model_id: str,
    seconds: float,
    stages: tuple[StageTime, ...] = (),
) -> ReplayReport:
    """Return a replay's figures, see `ReplayReport`; how the model ran is for the caller to add."""
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
        stages=stages,
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


def _finished(inline: InlineSorter, watch: StageWatch | None) -> Sorted:
    """Return what is left at the end of a scene; its time counts as that of one block more."""
    if watch is not None:
        watch.start()
    step = inline.finish()
    if watch is not None:
        watch.end_frame()
    return step


def _usable(source: Path, result: Replay, watch: StageWatch | None) -> Iterator[Frame]:
    if watch is not None:
        watch.start()
    for picture in read_frames(source):
        if watch is not None:
            watch.done("read")
        match picture:
            case Frame():
                result.frames += 1
                yield picture
            case MissingFrame(reason=reason):
                result.missing[reason] += 1
        if watch is not None:
            watch.start()


def _moved(decisions: Decisions, lines: int) -> Decisions:
    """Return decisions about the same objects further down by some lines."""
    boxes = decisions.boxes_px.copy()
    boxes[:, 1] += lines
    return msgspec.structs.replace(decisions, lines=decisions.lines + lines, boxes_px=boxes)


def _seen(
    picture: Frame, decisions: Decisions, sorter: Sorter, *, drawn: Sequence[NDArray[np.float32]] | None, number: int
) -> Seen:
    """Join a picture's outlines, found once more, with the decisions about them and what people drew."""
    pixels = picture.pixels
    if sorter.flat_field is not None:
        pixels = np.empty_like(picture.pixels)
        correct(picture.pixels, sorter.flat_field, pixels)
    objects = find_objects(pixels, sorter.recipe.segment)
    ids = zip(decisions.lines.tolist(), decisions.columns.tolist(), strict=True)
    places = {place: row for row, place in enumerate(ids)}
    keys = zip(objects.last_rows_px.tolist(), objects.last_columns_px.tolist(), strict=True)
    rows = [(i, places[key]) for i, key in enumerate(keys) if key in places]
    contours = tuple(objects.contours[i] for i, _ in rows)
    own = decisions.select(np.array([row for _, row in rows], np.int64))
    match = None if drawn is None else match_objects(contours, drawn, pixels.shape[:2])
    return Seen(number, picture.name, pixels, contours, own, drawn, match)


def _without_crops(step: Sorted) -> Sorted:
    """Drop the pixels, so that the memory of a long replay is bounded by its decisions."""
    return Sorted(step.decisions.without_crops(), step.pulses)
