"""What the rows say: folds pooled, verdicts, tables as they are printed, the page."""

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from bench_rows import SIDE, made_row
from numpy.typing import NDArray

from trainer.bench.analysis import compare_arms, pool_folds, reach_of, resample_groups, verdict
from trainer.bench.docs_page import between, write_page
from trainer.bench.plot import plot_svg, traces_of
from trainer.bench.row_record import HeldOut, RowFailure, RowRecord
from trainer.bench.tables import SuiteTables, markdown
from trainer.errors import SettingsError
from trainer.intervals import Interval

SIDES = {SIDE.digest: SIDE}
TWO_SEEDS = [made_row(), made_row(seed=1), made_row("full", 0, (0, 1, 1, 1)), made_row("full", 1, (0, 1, 1, 0))]
UP, DOWN, ACROSS = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05), Interval(0.0, -0.1, 0.1)


def tables(**changes: object) -> SuiteTables:
    results = pool_folds(TWO_SEEDS, SIDES)
    resamples = resample_groups(results)
    told = reach_of(results, resamples), compare_arms(results, resamples)
    return SuiteTables("core", "sortloop-train bench DATA", results, *told, **changes)  # type: ignore[arg-type]  # as named


def test_tables_are_printed_so() -> None:
    failed = RowFailure("k", TWO_SEEDS[0].row, "TrainingError", "the loss is nan")
    assert markdown(tables(left_out=[("cleanlab", "not installed")], failed=[failed], plot="b.svg")) == EXPECTED


def test_a_seed_without_all_its_folds_is_left_out() -> None:
    folds = [made_row(seed=0, fold=fold) for fold in range(5)] + [made_row(seed=1, fold=fold) for fold in range(4)]
    assert [(result.seed, len(result.rows)) for result in pool_folds(folds, SIDES)] == [(0, 5)]


def test_folds_are_judged_together() -> None:
    rows = [made_row(predicted=(0, 0, 1, 1) if fold else (1, 1, 0, 0), fold=fold) for fold in range(5)]
    (result,) = pool_folds(rows, SIDES)
    assert result.accuracy == pytest.approx(0.8)
    assert result.confusions.shape == (15, 2, 2)
    assert result.total(lambda row: row.visits) == 5 * 3200


@pytest.mark.parametrize(
    ("seeds", "groups", "expected"),
    [
        (UP, UP, "better"),
        (DOWN, DOWN, "worse"),
        (UP, ACROSS, "open"),
        (ACROSS, UP, "open"),
        (UP, DOWN, "open"),
        (None, UP, "too few seeds"),
    ],
)
def test_a_win_needs_both_intervals(seeds: Interval | None, groups: Interval, expected: str) -> None:
    assert verdict(seeds, groups) == expected


def test_an_interval_over_groups_is_that_of_independent_images() -> None:
    """160 of 200 right, each image a group of its own: as wide as a binomial share, 0.8 +- 1.96 * 0.0283."""
    ids = tuple(f"{i:03}" for i in range(200))
    side = HeldOut(("a", "b"), ids, ids, tuple(i % 2 for i in range(200)))
    predicted = np.array([1 - k if i % 5 == 0 else k for i, k in enumerate(side.class_ids)], np.uint8)
    results = pool_folds([_on(side, made_row(), predicted)], {side.digest: side})
    (reach,) = reach_of(results, resample_groups(results))
    accuracy = reach.figures["accuracy"]
    assert (reach.arm, reach.seeds) == ("norm", 1)
    assert accuracy.mean == pytest.approx(0.8)
    assert [accuracy.low, accuracy.high] == pytest.approx([0.745, 0.855], abs=0.006)


def test_one_seed_has_an_interval_over_groups_alone() -> None:
    """20 of 200 images more are right, on the same images: as wide as a share of 0.1, 0.1 +- 1.96 * 0.0212."""
    ids = tuple(f"{i:03}" for i in range(200))
    side = HeldOut(("a", "b"), ids, ids, tuple(i % 2 for i in range(200)))
    truth = np.array(side.class_ids, np.uint8)
    worse = np.array([1 - k if i % 10 == 0 else k for i, k in enumerate(side.class_ids)], np.uint8)
    rows = [_on(side, made_row(), truth), _on(side, made_row(arm="full"), worse)]
    results = pool_folds(rows, {side.digest: side})
    one = next(c for c in compare_arms(results, resample_groups(results)) if c.figure == "accuracy")
    assert (one.pairs, one.over_seeds, one.verdict) == (1, None, "too few seeds")
    assert [one.mean, one.over_groups.low, one.over_groups.high] == pytest.approx([0.1, 0.0585, 0.1415], abs=0.006)


def test_losses_are_told_like_wins() -> None:
    """The same rows with the arms' names exchanged give the opposite verdict."""
    ids = tuple(str(i) for i in range(200))
    side = HeldOut(("a", "b"), ids, ids, tuple(i % 2 for i in range(200)))
    rng = np.random.default_rng(0)

    def verdicts(good: str, bad: str) -> list[str]:
        rows: list[RowRecord] = []
        for seed in range(4):
            truth = np.array(side.class_ids, np.uint8)
            poor = np.where(rng.random(200) < 0.2, 1 - truth, truth).astype(np.uint8)
            rows += [_on(side, made_row(good, seed), truth), _on(side, made_row(bad, seed), poor)]
        results = pool_folds(rows, {side.digest: side})
        return [one.verdict for one in compare_arms(results, resample_groups(results))]

    assert verdicts("norm", "full") == ["better"] * 3
    assert verdicts("full", "norm") == ["worse"] * 3


def _on(side: HeldOut, row: RowRecord, predicted: NDArray[np.uint8]) -> RowRecord:
    return msgspec.structs.replace(row, test_side=side.digest, predicted=bytes(predicted).hex(), classes=side.classes)


def test_page_gets_tables_and_chart_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# B\n<!-- bench:core -->\nold\n<!-- /bench:core -->\nend\n")
    write_page(page, tables())
    text = page.read_text()
    assert "old" not in text
    assert "benchmarks-core.svg" in text
    assert text.startswith("# B\n<!-- bench:core -->") and text.endswith("<!-- /bench:core -->\nend\n")
    assert (tmp_path / "benchmarks-core.svg").is_file()
    write_page(page, tables())
    assert page.read_text() == text


def test_page_without_marks_is_refused() -> None:
    with pytest.raises(SettingsError, match="bench:noise"):
        between("# nothing here", "noise", "tables")


def test_chart_is_well_formed_and_names_every_arm() -> None:
    results = pool_folds(TWO_SEEDS, SIDES)
    chart = plot_svg([("toy & co", traces_of(results)), ("other", traces_of(results))])
    root = ET.fromstring(chart)
    texts = " ".join(root.itertext())
    assert root.tag.endswith("svg")
    assert "toy & co" in texts and "norm 1.0000" in texts and "full 0.6" in texts


def test_traces_end_in_what_shipped() -> None:
    full, norm = traces_of(pool_folds(TWO_SEEDS, SIDES))
    assert (full.arm, len(full.visits)) == ("full", 1)
    assert norm.visits == (320.0, 640.0, 3200.0)
    assert norm.macro_f1 == pytest.approx((0.75, 0.85, 1.0))


EXPECTED = """\
`sortloop-train bench DATA`

Ran on x86_64 AVX2 with torch 2.13.0, onnxruntime 1.32.0, python 3.11.7, code c0de.

#### toy

| arm | seeds | macro-F1 | worst recall | balanced | ECE | training set | rounds | steps | visits | wall s | CPU s | peak MiB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `full` | 2 | 0.6167 ± 0.1650 | 0.5000 ± 0.0000 | 0.6250 | 0.0500 | 20 (20.0%) | 1.0 | 100 | 3,200 | 2 | 2 | 300 |
| `norm` | 2 | 1.0000 ± 0.0000 | 1.0000 ± 0.0000 | 1.0000 | 0.0500 | 20 (20.0%) | 2.0 | 100 | 3,200 | 2 | 2 | 300 |

| arm | seeds | accuracy, 95 % over test groups | macro-F1, 95 % over test groups | worst recall, 95 % over test groups |
| --- | --- | --- | --- | --- |
| `full` | 2 | 0.6250 (0.5000 to 1.0000) | 0.6167 (0.4345 to 1.0000) | 0.5000 (0.2500 to 1.0000) |
| `norm` | 2 | 1.0000 (1.0000 to 1.0000) | 1.0000 (1.0000 to 1.0000) | 1.0000 (1.0000 to 1.0000) |

| `norm` less | figure | pairs | mean | 95 % over seeds | 95 % over test groups |  |
| --- | --- | --- | --- | --- | --- | --- |
| `full` | accuracy | 2 | +0.3750 | -1.2133 to +1.9633 | 0.0000 to +0.5000 | open |
| `full` | macro-F1 | 2 | +0.3833 | -1.0991 to +1.8657 | 0.0000 to +0.5655 | open |
| `full` | worst recall | 2 | +0.5000 | +0.5000 to +0.5000 | 0.0000 to +0.7500 | open |

| loop | round | seeds | training | visits | validation macro-F1 | test macro-F1 | test worst recall | `norm` less it, 95 % over seeds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `norm` | 1 | 2 | 10 | 320 | 0.8000 | 0.7500 | 0.5000 |  |
| `norm` | 2 | 2 | 20 | 640 | 0.9000 | 0.8500 | 0.7000 |  |

![macro-F1 against sample visits](b.svg)

- `full`: all samples, plain shuffling
- `norm`: the norm-balanced loop with its defaults
- `cleanlab` is left out: not installed
- toy.plain.norm.0 FAILED: TrainingError, the loss is nan"""  # noqa: E501 - as printed
