"""Which reader the settings name, and the splits that come of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from datasets import Dataset

from tamis.config import ConfigError
from tamis.score_and_explain import reading
from tamis.score_and_explain.ratings import Ratings

LINES = {
    split: [f"{split}{at}.jpg {at / 10}" for at in range(count)] for split, count in (("train", 8), ("validation", 3))
}
LINES |= {"test": [f"test{at}.jpg {at / 10}" for at in range(4)]}
SETTINGS = {"limit": None, "seed": 0, "image_size": "original"}


def peaked(score: int) -> list[int]:
    return [50 if at == score else 1 for at in range(1, 11)]


def test_ava_and_aadb_are_read_as_handed_out(run, ava, aadb) -> None:
    votes = {at: peaked(1 + at % 9) for at in range(100, 160)}
    config = SimpleNamespace(kind="ava", dataset=str(ava(votes, tested=range(100, 115))), **SETTINGS)
    ratings = reading.read(config, run)
    parts = reading.parts(ratings)
    assert list(parts) == ["train", "validation", "test"] and len(parts["test"]) == 15
    assert sum(map(len, parts.values())) == 60 and all(rows._indices is None for rows in parts.values())
    assert reading.said(ratings).startswith("60 pictures (")
    config = SimpleNamespace(kind="aadb", dataset=str(aadb(LINES)), **SETTINGS)
    parts = reading.parts(reading.read(config, run))
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 8, "validation": 3, "test": 4}
    assert parts["train"]["row_id"][:] == [line.split()[0] for line in LINES["train"]]


def test_a_split_without_pictures_is_named() -> None:
    table = Dataset.from_dict({"row_id": ["a", "b"], "split": ["train", "test"]})
    with pytest.raises(ConfigError, match="no picture is in validation"):
        reading.parts(Ratings(table, {}, None))
