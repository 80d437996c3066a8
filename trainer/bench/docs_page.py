r"""The generated parts of docs/benchmarks.md: each suite's tables between two marks, its chart beside the page.

>>> between("a <!-- bench:core --> old <!-- /bench:core --> z", "core", "new")
'a <!-- bench:core -->\n\nnew\n\n<!-- /bench:core --> z'
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.storage import read_bytes, write_atomic
from trainer.bench.analysis import compare_arms, pool_folds, reach_of, resample_groups
from trainer.bench.bench import BenchPlan, LeftOut
from trainer.bench.plot import plot_svg, traces_of
from trainer.bench.row_record import HeldOut, RowFailure, RowRecord, load_held_out
from trainer.bench.tables import SuiteTables, markdown
from trainer.bench.work_plan import ranges_text
from trainer.errors import SettingsError

__all__ = ["between", "suite_tables", "write_page"]


def suite_tables(
    plan: BenchPlan, rows: Sequence[RowRecord], failed: Sequence[RowFailure], left_out: Sequence[LeftOut]
) -> SuiteTables:
    """Return what the tables of a suite are made of.

    Args:
        plan: that the rows belong to.
        rows: finished ones.
        failed: rows that did not come to an end.
        left_out: arms that cannot run here.

    Raises:
        PoolError: the test images of a set are not in the folder.
    """
    arms = {arm.name for arm in plan.arms}
    results = pool_folds((row for row in rows if row.row.arm in arms), _sides(plan, rows))
    resamples = resample_groups(results)
    reached, compared = reach_of(results, resamples), compare_arms(results, resamples)
    names = [(one.arm, one.reason) for one in left_out]
    return SuiteTables(plan.suite, _command(plan), results, reached, compared, names, failed)


def write_page(page: Path, tables: SuiteTables) -> None:
    """Put a suite's tables between its marks in a page, and its chart beside it.

    Args:
        page: a markdown file that holds the suite's marks.
        tables: of the suite; the chart's name is filled in.

    Raises:
        SettingsError: the page has no marks for the suite.
        StorageError: a file cannot be read or written.
    """
    plot = f"{page.stem}-{tables.suite}.svg"
    text = between(
        read_bytes(page).decode(), tables.suite, markdown(replace(tables, plot=plot if tables.results else ""))
    )
    if tables.results:
        sets = dict.fromkeys(result.set for result in tables.results)
        panels = [(name, traces_of([result for result in tables.results if result.set == name])) for name in sets]
        write_atomic(page.with_name(plot), plot_svg(panels).encode())
    write_atomic(page, text.encode())


def between(text: str, suite: str, new: str) -> str:
    """Return a page with what stands between a suite's marks replaced.

    Raises:
        SettingsError: the marks are missing, or in the wrong order.
    """
    first, last = f"<!-- bench:{suite} -->", f"<!-- /bench:{suite} -->"
    start, end = text.find(first), text.find(last)
    if start < 0 or end < start:
        raise SettingsError(f"the page has no {first} before a {last}: add both lines where the tables should stand")
    return f"{text[: start + len(first)]}\n\n{new}\n\n{text[end:]}"


def _sides(plan: BenchPlan, rows: Sequence[RowRecord]) -> dict[str, HeldOut]:
    names = {(row.row.set, row.row.fold) for row in rows}
    sides = [load_held_out(plan.folder / "tests" / f"{name}.{fold}.json") for name, fold in sorted(names)]
    return {side.digest: side for side in sides}


def _command(plan: BenchPlan) -> str:
    words = ["sortloop-train bench DATA --out bench-out", f"--suite {plan.suite}", f"--sets {','.join(plan.sets)}"]
    words += [f"--arms {','.join(plan.named_arms)}"] if plan.named_arms else []
    words += [f"--seeds {ranges_text(plan.seeds)}", *([f"--config {plan.config}"] if plan.config else [])]
    return " ".join([*words, *(f"--set {text}" for text in plan.overrides)])
