"""The loop's memory in the pool's file: whole rounds or none."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.errors import PoolError, ResumeError
from trainer.pool.ledger import HeldBack, Ledger, RoundFindings, RoundResult, training_ids
from trainer.pool.pool import Pool
from trainer.pool.round_record import ClassRound, RoundRecord

KEY, OTHER = "1" * 64, "2" * 64
IDS = tuple(f"{at:064x}" for at in range(10))
CLASSES = ("good", "husk", "stone")
SCORES = np.full((10, 3), 1 / 3, np.float16)


def result(number: int, drawn: tuple[int, ...] = (3, 1), residual: int = 4) -> RoundResult:
    record = RoundRecord(
        number=number,
        drawn=len(drawn),
        training_samples=2 * number,
        residual=residual,
        pool_samples=10,
        pool_accuracy=0.25,
        macro_f1=0.1,
        worst_class_recall=0.0,
        macro_f1_error=0.3,
        validation_samples=3,
        model_id="a" * 64,
        classes={"good": ClassRound(10, 2, 2, residual, 1 / 3)},
    )
    findings = RoundFindings(np.array(drawn, np.int64), np.arange(10, dtype=np.int16) % 3, SCORES, HeldBack.nothing())
    return RoundResult(record, findings)


def facts(found: list[RoundResult]) -> list[tuple[RoundRecord, list[int], list[int]]]:
    return [(one.record, one.findings.drawn.tolist(), one.findings.predicted_ids.tolist()) for one in found]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(counts={"train": 2}))
    with Pool.open(tmp_path / "p.pool") as opened:
        yield opened


def ledger(pool: Pool, key: str = KEY) -> Ledger:
    return Ledger(pool, key, "{}", sample_ids=IDS, classes=CLASSES)


def test_what_goes_in_comes_out_in_order(pool: Pool) -> None:
    rounds = [result(1, (9, 0, 4)), result(2, (1, 2)), result(3, ())]
    for one in (rounds[1], rounds[0], rounds[2]):
        ledger(pool).add(one)
    assert facts(ledger(pool).rounds()) == facts(rounds)


def test_rounds_are_there_after_closing(pool: Pool) -> None:
    ledger(pool).add(result(1))
    pool.close()
    with Pool.open(pool.path) as again:
        assert facts(ledger(again).rounds()) == facts([result(1)])


def test_runs_do_not_see_each_other(pool: Pool) -> None:
    ledger(pool).add(result(1))
    ledger(pool, OTHER).add(result(1, (5,)))
    ledger(pool, OTHER).drop_from(1)
    assert facts(ledger(pool).rounds()) == facts([result(1)])
    assert ledger(pool, OTHER).rounds() == []


def test_a_round_recorded_again_replaces_the_first(pool: Pool) -> None:
    ledger(pool).add(result(1, (9, 0, 4)))
    ledger(pool).add(result(1, (2,), residual=3))
    assert facts(ledger(pool).rounds()) == facts([result(1, (2,), residual=3)])
    assert training_ids(pool, KEY, 1) == (IDS[2],)


def test_dropped_rounds_and_all_later_ones_are_gone(pool: Pool) -> None:
    for number in (1, 2, 3):
        ledger(pool).add(result(number, (number,)))
    ledger(pool).drop_from(2)
    assert facts(ledger(pool).rounds()) == facts([result(1, (1,))])
    assert training_ids(pool, KEY, 3) == (IDS[1],)


def test_start_of_a_continued_run_is_round_0_of_its_draws(pool: Pool) -> None:
    ledger(pool).start_from(np.array([7, 3]))
    ledger(pool).start_from(np.array([8, 3]))
    ledger(pool).add(result(1, (1,)))
    assert training_ids(pool, KEY, 0) == (IDS[3], IDS[8])
    assert training_ids(pool, KEY, 1) == (IDS[1], IDS[3], IDS[8])
    assert [one.record.number for one in ledger(pool).rounds()] == [1]


def test_dropping_all_rounds_keeps_the_start(pool: Pool) -> None:
    ledger(pool).start_from(np.array([7]))
    ledger(pool).add(result(1))
    ledger(pool).drop_from(1)
    assert training_ids(pool, KEY, 9) == (IDS[7],)


def test_draws_count_up_to_the_round_asked_for(pool: Pool) -> None:
    for number in (1, 2, 3):
        ledger(pool).add(result(number, (number,)))
    assert [len(training_ids(pool, KEY, last)) for last in (0, 1, 2, 3)] == [0, 1, 2, 3]


def test_a_pool_that_never_saw_a_run_has_no_draws(pool: Pool) -> None:
    assert training_ids(pool, KEY, 9) == ()


def test_an_error_in_the_middle_of_a_round_leaves_the_old_one(pool: Pool) -> None:
    ledger(pool).add(result(1))
    with pytest.raises(IndexError):
        ledger(pool).add(result(1, (2, 99)))  # the draws come last: everything before must be undone
    assert facts(ledger(pool).rounds()) == facts([result(1)])


def test_an_interrupted_write_leaves_nothing(pool: Pool) -> None:
    """The same as a kill: the connection goes away inside the transaction."""
    books = ledger(pool)
    books.add(result(1))
    pool.connection.execute("BEGIN IMMEDIATE")
    pool.connection.execute("INSERT INTO rounds VALUES (?, 2, '{}')", (KEY,))
    pool.close()
    with Pool.open(pool.path) as again:
        assert facts(ledger(again).rounds()) == facts([result(1)])


def test_a_round_that_drew_a_lost_sample_names_it(pool: Pool) -> None:
    ledger(pool).add(result(2, (9,)))
    with pytest.raises(ResumeError, match=f"round 2 drew sample {IDS[9][:12]}"):
        Ledger(pool, KEY, "{}", sample_ids=IDS[:9], classes=CLASSES).rounds()


def test_a_pool_locked_by_another_program_is_told(pool: Pool) -> None:
    books = ledger(pool)
    with pool.transaction(), pytest.raises(PoolError, match="already open"):
        books.add(result(1))


def test_inputs_are_kept_for_people(pool: Pool) -> None:
    Ledger(pool, KEY, '{"seed": 1}', sample_ids=IDS, classes=CLASSES)
    Ledger(pool, KEY, '{"seed": 1}', sample_ids=IDS, classes=CLASSES)
    assert pool.connection.execute("SELECT * FROM runs").fetchall() == [(KEY, '{"seed": 1}')]


def test_the_ledger_does_not_change_the_pool_digest(pool: Pool) -> None:
    before = pool.digest()
    ledger(pool).add(result(1))
    assert pool.digest() == before


def test_records_are_stored_as_json_that_a_person_can_read(pool: Pool) -> None:
    ledger(pool).add(result(1))
    text = pool.connection.execute("SELECT record FROM rounds").fetchone()[0]
    assert msgspec.json.decode(text)["training_samples"] == 2
