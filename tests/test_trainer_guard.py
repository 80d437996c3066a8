"""The guard: what is contradicted is held back, and comes back when later models agree with its label."""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from trainer.draw.quarantine import QuarantineSettings
from trainer.loop.guard import Guard, review_items
from trainer.pool.review_list import ReviewItem
from trainer.pool.sample_table import empty_table

COUNT = 210
LABELS = np.array([0] * 100 + [1] * 110)
POOL = np.ones(COUNT, np.bool_)
NOBODY = np.zeros(COUNT, np.bool_)
SETTINGS = QuarantineSettings()
FLIPPED = list(range(100, 110))


def scores_of(fits_label: NDArray[np.bool_]) -> NDArray[np.float16]:
    """Nine to one for the label, or against it."""
    scores = np.full((COUNT, 2), 0.1, np.float16)
    scores[np.arange(COUNT), np.where(fits_label, LABELS, 1 - LABELS)] = 0.9
    return scores


def contradicting(rows: list[int]) -> NDArray[np.float16]:
    fits = np.ones(COUNT, np.bool_)
    fits[rows] = False
    return scores_of(fits)


def guard(pool: NDArray[np.bool_] = POOL, settings: QuarantineSettings = SETTINGS) -> Guard:
    return Guard(LABELS, pool, settings, class_count=2)


def test_before_anything_was_said_nobody_is_held_back() -> None:
    verdict = guard().verdict()
    assert verdict.held_back.rows.size == 0
    assert verdict.may_be_drawn.all()


def test_the_survey_alone_holds_back_before_the_first_draw() -> None:
    watch = guard()
    watch.add_survey(contradicting(FLIPPED))
    verdict = watch.verdict()
    assert verdict.held_back.rows.tolist() == FLIPPED
    assert verdict.held_back.suggested_ids.tolist() == [0] * 10
    assert (verdict.held_back.confidences > 0.5).all()
    assert np.flatnonzero(~verdict.may_be_drawn).tolist() == FLIPPED


def test_a_row_comes_back_when_later_models_agree_with_its_label() -> None:
    watch = guard()
    watch.add_survey(contradicting(FLIPPED))
    training = NOBODY.copy()
    training[[0, 150]] = True
    for _ in range(3):
        watch.add_round(contradicting(FLIPPED[1:]), training)
    verdict = watch.verdict()
    assert verdict.held_back.rows.tolist() == FLIPPED[1:]
    assert verdict.may_be_drawn[FLIPPED[0]]


def test_a_row_of_the_training_set_is_withdrawn_only_when_its_own_model_contradicts_it() -> None:
    learnt = NOBODY.copy()
    learnt[[0, 150, *FLIPPED]] = True
    for answers, held in ((contradicting([]), []), (contradicting(FLIPPED), FLIPPED)):
        watch = guard()
        watch.add_round(answers, learnt)
        assert watch.verdict().held_back.rows.tolist() == held


def test_rows_set_aside_for_validation_are_judged_and_never_held_back() -> None:
    pool = POOL.copy()
    pool[FLIPPED[:3]] = False
    watch = guard(pool, msgspec.structs.replace(SETTINGS, mode="on"))
    watch.add_survey(contradicting(FLIPPED))
    verdict = watch.verdict()
    assert verdict.held_back.rows.tolist() == FLIPPED[3:]
    assert verdict.verdicts.is_suspect[FLIPPED].all()


def test_a_guard_that_is_off_holds_nobody_back() -> None:
    watch = guard(settings=msgspec.structs.replace(SETTINGS, mode="off"))
    watch.add_survey(contradicting(FLIPPED))
    verdict = watch.verdict()
    assert verdict.held_back.rows.size == 0
    assert verdict.may_be_drawn.all()


def test_told_the_same_again_it_says_the_same() -> None:
    learnt = NOBODY.copy()
    learnt[::7] = True
    verdicts = []
    for _ in range(2):
        watch = guard()
        watch.add_survey(contradicting(FLIPPED))
        watch.add_round(contradicting([3, *FLIPPED]), learnt)
        verdicts.append(watch.verdict())
    assert np.array_equal(verdicts[0].held_back.rows, verdicts[1].held_back.rows)
    assert np.array_equal(verdicts[0].held_back.confidences, verdicts[1].held_back.confidences)
    assert np.array_equal(verdicts[0].scores, verdicts[1].scores)


def test_out_of_fold_a_row_of_the_training_set_is_seen_by_a_stranger() -> None:
    learnt = ~NOBODY
    for is_out_of_fold, agreed in ((False, False), (True, True)):
        watch = guard()
        watch.add_survey(contradicting(FLIPPED))
        for _ in range(3):
            watch.add_round(contradicting([]), learnt, is_out_of_fold=is_out_of_fold)
        assert (watch.verdict().held_back.rows.size == 0) == agreed


def test_the_review_list_names_every_suspect_with_what_the_models_see() -> None:
    table = replace(
        empty_table(("good", "stone"), side_px=8, channels=1),
        ids=tuple(f"id{row}" for row in range(COUNT)),
        class_ids=LABELS,
        sources=tuple(f"{row}.png" for row in range(COUNT)),
    )
    pool = POOL.copy()
    pool[100] = False  # set aside for validation
    watch = guard(pool)
    watch.add_survey(contradicting(FLIPPED))
    verdict = watch.verdict()
    items = review_items(table, verdict)
    chance = float(verdict.verdicts.wrong[101])
    assert [item.sample for item in items] == [f"id{row}" for row in FLIPPED]
    assert items[1] == ReviewItem("id101", "stone", "good", "seen_as_other", chance, "101.png")
    unsure = replace(verdict, scores=np.full((COUNT, 2), 0.49))
    assert {item.reason for item in review_items(table, unsure)} == {"fits_no_class"}
    assert {item.reason for item in review_items(table, replace(verdict, scores=np.full((COUNT, 2), 0.5)))} == {
        "seen_as_other"
    }
