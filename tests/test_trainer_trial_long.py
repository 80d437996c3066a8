"""What the machine's mistakes are worth: five seeds, against the first model and against as many random objects.

The long part trains 30 models; it writes its table, seed by seed, to tests/bench/results and asserts on the means.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from edge_runtime.storage import write_atomic
from firmware_bridge.clock import SystemClock
from trainer.demo.demo_results import Contender, DemoResult, MachineFigures
from trainer.demo.trial import TrialSettings, run_trial
from trainer.intervals import bootstrap_interval
from trainer.progress import TerminalProgress
from trainer.text_table import table_text

RESULTS = Path(__file__).parent / "bench" / "results" / "feedback.json"
SEEDS = range(5)
CONTENDERS: tuple[Contender, ...] = ("first", "retrained", "control")
Source = Literal["T0", "T2"]


class Pair(msgspec.Struct, frozen=True):
    """One seed: macro-F1 of each contender on the unseen stream, and samples added to the training set."""

    seed: int
    first: float
    retrained: float
    control: float
    added: int


class Gain(msgspec.Struct, frozen=True):
    """Mean paired difference of macro-F1 with its 95 % bootstrap interval, and seeds that were not better."""

    over: Contender
    mean: float
    low: float
    high: float
    not_better: list[int]


class Feedback(msgspec.Struct, frozen=True):
    """All seeds of one choice of truth sources."""

    sources: tuple[Source, ...]
    pairs: list[Pair]
    gains: list[Gain]
    schema_version: Literal[1] = 1


def pair_of(result: DemoResult) -> Pair:
    scores = {figures.contender: figures.macro_f1 for figures in result.machine}
    assert result.added["retrained"] == result.added["control"]
    added = result.added["retrained"]
    return Pair(result.seed, scores["first"], scores["retrained"], scores["control"], added)


def gain_over(other: Contender, pairs: Sequence[Pair]) -> Gain:
    differences = np.array([pair.retrained - getattr(pair, other) for pair in pairs], np.float64)
    found = bootstrap_interval(differences, np.random.default_rng(0))
    not_better = [pair.seed for pair, gain in zip(pairs, differences, strict=True) if gain <= 0]
    return Gain(other, found.mean, found.low, found.high, not_better)


def feedback_of(sources: tuple[Source, ...], results: Sequence[DemoResult]) -> Feedback:
    pairs = [pair_of(result) for result in results]
    return Feedback(sources, pairs, [gain_over("first", pairs), gain_over("control", pairs)])


def feedback_text(feedback: Feedback) -> str:
    """Return the table as Markdown."""
    head = ("seed", *CONTENDERS, "added")
    pairs = feedback.pairs
    rows = [(str(p.seed), *(f"{f1:.4f}" for f1 in (p.first, p.retrained, p.control)), str(p.added)) for p in pairs]
    lines = [f"macro-F1 on the unseen stream, truth from {' and '.join(feedback.sources)}", ""]
    lines += ["```", table_text(head, rows), "```", ""]
    for gain in feedback.gains:
        seeds = ", ".join(map(str, gain.not_better)) or "none"
        interval = f"{gain.mean:+.4f} (95 % interval {gain.low:+.4f} to {gain.high:+.4f})"
        lines.append(f"- retrained - {gain.over}: {interval}; seeds that were not better: {seeds}")
    return "\n".join([*lines, ""])


def write_feedback(path: Path, feedback: Feedback) -> None:
    """Keep the tables of other sources that stand there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = msgspec.json.decode(path.read_bytes(), type=list[Feedback]) if path.is_file() else []
    tables = sorted([*(one for one in known if one.sources != feedback.sources), feedback], key=lambda one: one.sources)
    write_atomic(path, msgspec.json.format(msgspec.json.encode(tables)))
    write_atomic(path.with_suffix(".md"), "\n".join(map(feedback_text, tables)).encode())


def result(seed: int, first: float, retrained: float, control: float) -> DemoResult:
    scores = zip(CONTENDERS, (first, retrained, control), strict=True)
    machine = tuple(MachineFigures(name, 100, score, 0.5, 0.9, 0.9, 0.9, 0.1, 0, 5.0) for name, score in scores)
    added: dict[Contender, int] = {"first": 0, "retrained": 80, "control": 80}
    return DemoResult(seed, 0.06, {}, {"T0": 80}, 500, added, 20, 0.1, machine, 9.0)


def test_gains_are_paired_by_seed() -> None:
    """Seeds differ far more than contenders; only the difference within a seed counts."""
    found = feedback_of(("T0",), [result(0, 0.5, 0.6, 0.55), result(1, 0.8, 0.9, 0.85), result(2, 0.2, 0.3, 0.31)])
    over_first, over_control = found.gains
    assert (over_first.mean, over_first.low, over_first.high) == pytest.approx((0.1, 0.1, 0.1))
    assert over_first.not_better == []
    assert over_control.mean == pytest.approx(0.03)
    assert (over_control.low, over_control.high) == pytest.approx((-0.01, 0.05))
    assert over_control.not_better == [2]


def test_the_table_says_which_seeds_were_not_better(tmp_path: Path) -> None:
    path = tmp_path / "results" / "feedback.json"
    both = feedback_of(("T0", "T2"), [result(0, 0.5, 0.6, 0.55)])
    write_feedback(path, both)
    write_feedback(path, feedback_of(("T0",), [result(0, 0.5, 0.6, 0.55)]))
    again = feedback_of(("T0",), [result(4, 0.5, 0.4, 0.45), result(5, 0.5, 0.6, 0.6)])
    write_feedback(path, again)
    assert msgspec.json.decode(path.read_bytes(), type=list[Feedback]) == [again, both]
    text = path.with_suffix(".md").read_text()
    assert "seeds that were not better: 4, 5" in text
    assert "seeds that were not better: none" in text
    assert "truth from T0 and T2" in text


@pytest.mark.long
@pytest.mark.parametrize("sources", [("T0",), ("T0", "T2")], ids="+".join)
def test_mistakes_teach_more_than_as_many_random_objects(sources: tuple[Source, ...], tmp_path: Path) -> None:
    results = []
    for seed in SEEDS:
        with TerminalProgress(quiet=True) as progress:
            settings = TrialSettings(seed=seed, sources=sources)
            results.append(run_trial(tmp_path / f"seed-{seed}", settings, SystemClock(), progress))
    feedback = feedback_of(sources, results)
    write_feedback(RESULTS, feedback)
    assert {gain.over: gain.low > 0 for gain in feedback.gains} == {"first": True, "control": True}
