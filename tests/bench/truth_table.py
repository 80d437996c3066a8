"""How right the recorded mistakes are: python tests/bench/truth_table.py [--model FOLDER] (minutes; seconds without).

Worlds whose truth is known: lots with impurities, verdicts that lose their pieces, audits of known error rate; with a
model folder of the rendered grains also the virtual machine, through recorder and spool. Every line is seeded.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tables import table
from truth_worlds import MIX, Belt, ScoredWorld, Sifted, audit_coverage, calibration, lots, verdicts

from edge_runtime.grain_sources import RenderedGrains
from edge_runtime.grains import CLASS_NAMES, FLOOR
from edge_runtime.recorder import Recorder
from edge_runtime.residual import ResidualHeader
from edge_runtime.schemas import ResidualPolicy
from edge_runtime.setup import Setup, origin_of
from edge_runtime.simulate import virtual_setup
from edge_runtime.spool import Spool
from edge_runtime.verdict_recording import Logbook
from edge_runtime.virtual_inspection import InspectionTraits
from edge_runtime.virtual_machine import run_virtual_machine
from edge_runtime.virtual_run import VirtualRun
from firmware_bridge.clock import ManualClock

__all__ = ["audit_table", "fresh_table", "lot_table", "machine_table", "match_table", "verdict_table"]

_SIFTED: Final = ("apparent mistakes", "of them true", "confirmed", "precision, 95 %", "recall", "candidates")
_BELTS: Final[dict[str, Belt]] = {
    "500/s": Belt(rate_hz=500, seconds=240, unseen=0.02, strayed=0.02),
    "2000/s, one of four astray or unseen": Belt(rate_hz=2000),
    "2000/s, wide scatter": Belt(rate_hz=2000, scatter_ticks=300),
    "2000/s, long tails": Belt(rate_hz=2000, tails="laplace"),
    "5000/s, one of four astray or unseen": Belt(rate_hz=5000, seconds=30),
}
_WIDE: Final = Belt(seconds=30, scatter_ticks=300)
_WORLDS: Final = 12
_KIN: Final = ", all impurities of the class most like it"
_TWICE: Final = ", twice the impurity that is stated"


def lot_table() -> str:
    """Return what is confirmed of teach lots, by number of classes, purity, novelty and quality of the model."""
    rows = []
    for classes, purity, novel_share, distance, note in (
        (6, 0.99, 0.0, 2.5, ""),
        (6, 0.99, 0.06, 2.5, ""),
        (6, 0.99, 0.0, 1.5, ""),
        (6, 0.99, 0.06, 1.5, ""),
        (6, 0.99, 0.0, 2.5, _KIN),
        (6, 0.99, 0.06, 1.5, _KIN),
        (6, 0.99, 0.0, 2.5, _TWICE),
        (6, 0.99, 0.06, 2.5, _TWICE),
        (6, 0.99, 0.0, 1.5, _TWICE),
        (6, 0.99, 0.06, 1.5, _TWICE),
        (6, 0.999, 0.0, 2.5, ""),
        (6, 0.999, 0.06, 2.5, ""),
        (6, 0.999, 0.06, 2.5, _KIN),
        (2, 0.99, 0.0, 1.0, ""),
        (2, 0.999, 0.0, 1.0, ""),
    ):
        rng = np.random.default_rng(1)
        world = ScoredWorld.make(rng, classes=classes, distance=distance, novel_share=novel_share)
        name = f"{classes} classes, purity {purity}, novel {novel_share:.0%}, distance {distance}{note}"
        true_purity = 2 * purity - 1 if note == _TWICE else purity
        rows.append([name, *lots(world, true_purity, rng, stated=purity, is_kin=note == _KIN).cells()])
    return table(("teach lots", *_SIFTED), rows, markdown=True)


def verdict_table() -> str:
    """Return what is confirmed by an inspection some of whose verdicts are joined with a wrong piece."""
    rows = []
    for name, belt in _BELTS.items():
        for novel_share in (0.0, 0.06):
            rng = np.random.default_rng(2)
            world = ScoredWorld.make(rng, novel_share=novel_share)
            sifted, wrong, wrong_kept = verdicts(world, belt, rng)
            pairs = f"{wrong:.2%} / {wrong_kept:.2%}"
            rows.append([f"{name}, novel {novel_share:.0%}", pairs, *sifted.cells()])
    return table(("inspection", "wrong pairs, all / kept", *_SIFTED), rows, markdown=True)


def fresh_table() -> str:
    """Return the sums over worlds whose seeds were not looked at while the limits of the policy were chosen."""
    rows = []
    for name, belt in (("T0, purity 0.99", None), ("T2, 2000/s", Belt(seconds=30)), ("T2, wide scatter", _WIDE)):
        for novel_share in (0.0, 0.06):
            found = []
            for seed in range(1000, 1000 + _WORLDS):
                rng = np.random.default_rng(seed)
                world = ScoredWorld.make(rng, novel_share=novel_share)
                found.append(lots(world, 0.99, rng) if belt is None else verdicts(world, belt, rng)[0])
            total = found[0]
            for one in found[1:]:
                total = total.plus(one)
            precisions = [one.precision for one in found]
            below = sum(precision < 0.99 for precision in precisions)
            worlds = [f"{below} of {_WORLDS}", f"{min(precisions):.4f}"]
            rows.append([f"{name}, novel {novel_share:.0%}", *total.cells(), *worlds])
    return table(("12 fresh worlds", *_SIFTED, "worlds below 0.99", "lowest"), rows, markdown=True)


def match_table() -> str:
    """Return how often pairs are right that are stated to be right so probably."""
    rows = []
    for name, belt in _BELTS.items():
        found = calibration(belt, np.random.default_rng(3))
        rows += [[name, f"{count}", f"{stated:.4f}", f"{right:.4f}"] for count, stated, right in found]
    return table(("belt", "pairs", "stated", "right"), rows, markdown=True)


def audit_table() -> str:
    """Return how often the interval of an audit holds the true error rate, of 500 audits each."""
    rows = []
    for error_rate, objects, rates in (
        (0.001, 20_000, (0.01,)),
        (0.01, 5_000, (0.01,)),
        (0.01, 50_000, (0.01,)),
        (0.03, 20_000, (0.01,)),
        (0.1, 10_000, (0.05,)),
        (0.02, 10_000, (0.01, 0.05)),
        (0.05, 5_000, (0.02, 0.1, 0.01)),
    ):
        held, width = audit_coverage(error_rate, objects, rates, np.random.default_rng(4))
        sampled = " then ".join(f"{rate:.0%}" for rate in rates)
        rows.append([f"{error_rate:.1%}", f"{objects}", sampled, f"{held:.1%}", f"{width:.2%}"])
    return table(("error rate", "objects", "audit rate", "intervals that hold it", "mean width"), rows, markdown=True)


def machine_table(model: Path, pieces: int) -> str:
    """Return what the virtual machine confirms, through recorder and spool, with a model of the rendered grains."""
    setup = virtual_setup(model)
    rows = [
        ["T0: six lots, 1 % impurities", *machine_lots(setup, pieces).cells()],
        ["T2: production, 12 % of the pieces astray", *machine_production(setup, 4 * pieces).cells()],
    ]
    return table(("virtual machine", *_SIFTED), rows, markdown=True)


def machine_lots(setup: Setup, pieces: int) -> Sifted:
    """Run an impure teach lot of each class on the virtual machine, with and without knowing the truth."""
    total = Sifted(0, 0, 0, 0, 0)
    for number, label in enumerate(CLASS_NAMES):
        mix = {name: 0.99 if name == label else 0.01 / (len(CLASS_NAMES) - 1) for name in CLASS_NAMES}
        run = VirtualRun(mix, pieces, seed=100 + number, inspection=InspectionTraits(share=0.0))
        total = total.plus(_compare(setup, run, msgspec.structs.replace(run, teach_class=label)))
    return total


def machine_production(setup: Setup, pieces: int) -> Sifted:
    """Sort and inspect a stream in which one piece of eight has strayed, with and without knowing the truth."""
    mix = dict(zip(CLASS_NAMES, MIX.tolist(), strict=True))
    seen = InspectionTraits(share=0.5, strayed_share=0.12)
    run = VirtualRun(mix, pieces, rate_hz=1500, seed=7, scatter_mm=0.3, inspection=seen)
    return _compare(setup, run, run)


def _compare(setup: Setup, known: VirtualRun, taught: VirtualRun) -> Sifted:
    everything = ResidualPolicy(audit_rate=1.0)
    labels = {(one.line, one.column): one.truth.label for one in _records(setup, known, everything)}
    policy = ResidualPolicy(audit_rate=0.0, candidate_margin=0.0, candidate_sigmas=0.0, max_candidates=10**6)
    told = [one for one in _records(setup, taught, policy) if one.failure in {"misclassified", "candidate"}]
    is_true = np.array([labels[one.line, one.column] == one.truth.label for one in told], np.bool_)
    return Sifted.of(is_true, np.array([one.failure == "misclassified" for one in told], np.float64))


def _records(setup: Setup, run: VirtualRun, policy: ResidualPolicy) -> list[ResidualHeader]:
    with tempfile.TemporaryDirectory() as folder, Spool.open(Path(folder), clock=ManualClock()) as spool:
        origin = msgspec.structs.replace(origin_of(setup, "lot"), policy=policy)
        logbook = Logbook(Recorder(spool, origin, ManualClock()), origin)
        source = RenderedGrains(FLOOR)
        report = run_virtual_machine(run, setup.sorter, machine=setup.machine, source=source, logbook=logbook)
        sys.stderr.write(f"{run.teach_class or 'production'}: {report.matching}, {report.recorded}\n")
        spool.commit()
        return [record.header for record in spool.records()]


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model folder of the rendered grains, as `make demo` trains one")
    parser.add_argument("--pieces", type=int, default=4000, help="pieces of each lot on the virtual machine")
    asked = parser.parse_args()
    for make in (lot_table, verdict_table, fresh_table, match_table, audit_table):
        sys.stdout.write(make() + "\n")
    if asked.model:
        sys.stdout.write(machine_table(asked.model, asked.pieces))


if __name__ == "__main__":
    main()
