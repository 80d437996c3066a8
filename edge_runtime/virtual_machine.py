"""A whole sorting machine in one thread and in virtual time: belt, camera, sorter, link, valves, inspection, recorder.

Deterministic: same settings, same source and same model give the same report. docs/virtual-machine.md says what it
models, what it does not, and what its figures mean.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import KIND_NAMES
from edge_runtime.errors import ConfigError
from edge_runtime.grain_sources import GrainSource
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import Camera, Machine
from edge_runtime.verdict_recording import Logbook
from edge_runtime.virtual_belt import BeltSettings, VirtualBelt
from edge_runtime.virtual_outcome import score
from edge_runtime.virtual_run import UNSEEN, VirtualReport, VirtualRun, rendered_machine
from edge_runtime.virtual_session import VirtualSession

__all__ = ["Logbook", "VirtualReport", "VirtualRun", "rendered_machine", "run_virtual_machine"]


def run_virtual_machine(
    run: VirtualRun,
    sorter: Sorter,
    *,
    machine: Machine,
    source: GrainSource,
    logbook: Logbook | None = None,
) -> VirtualReport:
    """Run pieces past one camera of a machine, from the feeder to the recorder.

    Args:
        run: what runs.
        sorter: recipe, camera and classifier, see `make_sorter`.
        machine: belt, lanes, ways; the sorter's camera belongs to it.
        source: what the pieces look like.
        logbook: where the run is recorded, one lot; None records nothing.

    Raises:
        ConfigError: the mix or teach_class names a class that the recipe or the source lacks, or no piece fits.
        EdgeError: the source, the sorter or the recorder's spool failed.
        BridgeError: the link failed: a fault of the link or of the virtual board.

    Note:
        Runs as fast as it can: belt time costs nothing. Memory holds a block, the decisions of about a second while
        there is a recorder, and some integers a piece.
    """
    _check_classes(run, sorter.recipe.class_names)
    belt = VirtualBelt(_belt_settings(run, machine, sorter.camera), source)
    session = VirtualSession(run, sorter, machine, logbook)
    for frame_no, block in enumerate(belt.blocks(run.block_lines)):
        session.begin_block(frame_no, block.first_line)
        session.pieces.add(belt.objects_from(session.pieces.count))
        session.end_block(block)
    session.finish()
    return _report(run, sorter, session, logbook)


def _check_classes(run: VirtualRun, names: Sequence[str]) -> None:
    wanted = {*run.mix, *([run.teach_class] if run.teach_class else [])}
    unknown = sorted(wanted - set(names))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no class of the recipe: it has {', '.join(names)}")
    if run.teach_class and run.teach_class not in run.mix:
        raise ConfigError(f"a teach lot of {run.teach_class!r} without any in its mix: it has {', '.join(run.mix)}")


def _belt_settings(run: VirtualRun, machine: Machine, camera: Camera) -> BeltSettings:
    return BeltSettings(
        mix=run.mix,
        pieces=run.pieces,
        rate_hz=run.rate_hz,
        belt_mm_s=machine.belt_mm_s,
        pixel_mm=camera.pixel_mm,
        width_px=camera.width_px,
        min_gap_mm=run.min_gap_mm,
        seed=run.seed,
    )


def _report(run: VirtualRun, sorter: Sorter, session: VirtualSession, logbook: Logbook | None) -> VirtualReport:
    names = sorter.recipe.class_names
    pieces = session.pieces
    is_bad = np.array([rule.action == "eject" for rule in sorter.recipe.classes])
    confusion = _confusion(pieces.class_ids, pieces.predicted, names)
    return VirtualReport(
        mode="teach" if run.teach_class else "production",
        sort=score(pieces.class_ids, pieces.is_thrown, pieces.decided, names, is_bad),
        confusion=confusion,
        macro_f1=_macro_f1(confusion),
        eject=session.tally,
        objects=session.objects,
        clusters=session.clusters,
        seconds=session.seconds,
        pieces_per_s=pieces.count / session.seconds if session.seconds else 0.0,
        verdicts=session.verdicts,
        matching=session.matching,
        recorded=logbook.recorder.counts() if logbook else None,
        decisions_sha256=session.digest(),
    )


def _confusion(
    class_ids: NDArray[np.int64], predicted: Sequence[int | None], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return pieces by true class, then by the class decided, of those that occur."""
    cells = Counter(zip(class_ids.tolist(), predicted, strict=True))
    table: dict[str, dict[str, int]] = {names[true_id]: {} for true_id in sorted({true_id for true_id, _ in cells})}
    for (true_id, class_id), count in cells.items():
        match class_id:
            case None:
                column = UNSEEN
            case _:
                column = KIND_NAMES.get(class_id) or names[class_id]
        table[names[true_id]][column] = count
    return {name: dict(sorted(row.items())) for name, row in table.items()}


def _macro_f1(confusion: dict[str, dict[str, int]]) -> float | None:
    scores = []
    for name, row in confusion.items():
        decided = sum(other.get(name, 0) for other in confusion.values())
        scores.append(2 * row.get(name, 0) / (sum(row.values()) + decided))
    return sum(scores) / len(scores) if scores else None
