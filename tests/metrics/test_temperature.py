"""The temperature that fits: found where it is known, kept off the ends where rows say nothing, never a NaN."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tamis.metrics.temperature import HIGHEST, LOWEST, fitted, loss, softmax


def drawn(rows: int = 4000, options: int = 10) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(rows, options)) * 2
    picked = (softmax(logits).cumsum(axis=1) > draw.random((rows, 1))).argmax(axis=1)
    return logits, np.eye(options)[picked]


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_a_known_temperature_is_found(true: float) -> None:
    logits, targets = drawn()
    found = fitted(logits * true, targets)
    assert found == pytest.approx(true, rel=0.06)
    plain = minimize_scalar(lambda t: loss(softmax(logits * true, t), targets), bounds=(0.05, 20), method="bounded")
    assert found == pytest.approx(plain.x, rel=1e-3)
    assert loss(softmax(logits * true, found), targets) <= loss(softmax(logits * true), targets)


def test_shares_and_weights_count_as_repeated_rows() -> None:
    logits, targets = drawn(60, 4)
    soft = fitted(logits, targets * 0.75 + np.roll(targets, 1, axis=1) * 0.25)
    again = np.concatenate([targets] * 3 + [np.roll(targets, 1, axis=1)])
    assert soft == pytest.approx(fitted(np.concatenate([logits] * 4), again), rel=1e-6) and soft > fitted(
        logits, targets
    )
    weighted = targets.copy()
    weighted[:30] = 0
    assert fitted(logits, weighted) == pytest.approx(fitted(logits[30:], targets[30:]), rel=1e-6)


def test_rows_that_say_nothing_or_all_give_a_number() -> None:
    logits, targets = drawn(20, 3)
    assert fitted(np.zeros((20, 3)), targets) > 0
    assert fitted(logits, np.zeros_like(targets)) == 1.0
    assert fitted(targets * 5, targets) == pytest.approx(LOWEST, rel=1e-3)  # without a fault
    assert fitted(-targets * 5, targets) == pytest.approx(HIGHEST, rel=1e-3)
    assert np.isfinite(fitted(np.where(targets > 0, -np.inf, 0.0), targets))
    assert np.isfinite(loss(np.where(targets > 0, 0.0, 0.5), targets))
    with pytest.raises(ValueError, match="hold NaN"):
        fitted(np.full((20, 3), np.nan), targets)
    with pytest.raises(ValueError, match=r"\(20, 3\) scores for \(20, 2\) targets"):
        fitted(logits, targets[:, :2])
