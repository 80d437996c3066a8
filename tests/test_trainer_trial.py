"""The demonstration's engine, tiny: every stage runs, the control is fair, and a finished trial is not run again."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edge_runtime.grains import FLOOR
from edge_runtime.model import check_golden, load_model_folder, make_classifier
from edge_runtime.residual_export import read_export
from firmware_bridge.clock import ManualClock
from trainer.demo.demo_results import DemoResult
from trainer.demo.trial import RESULT_FILE, TrialSettings, run_trial
from trainer.demo.trial_machine import Streams, sort_unseen
from trainer.pool.pool import Pool
from trainer.pool.round_record import RoundRecord
from trainer.train.fit import FitSettings

TINY = TrialSettings(
    teach_pieces=12,
    production_pieces=60,
    unseen_pieces=60,
    lab_share=0.02,
    fit=FitSettings(network="small", steps=3, final_steps=4, batch=16),
)


class Listener:
    """Remembers what a trial says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rounds = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        assert done <= total

    def step(self, what: str, done: int, total: int) -> None:
        assert done <= total

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        self.rounds += 1

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoResult, Listener]:
    folder, listener = tmp_path_factory.mktemp("trial") / "demo", Listener()
    return folder, run_trial(folder, TINY, ManualClock(), listener), listener


def test_a_trial_tells_every_stage_and_leaves_three_models(trial: tuple[Path, DemoResult, Listener]) -> None:
    _, result, listener = trial
    assert [line[:2] for line in listener.lines[:6]] == ["1.", "2.", "3.", "4.", "5.", "6."]
    assert listener.rounds == sum(len(run.rounds) for run in result.runs.values())
    assert list(result.runs) == ["first", "retrained", "control"]
    for report in result.runs.values():
        model = load_model_folder(Path(report.model))
        assert check_golden(model, make_classifier(model)) > 0
        assert model.card.display_names["stone"].zh_cn != "stone"
        assert {rule.name for rule in model.recipe.classes if rule.action == "accept"} == {"sound", "broken"}
    assert result.residuals.keys() <= {"T0", "T2"}
    assert 0 < sum(result.residuals.values()) <= result.inspected
    assert 0.0 <= result.audit_error <= 1.0


def test_the_control_learns_from_exactly_as_many_objects(trial: tuple[Path, DemoResult, Listener]) -> None:
    """Without this the comparison would measure the number of samples and not their choice."""
    folder, result, _ = trial
    assert result.added["first"] == 0
    assert result.added["retrained"] == result.added["control"] > 0
    with Pool.open(folder / "control.pool") as pool:
        assert len(pool.load(["train"], origins=["residual"])) == result.added["control"]


def test_all_contenders_are_judged_on_one_stream(trial: tuple[Path, DemoResult, Listener]) -> None:
    _, result, _ = trial
    assert [one.contender for one in result.machine] == ["first", "retrained", "control"]
    assert {one.objects for one in result.machine} == {60}
    ratios = [(m.macro_f1, m.worst_class_recall, m.purity, m.yield_good, m.removed) for m in result.machine]
    assert all(0.0 <= ratio <= 1.0 for row in ratios for ratio in row)


def test_a_finished_trial_returns_its_result_at_once(trial: tuple[Path, DemoResult, Listener]) -> None:
    folder, result, _ = trial
    listener = Listener()
    assert run_trial(folder, TINY, ManualClock(), listener) == result
    assert (listener.lines, listener.rounds) == ([], 0)
    assert msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=DemoResult) == result


def test_streams_are_those_of_the_sources_asked_for() -> None:
    both = Streams(1, ("T0", "T2"), 10, 50).runs()
    assert list(both) == [
        *("teach-sound", "teach-broken", "teach-chalky", "teach-discoloured", "teach-insect", "teach-stone"),
        "production",
    ]
    assert list(Streams(1, ("T2",), 10, 50).runs()) == ["production"]
    assert [run.teach_class for run in Streams(1, ("T0",), 10, 50).runs().values()][-1] == "stone"
    assert len({run.seed for run in both.values()}) == len(both)
    assert Streams(1, ("T0", "T2"), 10, 50).runs() == both
    assert {run.seed for run in Streams(2, ("T0", "T2"), 10, 50).runs().values()}.isdisjoint(
        run.seed for run in both.values()
    )


def test_the_share_of_unknown_looks_reaches_the_streams_and_the_result(
    trial: tuple[Path, DemoResult, Listener],
) -> None:
    """Same seed, other share: other pieces are recorded, and other pieces judge."""
    folder, before, _ = trial
    other = msgspec.structs.replace(TINY, new_season_share=1.0)
    after = run_trial(folder.with_name("other"), other, ManualClock(), Listener())
    assert (before.new_season_share, after.new_season_share) == (FLOOR.new_season_share, 1.0)
    records = [read_export(one / "machine" / "residuals.slrx").records for one in (folder, folder.with_name("other"))]
    assert {record.id for record in records[0]}.isdisjoint(record.id for record in records[1])
    model = folder / "runs" / "first" / "model"
    looks = (FLOOR, FLOOR, replace(FLOOR, new_season_share=1.0))
    digests = [sort_unseen(model, seed=3, pieces=30, look=look).decisions_sha256 for look in looks]
    assert digests[0] == digests[1] != digests[2]
