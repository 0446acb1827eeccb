"""Splits as properties: a picture in one of them, the same whatever else is read, published ones as they were."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from tamis.config import ConfigError
from tamis.score_and_explain.splits import SHARES, drawn, fixed

ORDER = ("train", "validation", "test")


def rows(case: int) -> tuple[list[str], list[str]]:
    """Row ids in any order, and pictures: one in ten stands under several ids."""
    draw = random.Random(case)
    ids = [f"r{number}" for number in range(draw.randint(200, 600))]
    draw.shuffle(ids)
    return ids, [f"c{draw.choice(ids)}" if draw.random() < 0.1 else f"c{name}" for name in ids]


@pytest.mark.parametrize("case", range(10))
def test_what_is_drawn_keeps_pictures_together_and_shares_about_right(case) -> None:
    ids, contents = rows(case)
    splits = fixed(ids, contents, [None] * len(ids), seed=case)
    assert set(splits) == set(SHARES)
    found = defaultdict(set)
    for content, split in zip(contents, splits, strict=True):
        found[content].add(split)
    assert all(len(one) == 1 for one in found.values())
    order = list(range(len(ids)))
    random.Random(case).shuffle(order)
    again = fixed([ids[at] for at in order], [contents[at] for at in order], [None] * len(ids), seed=case)
    assert again == [splits[at] for at in order]
    assert fixed(ids, contents, [None] * len(ids), seed=case + 100) != splits


def test_shares_are_those_stated() -> None:
    ids = [f"{number}" for number in range(20_000)]
    for shares in (SHARES, {"train": 0.5, "test": 0.5}, {"train": 0.05, "validation": 0.15, "test": 0.8}):
        counts = Counter(fixed(ids, ids, [None] * len(ids), shares=shares))
        assert {name: counts[name] / len(ids) for name in shares} == pytest.approx(shares, abs=0.01)


def test_with_fewer_rows_no_picture_moves() -> None:
    ids = [f"{number}" for number in range(500)]
    splits = dict(zip(ids, fixed(ids, ids, [None] * 500), strict=True))
    some = random.Random(0).sample(ids, 200)
    assert dict(zip(some, fixed(some, some, [None] * 200), strict=True)) == {name: splits[name] for name in some}


@pytest.mark.parametrize("case", range(10))
def test_published_splits_stay_and_give_up_only_pictures_of_later_ones(case) -> None:
    ids, contents = rows(case)
    draw = random.Random(case)
    own = [draw.choice(ORDER) for _ in ids]
    splits = fixed(ids, contents, own, order=ORDER)
    assert all(found in (None, split) for found, split in zip(splits, own, strict=True))
    last = {content: max(ORDER.index(own[at]) for at in at_of) for content, at_of in _places(contents).items()}
    assert splits == [
        split if ORDER.index(split) == last[content] else None for content, split in zip(contents, own, strict=True)
    ]
    assert None in splits


def _places(contents: list[str]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for at, content in enumerate(contents):
        found[content].append(at)
    return found


def test_one_id_in_two_published_splits_is_one_picture_whatever_its_bytes() -> None:
    """A copy in another folder may be saved anew."""
    assert fixed(["a", "b", "a"], ["1", "2", "3"], ["train", "train", "test"], order=ORDER[::2]) == [
        None,
        "train",
        "test",
    ]


def test_beside_a_published_test_split_the_rest_is_shared_out() -> None:
    ids = [f"{number}" for number in range(5000)]
    own = ["test" if number % 10 == 0 else None for number in range(5000)]
    contents = ["twin" if number in (0, 1) else name for number, name in enumerate(ids)]
    splits = fixed(ids, contents, own, order=("test",))
    assert [at for at, split in enumerate(splits) if split == "test"] == list(range(0, 5000, 10))
    assert splits[1] is None and splits.count(None) == 1
    counts = Counter(splits)
    assert counts["validation"] / (counts["train"] + counts["validation"]) == pytest.approx(1 / 9, abs=0.015)


@pytest.mark.parametrize(
    "shares", [{}, {"train": 0.5, "test": 0.4}, {"train": 1.0, "test": 0.0}, {"a": 1.5, "b": -0.5}]
)
def test_shares_of_ratings_that_are_none_are_refused(shares) -> None:
    with pytest.raises(ConfigError, match="shares: .* is not accepted"):
        fixed(["a"] * 10, ["a"] * 10, [None] * 10, shares=shares)


def test_splits_left_empty_are_refused() -> None:
    with pytest.raises(ConfigError, match="no picture in split .*, of 1 there are"):
        fixed(["a", "b"], ["x", "x"], [None, None])
    with pytest.raises(ConfigError, match="no picture in split train, of 1 there are"):
        fixed(["a", "b"], ["x", "x"], ["train", "test"], order=("train", "test"))
    with pytest.raises(ConfigError, match="shares: .* test is published"):
        fixed(["a", "b"], ["x", "y"], ["test", None], order=("test",), shares={"test": 1.0})


def test_a_hash_falls_where_shares_end() -> None:
    assert {drawn(f"{number}", {"only": 0.3}, 0) for number in range(100)} == {"only"}
