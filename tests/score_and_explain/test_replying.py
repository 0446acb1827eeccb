"""Replies as rows: which of them judges read, and what is told of the others."""

from __future__ import annotations

import pytest
from datasets import Dataset

from tamis.score_and_explain import replying

PICTURES = [f"p{number}" for number in range(30)]


@pytest.fixture
def rows() -> Dataset:
    scored = Dataset.from_dict({"row_id": PICTURES, "image": [b""] * 30, "said": [f"of {one}" for one in PICTURES]})
    from datasets import concatenate_datasets

    return concatenate_datasets([replying.replies(scored, arm, seed) for arm, seed in (("a", 0), ("b", 0), ("b", 1))])


def test_rows_lose_their_pictures_and_say_whose_they_are(rows: Dataset) -> None:
    assert "image" not in rows.column_names and len(rows) == 90
    assert [set(replying.of(rows, "b", seed)["row_id"]) for seed in (0, 1)] == [set(PICTURES)] * 2
    assert len(replying.of(rows, "a", 1)) == 0


def test_the_same_pictures_are_read_of_every_arm(rows: Dataset) -> None:
    read = replying.to_be_read(rows, 12, seed=0)
    by = {key: set(replying.of(read, *key)["row_id"]) for key in (("a", 0), ("b", 0), ("b", 1))}
    assert by["a", 0] == by["b", 0] == by["b", 1] and len(by["a", 0]) == 12
    assert set(replying.to_be_read(rows, 12, seed=1)["row_id"]) != by["a", 0]
    fewer = replying.to_be_read(rows, 5, seed=0)
    assert set(fewer["row_id"]) < by["a", 0]  # with more to be read, none is dropped
    for all_of_them in (None, 30, 99):
        assert replying.to_be_read(rows, all_of_them, seed=0) is rows


def test_what_was_not_read_is_null_and_says_why(rows: Dataset) -> None:
    read = replying.to_be_read(rows, 12, seed=0)
    read = read.add_column("guess_score", [float(at) for at in range(len(read))])
    read = read.add_column("guess_error", ["a reason" if at == 3 else None for at in range(len(read))])
    told = replying.with_reading(rows, read)
    assert told["row_id"][:] == rows["row_id"][:] and len(told) == 90
    known = {(one["arm"], one["seed"], one["row_id"]): one for one in read}
    for one in told:
        own = known.get((one["arm"], one["seed"], one["row_id"]))
        wanted = (own["guess_score"], own["guess_error"]) if own else (None, replying.UNREAD)
        assert (one["guess_score"], one["guess_error"]) == wanted
    assert replying.with_reading(read, read) is read
