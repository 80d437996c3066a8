"""A run end to end on made-up crops: what it leaves, that it repeats, resumes and continues, and what it refuses."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from trainer_runs import FEW, SAMPLES, SETTINGS, Spy, answers, books, go

from edge_runtime.crop import CropSpec
from edge_runtime.errors import StorageError
from edge_runtime.model import Classifier, check_golden, load_model_folder, make_classifier
from edge_runtime.schemas import DisplayName
from edge_runtime.storage import sha256_hex
from firmware_bridge.clock import ManualClock
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool, synthetic_sample
from trainer.draw.quarantine import QuarantineSettings
from trainer.errors import LeakError, NotEnoughClassesError, PoolError, ResumeError, SettingsError
from trainer.loop.results import RunResult, load_result
from trainer.loop.rounds import best_round
from trainer.loop.run import RunPlan, run
from trainer.loop.timing import load_timing
from trainer.pool.ledger import training_ids
from trainer.pool.pool import Pool
from trainer.settings import DrawSettings, RestartMode, RunSettings, StopSettings
from trainer.train.fit import FitSettings

Fault = Callable[[Path], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    make_synthetic_pool(folder / "p.pool", SAMPLES)
    go(folder)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def test_run_leaves_a_model_folder_that_the_machine_accepts(finished: Path) -> None:
    folder = load_model_folder(finished / "run" / "model")
    result = load_result(finished / "run")
    assert check_golden(folder, make_classifier(folder)) == 3 * 20
    assert folder.card.classes == result.classes == ("good", "husk", "stone")
    assert folder.card.model_id == result.model_id == sha256_hex(folder.model)
    assert folder.card.macro_f1 == result.validation.macro_f1
    assert folder.card.temperature == result.temperature
    assert folder.card.lineage.run_key == result.run_key
    assert (folder.card.lineage.rounds, folder.card.lineage.best_round) == (3, result.best_round)
    assert (folder.card.lineage.m, folder.card.lineage.a, folder.card.lineage.b) == (6, 3, 3)
    assert {name: norms.count for name, norms in folder.card.class_norms.items()} == dict.fromkeys(result.classes, 60)


def test_rounds_grow_the_training_set_and_their_figures_fit_together(finished: Path) -> None:
    result = load_result(finished / "run")
    assert [r.number for r in result.rounds] == [1, 2, 3]
    assert result.rounds[0].drawn == 18
    assert (result.stop_reason, result.pool_samples, result.validated_on) == ("rounds_budget", 120, "split")
    total = 0
    for record in result.rounds:
        total += record.drawn
        classes = record.classes.values()
        assert record.training_samples == total == sum(c.training for c in classes)
        assert record.residual == sum(c.residual for c in classes)
        assert record.drawn == sum(c.drawn for c in classes)
        assert record.pool_accuracy == pytest.approx(1 - record.residual / (120 - total))
        assert record.validation_samples == 60
        model = (finished / "run" / f"round-{record.number:03}.onnx").read_bytes()
        assert sha256_hex(model) == record.model_id
    assert result.rounds[result.best_round - 1] == best_round(result.rounds)
    assert result.training_samples == result.rounds[result.best_round - 1].training_samples


def test_each_round_draws_only_what_the_last_model_got_wrong(finished: Path) -> None:
    result = load_result(finished / "run")
    with Pool.open(finished / "p.pool") as pool:
        table = pool.load(("train", "validation"))
        drawn = [set(training_ids(pool, result.run_key, number)) for number in range(4)]
    for record in result.rounds[:-1]:
        model = (finished / "run" / f"round-{record.number:03}.onnx").read_bytes()
        predicted = Classifier(model, CropSpec(side_px=16), 3).scores(table.pixels).argmax(axis=1)
        rows = zip(table.ids, table.splits, table.class_ids, predicted, strict=True)
        wrong = {name for name, split, true, told in rows if split == "train" and true != told}
        assert drawn[record.number + 1] - drawn[record.number] <= wrong
        assert len(wrong - drawn[record.number]) == record.residual


def test_test_samples_are_judged_once_and_never_drawn(finished: Path) -> None:
    result = load_result(finished / "run")
    with Pool.open(finished / "p.pool") as pool:
        test = pool.load(["test"])
        assert not set(test.ids) & set(training_ids(pool, result.run_key, 99))
    folder = load_model_folder(finished / "run" / "model")
    predicted = make_classifier(folder).scores(test.pixels).argmax(axis=1)
    assert result.test is not None
    assert result.test.samples == len(test) == 30
    assert result.test.accuracy == pytest.approx(float((predicted == test.class_ids).mean()))


def test_a_finished_run_returns_its_result_without_a_step(copied: Path) -> None:
    spy, before = Spy(), answers(copied / "run")
    assert go(copied, spy=spy) == load_result(copied / "run")
    assert (spy.steps, spy.rounds, answers(copied / "run")) == ([], [], before)


def test_a_run_repeated_elsewhere_gives_the_same_bytes_and_tells_every_step(finished: Path, tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    spy = Spy()
    go(tmp_path, spy=spy)
    assert answers(tmp_path / "run") == answers(finished / "run")
    assert books(tmp_path / "p.pool") == books(finished / "p.pool")
    assert spy.rounds == [1, 2, 3]
    assert [done for _, done, _ in spy.steps[:12]] == list(range(1, 13))
    assert len(spy.steps) in {3 * 12 + 20, 3 * 12 + 20 + 12}


def _nothing(folder: Path) -> None:
    (folder / "run" / "result.json").unlink()  # killed just before the last write


def _lose_last_round(folder: Path) -> None:
    _nothing(folder)
    (folder / "run" / "round-003.onnx").unlink()


def _damage_first_round(folder: Path) -> None:
    _nothing(folder)
    (folder / "run" / "round-001.onnx").write_bytes(b"torn")


def _lose_model_folder(folder: Path) -> None:
    _nothing(folder)
    shutil.rmtree(folder / "run" / "model")


@pytest.mark.parametrize(
    ("fault", "again"),
    [(_nothing, []), (_lose_last_round, [3]), (_damage_first_round, [1, 2, 3]), (_lose_model_folder, [])],
)
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    finished: Path, copied: Path, fault: Fault, again: list[int]
) -> None:
    fault(copied)
    spy = Spy()
    go(copied, spy=spy)
    assert spy.rounds == again
    assert answers(copied / "run") == answers(finished / "run")
    assert books(copied / "p.pool") == books(finished / "p.pool")
    assert len(load_timing(copied / "run").rounds) == 3


def test_other_settings_in_the_same_folder_are_refused_by_name(copied: Path) -> None:
    fit = msgspec.structs.replace(SETTINGS.fit, steps=13)
    with pytest.raises(ResumeError, match=r"settings\.fit\.steps is 13, was 12; settings\.seed is 1, was 0"):
        go(copied, msgspec.structs.replace(SETTINGS, fit=fit, seed=1))


def test_a_changed_pool_in_the_same_folder_is_refused(copied: Path) -> None:
    with Pool.open(copied / "p.pool") as pool:
        pool.add_sample(synthetic_sample(0, "good", "new", ("train", 16), np.random.default_rng(5)))
    with pytest.raises(ResumeError, match="pool_digest"):
        go(copied)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json"])
def test_a_damaged_folder_is_refused_and_names_the_file(copied: Path, content: bytes) -> None:
    (copied / "run" / "run.json").write_bytes(content)
    with pytest.raises(ResumeError, match=r"run\.json is damaged"):
        go(copied)
    (copied / "run" / "result.json").write_bytes(content)
    with pytest.raises(ResumeError, match="holds no finished run"):
        load_result(copied / "run")


def test_a_file_in_the_place_of_the_folder_is_told(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    shutil.copy(finished / "p.pool", tmp_path / "p.pool")
    with pytest.raises(StorageError, match="cannot make the folder"):
        go(tmp_path)


def test_names_and_actions_reach_the_model_folder(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", FEW)
    one_round = msgspec.structs.replace(SETTINGS, stop=StopSettings(rounds=1), fit=FitSettings("small", 2, 2, 8))
    plan = RunPlan(tmp_path / "run", one_round, None, {"stone": DisplayName("Stone", "石子")}, {"stone": "eject"})
    with Pool.open(tmp_path / "p.pool") as pool:
        result = run(pool, plan, ManualClock(), Spy())
    folder = load_model_folder(tmp_path / "run" / "model")
    assert folder.card.display_names == {"stone": DisplayName("Stone", "石子"), "good": DisplayName("good", "good")}
    assert [(rule.name, rule.action) for rule in folder.recipe.classes] == [("good", "accept"), ("stone", "eject")]
    assert (result.validated_on, result.test, result.validation.samples) == ("folds", None, 58)
    assert result.pool_samples == 58


def test_another_recipe_is_another_run(copied: Path) -> None:
    """The folder's recipe would stay as it was: nobody may believe that stones are thrown out now."""
    plan = RunPlan(copied / "run", SETTINGS, actions={"stone": "eject"})
    with Pool.open(copied / "p.pool") as pool, pytest.raises(ResumeError, match=r"stone\.action is eject, was accept"):
        run(pool, plan, ManualClock(), Spy())


def test_out_of_fold_runs_do_not_stop_for_want_of_gain(tmp_path: Path) -> None:
    """Figures of a few samples jump; patience of one round would end this run after its second."""
    make_synthetic_pool(tmp_path / "p.pool", FEW)
    stop = StopSettings(residual_share=0.0, class_residual_share=0.0, patience=1, rounds=3)
    slow = FitSettings("small", 2, 2, 8, learning_rate=1e-6)
    found = go(tmp_path, msgspec.structs.replace(SETTINGS, fit=slow, stop=stop))
    assert (found.stop_reason, len(found.rounds)) == ("rounds_budget", 3)


def add_from_machine(folder: Path, count: int) -> set[str]:
    rng = np.random.default_rng(77)
    names = set()
    with Pool.open(folder / "p.pool") as pool:
        for at in range(count):
            made = synthetic_sample(2, "stone", f"machine/{at}", ("train", 16), rng)
            pool.add_sample(replace(made, origin="residual", truth="T0"))
            names.add(made.sample_id)
    return names


def test_a_continued_run_starts_from_its_base_and_draws_what_the_base_gets_wrong(copied: Path) -> None:
    new = add_from_machine(copied, 30)
    base = load_result(copied / "run")
    spy = Spy()
    result = go(copied, base=copied / "run", spy=spy)
    model = (copied / "run" / "model" / "model.onnx").read_bytes()
    with Pool.open(copied / "p.pool") as pool:
        table = pool.load(["train"])
        start = set(training_ids(pool, result.run_key, 0))
        first = set(training_ids(pool, result.run_key, 1)) - start
        assert start == set(training_ids(pool, base.run_key, base.best_round))
    predicted = Classifier(model, CropSpec(side_px=16), 3).scores(table.pixels).argmax(axis=1)
    wrong = {name for name, true, told in zip(table.ids, table.class_ids, predicted, strict=True) if true != told}
    assert first
    assert first <= wrong - start
    assert first & new or not wrong & new
    assert result.rounds[0].training_samples == len(start) + len(first)
    assert result.run_key != base.run_key
    assert result.pool_samples == base.pool_samples + 30


def test_a_continued_run_resumes_with_its_start(copied: Path) -> None:
    add_from_machine(copied, 30)
    go(copied, base=copied / "run")
    before = answers(copied / "next")
    (copied / "next" / "result.json").unlink()
    (copied / "next" / "round-002.onnx").unlink()
    go(copied, base=copied / "run")
    assert answers(copied / "next") == before


def test_take_new_trains_once_on_every_sample_from_machines_and_draws_nothing(copied: Path) -> None:
    new = add_from_machine(copied, 30)
    result = go(copied, msgspec.structs.replace(SETTINGS, take_new=True), copied / "run")
    base = load_result(copied / "run")
    with Pool.open(copied / "p.pool") as pool:
        assert set(training_ids(pool, result.run_key, 0)) == new | set(
            training_ids(pool, base.run_key, base.best_round)
        )
        assert set(training_ids(pool, result.run_key, 9)) == set(training_ids(pool, result.run_key, 0))
    assert [(record.drawn, record.training_samples) for record in result.rounds] == [(0, base.training_samples + 30)]


def test_take_new_without_a_base_is_refused(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", FEW)
    with pytest.raises(SettingsError, match="no base run is given"):
        go(tmp_path, msgspec.structs.replace(SETTINGS, take_new=True))
    assert not (tmp_path / "run").exists()


def test_a_sample_withdrawn_since_leaves_the_continued_training_set(copied: Path) -> None:
    base = load_result(copied / "run")
    with Pool.open(copied / "p.pool") as pool:
        known = training_ids(pool, base.run_key, base.best_round)
        pool.withdraw(known[0], who="ann", why="two grains", utc="2026-01-01T00:00:00+00:00")
        result = run(pool, RunPlan(copied / "next", SETTINGS, copied / "run"), ManualClock(), Spy())
        assert training_ids(pool, result.run_key, 0) == known[1:]


def test_the_audit_slice_of_a_machine_is_in_no_figure_of_a_run(copied: Path) -> None:
    """It measures machines: neither drawn, nor validated on, nor among the test samples."""
    rng = np.random.default_rng(5)
    with Pool.open(copied / "p.pool") as pool:
        for at in range(9):
            made = synthetic_sample(1, "good", f"machine/audit {at}", ("test", 16), rng)
            pool.add_sample(replace(made, origin="audit", truth="T8"))
    before = load_result(copied / "run")
    with Pool.open(copied / "p.pool") as pool:
        found = run(pool, RunPlan(copied / "other", SETTINGS), ManualClock(), Spy())
    assert found.rounds == before.rounds
    assert (found.validation, found.test, found.model_id) == (before.validation, before.test, before.model_id)


def test_a_base_of_another_pool_or_a_changed_one_is_refused(copied: Path, tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", replace(SAMPLES, seed=1))
    with pytest.raises(ResumeError, match="made with another pool"):
        go(tmp_path, base=copied / "run")
    (tmp_path / "two").mkdir()
    make_synthetic_pool(tmp_path / "two" / "p.pool", FEW)
    with pytest.raises(ResumeError, match=r"knows husk, .* no usable sample any more; it holds good, stone"):
        go(tmp_path / "two", base=copied / "run")
    with pytest.raises(ResumeError, match="holds no finished run"):
        go(copied, base=copied / "empty")
    (copied / "run" / "model" / "model.onnx").write_bytes(b"other")
    with pytest.raises(ResumeError, match="it was changed"):
        go(copied, base=copied / "run")
    assert not (copied / "next").exists()


def test_pools_without_enough_to_learn_are_refused_before_the_folder_is_taken(tmp_path: Path) -> None:
    with Pool.open(tmp_path / "p.pool", create=True), pytest.raises(PoolError, match="is empty"):
        go(tmp_path)
    (tmp_path / "p.pool").unlink()
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(("good",)))
    with pytest.raises(NotEnoughClassesError, match="1 class"):
        go(tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_group_on_two_sides_is_refused(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", FEW)
    rng = np.random.default_rng(9)
    with Pool.open(tmp_path / "p.pool") as pool:
        pool.add_samples(
            replace(synthetic_sample(0, "good", f"x{at}", (side, 16), rng), group="one grain")
            for at, side in enumerate(("train", "test"))
        )
    with pytest.raises(LeakError, match="one grain"):
        go(tmp_path)


def test_a_continued_run_learns_a_class_that_its_base_did_not_know(copied: Path) -> None:
    """All samples of the new class are wrong by the base's model, so the first draw takes m of them."""
    rng = np.random.default_rng(7)
    with Pool.open(copied / "p.pool") as pool:
        for at, split in enumerate(["train"] * 9 + ["validation"] * 4):
            pool.add_sample(synthetic_sample(3, "twig", f"new/twig {at}", (split, 16), rng))
    result = go(copied, base=copied / "run")
    assert result.classes == ("good", "husk", "stone", "twig")
    assert result.rounds[0].classes["twig"].drawn == SETTINGS.m
    assert result.rounds[-1].classes["twig"].training > 0


@pytest.mark.parametrize("room", [0, 2])
def test_a_full_disk_costs_the_round_that_did_not_fit_and_nothing_else(
    finished: Path, tmp_path: Path, room: int
) -> None:
    """With room again the run goes on where it was and ends with the bytes of one that was never disturbed."""
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    with Pool.open(tmp_path / "p.pool") as pool:
        pages = pool.connection.execute("PRAGMA page_count").fetchone()[0]
        pool.connection.execute(f"PRAGMA max_page_count = {pages + room}")
        with pytest.raises(PoolError, match="full"):
            run(pool, RunPlan(tmp_path / "run", SETTINGS), ManualClock(), Spy())
    assert go(tmp_path) == load_result(finished / "run")
    assert answers(tmp_path / "run") == answers(finished / "run")


def test_a_run_with_a_budget_of_steps_or_seconds_says_that_it_ended_by_it(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    stop = msgspec.structs.replace(SETTINGS.stop, steps=2 * SETTINGS.fit.steps)
    by_steps = go(tmp_path, msgspec.structs.replace(SETTINGS, stop=stop))
    assert (by_steps.stop_reason, [record.steps for record in by_steps.rounds]) == ("steps_budget", [12, 12])
    assert [record.visits for record in by_steps.rounds] == [12 * 16, 12 * 16]


def test_the_last_round_ships_when_asked(copied: Path) -> None:
    shutil.rmtree(copied / "run")
    result = go(copied, msgspec.structs.replace(SETTINGS, ship="last"))
    assert result.best_round == len(result.rounds) == 3


def test_a_literal_run_never_takes_back_what_was_right_once(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    result = go(tmp_path, msgspec.structs.replace(SETTINGS, drop="permanent"))
    residuals = [record.residual for record in result.rounds]
    assert residuals == sorted(residuals, reverse=True)


@pytest.mark.parametrize("selector", ["random", "random_scalar", "norm_stratified", "margin", "el2n", "k_centre"])
def test_a_run_with_another_selector_is_the_same_after_a_lost_round(tmp_path: Path, selector: str) -> None:
    """Whatever it looks at (scores, history, features of the last network) is there again when a run goes on."""
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    settings = msgspec.structs.replace(SETTINGS, draw=DrawSettings(selector=selector))
    first, whole = go(tmp_path, settings), answers(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "round-003.onnx").unlink()
    assert go(tmp_path, settings) == first
    assert answers(tmp_path / "run") == whole


@pytest.mark.parametrize("restart", ["warm", "shrink"])
def test_a_run_that_goes_on_from_the_last_weights_is_the_same_after_a_lost_round(
    tmp_path: Path, restart: RestartMode
) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    settings = msgspec.structs.replace(SETTINGS, restart=restart)
    first, whole = go(tmp_path, settings), answers(tmp_path / "run")
    assert first.rounds[1].model_id != load_result_of_cold(tmp_path).rounds[1].model_id
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "round-003.onnx").unlink()
    assert go(tmp_path, settings) == first
    assert answers(tmp_path / "run") == whole


def load_result_of_cold(folder: Path) -> RunResult:
    with Pool.open(folder / "p.pool") as pool:
        return run(pool, RunPlan(folder / "cold", SETTINGS), ManualClock(), Spy())


def test_error_quotas_and_free_quotas_draw_as_many_as_equal_ones(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    for draw in (DrawSettings("random", "error"), DrawSettings("random", "free")):
        settings = msgspec.structs.replace(SETTINGS, draw=draw)
        with Pool.open(tmp_path / "p.pool") as pool:
            result = run(pool, RunPlan(tmp_path / draw.quota, settings), ManualClock(), Spy())
        assert result.rounds[0].drawn == 18


def test_an_unknown_selector_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    with pytest.raises(SettingsError, match="did you mean norm_nearest"):
        go(tmp_path, msgspec.structs.replace(SETTINGS, draw=DrawSettings(selector="norm_neerest")))


def watched(survey_steps: int = 30) -> RunSettings:
    return msgspec.structs.replace(SETTINGS, quarantine=QuarantineSettings(mode="on", survey_steps=survey_steps))


def test_what_is_held_back_is_not_trained_on_and_is_listed_for_a_person(tmp_path: Path) -> None:
    """A tenth of each class is labelled as the next: a third is found, none found trains, the list names them."""
    make_synthetic_pool(tmp_path / "p.pool", replace(SAMPLES, counts={"train": 120, "validation": 20}))
    wrong: set[str] = set()
    with Pool.open(tmp_path / "p.pool") as pool:
        table = pool.load(("train",))
        for class_id in range(3):
            for row in np.flatnonzero(table.class_ids == class_id)[:12].tolist():
                other = table.classes[(class_id + 1) % 3]
                pool.relabel(table.ids[row], other, who="test", why="noise", utc="2026-01-01T00:00:00+00:00")
                wrong.add(table.ids[row])
    result = go(tmp_path, watched(survey_steps=100))
    listed = (tmp_path / "run" / "quarantine.csv").read_text().splitlines()
    held = {line.split(",")[0] for line in listed[1:]}
    assert listed[0].startswith("sample,label,suggested,reason,confidence,decision")
    assert len(held & wrong) >= 12
    with Pool.open(tmp_path / "p.pool") as pool:
        inside = set(training_ids(pool, result.run_key, len(result.rounds)))
    assert not inside & held
    assert result.rounds[-1].held_back == sum(c.held_back for c in result.rounds[-1].classes.values()) > 0


def test_a_watched_run_is_the_same_after_a_lost_round_and_a_lost_survey(tmp_path: Path) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SAMPLES)
    first, whole = go(tmp_path, watched()), answers(tmp_path / "run")
    for name in ("result.json", "round-003.onnx", "survey.npz"):
        (tmp_path / "run" / name).unlink()
    assert go(tmp_path, watched()) == first
    assert answers(tmp_path / "run") == whole


def test_the_mistakes_of_a_machine_are_never_held_back(copied: Path) -> None:
    """They contradict the model by definition; their truth was confirmed."""
    rng = np.random.default_rng(3)
    with Pool.open(copied / "p.pool") as pool:
        for at in range(12):
            strange = synthetic_sample(2, "good", f"machine/{at}", ("train", 16), rng)
            pool.add_sample(replace(strange, origin="residual", truth="T0"))
    settings = msgspec.structs.replace(watched(), m=12)
    result = go(copied, settings, base=copied / "run")
    listed = {line.split(",")[0] for line in (copied / "next" / "quarantine.csv").read_text().splitlines()[1:]}
    with Pool.open(copied / "p.pool") as pool:
        machine = set(pool.load(("train",), origins=("residual",)).ids)
        assert machine & set(training_ids(pool, result.run_key, 1))
    assert not machine & listed
