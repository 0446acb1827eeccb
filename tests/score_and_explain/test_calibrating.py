"""Temperatures fit held-out rows, in one step or two, and degenerate rows give finite numbers or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.score_and_explain.calibrating import as_published, calibrated, reliability


def test_temperatures_are_fitted_on_held_out_rows() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(3000, 10)) * 1.5
    logits[:, [0, 9]] += 0.5
    told = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truths = 1 + (told.cumsum(axis=1) > draw.random((3000, 1))).argmax(axis=1)
    sure = told**3 / (told**3).sum(axis=1, keepdims=True)  # three times too sure
    for apart in (False, True):
        found = calibrated(sure[:2000], truths[:2000].tolist(), apart=apart)
        assert found["score"] == pytest.approx(3 if not apart else 2.8, rel=0.15)
        held_out = {"probabilities": sure[2000:], "truths": truths[2000:].tolist(), "apart": apart}
        before, after = (reliability(**held_out, temperature=one) for one in ({}, found))
        assert after.nll < before.nll - 0.1 and after.ece < 0.06 < before.ece and after.n == 1000
        assert ("noul" in found) == apart
        published = as_published(sure, found, apart=apart)
        assert published.sum(axis=1) == pytest.approx(1) and published.shape == (3000, 10)
        assert as_published(sure, {}, apart=apart) == pytest.approx(sure, abs=1e-9)
    assert found["noul"] == pytest.approx(3, rel=0.3)
    few = calibrated(sure[:9], [2, 3, 4, 5, 6, 7, 8, 9, 10], apart=True)
    assert "noul" not in few


@pytest.mark.parametrize(
    ("shares", "truths", "why"),
    [
        (np.full((3, 10), np.nan), [1, 2, 3], "expected a row of ten numbers"),
        (np.full((3, 9), 0.1), [1, 2, 3], "expected a row of ten numbers"),
        (np.full((3, 10), 0.1), [1, 2, 11], "3 rows and 3 whole scores from 1 to 10"),
        (np.full((3, 10), 0.1), [1, 2], "3 rows and 2 whole scores"),
        (np.zeros((0, 10)), [], "0 rows and 0 whole scores"),
    ],
)
def test_rows_that_fit_nothing_are_refused(shares: np.ndarray, truths: list[int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        calibrated(shares, truths, apart=True)


def test_certainty_and_one_score_for_all_give_finite_numbers() -> None:
    certain = np.eye(10)[[0, 4, 9, 9]]
    for truths in ([1, 5, 10, 10], [2, 2, 2, 2]):
        found = calibrated(certain, truths, apart=True)
        assert all(np.isfinite(value) and value > 0 for value in found.values())
        told = reliability(certain, truths, found, apart=True)
        assert np.isfinite([told.nll, told.ece]).all()
