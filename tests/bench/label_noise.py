"""How well the quarantine tells wrong labels from hard samples, by its survey alone: who is held back of known ones.

`python tests/bench/label_noise.py rice.pool deeppcb.pool --labels clean --labels noisy` prints one line of
docs/label-noise.md a pool and kind of labels; pools are opened for reading. Two fits of 600 steps a line.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from trainer.draw.quarantine import QuarantineSettings
from trainer.export.onnx_export import folded_scores, ship_network
from trainer.judge.blind_part import BlindPart
from trainer.judge.validation import LEAST_VALIDATION
from trainer.loop.cross_fit import survey
from trainer.loop.guard import Guard, GuardVerdict
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.train.fit import FitSettings, TrainingSet, fit_network, use_threads

HEAD: Final = (
    "| set | labels | seed | pool | wrong | estimated | shown | precision | recall | held back | wrong left "
    "| right held back | most of a class |\n|" + "---|" * 13
)
KINDS: Final = ("clean", "noisy", "tail", "noisy tail", "one pair")
NOISE: Final = 0.1
TAIL: Final = 10.0  # largest class over smallest


class Tester:
    """Fits and scores as a run's judge does, by torch."""

    def __init__(self, table: SampleTable, seed: int) -> None:
        self.table, self.seed = table, seed

    def score_blind(self, parts: Sequence[BlindPart], steps: int) -> list[NDArray[np.float32]]:
        return [self._scores(part, steps) for part in parts]

    def _scores(self, part: BlindPart, steps: int) -> NDArray[np.float32]:
        table, count = self.table, len(self.table.classes)
        data = TrainingSet(table.pixels[part.training], table.class_ids[part.training], count)
        network = fit_network(data, FitSettings(), steps=steps, seed=self.seed)
        scores = np.zeros((len(table), count), np.float32)
        scores[part.tested] = folded_scores(ship_network(network, 1.0, count), table.pixels[part.tested])
        return scores


@click.command()
@click.argument("pools", nargs=-1, required=True, type=Path)
@click.option("--labels", "kinds", multiple=True, default=KINDS, show_default=True, type=click.Choice(KINDS))
@click.option("--seed", "seeds", multiple=True, default=(0,), show_default=True)
def main(pools: tuple[Path, ...], kinds: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Print a table."""
    use_threads(1)
    click.echo(HEAD)
    for path in pools:
        with Pool.open(path) as pool:
            table = pool.load(("train", "validation"))
        for kind in kinds:
            for seed in seeds:
                click.echo(_line(path.stem, table, kind, seed))


def _line(name: str, whole: SampleTable, kind: str, seed: int) -> str:
    rng = np.random.default_rng(1000 + seed)
    true = whole.take(_long_tail(whole, rng)) if "tail" in kind else whole
    labels = _labels(true, kind, rng)
    table = replace(true, class_ids=labels)
    in_pool = _pool(true)
    guard = Guard(labels, in_pool, QuarantineSettings(), class_count=len(table.classes))
    guard.add_survey(survey(table, in_pool, Tester(table, seed), QuarantineSettings().survey_steps))
    verdict = guard.verdict()
    return f"| {name} | {kind} | {seed} | {int(in_pool.sum()):,} {_figures(true.class_ids, labels, in_pool, verdict)}"


def _figures(
    true_ids: NDArray[np.int64], labels: NDArray[np.int64], in_pool: NDArray[np.bool_], verdict: GuardVerdict
) -> str:
    wrong = (true_ids != labels) & in_pool
    shown, held = verdict.verdicts.is_suspect & in_pool, verdict.verdicts.is_doubtful & in_pool
    right = in_pool & ~wrong
    kept = in_pool & ~held
    most = max((held & right & (labels == k)).sum() / max(1, (right & (labels == k)).sum()) for k in np.unique(labels))
    precision = f"{(shown & wrong).sum() / shown.sum():.3f}" if shown.any() else "-"
    recall = f"{(shown & wrong).sum() / wrong.sum():.3f}" if wrong.any() else "-"
    return (
        f"| {wrong.sum() / in_pool.sum():.1%} | {verdict.verdicts.noise_share:.1%} "
        f"| {shown.sum()} | {precision} | {recall} | {held.sum()} "
        f"| {(kept & wrong).sum() / kept.sum():.2%} | {(held & right).sum() / right.sum():.2%} | {most:.1%} |"
    )


def _pool(table: SampleTable) -> NDArray[np.bool_]:
    """Return the training side, or all where a run would judge out of fold."""
    held_out = np.array([split == "validation" for split in table.splits], np.bool_)
    counts = np.bincount(table.class_ids[held_out], minlength=len(table.classes))
    return ~held_out if counts.min() >= LEAST_VALIDATION else np.ones(len(table), np.bool_)


def _long_tail(table: SampleTable, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return rows with class sizes falling evenly, in the logarithm, down to a tenth, in a random order of classes."""
    counts = np.bincount(table.class_ids)
    top, last = int(np.median(counts)), max(1, len(counts) - 1)
    order = rng.permutation(len(counts)).tolist()
    sizes = {class_id: round(top * TAIL ** (-at / last)) for at, class_id in enumerate(order)}
    own = [rng.permutation(np.flatnonzero(table.class_ids == class_id)) for class_id in range(len(counts))]
    kept = [rows[: sizes[class_id]] for class_id, rows in enumerate(own)]
    return np.sort(np.concatenate(kept))


def _labels(table: SampleTable, kind: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return labels: as they are, a tenth of them drawn from the other classes, or a tenth of class 0 as class 1."""
    labels, count = table.class_ids.copy(), len(table.classes)
    is_flipped = rng.random(len(labels)) < NOISE
    if "noisy" in kind:
        labels[is_flipped] = (labels[is_flipped] + rng.integers(1, count, is_flipped.sum())) % count
    elif kind == "one pair":
        labels[is_flipped & (labels == 0)] = 1
    return labels


if __name__ == "__main__":
    main()
