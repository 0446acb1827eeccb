"""Bootstrap draws and sign flips: the intervals and p-values that tamis.metrics.stats gives out.

Rows are drawn, or groups of rows where they belong together. A draw of groups needs no rows: a group brings the sum of
its values and the sum of its weights (how many it has, where all count alike), and the mean of a draw is their ratio.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

DRAWS = 10_000
LEVEL = 0.95
NORMAL_REACH = 1.959964  # standard errors on either side at that level
# Draws are made in slices, so that 10,000 resamples of a million rows do not ask for 80 GB.
SLICE_VALUES = 4_000_000
# Beyond this many independent rows the bootstrap of a mean is its normal limit to three digits, and takes minutes.
NORMAL_BEYOND = 5_000


def mean_interval(
    numbers: np.ndarray, labels: np.ndarray | None, seed: int, draws: int, weights: np.ndarray | None = None
) -> tuple[float | None, float | None]:
    """The interval of the mean, or of the weighted mean: weights are drawn with their rows."""
    if len(numbers) == 1:
        return None, None
    generator = np.random.default_rng(seed)
    if labels is None and len(numbers) > NORMAL_BEYOND:
        return _normal_interval(numbers, weights)
    if labels is None and weights is None:
        return percentiles(_resampled_means(numbers, generator, draws), len(numbers))
    group_of = np.arange(len(numbers)) if labels is None else np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(group_of, weights=weights)
    sums = np.bincount(group_of, weights=numbers if weights is None else numbers * weights)
    if len(counts) == 1:
        return None, None  # one group says nothing about the spread between groups
    if len(counts) > NORMAL_BEYOND:
        return _normal_interval(sums / counts, counts)
    means, done = [], 0
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // len(counts)))
        chosen = generator.integers(0, len(counts), size=(step, len(counts)))
        means.append(sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1))
        done += step
    return percentiles(np.concatenate(means), len(counts))


def sign_flip_p(numbers: np.ndarray, labels: np.ndarray | None, seed: int, draws: int) -> float:
    """Two-sided: how often the sum is as far from 0 when each row's (or group's) sign is drawn."""
    if labels is not None:
        _, group_of = np.unique(labels, return_inverse=True)
        numbers = np.bincount(group_of, weights=numbers)
    observed = abs(numbers.sum()) - 1e-12 * np.abs(numbers).sum()
    if len(numbers) <= 13:
        patterns = np.asarray(np.meshgrid(*[[-1.0, 1.0]] * len(numbers))).reshape(len(numbers), -1)
        return float((np.abs(numbers @ patterns) >= observed).mean())
    if len(numbers) > NORMAL_BEYOND:
        from scipy.stats import norm

        spread = float(np.sqrt((numbers**2).sum()))
        return float(2 * norm.sf(max(observed, 0.0) / spread)) if spread else 1.0
    generator = np.random.default_rng(seed + 1)
    extreme, done = 0, 0
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // len(numbers)))
        signs = generator.integers(0, 2, size=(step, len(numbers)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ numbers) >= observed).sum())
        done += step
    return (extreme + 1) / (draws + 1)


def row_draws(n: int, labels: np.ndarray | None, generator: np.random.Generator, draws: int) -> Iterator[np.ndarray]:
    """Row positions of each bootstrap draw, in slices; where groups differ in size, one draw at a time."""
    members = np.arange(n)[:, None] if labels is None else _members(labels)
    if labels is None or len({len(group) for group in members}) == 1:
        even, done = np.asarray(members), 0
        while done < draws:
            step = min(draws - done, max(1, SLICE_VALUES // n))
            yield even[generator.integers(0, len(even), size=(step, len(even)))].reshape(step, n)
            done += step
        return
    for _ in range(draws):
        chosen = generator.integers(0, len(members), size=len(members))
        yield np.concatenate([members[group] for group in chosen])[None]


def percentiles(draws: np.ndarray, units: int) -> tuple[float | None, float | None]:
    """The interval of so many independent values (rows, or groups), from their bootstrap draws."""
    from scipy.stats import norm

    draws = draws[~np.isnan(draws)]
    if len(draws) == 0 or units < 2:
        return None, None
    tail = norm.cdf(-standard_errors(units))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def standard_errors(units: int) -> float:
    """How many of them on either side, where their size is guessed from so many values, dividing by as many."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, units - 1) * np.sqrt(units / (units - 1)))


def _normal_interval(numbers: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Of a weighted mean by each row's influence on the ratio: with equal weights that is the usual standard error."""
    n = len(numbers)
    if weights is None:
        middle, reach = numbers.mean(), NORMAL_REACH * numbers.std(ddof=1) / np.sqrt(n)
    else:
        middle = np.average(numbers, weights=weights)
        influence = weights * (numbers - middle) / weights.sum()
        reach = NORMAL_REACH * np.sqrt((influence**2).sum() * n / (n - 1))
    return float(middle - reach), float(middle + reach)


def _resampled_means(numbers: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    means, done = [], 0
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // len(numbers)))
        means.append(numbers[generator.integers(0, len(numbers), size=(step, len(numbers)))].mean(axis=1))
        done += step
    return np.concatenate(means)


def _members(labels: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(labels[order][1:] != labels[order][:-1]) + 1)
