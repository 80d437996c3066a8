"""The loop's own laws on a judge that says what a test wants, without any training."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from firmware_bridge.clock import ManualClock
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.draw.quarantine import QuarantineSettings
from trainer.judge.judge import Judge, Judged
from trainer.judge.validation import Validation, plan_validation
from trainer.loop.loop import LoopContext, LoopResult, round_file, run_loop
from trainer.loop.state import LoopState
from trainer.metrics import score_classes
from trainer.pool.ledger import Ledger
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord
from trainer.pool.sample_table import SampleTable
from trainer.settings import RunSettings, StopSettings
from trainer.train.network import make_network

KEY = "1" * 64
NETWORK = make_network("small", 3, 2, seed=0)
PATIENT = StopSettings(residual_share=0.0, residual_per_class=0.0, class_residual_share=0.0, patience=0, rounds=99)


class StubJudge(Judge):
    """Gets wrong, in round n, what `wrong_rows[n - 1]` says outside validation; the last entry holds from then on."""

    def __init__(self, table: SampleTable, validation: Validation, wrong_rows: list[NDArray[np.bool_]]) -> None:
        self._samples, self._rows, self._wrong = table, validation, wrong_rows
        self.asked: list[tuple[NDArray[np.bool_], int]] = []

    def judge(
        self,
        training: NDArray[np.bool_],
        steps: int,
        *,
        previous: tuple[nn.Module, ...] = (),
        blind_folds: int = 5,
    ) -> Judged:
        self.asked.append((training.copy(), steps))
        wrong = self._wrong[min(len(self.asked), len(self._wrong)) - 1]
        told = np.where(wrong, 1 - self._samples.class_ids, self._samples.class_ids)
        scores = np.eye(2, dtype=np.float32)[told]
        rows = np.flatnonzero(self._rows.judged)
        figures = score_classes(self._samples.class_ids[rows], told[rows], 2)
        model = b"model %d" % len(self.asked)
        return Judged((NETWORK,), model, scores, rows, scores[rows], figures, scores, steps, 2 * steps)


class Heard:
    def __init__(self) -> None:
        self.rounds: list[tuple[int, float]] = []

    def step(self, what: str, done: int, total: int) -> None:
        raise AssertionError("a stub takes no steps")

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        self.rounds.append((record.number, seconds))


class Bench:
    """A pool, its table and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_synthetic_pool(folder / "p.pool", SyntheticSamples(counts={"train": 30, "validation": 20}))
        with Pool.open(folder / "p.pool") as pool:
            self.table = pool.load(("train", "validation"))
        self.validation = plan_validation(self.table)
        self.judge: StubJudge | None = None

    def loop(self, wrong: list[NDArray[np.bool_]], stop: StopSettings = PATIENT, m: int = 4) -> LoopResult:
        self.judge = StubJudge(self.table, self.validation, wrong)
        with Pool.open(self.folder / "p.pool") as pool:
            ledger = Ledger(pool, KEY, "{}", sample_ids=self.table.ids, classes=self.table.classes)
            settings = RunSettings(m=m, quarantine=QuarantineSettings(mode="off"), stop=stop)
            context = LoopContext(settings, self.folder, ManualClock(), Heard())
            return run_loop(self.judge, LoopState(self.table, self.validation, settings), ledger, context)

    def everything(self) -> NDArray[np.bool_]:
        return np.ones(len(self.table), np.bool_)

    def first(self, count: int) -> NDArray[np.bool_]:
        """The first `count` rows of the pool."""
        rows = np.zeros(len(self.table), np.bool_)
        rows[np.flatnonzero(self.validation.pool)[:count]] = True
        return rows


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_perfect_model_stops_the_loop_after_one_round(bench: Bench) -> None:
    found = bench.loop([~bench.everything()])
    assert (found.stop_reason, len(found.rounds), found.rounds[0].residual) == ("residual_small", 1, 0)
    assert found.rounds[0].training_samples == 8


def test_a_hopeless_model_ends_with_everything_in_the_training_set(bench: Bench) -> None:
    """A sample is drawn at most once; when all are drawn nothing is wrong outside the training set."""
    found = bench.loop([bench.everything()])
    assert found.rounds[-1].training_samples == 60
    assert found.rounds[-1].residual == 0
    assert [record.drawn for record in found.rounds] == [8] * 7 + [4]


def test_what_is_right_again_leaves_and_what_is_wrong_again_comes_back(bench: Bench) -> None:
    """Every round tests everything outside the training set anew; nothing is dropped for ever."""
    few, many = bench.first(10), bench.first(40)
    found = bench.loop([few, many, few], StopSettings(0.0, 0.0, patience=0, rounds=3))
    residuals = [record.residual for record in found.rounds]
    assert bench.judge is not None
    trained = [asked for asked, _ in bench.judge.asked]
    assert residuals == [
        int((wrong & ~training).sum()) for wrong, training in zip([few, many, few], trained, strict=True)
    ]
    assert residuals[1] > residuals[0]
    assert not (trained[1] & ~trained[0] & ~few).any()  # drawn from what round 1 got wrong
    assert not (trained[2] & ~trained[1] & ~many).any()


def test_every_round_is_trained_for_the_same_number_of_steps(bench: Bench) -> None:
    bench.loop([bench.first(20)], StopSettings(0.0, 0.0, patience=0, rounds=3))
    assert bench.judge is not None
    assert {steps for _, steps in bench.judge.asked} == {RunSettings().fit.steps}


def test_held_out_samples_are_never_drawn(bench: Bench) -> None:
    bench.loop([bench.everything()])
    assert bench.judge is not None
    assert not any((training & bench.validation.judged).any() for training, _ in bench.judge.asked)


def test_the_training_set_that_ships_is_that_of_the_best_round(bench: Bench) -> None:
    """Round 2 is best on validation; rounds 3 and 4 are clearly worse, so what they drew does not ship."""
    outside = ~bench.validation.pool
    good, bad = bench.first(20), bench.first(20) | outside
    found = bench.loop([bad, good, bad, bad], StopSettings(0.0, 0.0, patience=0, rounds=4))
    assert found.best.number == 2
    assert bench.judge is not None
    assert np.array_equal(found.training, bench.judge.asked[1][0])
    assert int(found.training.sum()) == found.best.training_samples


def test_finished_rounds_are_not_run_again(bench: Bench) -> None:
    stop = StopSettings(0.0, 0.0, patience=0, rounds=3)
    first = bench.loop([bench.first(20)], stop)
    again = bench.loop([bench.first(20)], stop)
    assert bench.judge is not None
    assert bench.judge.asked == []
    assert again.rounds == first.rounds
    assert again.seconds == [0.0, 0.0, 0.0]
    assert np.array_equal(again.training, first.training)


def test_each_round_leaves_its_file_under_its_number(bench: Bench) -> None:
    bench.loop([bench.first(20)], StopSettings(0.0, 0.0, patience=0, rounds=2))
    assert [round_file(bench.folder, number).read_bytes() for number in (1, 2)] == [b"model 1", b"model 2"]
    assert round_file(bench.folder, 7).name == "round-007.onnx"


def test_m_is_the_settings_or_two_per_cent_of_the_pool(bench: Bench) -> None:
    assert bench.loop([~bench.everything()], m=5).sizes.m == 5
    with Pool.open(bench.folder / "p.pool") as pool:
        Ledger(pool, KEY, "{}", sample_ids=bench.table.ids, classes=bench.table.classes).drop_from(1)
    assert bench.loop([~bench.everything()], m=0).sizes.m == 8
