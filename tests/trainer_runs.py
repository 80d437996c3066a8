"""Small runs on made-up crops, and everything they leave, for the tests of runs."""

from pathlib import Path

from firmware_bridge.clock import ManualClock
from trainer.demo.synthetic import SyntheticSamples
from trainer.draw.quarantine import QuarantineSettings
from trainer.loop.results import RunResult
from trainer.loop.run import RunPlan, run
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

__all__ = ["FEW", "SAMPLES", "SETTINGS", "Spy", "answers", "books", "go"]

SETTINGS = RunSettings(
    m=6,
    quarantine=QuarantineSettings(mode="off"),  # its survey would cost more than these runs
    fit=FitSettings(network="small", steps=12, final_steps=20, batch=16),
    stop=StopSettings(rounds=3),
)
SAMPLES = SyntheticSamples(("good", "husk", "stone"))
FEW = SyntheticSamples(counts={"train": 24, "validation": 5})
ANSWERS = ("model/model.onnx", "model/golden.npz", "model/card.json", "model/recipe.toml", "model/norms.json")


class Spy:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.rounds: list[int] = []

    def step(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        self.rounds.append(record.number)


def go(folder: Path, settings: RunSettings = SETTINGS, base: Path | None = None, spy: Spy | None = None) -> RunResult:
    """Run on folder/p.pool into folder/run, or into folder/next where there is a base."""
    out = folder / ("run" if base is None else "next")
    with Pool.open(folder / "p.pool") as pool:
        return run(pool, RunPlan(out, settings, base), ManualClock(), spy or Spy())


def answers(run_folder: Path) -> dict[str, bytes]:
    names = [*ANSWERS, "result.json", "run.json", *(path.name for path in run_folder.glob("round-*.onnx"))]
    return {name: (run_folder / name).read_bytes() for name in names}


def books(pool_path: Path) -> dict[str, list[tuple[object, ...]]]:
    with Pool.open(pool_path) as pool:
        tables = ("runs", "rounds", "draws", "judgements")
        return {name: pool.connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}
