"""Correlations equal SciPy's, seeds are averaged, rows are drawn together, and what has no correlation says why."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tamis.metrics import stats
from tamis.metrics.correlation import NO_ROW, ONE_ROW, Correlation, correlation, difference


def related(draw: np.random.Generator, n: int, *strengths: float) -> tuple[list[float], list[list[float]]]:
    """A truth, and columns that are correlated with it so much."""
    truth = draw.normal(size=n)
    columns = [r * truth + math.sqrt(1 - r**2) * draw.normal(size=n) for r in strengths]
    return truth.tolist(), [column.tolist() for column in columns]


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_one_seed_is_what_scipy_and_stats_give(kind: str) -> None:
    draw = np.random.default_rng(0)
    truth, [told] = related(draw, 300, 0.6)
    whole = [float(round(value * 2)) for value in told]  # ties
    for column in (told, whole):
        found = correlation(kind, [(column, truth)])
        wanted = getattr(scipy_stats, "spearmanr" if kind == "spearman" else "pearsonr")(column, truth).statistic
        assert found.value == pytest.approx(wanted, abs=1e-12) and (found.n, found.nulls) == (300, 0)
        twin = getattr(stats, kind)(column, truth, draws=2000)
        assert (found.low, found.high) == pytest.approx((twin.low, twin.high), abs=0.015)
    assert correlation(kind, [(truth, truth)]).low == pytest.approx(1)
    assert correlation(kind, [(told, truth)], seed=3) == correlation(kind, [(told, truth)], seed=3)


def test_a_draw_s_ranks_are_taken_anew() -> None:
    """Each draw by the plain way: rows repeated, then ranked by SciPy."""
    from tamis.metrics.correlation import _of

    draw = np.random.default_rng(1)
    one, other = draw.integers(1, 11, 40).astype(float), draw.integers(1, 5, 40).astype(float)
    times = np.stack([np.bincount(draw.integers(0, 40, 40), minlength=40) for _ in range(50)]).astype(float)
    for kind, plain in (("spearman", scipy_stats.spearmanr), ("pearson", scipy_stats.pearsonr)):
        rows = [np.repeat(np.arange(40), often.astype(int)) for often in times]
        wanted = [plain(one[some], other[some]).statistic for some in rows]
        assert _of(kind, one, other)(times) == pytest.approx(wanted, abs=1e-12)


def test_seeds_are_averaged_over_the_rows_that_have_all() -> None:
    truth, told = related(np.random.default_rng(2), 200, 0.3, 0.5, 0.7)
    told[1][0], told[2][1], truth[2] = None, math.nan, None
    found = correlation("spearman", [(column, truth) for column in told])
    single = [stats.spearman(column[3:], truth[3:], draws=10).value for column in told]
    assert found.value == pytest.approx(np.mean(single)) and (found.n, found.nulls) == (197, 3)
    narrow, wide = (correlation("spearman", [(column, truth) for column in some]) for some in (told, told[:1]))
    assert narrow.high - narrow.low < wide.high - wide.low


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([5.0] * 6, "every score is 5"),
        ([5.0, None, 5.0, math.nan, 5.0, math.inf], "every score is 5"),
        ([None] * 6, NO_ROW),
        ([None] * 5 + [3.0], ONE_ROW),
        ([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3], "every score is 0.3"),
    ],
)
@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_what_has_none_says_why(kind: str, column: list[float | None], reason: str) -> None:
    truth = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    fine = [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]
    found = correlation(kind, [(column, truth)], sides=("score", "truth"))
    assert isinstance(found, Correlation) and (found.value, found.low, found.high) == (None, None, None)
    assert found.reason == reason and found.n + found.nulls == 6
    assert correlation(kind, [(fine, truth), (column, truth)], sides=("score", "truth")).reason == reason
    compared = difference(kind, [(fine, truth)], [(column, truth)])
    assert (compared.difference, compared.p) == (None, None) and compared.n == found.n
    with pytest.raises(ValueError, match="columns of 6, 5 values"):
        correlation(kind, [(fine, truth[:5])])


def test_ties_everywhere_and_few_rows_give_numbers() -> None:
    found = correlation("spearman", [([1.0, 1.0, 1.0, 2.0], [1.0, 1.0, 2.0, 2.0])])
    assert found.value == pytest.approx(scipy_stats.spearmanr([1, 1, 1, 2], [1, 1, 2, 2]).statistic)
    assert -1 <= found.low <= found.value <= found.high <= 1
    two = correlation("pearson", [([1.0, 2.0], [4.0, 3.0])])
    assert (two.value, two.low, two.high) == (pytest.approx(-1), None, None)
    large = correlation("pearson", [([1e300, 2e300, 4e300], [1e-300, 2e-300, 3e-300])])
    assert large.value == pytest.approx(0.98198, abs=1e-4)


def test_intervals_cover_and_p_is_uniform_where_arms_are_alike() -> None:
    draw, trials = np.random.default_rng(5), 300
    covered = dict.fromkeys(("spearman", "pearson"), 0)
    low_p = {(kind, strength): 0 for kind in covered for strength in (0.2, 0.9)}
    for trial in range(trials):
        for strength in (0.2, 0.9):
            truth, (one, other) = related(draw, 60, strength, strength)
            for kind in covered:
                true = strength if kind == "pearson" else 6 / math.pi * math.asin(strength / 2)
                if strength == 0.9:
                    found = correlation(kind, [(one, truth)], seed=trial, draws=400)
                    covered[kind] += found.low <= true <= found.high
                compared = difference(kind, [(one, truth)], [(other, truth)], seed=trial, draws=400)
                low_p[kind, strength] += compared.p <= 0.05
    assert all(0.90 <= inside / trials <= 0.98 for inside in covered.values()), covered
    # Of strong rank correlations the bootstrap is wide, since its draws have ties: p is careful there.
    assert all(0.005 <= below / trials <= 0.09 for below in low_p.values()), low_p


def test_a_real_difference_is_found_and_an_arm_is_like_itself() -> None:
    truth, (good, poor, again) = related(np.random.default_rng(6), 400, 0.8, 0.4, 0.4)
    found = difference("spearman", [(good, truth)], [(poor, truth), (again, truth)])
    parts = [correlation("spearman", some) for some in ([(good, truth)], [(poor, truth), (again, truth)])]
    assert found.difference == pytest.approx(parts[0].value - parts[1].value) and found.n == 400
    assert 0 < found.low < found.difference < found.high and found.p < 0.002
    same = difference("spearman", [(good, truth)], [(good, truth)])
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    holes = [None if at % 2 else value for at, value in enumerate(poor)]
    assert difference("spearman", [(good, truth)], [(holes, truth)]).n == 200


def test_twelve_arms_take_seconds_and_twenty_thousand_rows_fit() -> None:
    import tracemalloc

    draw = np.random.default_rng(7)
    truth, arms = related(draw, 400, *[0.5] * 12)
    started = time.perf_counter()
    for arm in arms:
        correlation("spearman", [(arm, truth)])
        difference("spearman", [(arm, truth)], [(arms[0], truth)])
    assert time.perf_counter() - started < 20
    truth, [many] = related(draw, 20_000, 0.5)
    tracemalloc.start()
    found = correlation("spearman", [(many, truth)], draws=100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300e6 and found.high - found.low < 0.05
