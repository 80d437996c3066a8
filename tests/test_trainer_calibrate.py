"""Temperature and calibration error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.export.calibrate import at_temperature, expected_calibration_error, temperature_of


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def scored(seed: int, sharpness: float, count: int = 400) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores of a model whose true temperature is `sharpness`: classes are drawn from what it should have said."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    told = softmax(logits).astype(np.float64)
    class_ids = np.array([rng.choice(3, p=row / row.sum()) for row in told])
    return softmax(logits * sharpness), class_ids


def likelihood_loss(scores: NDArray[np.floating], class_ids: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(scores[np.arange(len(scores)), class_ids], 1e-12)).mean())


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 3.0]))
def test_temperature_never_makes_the_likelihood_worse(seed: int, sharpness: float) -> None:
    scores, class_ids = scored(seed, sharpness, 60)
    temperature = temperature_of(scores, class_ids)
    after = likelihood_loss(at_temperature(scores, temperature), class_ids)
    assert after <= likelihood_loss(scores, class_ids) + 1e-6
    assert 0.25 <= temperature <= 8.0


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 4.0])
def test_temperature_finds_by_how_much_a_model_is_too_sure(sharpness: float) -> None:
    scores, class_ids = scored(1, sharpness, 4000)
    assert temperature_of(scores, class_ids) == pytest.approx(sharpness, rel=0.12)


def test_calibration_brings_confidence_to_accuracy() -> None:
    scores, class_ids = scored(2, 4.0, 4000)
    before = expected_calibration_error(scores, class_ids)
    after = expected_calibration_error(at_temperature(scores, temperature_of(scores, class_ids)), class_ids)
    assert after < 0.03 < before


@given(st.integers(0, 10_000), st.floats(0.25, 8.0))
def test_a_temperature_keeps_decisions_and_sums(seed: int, temperature: float) -> None:
    scores, _ = scored(seed, 1.0, 20)
    told = at_temperature(scores, temperature)
    assert told.sum(axis=1) == pytest.approx(np.ones(20))
    assert np.array_equal(told.argmax(axis=1), scores.argmax(axis=1))


def test_temperature_one_changes_nothing_and_no_samples_ask_for_it() -> None:
    scores, _ = scored(3, 1.0, 20)
    assert at_temperature(scores, 1.0) == pytest.approx(scores, abs=1e-7)
    assert temperature_of(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)) == 1.0


def test_scores_of_zero_stay_finite() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.isfinite(at_temperature(scores, 0.25)).all()
    assert np.isfinite(temperature_of(scores, np.array([1, 1])))


def test_calibration_error_is_the_gap_weighted_by_samples() -> None:
    """Two bins: 3 samples of confidence 0.9 all right, 1 of confidence 0.6 wrong."""
    scores = np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]], np.float32)
    assert expected_calibration_error(scores, np.array([0, 0, 0, 1])) == pytest.approx((3 * 0.1 + 0.6) / 4)


def test_full_confidence_in_the_right_class_has_no_error() -> None:
    assert expected_calibration_error(np.eye(3, dtype=np.float32), np.arange(3)) == 0.0
