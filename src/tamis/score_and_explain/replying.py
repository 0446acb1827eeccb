"""What each model says of the test pictures, as rows: one for each arm, seed and picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tamis.seeds import seed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

KEY = ("arm", "seed", "row_id")
UNREAD = "not drawn to be read by judges"


def replies(scored: Dataset, arm: str, seed: int) -> Dataset:
    """Test rows that a model has replied to, without their pictures, as rows of that arm."""
    from datasets import Value

    told = scored.remove_columns("image")
    told = told.add_column("arm", [arm] * len(told), feature=Value("string"))
    return told.add_column("seed", [seed] * len(told), feature=Value("int64"))


def of(rows: Dataset, arm: str, seed: int) -> Dataset:
    keys = zip(rows["arm"][:], rows["seed"][:], strict=True)
    return rows.select([at for at, key in enumerate(keys) if key == (arm, seed)])


def to_be_read(rows: Dataset, count: int | None, seed: int) -> Dataset:
    """The rows of so many pictures, drawn by a hash of their row_id: the same ones of every arm. None: all."""
    row_ids = rows["row_id"][:]
    everyone = list(dict.fromkeys(row_ids))
    if count is None or count >= len(everyone):
        return rows
    drawn = set(sorted(everyone, key=lambda row_id: seed_of("explanations read", seed, row_id))[:count])
    return rows.select([at for at, row_id in enumerate(row_ids) if row_id in drawn]).flatten_indices()


def with_reading(rows: Dataset, read: Dataset, key: Sequence[str] = KEY) -> Dataset:
    """All rows, with what was read of some of them; of the others it is null, and why."""
    if len(read) == len(rows):
        return read
    at = {one: place for place, one in enumerate(zip(*(read[name][:] for name in key), strict=True))}
    places = [at.get(one) for one in zip(*(rows[name][:] for name in key), strict=True)]
    for name in [name for name in read.column_names if name not in rows.column_names]:
        values, missing = read[name][:], UNREAD if name.endswith("_error") else None
        told = [missing if place is None else values[place] for place in places]
        rows = rows.add_column(name, told, feature=read.features[name])
    return rows
