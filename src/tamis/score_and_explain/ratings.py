"""Pictures with a score from 1 to 10, a row each: what every reader returns, and what none of them lets through."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.images import Unscorable, decode_image, image_bytes
from tamis.score_and_explain.scales import whole
from tamis.score_and_explain.splits import fixed

if TYPE_CHECKING:
    from datasets import Dataset, Features

    from tamis.run import Run
    from tamis.sources import Source

TWICE = "its id stands in an earlier line"
NO_SCORE, NO_NUMBER, OUTSIDE = "no score", "a score that is no number", "a score outside the scale"
NO_VOTES, NO_COUNTS = "no votes", "votes that are no ten counts"
ELSEWHERE = "its picture is in another split"
LOOKED_AT_ONCE, LOOKERS = 64, 4


@dataclass(frozen=True)
class Ratings:
    table: Dataset  # a row a picture: rating_features(), images undecoded
    refused: dict[str, int]  # rows that are none, by reason
    source: Source


def rating_features() -> Features:
    """score: mean, rounded to the nearest, halves up. votes: how often 1, 2, ... 10 were given, or null."""
    from datasets import Features, Image, List, Value

    told = {"row_id": Value("string"), "image": Image(decode=False), "score": Value("int64"), "mean": Value("float64")}
    return Features(told | {"votes": List(Value("int64")), "split": Value("string")})


def of_means(
    row_ids: Sequence[str],
    paths: Sequence[str],
    means: Sequence[float],
    votes: Sequence[list[int] | None],
    splits: Sequence[str | None],
) -> Dataset:
    """Rows of pictures that are files: they are named by path, and not read."""
    from datasets import Dataset

    columns = {
        "row_id": row_ids,
        "image": [{"bytes": None, "path": path} for path in paths],
        "score": [whole(mean) for mean in means],
        "mean": means,
        "votes": votes,
        "split": splits,
    }
    return Dataset.from_dict(columns, features=rating_features())


def finished(
    table: Dataset,
    source: Source,
    *,
    run: Run,
    faults: Sequence[str | None] | None = None,
    refused: Counter[str] | None = None,
    order: Sequence[str],
    shares: dict[str, float],
    seed: int,
) -> Ratings:
    """The rows whose picture can be read, each in its split. Every picture is opened once, by one rank, on threads.

    faults: why a row of the table is none. refused: what never became one. The rest: as splits.fixed has it.
    """
    reasons = list(faults) if faults is not None else [None] * len(table)
    refused = Counter(refused)
    sound = [at for at, reason in enumerate(reasons) if reason is None]
    contents = run.from_main(look(table.select(sound)) if run.is_main else None)
    for at, seen in zip(sound, contents, strict=True):
        reasons[at] = str(seen) if isinstance(seen, Unscorable) else None
    contents = [seen for seen in contents if not isinstance(seen, Unscorable)]
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    if not kept:
        _refuse_nothing(source, refused + Counter(reasons))
    some = table.select(kept) if len(kept) < len(table) else table
    splits = fixed(some["row_id"][:], contents, some["split"][:], order=order, shares=shares, seed=seed)
    for at, split in zip(kept, splits, strict=True):
        reasons[at] = ELSEWHERE if split is None else None
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    if len(kept) < len(table):  # flattened at once: scorers add their columns beside, and would do so each time
        table = table.select(kept).flatten_indices()
    table = _with_splits(table, [split for split in splits if split is not None])
    _refuse_unvaried(table, source.repo_id)
    refused.update(reason for reason in reasons if reason is not None)
    return Ratings(table, dict(refused.most_common()), source)


def look(table: Dataset) -> list[str | Unscorable]:
    """For each row a hash of its picture's file, or why there is no picture. A few at a time are in memory."""
    with ThreadPoolExecutor(LOOKERS) as pool:
        return [seen for some in _some(table) for seen in pool.map(_seen, some)]


def _some(table: Dataset) -> Iterator[list[Any]]:
    for start in range(0, len(table), LOOKED_AT_ONCE):
        yield table[start : start + LOOKED_AT_ONCE]["image"]


def _seen(value: Any) -> str | Unscorable:
    try:
        content = image_bytes(value)
        decode_image(content)  # in full: AVA's copies hold pictures that end half-way
    except Unscorable as reason:
        return reason
    return hashlib.sha256(content).hexdigest()[:32]


def _with_splits(table: Dataset, splits: list[str]) -> Dataset:
    names, feature = table.column_names, table.features["split"]
    return table.remove_columns("split").add_column("split", splits, feature=feature).select_columns(names)


def _refuse_nothing(source: Source, reasons: Counter[str | None]) -> None:
    why = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common() if reason is not None)
    raise ConfigError(f"{source.repo_id!r}: no row can be used ({why or 'there is none'})")


def _refuse_unvaried(table: Dataset, name: str) -> None:
    """Where all scores are one, nothing can be learnt of them, and no rank correlation be measured."""
    told = list(zip(table["split"][:], table["mean"][:], table["score"][:], strict=True))
    means = [mean for _, mean, _ in told]
    if min(means) == max(means):
        raise ConfigError(
            f"{name!r}: the score is {means[0]:g} in all {len(told)} rows; nothing is to be learnt of that"
        )
    for split in dict.fromkeys(split for split, _, _ in told):
        some = [mean for one, mean, _ in told if one == split]
        if min(some) == max(some):
            rows = f"all {len(some)} rows" if len(some) > 1 else "the one row"
            raise ConfigError(f"{name!r}: the score is {some[0]:g} in {rows} of split {split!r}; give it more rows")
    trained = [(mean, score) for split, mean, score in told if split == "train"] or [one[1:] for one in told]
    if len({score for _, score in trained}) == 1:
        lowest, highest = min(trained)[0], max(trained)[0]
        raise ConfigError(
            f"{name!r}: scores to train on are {lowest:.3g} to {highest:.3g} of 1 to 10, and all become "
            f"{trained[0][1]} when rounded; is the stated scale wider than the scores are?"
        )
