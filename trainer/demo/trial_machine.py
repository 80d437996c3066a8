"""The virtual machine as a trial uses it: streams with and without a recorder, and the figures that count.

Knows seeds, mixes and records; nothing of training.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge_runtime.grain_sources import RenderedGrains
from edge_runtime.grains import CLASS_NAMES, FLOOR, Look
from edge_runtime.recorder import Recorder
from edge_runtime.residual_export import export_spool
from edge_runtime.schemas import ResidualPolicy
from edge_runtime.setup import Setup, origin_of
from edge_runtime.simulate import virtual_setup
from edge_runtime.spool import Spool
from edge_runtime.verdict_recording import Logbook
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_machine import run_virtual_machine
from edge_runtime.virtual_run import VirtualReport, VirtualRun
from firmware_bridge.clock import Clock
from trainer.demo.demo_results import Contender, MachineFigures

__all__ = ["FLOOR_MIX", "Streams", "machine_figures", "record_streams", "sort_unseen"]

FLOOR_MIX: Final = {
    "sound": 0.66, "broken": 0.14, "chalky": 0.07, "discoloured": 0.06, "insect": 0.04, "stone": 0.03,
}  # fmt: skip
_QUOTA: Final = 1_000_000  # a trial keeps every record


@dataclass(frozen=True, slots=True)
class Streams:
    """What passes the machine while it records.

    Attributes:
        seed: of all of them.
        sources: T0: a teach lot of each class; T2: a production stream of which half the pieces are inspected.
        teach_pieces: pieces of each teach lot.
        production_pieces: pieces of the production stream.
        look: population of all pieces.
    """

    seed: int
    sources: tuple[Literal["T0", "T2"], ...]
    teach_pieces: int
    production_pieces: int
    look: Look = FLOOR

    def runs(self) -> dict[str, VirtualRun]:
        """Return the runs by the name of their lot; the same pieces for the same seed."""
        runs = {}
        if "T0" in self.sources:
            for at, name in enumerate(CLASS_NAMES):
                seed = self.seed * 100 + 10 + at
                runs[f"teach-{name}"] = VirtualRun({name: 1.0}, self.teach_pieces, seed=seed, teach_class=name)
        if "T2" in self.sources:
            half = InspectionTraits(share=0.5)
            seed = self.seed * 100 + 30
            runs["production"] = VirtualRun(FLOOR_MIX, self.production_pieces, seed=seed, inspection=half)
        return runs


def record_streams(model: Path, streams: Streams, folder: Path, *, audit_rate: float, clock: Clock) -> tuple[Path, int]:
    """Run streams past a model with a recorder; return the file it exported and how many objects it was shown.

    Args:
        model: model folder.
        streams: what passes.
        folder: gets the spool and residuals.slrx.
        audit_rate: probability 0..1 that an object is audited: labelled by a person, never a mistake to train on.
        clock: for the stamps of the records.

    Raises:
        EdgeError: the model, the spool or the export failed.
        BridgeError: the link failed.
    """
    setup = virtual_setup(model)
    seen = 0
    with Spool.open(folder / "spool", clock=clock) as spool:
        for lot, run in streams.runs().items():
            logbook = _logbook(setup, spool, lot, audit_rate=audit_rate, clock=clock)
            report = _run(setup, run, streams.look, logbook)
            seen += report.recorded.seen if report.recorded else 0
        path = folder / "residuals.slrx"
        export_spool(spool, path)
    return path, seen


def sort_unseen(model: Path, *, seed: int, pieces: int, look: Look = FLOOR) -> VirtualReport:
    """Return what a model does on a stream of its own seed, armed and without a recorder.

    Args:
        model: model folder.
        seed: of the stream; the same number gives another stream than those of `Streams`.
        pieces: how many.
        look: their population.

    Raises:
        EdgeError: the model failed.
        BridgeError: the link failed.
    """
    return _run(virtual_setup(model), VirtualRun(FLOOR_MIX, pieces, seed=seed * 100 + 90), look, None)


def machine_figures(contender: Contender, report: VirtualReport) -> MachineFigures:
    """Return the figures that count of a production run; a ratio that does not exist is 0."""
    sort = report.sort
    recalls = [row.get(name, 0) / max(1, sum(row.values())) for name, row in report.confusion.items() if row]
    return MachineFigures(
        contender=contender,
        objects=sort.pieces,
        macro_f1=report.macro_f1 or 0.0,
        worst_class_recall=min(recalls, default=0.0),
        purity=sort.purity or 0.0,
        yield_good=sort.product_yield or 0.0,
        removed=sort.bad_removed or 0.0,
        carry_over=sort.carry_over or 0.0,
        late=report.eject.late,
        least_lead_ms=(report.eject.least_lead_us or 0) / 1000,
    )


def _logbook(setup: Setup, spool: Spool, lot: str, *, audit_rate: float, clock: Clock) -> Logbook:
    origin = msgspec.structs.replace(origin_of(setup, lot), policy=ResidualPolicy(audit_rate, _QUOTA))
    return Logbook(Recorder(spool, origin, clock), origin)


def _run(setup: Setup, run: VirtualRun, look: Look, logbook: Logbook | None) -> VirtualReport:
    return run_virtual_machine(run, setup.sorter, machine=setup.machine, source=RenderedGrains(look), logbook=logbook)
