"""A sample's story in a run, from the pool and its ledger alone."""

from pathlib import Path

import pytest
from trainer_runs import SAMPLES, go

from trainer.command_text import explain_text
from trainer.demo.synthetic import make_synthetic_pool
from trainer.errors import PoolError
from trainer.loop.explain import ExplainReport, explain_sample
from trainer.loop.results import RunResult
from trainer.loop.run import load_samples
from trainer.pool.ledger import training_ids
from trainer.pool.pool import Pool


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult, dict[str, ExplainReport]]:
    """A finished run and the story of every sample of its pool."""
    folder = tmp_path_factory.mktemp("explain")
    make_synthetic_pool(folder / "p.pool", SAMPLES)
    result = go(folder)
    with Pool.open(folder / "p.pool") as pool:
        samples = load_samples(pool)
        names = [*samples.table.ids, *samples.test.ids]
        return folder, result, {name: explain_sample(pool, folder / "run", name) for name in names}


Told = tuple[Path, RunResult, dict[str, ExplainReport]]


def test_the_roles_of_all_samples_add_up_to_the_runs_own_figures(told: Told) -> None:
    folder, result, stories = told
    best = result.rounds[result.best_round - 1]
    roles = [story.role for story in stories.values()]
    assert roles.count("drawn") == best.training_samples
    assert roles.count("wrong") == best.residual
    assert roles.count("drawn") + roles.count("wrong") + roles.count("right") == best.pool_samples
    assert roles.count("validation") == result.validation.samples
    assert result.test is not None
    assert roles.count("test") == result.test.samples
    with Pool.open(folder / "p.pool") as pool:
        inside = set(training_ids(pool, result.run_key, result.best_round))
    assert {name for name, story in stories.items() if story.role == "drawn"} == inside


def test_each_round_counts_as_many_draws_and_wrongs_as_its_record(told: Told) -> None:
    _, result, stories = told
    for at, record in enumerate(result.rounds):
        verdicts = [s.rounds[at] for s in stories.values() if s.rounds and s.role != "validation"]
        assert sum(verdict.drawn for verdict in verdicts) == record.drawn
        assert sum(verdict.in_training for verdict in verdicts) == record.training_samples
        assert sum(not v.is_right and not v.in_training for v in verdicts) == record.residual


def test_half_of_a_class_is_nearer_to_the_mean_than_the_middle_one(told: Told) -> None:
    for name in ("good", "husk", "stone"):
        nearer = sorted(s.nearer for s in told[2].values() if s.class_name == name and s.role != "test")
        assert nearer[0] == 0.0
        assert nearer == pytest.approx([at / len(nearer) for at in range(len(nearer))], abs=0.03)


def test_the_story_reads_as_sentences(told: Told) -> None:
    _, _, stories = told
    drawn = next(story for story in stories.values() if story.role == "drawn" and story.rounds[0].drawn)
    text = explain_text(drawn)
    assert f"Sample {drawn.sample_id[:12]} of class {drawn.class_name}, train" in text
    assert "  round 1: drawn, " in text
    assert "It is in the training set of the model that ships." in text
    assert text.splitlines()[-1].startswith("The model that ships says ")


def test_too_few_digits_and_strangers_are_refused(told: Told) -> None:
    folder, _, stories = told
    with Pool.open(folder / "p.pool") as pool:
        with pytest.raises(PoolError, match=f"{len(stories)} usable samples .* begin with ''"):
            explain_sample(pool, folder / "run", "")
        with pytest.raises(PoolError, match="0 usable samples"):
            explain_sample(pool, folder / "run", "no")
