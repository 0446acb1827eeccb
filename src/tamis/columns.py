"""Columns as arrays, or refused by name: scores to rank by, groups to share out by, vectors to spread over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datasets import Dataset

EXACT = 2**53  # whole numbers beyond it share a float64 with their neighbours


def column_values(dataset: Dataset, column: str) -> np.ndarray:
    """A numeric column as floats, null as NaN, false and true as 0 and 1.

    Refused: what is no number (digits in a text are text), infinities (they win every ranking), and whole numbers
    that floats do not tell apart.
    """
    values = as_arrow(dataset, column)
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(f"column {column!r} is {kind}, not a number: it cannot be ranked by")
    if pa.types.is_integer(kind):
        ends = pc.min_max(values).as_py()
        if max(abs(ends["min"] or 0), abs(ends["max"] or 0)) > EXACT:
            raise ConfigError(f"column {column!r} has whole numbers beyond 2^53, which floats do not tell apart")
    scores = np.asarray(values.cast("float64").to_numpy(), dtype=np.float64)
    if np.isinf(scores).any():
        raise ConfigError(f"column {column!r} has infinite values: it cannot be ranked by")
    return scores


def in_type_of(dataset: Dataset, column: str, number: float) -> np.floating:
    """A number as the column would store it: 0.7 in a column of 32 bits is the 0.7 that its rows hold."""
    kind = as_arrow(dataset, column).type
    with np.errstate(over="ignore"):
        if pa.types.is_float16(kind):
            return np.float32(np.float16(number))
        return np.float32(number) if pa.types.is_float32(kind) else np.float64(number)


def groups(dataset: Dataset, column: str) -> tuple[np.ndarray, list[str | None]]:
    """For each row the number of its group, and the groups' labels: texts as DuckDB's ::VARCHAR makes them, or None."""
    values = as_arrow(dataset, column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    if not (texts or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(f"column {column!r} is {kind}: rows are grouped by texts, whole numbers, or true and false")
    if pa.types.is_null(kind):
        return np.zeros(len(values), dtype=np.int64), [None]
    encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    labels = [str(label).lower() if isinstance(label, bool) else label for label in encoded.dictionary.to_pylist()]
    codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return codes, [label if label is None else str(label) for label in labels]


def members(dataset: Dataset, subset: Dataset) -> np.ndarray:
    """Which rows of a dataset are in a subset of it, by row_id."""
    known = as_arrow(subset, "row_id").combine_chunks()
    return np.asarray(pc.is_in(as_arrow(dataset, "row_id"), value_set=known).to_numpy(), dtype=bool)


def unit_vectors(dataset: Dataset, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length one, and which rows have one: none where the value is null or holds a null, NaN or infinity."""
    rows = as_arrow(dataset, column).combine_chunks()
    kind = rows.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise ConfigError(f"column {column!r} is {kind}: vectors are lists of numbers")
    there = rows.is_valid().to_numpy(zero_copy_only=False)
    widths = pc.unique(pc.list_value_length(rows).drop_null()).to_pylist()
    if len(widths) > 1:
        raise ConfigError(
            f"column {column!r} holds vectors of {min(widths)} to {max(widths)} numbers; expected one length"
        )
    width = widths[0] if widths else 0
    vectors = np.zeros((len(rows), width), dtype=np.float32)
    if not width:
        return vectors, np.zeros(len(rows), dtype=bool)
    flat = np.asarray(rows.flatten().cast("float32").to_numpy(zero_copy_only=False), dtype=np.float32)
    vectors[there] = flat.reshape(-1, width)
    finite = np.isfinite(vectors).all(axis=1)
    vectors[~finite] = 0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms), there & finite


def as_arrow(dataset: Dataset, column: str) -> pa.ChunkedArray:
    if column not in dataset.column_names:
        raise ConfigError(f"column {column!r} is not in the dataset; it has: {', '.join(dataset.column_names)}")
    if dataset._indices is None:  # methods of a dataset copy it: seconds, where its parts are many
        return dataset.data.column(column)
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def texts_of(dataset: Dataset, column: str) -> Iterator[str]:
    """A text column's values, read in slices: never all of them at once."""
    for batch in dataset.select_columns([column]).iter(1_000):
        yield from batch[column]
