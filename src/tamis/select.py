"""Which rows to keep: pure arithmetic on columns.

The count is exact, the order is the dataset's own, ties are broken by a seeded hash of row_id, a null or NaN score is
never kept, and asking for more rows than there are is an error unless the caller says at_most. Higher is better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tamis.config import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset


def top_k(
    dataset: Dataset,
    column: str,
    *,
    k: int | None = None,
    fraction: float | None = None,
    per: str | None = None,
    seed: int = 0,
    at_most: bool = False,
) -> Dataset:
    """The k rows (or that fraction of the rows) with the highest scores; per= keeps the mixture of that column."""
    return dataset.select(best(dataset, column, k=k, fraction=fraction, per=per, seed=seed, at_most=at_most))


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
    kept = best(dataset, column, k=k, fraction=fraction, per=per, seed=seed, at_most=at_most, lowest=True)
    return dataset.select(kept)


def random_k(
    dataset: Dataset, *, k: int, per: str | None = None, seed: int = 0, at_most: bool = False, among: str | None = None
) -> Dataset:
    """k rows drawn by seed; among= leaves out rows whose value in that column is null, as every other arm does."""
    drawn = np.asarray([_digest(f"draw:{seed}", row_id) for row_id in dataset["row_id"]])
    allowed = _usable(dataset, among) if among else np.ones(len(dataset), dtype=bool)
    return dataset.select(_choose(dataset, allowed, [drawn], k, None, per, at_most, "random"))


def threshold(dataset: Dataset, column: str, minimum: float) -> Dataset:
    """Rows scored at least `minimum`."""
    scores = column_values(dataset, column)
    return dataset.select(np.flatnonzero(np.nan_to_num(scores, nan=-np.inf) >= minimum))


def band(dataset: Dataset, column: str, low: float, high: float, *, seed: int = 0) -> Dataset:
    """Rows between two quantiles of the scored rows, 0 the worst and 1 the best: is the very best really best?"""
    if not 0 <= low < high <= 1:
        raise ConfigError(f"band: [{low}, {high}] is not accepted; expected two numbers with 0 <= low < high <= 1")
    usable = _usable(dataset, column)
    order = ranked(dataset, column, seed=seed)[::-1]  # worst first
    scored = int(usable.sum())
    return dataset.select(np.sort(order[round(low * scored) : round(high * scored)]))


def best(
    dataset: Dataset,
    column: str,
    *,
    k: int | None = None,
    fraction: float | None = None,
    per: str | None = None,
    seed: int = 0,
    at_most: bool = False,
    lowest: bool = False,
) -> np.ndarray:
    """Positions of the rows that top_k (lowest: bottom_k) keeps, in the dataset's order."""
    scores = column_values(dataset, column)
    keys = [tie_break(dataset["row_id"], seed), scores if lowest else -scores]
    return _choose(dataset, ~np.isnan(scores), keys, k, fraction, per, at_most, column)


def ranked(dataset: Dataset, column: str, *, seed: int = 0) -> np.ndarray:
    """Positions of all scored rows, best first."""
    scores = column_values(dataset, column)
    order = np.lexsort([tie_break(dataset["row_id"], seed), -scores])
    return order[~np.isnan(scores[order])]


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
    vectors, usable = _embeddings(dataset, embedding_column)
    if by is not None:
        usable = usable & _usable(dataset, by)
    candidates = np.flatnonzero(usable)
    k = _allowed(k, len(candidates), at_most, embedding_column)
    if k == 0:
        return dataset.select([])
    order = tie_break(dataset["row_id"], seed)[candidates]
    keys = [order] if by is None else [order, -column_values(dataset, by)[candidates]]
    priority = np.empty(len(candidates), dtype=np.int64)
    priority[np.lexsort(keys)] = np.arange(len(candidates))  # breaks ties between equally far rows

    vectors = vectors[candidates]
    taken = [int(np.argmin(priority))]
    nearest = 1.0 - vectors @ vectors[taken[0]]
    left = np.ones(len(candidates), dtype=bool)
    left[taken[0]] = False
    while len(taken) < k:
        far = np.flatnonzero(left)
        reach = nearest[far]
        tied = far[reach >= reach.max() - 1e-7]
        chosen = int(tied[np.argmin(priority[tied])])
        taken.append(chosen)
        left[chosen] = False
        nearest = np.minimum(nearest, 1.0 - vectors @ vectors[chosen])
    return dataset.select(np.sort(candidates[taken]))


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
    combined = np.zeros(len(dataset))
    for column, weight in weights.items():
        scores = column_values(dataset, column)
        combined += weight * (_shares(scores) if scale == "rank" else scores)
    values = [None if np.isnan(value) else float(value) for value in combined / total]
    return dataset.add_column(name, values)


def mixture(dataset: Dataset, column: str) -> dict[Any, int]:
    """How many rows each value of a column has, most first."""
    values, counts = np.unique(np.asarray([_label(value) for value in dataset[column]]), return_counts=True)
    order = np.lexsort([values, -counts])
    return {str(values[position]): int(counts[position]) for position in order}


def quotas(groups: Sequence[Any], allowed: np.ndarray, k: int) -> dict[str, int]:
    """k shared out in proportion to each group's usable rows: largest remainders, ties to the larger group."""
    labels = np.asarray([_label(group) for group in groups])[allowed]
    values, counts = np.unique(labels, return_counts=True)
    exact = counts * (k / max(len(labels), 1))
    shares = np.floor(exact).astype(int)
    order = np.lexsort([values, -counts, -(exact - shares)])
    shares[order[: k - int(shares.sum())]] += 1
    return {str(value): int(share) for value, share in zip(values, shares, strict=True)}


def tie_break(row_ids: Sequence[str], seed: int) -> np.ndarray:
    """A text for each row, the smallest first among equals: md5, since SQL has it too and a card's query repeats it."""
    return np.asarray([_digest(str(seed), row_id) for row_id in row_ids])


def column_values(dataset: Dataset, column: str) -> np.ndarray:
    """A numeric column as floats, null as NaN; infinities are refused, since they would win every ranking."""
    if column not in dataset.column_names:
        raise ConfigError(f"column {column!r} is not in the dataset; it has: {', '.join(dataset.column_names)}")
    values = dataset.select_columns([column]).with_format("arrow")[:][column]
    try:
        scores = np.asarray(values.cast("float64").to_numpy(), dtype=np.float64)
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"column {column!r} is {values.type}, not a number: it cannot be ranked by") from error
    if np.isinf(scores).any():
        raise ConfigError(f"column {column!r} has infinite values: it cannot be ranked by")
    return scores


def _choose(
    dataset: Dataset,
    allowed: np.ndarray,
    keys: list[np.ndarray],
    k: int | None,
    fraction: float | None,
    per: str | None,
    at_most: bool,
    what: str,
) -> np.ndarray:
    """Positions of the first k allowed rows in the order of keys (numpy.lexsort: the last one leads)."""
    if (k is None) == (fraction is None):
        raise ConfigError(f"{what}: give k or fraction, one of them (k={k}, fraction={fraction})")
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ConfigError(f"fraction: {fraction} is not accepted; expected a number above 0, at most 1")
        k = max(1, round(fraction * len(dataset)))
    k = _allowed(k, int(allowed.sum()), at_most, what)
    order = np.lexsort(keys)
    order = order[allowed[order]]
    if per is None:
        return np.sort(order[:k])
    if per not in dataset.column_names:
        raise ConfigError(f"per: column {per!r} is not in the dataset; it has: {', '.join(dataset.column_names)}")
    groups = dataset[per]
    left = quotas(groups, allowed, k)
    kept = []
    for position in order.tolist():
        label = _label(groups[position])
        if left[label]:
            left[label] -= 1
            kept.append(position)
    return np.sort(np.asarray(kept, dtype=np.int64))


def _allowed(k: int, available: int, at_most: bool, what: str) -> int:
    if k < 0:
        raise ConfigError(f"k: {k} is not accepted; expected a whole number, 0 or more")
    if k > available and not at_most:
        raise ConfigError(
            f"k: {k} rows of {what!r} were asked for, {available} have a score; ask for fewer, or say at_most"
        )
    return min(k, available)


def _usable(dataset: Dataset, column: str) -> np.ndarray:
    return ~np.isnan(column_values(dataset, column))


def _shares(scores: np.ndarray) -> np.ndarray:
    """The share of the other scored rows that each beats, ties half: mean rank, rescaled to 0..1."""
    from scipy.stats import rankdata

    shares = np.full(len(scores), np.nan)
    scored = ~np.isnan(scores)
    ranks = rankdata(scores[scored])
    shares[scored] = (ranks - 1) / max(len(ranks) - 1, 1)
    return shares


def _embeddings(dataset: Dataset, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (zero where null) and which rows have one."""
    if column not in dataset.column_names:
        raise ConfigError(f"column {column!r} is not in the dataset; it has: {', '.join(dataset.column_names)}")
    rows = dataset.select_columns([column]).with_format("arrow")[:][column].combine_chunks()
    usable = rows.is_valid().to_numpy(zero_copy_only=False)
    flat = np.asarray(rows.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    width = len(flat) // max(int(usable.sum()), 1)
    vectors = np.zeros((len(rows), width), dtype=np.float32)
    vectors[usable] = flat.reshape(-1, width) if width else 0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms), usable


def _label(value: Any) -> str:
    return "null" if value is None else str(value)


def _digest(salt: str, row_id: str) -> str:
    return hashlib.md5(f"{salt}:{row_id}".encode(), usedforsecurity=False).hexdigest()
