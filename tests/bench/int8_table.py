"""What INT8 costs on a real set: train once, export both files, gate on validation, then the test pictures once.

`python tests/bench/int8_table.py rice.pool=rice/test.tar trashnet.pool=trashnet/test.tar` prints one line of
docs/int8.md a pool; a pool is opened for reading. Wall time is mostly training: about a minute a thousand steps.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from edge_runtime.model import Classifier, load_model_folder
from edge_runtime.schemas import DisplayName, Lineage
from firmware_bridge.clock import NS_PER_S, SystemClock
from trainer.export.calibrate import temperature_of
from trainer.export.mend import Int8Export, Int8Inputs, Int8Settings, export_int8
from trainer.export.model_folder import ModelClass, ShippedModel, golden_rows, write_model_folder
from trainer.export.onnx_export import ORT_MIN, OnnxTemplate, opset_of, ship_network
from trainer.judge.evaluate import EvaluateReport, evaluate_folder
from trainer.metrics import score_classes
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.sample_table import SampleTable
from trainer.train.fit import FitSettings, TrainingSet, fit_network, use_threads
from trainer.train.network import NetworkSize

HEAD = (
    "| set | network | validation | changed | F1 FP32 | F1 INT8 | worst class loses | mended by | test "
    "| F1 FP32 | F1 INT8 | most recall lost | export s |\n|" + "---|" * 13
)
LINEAGE = Lineage("0" * 64, "0" * 64, 1, 1, 1, 1, 0, 2, 1, 1, {})


@click.command()
@click.argument("pairs", nargs=-1, required=True)
@click.option("--steps", default=1500, show_default=True, help="Optimiser steps.")
@click.option("--network", type=click.Choice(["small", "middle", "large"]), default="small", show_default=True)
def main(pairs: tuple[str, ...], steps: int, network: NetworkSize) -> None:
    """Print the table for POOL=TEST_SOURCE pairs."""
    use_threads(1)
    sys.stdout.write(HEAD + "\n")
    for pair in pairs:
        pool, _, test = pair.partition("=")
        sys.stdout.write(row(Path(pool), Path(test), FitSettings(network=network, steps=steps)) + "\n")
        sys.stdout.flush()


def row(pool_path: Path, test: Path, settings: FitSettings) -> str:
    """Return one line of the table."""
    with Pool.open(pool_path) as pool:
        data_set = pool.data_set()
        assert data_set is not None
        table = pool.load(("train", "validation"))
    splits = np.array(table.splits)
    training, judged = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "validation")
    data = TrainingSet(table.pixels[training], table.class_ids[training], len(table.classes))
    network = fit_network(data, settings, steps=settings.steps, seed=0)
    template = OnnxTemplate(settings.network, data_set.crop, len(table.classes))
    first = Classifier(template.fill(ship_network(network, 1.0, len(table.classes))), data_set.crop, len(table.classes))
    scores = first.scores(table.pixels[judged])
    folded = ship_network(network, temperature_of(scores, table.class_ids[judged]), len(table.classes))
    inputs = Int8Inputs(template.fill(folded), folded, template, data_set.crop, table, training, judged)
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    found = export_int8(inputs, Int8Settings(), seed=0)
    seconds = (clock.monotonic_ns() - started_ns) / NS_PER_S
    figures = score_classes(table.class_ids[judged], scores.argmax(axis=1).astype(np.int64), len(table.classes))
    classes = {name: ModelClass(DisplayName(name, name), "accept") for name in table.classes}
    shipped = ShippedModel(inputs.model, 1.0, figures, LINEAGE, opset_of(inputs.model), ORT_MIN, classes, found)
    reports = tested(shipped, table, data_set, test=test, golden=golden_rows(judged, table.class_ids))
    return line(pool_path.stem, settings.network, found, reports, seconds=seconds)


def tested(
    shipped: ShippedModel, table: SampleTable, data_set: DataSet, *, test: Path, golden: np.ndarray
) -> tuple[EvaluateReport, EvaluateReport | None]:
    """Return the figures of both files on the test pictures, through a model folder."""
    with tempfile.TemporaryDirectory() as name:
        write_model_folder(Path(name), shipped, table, data_set, golden=golden)
        folder = load_model_folder(Path(name))
        fp32 = evaluate_folder(folder, test)
        int8 = None if folder.int8 is None else evaluate_folder(replace(folder, model=folder.int8), test)
    return fp32, int8


def line(
    name: str, network: str, found: Int8Export, reports: tuple[EvaluateReport, EvaluateReport | None], *, seconds: float
) -> str:
    """Return the figures as one line."""
    verdict, (fp32, int8) = found.verdict, reports
    assert verdict is not None  # networks of the family are always judged
    worst = verdict.worst
    cells = [
        *(name, network, verdict.samples, verdict.changed_decisions),
        *(f"{verdict.macro_f1_before:.4f}", f"{verdict.macro_f1_after:.4f}"),
        f"{worst.name}: {worst.lost} of {worst.samples}",
        "refused" if found.model is None else " ".join((found.card.mended_by, *found.card.excluded)),
        *(fp32.samples, f"{fp32.macro_f1:.4f}"),
    ]
    if int8 is None:
        cells += ["-", "-"]
    else:
        lost = {k: fp32.per_class_recall[k] - int8.per_class_recall[k] for k in fp32.per_class_recall}
        most = max(lost, key=lambda k: lost[k])
        cells += [f"{int8.macro_f1:.4f}", f"{most}: {100 * lost[most]:.2f} points"]
    return f"| {' | '.join(map(str, cells))} | {seconds:.1f} |"


if __name__ == "__main__":
    main()
