"""Any dataset of pictures with scores, of the Hub or of a folder: a column of numbers on a stated scale, or votes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tamis.columns import as_arrow, in_type_of
from tamis.config import ConfigError
from tamis.rows import read_rows, refuse_non_images
from tamis.score_and_explain.ratings import (
    NO_COUNTS,
    NO_NUMBER,
    NO_SCORE,
    NO_VOTES,
    OUTSIDE,
    Ratings,
    finished,
    rating_features,
)
from tamis.score_and_explain.scales import HIGH, LOW, checked, mean_of, to_ten, whole
from tamis.score_and_explain.splits import SHARES

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run


Told = tuple[float | None, list[int] | None, str | None]  # mean, votes, why it is none


@dataclass(frozen=True)
class Columns:
    """What a dataset calls its columns: either that of scores is named, or that of votes."""

    image: str = "image"
    score: str | None = None  # numbers, higher is better
    votes: str | None = None  # how often 1, 2, ... 10 were given


def read_scored(
    path: str,
    *,
    run: Run,
    columns: Columns,
    scale: Sequence[float] | None = None,
    config_name: str | None = None,
    splits: Sequence[str] = ("train",),
    revision: str | None = None,
    limit: int | None = None,
    id_column: str | None = None,
    keep: Sequence[str] = (),
    shares: dict[str, float] = SHARES,
    seed: int = 0,
) -> Ratings:
    """A row a picture. scale: the lowest and the highest score there can be, which become 1 and 10.

    Where several splits are read, they stay; one picture in several of them stays in the last. Where one is read, it is
    shared out. keep: columns that come along under their names. limit: the first rows of each split.
    """
    from datasets import concatenate_datasets

    ends = _ends(columns, scale)
    if strangers := [name for name in keep if name in rating_features()]:
        raise ConfigError(f"keep: {strangers[0]!r} is the name of a column that is made here")
    if not splits or len(set(splits)) < len(splits):
        raise ConfigError(f"splits: {list(splits)} is not accepted; expected names of splits, each once")
    parts, faults, source = [], [], None
    for split in splits:
        rows, source = read_rows(
            path,
            run=run,
            config_name=config_name,
            split=split,
            revision=revision,
            limit=limit,
            id_column=id_column,
            needs=(columns.image, columns.score, columns.votes, *keep),
        )
        part, why = _formed(rows, columns, ends, split if len(splits) > 1 else None, keep)
        parts.append(part)
        faults.extend(why)
    table = concatenate_datasets(parts).select_columns([*rating_features(), *keep])  # it orders them its own way
    twice, often = Counter(table["row_id"][:]).most_common(1)[0]
    if often > 1:
        raise ConfigError(f"row_id: {twice!r} stands in more than one split; row ids must differ")
    return finished(
        table, source, run=run, faults=faults, order=splits if len(splits) > 1 else (), shares=shares, seed=seed
    )


def _ends(columns: Columns, scale: Sequence[float] | None) -> tuple[float, float]:
    if (columns.score is None) == (columns.votes is None):
        raise ConfigError("score_column, votes_column: name one of them")
    if columns.votes is not None:
        if scale is not None and checked(scale) != (LOW, HIGH):
            raise ConfigError(f"scale: {list(scale)} is not accepted; votes are from {LOW} to {HIGH}")
        return LOW, HIGH
    if scale is None:
        raise ConfigError(f"scale: not stated; expected the lowest and the highest {columns.score!r} there can be")
    return checked(scale)


def _formed(
    rows: Dataset, columns: Columns, ends: tuple[float, float], split: str | None, keep: Sequence[str]
) -> tuple[Dataset, list[str | None]]:
    """The rows under our own names, and why each is none; images are taken as they are stored, not written anew."""
    from datasets import Dataset, concatenate_datasets

    features = rating_features()
    refuse_non_images(rows.features, columns.image)
    pictured = rows.select_columns(["row_id", columns.image]).rename_columns({columns.image: "image"})
    pictured = pictured.cast_column("image", features["image"])  # of a column of bytes; of images it copies nothing
    if columns.votes is not None:
        told = [_of_votes(votes) for votes in _votes(rows, columns.votes)]
    else:
        told = _of_scores(rows, columns.score, ends)
    made = {
        "score": [None if mean is None else whole(mean) for mean, _, _ in told],
        "mean": [mean for mean, _, _ in told],
        "votes": [votes for _, votes, _ in told],
        "split": [split] * len(told),
    }
    beside = Dataset.from_dict(made, features=type(features)({name: features[name] for name in made}))
    parts = [pictured, beside] + ([rows.select_columns(list(keep))] if keep else [])
    return concatenate_datasets(parts, axis=1), [why for _, _, why in told]


def _of_scores(rows: Dataset, column: str, ends: tuple[float, float]) -> list[Told]:
    values = as_arrow(rows, column)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise ConfigError(f"score_column: {column!r} is {values.type}, not numbers")
    low, high = (float(in_type_of(rows, column, end)) for end in ends)  # 0.7 as a column of 32 bits holds it
    if not low < high:
        raise ConfigError(f"scale: {list(ends)} is not accepted; column {column!r} is {values.type}: its ends are one")
    return [_of_score(value, low, high) for value in values.cast(pa.float64(), safe=False).to_pylist()]


def _of_score(value: float | None, low: float, high: float) -> Told:
    if value is None:
        return None, None, NO_SCORE
    if not math.isfinite(value):
        return None, None, NO_NUMBER
    if not low <= value <= high:
        return None, None, OUTSIDE
    return to_ten(value, low, high), None, None


def _votes(rows: Dataset, column: str) -> list[Any]:
    values = as_arrow(rows, column)
    kind = values.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_integer(kind.value_type):
        raise ConfigError(f"votes_column: {column!r} is {kind}, not lists of ten counts")
    return values.to_pylist()


def _of_votes(votes: list[int | None] | None) -> Told:
    if votes is None:
        return None, None, NO_VOTES
    if len(votes) != HIGH or any(count is None or count < 0 for count in votes):
        return None, None, NO_COUNTS
    if not any(votes):
        return None, None, NO_VOTES
    return mean_of(votes), votes, None
