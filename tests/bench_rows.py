"""Made-up rows of the benchmark, and work for processes that die, for the tests of trainer.bench."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.bench.arms import ARMS, arm_settings
from trainer.bench.row_record import ALL_IMAGES, HeldOut, HeldOutFigures, RoundPoint, Row, RowFailure, RowRecord
from trainer.bench.row_run import RowJob
from trainer.bench.workers import WorkQueue, run_in_workers
from trainer.settings import RunSettings

__all__ = ["SIDE", "die_on_seed_1", "made_job", "made_row", "work_for_ever"]

SIDE = HeldOut(("bad", "good"), ("1", "2", "3", "4"), ("a", "a", "b", "c"), (0, 0, 1, 1))


def made_row(
    arm: str = "norm", seed: int = 0, predicted: Sequence[int] = (0, 0, 1, 1), fold: int = ALL_IMAGES
) -> RowRecord:
    """Return a finished row on the four images of `SIDE`."""
    is_loop = ARMS[arm].kind == "loop"
    return RowRecord(
        key=f"{arm}{seed}{fold}",
        row=Row("toy", "plain", fold, arm, seed),
        overrides=(),
        classes=SIDE.classes,
        test=HeldOutFigures(4, 1.0, 1.0, 1.0, 1.0, 0.05, {"bad": 1.0, "good": 1.0}),
        predicted=bytes(predicted).hex(),
        test_side=SIDE.digest,
        training_samples=20,
        pool_samples=100,
        visits=3200,
        steps=100,
        fits=1,
        rounds=2 if is_loop else 1,
        stop_reason="residual_small",
        best_round=1,
        fit="final",
        wall_s=2.0,
        cpu_s=1.5,
        peak_rss_mb=300.0,
        noise_in_pool=None,
        noise_in_training=None,
        held_back=0,
        points=(RoundPoint(10, 320, 0.8, 0.75, 0.5), RoundPoint(20, 640, 0.9, 0.85, 0.7)) if is_loop else (),
        int8=None,
        note="",
        versions={"torch": "2.13.0", "onnxruntime": "1.32.0", "python": "3.11.7", "code": "c0de"},
        processor="x86_64 AVX2",
        model_id="0" * 64,
    )


def made_job(folder: Path, arm: str = "norm", seed: int = 0) -> RowJob:
    """Return a row that waits."""
    row = Row("toy", "plain", ALL_IMAGES, arm, seed)
    settings = arm_settings(RunSettings(), ARMS[arm], seed)
    return RowJob(row, f"{arm}-{seed}-0123456789", ARMS[arm], settings, folder / "toy.pool", folder)


def die_on_seed_1(job: RowJob) -> RowRecord | RowFailure:
    """Finish a row at once, or die as a process killed for its memory does."""
    if job.row.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    assert np.isfinite(job.settings.right_margin)
    return made_row(job.row.arm, job.row.seed)


def work_for_ever(job: RowJob) -> RowRecord | RowFailure:
    """Say which process this is, in the pipe in the row's folder, and never finish."""
    (job.folder / "pid").write_text(f"{os.getpid()}", "ascii")
    threading.Event().wait()
    raise AssertionError("nothing ends the wait")


if __name__ == "__main__":  # the benchmark of a test that kills it
    for _ in run_in_workers(WorkQueue([made_job(Path(sys.argv[1]))], []), 1, work_for_ever):
        pass
