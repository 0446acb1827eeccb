"""Splits as properties: all rows, each picture once, the shares asked for, the same again; and what by row leaks."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from tamis.config import ConfigError
from tamis.product_vqa.splits import SHARES, by_image, by_row, leak
from tamis.same_picture import same_picture

CASES = range(25)


def rows(case: int) -> tuple[list[str], list[str]]:
    """Pictures with one to nine questions each, rows in any order; some pictures stand under two ids."""
    draw = random.Random(case)
    images = [f"i{number}" for number in range(draw.randint(8, 200))]
    made = [(name, f"c{draw.choice(images) if draw.random() < 0.1 else name}") for name in images]
    asked = [one for one in made for _ in range(draw.randint(1, 9))]
    draw.shuffle(asked)
    return [name for name, _ in asked], [content for _, content in asked]


@pytest.mark.parametrize("case", CASES)
def test_a_picture_is_in_one_split_under_whatever_name(case: int) -> None:
    images, contents = rows(case)
    splits = by_image(images, contents=contents, seed=case)
    assert len(splits) == len(images) and set(splits) == set(SHARES)
    for names in (images, contents):
        found = defaultdict(set)
        for name, split in zip(names, splits, strict=True):
            found[name].add(split)
        assert all(len(told) == 1 for told in found.values())
    groups = same_picture(images, contents)
    for of, into in (("test", "train"), ("validation", "train"), ("test", "validation")):
        assert {told["share"] for told in leak(splits, groups, of=of, into=into).values()} == {0.0}
    pictures = Counter(dict(zip(groups, splits, strict=True)).values())
    for split, share in SHARES.items():
        assert abs(pictures[split] - share * len(set(groups))) <= 1


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_the_rows_decides_nothing_by_image(case: int) -> None:
    images, contents = rows(case)
    found = dict(zip(images, by_image(images, contents=contents, seed=1), strict=True))
    order = list(range(len(images)))
    random.Random(case).shuffle(order)
    again = by_image([images[at] for at in order], contents=[contents[at] for at in order], seed=1)
    assert found == dict(zip([images[at] for at in order], again, strict=True))
    assert by_image(images, seed=1) == by_image(images, seed=1) != by_image(images, seed=2)


@pytest.mark.parametrize("count", [5, 8, 103, 1000])
def test_by_row_draws_what_scikit_learn_draws(count: int) -> None:
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(np.arange(count), test_size=0.25, random_state=104)
    splits = by_row(count, shares={"train": 0.75, "test": 0.25}, seed=104)
    assert [at for at, split in enumerate(splits) if split == "test"] == sorted(test)
    assert [at for at, split in enumerate(splits) if split == "train"] == sorted(train)
    three = by_row(count, shares={"train": 0.5, "validation": 0.25, "test": 0.25}, seed=104)
    assert [split == "test" for split in three] == [split == "test" for split in splits]


def test_the_reports_split_leaks_nearly_every_picture() -> None:
    images = [f"i{number}" for number in range(2000) for _ in range(5)]
    told = leak(by_row(len(images), shares={"train": 0.75, "test": 0.25}, seed=104), images)
    assert told["rows"]["n"] == 2500
    # A test row's four others: one of them at least is trained on with 1 - 0.25^4; a picture's: fewer of them are left.
    assert told["rows"]["share"] == pytest.approx(1 - 0.25**4, abs=0.01)
    assert 0.99 < told["images"]["share"] < 1 and told["images"]["n"] < 2000


def test_ids_and_bytes_chain() -> None:
    """a and b share their bytes, b and c an id: one picture, named alike from everywhere."""
    assert same_picture(["b", "a", "b", "c", "d"], ["x", "x", "y", "y", "z"]) == ["a", "a", "a", "a", "d"]
    assert same_picture(["b", "a"]) == ["b", "a"]


def test_leak_counts_rows_and_pictures() -> None:
    splits = ["train", "test", "test", "test", "validation"]
    assert leak(splits, ["a", "a", "a", "b", "b"]) == {
        "rows": {"share": 2 / 3, "n": 3},
        "images": {"share": 0.5, "n": 2},
    }
    assert leak(["train"], ["a"])["rows"] == {"share": None, "n": 0}


@pytest.mark.parametrize("shares", [{}, {"train": 0.5, "test": 0.4}, {"train": 1.0, "test": 0.0}])
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares: .* is not accepted"):
        by_image(["a"] * 10, shares=shares)


def test_by_row_takes_any_seed() -> None:
    drawn = {seed: by_row(200, seed=seed) for seed in (0, 1, -1, -2, 2**32 - 1, 2**32, 2**63)}
    assert len({tuple(splits) for splits in drawn.values()}) == len(drawn)
    assert all(Counter(splits) == Counter(drawn[0]) for splits in drawn.values())
    assert by_row(200, seed=-1) == drawn[-1]


def test_too_few_to_split_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares: 2 are too few"):
        by_image(["a", "b", "a", "b"])
    with pytest.raises(ConfigError, match="shares: 1 are too few"):
        by_row(1)
