"""How sure a number is: bootstrap intervals, clustered by group; paired comparisons; rank and linear correlation.

Everything is deterministic by seed. Nulls are left out and counted by whoever calls: n stands beside every value.

A percentile interval of few values is too narrow: of 8, the usual one covers the mean about 90 times in 100. So the
percentiles are moved outwards until the interval of a normal sample is as wide as Student's (Hesterberg 2015, What
Teachers Should Know About the Bootstrap: the expanded percentile interval); it never leaves the values' own range.
With one value, one group, or two points of a correlation there is no interval. It still covers less than it says for
fewer than 5 values, and for strongly skewed ones (of 8 exponential values, about 89 times in 100).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.metrics.resampling import (
    DRAWS,
    NORMAL_BEYOND,
    NORMAL_REACH,
    SLICE_VALUES,
    mean_interval,
    percentiles,
    row_draws,
    sign_flip_p,
    standard_errors,
)

CONSTANT = 1e-13  # a spread this small beside the values themselves is rounding


@dataclass(frozen=True)
class Estimate:
    value: float | None  # None: no row had a value
    low: float | None
    high: float | None
    n: int  # rows with a value
    nulls: int = 0  # rows without

    @classmethod
    def of(cls, told: dict[str, Any]) -> Estimate:
        """As results.json has one; what else stands with it, such as why there is no value, is left there."""
        return cls(**{field.name: told[field.name] for field in dataclasses.fields(cls)})


@dataclass(frozen=True)
class Comparison:
    """a against b over the rows that both scored: difference = mean(a) - mean(b)."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None  # two-sided; sign flips of the paired differences, by group
    n: int


def mean(
    values: Sequence[float | None],
    *,
    groups: Sequence[Any] | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """The mean with its percentile-bootstrap interval; rows of one group are drawn together.

    weights: how much each row counts, above 0; the value is sum(weight x value) / sum(weight) over rows with a value,
    and a draw brings rows with their weights. Average Mark is exact matches weighted by difficulty.
    """
    numbers, labels, counts, nulls = _usable(values, groups, weights)
    if len(numbers) == 0:
        return Estimate(None, None, None, 0, nulls)
    low, high = mean_interval(numbers, labels, seed, draws, counts)
    return Estimate(float(np.average(numbers, weights=counts)), low, high, len(numbers), nulls)


def paired(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    groups: Sequence[Any] | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Comparison:
    """Two arms on the same rows: interval of the mean difference and a paired permutation test (sign flips).

    With few groups all 2^m sign patterns are tried, so that the p-value is exact. weights: as of mean(); what is
    flipped is then a row's weighted difference.
    """
    if len(a) != len(b):
        raise ValueError(f"paired: {len(a)} values against {len(b)}; pairs are needed")
    differences = [None if x is None or y is None else x - y for x, y in zip(a, b, strict=True)]
    numbers, labels, counts, _ = _usable(differences, groups, weights)
    if len(numbers) == 0:
        return Comparison(None, None, None, None, 0)
    low, high = mean_interval(numbers, labels, seed, draws, counts)
    flipped = numbers if counts is None else numbers * counts
    p = sign_flip_p(flipped, labels, seed, draws)
    return Comparison(float(np.average(numbers, weights=counts)), low, high, p, len(numbers))


def over_trainings(found: Comparison, a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """The interval of a comparison, wide enough for what other trainings of the arms would have given too.

    a, b: the mean of each training (seeds, draws) of an arm, all on the same rows; none for what was not trained. Their
    spread is added to that over rows as variances add, with Student's t for as few degrees of freedom as Welch and
    Satterthwaite count. None where an arm was trained once: its spread is not known.
    """
    from scipy.stats import t

    if found.difference is None or found.low is None or found.high is None or 1 in (len(a), len(b)):
        return None
    over_rows = ((found.high - found.low) / (2 * NORMAL_REACH)) ** 2
    spreads = [(float(np.var(each, ddof=1)) / len(each), len(each) - 1) for each in (a, b) if len(each)]
    variance = over_rows + sum(spread for spread, _ in spreads)
    free = sum(spread**2 / degrees for spread, degrees in spreads)
    reach = float(t.ppf(0.975, variance**2 / free) if free else NORMAL_REACH) * variance**0.5
    return found.difference - reach, found.difference + reach


def subsets(
    values: Sequence[float | None],
    in_a: Sequence[bool],
    in_b: Sequence[bool],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Comparison:
    """Mean of subset a minus mean of subset b of one pool; a row may be in both, as in a random draw and a top-k.

    Interval: bootstrap of the rows in either, each with its memberships, so that shared rows move both means. p:
    memberships shuffled among those rows, sizes and overlap kept: would subsets drawn blindly differ as much? n: rows
    in either that have a value.
    """
    numbers, a, b = as_floats(values), np.asarray(in_a, dtype=bool), np.asarray(in_b, dtype=bool)
    rows = (a | b) & ~np.isnan(numbers)
    numbers, a, b = numbers[rows], a[rows].astype(np.float64), b[rows].astype(np.float64)
    if not a.any() or not b.any():
        return Comparison(None, None, None, None, len(numbers))
    # The difference of means is one weighted sum, and so is that of every shuffle.
    weights = a / a.sum() - b / b.sum()
    difference = float(numbers @ weights)
    if len(numbers) > NORMAL_BEYOND:
        return _normal_difference(numbers, a, b, difference)
    generator = np.random.default_rng(seed)
    rounding = 1e-12 * float(np.abs(numbers).max())
    spread, extreme, done = [], 0, 0
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // len(numbers)))
        drawn = generator.integers(0, len(numbers), size=(step, len(numbers)))
        with np.errstate(invalid="ignore"):  # a draw without any row of a small subset is left out
            means = [(numbers[drawn] * arm[drawn]).sum(axis=1) / arm[drawn].sum(axis=1) for arm in (a, b)]
        spread.append(means[0] - means[1])
        shuffled = generator.permuted(np.broadcast_to(weights, (step, len(weights))), axis=1)
        extreme += int((np.abs(shuffled @ numbers) >= abs(difference) - rounding).sum())
        done += step
    low, high = percentiles(np.concatenate(spread), int(min(a.sum(), b.sum())))
    return Comparison(difference, low, high, (extreme + 1) / (draws + 1), len(numbers))


def pearson(
    x: Sequence[float | None],
    y: Sequence[float | None],
    *,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Linear correlation with its bootstrap interval. None when one side is constant: there is nothing to relate."""
    return _correlation(_pearson_rows, x, y, groups, seed, draws)


def spearman(
    x: Sequence[float | None],
    y: Sequence[float | None],
    *,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Rank correlation (ties share their mean rank) with its bootstrap interval; ranks are taken anew in each draw."""

    def ranked_rows(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        from scipy.stats import rankdata

        return _pearson_rows(rankdata(left, axis=-1), rankdata(right, axis=-1))

    return _correlation(ranked_rows, x, y, groups, seed, draws)


def _correlation(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: Sequence[float | None],
    y: Sequence[float | None],
    groups: Sequence[Any] | None,
    seed: int,
    draws: int,
) -> Estimate:
    if len(x) != len(y):
        raise ValueError(f"correlation: {len(x)} values against {len(y)}; pairs are needed")
    left, right = as_floats(x), as_floats(y)
    usable = ~(np.isnan(left) | np.isnan(right))
    labels = None if groups is None else np.asarray([str(group) for group in groups])[usable]
    left, right, nulls = left[usable], right[usable], int((~usable).sum())
    value = statistic(left[None], right[None])[0] if len(left) > 1 else np.nan
    if np.isnan(value):
        return Estimate(None, None, None, len(left), nulls)
    units = len(left) if labels is None else len(np.unique(labels))
    if units < 2 or len(left) == 2:  # two points lie on a line, whatever they are
        return Estimate(float(value), None, None, len(left), nulls)
    generator = np.random.default_rng(seed)
    drawn = []
    for rows in row_draws(len(left), labels, generator, draws):
        drawn.append(statistic(left[rows], right[rows]))
    low, high = percentiles(np.concatenate(drawn), units)
    return Estimate(float(value), low, high, len(left), nulls)


def _pearson_rows(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    left, right = _about_mean(left), _about_mean(right)
    scale = np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1))
    return np.clip((left * right).sum(axis=-1) / scale, -1, 1)


def _about_mean(rows: np.ndarray) -> np.ndarray:
    """Each row without its mean, in units of its own reach, NaN where it is constant."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    reach = np.abs(centred).max(axis=-1, keepdims=True)
    constant = reach <= CONSTANT * np.abs(rows).max(axis=-1, keepdims=True)
    return centred / np.where(constant, np.nan, reach)


def _normal_difference(numbers: np.ndarray, a: np.ndarray, b: np.ndarray, difference: float) -> Comparison:
    """The same for many rows: the interval by each row's influence, p by the variance of a blind shuffle."""
    from scipy.stats import norm

    influence = [arm * (numbers - numbers @ arm / arm.sum()) / arm.sum() for arm in (a, b)]
    spread = float(np.sqrt(((influence[0] - influence[1]) ** 2).sum()))
    units = int(min(a.sum(), b.sum()))
    weights = a / a.sum() - b / b.sum()
    blind = float(np.sqrt(numbers.var(ddof=1) * ((weights - weights.mean()) ** 2).sum()))
    p = float(2 * norm.sf(abs(difference) / blind)) if blind else 1.0
    if units < 2:
        return Comparison(difference, None, None, p, len(numbers))
    reach = standard_errors(units) * spread
    return Comparison(difference, difference - reach, difference + reach, p, len(numbers))


def _usable(
    values: Sequence[float | None], groups: Sequence[Any] | None, weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, int]:
    """Numbers, groups and weights of the rows that have a value, and how many have none."""
    numbers = as_floats(values)
    usable = ~np.isnan(numbers)
    for what, given in (("groups", groups), ("weights", weights)):
        if given is not None and len(given) != len(numbers):
            raise ValueError(f"{what}: {len(given)} for {len(numbers)} values")
    labels = None if groups is None else np.asarray([str(group) for group in groups])[usable]
    if weights is None:
        return numbers[usable], labels, None, int((~usable).sum())
    counts = as_floats(weights)
    if not (np.isfinite(counts) & (counts > 0)).all():
        raise ValueError("weights: every row needs one above 0; leave out the rows that should not count")
    return numbers[usable], labels, counts[usable], int((~usable).sum())


def as_floats(values: Sequence[float | None]) -> np.ndarray:
    return np.asarray([np.nan if value is None else value for value in values], dtype=np.float64)
