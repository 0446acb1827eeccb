"""Weighted means and differences: those of rows repeated, with intervals that cover and p-values that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tamis.metrics import stats


def test_equal_weights_change_nothing_but_the_draws() -> None:
    draw = np.random.default_rng(20)
    values, other = draw.normal(size=200).tolist(), draw.normal(size=200).tolist()
    groups = draw.integers(0, 40, size=200).tolist()
    for of in (
        lambda **weights: stats.mean(values, groups=groups, **weights),
        lambda **weights: stats.paired(values, other, groups=groups, **weights),
    ):
        plain, twice = of(), of(weights=[2.0] * 200)
        assert [getattr(plain, name) for name in vars(plain)] == pytest.approx(
            [getattr(twice, name) for name in vars(plain)]
        )
    plain, same = stats.mean(values), stats.mean(values, weights=[3.0] * 200)
    assert (same.value, same.n) == (pytest.approx(plain.value), 200)
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_a_weighted_mean_is_the_mean_of_rows_repeated() -> None:
    draw = np.random.default_rng(21)
    values, weights = draw.normal(size=60), draw.choice([1, 2, 4, 8, 20], size=60)
    groups = np.repeat(np.arange(12), 5)
    weighted = stats.mean(values.tolist(), groups=groups.tolist(), weights=weights.tolist(), seed=3)
    repeated = stats.mean(np.repeat(values, weights).tolist(), groups=np.repeat(groups, weights).tolist(), seed=3)
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((repeated.value, repeated.low, repeated.high))
    assert weighted.n == 60  # rows, not weights
    a, b = values.tolist(), draw.normal(size=60).tolist()
    weighted = stats.paired(a, b, groups=groups.tolist(), weights=weights.tolist())
    repeated = stats.paired(
        np.repeat(a, weights).tolist(), np.repeat(b, weights).tolist(), groups=np.repeat(groups, weights).tolist()
    )
    assert (weighted.difference, weighted.low, weighted.high, weighted.p) == pytest.approx(
        (repeated.difference, repeated.low, repeated.high, repeated.p)
    )


def test_weighted_intervals_cover_by_draws_and_by_their_limit() -> None:
    draw = np.random.default_rng(22)
    inside = 0
    for trial in range(300):
        weights = draw.choice([1, 2, 4, 8, 20], p=[0.6, 0.3, 0.05, 0.03, 0.02], size=400)
        right = draw.random(400) < 0.5 / weights**0.5  # hard questions are answered less often
        got = stats.mean(right.astype(float).tolist(), weights=weights.tolist(), seed=trial, draws=500)
        shares = np.asarray([0.6, 0.3, 0.05, 0.03, 0.02]) * [1, 2, 4, 8, 20]
        truth = (shares * 0.5 / np.asarray([1, 2, 4, 8, 20]) ** 0.5).sum() / shares.sum()
        inside += got.low <= truth <= got.high
    assert 0.89 <= inside / 300 <= 0.98
    values, weights = draw.gamma(2.0, size=stats.NORMAL_BEYOND), draw.integers(1, 20, size=stats.NORMAL_BEYOND)
    slow = stats.mean(values.tolist(), weights=weights.tolist(), draws=2000)
    fast = stats.mean([*values.tolist(), 2.0], weights=[*weights.tolist(), 1], draws=2000)  # one row more: the limit
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.1 * (slow.high - slow.low))


def test_a_weighted_difference_that_is_not_there_is_found_one_time_in_twenty() -> None:
    draw = np.random.default_rng(23)
    found = 0
    for trial in range(400):
        weights = draw.choice([1.0, 20.0], p=[0.9, 0.1], size=60)
        got = stats.paired(
            draw.normal(size=60).tolist(),
            draw.normal(size=60).tolist(),
            weights=weights.tolist(),
            seed=trial,
            draws=400,
        )
        found += got.p <= 0.05
    assert 0.02 <= found / 400 <= 0.09


def test_rows_without_a_value_take_their_weight_with_them_and_odd_weights_are_refused() -> None:
    assert stats.mean([1.0, None, 0.0], weights=[1, 50, 3]).value == 0.25
    assert stats.paired([1.0, None, 0.0], [0.0, 1.0, None], weights=[2, 50, 3]).difference == 1.0
    for weights in ([1, 0], [1, -1], [1, math.nan], [1, None], [1, math.inf]):
        with pytest.raises(ValueError, match="weights: every row needs one above 0"):
            stats.mean([1.0, 2.0], weights=weights)
    with pytest.raises(ValueError, match="weights: 1 for 2 values"):
        stats.mean([1.0, 2.0], weights=[1])
