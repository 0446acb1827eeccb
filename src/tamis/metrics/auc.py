"""How well a number tells two kinds of rows apart: how often one of the first kind has the higher one, ties half.

0.5 is chance, 1 all of the first kind above all of the second (Mann and Whitney). Exact, by ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tamis.metrics.resampling import LEVEL, NORMAL_BEYOND, percentiles, standard_errors
from tamis.metrics.stats import Estimate, as_floats

DRAWS = 2_000
PAIRS = 500_000  # compared for draws; beyond, the normal interval is the same to two digits


def auc(right: np.ndarray, scores: np.ndarray) -> float:
    """right: which rows are of the first kind; of either there is one at least, and no score is NaN."""
    from scipy.stats import rankdata

    ones, others = int(right.sum()), int((~right).sum())
    return float((rankdata(scores)[right].sum() - ones * (ones + 1) / 2) / (ones * others))


def told_apart(
    first: Sequence[float | None], second: Sequence[float | None], *, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """The area with its 95 % interval; rows of each kind are drawn by themselves. n: rows of both with a value.

    Of many rows the interval is the normal one (DeLong). Where no pair is the wrong way round no draw can show one: the
    bound is then what as many pairs as there are rows of the rarer kind leave open, each with rows of its own.
    """
    a, b = as_floats(first), as_floats(second)
    nulls = int(np.isnan(a).sum() + np.isnan(b).sum())
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    n, rarer = len(a) + len(b), min(len(a), len(b))
    if rarer == 0:
        return Estimate(None, None, None, n, nulls)
    right = np.arange(n) < len(a)
    value = auc(right, np.concatenate([a, b]))
    if value in (0.0, 1.0):
        open_to = 1 - ((1 - LEVEL) / 2) ** (1 / rarer)
        return Estimate(value, max(0.0, value - open_to), min(1.0, value + open_to), n, nulls)
    if rarer == 1:
        return Estimate(value, None, None, n, nulls)
    if len(a) * len(b) <= PAIRS and n <= NORMAL_BEYOND:
        low, high = percentiles(_drawn(a, b, np.random.default_rng(seed), draws), rarer)
        return Estimate(value, low, high, n, nulls)
    reach = standard_errors(rarer) * _spread(a, b)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach), n, nulls)


def _drawn(a: np.ndarray, b: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    """A draw is how often each row came up, and every pair is compared once for all draws."""
    wins = (np.sign(a[:, None] - b[None]) + 1) / 2
    times = [generator.multinomial(len(some), np.full(len(some), 1 / len(some)), size=draws) for some in (a, b)]
    return ((times[0] @ wins) * times[1]).sum(axis=1) / (len(a) * len(b))


def _spread(a: np.ndarray, b: np.ndarray) -> float:
    """The standard error by each row's own share of won pairs (DeLong et al. 1988)."""
    shares = [_beaten(a, b), 1 - _beaten(b, a)]
    return float(np.sqrt(sum(own.var() / len(own) for own in shares)))


def _beaten(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each, the share of the others that it beats, ties half."""
    ordered = np.sort(others)
    below, up_to = np.searchsorted(ordered, own, "left"), np.searchsorted(ordered, own, "right")
    return (below + up_to) / (2 * len(others))
