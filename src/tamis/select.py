"""Which rows to keep: pure arithmetic on columns.

The count is exact, the order is the dataset's own, ties are broken by a seeded hash of row_id, a null or NaN score is
never kept, and asking for more rows than there are is an error unless the caller says at_most, as is keeping none.
Higher is better. A Cut is what decided: best(), at_least() and between() make one, take() and sql.query() follow it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from tamis.columns import column_values, groups, in_type_of, unit_vectors
from tamis.config import ConfigError
from tamis.tie_breaks import tie_break, ties_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Cut:
    """A selection with nothing left to count: of the scored rows, best first, those that one of four things lets in."""

    column: str
    seed: int = 0
    k: int | None = None  # the first k
    quotas: dict[str | None, int] | None = None  # the first so many of each group of `per`
    per: str | None = None
    minimum: np.floating | None = None  # all at least this, a number of the column's own width
    ranks: tuple[int, int] | None = None  # positions [from, to), counted from the worst
    one_of_each: str | None = None  # before that, only the best row of each value of this column is left
    lowest: bool = False  # worst first instead


def top_k(
    dataset: Dataset,
    column: str,
    *,
    k: int | None = None,
    fraction: float | None = None,
    per: str | None = None,
    seed: int = 0,
    at_most: bool = False,
    one_of_each: str | None = None,
) -> Dataset:
    """The k rows (or that fraction of the rows) with the highest scores; per= keeps the mixture of that column."""
    cut = best(dataset, column, k=k, fraction=fraction, per=per, seed=seed, at_most=at_most, one_of_each=one_of_each)
    return take(dataset, cut)


def bottom_k(
    dataset: Dataset,
    column: str,
    *,
    k: int | None = None,
    fraction: float | None = None,
    per: str | None = None,
    seed: int = 0,
    at_most: bool = False,
) -> Dataset:
    """The k rows with the lowest scores: the arm that shows whether the score means anything."""
    cut = best(dataset, column, k=k, fraction=fraction, per=per, seed=seed, at_most=at_most, lowest=True)
    return take(dataset, cut)


def random_k(
    dataset: Dataset, *, k: int, per: str | None = None, seed: int = 0, at_most: bool = False, among: str | None = None
) -> Dataset:
    """k rows drawn by seed; among= leaves out rows whose value in that column is null, as every other arm does."""
    drawn = np.argsort(tie_break(dataset["row_id"][:], f"draw:{seed}"))
    if among:
        drawn = drawn[~np.isnan(column_values(dataset, among))[drawn]]
    k = _allowed(k, len(drawn), at_most, f"rows of {among or 'the dataset'!r}")
    kept = _within(drawn, dataset, per, _shared_out(dataset, drawn, per, k)) if per else drawn[:k]
    return dataset.select(np.sort(kept))


def threshold(dataset: Dataset, column: str, minimum: float) -> Dataset:
    """Rows scored at least `minimum`."""
    return take(dataset, at_least(dataset, column, minimum))


def band(dataset: Dataset, column: str, low: float, high: float, *, seed: int = 0) -> Dataset:
    """Rows between two quantiles of the scored rows, 0 the worst and 1 the best: is the very best really best?"""
    return take(dataset, between(dataset, column, low, high, seed=seed))


def best(
    dataset: Dataset,
    column: str,
    *,
    k: int | None = None,
    fraction: float | None = None,
    per: str | None = None,
    seed: int = 0,
    at_most: bool = False,
    one_of_each: str | None = None,
    lowest: bool = False,
) -> Cut:
    """k rows, or that share of all rows of the dataset: unscored rows and rows that one_of_each leaves out count."""
    if (k is None) == (fraction is None):
        raise ConfigError(f"{column}: give k or fraction, one of them (k={k}, fraction={fraction})")
    asked = f"rows of {column!r}"
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ConfigError(f"fraction: {fraction} is not accepted; expected a number above 0, at most 1")
        k = max(1, round(fraction * len(dataset)))
        asked += f" ({fraction:g} of {len(dataset)})"
    cut = Cut(column, seed, one_of_each=one_of_each, lowest=lowest)
    order = _best_first(dataset, cut)
    k = _allowed(k, len(order), at_most, asked, f"a score, one of each {one_of_each}" if one_of_each else "a score")
    if per is None:
        return replace(cut, k=k)
    return replace(cut, per=per, quotas=_shared_out(dataset, order, per, k))


def at_least(dataset: Dataset, column: str, minimum: float, *, seed: int = 0, one_of_each: str | None = None) -> Cut:
    """All rows scored at least `minimum`, which is taken as the column would store it."""
    cut = Cut(column, seed, minimum=in_type_of(dataset, column, minimum), one_of_each=one_of_each)
    if len(_positions(dataset, cut)) == 0:
        raise ConfigError(f"threshold: no row of {column!r} reaches {minimum}; {_range(dataset, column)}")
    return cut


def between(
    dataset: Dataset, column: str, low: float, high: float, *, seed: int = 0, one_of_each: str | None = None
) -> Cut:
    """All rows between two quantiles of the scored rows."""
    if not 0 <= low < high <= 1:
        raise ConfigError(f"band: [{low}, {high}] is not accepted; expected two numbers with 0 <= low < high <= 1")
    cut = Cut(column, seed, one_of_each=one_of_each)
    scored = len(_best_first(dataset, cut))
    ranks = (round(low * scored), round(high * scored))
    if ranks[0] == ranks[1]:
        raise ConfigError(f"band: no row of {column!r} lies in [{low}, {high}]; {_range(dataset, column)}")
    return replace(cut, ranks=ranks)


def take(dataset: Dataset, cut: Cut) -> Dataset:
    """The rows that a cut lets in, in the dataset's order."""
    return dataset.select(_positions(dataset, cut))


def ranked(dataset: Dataset, column: str, *, seed: int = 0) -> np.ndarray:
    """Positions of all scored rows, best first."""
    return _best_first(dataset, Cut(column, seed))


def diverse(
    dataset: Dataset,
    embedding_column: str,
    *,
    k: int,
    by: str | None = None,
    seed: int = 0,
    at_most: bool = False,
) -> Dataset:
    """k rows spread over the embedding space: greedy k-centre, starting from the best row (by=) or a drawn one.

    Each step takes the row farthest (by cosine) from all taken so far, so near-copies come last.
    """
    vectors, usable = unit_vectors(dataset, embedding_column)
    order = np.argsort(ties_of(dataset, seed)) if by is None else ranked(dataset, by, seed=seed)
    order = order[usable[order]]
    k = _allowed(k, len(order), at_most, f"rows of {embedding_column!r}", have="a usable value")
    if k == 0:
        return dataset.select([])

    vectors = vectors[order]  # best first, so that the first of equally far rows is the best of them
    taken = [0]
    nearest = 1.0 - vectors @ vectors[0]
    nearest[0] = -np.inf
    while len(taken) < k:
        chosen = int(np.argmax(nearest >= nearest.max() - 1e-7))
        taken.append(chosen)
        nearest = np.minimum(nearest, 1.0 - vectors @ vectors[chosen])
        nearest[chosen] = -np.inf
    return dataset.select(np.sort(order[taken]))


def with_weighted(
    dataset: Dataset, weights: dict[str, float], name: str, *, scale: Literal["rank", "raw"] = "rank"
) -> Dataset:
    """Adds one column, the weighted mean of several; null where any of them is.

    rank: each column counts by the share of scored rows it beats (0 worst, 1 best), so that a similarity between 0.2
    and 0.3 and a sharpness between 0 and 1 weigh the same. raw: as they are.
    """
    total = sum(weights.values())
    if not weights or total <= 0 or any(weight < 0 for weight in weights.values()):
        raise ConfigError(f"weights: {weights} is not accepted; expected column: weight, none negative, not all zero")
    if name in dataset.column_names:
        raise ConfigError(
            f"weights: the dataset has a column {name!r} already, and their mean would write over it; select by it "
            f"(select_by: {name}), or read the dataset without it (columns)"
        )
    combined = np.zeros(len(dataset))
    for column, weight in weights.items():
        scores = column_values(dataset, column)
        combined += weight * (_shares(scores) if scale == "rank" else scores)
    values = pa.array(combined / total, mask=np.isnan(combined))  # floats even where no row has a value
    return dataset.add_column(name, values)


def mixture(dataset: Dataset, column: str) -> dict[str | None, int]:
    """How many rows each value of a column has, most first; None: the rows without."""
    codes, labels = groups(dataset, column)
    return dict(sorted(_counted(codes, labels).items(), key=lambda item: (-item[1], _sorting(item[0]))))


def quotas(counts: dict[str | None, int], k: int) -> dict[str | None, int]:
    """k shared out in proportion to each group's rows: largest remainders, ties to the larger group."""
    total = max(sum(counts.values()), 1)
    shares = {label: count * k // total for label, count in counts.items()}
    left = k - sum(shares.values())
    first = sorted(counts, key=lambda label: (-(counts[label] * k % total), -counts[label], _sorting(label)))
    for label in first[:left]:
        shares[label] += 1
    return shares


def _positions(dataset: Dataset, cut: Cut) -> np.ndarray:
    order = _best_first(dataset, cut)
    if cut.minimum is not None:
        order = order[column_values(dataset, cut.column)[order] >= float(cut.minimum)]
    elif cut.ranks is not None:
        order = order[len(order) - cut.ranks[1] : len(order) - cut.ranks[0]]
    elif cut.quotas is not None:
        order = _within(order, dataset, cut.per, cut.quotas)
    else:
        order = order[: cut.k]
    return np.sort(order)


def _best_first(dataset: Dataset, cut: Cut) -> np.ndarray:
    """Positions of the rows that a cut chooses among, in the order in which it does."""
    scores = column_values(dataset, cut.column)
    ties = ties_of(dataset, cut.seed)
    order = np.lexsort([ties, -scores])
    order = order[~np.isnan(scores[order])]
    if cut.one_of_each:
        first = np.unique(groups(dataset, cut.one_of_each)[0][order], return_index=True)[1]
        order = order[np.sort(first)]
    return order[np.lexsort([ties[order], scores[order]])] if cut.lowest else order


def _shared_out(dataset: Dataset, order: np.ndarray, per: str, k: int) -> dict[str | None, int]:
    codes, labels = groups(dataset, per)
    return quotas(_counted(codes[order], labels), k)


def _within(order: np.ndarray, dataset: Dataset, per: str, shares: dict[str | None, int]) -> np.ndarray:
    """The first of each group, as many as its share."""
    codes, labels = groups(dataset, per)
    share = np.asarray([shares.get(label, 0) for label in labels])
    by_group = np.argsort(codes[order], kind="stable")
    own = codes[order][by_group]
    place = np.arange(len(own)) - np.searchsorted(own, own)
    return order[by_group[place < share[own]]]


def _counted(codes: np.ndarray, labels: list[str | None]) -> dict[str | None, int]:
    counts = np.bincount(codes, minlength=len(labels)).tolist()
    return {label: count for label, count in zip(labels, counts, strict=True) if count}


def _sorting(label: str | None) -> tuple[bool, str]:
    return (label is None, label or "")


def _allowed(k: int, available: int, at_most: bool, asked: str, have: str = "a score") -> int:
    if k < 1:
        raise ConfigError(f"k: {k} is not accepted; expected a whole number, 1 or more")
    if k > available and not at_most:
        raise ConfigError(f"k: {k} {asked} were asked for, {available} have {have}; ask for fewer")
    return min(k, available)


def _range(dataset: Dataset, column: str) -> str:
    scores = column_values(dataset, column)
    scores = scores[~np.isnan(scores)]
    if len(scores) == 0:
        return "no row has a score"
    return f"its {len(scores)} scored rows lie from {scores.min():g} to {scores.max():g}"


def _shares(scores: np.ndarray) -> np.ndarray:
    """The share of the other scored rows that each beats, ties half: mean rank, rescaled to 0..1."""
    from scipy.stats import rankdata

    shares = np.full(len(scores), np.nan)
    scored = ~np.isnan(scores)
    ranks = rankdata(scores[scored])
    shares[scored] = (ranks - 1) / max(len(ranks) - 1, 1)
    return shares
