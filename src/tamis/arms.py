"""Arms: named subsets of one pool, what their rows score on average, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.metrics import stats
from tamis.select import column_values

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run


def with_arms(pool: Dataset, subsets: dict[str, Dataset]) -> Dataset:
    """The pool with a column `arms`, the names of the subsets a row is in: any of them is one filter away."""
    from datasets import List, Value

    members = {name: set(subset["row_id"]) for name, subset in subsets.items()}
    named = [[name for name in members if row_id in members[name]] for row_id in pool["row_id"]]
    return pool.add_column("arms", named, feature=List(Value("string")))


def numeric(dataset: Dataset, columns: Sequence[str]) -> list[str]:
    """Those of the columns that a mean makes sense of, each once: no hashes, no embeddings, no reasons."""
    kinds = {name: getattr(feature, "dtype", "") for name, feature in dataset.features.items()}
    return [name for name in dict.fromkeys(columns) if kinds[name].startswith(("float", "int", "uint"))]


def aggregate(dataset: Dataset, columns: Sequence[str], *, seed: int) -> dict[str, dict[str, Any]]:
    """A metric is a scored column, aggregated: its mean, interval, n and nulls."""
    return {column: asdict(stats.mean(_values(dataset, column), seed=seed)) for column in columns}


def compare(a: str, b: str, pool: Dataset, column: str, *, seed: int) -> dict[str, Any]:
    """Arm a against arm b, subsets of the pool that may share rows, in one column; `full` is the pool itself."""
    members = [np.asarray([name == "full" or name in arms for arms in pool["arms"]]) for name in (a, b)]
    return {"a": a, "b": b, "metric": column, **asdict(stats.subsets(_values(pool, column), *members, seed=seed))}


def show(run: Run, metrics: dict[str, dict[str, dict[str, Any]]], columns: Sequence[str]) -> None:
    """One table for the terminal: a line a metric, a column an arm."""
    names = list(metrics)
    wide = max(len(column) for column in columns)
    run.say("\n" + " " * wide + "".join(name.rjust(14) for name in names))
    for column in columns:
        run.say(column.ljust(wide) + "".join(_shown(metrics[name][column]).rjust(14) for name in names))
    run.say("n".ljust(wide) + "".join(f"{max(m['n'] for m in metrics[name].values()):,}".rjust(14) for name in names))


def _values(dataset: Dataset, column: str) -> list[float | None]:
    return [None if np.isnan(value) else value for value in column_values(dataset, column).tolist()]


def _shown(metric: dict[str, Any]) -> str:
    return "–" if metric["value"] is None else f"{metric['value']:.3f}"
