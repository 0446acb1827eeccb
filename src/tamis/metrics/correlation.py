"""How well columns agree: rank and linear correlation of an arm's seeds together, and how far two arms are apart.

What stats.spearman and stats.pearson give for one pair of columns, for several: the statistic of each, averaged, with
rows drawn for all of them together. A draw is how often each row came up, so that ranks of a draw are sums over values
that were sorted once: 2,000 draws of 400 rows take a moment, and of 20,000 rows they fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tamis.metrics.resampling import NORMAL_REACH, percentiles, standard_errors
from tamis.metrics.stats import CONSTANT, Comparison, Estimate, as_floats

Kind = Literal["spearman", "pearson"]
Column = Sequence[float | None]
Pair = tuple[Column, Column]
Drawn = Callable[[np.ndarray], np.ndarray]  # how often each row came up, a draw a row -> the statistic of each draw

DRAWS = 2_000
SLICE_VALUES = 1_000_000  # of a draw and row each; some ten arrays of them are alive at once
NO_ROW, ONE_ROW = "no row has all values", "one row alone has all values"


@dataclass(frozen=True)
class Correlation(Estimate):
    """An estimate that says why there is none. nulls: rows that lack a value in one of the columns."""

    reason: str | None = None


def correlation(
    kind: Kind,
    pairs: Sequence[Pair],
    *,
    sides: tuple[str, str] = ("value", "truth"),
    seed: int = 0,
    draws: int = DRAWS,
) -> Correlation:
    """The mean of the pairs' correlations, over the rows that have all values, and its bootstrap interval by row.

    pairs: a seed each, rows in one order. None, and the reason, where a side is the same everywhere: there is nothing
    to relate. A mean over fewer seeds would be another arm's.
    """
    columns, usable = _usable(pairs)
    n, nulls = int(usable.sum()), int((~usable).sum())
    reason = _why_none(columns, sides)
    if reason is not None:
        return Correlation(None, None, None, n, nulls, reason)
    statistic = _mean_of([_of(kind, left, right) for left, right in columns])
    value = float(statistic(np.ones((1, n)))[0])
    if n == 2:  # two points lie on a line, whatever they are
        return Correlation(value, None, None, n, nulls)
    low, high = percentiles(np.concatenate([statistic(times) for times in _draws(n, seed, draws)]), n)
    return Correlation(value, low, high, n, nulls)


def difference(kind: Kind, a: Sequence[Pair], b: Sequence[Pair], *, seed: int = 0, draws: int = DRAWS) -> Comparison:
    """The correlation of arm a minus that of arm b, over the rows that have all values of both.

    p, two-sided: how often a draw's difference is as far from this one as this one is from 0, deviations widened as
    the interval's ends are. All None where either has no correlation.
    """
    columns, usable = _usable([*a, *b])
    n = int(usable.sum())
    if _why_none(columns, ("", "")) is not None:
        return Comparison(None, None, None, None, n)
    sides = [_mean_of([_of(kind, *one) for one in some]) for some in (columns[: len(a)], columns[len(a) :])]
    whole = np.ones((1, n))
    value = float((sides[0](whole) - sides[1](whole))[0])
    if n == 2:
        return Comparison(value, None, None, None, n)
    drawn = np.concatenate([sides[0](times) - sides[1](times) for times in _draws(n, seed, draws)])
    low, high = percentiles(drawn, n)
    known = drawn[~np.isnan(drawn)]
    away = np.abs(known - value) * standard_errors(n) / NORMAL_REACH
    p = float((1 + (away >= abs(value)).sum()) / (1 + len(known)))
    return Comparison(value, low, high, p, n)


def _usable(pairs: Sequence[Pair]) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """The columns without the rows that lack a value in any, and which rows are left."""
    columns = [(as_floats(left), as_floats(right)) for left, right in pairs]
    if not columns or len({len(side) for pair in columns for side in pair}) > 1:
        lengths = ", ".join(str(len(side)) for pair in columns for side in pair)
        raise ValueError(f"correlation: columns of {lengths or 'no'} values; expected pairs of columns of one length")
    usable = np.all([np.isfinite(side) for pair in columns for side in pair], axis=0)
    return [(left[usable], right[usable]) for left, right in columns], usable


def _why_none(columns: list[tuple[np.ndarray, np.ndarray]], sides: tuple[str, str]) -> str | None:
    rows = len(columns[0][0])
    if rows < 2:
        return ONE_ROW if rows else NO_ROW
    for pair in columns:
        for side, what in zip(pair, sides, strict=True):
            if np.ptp(side) <= CONSTANT * np.abs(side).max():
                return f"every {what} is {side[0]:g}"
    return None


def _mean_of(statistics: list[Drawn]) -> Drawn:
    return lambda times: np.mean([statistic(times) for statistic in statistics], axis=0)


def _of(kind: Kind, left: np.ndarray, right: np.ndarray) -> Drawn:
    x, y = (_ranks(side) if kind == "spearman" else _numbers(side) for side in (left, right))

    def statistic(times: np.ndarray) -> np.ndarray:
        one, other = x(times), y(times)
        rows = times.sum(axis=1, keepdims=True)
        one = one - (times * one).sum(axis=1, keepdims=True) / rows
        other = other - (times * other).sum(axis=1, keepdims=True) / rows
        squares = (times * one**2).sum(axis=1) * (times * other**2).sum(axis=1)
        # A draw of one value alone is left out; what rounding leaves of its spread is none.
        scale = np.sqrt(np.where(squares > 1e-20, squares, np.nan))
        return np.clip((times * one * other).sum(axis=1) / scale, -1, 1)

    return statistic


def _numbers(side: np.ndarray) -> Drawn:
    centred = side - side.mean()
    scaled = centred / np.abs(centred).max()
    return lambda times: np.broadcast_to(scaled, times.shape)


def _ranks(side: np.ndarray) -> Drawn:
    """The rank of each row among those drawn, equal values sharing their mean rank."""
    order = np.argsort(side, kind="stable")
    values, places = np.unique(side, return_inverse=True)
    starts = np.searchsorted(side[order], values)

    def ranks(times: np.ndarray) -> np.ndarray:
        often = np.add.reduceat(times[:, order], starts, axis=1)
        return (np.cumsum(often, axis=1) - (often - 1) / 2)[:, places]

    return ranks


def _draws(n: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """How often each row comes up in each draw, some draws at a time."""
    generator, done = np.random.default_rng(seed), 0
    while done < draws:
        step = min(draws - done, max(1, SLICE_VALUES // n))
        chosen = generator.integers(0, n, size=(step, n)) + n * np.arange(step)[:, None]
        yield np.bincount(chosen.ravel(), minlength=step * n).reshape(step, n).astype(np.float64)
        done += step
