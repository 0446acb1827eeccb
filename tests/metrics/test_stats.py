"""Intervals that cover, p-values that are uniform under the null, correlations that equal SciPy's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tamis.metrics import stats


def test_mean_counts_nulls_and_is_deterministic() -> None:
    got = stats.mean([1.0, None, 3.0, math.nan], seed=1)
    assert (got.value, got.n, got.nulls) == (2.0, 2, 2)
    assert got == stats.mean([1.0, None, 3.0, math.nan], seed=1)
    assert stats.mean([None, None]) == stats.Estimate(None, None, None, 0, 2)
    assert stats.mean([]).n == 0


def test_mean_interval_covers_the_truth() -> None:
    draw = np.random.default_rng(0)
    inside = 0
    for trial in range(300):
        got = stats.mean(draw.exponential(size=80).tolist(), seed=trial, draws=800)
        inside += got.low <= 1.0 <= got.high
    assert 0.89 <= inside / 300 <= 0.98  # 95 % nominal; a percentile bootstrap of a skewed mean falls a little short


def test_clustered_intervals_cover_where_plain_ones_do_not() -> None:
    draw = np.random.default_rng(1)
    plain = clustered = 0
    for trial in range(200):
        groups = np.repeat(np.arange(30), 10)
        values = (draw.normal(size=30)[groups] + 0.2 * draw.normal(size=300)).tolist()
        a = stats.mean(values, seed=trial, draws=500)
        b = stats.mean(values, groups=groups.tolist(), seed=trial, draws=500)
        plain += a.low <= 0 <= a.high
        clustered += b.low <= 0 <= b.high
    assert plain / 200 < 0.65 and clustered / 200 > 0.87


def test_one_group_has_no_interval() -> None:
    got = stats.mean([1.0, 2.0, 3.0], groups=["a", "a", "a"])
    assert (got.value, got.low, got.high) == (2.0, None, None)


def test_few_values_have_an_interval_that_covers() -> None:
    draw = np.random.default_rng(11)
    inside = grouped = 0
    for trial in range(500):
        values = draw.normal(size=8)
        got = stats.mean(values.tolist(), seed=trial, draws=1500)
        inside += got.low <= 0 <= got.high
        assert values.min() <= got.low and got.high <= values.max()
        rows = np.repeat(values, 5).tolist()
        got = stats.mean(rows, groups=np.repeat(range(8), 5).tolist(), seed=trial, draws=1500)
        grouped += got.low <= 0 <= got.high
    assert 0.92 <= inside / 500 <= 0.98 and 0.92 <= grouped / 500 <= 0.98


def test_one_value_tells_no_interval() -> None:
    assert stats.mean([0.5, None]) == stats.Estimate(0.5, None, None, 1, 1)
    paired = stats.paired([1.0], [0.0])
    assert (paired.difference, paired.low, paired.high) == (1.0, None, None)
    subsets = stats.subsets([1.0, 2.0, 3.0], [True, False, False], [False, True, True])
    assert (subsets.difference, subsets.low, subsets.high) == (-1.5, None, None)
    many = stats.NORMAL_BEYOND + 10
    one = [place == 0 for place in range(many)]
    subsets = stats.subsets(np.random.default_rng(0).normal(size=many).tolist(), one, [not inside for inside in one])
    assert subsets.low is None and subsets.p is not None


def test_a_small_arm_of_a_large_pool_has_an_interval_that_covers() -> None:
    draw = np.random.default_rng(13)
    rows = np.arange(stats.NORMAL_BEYOND + 100)
    inside = 0
    for _ in range(400):
        got = stats.subsets(draw.normal(size=len(rows)).tolist(), rows < 6, rows >= 6)
        inside += got.low <= 0 <= got.high
    assert 0.92 <= inside / 400 <= 0.98  # with the reach of many rows: 0.885


@pytest.mark.parametrize("correlation", [stats.pearson, stats.spearman])
def test_two_points_or_one_group_tell_no_interval(correlation: Callable) -> None:
    assert correlation([1.0, 2.0], [5.0, 9.0]) == stats.Estimate(1.0, None, None, 2)
    x, y = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]
    got = correlation(x, y, groups=["a"] * 4)
    assert got.value == pytest.approx(0.8) and (got.low, got.high) == (None, None)


@pytest.mark.parametrize("unit", [1e-200, 1e-7, 1.0, 1e7, 1e200])
def test_the_unit_of_measure_does_not_matter(unit: float) -> None:
    draw = np.random.default_rng(12)
    x, y = draw.normal(size=(2, 16))
    ones, scaled = stats.pearson(x.tolist(), y.tolist()), stats.pearson((x * unit).tolist(), (y * unit).tolist())
    assert scaled.value == pytest.approx(ones.value) and scaled.low == pytest.approx(ones.low)
    assert stats.pearson([0.1 * unit] * 9, list(range(9))).value is None
    a = np.arange(16) < 8
    assert stats.paired((x * unit).tolist(), (y * unit).tolist()).p == stats.paired(x.tolist(), y.tolist()).p
    assert stats.subsets((x * unit).tolist(), a, ~a).p == stats.subsets(x.tolist(), a, ~a).p


def test_large_samples_agree_with_the_bootstrap() -> None:
    values = np.random.default_rng(2).gamma(2.0, size=stats.NORMAL_BEYOND).tolist()
    slow = stats.mean(values, draws=1000)
    fast = stats.mean([*values, float(np.mean(values))], draws=1000)
    assert fast.low == pytest.approx(slow.low, rel=5e-3) and fast.high == pytest.approx(slow.high, rel=5e-3)


def test_paired_uses_pairs_only() -> None:
    a, b = [1.0, 2.0, None, 4.0, 6.0], [0.0, 1.0, 5.0, None, 5.0]
    got = stats.paired(a, b)
    assert (got.difference, got.n) == (1.0, 3)
    assert got.p == pytest.approx(2 / 2**3)  # exact: only all signs alike reach the observed sum
    with pytest.raises(ValueError, match="5 values against 4"):
        stats.paired(a, b[:4])
    assert stats.paired([None], [1.0]).p is None


def test_paired_exact_p_equals_scipy() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.normal(0.4, 1, 12), draw.normal(size=12)
    expected = scipy_stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert stats.paired(a.tolist(), b.tolist()).p == pytest.approx(expected)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    draw = np.random.default_rng(4)
    paired, apart, inside, crossing = [], [], [], []
    for trial in range(300):
        settings = {"seed": trial, "draws": 400}
        paired.append(stats.paired(draw.normal(size=40).tolist(), draw.normal(size=40).tolist(), **settings).p)
        values = draw.normal(size=80).tolist()
        rows = np.arange(80)
        apart.append(stats.subsets(values, rows < 30, rows >= 30, **settings).p)
        inside.append(stats.subsets(values, rows < 20, rows >= 0, **settings).p)
        crossing.append(stats.subsets(values, rows < 40, (rows >= 25) & (rows < 65), **settings).p)
    for found in (paired, apart, inside, crossing):
        assert scipy_stats.kstest(found, "uniform").pvalue > 0.001
        assert 0.02 <= np.mean(np.asarray(found) <= 0.05) <= 0.09


def test_intervals_of_overlapping_subsets_cover() -> None:
    draw = np.random.default_rng(9)
    rows = np.arange(120)
    a, b = rows < 60, (rows >= 40) & (rows < 100)
    truth = 0.5 - 20 / 60 * 0.5  # a's rows are 0.5 higher; a third of b's rows are a's
    inside = 0
    for trial in range(300):
        values = (draw.normal(size=120) + 0.5 * a).tolist()
        got = stats.subsets(values, a, b, seed=trial, draws=500)
        inside += got.low <= truth <= got.high
    assert 0.90 <= inside / 300 <= 0.985


def test_a_real_difference_is_found_with_its_size() -> None:
    draw = np.random.default_rng(5)
    values = np.concatenate([draw.normal(1.0, 1, 200), draw.normal(0.0, 1, 300)])
    a = np.arange(500) < 200
    got = stats.subsets(values.tolist(), a, ~a)
    assert got.p < 0.001 and got.low < 1.0 < got.high and got.n == 500
    assert got.difference == pytest.approx(values[a].mean() - values[~a].mean())
    assert stats.subsets(values.tolist(), a, np.zeros(500, bool)).difference is None
    null = stats.subsets([None, 1.0, 2.0, None], [True, True, False, False], [False, False, True, True])
    assert (null.difference, null.n) == (-1.0, 2)


def test_many_rows_agree_with_the_bootstrap() -> None:
    draw = np.random.default_rng(10)
    n = stats.NORMAL_BEYOND
    values = draw.gamma(2.0, size=n + 1)
    a, b = draw.random(n + 1) < 0.02, draw.random(n + 1) < 0.02
    union = int((a | b).sum())
    assert union < n
    slow = stats.subsets(values.tolist(), a, b, draws=2000)
    fast = stats._normal_difference(values[a | b], a[a | b].astype(float), b[a | b].astype(float), slow.difference)
    assert fast.low == pytest.approx(slow.low, abs=0.02) and fast.high == pytest.approx(slow.high, abs=0.02)
    assert fast.p == pytest.approx(slow.p, abs=0.05)


def test_paired_by_group_is_wider() -> None:
    draw = np.random.default_rng(6)
    groups = np.repeat(np.arange(20), 10)
    a = (draw.normal(size=20)[groups] + draw.normal(0.1, 0.1, 200)).tolist()
    b = [0.0] * 200
    plain, grouped = stats.paired(a, b), stats.paired(a, b, groups=groups.tolist())
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
    assert grouped.p > plain.p


def test_correlations_equal_scipy_and_carry_intervals() -> None:
    draw = np.random.default_rng(7)
    x = draw.normal(size=60)
    y = 0.6 * x + draw.normal(size=60)
    y[:20] = np.round(y[:20])  # ties
    line, rank = stats.pearson(x.tolist(), y.tolist()), stats.spearman(x.tolist(), y.tolist())
    assert line.value == pytest.approx(scipy_stats.pearsonr(x, y).statistic)
    assert rank.value == pytest.approx(scipy_stats.spearmanr(x, y).statistic)
    exact = scipy_stats.pearsonr(x, y).confidence_interval()
    assert line.low == pytest.approx(exact.low, abs=0.06) and line.high == pytest.approx(exact.high, abs=0.06)
    assert rank.low < rank.value < rank.high


def test_correlations_leave_out_pairs_with_a_null_and_refuse_constants() -> None:
    got = stats.spearman([1.0, 2.0, None, 4.0, 5.0], [1.0, 3.0, 2.0, None, 9.0])
    assert (got.value, got.n, got.nulls) == (1.0, 3, 2)
    assert stats.pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).value is None
    assert stats.pearson([1.0], [2.0]).value is None


def test_grouped_correlation_is_wider_than_the_plain_one() -> None:
    draw = np.random.default_rng(8)
    groups = np.repeat(np.arange(12), 20)
    x = draw.normal(size=12)[groups] + 0.1 * draw.normal(size=240)
    y = draw.normal(size=12)[groups] + 0.1 * draw.normal(size=240)
    plain = stats.pearson(x.tolist(), y.tolist(), draws=1000)
    grouped = stats.pearson(x.tolist(), y.tolist(), groups=groups.tolist(), draws=1000)
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


def test_an_interval_over_trainings_is_welchs_where_rows_tell_no_spread() -> None:
    from scipy.stats import ttest_ind

    a, b = [0.61, 0.66, 0.58], [0.50, 0.57, 0.49, 0.55, 0.61]
    difference = float(np.mean(a) - np.mean(b))
    found = stats.over_trainings(stats.Comparison(difference, difference, difference, 0.1, 200), a, b)
    assert found == pytest.approx(tuple(ttest_ind(a, b, equal_var=False).confidence_interval()), abs=1e-6)
    untrained = stats.over_trainings(stats.Comparison(0.1, 0.05, 0.15, 0.1, 200), [], [])
    assert untrained == pytest.approx((0.05, 0.15))
    assert stats.over_trainings(stats.Comparison(0.1, 0.05, 0.15, 0.1, 200), a, [0.5]) is None


def test_an_interval_over_trainings_covers_what_one_over_rows_does_not() -> None:
    """Three trainings of one arm against five of another that teach the same, each its own way."""
    generator = np.random.default_rng(0)
    covered = {"rows": 0, "trainings": 0}
    for seed in range(120):
        levels = [generator.normal(0.5, 0.05, size=count) for count in (3, 5)]
        sides = [(generator.random((200, len(some))) < some).astype(float) for some in levels]
        found = stats.paired(*(side.mean(axis=1).tolist() for side in sides), seed=seed, draws=400)
        wide = stats.over_trainings(found, *(side.mean(axis=0).tolist() for side in sides))
        covered["rows"] += found.low <= 0 <= found.high
        covered["trainings"] += wide[0] <= 0 <= wide[1]
    assert covered["rows"] < 0.85 * 120 and covered["trainings"] >= 0.92 * 120
