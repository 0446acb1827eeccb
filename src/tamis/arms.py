"""Arms: named subsets of one pool, what their rows score on average, and how they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.cards import nulls_by_reason
from tamis.columns import column_values
from tamis.config import ConfigError
from tamis.metrics import stats
from tamis.near_duplicates import near_duplicate_groups

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run

TERMINAL = 120  # characters a line of a table takes at most
NEAR_DUPLICATES = "near_duplicate_group"


def with_arms(pool: Dataset, subsets: dict[str, Dataset]) -> Dataset:
    """The pool with a column `arms`, the names of the subsets a row is in: any of them is one filter away."""
    from datasets import List, Value

    members = {name: set(subset["row_id"][:]) for name, subset in subsets.items()}
    named = [[name for name in members if row_id in members[name]] for row_id in pool["row_id"][:]]
    return _with_own(pool, "arms", named, List(Value("string")))


def with_near_duplicates(pool: Dataset, hash_column: str, distance: int) -> Dataset:
    """The pool with a column `near_duplicate_group`, a number for each group of rows whose hashes are close."""
    from datasets import Value

    feature = pool.features.get(hash_column)
    if not isinstance(feature, Value) or feature.dtype not in ("string", "large_string"):
        what = f"is {getattr(feature, 'dtype', feature)}" if feature else "is not in the dataset"
        raise ConfigError(
            f"deduplicate: column {hash_column!r} {what}; expected hashes, as the scorer duplicates makes"
        )
    try:
        groups = near_duplicate_groups(pool[hash_column][:], distance)
    except ValueError as error:
        raise ConfigError(f"deduplicate: column {hash_column!r}: {error}") from error
    return _with_own(pool, NEAR_DUPLICATES, groups, Value("int64"))


def _with_own(pool: Dataset, name: str, values: Any, feature: Any) -> Dataset:
    """Adds a column that is ours: of a pool that came from here before, the old one makes room."""
    if name in pool.column_names:
        if pool.features[name] != feature:
            raise ConfigError(f"column {name!r} is in the dataset and not of our making; rename it, or leave it out")
        pool = pool.remove_columns(name)
    return pool.add_column(name, values, feature=feature)


def without_score(pool: Dataset) -> Dataset:
    """Room for the weighted mean: the `score` of a pool that came from here before (its `arms` tell) makes way."""
    from datasets import List, Value

    if "score" not in pool.column_names:
        return pool
    # Somebody else's columns of these names would be lost without a word.
    if pool.features.get("arms") != List(Value("string")) or pool.features["score"] != Value("float64"):
        raise ConfigError(
            "weights: their mean would be the column 'score', which the dataset has already; leave that one out "
            "(columns: ...) or rename it"
        )
    return pool.remove_columns("score")


def numeric(dataset: Dataset, columns: Sequence[str]) -> list[str]:
    """Those of the columns that a mean makes sense of, each once: no hashes, no embeddings, no reasons."""
    kinds = {name: getattr(feature, "dtype", "") for name, feature in dataset.features.items()}
    return [name for name in dict.fromkeys(columns) if kinds[name].startswith(("float", "int", "uint", "bool"))]


def nulls(pool: Dataset, columns: Sequence[str], weighted: Collection[str] = ()) -> dict[str, dict[str, int]]:
    """Rows without a value in these columns, by reason: NAME_error's, or none was given. weighted: means of ours."""
    found = {}
    for column in columns:
        empty = np.flatnonzero(np.isnan(column_values(pool, column)))
        own = None if column in weighted else error_column(pool.column_names, column)
        silent = "a column it weighs is null" if column in weighted else "null in the source"
        reasons = pool[own][:] if own and len(empty) else [None] * len(pool)
        found[column] = dict(Counter(reasons[row] or silent for row in empty.tolist()))
    return found


def error_column(names: Sequence[str], column: str) -> str | None:
    """The column of these that says why a score is null: NAME_error of the scorer whose column it is."""
    own = [
        name
        for name in names
        if name.endswith("_error") and (column == name.removesuffix("_error") or column.startswith(name[:-5]))
    ]
    return max(own, key=len, default=None)


def measure(pool: Dataset, subsets: dict[str, Dataset], columns: Sequence[str], *, seed: int) -> dict[str, Any]:
    """What results.json tells of arms: every column's mean in each, and the first arm against the others."""
    first, *others = subsets
    return {
        "arms": {name: aggregate(arm, columns, seed=seed) for name, arm in {"full": pool, **subsets}.items()},
        "comparisons": [
            compare(first, other, pool, column, seed=seed) for other in (*others, "full") for column in columns
        ],
    }


def aggregate(dataset: Dataset, columns: Sequence[str], *, seed: int) -> dict[str, dict[str, Any]]:
    """A metric is a scored column, aggregated: its mean, interval, n and nulls."""
    return {column: asdict(stats.mean(_values(dataset, column), seed=seed)) for column in columns}


def compare(a: str, b: str, pool: Dataset, column: str, *, seed: int) -> dict[str, Any]:
    """Arm a against arm b, subsets of the pool that may share rows, in one column; `full` is the pool itself."""
    members = [np.asarray([name == "full" or name in arms for arms in pool["arms"][:]]) for name in (a, b)]
    return {"a": a, "b": b, "metric": column, **asdict(stats.subsets(_values(pool, column), *members, seed=seed))}


def show(
    run: Run,
    metrics: dict[str, dict[str, dict[str, Any]]],
    columns: Sequence[str],
    nulls: dict[str, dict[str, dict[str, int]]] | None = None,
) -> None:
    """One table for the terminal: a line a metric and a column an arm, or the other way where arms are more.

    nulls: what has them (rows, unless told) to column to reason to count, said below.
    """
    table = [["", *metrics]]
    table += [[column, *(_shown(metrics[name].get(column)) for name in metrics)] for column in columns]
    table += [["n", *(f"{max(m['n'] for m in metrics[name].values()):,}" for name in metrics)]]
    if len(metrics) > len(columns):
        table = [list(line) for line in zip(*table, strict=True)]
    least = 14 if len(metrics) <= len(columns) else 0  # of arms' names many are as long
    wide = [max(least, 2 + max(map(len, cells))) for cells in zip(*table, strict=True)]
    first = max(len(line[0]) for line in table)
    parts: list[list[int]] = [[]]  # side by side what a terminal is wide enough for, the rest below
    for column in range(1, len(wide)):
        if parts[-1] and first + sum(wide[one] for one in (*parts[-1], column)) > TERMINAL:
            parts.append([])
        parts[-1].append(column)
    for part in parts:
        run.say()
        for line in table:
            run.say(line[0].ljust(first) + "".join(line[one].rjust(wide[one]) for one in part))
    show_nulls(run, nulls)


def show_nulls(run: Run, nulls: dict[str, dict[str, dict[str, int]]] | None = None) -> None:
    """Which columns have none, why, and in how many rows."""
    for what, found in ({"rows": run.nulls} if nulls is None else nulls).items():
        for columns_without, reason, count in nulls_by_reason(found):
            run.say(f"{count:,} {what} without {', '.join(columns_without)}: {reason}")


def _values(dataset: Dataset, column: str) -> list[float | None]:
    return [None if np.isnan(value) else value for value in column_values(dataset, column).tolist()]


def _shown(metric: dict[str, Any] | None) -> str:
    return "–" if metric is None or metric["value"] is None else f"{metric['value']:.3f}"
