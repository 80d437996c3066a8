"""The report of a run: one page that a technician reads in a browser, without network, script or other files.

It says what the run came to and shows why. The same run key gives the same bytes: wall times are in timing.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ModelFolderError
from edge_runtime.model import CARD_FILE, MODEL_FILE, Classifier
from edge_runtime.norm import Q16_ONE
from edge_runtime.schemas import ModelCard
from edge_runtime.storage import read_bytes, write_atomic
from trainer.loop.results import MODEL_FOLDER, RunResult, ShippedFigures
from trainer.loop.rounds import StopReason
from trainer.metrics import score_confusion
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord
from trainer.pool.sample_table import SampleTable
from trainer.report.mix_ups import NO_MIX_UPS, find_mix_ups
from trainer.report.report_charts import Figure, norm_figures, round_figures
from trainer.report.report_page import count_text, crop_uri, ratio_text, render_page, share_text
from trainer.report.report_story import RUN_ORIGINS, RunStory, read_story
from trainer.report.strips import Crop, Strip
from trainer.report.svg import heat_map
from trainer.report.texts import Language, Phrase, Say

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE: Final = "report.html"
_MOST_CROPS: Final = 240  # of each kind on a page: at 3 KiB a crop the page stays below 2 MiB
_CROPS_A_CLASS: Final = 12
_REASONS: Final[dict[StopReason, Phrase]] = {
    "residual_small": Say.residual_small,
    "classes_small": Say.classes_small,
    "no_gain": Say.no_gain,
    "nothing_left": Say.nothing_left,
    "rounds_budget": Say.rounds_budget,
    "samples_budget": Say.samples_budget,
    "steps_budget": Say.steps_budget,
    "seconds_budget": Say.seconds_budget,
}


@dataclass(frozen=True, slots=True)
class _Tile:
    """One headline figure: what it is, its value, and a line that explains it."""

    heading: Phrase
    value: str
    note: Phrase
    is_main: bool = False


@dataclass(frozen=True, slots=True)
class _ClassRow:
    """One class in the table; precision and recall are None where no sample was judged."""

    name: Phrase
    pool: int
    training: int
    residual: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A confusion matrix, and its samples with what the shipped model says; None where it has learnt from them."""

    heading: Phrase
    mix_ups_heading: Phrase
    prefix: str
    figures: ShippedFigures
    judged: tuple[SampleTable, NDArray[np.int64]] | None


@dataclass(frozen=True, slots=True)
class _Page:
    """Everything the template shows."""

    lead: tuple[Phrase, ...]
    tiles: tuple[_Tile, ...]
    figures: tuple[Figure, ...]
    rounds: tuple[RoundRecord, ...]
    best: int
    norms_text: Phrase
    norms: tuple[Figure, ...]
    classes_text: Phrase
    classes: tuple[_ClassRow, ...]
    confusions: tuple[Figure, ...]
    mix_ups: tuple[tuple[Phrase, tuple[Strip, ...]], ...]
    drawn: tuple[Strip, ...]
    wrong_heading: Phrase
    wrong: tuple[Strip, ...]
    is_watched: bool
    held: tuple[Strip, ...]
    lineage: tuple[tuple[Phrase, str | Phrase], ...]
    settings: tuple[tuple[str, str], ...]


def write_report(pool: Pool, result: RunResult, folder: Path, *, language: Language = "en") -> Path:
    """Write the report of a finished run.

    Args:
        pool: the run's, open and unchanged since.
        result: of the run.
        folder: of the run; it holds the model folder.
        language: shown first; the page holds English and Simplified Chinese.

    Returns:
        The page: report.html in `folder`.

    Raises:
        ResumeError: the pool does not hold this run, or was changed since.
        PoolError: the pool cannot be read.
        ModelFolderError: the card of the run's model is damaged.
        StorageError: the card cannot be read, or the page cannot be written.

    Note:
        Loads all crops of the pool; about 1 s for 10,000 of them.
    """
    card = _read_card(folder / MODEL_FOLDER / CARD_FILE)
    story = read_story(pool, result)
    matrices = _matrices(
        pool, result, story, Classifier(read_bytes(folder / MODEL_FOLDER / MODEL_FILE), card.crop, len(card.classes))
    )
    path = folder / REPORT_FILE
    write_atomic(path, render_page("run.html.j2", _make_page(result, story, card, matrices), language))
    return path


def _read_card(path: Path) -> ModelCard:
    try:
        return msgspec.json.decode(read_bytes(path), type=ModelCard)
    except msgspec.DecodeError as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error


def _matrices(pool: Pool, result: RunResult, story: RunStory, shipped: Classifier) -> tuple[_Matrix, ...]:
    """Return what the shipped model was judged on; where that is no sample it has learnt from, with what it says."""
    own = np.array([split == "validation" for split in story.table.splits], np.bool_)
    blind = _ask(shipped, story.table.take(np.flatnonzero(own))) if result.validated_on == "split" else None
    matrices = (_Matrix(Say.confusion_validation, Say.mix_ups_validation, "validation", result.validation, blind),)
    if result.test is None:
        return matrices
    told = _ask(shipped, pool.load(("test",), origins=RUN_ORIGINS))
    return (*matrices, _Matrix(Say.confusion_test, Say.mix_ups_test, "test", result.test, told))


def _ask(shipped: Classifier, table: SampleTable) -> tuple[SampleTable, NDArray[np.int64]]:
    return table, shipped.scores(table.pixels).argmax(axis=1).astype(np.int64)


def _make_page(result: RunResult, story: RunStory, card: ModelCard, matrices: tuple[_Matrix, ...]) -> _Page:
    names = {name: Phrase(card.display_names[name].en, card.display_names[name].zh_cn) for name in result.classes}
    ordered = tuple(names.values())
    best = result.best_round
    mix_ups = [
        (one, find_mix_ups(*one.judged, ordered, one.prefix) if one.judged is not None else NO_MIX_UPS)
        for one in matrices
    ]
    return _Page(
        lead=_lead(result, story),
        tiles=_tiles(result, names),
        figures=round_figures(result, names),
        rounds=tuple(result.rounds),
        best=best,
        norms_text=Say.norms_text,
        norms=norm_figures(story, ordered),
        classes_text=Say.classes_text.filled(best=best),
        classes=_class_rows(result, names),
        confusions=tuple(_confusion(one, ordered, found.anchors) for one, found in mix_ups),
        mix_ups=tuple((one.mix_ups_heading, found.strips) for one, found in mix_ups if found.strips),
        drawn=_drawn_strips(story, ordered),
        wrong_heading=Say.still_wrong.filled(best=best),
        is_watched=result.noise_share is not None,
        held=_held_strips(story, ordered),
        wrong=_wrong_strips(story, ordered),
        lineage=_lineage(result, story, card),
        settings=tuple(_flat("", msgspec.to_builtins(story.inputs.settings))),
    )


def _lead(result: RunResult, story: RunStory) -> tuple[Phrase, ...]:
    lead = Say.run_lead.filled(
        training=count_text(result.training_samples),
        pool=count_text(result.pool_samples),
        share=share_text(result.training_samples / result.pool_samples),
        rounds=len(result.rounds),
        best=result.best_round,
    )
    stopped = Say.why_stopped.filled(reason=_REASONS[result.stop_reason])
    base = story.inputs.base_key
    return (lead, stopped, Say.continued.filled(key=base[:12])) if base else (lead, stopped)


def _tiles(result: RunResult, names: dict[str, Phrase]) -> tuple[_Tile, ...]:
    figures = result.validation
    worst = min(figures.per_class_recall, key=lambda name: (figures.per_class_recall[name], name))
    judged = Say.on_split if result.validated_on == "split" else Say.on_folds
    f1 = f"{ratio_text(figures.macro_f1)} ± {ratio_text(figures.macro_f1_error)}"
    used = Say.used_note.filled(training=count_text(result.training_samples), pool=count_text(result.pool_samples))
    crops = count_text(result.parity_crops)
    return (
        _Tile(Say.validation_tile, f1, judged.filled(count=count_text(figures.samples)), is_main=True),
        *(() if result.test is None else (_test_tile(result.test),)),
        _Tile(Say.worst_tile, ratio_text(figures.worst_class_recall), Say.worst_note.filled(name=names[worst])),
        _Tile(Say.used_tile, share_text(result.training_samples / result.pool_samples), used),
        _Tile(Say.rounds_tile, str(len(result.rounds)), Say.rounds_note.filled(best=result.best_round)),
        _Tile(Say.parity_tile, f"{crops} / {crops}", Say.parity_note.filled(difference=f"{result.parity:.1e}")),
    )


def _test_tile(test: ShippedFigures) -> _Tile:
    note = Say.test_note.filled(count=count_text(test.samples), recall=ratio_text(test.worst_class_recall))
    return _Tile(Say.test_tile, f"{ratio_text(test.macro_f1)} ± {ratio_text(test.macro_f1_error)}", note, is_main=True)


def _class_rows(result: RunResult, names: dict[str, Phrase]) -> tuple[_ClassRow, ...]:
    scores = score_confusion(np.array(result.validation.confusion, np.int64))
    best = result.rounds[result.best_round - 1].classes
    return tuple(
        _ClassRow(
            names[name],
            best[name].pool,
            best[name].training,
            best[name].residual,
            float(scores.precisions[at]) if scores.counts[at] else None,
            float(scores.recalls[at]) if scores.counts[at] else None,
        )
        for at, name in enumerate(result.classes)
    )


def _confusion(matrix: _Matrix, names: Sequence[Phrase], anchors: Mapping[tuple[int, int], str]) -> Figure:
    counts = np.array(matrix.figures.confusion, np.int64)
    return Figure(matrix.heading, heat_map(matrix.heading, names, counts, anchors))


def _drawn_strips(story: RunStory, names: Sequence[Phrase]) -> tuple[Strip, ...]:
    """Show the first round's draw, the samples nearest to the mean first."""
    first = story.draws[0]
    ids = story.table.class_ids[first.rows]
    strips = []
    for class_id in np.unique(ids).tolist():
        rows, sides = first.rows[ids == class_id], first.is_above[ids == class_id]
        shown = _both_sides(sides, _crops_a_class(names))
        crops = tuple(_drawn_crop(story, int(rows[at]), is_above=bool(sides[at])) for at in shown)
        strips.append(Strip(names[class_id], crops, len(rows) - len(crops)))
    return tuple(strips)


def _both_sides(sides: NDArray[np.bool_], count: int) -> list[int]:
    """Return positions of at most `count` samples, both sides in turn, each from the mean outwards."""
    above, below = np.flatnonzero(sides).tolist(), np.flatnonzero(~sides).tolist()
    half = max(count - count // 2, count - len(below))
    return sorted([*above[:half], *below[: count - min(half, len(above))]])


def _drawn_crop(story: RunStory, row: int, *, is_above: bool) -> Crop:
    norm = f"{story.table.norms_q16[row] / Q16_ONE:.3f}"
    side = "above" if is_above else "below"
    return Crop(crop_uri(story.table.pixels[row]), Phrase(norm, norm), story.table.ids[row][:12], side)


def _wrong_strips(story: RunStory, names: Sequence[Phrase]) -> tuple[Strip, ...]:
    strips = []
    for class_id in np.unique(story.table.class_ids[story.wrong]).tolist():
        rows = np.flatnonzero(story.wrong & (story.table.class_ids == class_id))
        rows = rows[np.argsort(story.predicted_ids[rows], kind="stable")]
        shown = rows[np.linspace(0, len(rows) - 1, min(len(rows), _crops_a_class(names))).astype(np.int64)]
        crops = tuple(
            Crop(crop_uri(story.table.pixels[row]), names[story.predicted_ids[row]], story.table.ids[row][:12])
            for row in shown.tolist()
        )
        strips.append(Strip(names[class_id], crops, len(rows) - len(crops)))
    return tuple(strips)


def _held_strips(story: RunStory, names: Sequence[Phrase]) -> tuple[Strip, ...]:
    """Show who is held back, the surest first."""
    held, strips = story.held_back, []
    ids = story.table.class_ids[held.rows]
    for class_id in np.unique(ids).tolist():
        at = np.flatnonzero(ids == class_id)
        at = at[np.argsort(-held.confidences[at], kind="stable")]
        shown = at[: _crops_a_class(names)]
        crops = tuple(_held_crop(story, names, int(one)) for one in shown)
        strips.append(Strip(names[class_id], crops, len(at) - len(crops)))
    return tuple(strips)


def _held_crop(story: RunStory, names: Sequence[Phrase], at: int) -> Crop:
    row, suggested = int(story.held_back.rows[at]), names[story.held_back.suggested_ids[at]]
    chance = share_text(float(story.held_back.confidences[at]))
    caption = Phrase(f"{suggested.en} {chance}", f"{suggested.zh_cn} {chance}")
    return Crop(crop_uri(story.table.pixels[row]), caption, story.table.ids[row][:12])


def _crops_a_class(names: Sequence[Phrase]) -> int:
    return min(_CROPS_A_CLASS, max(2, _MOST_CROPS // len(names)))


def _lineage(result: RunResult, story: RunStory, card: ModelCard) -> tuple[tuple[Phrase, str | Phrase], ...]:
    lineage = card.lineage
    versions = ", ".join(f"{name} {version}" for name, version in sorted(story.inputs.versions.items()))
    calibration = Say.calibration_value.filled(
        temperature=ratio_text(result.temperature), error=ratio_text(result.calibration_error)
    )
    return (
        (Say.run_key_label, result.run_key),
        (Say.model_label, result.model_id),
        (Say.pool_label, story.inputs.pool_digest),
        (Say.draw_label, Say.draw_lineage.filled(m=lineage.m, a=lineage.a, b=lineage.b)),
        (Say.seed_label, str(lineage.seed)),
        (Say.fit_label, Say.fit_final if result.fit == "final" else Say.fit_round),
        (Say.calibration_label, calibration),
        (Say.cost_label, _cost(result)),
        (Say.noise_label, Say.unwatched if result.noise_share is None else share_text(result.noise_share)),
        (Say.int8_label, _int8(result)),
        (Say.processor_label, story.inputs.processor),
        (Say.versions_label, versions),
    )


def _cost(result: RunResult) -> Phrase:
    steps, visits = (sum(numbers) for numbers in zip(*((r.steps, r.visits) for r in result.rounds), strict=True))
    return Say.cost_value.filled(steps=count_text(steps), visits=count_text(visits))


def _int8(result: RunResult) -> Phrase:
    card = result.int8
    if card is None:
        return Say.int8_off
    if card.sha256 is None:
        return Say.int8_refused.filled(reason=card.refused)
    return Say.int8_ships.filled(
        changed=count_text(card.changed_decisions),
        samples=count_text(card.samples),
        before=ratio_text(card.macro_f1_fp32),
        after=ratio_text(card.macro_f1),
    )


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    """Return nested settings as (key, value) rows: "fit.steps", "400"."""
    if not isinstance(value, dict):
        return [(prefix, str(value))]
    return [row for name, inner in value.items() for row in _flat(f"{prefix}.{name}".lstrip("."), inner)]
